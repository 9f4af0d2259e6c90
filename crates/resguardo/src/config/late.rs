//! Secrets that are read when they are used.
//!
//! One whose variable is not set, or whose file cannot be read, keeps nobody from taking backups: whoever wants to
//! use it hears why it cannot be.

use secrecy::SecretString;
use serde_json::Value;

use super::file::Leaf;
use super::interpolate::{InterpolateError, SecretRef, interpolate};
use super::problem::Problem;
use super::resolver::Resolver;

/// A secret that is read when it is used; or why it cannot be.
pub type LateSecret = Result<SecretRef, String>;

/// A secret that is known without reading anything.
pub fn at_hand(secret: &LateSecret) -> Option<SecretString> {
    match secret {
        Ok(SecretRef::Value(secret)) => Some(secret.clone()),
        _ => None,
    }
}

impl Resolver<'_> {
    /// A secret whose variable may be missing: that is no problem of the file.
    pub(super) fn late_secret(
        &mut self,
        key: &str,
        leaf: &Leaf<String>,
    ) -> Result<LateSecret, Problem> {
        let replaced = interpolate(leaf.get(), |name| self.ambient.variable(name));
        match replaced {
            Ok((value, variables)) => {
                let secret = SecretRef::parse(value);
                let origin = self.origin(leaf, variables);
                self.record(key, Value::from(secret.shown()), origin);
                Ok(Ok(secret))
            }
            Err(InterpolateError::Unset(name)) => {
                let why = format!("the environment variable {name} is not set");
                let origin = self.origin(leaf, vec![name]);
                self.record(key, Value::from("(not set)"), origin);
                Ok(Err(why))
            }
            Err(error) => Err(Problem::at(leaf.span(), error.to_string(), "")),
        }
    }
}
