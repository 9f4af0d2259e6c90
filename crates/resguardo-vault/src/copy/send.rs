//! One object on its way to a copy: read, compared with the digest that a head promises, put.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use resguardo_model::{CancelToken, Finding, FindingKind, ObjectRef, Sha256Digest, SourceName};
use resguardo_store::{Condition, Key, StoreError};

use super::place::at_copy;
use crate::error::VaultError;
use crate::layout;
use crate::vault::Vault;

/// Objects on their way at once. Each is in memory as a whole: a pack has up to 64 MiB.
const SENDERS: usize = 4;

/// An object that heads name, with its digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) key: Key,
    pub(super) bytes: u64,
    pub(super) sha256: Sha256Digest,
}

impl Named {
    pub(super) fn new(key: Key, object: &ObjectRef) -> Self {
        Self {
            key,
            bytes: object.bytes,
            sha256: object.sha256,
        }
    }

    /// Whether the backup restores only with it: without its index the next backup is a whole one, and this
    /// one loses nothing.
    pub(super) fn is_needed(&self) -> bool {
        !self.is_index()
    }

    fn is_index(&self) -> bool {
        self.key.as_str().contains("/index/")
    }

    /// What is wrong with an object of this place: it is not there, has another size, has other bytes.
    fn kinds(&self) -> (FindingKind, FindingKind, FindingKind) {
        let key = self.key.as_str();
        if key.contains("/packs/") {
            (
                FindingKind::PackMissing,
                FindingKind::PackTruncated,
                FindingKind::PackDamaged,
            )
        } else if self.is_index() {
            let damaged = FindingKind::IndexDamaged;
            (FindingKind::IndexMissing, damaged, damaged)
        } else {
            let damaged = FindingKind::ManifestDamaged;
            (FindingKind::ManifestMissing, damaged, damaged)
        }
    }

    pub(super) fn finding(&self, source: &SourceName, wrong: Wrong) -> Finding {
        let (missing, truncated, damaged) = self.kinds();
        let (kind, what) = match wrong {
            Wrong::Missing => (missing, "it is not in the vault".to_owned()),
            Wrong::Size(found) => (
                truncated,
                format!("it has {found} bytes, its head says {}", self.bytes),
            ),
            Wrong::Bytes(found) => (
                damaged,
                format!("its SHA-256 is {found}, its head says {}", self.sha256),
            ),
        };
        Finding {
            kind,
            source: Some(source.clone()),
            object: self.key.to_string(),
            message: format!("{}: {what}", self.key),
            backups_hit: Vec::new(),
        }
    }
}

/// How an object differs from what its head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Missing,
    Size(u64),
    Bytes(Sha256Digest),
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It was read, is what its head names, and was put.
    Put,
    /// What lies here is not what its head names, so nothing was sent.
    Refused(Wrong),
    /// The copy lets nobody replace what is there; its words.
    Kept(String),
}

/// Reads an object and compares it with what its head says. The size is asked first: nothing larger is
/// fetched.
pub(super) fn read_named(
    vault: &Vault,
    object: &Named,
) -> Result<Result<Bytes, Wrong>, VaultError> {
    let found = match vault.store().stat(&object.key) {
        Ok(info) => info.bytes,
        Err(StoreError::NotFound { .. }) => return Ok(Err(Wrong::Missing)),
        Err(error) => return Err(error.into()),
    };
    if found != object.bytes {
        return Ok(Err(Wrong::Size(found)));
    }
    let body = match vault.store().get(&object.key) {
        Ok(body) => body,
        Err(StoreError::NotFound { .. }) => return Ok(Err(Wrong::Missing)),
        Err(error) => return Err(error.into()),
    };
    let sha256 = Sha256Digest::of(&body);
    Ok(match sha256 == object.sha256 {
        true => Ok(body),
        false if body.len() as u64 == object.bytes => Err(Wrong::Bytes(sha256)),
        false => Err(Wrong::Size(body.len() as u64)),
    })
}

/// Sends an object that the copy does not have, or has with other bytes.
pub(super) fn send(from: &Vault, to: &Vault, object: &Named) -> Result<Sent, VaultError> {
    let body = match read_named(from, object)? {
        Ok(body) => body,
        Err(wrong) => return Ok(Sent::Refused(wrong)),
    };
    match to.store().put(&object.key, body, Condition::Always) {
        Ok(_) => Ok(Sent::Put),
        Err(StoreError::ConditionFailed { key }) => {
            Ok(Sent::Kept(format!("{key} cannot be replaced there")))
        }
        Err(error) => {
            // An object that is not there is refused for another reason than a lock on it.
            let locked = matches!(error, StoreError::Locked { .. } | StoreError::Denied { .. });
            match locked && to.store().stat(&object.key).is_ok() {
                true => Ok(Sent::Kept(error.to_string())),
                false => Err(at_copy(error.into(), &to.store().describe())),
            }
        }
    }
}

/// Does `work` to each item on a few threads, in their order as far as that goes. The first error ends it
/// all; `done` is told of each that ended well.
pub(super) fn each<T: Sync, R: Send>(
    items: &[T],
    cancel: &CancelToken,
    work: impl Fn(&T) -> Result<R, VaultError> + Sync,
    done: impl Fn(&T) + Sync,
) -> Result<Vec<R>, VaultError> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let results = Mutex::new(Vec::new());
    let run = || {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            let Some(item) = items.get(number) else {
                return;
            };
            let result = cancel
                .check()
                .map_err(VaultError::from)
                .and_then(|()| work(item));
            match result {
                Ok(result) => {
                    done(item);
                    let mut results = results.lock().expect("nothing panics under this lock");
                    results.push((number, result));
                }
                Err(error) => {
                    next.store(items.len(), Ordering::SeqCst);
                    let mut failed = failed.lock().expect("nothing panics under this lock");
                    failed.get_or_insert(error);
                    return;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..SENDERS.min(items.len()) {
            scope.spawn(run);
        }
    });
    if let Some(error) = failed.into_inner().expect("nothing panics under this lock") {
        return Err(error);
    }
    let mut results = results
        .into_inner()
        .expect("nothing panics under this lock");
    results.sort_by_key(|(number, _)| *number);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// Everything that a head names but itself: packs; index objects; the manifest.
pub(super) fn named_by(stored: &crate::heads::StoredHead) -> (Vec<Named>, Vec<Named>) {
    let head = &stored.head;
    let packs = head
        .packs
        .iter()
        .map(|pack| Named::new(layout::pack(&head.source, &pack.sha256), pack))
        .collect();
    let index = head.index.iter().filter_map(|part| {
        let key = layout::index(&head.source, &part.name)?;
        Some(Named {
            key,
            bytes: part.bytes,
            sha256: part.sha256,
        })
    });
    let manifest = Named::new(layout::manifest(&head.source, head.backup), &head.manifest);
    (packs, index.chain(std::iter::once(manifest)).collect())
}
