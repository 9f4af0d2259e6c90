//! A simulated month of each of `examples/`, in production: its config as it is, the driver and the use cases as
//! `serve` runs them, on a clock that is moved from one time to the next.
//!
//! What is not real: the source is a small SQLite file where the example has PostgreSQL, with one check in place of
//! the project's own (`tests/cli/examples` drills those); vault and copies are in memory, for their times have to be
//! those of the clock; nobody is told; no run takes any time on the clock but the minute that it is given. Vault, copies, retention, prunes, verifications, drills and exceptions are real.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: makes a project"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::Parser as _;
use jiff::civil::{DateTime, Weekday};
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use resguardo_daemon::{
    ConfiguredCopy, Driver, Ended, JobNumber, JobState, Memory as _, Outcome, Rules, Run, Standing,
    Work as _,
};
use resguardo_model::{CancelToken, Clock as _, ExceptionKind, NoProgress, SourceName};
use resguardo_ops::copy::CopyPlace;
use resguardo_ops::exception::{self, Changed};
use resguardo_ops::status::SourceStatus;
use resguardo_ops::{SourceSpec, list, receipts};
use resguardo_store::{Condition, MemoryStore, Store};
use resguardo_testkit::clock::FakeClock;

use super::*;
use crate::ambient::Ambient;
use crate::cli::Cli;
use crate::commands::status::watched;

/// A Friday. In all zones of the examples it is the evening before.
const BEGIN: &str = "2027-01-01T00:00:00Z";
const END: &str = "2027-02-01T00:00:00Z";
/// A Tuesday on which the source cannot be reached.
const BAD_DAY: i8 = 12;
/// The run of the schedule, and those after 1, 5, 15, 30, 60 and 60 minutes.
const TRIES: usize = 7;
/// How often it is looked how everything stands, beside after each run.
const LOOK_EVERY: SignedDuration = SignedDuration::from_hours(6);

/// Whether a clock on the wall shows a time that is meant.
type Names = fn(DateTime) -> bool;

/// What an example promises, read from its runbook, and not by the code that is tested.
struct Promise {
    name: &'static str,
    source: &'static str,
    zone: &'static str,
    /// When each task is due, by the clock on the wall.
    due: &'static [(Task, Names)],
    keeps: Keeps,
}

/// What its retention keeps of a month's backups: the newest, by days, by weeks, by months, by age in days.
#[derive(Default)]
struct Keeps {
    last: usize,
    daily: usize,
    weekly: usize,
    monthly: usize,
    within: i32,
}

fn at(now: DateTime, hour: i8, minute: i8) -> bool {
    (now.hour(), now.minute()) == (hour, minute)
}

fn on(now: DateTime, weekday: Weekday, hour: i8, minute: i8) -> bool {
    now.weekday() == weekday && at(now, hour, minute)
}

fn first_sunday_at_four(now: DateTime) -> bool {
    on(now, Weekday::Sunday, 4, 0) && now.day() <= 7
}

#[test]
fn inventario() {
    lived(&Promise {
        name: "inventario",
        source: "inventario",
        zone: "America/Bogota",
        due: &[
            (Task::Backup, |now| at(now, 2, 0)),
            (Task::Copy, |now| at(now, 6, 0)),
            (Task::Verify, |now| on(now, Weekday::Saturday, 5, 0)),
            (Task::Drill, first_sunday_at_four),
            (Task::Prune, |now| on(now, Weekday::Sunday, 5, 30)),
        ],
        keeps: Keeps {
            daily: 14,
            weekly: 8,
            monthly: 12,
            ..Keeps::default()
        },
    });
}

#[test]
fn obyra() {
    lived(&Promise {
        name: "obyra",
        source: "obyra",
        zone: "America/Argentina/Buenos_Aires",
        due: &[
            (Task::Backup, |now| at(now, 2, 0)),
            (Task::Copy, |now| now.hour() % 6 == 0 && now.minute() == 0),
            (Task::Verify, |now| now.day() == 15 && at(now, 5, 0)),
            (Task::Drill, |now| now.day() == 1 && at(now, 4, 0)),
            (Task::Prune, |now| on(now, Weekday::Sunday, 6, 0)),
        ],
        keeps: Keeps {
            daily: 35,
            monthly: 12,
            ..Keeps::default()
        },
    });
}

