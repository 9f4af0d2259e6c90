//! Sources as tests need them: an hour ago, a day ago.

#![allow(clippy::unwrap_used, reason = "test")]

use jiff::{Timestamp, ToSpan as _};
use resguardo_model::receipt::Verb;
use resguardo_model::{BackupId, EngineKind, Objectives, RunId, Verdict};
use ulid::Ulid;

use super::{BackupFact, DrillFact, Facts, Timing, Watched};
use crate::catalog::{RunRow, RunState};

pub(crate) const HOUR: i64 = 3600;
pub(crate) const DAY: i64 = 24 * HOUR;

pub(crate) fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// So many seconds ago.
pub(crate) fn ago(seconds: i64) -> Timestamp {
    now() - seconds.seconds()
}

pub(crate) fn id(at: Timestamp) -> BackupId {
    let milliseconds = u64::try_from(at.as_millisecond()).unwrap();
    BackupId(Ulid::from_parts(milliseconds, 7))
}

pub(crate) fn watched() -> Watched {
    Watched {
        source: "shop".parse().unwrap(),
        engine: EngineKind::Postgres,
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

/// Due at an hour that lies so many seconds back, each day.
pub(crate) fn daily(last_due: i64) -> Option<Timing> {
    Some(Timing {
        last_due: Some(ago(last_due)),
        next: Some(ago(last_due - DAY)),
    })
}

pub(crate) fn backup(seconds_ago: i64) -> BackupFact {
    let at = ago(seconds_ago);
    BackupFact {
        id: id(at),
        taken_at: at,
        started_at: at,
        finished_at: at + 10.minutes(),
        raw_bytes: 1000,
        stored_bytes: 10,
    }
}

pub(crate) fn drill(seconds_ago: i64, of: BackupFact, verdict: Verdict) -> DrillFact {
    DrillFact {
        source: "shop".parse().unwrap(),
        backup: of.id,
        at: ago(seconds_ago),
        taken_at: Some(of.taken_at),
        verdict,
        rto_seconds: Some(3600.0),
        rpo_seconds: Some(60.0),
        failed: match verdict {
            Verdict::Passed => Vec::new(),
            Verdict::Failed | Verdict::Error => vec!["active tenants".to_owned()],
        },
        receipt: format!("shop/receipts/{seconds_ago}.json"),
    }
}

/// A backup of an hour ago that a drill proved.
pub(crate) fn good() -> Facts {
    let newest = backup(HOUR);
    Facts {
        backups: vec![backup(DAY + HOUR), newest],
        drills: vec![drill(600, newest, Verdict::Passed)],
        ..Facts::default()
    }
}

pub(crate) fn run(verb: Verb, state: RunState, seconds_ago: i64) -> RunRow {
    let at = ago(seconds_ago);
    RunRow {
        run: RunId(id(at).0),
        vault: None,
        verb,
        source: Some("shop".parse().unwrap()),
        backup: None,
        state,
        started_at: at,
        finished_at: (state != RunState::Running).then_some(at + 1.minutes()),
        host: "h".to_owned(),
        operator: "o".to_owned(),
        process: None,
        message: "no route to host".to_owned(),
        receipt: None,
        changes: None,
    }
}
