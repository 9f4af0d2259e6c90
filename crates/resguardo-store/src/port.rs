//! The storage port: what a vault asks of a place that keeps objects.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;

/// The key of an object: 1 to 16 parts of `A-Z a-z 0-9 . _ -`, joined by `/`; no part is `.` or `..`
/// or longer than 128, the whole no longer than 512. The same key is valid in every store; only, a
/// folder cannot hold both `a` and `a/b`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// The text is no key.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not an object key")]
pub struct KeyError(pub String);

impl Key {
    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let part_fits = |part: &str| {
            (1..=128).contains(&part.len())
                && part != "."
                && part != ".."
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        };
        if text.len() <= 512 && text.split('/').count() <= 16 && text.split('/').all(part_fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyError(text.to_owned()))
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An opaque version of one object's content (an ETag), for [`Condition::Matches`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub String);

/// When a `put` may take place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Whatever is there is replaced.
    Always,
    /// Only if no object has the key.
    Absent,
    /// Only if the object there has this version.
    Matches(Version),
}

/// What a store tells of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub key: Key,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was written, by the store's own clock.
    pub modified_at: Timestamp,
    /// Its version. `stat` tells it wherever the store can put conditionally; `list` tells it where
    /// that costs nothing.
    pub version: Option<Version>,
}

/// What a store can do beyond the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// [`Condition::Absent`] and [`Condition::Matches`] are atomic. Where they are not, the two
    /// conditions are answered with [`StoreError::Unsupported`], never ignored.
    pub conditional_put: bool,
}

/// What a place tells of itself beyond objects, for `init` and `doctor`. `None`: it does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaceFacts {
    /// Bytes that may still be written.
    pub free_bytes: Option<u64>,
    /// Replaced and deleted objects are kept as older versions.
    pub versioning: Option<bool>,
    /// Objects can be locked against deletion.
    pub object_lock: Option<bool>,
    /// How long every new object is locked by itself, where the place says so.
    pub default_retention: Option<DefaultRetention>,
    /// An upload whose bytes do not match their checksum is refused.
    pub refuses_wrong_checksum: Option<bool>,
}

/// Who may lift a lock before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Whoever has a special permission.
    Governance,
    /// Nobody.
    Compliance,
}

impl LockMode {
    /// `governance` or `compliance`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Governance => "governance",
            Self::Compliance => "compliance",
        }
    }
}

/// The lock that a place puts on every new object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultRetention {
    /// Who may lift it; `None` where the place does not tell.
    pub mode: Option<LockMode>,
    /// Its length in days; a year counts 365.
    pub days: u32,
}

/// A lock on one object: until then it can be neither deleted nor replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockedUntil {
    /// Until when, by the store's clock; `None`: until somebody lifts it (a legal hold).
    pub until: Option<Timestamp>,
    /// Who may lift it before its time, where the store tells.
    pub mode: Option<LockMode>,
}

/// One thing that a place says of who may read, write or delete in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessFact {
    /// What it speaks of: `owner`, `public access block`, `bucket policy`, ...
    pub subject: String,
    /// What it says, in a few words and without secrets.
    pub says: String,
    /// More may than should.
    pub concern: bool,
}

/// A place that keeps objects.
///
/// The contract, which `contract.rs` tests on every adapter and wrapper:
///
/// - **Atomic.** An object is there with all of its bytes or not at all, also after a crash in the
///   midst of `put`. A `put` that failed may have taken place (its answer was lost) or not; writing
///   the same bytes again is always allowed with [`Condition::Always`].
/// - **Durable.** When `put` returns, the object survives a loss of power.
/// - **Visible.** After `put` or `delete` returned, every `get`, `stat` and `list` sees it.
/// - **Whole.** `get` and `get_range` return every byte asked for or fail; a short read is an error
///   ([`StoreError::Interrupted`]), never a short answer. A range that ends beyond the object is
///   [`StoreError::OutOfRange`]; an empty range is no bytes.
/// - **Idempotent.** `delete` of what is not there succeeds.
/// - **Blocking and shared.** Calls block their thread and may come from many threads. None retries by
///   itself; `wrap::Retry` does, for errors that are not permanent.
pub trait Store: Send + Sync {
    /// The place in words or as a URL, without secrets.
    fn describe(&self) -> String;

