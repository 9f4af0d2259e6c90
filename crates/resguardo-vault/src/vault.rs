//! A vault that is open: its config, its keys, its settings.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use resguardo_model::id::RunId;
use resguardo_model::{
    BackupId, CancelToken, Clock, Head, Sha256Digest, SourceName, VaultId, WriterId,
};
use resguardo_store::{Condition, Key, Store, StoreError};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::bounded;
use crate::error::VaultError;
use crate::headers::ReadBundles;
use crate::heads::StoredHead;
use crate::keys::{self, Identities, KeyError, WriteKey};
use crate::layout;
use crate::lease::{Lease, LeaseOf};
use crate::reader::Snapshot;
use crate::recipients::{RecipientEvent, set};
use crate::writer::SnapshotWriter;

pub(crate) const README_TEXT: &str = include_str!("../../../contrib/vault-readme.txt");
pub(crate) const READER_TEXT: &str = include_str!("../../../contrib/read_vault.py");
/// Threads that fetch many small objects at once.
const FETCHERS: usize = 8;

/// `vault.json`. `docs/format.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultConfig {
    /// Version of the vault's format: 1.
    pub format: u32,
    /// The vault's id.
    pub vault: VaultId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The age recipients of every sealed object.
    pub recipients: Vec<String>,
    /// What became of them since the vault was made, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients_changed: Vec<RecipientEvent>,
}

/// The keys with which a vault is opened. Without any, heads and receipts can still be checked.
#[derive(Debug, Default)]
pub struct Access {
    /// For taking backups and signing receipts.
    pub write_key: Option<WriteKey>,
    /// For reading.
    pub identities: Option<Identities>,
    /// Writers to believe where there is no write key that pins them.
    pub trusted_writers: Vec<WriterId>,
}

/// How a vault is worked with on this machine.
#[derive(Clone)]
pub struct Settings {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Folder for page maps; it may be removed at any time.
    pub cache: PathBuf,
    /// Threads for hashing, compressing and decoding.
    pub threads: usize,
    /// zstd level of packs, 1 to 19.
    pub compression_level: i32,
    /// How long dead objects wait before a prune deletes them; a backup that ran longer does not commit.
    /// The same on every machine of a vault.
    pub prune_grace: SignedDuration,
}

/// Reads the write key as it is now; `None` where it is not asked for twice; else why it cannot be read.
pub type KeyNow =
    dyn Fn() -> Result<Option<WriteKey>, Box<dyn std::error::Error + Send + Sync>> + Send + Sync;

/// An open vault. Clones share it.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    config: VaultConfig,
    access: Arc<Access>,
    settings: Settings,
    role: Role,
    key_now: Option<Box<KeyNow>>,
    read_bundles: ReadBundles,
}

/// What the store is to the vault.
pub(crate) enum Role {
    /// Where backups are taken.
    Primary,
    /// A copy: nothing is signed into it but what prune leaves there. Receipts go to the primary, if it
    /// is at hand.
    Copy {
        /// The primary.
        primary: Option<Vault>,
    },
}

impl Vault {
    /// Makes a vault in an empty store.
    ///
    /// # Errors
    /// [`VaultError::AlreadyAVault`]; [`KeyError::NotARecipient`].
    pub fn create(
        store: &dyn Store,
        recipients: Vec<String>,
        clock: &dyn Clock,
    ) -> Result<VaultConfig, VaultError> {
        if recipients.is_empty() {
            return Err(KeyError::NoRecipients.into());
        }
        recipients
            .iter()
            .try_for_each(|recipient| keys::check_recipient(recipient))?;
        match Self::read_config(store) {
            Err(VaultError::NotAVault { .. }) => {}
            Ok(VaultConfig { vault, .. }) => {
                return Err(VaultError::AlreadyAVault {
                    place: store.describe(),
                    vault,
                });
            }
            Err(other) => return Err(other),
        }
        let now = clock.now();
        let config = VaultConfig {
            format: 1,
            vault: VaultId(new_ulid(now)?),
            created_at: now,
            recipients,
            recipients_changed: Vec::new(),
        };
        let mut json = serde_json::to_vec_pretty(&config).expect("strings always serialise");
        json.push(b'\n');
        let put =
            |name: &str, body: Bytes, condition| store.put(&layout::key(name), body, condition);
        put(
            layout::README,
            Bytes::from_static(README_TEXT.as_bytes()),
            Condition::Always,
        )?;
        put(
            layout::READER,
            Bytes::from_static(READER_TEXT.as_bytes()),
            Condition::Always,
        )?;
        let conditional = store.capabilities().conditional_put;
        let condition = if conditional {
            Condition::Absent
        } else {
            Condition::Always
        };
        put(layout::VAULT, json.into(), condition)?;
        Ok(config)
    }