#[test]
fn sago_factu() {
    lived(&Promise {
        name: "sago-factu",
        source: "sago-factu",
        zone: "America/Lima",
        due: &[
            (Task::Backup, |now| at(now, 3, 0)),
            (Task::Verify, |now| on(now, Weekday::Saturday, 5, 0)),
            (Task::Drill, |now| now.day() == 1 && at(now, 5, 0)),
            (Task::Prune, |now| on(now, Weekday::Sunday, 5, 0)),
        ],
        keeps: Keeps {
            last: 7,
            daily: 7,
            monthly: 2,
            ..Keeps::default()
        },
    });
}

#[test]
fn comercial_electrica() {
    lived(&Promise {
        name: "comercial-electrica",
        source: "comercial",
        zone: "America/Bogota",
        due: &[
            (Task::Backup, |now| at(now, 2, 0)),
            (Task::Copy, |now| at(now, 6, 0)),
            (Task::Verify, |now| on(now, Weekday::Sunday, 5, 30)),
            (Task::Drill, first_sunday_at_four),
            (Task::Prune, |now| at(now, 5, 0)),
        ],
        keeps: Keeps {
            within: 30,
            ..Keeps::default()
        },
    });
}

#[test]
fn puranatura() {
    lived(&Promise {
        name: "puranatura",
        source: "puranatura",
        zone: "America/Santo_Domingo",
        due: &[
            (Task::Backup, |now| at(now, 1, 30)),
            (Task::Copy, |now| at(now, 4, 0)),
            (Task::Verify, |now| on(now, Weekday::Monday, 5, 0)),
            (Task::Drill, |now| now.day() == 15 && at(now, 4, 0)),
            (Task::Prune, |now| on(now, Weekday::Sunday, 5, 0)),
        ],
        keeps: Keeps {
            daily: 14,
            weekly: 8,
            monthly: 12,
            ..Keeps::default()
        },
    });
}

/// Lives the month, and compares what happened with what was promised.
fn lived(promise: &Promise) {
    let folder = tempfile::tempdir().unwrap();
    let mut month = Month::begin(promise, folder.path());
    month.live();
    let zone = TimeZone::get(promise.zone).unwrap();
    for task in Task::OF_SOURCES {
        let due = promise.due.iter().find(|(due, _)| *due == task);
        let expected = due.map_or_else(Vec::new, |(_, names)| walked(&zone, *names));
        let begun = month.begun.get(&task).cloned().unwrap_or_default();
        assert_eq!(begun, expected, "{} of {}", task.word(), promise.name);
    }
    assert_eq!(month.failed.len(), TRIES, "{:?}", month.failed);
    month.exceptions_opened_and_closed(&zone);
    month.everything_is_proven();
}

/// Every minute of the month that a clock on the wall names.
fn walked(zone: &TimeZone, names: Names) -> Vec<Timestamp> {
    let (mut now, end): (Timestamp, Timestamp) = (BEGIN.parse().unwrap(), END.parse().unwrap());
    let mut found = Vec::new();
    while now < end {
        if names(now.to_zoned(zone.clone()).datetime()) {
            found.push(now);
        }
        now += 1.minute();
    }
    found
}

/// A project on a machine whose clock is ours.
struct Month<'a> {
    promise: &'a Promise,
    folder: &'a Path,
    clock: FakeClock,
    context: Context,
    config: Config,
    work: OpsWork,
    memory: CatalogMemory,
    driver: Driver,
    /// The times of the schedules for which runs began.
    begun: BTreeMap<Task, Vec<Timestamp>>,
    /// When a run ended that failed.
    failed: Vec<Timestamp>,
    changes: Vec<(Timestamp, ExceptionKind, Changed)>,
    /// The backup that was drilled last.
    proven: Option<Timestamp>,
}

