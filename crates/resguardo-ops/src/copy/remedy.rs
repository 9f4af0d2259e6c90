//! What puts right what was found at a copy: another command for another kind of damage.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use resguardo_model::{BackupId, Finding, FindingKind};
use resguardo_vault::StoredHead;

use super::settle_command;

/// Backups and objects named in an advice; the others are counted.
const NAMED_MAX: usize = 5;

/// What to do about some of the findings at a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// How many findings it is for.
    pub findings: u64,
    /// What they have in common, after their number: `found damaged`.
    pub state: &'static str,
    /// The command, for a table.
    pub command: String,
    /// What to do, in a sentence.
    pub next: String,
}

/// What a kind of damage needs, the most usual first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cure {
    /// The vault sends it again.
    Mend,
    /// The vault has nothing of it.
    Elsewhere,
    /// The bytes are those that the head names: the vault's are no better.
    Anew,
    /// Two heads of trusted writers: somebody has to look.
    Compare,
    /// Two good records: somebody has to say.
    Settle,
    /// Who signed it is not believed here.
    Trust,
    /// He was believed once.
    TrustAgain,
}

impl Cure {
    fn of(finding: &Finding, here: &HashSet<BackupId>) -> Self {
        let hit = &finding.backups_hit;
        match finding.kind {
            FindingKind::HeadChanged | FindingKind::HeadForked => Self::Compare,
            FindingKind::RecordDiffers => Self::Settle,
            FindingKind::WriterUnknown => Self::Trust,
            FindingKind::WriterRetired => Self::TrustAgain,
            _ if !hit.is_empty() && !hit.iter().any(|id| here.contains(id)) => Self::Elsewhere,
            FindingKind::PackUnreadable | FindingKind::ManifestMalformed => Self::Anew,
            _ => Self::Mend,
        }
    }

    fn state(self) -> &'static str {
        match self {
            Self::Mend => "found damaged",
            Self::Elsewhere => "damaged and only there",
            Self::Anew => "unreadable in the vault as well",
            Self::Compare => "with two heads",
            Self::Settle => "differing from the vault's",
            Self::Trust => "of a writer not trusted here",
            Self::TrustAgain => "of a writer retired here",
        }
    }

    fn command(self, name: &str, findings: &[&Finding]) -> String {
        let first = findings[0];
        match self {
            Self::Mend => format!("`resguardo copy sync {name} --mend`"),
            Self::Elsewhere => "`resguardo verify --depth digests --from` another copy".to_owned(),
            Self::Anew => match &first.source {
                Some(source) => format!("`resguardo backup {source}`"),
                None => "`resguardo backup`".to_owned(),
            },
            Self::Compare => {
                let id = disputed(first);
                format!("`resguardo show {id} --from {name}`")
            }
            Self::Settle => {
                let object = &first.object;
                format!("`resguardo copy settle {name} {object} --keep SIDE`")
            }
            Self::Trust => "`resguardo keys trust WRITER`".to_owned(),
            Self::TrustAgain => "`resguardo keys trust WRITER --again`".to_owned(),
        }
    }

    fn next(self, name: &str, findings: &[&Finding]) -> String {
        let command = self.command(name, findings);
        match self {
            Self::Mend => format!("send again what the vault has whole with {command}"),
            Self::Elsewhere => {
                let hit = findings.iter().flat_map(|finding| &finding.backups_hit);
                format!(
                    "the vault has nothing to mend these with: {}; another copy may have them: \
                     `resguardo verify --depth digests --from` that copy",
                    named(hit.map(ToString::to_string))
                )
            }
            Self::Anew => format!(
                "no copy of these bytes reads any better: {}; take another backup with {command}",
                named(findings.iter().map(|finding| finding.object.clone()))
            ),
            Self::Compare => {
                let ids = findings.iter().map(|finding| disputed(finding));
                format!(
                    "see which head is right with `resguardo show ID` and `resguardo show ID --from {name}`, of {}; \
                     if a key was stolen, `resguardo keys retire` its writer",
                    named(ids)
                )
            }
            Self::Settle => {
                let each = findings.iter().take(NAMED_MAX);
                let each = each.map(|finding| settle_command(name, &finding.object));
                each.collect::<Vec<_>>().join("; ")
            }
            Self::Trust | Self::TrustAgain => format!(
                "if you believe who signed these: {}; {command}",
                named(findings.iter().map(|finding| finding.object.clone()))
            ),
        }
    }
}

