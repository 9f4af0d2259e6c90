//! `[notify.X]` and what environments and sources say of it, from what is written to who is told what.

mod email;
mod endpoint;

use std::collections::BTreeMap;

use resguardo_model::SourceName;
use resguardo_model::duration::Span;
use resguardo_ops::report::Language;

use super::file::{EnvironmentFile, Leaf, SourceFile};
use super::late::LateSecret;
use super::problem::{Problem, nearest};
use super::resolver::Resolver;
pub use endpoint::EndpointSettings;

/// Who is told, and what.
#[derive(Clone, Debug, Default)]
pub struct NotifySettings {
    /// Every endpoint, by name.
    pub endpoints: BTreeMap<String, EndpointSettings>,
    /// The switches of each source, by task.
    pub pings: BTreeMap<SourceName, BTreeMap<&'static str, LateSecret>>,
}

/// What an environment says of it.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentNotify {
    /// The endpoints that are told.
    pub to: Vec<String>,
    /// After how long people are reminded; `None`: never.
    pub remind: Option<Span>,
    /// Its language.
    pub language: Option<Language>,
}

impl Resolver<'_> {
    /// The language of messages.
    pub(super) fn language(
        &mut self,
        key: &str,
        leaf: Option<&Leaf<String>>,
    ) -> Result<Option<Language>, Problem> {
        let Some(leaf) = leaf else { return Ok(None) };
        self.optional(key, Some(leaf));
        match leaf.get().as_str() {
            "en" => Ok(Some(Language::En)),
            "es" => Ok(Some(Language::Es)),
            other => {
                let message = format!("there is no language {other}");
                Err(Problem::at(leaf.span(), message, "en or es"))
            }
        }
    }

    /// What an environment says; every endpoint that it names must be there.
    pub(super) fn environment_notify(
        &mut self,
        name: &str,
        file: &EnvironmentFile,
        endpoints: &BTreeMap<String, EndpointSettings>,
    ) -> EnvironmentNotify {
        let key = |field: &str| format!("environments.{name}.{field}");
        let to = self.optional(&key("notify"), file.notify.as_ref());
        let to = to.unwrap_or_default();
        for word in to.iter().filter(|word| !endpoints.contains_key(*word)) {
            let Some(leaf) = &file.notify else { continue };
            let names = endpoints.keys().map(String::as_str);
            let label = match nearest(word, names) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("add [notify.{word}]"),
            };
            let message = format!("there is no endpoint {word}");
            self.problems.push(Problem::at(leaf.span(), message, label));
        }
        let remind = self.optional(&key("remind"), file.remind.as_ref());
        let language = self.language(&key("language"), file.language.as_ref());
        let language = language.unwrap_or_else(|problem| {
            self.problems.push(problem);
            None
        });
        EnvironmentNotify {
            to,
            remind: remind.map(|length| length.span),
            language,
        }
    }

    /// The switches of the sources.
    pub(super) fn pings(
        &mut self,
        files: &BTreeMap<toml::Spanned<String>, SourceFile>,
    ) -> BTreeMap<SourceName, BTreeMap<&'static str, LateSecret>> {
        let mut pings = BTreeMap::new();
        for (key, file) in files {
            let (Ok(name), Some(ping)) = (key.get_ref().parse::<SourceName>(), &file.ping) else {
                continue;
            };
            let mut own = BTreeMap::new();
            for (task, leaf) in ping.set() {
                match self.late_secret(&format!("sources.{name}.ping.{task}"), leaf) {
                    Ok(secret) => {
                        own.insert(task, secret);
                    }
                    Err(problem) => self.problems.push(problem),
                }
            }
            pings.insert(name, own);
        }
        pings
    }
}

fn unknown_word<T>(leaf: &Leaf<T>, what: &str, word: &str, known: &[&str]) -> Problem {
    let label = match nearest(word, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => known.join(", "),
    };
    Problem::at(leaf.span(), format!("{what} {word}"), label)
}
