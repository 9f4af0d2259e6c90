//! Leases: one backup at a time per source. `docs/format.md`, "Leases".
//!
//! The store's conditional put decides who holds one and the store's clock when it has lapsed. A lease
//! whose holder is a process of this machine that is gone lapses at once. Whoever lost his lease must
//! not commit: [`Lease::confirm`] is asked right before the head is written.

use std::collections::BTreeSet;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use resguardo_model::id::RunId;
use resguardo_model::{Clock, SourceName};
use resguardo_store::{Condition, Key, ObjectInfo, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::bounded;
use crate::error::VaultError;
use crate::layout;
use crate::vault::Vault;

const TTL_SECONDS: u64 = 900;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LeaseFile {
    format: u32,
    run: RunId,
    host: String,
    pid: u32,
    /// Which boot and which namespace of process ids `pid` belongs to, where that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    acquired_at: Timestamp,
    ttl_seconds: u64,
    /// Whether its holder may delete heads; who does not say so may.
    #[serde(default = "may", skip_serializing_if = "Clone::clone")]
    deletes: bool,
}

fn may() -> bool {
    true
}

/// Whose lease it is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseOf<'a> {
    pub(crate) source: &'a SourceName,
    pub(crate) run: RunId,
    pub(crate) host: &'a str,
    pub(crate) pid: u32,
    /// Whether the run may delete heads.
    pub(crate) deletes: bool,
}

/// A held lease; dropping it lets go of the source.
pub struct Lease {
    held: Arc<Held>,
    source: SourceName,
    run: RunId,
    deletes: bool,
    /// When it was taken, by the store's clock and by this machine's steady one.
    began_at: Timestamp,
    began: Instant,
    stop: Option<SyncSender<()>>,
    renewer: Option<JoinHandle<()>>,
}

struct Held {
    store: Arc<dyn Store>,
    key: Key,
    body: Bytes,
    /// One renewal at a time: two would each take the other's for a stranger's.
    renewing: Mutex<()>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease({})", self.source)
    }
}

impl Lease {
    pub(crate) fn acquire(
        store: Arc<dyn Store>,
        of: &LeaseOf<'_>,
        clock: &dyn Clock,
    ) -> Result<Self, VaultError> {
        let LeaseOf {
            source,
            run,
            host,
            pid,
            deletes,
        } = *of;
        let file = LeaseFile {
            format: 1,
            run,
            host: host.to_owned(),
            pid,
            machine: this_machine(),
            acquired_at: clock.now(),
            ttl_seconds: TTL_SECONDS,
            deletes,
        };
        let body = serde_json::to_vec(&file).expect("strings and numbers always serialise");
        let held = Arc::new(Held {
            store,
            key: layout::lease(source),
            body: body.into(),
            renewing: Mutex::default(),
        });
        held.take(source, &file)?;
        let began = Instant::now();
        let began_at = match held.store.stat(&held.key) {
            Ok(info) => info.modified_at,
            Err(error) => {
                // Nobody would let go of it.
                let _ = held.store.delete(&held.key);
                return Err(error.into());
            }
        };
        let (stop, stopped) = sync_channel(1);
        let renewed = Arc::clone(&held);
        let renewer = std::thread::spawn(move || {
            let third = Duration::from_secs(TTL_SECONDS / 3);
            while stopped.recv_timeout(third) == Err(RecvTimeoutError::Timeout) {
                // A renewal that fails is found by `confirm` before the commit; until then the next
                // third tries again.
                let _ = renewed.renew();
            }
        });
        Ok(Self {
            held,
            source: source.clone(),
            run,
            deletes,
            began_at,
            began,
            stop: Some(stop),
            renewer: Some(renewer),
        })
    }

    /// The source that is held.
    #[must_use]
    pub fn source(&self) -> &SourceName {
        &self.source
    }

    /// The run that holds it.
    pub(crate) fn run(&self) -> RunId {
        self.run
    }

