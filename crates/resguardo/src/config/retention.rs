//! `retention`, from what is written to the policy that holds.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use resguardo_model::retention::{KEEP_SUCCESSFUL, Policy, Tier};

use super::file::{Leaf, RetentionFile, RetentionTable};
use super::problem::Problem;
use super::resolver::Resolver;

impl Resolver<'_> {
    /// The policy at `key`, like `environments.production.retention`; `None` if nothing is said: then
    /// nothing is ever deleted.
    pub(super) fn retention(
        &mut self,
        key: &str,
        leaf: Option<&Leaf<RetentionFile>>,
        zone: &TimeZone,
    ) -> Option<Policy> {
        let leaf = leaf?;
        let table = match leaf.get() {
            RetentionFile::Minimum => {
                let origin = self.origin(leaf, Vec::new());
                self.record(key, "minimum".into(), origin);
                return Some(Policy::floor(zone.clone()));
            }
            RetentionFile::Table(table) => table,
        };
        let policy = self.policy(key, table, zone);
        if policy.keeps_only_the_floor() {
            let message = format!(
                "this retention keeps nothing but the last {} backups",
                policy.keep_successful
            );
            self.problems.push(
                Problem::at(leaf.span(), message, "no tier, no last, no within").with_hint(
                    "add what is to stay, like daily = 14; if that is meant, say last = 2, or retention = \"minimum\"",
                ),
            );
        }
        Some(policy)
    }

    fn policy(&mut self, key: &str, table: &RetentionTable, zone: &TimeZone) -> Policy {
        let at = |field: &str| format!("{key}.{field}");
        let last = self.optional(&at("last"), table.last.as_ref());
        let tiers = [
            (Tier::Hourly, &table.hourly),
            (Tier::Daily, &table.daily),
            (Tier::Weekly, &table.weekly),
            (Tier::Monthly, &table.monthly),
            (Tier::Yearly, &table.yearly),
        ];
        let mut counts = BTreeMap::new();
        for (tier, leaf) in tiers {
            if let Some(count) = self.optional(&at(tier.word()), leaf.as_ref()) {
                counts.insert(tier, count);
            }
        }
        let within = self.optional(&at("within"), table.within.as_ref());
        let keep_successful = self.optional(&at("keep_successful"), table.keep_successful.as_ref());
        if let (Some(0), Some(leaf)) = (keep_successful, &table.keep_successful) {
            let message = "at least the last backup is always kept".to_owned();
            self.problems
                .push(Problem::at(leaf.span(), message, "1 or more"));
        }
        let mut by_reason = BTreeMap::new();
        for (reason, leaf) in &table.reasons {
            let field = at(&reason.as_str().replace('-', "_"));
            if let Some(length) = self.optional(&field, Some(leaf)) {
                by_reason.insert(reason.clone(), length.span);
            }
        }
        Policy {
            last,
            tiers: counts,
            within: within.map(|length| length.span),
            by_reason,
            keep_successful: keep_successful.unwrap_or(KEEP_SUCCESSFUL),
            zone: zone.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::super::file::ConfigFile;
    use super::super::load::Overrides;
    use super::super::problem::from_toml;
    use super::super::resolve::with_file;
    use super::*;
    use crate::ambient::Ambient;

    /// The policy of the environment x, or what is said of it and where.
    fn policy(text: &str) -> Result<Option<Policy>, (String, String)> {
        let text: Arc<str> = text.into();
        let told = |problem: &Problem| {
            let at = problem.span.clone().map(|span| text[span].to_owned());
            (problem.message.clone(), at.unwrap_or_default())
        };
        let file: ConfigFile =
            toml::from_str(&text).map_err(|error| told(&from_toml(&error, &text)))?;
        let path = Path::new("/srv/resguardo.toml");
        let config = with_file(
            &Ambient::default(),
            &Overrides::default(),
            path,
            &text,
            &file,
        );
        let config = config.map_err(|invalid| told(&invalid.problems[0]))?;
        Ok(config.environments["x"].retention.clone())
    }

    fn of_runbook(retention: &str) -> Policy {
        let text =
            format!("[environments.x]\ntimezone = \"America/Bogota\"\nretention = {retention}\n");
        policy(&text).unwrap().unwrap()
    }

    #[test]
    fn a_word_with_two_meanings_is_refused() {
        let refused = policy("[environments.x]\nretention = \"none\"\n").unwrap_err();
        assert!(refused.0.contains("nothing is ever deleted"), "{refused:?}");
    }

    /// What the guide shows for each runbook.
    #[test]
    fn the_policies_of_the_runbooks_are_read() {
        let bogota = || Policy::floor(TimeZone::get("America/Bogota").unwrap());
        let tiers = bogota()
            .with(Tier::Daily, 14)
            .with(Tier::Weekly, 8)
            .with(Tier::Monthly, 12);
        assert_eq!(
            of_runbook("{ daily = 14, weekly = 8, monthly = 12 }"),
            tiers
        );
        let seven = Policy {
            last: Some(7),
            ..bogota().with(Tier::Monthly, 2)
        };
        assert_eq!(of_runbook("{ last = 7, monthly = 2 }"), seven);
        let by_age = Policy {
            within: Some("30d".parse().unwrap()),
            by_reason: [("pre-migration".parse().unwrap(), "90d".parse().unwrap())].into(),
            ..bogota()
        };
        assert_eq!(
            of_runbook("{ within = \"30d\", pre_migration = \"90d\" }"),
            by_age
        );
        let audit = bogota().with(Tier::Daily, 35).with(Tier::Monthly, 12);
        assert_eq!(of_runbook("{ daily = 35, monthly = 12 }"), audit);
        assert_eq!(of_runbook("\"minimum\""), bogota());
        assert_eq!(policy("[environments.x]\n"), Ok(None));
    }

    /// The policies in the table of a page of the guide, one a runbook, in its order.
    fn of_page(page: &str) -> Vec<Policy> {
        let cells = page.lines().filter(|line| line.starts_with("| "));
        let lines = cells.filter_map(|line| line.split("| `retention = ").nth(1));
        lines
            .map(|rest| of_runbook(rest.split('`').next().unwrap()))
            .collect()
    }

    #[test]
    fn every_line_of_the_guides_table_is_read_and_both_languages_say_the_same() {
        let english = of_page(include_str!("../../../../docs/guide/keeping.md"));
        let spanish = of_page(include_str!("../../../../docs/es/conservar.md"));
        assert_eq!(english, spanish);
        let said: Vec<String> = english.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "daily 14, weekly 8, monthly 12",
                "last 7, monthly 2",
                "within 30d, pre-migration 90d",
                "daily 35, monthly 12",
                "daily 7, weekly 4",
                "minimum",
            ]
        );
    }

    #[test]
    fn reasons_are_free_and_slips_are_not() {
        let found = of_runbook("{ last = 3, post_deploy = \"2w\", \"end-of-year\" = \"520w\" }");
        let reasons: Vec<_> = found.by_reason.keys().map(ToString::to_string).collect();
        assert_eq!(reasons, ["end-of-year", "post-deploy"]);
        for (key, value) in [
            ("dayly", "3"),
            ("montly", "3"),
            ("pre_migraton", "\"90d\""),
            ("keep_sucessful", "3"),
            ("Übung", "\"3d\""),
        ] {
            let text = format!("[environments.x]\nretention = {{ last = 1, \"{key}\" = {value} }}");
            let (message, at) = policy(&text).unwrap_err();
            assert_eq!(message, format!("unknown key {key}"), "{text}");
            assert!(at.contains(key), "{at}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_pointed_at() {
        for (retention, says, points_at) in [
            ("{ daily = -1 }", "invalid value: integer `-1`", "-1"),
            ("{ daily = \"14\" }", "invalid type: string", "\"14\""),
            ("{ daily = 1.5 }", "invalid type: floating point", "1.5"),
            (
                "{ daily = 4294967296 }",
                "invalid value: integer",
                "4294967296",
            ),
            ("{ within = \"30\" }", "is not a duration", "\"30\""),
            (
                "{ last = 3, pre_update = 90 }",
                "invalid type: integer",
                "90",
            ),
            (
                "{ last = 3, keep_successful = 0 }",
                "at least the last backup",
                "0",
            ),
            ("\"nothing\"", "\"nothing\" is no retention", "\"nothing\""),
            ("14", "invalid type: integer", "14"),
            ("{}", "keeps nothing but the last 2 backups", "{}"),
            (
                "{ daily = 0, within = \"0d\" }",
                "keeps nothing but the last 2",
                "{ daily = 0, within = \"0d\" }",
            ),
            (
                "{ pre_migration = \"90d\" }",
                "keeps nothing but the last 2",
                "{ pre_migration = \"90d\" }",
            ),
        ] {
            let text = format!("[environments.x]\nretention = {retention}\n");
            let (message, at) = policy(&text).unwrap_err();
            assert!(message.contains(says), "{retention}: {message}");
            assert_eq!(at, points_at, "{retention}");
        }
        let (message, at) =
            policy("[environments.x]\ntimezone = \"Bogota\"\nretention = { daily = 1 }\n")
                .unwrap_err();
        assert_eq!(
            (&*message, &*at),
            ("Bogota is not a time zone", "\"Bogota\"")
        );
    }
}