impl<'a> Month<'a> {
    fn begin(promise: &'a Promise, folder: &'a Path) -> Self {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let file = examples.join(promise.name).join("resguardo.toml");
        let text = std::fs::read_to_string(file).unwrap();
        let (said, _) = text.split_once("\n[sources.").unwrap();
        let source = promise.source;
        let source = format!(
            "[sources.{source}]\nengine = \"sqlite\"\nurl = \"./base.db\"\nenvironment = \"${{ENTORNO}}\"\n\
             [[sources.{source}.checks]]\nname = \"filas\"\nsql = \"select count(*) from filas\"\nmin = 1\n"
        );
        std::fs::write(folder.join("resguardo.toml"), format!("{said}\n{source}")).unwrap();
        let clock = FakeClock::at(BEGIN);
        let invocation = invocation(folder, &clock, &["init", "--yes"]);
        write(
            folder,
            "create table filas (id integer primary key, texto text)",
        );
        let invocation = invocation.quietly();
        let config = invocation.config().unwrap();
        let now = clock.now();
        let jobs = plan::jobs(&config).into_iter();
        let new = |job| Standing {
            job,
            state: JobState::new(now),
        };
        let driver = Driver::new(jobs.map(new).collect(), 2, now);
        let store = in_memory(&*invocation.store(&config).unwrap(), &clock);
        let home = invocation.home().unwrap();
        let opened = invocation.vault_in(store, &config, &home, Reading::IfAtHand);
        let (vault, _, _) = opened.unwrap();
        let opened = invocation.open_without_vault(config).unwrap();
        let context = Context {
            vault: Some(Arc::new(vault)),
            ..opened.context
        };
        let copies = opened.config.copies.iter().map(|copy| {
            let store: Arc<dyn Store> = Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
            CopyPlace::new(&copy.name, store)
        });
        let sources = Clocked {
            copies: copies.collect(),
            configured: Configured::new(invocation.quietly(), opened.config.clone()),
        };
        Self {
            promise,
            folder,
            work: OpsWork {
                context: context.clone(),
                sources: Arc::new(sources),
            },
            memory: CatalogMemory {
                catalog: context.catalog.clone(),
                clock: Arc::new(clock.clone()),
            },
            clock,
            context,
            config: opened.config,
            driver,
            begun: BTreeMap::new(),
            failed: Vec::new(),
            changes: Vec::new(),
            proven: None,
        }
    }

    fn live(&mut self) {
        let end: Timestamp = END.parse().unwrap();
        let mut looked_at = self.clock.now();
        while self.clock.now() < end {
            self.source_comes_and_goes();
            self.do_what_is_due();
            let now = self.clock.now();
            if now.duration_since(looked_at) >= LOOK_EVERY {
                self.look();
                looked_at = now;
            }
            let next = self.driver.wakes().unwrap();
            let next = next.min(looked_at + LOOK_EVERY).max(now);
            self.clock.set(next.min(end));
        }
    }

    fn is_bad_day(&self) -> bool {
        let zone = TimeZone::get(self.promise.zone).unwrap();
        self.clock.now().to_zoned(zone).day() == BAD_DAY
    }

    fn source_comes_and_goes(&self) {
        let (here, away) = (self.folder.join("base.db"), self.folder.join("away.db"));
        match (self.is_bad_day(), here.exists()) {
            (true, true) => std::fs::rename(here, away).unwrap(),
            (false, false) => std::fs::rename(away, here).unwrap(),
            _ => {}
        }
    }

    fn do_what_is_due(&mut self) {
        loop {
            let before: BTreeMap<JobNumber, Timestamp> = self
                .driver
                .standings()
                .map(|(number, standing)| (number, standing.state.handled))
                .collect();
            let begun = self.driver.begin(self.clock.now());
            if begun.is_empty() {
                return;
            }
            for number in begun {
                let standing = self.driver.standing(number).clone();
                let (task, handled) = (standing.job.task, standing.state.handled);
                if before[&number] != handled {
                    self.begun.entry(task).or_default().push(handled);
                }
                self.keep(&standing);
                self.run(number, &standing.job);
            }
        }
    }