    /// Whether whoever pins is told that heads may go under it.
    pub(crate) fn may_delete(&self) -> bool {
        self.deletes
    }

    /// Whether there is a lease of the source whose holder may delete heads; it may have lapsed. What is no lease
    /// counts as one.
    pub(crate) fn is_of_a_deleter(
        store: &dyn Store,
        source: &SourceName,
    ) -> Result<bool, StoreError> {
        match bounded::get(store, &layout::lease(source), bounded::PLAIN_BYTES_MAX) {
            Ok(body) => {
                let file = serde_json::from_slice::<LeaseFile>(&body);
                Ok(file.map_or(true, |file| file.deletes))
            }
            Err(StoreError::NotFound { .. } | StoreError::OutOfRange { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// When it was taken, by the store's clock.
    #[must_use]
    pub fn began_at(&self) -> Timestamp {
        self.began_at
    }

    /// Renews the lease, and tells the store's time.
    pub(crate) fn touch(&self) -> Result<Timestamp, VaultError> {
        if let Err(error) = self.held.renew() {
            return Err(match error {
                StoreError::ConditionFailed { .. } | StoreError::NotFound { .. } => {
                    VaultError::LeaseLost(self.source.clone())
                }
                other => other.into(),
            });
        }
        Ok(self.held.store.stat(&self.held.key)?.modified_at)
    }

    /// How long it has been held, by the store's clock or by this machine's steady one: the longer.
    pub(crate) fn age(&self) -> Result<SignedDuration, VaultError> {
        let by_store = self.touch()?.duration_since(self.began_at);
        let steady = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        Ok(by_store.max(steady))
    }

    /// That the lease is still ours, now.
    pub(crate) fn confirm(&self) -> Result<(), VaultError> {
        match self.held.get() {
            Ok(body) if body == self.held.body => Ok(()),
            Ok(_) | Err(StoreError::NotFound { .. }) => {
                Err(VaultError::LeaseLost(self.source.clone()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(renewer) = self.renewer.take() {
            let _ = renewer.join();
        }
        if self.confirm().is_ok() {
            // Left behind, it lapses by itself.
            let _ = self.held.let_go();
        }
    }
}

impl Vault {
    /// Sources that the store has a lease or receipts of, whether they have backups or not.
    ///
    /// # Errors
    /// The store's own.
    pub fn sources_at_work(&self) -> Result<BTreeSet<SourceName>, VaultError> {
        let listed = self.store().list("")?;
        let sources = listed.iter().filter_map(|info| {
            layout::lease_place(&info.key).or_else(|| layout::receipt_place(&info.key))
        });
        Ok(sources.collect())
    }
}

impl Held {
    fn get(&self) -> Result<Bytes, StoreError> {
        bounded::get(&*self.store, &self.key, bounded::PLAIN_BYTES_MAX)
    }

    fn take(&self, source: &SourceName, ours: &LeaseFile) -> Result<(), VaultError> {
        match self.put(Condition::Absent) {
            Ok(()) => return Ok(()),
            Err(StoreError::ConditionFailed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let found = self.store.stat(&self.key);
        let found = found.and_then(|found| Ok((found, self.get()?)));
        let (found, theirs) = match found {
            Ok(found) => found,
            // Let go of in this very moment: the next run will have it.
            Err(StoreError::NotFound { .. } | StoreError::OutOfRange { .. }) => {
                return Ok(self.put(Condition::Absent)?);
            }
            Err(error) => return Err(error.into()),
        };
        let theirs: Option<LeaseFile> = serde_json::from_slice(&theirs).ok();
        if !self.has_lapsed(&found, theirs.as_ref(), ours)? {
            return Err(match theirs {
                Some(theirs) => VaultError::Locked {
                    source_name: source.clone(),
                    run: theirs.run.to_string(),
                    host: theirs.host,
                    pid: theirs.pid,
                    acquired_at: theirs.acquired_at,
                },
                None => VaultError::Locked {
                    source_name: source.clone(),
                    run: "unknown".to_owned(),
                    host: "an unknown host".to_owned(),
                    pid: 0,
                    acquired_at: found.modified_at,
                },
            });
        }
        match self.put(found.version.map_or(Condition::Always, Condition::Matches)) {
            Err(StoreError::ConditionFailed { .. }) => Err(VaultError::LeaseLost(source.clone())),
            other => Ok(other?),
        }
    }

    /// Puts the lease; where the store has no conditional put, by looking before and after.
    fn put(&self, condition: Condition) -> Result<(), StoreError> {
        if self.store.capabilities().conditional_put {
            return self
                .store
                .put(&self.key, self.body.clone(), condition)
                .map(|_| ());
        }
        if condition == Condition::Absent && self.store.stat(&self.key).is_ok() {
            return Err(StoreError::ConditionFailed {
                key: self.key.to_string(),
            });
        }
        self.store
            .put(&self.key, self.body.clone(), Condition::Always)?;
        if self.get()? == self.body {
            Ok(())
        } else {
            Err(StoreError::ConditionFailed {
                key: self.key.to_string(),
            })
        }
    }

    fn renew(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self
            .renewing
            .lock()
            .expect("no renewal panics while it holds the lock");
        let found = self.store.stat(&self.key)?;
        if self.get()? != self.body {
            return Err(StoreError::ConditionFailed {
                key: self.key.to_string(),
            });
        }
        self.put(found.version.map_or(Condition::Always, Condition::Matches))
    }

    /// Removes the lease. Where this host may delete nothing, or the store locks every new object, it is
    /// replaced by one that has lapsed.
    fn let_go(&self) -> Result<(), StoreError> {
        match self.store.delete(&self.key) {
            Err(StoreError::Locked { .. } | StoreError::Denied { .. }) => {}
            other => return other,
        }
        let Ok(file) = serde_json::from_slice::<LeaseFile>(&self.body) else {
            return Ok(());
        };
        let lapsed = LeaseFile {
            ttl_seconds: 0,
            ..file
        };
        let body = serde_json::to_vec(&lapsed).expect("strings and numbers always serialise");
        let version = self.store.stat(&self.key)?.version;
        if self.store.get(&self.key)? != self.body {
            return Ok(());
        }
        let condition = version
            .filter(|_| self.store.capabilities().conditional_put)
            .map_or(Condition::Always, Condition::Matches);
        self.store
            .put(&self.key, body.into(), condition)
            .map(|_| ())
    }

    fn has_lapsed(
        &self,
        found: &ObjectInfo,
        theirs: Option<&LeaseFile>,
        ours: &LeaseFile,
    ) -> Result<bool, VaultError> {
        let same_machine = |theirs: &&LeaseFile| {
            theirs.host == ours.host && ours.machine.is_some() && theirs.machine == ours.machine
        };
        if theirs
            .filter(same_machine)
            .is_some_and(|theirs| is_gone(theirs.pid))
        {
            return Ok(true);
        }
        let ttl = theirs.map_or(TTL_SECONDS, |theirs| theirs.ttl_seconds.min(24 * 3600));
        if ttl == 0 {
            // Its holder let go of it where nothing can be removed.
            return Ok(true);
        }
        let ttl = SignedDuration::from_secs(i64::try_from(ttl).expect("at most a day"));
        Ok(self.store_now(ours.run)?.duration_since(found.modified_at) > ttl)
    }

    /// The store's own time, by the modification time of an object just written.
    fn store_now(&self, run: RunId) -> Result<Timestamp, StoreError> {
        let key = layout::key(&format!("_probe/clock-{run}"));
        self.store
            .put(&key, Bytes::from_static(b"now"), Condition::Always)?;
        let now = self.store.stat(&key).map(|info| info.modified_at);
        // A store that lets nobody delete keeps a few bytes.
        let _ = self.store.delete(&key);
        now
    }
}

/// The boot and the namespace of process ids that we run in: two containers may share a host's name.
fn this_machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// Whether no process of this machine has that id.
fn is_gone(pid: u32) -> bool {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}