    /// Reads `vault.json`.
    ///
    /// # Errors
    /// [`VaultError::NotAVault`], [`VaultError::NewerFormat`].
    pub fn read_config(store: &dyn Store) -> Result<VaultConfig, VaultError> {
        let key = layout::key(layout::VAULT);
        let bytes = match bounded::get(store, &key, bounded::PLAIN_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(StoreError::NotFound { .. } | StoreError::NoSuchPlace { .. }) => {
                return Err(VaultError::NotAVault {
                    place: store.describe(),
                });
            }
            Err(other) => return Err(other.into()),
        };
        let broken = |why: &dyn std::fmt::Display| {
            let place = format!("{} (vault.json cannot be read: {why})", store.describe());
            VaultError::NotAVault { place }
        };
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_slice(&bytes).map_err(|error| broken(&error))?;
        if format > 1 {
            return Err(VaultError::NewerFormat {
                object: layout::VAULT.to_owned(),
                format,
            });
        }
        serde_json::from_slice(&bytes).map_err(|error| broken(&error))
    }

    /// Opens a vault.
    ///
    /// # Errors
    /// As [`Vault::read_config`]; [`VaultError::ConfigChanged`] if `vault.json` is not what the write
    /// key pins.
    pub fn open(
        store: Arc<dyn Store>,
        access: Access,
        settings: Settings,
    ) -> Result<Self, VaultError> {
        let vault = Self::open_to_read(store, access, settings)?;
        match vault.unpinned() {
            Some(what) => Err(VaultError::ConfigChanged { what }),
            None => Ok(vault),
        }
    }

    /// Opens a vault to read backups, whoever `vault.json` names as recipients: nothing is sealed to them.
    /// [`Vault::unpinned`] tells whether they are others than those pinned here; no lease is taken then.
    ///
    /// # Errors
    /// As [`Vault::read_config`]; [`VaultError::ConfigChanged`] if it is another vault than the write key's.
    pub fn open_to_read(
        store: Arc<dyn Store>,
        access: Access,
        settings: Settings,
    ) -> Result<Self, VaultError> {
        Self::open_as(store, Arc::new(access), settings, Role::Primary)
    }