    /// What it can do beyond the contract.
    fn capabilities(&self) -> Capabilities;

    /// What the place tells of itself; asks it, and may take a few calls. `probe` is a key that no
    /// object has, for a store that can only find out by trying; it has none afterwards either.
    ///
    /// # Errors
    /// Any but `NotFound`. What the place refuses to tell is `None`, not an error.
    fn place_facts(&self, probe: &Key) -> Result<PlaceFacts, StoreError> {
        let _ = probe;
        Ok(PlaceFacts::default())
    }

    /// What the place tells of who may do what in it; nothing where it tells nothing. What it refuses to
    /// tell is left out.
    ///
    /// # Errors
    /// Any but `NotFound`.
    fn access(&self) -> Result<Vec<AccessFact>, StoreError> {
        Ok(Vec::new())
    }

    /// Writes an object of at most 5 GiB and returns its version where the store tells one.
    ///
    /// # Errors
    /// [`StoreError::ConditionFailed`] if `condition` does not hold; nothing was written then.
    fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> Result<Option<Version>, StoreError>;

    /// Reads a whole object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none; [`StoreError::NoSuchPlace`] if there is not even a
    /// store (`get_range` and `stat` alike, where the store can tell).
    fn get(&self, key: &Key) -> Result<Bytes, StoreError>;

    /// Reads the bytes `range` of an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::OutOfRange`].
    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// Tells of an object without reading it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError>;

    /// Every object whose key begins with `prefix` and a `/` (every object for an empty prefix), in the
    /// order of their keys. A store that does not exist yet has none. A `prefix` that is neither empty
    /// nor itself a [`Key`] is refused.
    ///
    /// # Errors
    /// Any but `NotFound`.
    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError>;

    /// Removes an object; one that is not there is no error.
    ///
    /// An object under a lock stays, also where the store would hide it behind a newer version instead of
    /// refusing.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if a lock keeps it; any but `NotFound`.
    fn delete(&self, key: &Key) -> Result<(), StoreError>;

    /// The lock on an object, by what the store tells; `None`: none that it tells of.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such object, where the store has locks at all.
    fn retention(&self, key: &Key) -> Result<Option<LockedUntil>, StoreError> {
        let _ = key;
        Ok(None)
    }
}

macro_rules! store_behind_a_pointer {
    ($($pointer:ty),*) => {$(
        impl<S: Store + ?Sized> Store for $pointer {
            fn describe(&self) -> String {
                (**self).describe()
            }

            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            fn place_facts(&self, probe: &Key) -> Result<PlaceFacts, StoreError> {
                (**self).place_facts(probe)
            }

            fn access(&self) -> Result<Vec<AccessFact>, StoreError> {
                (**self).access()
            }

            fn put(
                &self,
                key: &Key,
                body: Bytes,
                condition: Condition,
            ) -> Result<Option<Version>, StoreError> {
                (**self).put(key, body, condition)
            }

            fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
                (**self).get(key)
            }

            fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
                (**self).get_range(key, range)
            }

            fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
                (**self).stat(key)
            }

            fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
                (**self).list(prefix)
            }

            fn delete(&self, key: &Key) -> Result<(), StoreError> {
                (**self).delete(key)
            }

            fn retention(&self, key: &Key) -> Result<Option<LockedUntil>, StoreError> {
                (**self).retention(key)
            }
        }
    )*};
}

store_behind_a_pointer!(&S, Box<S>, std::sync::Arc<S>);

