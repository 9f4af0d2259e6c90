//! A vault in memory with its keys, a shop's database in a private folder, and a clock that the test sets.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use resguardo_engine::port::{Engine, Location};
use resguardo_engine::sqlite::SqliteEngine;
use resguardo_model::{
    CancelToken, CheckOutcome, CheckResult, EngineKind, NoProgress, Objectives, Progress, Reason,
};
use resguardo_ops::backup::{self, BackupDone, BackupRequest};
use resguardo_ops::catalog::Catalog;
use resguardo_ops::drill::{self, DrillDone, DrillRequest};
use resguardo_ops::status::Watched;
use resguardo_ops::{
    CheckKind, CheckSpec, Context, Engines, Expectation, OpsError, Origin, SourceSpec,
};
use resguardo_store::{MemoryStore, Store};
use resguardo_testkit::FakeClock;
use resguardo_vault::{Access, Identities, Settings, Vault, WriteKey, generate_identity};
use rusqlite::Connection;

/// Customers and orders in the shop at first.
pub(crate) const CUSTOMERS: u64 = 40;
pub(crate) const ORDERS: u64 = 300;

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) identity: String,
    pub(crate) write_key: String,
    pub(crate) catalog: Catalog,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(FakeClock::at("2026-11-22T02:00:00Z"));
        let folder = tempfile::tempdir().unwrap();
        for name in ["state", "cache", "scratch"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let store = Arc::new(MemoryStore::with_clock(clock.clone()));
        let (identity, recipient) = generate_identity("2026-11-22T02:00:00Z".parse().unwrap());
        let config = Vault::create(&*store, vec![recipient.clone()], &*clock).unwrap();
        let now = "2026-11-22T02:00:00Z".parse().unwrap();
        let key = WriteKey::generate(config.vault, vec![recipient], now).unwrap();
        let world = Self {
            folder,
            store,
            clock,
            identity: identity.to_string(),
            write_key: key.to_json().to_string(),
            catalog: Catalog::in_memory().unwrap(),
        };
        make_shop(&world.database());
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path("shop.sqlite")
    }

    pub(crate) fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(SqliteEngine::new(self.path("scratch")))
    }

    pub(crate) fn vault_with(&self, write: bool, identity: Option<&str>) -> Vault {
        let key = WriteKey::from_json(&self.write_key).unwrap();
        let access = Access {
            trusted_writers: vec![key.writer()],
            write_key: write.then_some(key),
            identities: identity.map(|text| Identities::parse(text.as_bytes(), None).unwrap()),
        };
        self.open(access)
    }

    pub(crate) fn open(&self, access: Access) -> Vault {
        self.open_over(self.store.clone(), access)
    }

    /// The vault seen through another store, like one that fails.
    pub(crate) fn context_over(&self, store: Arc<dyn Store>) -> Context {
        let access = Access {
            trusted_writers: Vec::new(),
            write_key: Some(WriteKey::from_json(&self.write_key).unwrap()),
            identities: None,
        };
        Context {
            vault: Some(Arc::new(self.open_over(store, access))),
            ..self.context()
        }
    }

    fn open_over(&self, store: Arc<dyn Store>, access: Access) -> Vault {
        Vault::open(store, access, self.settings()).unwrap()
    }

    pub(crate) fn vault_access(&self, write: bool, read: bool) -> Access {
        let key = WriteKey::from_json(&self.write_key).unwrap();
        Access {
            trusted_writers: vec![key.writer()],
            write_key: write.then_some(key),
            identities: read.then(|| Identities::parse(self.identity.as_bytes(), None).unwrap()),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            clock: self.clock.clone(),
            cache: self.path("cache"),
            threads: 2,
            compression_level: 1,
            prune_grace: resguardo_vault::PRUNE_GRACE,
        }
    }

    /// The same vault, opened by somebody who made himself a write key.
    pub(crate) fn vault_of_a_stranger(&self) -> Vault {
        self.open(self.stranger_access())
    }

    /// The keys of somebody who made himself a write key.
    pub(crate) fn stranger_access(&self) -> Access {
        let ours = WriteKey::from_json(&self.write_key).unwrap();
        let now = "2026-11-22T02:00:00Z".parse().unwrap();
        let recipients = ours.recipients().to_vec();
        let key = WriteKey::generate(ours.vault(), recipients, now).unwrap();
        Access {
            write_key: Some(key),
            identities: Some(Identities::parse(self.identity.as_bytes(), None).unwrap()),
            trusted_writers: Vec::new(),
        }
    }

    pub(crate) fn context(&self) -> Context {
        let vault = self.vault_with(true, Some(&self.identity));
        Context {
            vault: Some(Arc::new(vault)),
            catalog: self.catalog.clone(),
            engines: Engines::new().with(self.engine()),
            clock: self.clock.clone(),
            zone: TimeZone::UTC,
            cancel: CancelToken::new(),
            progress: Arc::new(NoProgress),
            host: "backup-1".to_owned(),
            operator: "ana".to_owned(),
            version: "0.1.0".to_owned(),
            state: self.path("state"),
            annexes: self.path("annexes"),
        }
    }

    pub(crate) fn shop(&self) -> SourceSpec {
        let location = Location::new(self.database().to_str().unwrap());
        let mut spec = SourceSpec::new("shop".parse().unwrap(), EngineKind::Sqlite, location);
        spec.folder = self.folder.path().to_owned();
        spec.drill.step_timeout = Duration::from_secs(60);
        spec
    }

    pub(crate) fn back_up(&self) -> BackupDone {
        self.back_up_in(&self.context())
    }

    pub(crate) fn back_up_in(&self, ctx: &Context) -> BackupDone {
        take(ctx, &self.shop()).unwrap()
    }

    pub(crate) fn later(&self, hours: i64) {
        self.clock.advance(SignedDuration::from_hours(hours));
    }

    pub(crate) fn sql(&self, sql: &str) {
        Connection::open(self.database())
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }

    /// Keys of the vault that contain `part`.
    pub(crate) fn keys(&self, part: &str) -> Vec<String> {
        let listed = self.store.list("").unwrap();
        let keys = listed.iter().map(|info| info.key.to_string());
        keys.filter(|key| key.contains(part)).collect()
    }

    /// What no run may leave behind, however it ended.
    pub(crate) fn assert_nothing_left(&self) {
        let sandboxes = self.path("state/sandboxes");
        let left: Vec<_> = std::fs::read_dir(sandboxes)
            .map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect())
            .unwrap_or_default();
        assert!(
            left.iter().all(|name| name == "lock"),
            "sandboxes are left: {left:?}"
        );
        assert_eq!(self.keys("lease.json"), [""; 0], "a lease is left");
    }
}

