//! Names and ids. Each is a type of its own, so that no two can be swapped.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

/// A text that is not what the type asks for.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not {what}")]
pub struct InvalidName {
    /// The text as it was given.
    pub text: String,
    /// What it should have been, with the rule.
    pub what: &'static str,
}

macro_rules! text_serde {
    ($name:ty) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Ulid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0.to_string().to_ascii_lowercase())
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            /// Only the one spelling in which ids are written is read: 26 lower-case characters.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let refused = || InvalidName { text: text.to_owned(), what: $what };
                let id = Self(Ulid::from_string(text).map_err(|_| refused())?);
                if id.to_string() == text { Ok(id) } else { Err(refused()) }
            }
        }

        text_serde!($name);
    };
}

ulid_id!(
    /// One backup: a ULID, so that ids sort by the time they were made.
    BackupId,
    "a backup id (26 lower-case characters)"
);
ulid_id!(
    /// One vault.
    VaultId,
    "a vault id (26 lower-case characters)"
);
ulid_id!(
    /// One run of a verb, successful or not; also the name of its receipt.
    RunId,
    "a run id (26 lower-case characters)"
);
ulid_id!(
    /// One prune record or tombstone of a source.
    RecordId,
    "a record id (26 lower-case characters)"
);

/// The name of a source: 1 to 63 of `a-z 0-9 _ -`, beginning with a letter or a digit.
/// It is a folder of the vault, so nothing else is allowed in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceName(String);

impl SourceName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=63).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && text.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
            });
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                text: text.to_owned(),
                what: "a source name (1 to 63 of a-z, 0-9, _ and -, beginning with a letter or a digit)",
            })
        }
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_serde!(SourceName);

/// The path of a file inside a backup: relative, `/` between its parts, no part empty, `.` or `..`,
/// no control character. Nothing that holds to this can leave the folder it is restored into.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

impl FilePath {
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FilePath {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=1024).contains(&text.len())
            && !text.contains(|c: char| c.is_control() || c == '\\')
            && text
                .split('/')
                .all(|part| !part.is_empty() && part != "." && part != "..");
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                text: text.to_owned(),
                what: "a path inside a backup (relative, without empty, '.' or '..' parts)",
            })
        }
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_serde!(FilePath);

/// Whoever signs heads and receipts: an Ed25519 public key, written `ed25519:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId(pub [u8; 32]);

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriterId({self})")
    }
}

impl FromStr for WriterId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("ed25519:")
            .and_then(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| InvalidName {
                text: text.to_owned(),
                what: "a writer (ed25519: and 64 hexadecimal digits)",
            })
    }
}

text_serde!(WriterId);

/// The kinds of source. A kind without an engine yet is refused by name in the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// A SQLite database file.
    Sqlite,
    /// A PostgreSQL database, by its rows.
    Postgres,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite => f.write_str("sqlite"),
            Self::Postgres => f.write_str("postgres"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_names_are_safe_folder_names() {
        for good in ["shop", "shop-2", "0_a"] {
            assert!(good.parse::<SourceName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "Shop", "a/b", "..", "a b", "ñ", &"a".repeat(64)] {
            assert!(bad.parse::<SourceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_cannot_leave_their_folder() {
        for good in ["shop.sqlite", "base/1/1259", "a b/ñ"] {
            assert!(good.parse::<FilePath>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a/.",
            "a\\b",
            "a\nb",
            "a\0",
        ] {
            assert!(bad.parse::<FilePath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_have_one_spelling() {
        let text = "01jd8kq2v3m4n5p6q7r8s9t0vw";
        let id: BackupId = text.parse().expect("an id");
        assert_eq!(id.to_string(), text);
        assert!(text.to_ascii_uppercase().parse::<BackupId>().is_err());
        assert!("latest".parse::<BackupId>().is_err());
    }
}