/// What can go wrong with a store. Each names the operation and the key.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("{key} is not in the store")]
    NotFound {
        /// The key.
        key: String,
    },
    /// The condition of a `put` does not hold.
    #[error("{key} was written by someone else")]
    ConditionFailed {
        /// The key.
        key: String,
    },
    /// A range ends beyond the object.
    #[error("{key} has {bytes} bytes, {wanted} were asked for")]
    OutOfRange {
        /// The key.
        key: String,
        /// The object's size.
        bytes: u64,
        /// The end of the range.
        wanted: u64,
    },
    /// The store refuses these credentials, or this user may not do that.
    #[error("{operation} {key}: access denied")]
    Denied {
        /// `put`, `get`, ...
        operation: &'static str,
        /// The key or prefix.
        key: String,
        /// The store's own words.
        #[source]
        source: BoxError,
    },
    /// Nothing on this machine says who asks: neither settings nor a role.
    #[error("{operation} {key}: no credentials were found")]
    NoCredentials {
        /// `put`, `get`, ...
        operation: &'static str,
        /// The key or prefix.
        key: String,
        /// Where they were looked for last.
        #[source]
        source: BoxError,
    },
    /// An object lock or a retention policy of the store keeps the object.
    #[error("{key} is locked in the store{}", until_in_words(*until))]
    Locked {
        /// The key.
        key: String,
        /// Until when, where the store tells.
        until: Option<Timestamp>,
        /// The store's own words.
        #[source]
        source: BoxError,
    },
    /// No space, or a quota, in the store.
    #[error("{operation} {key}: no space left in the store")]
    Full {
        /// `put`, ...
        operation: &'static str,
        /// The key.
        key: String,
        /// The store's own words.
        #[source]
        source: BoxError,
    },
    /// The bucket, container or host does not exist.
    #[error("{place} does not exist")]
    NoSuchPlace {
        /// The bucket or folder.
        place: String,
        /// The store's own words.
        #[source]
        source: BoxError,
    },
    /// The store cannot do that.
    #[error("{operation} {key}: the store does not support it")]
    Unsupported {
        /// `put`, ...
        operation: &'static str,
        /// The key.
        key: String,
    },
    /// No connection came about: worth trying again.
    #[error("{operation} {key}: the store cannot be reached")]
    Unreachable {
        /// `put`, `get`, ...
        operation: &'static str,
        /// The key or prefix.
        key: String,
        /// The network's own words.
        #[source]
        source: BoxError,
    },
    /// The transfer broke off, the answer was short, or the store was busy: worth trying again.
    #[error("{operation} {key}: interrupted")]
    Interrupted {
        /// `put`, `get`, ...
        operation: &'static str,
        /// The key or prefix.
        key: String,
        /// The store's own words.
        #[source]
        source: BoxError,
    },
    /// Anything else that will not go away by itself.
    #[error("{operation} {key}")]
    Other {
        /// `put`, `get`, ...
        operation: &'static str,
        /// The key or prefix.
        key: String,
        /// The store's own words.
        #[source]
        source: BoxError,
    },
}

fn until_in_words(until: Option<Timestamp>) -> String {
    until.map_or_else(String::new, |until| format!(" until {until:.0}"))
}

/// A cause from outside.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl StoreError {
    /// Whether trying again is pointless.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Interrupted { .. } | Self::Unreachable { .. })
    }
}

/// The bytes of `range` as positions in an object of `bytes` bytes; empty for an inverted range.
pub(crate) fn checked_range(
    key: &Key,
    bytes: u64,
    range: &Range<u64>,
) -> Result<Range<u64>, StoreError> {
    let wanted = range.start.max(range.end);
    if wanted > bytes {
        return Err(StoreError::OutOfRange {
            key: key.to_string(),
            bytes,
            wanted,
        });
    }
    Ok(range.start..wanted)
}

/// Refuses what is neither empty nor a key, so that no prefix leaves a folder or misses by a slash.
pub(crate) fn checked_prefix(prefix: &str) -> Result<(), StoreError> {
    if prefix.is_empty() {
        return Ok(());
    }
    prefix
        .parse::<Key>()
        .map(|_| ())
        .map_err(|error| StoreError::Other {
            operation: "list",
            key: prefix.to_owned(),
            source: error.into(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_safe_in_every_store() {
        for good in [
            "vault.json",
            "shop/packs/0a.age",
            ".x",
            "A-b_c.d",
            &"a".repeat(128),
        ] {
            assert!(good.parse::<Key>().is_ok(), "{good}");
        }
        let (long_part, many_parts) = ("a".repeat(129), vec!["a"; 17].join("/"));
        let long = vec!["a".repeat(128); 4].join("/");
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "a/..",
            "a b",
            "a~",
            "ñ",
            &long_part,
            &many_parts,
            &long,
        ] {
            assert_eq!(bad.parse::<Key>(), Err(KeyError(bad.to_owned())));
        }
    }
}