    pub(crate) fn open_as(
        store: Arc<dyn Store>,
        access: Arc<Access>,
        settings: Settings,
        role: Role,
    ) -> Result<Self, VaultError> {
        let config = Self::read_config(&*store)?;
        if let Some(key) = &access.write_key {
            compare_id(&config, key)?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                config,
                access,
                settings,
                role,
                key_now: None,
                read_bundles: ReadBundles::default(),
            }),
        })
    }

    /// Lets receipts be signed by the write key that `now` reads when they are, and no head be written if that is
    /// another writer's than the run began with: a run of hours may have begun before the writer was rotated, and
    /// nobody believes the old one afterwards.
    ///
    /// # Panics
    /// If the vault was shared already.
    #[must_use]
    pub fn signing_by(mut self, now: Box<KeyNow>) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("a vault that was just opened");
        inner.key_now = Some(now);
        self
    }

    /// The write key that signs receipts: the present one of this vault, else the one it was opened with.
    ///
    /// # Errors
    /// [`VaultError::WriteKeyUnread`]: the one it was opened with may be retired by now.
    pub(crate) fn key_of_receipts(&self) -> Result<Cow<'_, WriteKey>, VaultError> {
        let opened_with = self.write_key()?;
        let now = self.key_now()?;
        Ok(now.map_or(Cow::Borrowed(opened_with), Cow::Owned))
    }

    /// The write key as it is now, where it can be asked for.
    ///
    /// # Errors
    /// [`VaultError::WriteKeyUnread`], also if it is another vault's.
    pub(crate) fn key_now(&self) -> Result<Option<WriteKey>, VaultError> {
        let unread = |source| VaultError::WriteKeyUnread { source };
        let Some(now) = &self.inner.key_now else {
            return Ok(None);
        };
        let key = now().map_err(unread)?;
        if let Some(key) = &key {
            compare_id(self.config(), key).map_err(|error| unread(error.into()))?;
        }
        Ok(key)
    }

    /// What is different, where `vault.json` names other recipients than the write key pins.
    #[must_use]
    pub fn unpinned(&self) -> Option<String> {
        let key = self.inner.access.write_key.as_ref()?;
        other_recipients(&self.inner.config, key)
    }

    pub(crate) fn shared_access(&self) -> &Arc<Access> {
        &self.inner.access
    }

    pub(crate) fn role(&self) -> &Role {
        &self.inner.role
    }

    /// The vault's id.
    #[must_use]
    pub fn id(&self) -> VaultId {
        self.inner.config.vault
    }

    /// `vault.json` as it was when the vault was opened.
    #[must_use]
    pub fn config(&self) -> &VaultConfig {
        &self.inner.config
    }

    /// Where its objects are.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Who signs here, if anybody can.
    #[must_use]
    pub fn writer(&self) -> Option<WriterId> {
        self.inner.access.write_key.as_ref().map(WriteKey::writer)
    }

    /// Whether there is an identity to read with. It may still be the wrong one.
    #[must_use]
    pub fn can_read(&self) -> bool {
        self.inner.access.identities.is_some()
    }

    /// Whether writers are pinned here; if not, a good signature says only that heads belong together.
    #[must_use]
    pub fn pins_writers(&self) -> bool {
        self.inner.access.write_key.is_some() || !self.inner.access.trusted_writers.is_empty()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn write_key(&self) -> Result<&WriteKey, VaultError> {
        self.inner
            .access
            .write_key
            .as_ref()
            .ok_or(VaultError::NoWriteKey)
    }

    pub(crate) fn identities(&self, object: &Key) -> Result<&Identities, VaultError> {
        let none = || VaultError::NoIdentity {
            object: object.to_string(),
        };
        self.inner.access.identities.as_ref().ok_or_else(none)
    }

    pub(crate) fn read_bundles(&self) -> &ReadBundles {
        &self.inner.read_bundles
    }

    pub(crate) fn access(&self) -> &Access {
        &self.inner.access
    }

    pub(crate) fn cache_of(&self, source: &SourceName) -> PathBuf {
        self.cache_root().join(source.as_str())
    }

    /// The cache of this store: what was seen of a copy says nothing of the primary.
    pub(crate) fn cache_root(&self) -> PathBuf {
        let cache = &self.inner.settings.cache;
        let vault = self.id().to_string();
        match self.inner.role {
            Role::Primary => cache.join(vault),
            Role::Copy { .. } => {
                let place = Sha256Digest::of(self.store().describe().as_bytes());
                cache.join("copies").join(place.short()).join(vault)
            }
        }
    }

    /// Sizes of the packs of a source by their digests.
    pub(crate) fn packs_of(
        &self,
        source: &SourceName,
    ) -> Result<HashMap<Sha256Digest, u64>, VaultError> {
        let listed = self.store().list(&layout::packs(source))?;
        Ok(listed
            .iter()
            .filter_map(|info| Some((layout::pack_digest(&info.key)?, info.bytes)))
            .collect())
    }

    /// Takes the lease of a source, also to prune it: nobody can pin meanwhile.
    ///
    /// # Errors
    /// [`VaultError::Locked`] if another run holds it; [`VaultError::NoWriteKey`];
    /// [`VaultError::ConfigChanged`].
    pub fn acquire_lease(
        &self,
        source: &SourceName,
        run: RunId,
        host: &str,
        pid: u32,
    ) -> Result<Lease, VaultError> {
        self.lease(source, (run, host, pid), true)
    }

    /// As [`Vault::acquire_lease`], for a run that deletes no head of another run: backups can be pinned meanwhile.
    ///
    /// # Errors
    /// As [`Vault::acquire_lease`].
    pub fn acquire_lease_to_add(
        &self,
        source: &SourceName,
        run: RunId,
        host: &str,
        pid: u32,
    ) -> Result<Lease, VaultError> {
        self.lease(source, (run, host, pid), false)
    }

    fn lease(
        &self,
        source: &SourceName,
        (run, host, pid): (RunId, &str, u32),
        deletes: bool,
    ) -> Result<Lease, VaultError> {
        self.write_key()?;
        if let Some(what) = self.unpinned() {
            return Err(VaultError::ConfigChanged { what });
        }
        let of = LeaseOf {
            source,
            run,
            host,
            pid,
            deletes,
        };
        Lease::acquire(Arc::clone(self.store()), &of, &*self.settings().clock)
    }

    /// Begins a backup of the source whose lease is given.
    ///
    /// # Errors
    /// [`VaultError::ConfigChanged`]; the store's own.
    pub fn begin_snapshot(
        &self,
        lease: Lease,
        backup: BackupId,
        cancel: &CancelToken,
    ) -> Result<SnapshotWriter, VaultError> {
        self.refuse_copy()?;
        // Again, for a process that lives long: nothing is written to recipients that are not pinned.
        compare(&Self::read_config(&**self.store())?, self.write_key()?)?;
        SnapshotWriter::begin(self.clone(), lease, backup, cancel)
    }

    /// Opens a snapshot for reading.
    ///
    /// # Errors
    /// [`VaultError::UntrustedWriter`], [`VaultError::RetiredWriter`], [`VaultError::NoIdentity`],
    /// [`VaultError::WrongIdentity`], [`VaultError::Damaged`].
    pub fn open_snapshot(&self, head: &StoredHead) -> Result<Snapshot, VaultError> {
        if !self.trusts(head.head.writer, &head.sha256) {
            let Head { backup, writer, .. } = head.head;
            return Err(match self.retired(writer) {
                Some(_) => VaultError::RetiredWriter { backup, writer },
                None => VaultError::UntrustedWriter { backup, writer },
            });
        }
        Snapshot::open(self.clone(), head)
    }

    /// Runs `work` on each item on a few threads; the first error wins.
    pub(crate) fn in_parallel<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> Result<R, VaultError> + Sync,
    ) -> Result<Vec<R>, VaultError> {
        let per_thread = items.len().div_ceil(FETCHERS).max(1);
        let run = |some: &[T]| some.iter().map(&work).collect::<Result<Vec<R>, _>>();
        let run = &run;
        std::thread::scope(|scope| {
            let threads: Vec<_> = items
                .chunks(per_thread)
                .map(|some| scope.spawn(move || run(some)))
                .collect();
            let mut results = Vec::with_capacity(items.len());
            for thread in threads {
                results.extend(thread.join().expect("fetching does not panic")?);
            }
            Ok(results)
        })
    }
}

fn compare(config: &VaultConfig, key: &WriteKey) -> Result<(), VaultError> {
    compare_id(config, key)?;
    match other_recipients(config, key) {
        Some(what) => Err(VaultError::ConfigChanged { what }),
        None => Ok(()),
    }
}

fn compare_id(config: &VaultConfig, key: &WriteKey) -> Result<(), VaultError> {
    if config.vault != key.vault() {
        let what = format!("vault {} instead of {}", config.vault, key.vault());
        return Err(VaultError::ConfigChanged { what });
    }
    Ok(())
}

pub(crate) fn other_recipients(config: &VaultConfig, key: &WriteKey) -> Option<String> {
    if set(&config.recipients) == set(key.recipients()) {
        return None;
    }
    let (theirs, ours) = (config.recipients.join(", "), key.recipients().join(", "));
    Some(format!("recipients {theirs} instead of {ours}"))
}

/// A new ULID of the given time.
pub(crate) fn new_ulid(now: Timestamp) -> Result<Ulid, VaultError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(KeyError::Random)?;
    let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Ok(Ulid::from_parts(milliseconds, u128::from_le_bytes(random)))
}