fn make_shop(path: &Path) {
    let shop = Connection::open(path).unwrap();
    shop.pragma_update(None, "journal_mode", "wal").unwrap();
    shop.execute_batch(&format!(
        "create table customer (id integer primary key, name text not null);
         create table orders (id integer primary key, customer integer not null references customer,
                              cents integer not null);
         with recursive n(i) as (select 1 union all select i + 1 from n where i < {CUSTOMERS})
             insert into customer select i, 'customer ' || i from n;
         with recursive n(i) as (select 1 union all select i + 1 from n where i < {ORDERS})
             insert into orders select i, 1 + i % {CUSTOMERS}, i * 100 from n;"
    ))
    .unwrap();
}

pub(crate) fn take(ctx: &Context, source: &SourceSpec) -> Result<BackupDone, OpsError> {
    backup::backup(
        ctx,
        &BackupRequest {
            source,
            reason: Reason::manual(),
            note: String::new(),
            commit: String::new(),
            check_integrity: false,
            after_failed_restore: false,
        },
    )
}

pub(crate) fn latest() -> Origin {
    Origin::Backup("shop:latest".parse().unwrap())
}

pub(crate) fn run_drill(ctx: &Context, source: &SourceSpec) -> Result<DrillDone, OpsError> {
    let sources = std::slice::from_ref(source);
    let request = DrillRequest {
        origin: latest(),
        sources,
        keep: false,
    };
    drill::drill(ctx, &request)
}

pub(crate) fn sql_check(name: &str, sql: &str, expect: Expectation) -> CheckSpec {
    let kind = CheckKind::Sql {
        sql: sql.to_owned(),
        expect,
    };
    check(name, kind)
}

pub(crate) fn equals(value: impl ToString) -> Expectation {
    Expectation {
        equals: Some(value.to_string()),
        ..Expectation::default()
    }
}

pub(crate) fn command_check(name: &str, command: &str) -> CheckSpec {
    let kind = CheckKind::Command {
        command: command.to_owned(),
        exit_code: 0,
    };
    check(name, kind)
}

pub(crate) fn check(name: &str, kind: CheckKind) -> CheckSpec {
    CheckSpec {
        name: name.to_owned(),
        kind,
        timeout: Duration::from_secs(60),
    }
}

/// The result of the check `name`.
pub(crate) fn result<'a>(done: &'a DrillDone, name: &str) -> &'a CheckResult {
    let found = done.checks.iter().find(|check| check.name == name);
    found.unwrap_or_else(|| panic!("no check {name} in {:#?}", done.checks))
}

pub(crate) fn outcome(done: &DrillDone, name: &str) -> CheckOutcome {
    result(done, name).outcome
}

/// Called with the name of each phase as it begins.
type AtPhase = Box<dyn Fn(&str) + Send + Sync>;

/// Watches a run and does something when a phase begins.
pub(crate) struct Watcher {
    at_phase: AtPhase,
    phases: Mutex<Vec<String>>,
    notes: Mutex<Vec<String>>,
    said: Mutex<Vec<String>>,
}

impl Watcher {
    pub(crate) fn new(at_phase: impl Fn(&str) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            at_phase: Box::new(at_phase),
            phases: Mutex::default(),
            notes: Mutex::default(),
            said: Mutex::default(),
        })
    }

    pub(crate) fn phases(&self) -> Vec<String> {
        self.phases.lock().unwrap().clone()
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }

    /// What programs printed.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }
}

impl Progress for Watcher {
    fn phase(&self, name: &str) {
        self.phases.lock().unwrap().push(name.to_owned());
        (self.at_phase)(name);
    }

    fn bytes(&self, _done: u64, _total: Option<u64>) {}

    fn note(&self, line: &str) {
        self.notes.lock().unwrap().push(line.to_owned());
    }

    fn said(&self, line: &str) {
        self.said.lock().unwrap().push(line.to_owned());
    }
}

/// The shop as a config names it: a backup each day, back within four hours.
pub(crate) fn watched() -> Watched {
    Watched {
        source: "shop".parse().unwrap(),
        engine: EngineKind::Sqlite,
        environment: "production".to_owned(),
        objectives: Objectives {
            rpo: Some("24h".parse().unwrap()),
            rto: Some("4h".parse().unwrap()),
        },
        backup: None,
        drill: None,
        retried: Vec::new(),
        copies: Vec::new(),
    }
}
