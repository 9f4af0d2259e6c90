//! A source that is backed up and pruned, on a store whose clock the test moves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;
use resguardo_model::{CancelToken, Finding, FindingKind, NoProgress};
use resguardo_store::{Condition, Key, Store};
use resguardo_testkit::FakeClock;
use resguardo_vault::{
    Depth, PruneOptions, PruneOutcome, Selection, StoredHead, Vault, VaultError,
};

use super::{
    Files, Rig, assert_restores, back_up, backup_id, change_page, noise, pages, run_id, source,
};

pub(crate) struct Pruning {
    pub(crate) rig: Rig,
    pub(crate) store_clock: FakeClock,
    /// What each backup holds, by its number.
    pub(crate) contents: BTreeMap<u64, Files>,
    files: Files,
}

impl Pruning {
    /// A vault with the backups 1 to `backups`.
    pub(crate) fn with(backups: u64) -> Self {
        let store_clock = FakeClock::at("2026-11-22T02:00:00Z");
        let rig = Rig::with_store_clock(&store_clock);
        let files = Files::from([
            ("db.pages".to_owned(), pages(1, 60)),
            ("table.copy".to_owned(), noise(2, 60_000)),
        ]);
        let mut all = Self {
            rig,
            store_clock,
            contents: BTreeMap::new(),
            files,
        };
        (1..=backups).for_each(|number| all.back_up(number));
        all
    }

    pub(crate) fn kinds(&self) -> Vec<FindingKind> {
        self.verify().iter().map(|finding| finding.kind).collect()
    }

    pub(crate) fn put(&self, key: &str, bytes: Vec<u8>) {
        let key: Key = key.parse().unwrap();
        self.rig
            .store
            .put(&key, Bytes::from(bytes), Condition::Always)
            .unwrap();
    }

    pub(crate) fn get(&self, key: &str) -> Vec<u8> {
        self.rig.store.get(&key.parse().unwrap()).unwrap().to_vec()
    }

    pub(crate) fn only_record(&self) -> String {
        let keys = self.keys("shop/prunes");
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys.into_iter().next().unwrap()
    }

    /// The same vault, for another hand: a cache of its own, the same clocks.
    pub(crate) fn sharing(&self) -> Self {
        Self {
            rig: self.rig.sharing(),
            store_clock: self.store_clock.clone(),
            contents: self.contents.clone(),
            files: self.files.clone(),
        }
    }

    /// A vault with the same objects that goes its own way. The store's clock stays shared.
    pub(crate) fn forked(&self) -> Self {
        let mut forked = self.sharing();
        forked.rig.store = Arc::new(self.rig.store.fork());
        forked
    }

    /// The source goes on: what the next backup holds. A page that each backup changes, one that only this
    /// one does, and rows at the end.
    pub(crate) fn change(&mut self, seed: u64) -> Files {
        let db = self.files.get_mut("db.pages").unwrap();
        change_page(db, 3, 1000 + seed);
        change_page(db, usize::try_from(seed % 50).unwrap() + 5, 2000 + seed);
        let rows = self.files.get_mut("table.copy").unwrap();
        rows.truncate(60_000);
        rows.extend(noise(3000 + seed, 9_000));
        self.files.clone()
    }

    pub(crate) fn back_up(&mut self, number: u64) {
        let files = self.change(number);
        back_up(&self.rig.vault(), number, &files).unwrap();
        self.contents.insert(number, files);
    }

    pub(crate) fn prune(&self, doomed: &[u64]) -> PruneOutcome {
        prune_with(&self.rig.vault(), doomed, PruneOptions::default()).unwrap()
    }

    pub(crate) fn hours_pass(&self, hours: i64) {
        self.store_clock.advance(SignedDuration::from_hours(hours));
    }

    pub(crate) fn heads(&self) -> Vec<StoredHead> {
        self.rig.vault().heads(None).unwrap().heads
    }

    pub(crate) fn verify(&self) -> Vec<Finding> {
        let vault = self.rig.vault();
        vault
            .verify(
                &Selection::All,
                Depth::Bytes,
                &CancelToken::new(),
                &NoProgress,
            )
            .unwrap()
            .findings
    }

    /// Exactly these backups are there, each restores, and nothing is wrong with the vault.
    #[track_caller]
    pub(crate) fn assert_holds(&self, numbers: &[u64]) {
        assert_eq!(self.verify(), []);
        let heads = self.heads();
        let found: Vec<_> = heads.iter().map(|stored| stored.head.backup).collect();
        let wanted: Vec<_> = numbers.iter().map(|number| backup_id(*number)).collect();
        assert_eq!(found, wanted);
        for (stored, number) in heads.iter().zip(numbers) {
            assert_restores(&self.rig.vault(), stored, &self.contents[number]);
        }
    }

    /// The store holds what heads name, one prune record at most, and nothing else of the source.
    #[track_caller]
    pub(crate) fn assert_nothing_dead(&self) {
        let mut alive = BTreeSet::new();
        for stored in self.heads() {
            alive.insert(stored.key.clone());
            let backup = stored.head.backup;
            alive.insert(format!("shop/snapshots/{backup}.manifest.age"));
            let packs = stored.head.packs.iter();
            alive.extend(packs.map(|pack| format!("shop/packs/{}.age", pack.sha256)));
            let index = stored.head.index.iter();
            alive.extend(index.map(|part| format!("shop/index/{}.age", part.name)));
        }
        let keys = self.keys("shop");
        let (records, others): (BTreeSet<_>, BTreeSet<_>) = keys
            .into_iter()
            .partition(|key| key.starts_with("shop/prunes/"));
        assert_eq!(others, alive);
        assert!(records.len() <= 1, "{records:?}");
    }

    pub(crate) fn keys(&self, prefix: &str) -> BTreeSet<String> {
        let listed = self.rig.store.list(prefix).unwrap();
        listed
            .into_iter()
            .map(|info| info.key.to_string())
            .collect()
    }

    pub(crate) fn drop_lease(&self) {
        let lease: Key = "shop/lease.json".parse().unwrap();
        self.rig.store.delete(&lease).unwrap();
    }

    pub(crate) fn vault_over(&self, store: Arc<dyn Store>) -> Vault {
        self.rig.vault_over(store)
    }
}

/// Prunes as one run does.
pub(crate) fn prune_with(
    vault: &Vault,
    doomed: &[u64],
    options: PruneOptions,
) -> Result<PruneOutcome, VaultError> {
    let lease = vault.acquire_lease(&source(), run_id(900), "host", std::process::id())?;
    let doomed: Vec<_> = doomed.iter().map(|number| backup_id(*number)).collect();
    vault.prune(&lease, &doomed, &options, &CancelToken::new(), &NoProgress)
}
