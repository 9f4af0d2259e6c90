//! `${VAR}` in values of the config, and `file:` and `cmd:` references for secrets.
//!
//! Reading a reference is the caller's: this module says what is referred to. Nothing here runs a
//! command or opens a file.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

/// A variable that the config names is not set.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InterpolateError {
    /// No such variable.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// `${` without `}`, or with something else than a name in between.
    #[error("{0:?} is not a variable; write ${{NAME}}, or $${{ for a literal ${{")]
    Malformed(String),
}

/// The text with every `${VAR}` replaced; and the names that were, in their order. `$${` stays `${`.
///
/// # Errors
/// If a variable is not set or the text is malformed.
pub fn interpolate<'a>(
    text: &str,
    variable: impl Fn(&str) -> Option<&'a str>,
) -> Result<(String, Vec<String>), InterpolateError> {
    let mut out = String::with_capacity(text.len());
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let end = inner
            .find('}')
            .ok_or_else(|| InterpolateError::Malformed(rest[at..].to_owned()))?;
        let name = &inner[..end];
        let fits = !name.is_empty()
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !fits {
            return Err(InterpolateError::Malformed(format!("${{{name}}}")));
        }
        out.push_str(variable(name).ok_or_else(|| InterpolateError::Unset(name.to_owned()))?);
        names.push(name.to_owned());
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok((out, names))
}

/// A secret, or where it is to be had. Prints itself without the secret.
#[derive(Clone)]
pub enum SecretRef {
    /// The secret itself, from a variable or, against all advice, from the file.
    Value(SecretString),
    /// The first line of this file.
    File(String),
    /// The first line that this command prints.
    Command(String),
}

impl SecretRef {
    /// Reads `file:PATH` and `cmd:COMMAND`; anything else is the secret itself.
    #[must_use]
    pub fn parse(text: String) -> Self {
        if let Some(path) = text.strip_prefix("file:") {
            Self::File(path.to_owned())
        } else if let Some(command) = text.strip_prefix("cmd:") {
            Self::Command(command.trim().to_owned())
        } else {
            Self::Value(SecretString::from(text))
        }
    }

    /// What may be shown of it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Value(secret) if secret.expose_secret().is_empty() => String::new(),
            Self::Value(_) => "***".to_owned(),
            Self::File(path) => format!("file:{path}"),
            Self::Command(command) => format!("cmd:{command}"),
        }
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretRef({})", self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<&'static str> {
        (name == "DB").then_some("shop.db")
    }

    #[test]
    fn variables_are_replaced() {
        for (text, out) in [
            ("plain", "plain"),
            ("${DB}", "shop.db"),
            ("/srv/${DB}?x=${DB}", "/srv/shop.db?x=shop.db"),
            ("$DB costs 5$", "$DB costs 5$"),
            ("$${DB}", "${DB}"),
        ] {
            assert_eq!(interpolate(text, variable).unwrap().0, out, "{text}");
        }
    }

    #[test]
    fn what_is_not_set_or_malformed_is_refused() {
        assert_eq!(
            interpolate("${NOPE}", variable),
            Err(InterpolateError::Unset("NOPE".to_owned()))
        );
        for bad in ["${", "${DB", "${}", "${a b}", "${1A}"] {
            assert!(
                matches!(
                    interpolate(bad, variable),
                    Err(InterpolateError::Malformed(_))
                ),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = SecretRef::parse("s3cret".to_owned());
        assert_eq!(secret.shown(), "***");
        assert!(!format!("{secret:?}").contains("s3cret"));
        assert_eq!(
            SecretRef::parse("file:/run/key".to_owned()).shown(),
            "file:/run/key"
        );
    }
}
