//! Reads values one by one: what each is, where it comes from, and what is wrong with it.

use std::path::Path;

use serde_json::Value;

use super::file::{Leaf, Length, Scalar};
use super::interpolate::{InterpolateError, SecretRef, interpolate};
use super::location::shown_place;
use super::problem::{Problem, line_of};
use super::{Entry, Origin, Setting};
use crate::ambient::Ambient;

/// What `config show` prints of a value.
pub(super) trait Shown {
    fn shown(&self) -> Value;
}

macro_rules! shown_as_is {
    ($($kind:ty),*) => {
        $(impl Shown for $kind {
            fn shown(&self) -> Value {
                Value::from(self.clone())
            }
        })*
    };
}

shown_as_is!(String, bool, i32, u16, u32, u64, f64, Vec<String>);

impl Shown for Length {
    fn shown(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl Shown for Scalar {
    fn shown(&self) -> Value {
        Value::from(self.0.clone())
    }
}

/// Collects entries and problems while values are read.
pub(super) struct Resolver<'a> {
    pub(super) ambient: &'a Ambient,
    pub(super) text: &'a str,
    pub(super) folder: &'a Path,
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<Problem>,
}

impl Resolver<'_> {
    pub(super) fn origin<T>(&self, leaf: &Leaf<T>, variables: Vec<String>) -> Origin {
        Origin::File {
            line: line_of(self.text, leaf.span().start),
            variables,
        }
    }

    pub(super) fn record(&mut self, key: impl Into<String>, value: Value, origin: Origin) {
        let value = match value {
            Value::String(text) => Value::from(shown_place(&text)),
            other => other,
        };
        self.entries.push(Entry {
            key: key.into(),
            value,
            origin,
        });
    }

    /// A value as it stands, or nothing.
    pub(super) fn optional<T: Shown + Clone>(
        &mut self,
        key: &str,
        leaf: Option<&Leaf<T>>,
    ) -> Option<T> {
        let leaf = leaf?;
        let origin = self.origin(leaf, Vec::new());
        self.record(key, leaf.get().shown(), origin);
        Some(leaf.get().clone())
    }

    /// A value as it stands, or the default, which is shown as well.
    pub(super) fn with_default<T: Shown + Clone>(
        &mut self,
        key: &str,
        leaf: Option<&Leaf<T>>,
        default: T,
    ) -> T {
        match leaf {
            Some(_) => self.optional(key, leaf).unwrap_or(default),
            None => {
                self.record(key, default.shown(), Origin::Default);
                default
            }
        }
    }

    /// A text with its variables replaced.
    pub(super) fn replaced(&self, leaf: &Leaf<String>) -> Result<Setting<String>, Problem> {
        let replaced = interpolate(leaf.get(), |name| self.ambient.variable(name));
        match replaced {
            Ok((value, variables)) => Ok(Setting {
                value,
                origin: self.origin(leaf, variables),
            }),
            Err(error) => Err(variable_problem(leaf, &error)),
        }
    }

    /// A text with its variables replaced; what is wrong with it becomes a problem of the whole file.
    pub(super) fn text_setting(
        &mut self,
        key: &str,
        leaf: Option<&Leaf<String>>,
    ) -> Option<Setting<String>> {
        match self.replaced(leaf?) {
            Ok(setting) => {
                self.record(
                    key,
                    Value::from(setting.value.clone()),
                    setting.origin.clone(),
                );
                Some(setting)
            }
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    /// A text from the file, else from the first of these variables.
    pub(super) fn text_or(
        &mut self,
        key: &str,
        leaf: Option<&Leaf<String>>,
        names: &[&'static str],
    ) -> Option<String> {
        if leaf.is_some() {
            return self.text_setting(key, leaf).map(|setting| setting.value);
        }
        let (name, value) = self.ambient.first_of(names)?;
        let value = value.to_owned();
        self.record(
            key,
            Value::from(value.clone()),
            Origin::Variable(name.to_owned()),
        );
        Some(value)
    }

    /// A secret from the file, else from the first of these variables.
    pub(super) fn secret_or(
        &mut self,
        key: &str,
        leaf: Option<&Leaf<String>>,
        names: &[&'static str],
    ) -> Option<SecretRef> {
        let (secret, origin) = match leaf {
            Some(leaf) => match self.replaced(leaf) {
                Ok(setting) => (SecretRef::parse(setting.value), setting.origin),
                Err(problem) => {
                    self.problems.push(problem);
                    return None;
                }
            },
            None => {
                let (name, value) = self.ambient.first_of(names)?;
                let secret = SecretRef::Value(value.to_owned().into());
                (secret, Origin::Variable(name.to_owned()))
            }
        };
        self.record(key, Value::from(secret.shown()), origin);
        Some(secret)
    }
}

fn variable_problem(leaf: &Leaf<String>, error: &InterpolateError) -> Problem {
    let problem = Problem::at(leaf.span(), error.to_string(), "");
    match error {
        InterpolateError::Unset(name) => Problem {
            label: "not set".to_owned(),
            ..problem
        }
        .with_hint(format!(
            "set it, like `export {name}=...`, and run the same command again"
        )),
        InterpolateError::Malformed(_) => problem,
    }
}
