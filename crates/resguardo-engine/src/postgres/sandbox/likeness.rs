//! Makes a database like the source's: its name, encoding and order of texts. What this machine or this
//! build of the server does not have is replaced, and said.

use resguardo_model::SourceFacts;
use serde_json::Value;

use super::super::name;
use super::super::session::Session;
use crate::port::EngineError;

/// What a source's database is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Likeness {
    database: String,
    encoding: String,
    locale: Locale,
}

/// Where the order of texts and the kinds of letters come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Locale {
    /// `c`, `i` or `b`, as the catalog has it.
    provider: String,
    collate: String,
    ctype: String,
    /// Of ICU or of the built-in provider.
    locale: Option<String>,
    icu_rules: Option<String>,
}

impl Likeness {
    /// What the facts of a backup tell; UTF8 and C where they do not.
    pub(super) fn of(facts: Option<&SourceFacts>) -> Self {
        let detail = |name: &str| {
            let found = facts.and_then(|facts| facts.details.get(name));
            found
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let or = |name: &str, default: &str| detail(name).unwrap_or_else(|| default.to_owned());
        Self {
            database: or("database", "restored"),
            encoding: or("encoding", "UTF8"),
            locale: Locale {
                provider: or("locale_provider", "c"),
                collate: or("collate", "C"),
                ctype: or("ctype", "C"),
                locale: detail("locale"),
                icu_rules: detail("icu_rules"),
            },
        }
    }

    /// The database's name on a throwaway server: the source's, but where no server can do without its own.
    pub(super) fn database(&self) -> String {
        match self.database.as_str() {
            "template0" | "template1" => "restored".to_owned(),
            other => other.to_owned(),
        }
    }

    /// Makes the database `name`; returns what had to be made otherwise than it is at the source.
    ///
    /// # Errors
    /// What the server said of the last try.
    pub(super) fn create(
        &self,
        session: &Session,
        name: &str,
    ) -> Result<Option<String>, EngineError> {
        let mut refused: Option<String> = None;
        let mut tries = self.tries().into_iter().peekable();
        while let Some(locale) = tries.next() {
            match session.batch(&self.statement(name, &locale, session.version().major())) {
                Ok(()) => return Ok(refused.map(|why| self.told(&locale, &why))),
                // This machine or this build does not have the locale.
                Err(EngineError::Sql { message, .. }) if tries.peek().is_some() => {
                    refused.get_or_insert(message);
                }
                Err(error) => return Err(error),
            }
        }
        unreachable!("the last try returns")
    }

    /// The source's own locale, then what is nearest to it, then what every server has.
    fn tries(&self) -> Vec<Locale> {
        let libc = |collate: &str, ctype: &str| Locale {
            provider: "c".to_owned(),
            collate: collate.to_owned(),
            ctype: ctype.to_owned(),
            ..Locale::default()
        };
        let own = &self.locale;
        let mut tries = vec![own.clone(), libc(&own.collate, &own.ctype)];
        if self.encoding == "UTF8" {
            tries.push(libc("C.UTF-8", "C.UTF-8"));
        }
        tries.push(libc("C", "C"));
        tries.dedup();
        tries
    }

    fn statement(&self, name: &str, locale: &Locale, major: u32) -> String {
        let mut sql = format!(
            "create database {} template template0 encoding {} lc_collate {} lc_ctype {}",
            name::identifier(name),
            name::literal(&self.encoding),
            name::literal(&locale.collate),
            name::literal(&locale.ctype)
        );
        let mut add = |option: &str, value: &str| {
            sql.push_str(&format!(" {option} {}", name::literal(value)));
        };
        let own = locale.locale.as_deref();
        match locale.provider.as_str() {
            "i" => {
                add("locale_provider", "icu");
                add("icu_locale", own.unwrap_or("und"));
                if let Some(rules) = &locale.icu_rules {
                    add("icu_rules", rules);
                }
            }
            "b" => {
                add("locale_provider", "builtin");
                add("builtin_locale", own.unwrap_or("C"));
            }
            _ if major >= 15 => add("locale_provider", "libc"),
            _ => {}
        }
        sql
    }

    fn told(&self, locale: &Locale, why: &str) -> String {
        format!(
            "texts of the sandbox are ordered by {}, those of the source by {}: {why}",
            locale.shown(),
            self.locale.shown()
        )
    }
}

impl Locale {
    /// `ICU de`, `C.UTF-8`.
    fn shown(&self) -> String {
        let own = self.locale.as_deref().unwrap_or("C");
        match self.provider.as_str() {
            "i" => format!("ICU {own}"),
            "b" => format!("the built-in {own}"),
            _ if self.collate == self.ctype => self.collate.clone(),
            _ => format!("{} and {}", self.collate, self.ctype),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(encoding: &str, provider: &str, collate: &str, locale: Option<&str>) -> Likeness {
        Likeness {
            database: "shop".to_owned(),
            encoding: encoding.to_owned(),
            locale: Locale {
                provider: provider.to_owned(),
                collate: collate.to_owned(),
                ctype: collate.to_owned(),
                locale: locale.map(str::to_owned),
                icu_rules: None,
            },
        }
    }

    #[test]
    fn the_statement_names_the_provider_as_the_major_knows_it() {
        let icu = like("UTF8", "i", "C", Some("de"));
        let sql = icu.statement("a\"b", &icu.locale, 15);
        assert_eq!(
            sql,
            "create database \"a\"\"b\" template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C' \
             locale_provider 'icu' icu_locale 'de'"
        );
        let libc = like("LATIN1", "c", "es_ES", None);
        let old = libc.statement("shop", &libc.locale, 14);
        assert!(!old.contains("locale_provider"), "{old}");
    }

    #[test]
    fn what_is_not_here_is_replaced_by_what_every_server_has() {
        let shown = |likeness: &Likeness| -> Vec<String> {
            likeness.tries().iter().map(Locale::shown).collect()
        };
        let icu = like("UTF8", "i", "es_ES.UTF-8", Some("de"));
        assert_eq!(shown(&icu), ["ICU de", "es_ES.UTF-8", "C.UTF-8", "C"]);
        assert_eq!(shown(&like("LATIN1", "c", "es_ES", None)), ["es_ES", "C"]);
        assert_eq!(shown(&like("UTF8", "c", "C", None)), ["C", "C.UTF-8", "C"]);
        assert_eq!(Likeness::of(None).database(), "restored");
    }
}