/// The backup whose head is disputed, or the object where it is not known.
fn disputed(finding: &Finding) -> String {
    match finding.backups_hit.first() {
        Some(id) => id.to_string(),
        None => finding.object.clone(),
    }
}

/// Names, each once and not too many.
fn named(names: impl Iterator<Item = String>) -> String {
    let names: BTreeSet<String> = names.collect();
    let more = match names.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let first: Vec<String> = names.into_iter().take(NAMED_MAX).collect();
    format!("{}{more}", first.join(", "))
}

/// What to do about findings at the copy called `name`, where the vault has these `heads`.
pub(super) fn remedies(name: &str, findings: &[Finding], heads: &[StoredHead]) -> Vec<Remedy> {
    let heads = heads.iter().filter(|stored| stored.trusted);
    let here: HashSet<BackupId> = heads.map(|stored| stored.head.backup).collect();
    let mut cures: BTreeMap<Cure, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        let cure = Cure::of(finding, &here);
        cures.entry(cure).or_default().push(finding);
    }
    let remedies = cures.into_iter().map(|(cure, findings)| Remedy {
        findings: findings.len() as u64,
        state: cure.state(),
        command: cure.command(name, &findings),
        next: cure.next(name, &findings),
    });
    remedies.collect()
}

/// All of it in one line.
pub(super) fn advice(remedies: &[Remedy]) -> String {
    let said: Vec<&str> = remedies.iter().map(|one| one.next.as_str()).collect();
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(kind: FindingKind, hit: Option<u64>) -> Finding {
        Finding {
            kind,
            source: Some("shop".parse().unwrap()),
            object: "shop/receipts/x.json".to_owned(),
            message: "something".to_owned(),
            backups_hit: hit
                .map(|number| format!("{number:0>26}").parse().unwrap())
                .into_iter()
                .collect(),
        }
    }

    #[test]
    fn each_kind_of_damage_names_the_command_that_puts_it_right() {
        use FindingKind as K;
        let mend = "copy sync near --mend";
        for (kind, hit, wanted) in [
            (K::HeadMissing, None, mend),
            (K::ReceiptForged, None, mend),
            (K::PinForged, None, mend),
            (K::HeadersMalformed, None, mend),
            (K::IndexDamaged, None, mend),
            // The vault has no head at all here.
            (K::PackDamaged, Some(1), "--from` another copy"),
            (K::ManifestMissing, Some(1), "--from` another copy"),
            (K::PackUnreadable, None, "resguardo backup shop"),
            (
                K::HeadChanged,
                Some(1),
                "show 00000000000000000000000001 --from near",
            ),
            (K::HeadForked, None, "show shop/receipts/x.json --from near"),
            (
                K::RecordDiffers,
                None,
                "copy settle near shop/receipts/x.json --keep",
            ),
            (K::WriterUnknown, Some(1), "keys trust WRITER`"),
            (K::WriterRetired, Some(1), "keys trust WRITER --again`"),
        ] {
            let found = remedies("near", &[finding(kind, hit)], &[]);
            assert_eq!(found.len(), 1);
            let command = &found[0].command;
            assert!(command.contains(wanted), "{kind:?}: {command}");
            assert_eq!(command.contains("--mend"), wanted == mend, "{kind:?}");
        }
    }

    #[test]
    fn findings_of_one_kind_are_counted_together() {
        let found: Vec<Finding> = (0..9)
            .map(|number| finding(FindingKind::PackDamaged, Some(number)))
            .chain([finding(FindingKind::ReceiptForged, None)])
            .collect();
        let remedies = remedies("near", &found, &[]);
        let counts: Vec<u64> = remedies.iter().map(|one| one.findings).collect();
        assert_eq!(counts, [1, 9]);
        let said = advice(&remedies);
        assert!(said.contains("and 4 more"), "{said}");
        assert!(said.starts_with("send again"), "{said}");
    }
}