    fn run(&mut self, number: JobNumber, job: &Job) {
        if job.task == Task::Backup && !self.is_bad_day() {
            write(
                self.folder,
                "insert into filas (texto) values (hex(randomblob(500)))",
            );
        }
        let before = self.taken();
        let run = Run {
            cancel: CancelToken::new(),
            progress: Arc::new(NoProgress),
            asked: None,
        };
        let ended = self.work.run(&job.subject, job.task, &run);
        if job.task == Task::Drill {
            self.proven = before.last().copied();
        }
        if job.task == Task::Prune {
            assert_eq!(self.taken(), self.kept(&before), "{}", self.clock.now());
        }
        let is_done = ended == Ended::Done;
        let is_meant_to_fail = job.task == Task::Backup && self.is_bad_day();
        assert_eq!(is_done, !is_meant_to_fail, "{}: {ended:?}", job.name());
        self.clock.advance(SignedDuration::from_mins(1));
        let now = self.clock.now();
        let standing = self.driver.end(number, ended, now);
        self.keep(&standing);
        if !is_done {
            assert_eq!(standing.state.last.unwrap().outcome, Outcome::Failed);
            self.failed.push(now);
        }
        self.look();
    }

    fn keep(&self, standing: &Standing) {
        let job = &standing.job;
        self.memory
            .keep(&job.subject, job.task, &standing.state)
            .unwrap();
    }

    fn look(&mut self) -> SourceStatus {
        let jobs = plan::jobs(&self.config);
        let mut watched = watched(&self.config, &jobs, &self.context);
        for copy in watched.iter_mut().flat_map(|one| &mut one.copies) {
            copy.place = MemoryStore::new().describe();
        }
        let (mut status, changes) = exception::look(&self.context, &watched).unwrap();
        let now = self.clock.now();
        let changes = changes.into_iter();
        self.changes
            .extend(changes.map(|change| (now, change.exception.kind, change.what)));
        status.sources.remove(0)
    }

    /// The instants of all backups that there are.
    fn taken(&self) -> BTreeSet<Timestamp> {
        let listed = list::list(&self.context, None).unwrap();
        listed.backups.iter().map(|one| one.taken_at).collect()
    }

    /// What the promised retention keeps of them, now. What was proven last is kept in any case.
    fn kept(&self, all: &BTreeSet<Timestamp>) -> BTreeSet<Timestamp> {
        let zone = TimeZone::get(self.promise.zone).unwrap();
        let date = |at: &Timestamp| at.to_zoned(zone.clone()).date();
        let newest_first: Vec<Timestamp> = all.iter().rev().copied().collect();
        let keeps = &self.promise.keeps;
        let mut kept: BTreeSet<Timestamp> = newest_first.iter().take(keeps.last).copied().collect();
        kept.extend(self.proven.filter(|proven| all.contains(proven)));
        let mut newest_of = |count: usize, period: &dyn Fn(&Timestamp) -> (i16, i8)| {
            let mut seen = BTreeSet::new();
            for at in &newest_first {
                if seen.len() < count && seen.insert(period(at)) {
                    kept.insert(*at);
                }
            }
        };
        newest_of(keeps.daily, &|at| {
            let date = date(at);
            (date.day_of_year(), 0)
        });
        newest_of(keeps.weekly, &|at| {
            let week = date(at).iso_week_date();
            (week.year(), week.week())
        });
        newest_of(keeps.monthly, &|at| {
            let date = date(at);
            (date.year(), date.month())
        });
        let now = self.clock.now().to_zoned(zone.clone());
        let oldest = now.checked_sub(keeps.within.days()).unwrap().timestamp();
        if keeps.within > 0 {
            kept.extend(newest_first.iter().filter(|at| **at >= oldest));
        }
        kept
    }

    /// What failed on the bad day was told when it was given up, and was good after the next backup.
    fn exceptions_opened_and_closed(&mut self, zone: &TimeZone) {
        let given_up_at = *self.failed.last().unwrap();
        let of = |kind| {
            let all = self.changes.iter().filter(move |(_, one, _)| *one == kind);
            all.map(|(at, _, what)| (*at, *what)).collect::<Vec<_>>()
        };
        let next_day = |at: Timestamp| at.to_zoned(zone.clone()).day() == BAD_DAY + 1;
        match &of(ExceptionKind::RunFailed)[..] {
            [(opened, Changed::Opened), (good, Changed::Good)] => {
                assert_eq!(*opened, given_up_at);
                assert!(next_day(*good), "{good}");
            }
            other => panic!("{other:?}"),
        }
        for kind in [ExceptionKind::BackupOverdue, ExceptionKind::RpoBreached] {
            match &of(kind)[..] {
                [(opened, Changed::Opened), (good, Changed::Good)] => {
                    assert!(opened < good && next_day(*good), "{opened} {good}");
                }
                other => panic!("{kind:?}: {other:?}"),
            }
        }
        assert_eq!(self.changes.len(), 6, "{:?}", self.changes);
        for open in exception::open(&self.context).unwrap() {
            exception::resolve(&self.context, &open.id.to_string(), "the disk was away").unwrap();
        }
        assert_eq!(exception::open(&self.context).unwrap(), []);
    }

