//! Who may do what over the network: roles, and the names of users and tokens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Characters of a name, at most: a mail address is one.
const NAME_CHARACTERS_MAX: usize = 254;

/// What somebody may do. Each may all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Viewer,
    /// Take backups, drill, verify, pin, resolve exceptions.
    Operator,
    /// Everything: take pins away, restore into a new database, see who has access.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The word for what a token with it may do.
    #[must_use]
    pub fn scope(self) -> &'static str {
        match self {
            Self::Viewer => "read",
            Self::Operator => "operate",
            Self::Admin => "admin",
        }
    }

    /// The role of a token's scope.
    #[must_use]
    pub fn of_scope(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.scope() == word)
    }
}

/// A word that is no role.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no role: viewer, operator or admin")]
pub struct NotARole(pub String);

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.word() == text);
        found.ok_or_else(|| NotARole(text.to_owned()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The name of a user or of a token: lower-case letters, digits and `. _ - + @`, beginning with a letter or
/// a digit. Upper case is read as lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

/// A text that is no name of a user.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is no name: up to 254 of a-z, 0-9 and . _ - + @, beginning with a letter or a digit"
)]
pub struct NotAUserName(pub String);

impl UserName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = NotAUserName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let may_begin = |c: char| c.is_ascii_alphanumeric();
        let may_follow = |c: char| may_begin(c) || "._-+@".contains(c);
        if text.len() <= NAME_CHARACTERS_MAX
            && text.starts_with(may_begin)
            && text.chars().all(may_follow)
        {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            let shown = text.chars().take(NAME_CHARACTERS_MAX).collect();
            Err(NotAUserName(shown))
        }
    }
}

impl TryFrom<String> for UserName {
    type Error = NotAUserName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    #[test]
    fn roles_are_ordered_and_have_one_word_each() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        for role in Role::ALL {
            assert_eq!(role.word().parse(), Ok(role));
            assert_eq!(Role::of_scope(role.scope()), Some(role));
        }
        assert!("root".parse::<Role>().is_err());
        assert_eq!(Role::of_scope("viewer"), None);
    }

    #[test]
    fn names_are_plain() {
        assert_eq!("Ana.Pérez".parse::<UserName>().ok(), None);
        let ana: UserName = "Ana@example.com".parse().unwrap();
        assert_eq!(ana.as_str(), "ana@example.com");
        for bad in ["", "-x", "a b", "<b>", "a\n", "../x", "a;b", "a\"b"] {
            assert!(bad.parse::<UserName>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(254).parse::<UserName>().is_ok());
        assert!("x".repeat(255).parse::<UserName>().is_err());
    }
}
