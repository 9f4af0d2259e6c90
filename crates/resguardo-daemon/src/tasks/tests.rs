//! What stands in the catalog of runs that could not begin.

#![allow(clippy::unwrap_used, reason = "test")]

use jiff::tz::TimeZone;
use resguardo_model::NoProgress;
use resguardo_model::receipt::Verb;
use resguardo_ops::Engines;
use resguardo_ops::catalog::{RunRow, RunState};
use resguardo_testkit::clock::FakeClock;

use super::*;

/// A source without a retention, whose vault can be opened or not.
struct Bare {
    away: bool,
}

impl Sources for Bare {
    fn context(&self, before: &Context) -> Result<Context, String> {
        match self.away {
            true => Err("no route to host".to_owned()),
            false => Ok(before.clone()),
        }
    }

    fn ready(&self, _name: &SourceName, cancel: &CancelToken) -> Result<SourceSpec, String> {
        cancel.cancel();
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

/// How it ended, and what stands in the catalog.
fn ran(task: Task, away: bool) -> (Ended, Vec<RunRow>) {
    let catalog = Catalog::in_memory().unwrap();
    let context = Context {
        vault: None,
        catalog: catalog.clone(),
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
    let work = OpsWork {
        context,
        sources: Arc::new(Bare { away }),
    };
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
    let (ended, runs) = ran(Task::Prune, false);
    assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
    let [run] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!((run.verb, run.state), (Verb::Prune, RunState::Failed));
    assert_eq!(run.source.as_ref().unwrap().as_str(), "shop");
    assert!(run.message.contains("nothing says what is kept"), "{run:?}");

    let (ended, runs) = ran(Task::Backup, true);
    assert!(matches!(ended, Ended::Transient(_)), "{ended:?}");
    let [run] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!((run.verb, run.state), (Verb::Backup, RunState::Failed));
    assert_eq!(run.message, "no route to host");
}

#[test]
fn what_was_told_to_stop_has_not_failed() {
    let (ended, runs) = ran(Task::Backup, false);
    assert_eq!((ended, runs), (Ended::Interrupted, Vec::new()));
}