    fn everything_is_proven(&mut self) {
        let status = self.look();
        let drilled_at = *self.begun[&Task::Drill].last().unwrap();
        let proven = status.proven.unwrap();
        assert!(proven.at >= drilled_at, "{proven:?}");
        assert_eq!(status.last_drill.unwrap().receipt, proven.receipt);
        assert!(
            status.copies.iter().all(|copy| copy.behind == 0),
            "{:?}",
            status.copies
        );
        assert_eq!(status.copies.is_empty(), self.promise.name == "sago-factu");
        assert_eq!(receipts::list(&self.context, None).unwrap().findings, []);
    }
}

/// What is configured, but for the places of the vault and its copies.
struct Clocked {
    configured: Configured,
    copies: Vec<CopyPlace>,
}

impl Sources for Clocked {
    fn context(&self, before: &Context) -> Result<Context, String> {
        Ok(before.clone())
    }

    fn ready(&self, name: &SourceName, cancel: &CancelToken) -> Result<SourceSpec, String> {
        self.configured.ready(name, cancel)
    }

    fn anywhere(&self, name: &SourceName, cancel: &CancelToken) -> Option<SourceSpec> {
        self.configured.anywhere(name, cancel)
    }

    fn rules(&self, name: &SourceName) -> Option<Rules> {
        self.configured.rules(name)
    }

    fn copies(&self, name: &SourceName, _cancel: &CancelToken) -> Vec<ConfiguredCopy> {
        let config = self.configured.now();
        let settings = config.copies.iter().zip(&self.copies);
        let copies = settings.map(|(settings, place)| ConfiguredCopy {
            name: settings.name.clone(),
            place: Ok(place.clone()),
            policy: copy::policy_of(&config, settings, name),
        });
        copies.collect()
    }
}

/// The objects of a store in one whose times are those of the clock.
fn in_memory(from: &dyn Store, clock: &FakeClock) -> Arc<dyn Store> {
    let to = MemoryStore::with_clock(Arc::new(clock.clone()));
    for object in from.list("").unwrap() {
        let bytes = from.get(&object.key).unwrap();
        to.put(&object.key, bytes, Condition::Absent).unwrap();
    }
    Arc::new(to)
}

/// Runs a command in the project; the invocation, to go on with.
fn invocation(folder: &Path, clock: &FakeClock, words: &[&str]) -> Invocation {
    let home = folder.join("home");
    let variables = [
        ("RESGUARDO_HOME", home.to_str().unwrap()),
        ("ENTORNO", "production"),
        ("BOVEDA", "./boveda"),
        ("BOVEDA_COPIA", "./copia"),
        ("BOVEDA_REGION_2", "./region-2"),
        ("SLACK_WEBHOOK", "http://127.0.0.1:9/slack"),
        ("LATIDO", "http://127.0.0.1:9/latido"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let ambient = Ambient {
        variables: variables.into(),
        folder: folder.to_owned(),
        host: "db1".to_owned(),
        operator: "ana".to_owned(),
        ..Ambient::default()
    };
    let words = ["resguardo", "--quiet"].iter().chain(words);
    let cli = Cli::try_parse_from(words).unwrap();
    let mut invocation = Invocation::new(ambient, cli.global);
    invocation.clock = Arc::new(clock.clone());
    let exit = crate::commands::run(&invocation.quietly(), cli.command).unwrap();
    assert_eq!(exit, Exit::Done);
    invocation
}

fn write(folder: &Path, sql: &str) {
    let base = rusqlite::Connection::open(folder.join("base.db")).unwrap();
    base.execute_batch(sql).unwrap();
}
