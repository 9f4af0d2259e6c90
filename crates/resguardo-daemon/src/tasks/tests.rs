//! What stands in the catalog of runs that could not begin, or failed beside what they began.

#![allow(clippy::unwrap_used, reason = "test")]

use jiff::tz::TimeZone;
use resguardo_model::NoProgress;
use resguardo_model::receipt::Verb;
use resguardo_ops::Engines;
use resguardo_ops::catalog::{RunRow, RunState};
use resguardo_testkit::clock::FakeClock;

use super::*;

/// What goes wrong with a source.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Nothing says what is kept of it.
    Bare,
    /// Its vault cannot be reached.
    Away,
    /// It takes too long to know where it is.
    Slow,
    /// Something panics.
    Odd,
}

const LATE: &str = "it took longer than its deadline of 4h";

struct Bare(Fault);

impl Sources for Bare {
    fn context(&self, before: &Context) -> Result<Context, String> {
        match self.0 == Fault::Away {
            true => Err("no route to host".to_owned()),
            false => Ok(before.clone()),
        }
    }

    fn ready(&self, _name: &SourceName, cancel: &CancelToken) -> Result<SourceSpec, String> {
        match self.0 {
            Fault::Slow => cancel.cancel_beyond_limit(LATE),
            Fault::Odd => panic!("odd"),
            Fault::Bare | Fault::Away => cancel.cancel(),
        }
        Err("it is told to stop".to_owned())
    }

    fn anywhere(&self, _name: &SourceName, _cancel: &CancelToken) -> Option<SourceSpec> {
        None
    }

    fn rules(&self, _name: &SourceName) -> Option<Rules> {
        Some(Rules {
            environment: "production".to_owned(),
            retention: None,
            depth: Depth::Digests,
            choice: Choice::Latest,
        })
    }

    fn copies(&self, _name: &SourceName, _cancel: &CancelToken) -> Vec<ConfiguredCopy> {
        Vec::new()
    }
}

fn work(catalog: Catalog, fault: Fault) -> OpsWork {
    let context = Context {
        vault: None,
        catalog,
        engines: Engines::new(),
        clock: Arc::new(FakeClock::at("2026-11-22T02:00:00Z")),
        zone: TimeZone::UTC,
        cancel: CancelToken::new(),
        progress: Arc::new(NoProgress),
        host: "h".to_owned(),
        operator: "o".to_owned(),
        version: "0".to_owned(),
        state: std::path::PathBuf::new(),
        annexes: std::path::PathBuf::new(),
    };
    OpsWork {
        context,
        sources: Arc::new(Bare(fault)),
    }
}

/// How it ended, and what stands in the catalog.
fn ran(task: Task, fault: Fault) -> (Ended, Vec<RunRow>) {
    let catalog = Catalog::in_memory().unwrap();
    let work = work(catalog.clone(), fault);
    let run = Run {
        cancel: CancelToken::new(),
        progress: Arc::new(NoProgress),
        asked: None,
    };
    let subject = Subject::Source("shop".parse().unwrap());
    let ended = work.run(&subject, task, &run);
    (ended, catalog.runs(10).unwrap())
}

#[test]
fn what_failed_before_it_began_stands_among_the_runs() {
    let (ended, runs) = ran(Task::Prune, Fault::Bare);
    assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
    let [run] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!((run.verb, run.state), (Verb::Prune, RunState::Failed));
    assert_eq!(run.source.as_ref().unwrap().as_str(), "shop");
    assert!(run.message.contains("nothing says what is kept"), "{run:?}");

    let (ended, runs) = ran(Task::Backup, Fault::Away);
    assert!(matches!(ended, Ended::Transient(_)), "{ended:?}");
    let [run] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!((run.verb, run.state), (Verb::Backup, RunState::Failed));
    assert_eq!(run.message, "no route to host");
}

#[test]
fn what_was_told_to_stop_has_not_failed() {
    let (ended, runs) = ran(Task::Backup, Fault::Bare);
    assert_eq!((ended, runs), (Ended::Interrupted, Vec::new()));
}

#[test]
fn what_took_too_long_or_panicked_before_it_began_stands_among_the_runs() {
    for (fault, ending, why) in [
        (Fault::Slow, Ended::Interrupted, LATE),
        (Fault::Odd, Ended::Failed(PANICKED.to_owned()), PANICKED),
    ] {
        let (ended, runs) = ran(Task::Backup, fault);
        assert_eq!(ended, ending);
        let [run] = &runs[..] else { panic!("{runs:?}") };
        assert_eq!((run.verb, run.state), (Verb::Backup, RunState::Failed));
        assert_eq!(run.message, why);
    }
}

#[test]
fn what_could_not_be_begun_or_does_not_end_stands_among_the_runs() {
    let catalog = Catalog::in_memory().unwrap();
    let work = work(catalog.clone(), Fault::Bare);
    let subject = Subject::Source("shop".parse().unwrap());
    work.failed(&subject, Task::Verify, None, "no thread for it");
    work.failed(&Subject::Machine, Task::Sweep, None, "no thread for it");
    let runs = catalog.runs(10).unwrap();
    let [run] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!((run.verb, run.state), (Verb::Verify, RunState::Failed));
    assert_eq!(run.message, "no thread for it");
    // It stands there already.
    work.failed(&subject, Task::Verify, Some(run.run), "it does not stop");
    assert_eq!(catalog.runs(10).unwrap().len(), 1);
}

/// What a task wrote down that began one run, which ended so, before it failed: the oldest first.
fn failed_after(task: Task, verb: Verb, state: RunState) -> Vec<(Verb, RunState)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.sqlite");
    let begun = Begun::new(Arc::new(NoProgress));
    let ctx = Context {
        progress: Arc::clone(&begun) as Arc<dyn Progress>,
        ..work(Catalog::open(&path).unwrap(), Fault::Bare).context
    };
    let shop = "shop".parse().unwrap();
    resguardo_ops::failed_to_begin(&ctx, verb, &shop, "").unwrap();
    let changed = rusqlite::Connection::open(&path)
        .unwrap()
        .execute("update runs set state = ?1", [state.as_str()]);
    assert_eq!(changed.unwrap(), 1);
    let ended = Ended::Transient("at the copy far: no route to host".to_owned());
    begun.write_down(&ctx, task, &shop, &ended);
    let mut runs = ctx.catalog.runs(10).unwrap();
    runs.sort_by_key(|run| run.message.len());
    runs.iter().map(|run| (run.verb, run.state)).collect()
}

#[test]
fn what_failed_at_one_copy_does_not_hide_behind_what_went_well() {
    use RunState::{Failed, Interrupted, Succeeded};
    for (task, verb, state, added) in [
        (Task::Prune, Verb::Prune, Succeeded, Some(Verb::Prune)),
        (Task::Prune, Verb::Prune, Failed, None),
        (Task::Copy, Verb::Copy, Succeeded, Some(Verb::Copy)),
        // It found the source locked at one copy.
        (Task::Copy, Verb::Copy, Interrupted, Some(Verb::Copy)),
        // The backup stands.
        (Task::Backup, Verb::Backup, Succeeded, Some(Verb::Copy)),
        (Task::Backup, Verb::Copy, Succeeded, Some(Verb::Copy)),
        (Task::Backup, Verb::Copy, Failed, None),
        (Task::Backup, Verb::Backup, Failed, None),
    ] {
        let mut wanted = vec![(verb, state)];
        wanted.extend(added.map(|verb| (verb, Failed)));
        assert_eq!(failed_after(task, verb, state), wanted, "{task:?}");
    }
}
