//! How every source stands: what could be restored now, what was proven, against what was promised.
//!
//! [`look`] gathers facts from the vault's list and the catalog, and `judge` (pure) says what they mean. It
//! reads, and writes nothing but the catalog's cache; it needs no key.
//!
//! Rules, each with its test in `status/judge.rs`:
//!
//! - Only backups and receipts of writers that are trusted here count.
//! - A backup of the future tells no age: one of the clocks is wrong.
//! - A backup whose own last drill failed, for another reason than the objectives, cannot be restored.
//! - What was proven stays proven when the backup is pruned: the receipt says it.

use jiff::Timestamp;
use resguardo_model::receipt::Verb;
use resguardo_model::{
    BackupId, Concern, EngineKind, Finding, Measure, Objectives, SourceName, Standing, Verdict,
    What,
};
use serde::{Deserialize, Serialize};

use crate::catalog::RunRow;
use crate::context::Context;
use crate::error::OpsError;
use crate::exception::{self, Exception};
use crate::run::described;

mod alarm;
mod facts;
mod forecast;
mod gather;
mod judge;
mod listing;
#[cfg(test)]
pub(crate) mod made;
mod pace;
mod seen;

pub(crate) use facts::{BackupFact, DrillFact, Facts, Stated};
pub(crate) use gather::known_of;
pub(crate) use pace::Pace;
pub(crate) use seen::{Seen, SourceHeads, Sources, Stale};

/// What the config says of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// The source.
    pub source: SourceName,
    /// The kind of source.
    pub engine: EngineKind,
    /// Its environment.
    pub environment: String,
    /// What the environment promises.
    pub objectives: Objectives,
    /// When backups are due; `None`: by no schedule.
    pub backup: Option<Timing>,
    /// When drills are due; `None`: by no schedule.
    pub drill: Option<Timing>,
    /// What is being tried again, and since when: of runs that failed since then the last word is not spoken.
    pub retried: Vec<(Verb, Timestamp)>,
    /// The copies that are to hold its backups.
    pub copies: Vec<WatchedCopy>,
}

/// When something is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// The newest time that has come.
    pub last_due: Option<Timestamp>,
    /// The one after.
    pub next: Option<Timestamp>,
}

/// A copy that is to hold a source's backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedCopy {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub place: String,
}

/// How everything stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// When that was.
    pub at: Timestamp,
    /// Worst first.
    pub sources: Vec<SourceStatus>,
    /// Those that nobody has resolved, oldest first.
    pub exceptions: Vec<Exception>,
    /// What is wrong with the heads in the vault.
    pub findings: Vec<Finding>,
    /// Why the vault could not be asked, in a line: what is told of sources is what was known of it last.
    pub unreachable: Option<String>,
}

/// How one source stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceStatus {
    /// The source.
    pub source: SourceName,
    /// The kind of source.
    pub engine: EngineKind,
    /// Its environment.
    pub environment: String,
    /// The worst of everything below.
    pub standing: Standing,
    /// Why it is no better, the worst first; empty where it is [`Standing::Ok`].
    pub concerns: Vec<Concern>,
    /// The age, now, of the newest backup that could be restored.
    pub rpo: Measure,
    /// The instant whose data that backup holds.
    pub restorable_at: Option<Timestamp>,
    /// From the start of a restore to the end of its checks, as a drill measured it last.
    pub rto: Measure,
    /// The last drill that passed.
    pub proven: Option<Proven>,
    /// The last drill.
    pub last_drill: Option<LastDrill>,
    /// The newest backup of a trusted writer.
    pub last_backup: Option<LastBackup>,
    /// The newest run that the catalog knows, and what became of it.
    pub last_run: Option<RunRow>,
    /// How many backups of trusted writers there are.
    pub backups: u64,
    /// How many there are of others, which nothing restores.
    pub untrusted: u64,
    /// Size of what the newest of them restores, in bytes.
    pub raw_bytes: u64,
    /// What all of them take in the vault, in bytes.
    pub stored_bytes: u64,
    /// The copies that are configured.
    pub copies: Vec<CopyStanding>,
    /// When the next backup is due.
    pub next_backup: Option<Timestamp>,
    /// When the next drill is due.
    pub next_drill: Option<Timestamp>,
    /// What should have been done by now and was not.
    pub overdue: Vec<Verb>,
    /// How many exceptions are open.
    pub exceptions: u64,
    /// When the drill will take longer than the RTO, if it goes on as it did.
    pub forecast: Option<Forecast>,
    /// What somebody has to look at as it is now; one of each kind at most.
    /// [`exception::assess`] makes exceptions of them.
    pub alarms: Vec<What>,
    /// What is running or tried again: a run of it that failed before is not made good, and one that failed
    /// just now wakes nobody yet.
    #[serde(skip)]
    pub undecided: Vec<Verb>,
}

/// A drill that passed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proven {
    /// When it ended.
    pub at: Timestamp,
    /// The backup, which may be pruned by now.
    pub backup: BackupId,
    /// The instant whose data it proved.
    pub backup_taken_at: Option<Timestamp>,
    /// From the start of the restore to the end of the checks, in seconds.
    pub rto_seconds: Option<f64>,
    /// Key of its receipt in the vault.
    pub receipt: String,
}

/// A drill, however it ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LastDrill {
    /// When it ended.
    pub at: Timestamp,
    /// How.
    pub verdict: Verdict,
    /// The backup.
    pub backup: BackupId,
    /// From the start of the restore to the end of the checks, in seconds, if it got that far.
    pub rto_seconds: Option<f64>,
    /// Nothing but an objective was missed: the data came back.
    pub only_objectives: bool,
    /// Key of its receipt in the vault.
    pub receipt: String,
}

/// A backup in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LastBackup {
    /// Its id.
    pub id: BackupId,
    /// The instant whose data it holds.
    pub taken_at: Timestamp,
    /// When it was committed.
    pub finished_at: Timestamp,
    /// Size of the data that it restores, in bytes.
    pub raw_bytes: u64,
    /// Bytes that it added to the vault.
    pub stored_bytes: u64,
    /// From the start of the run to its end, in seconds.
    pub seconds: f64,
}

/// A copy, by receipts alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopyStanding {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub place: String,
    /// Backups that it lacks.
    pub behind: u64,
    /// The instant of the newest backup that it holds.
    pub newest_there: Option<Timestamp>,
    /// When it was last seen whole or filled.
    pub synced_at: Option<Timestamp>,
    /// It lacks backups for longer than it may take to send them.
    pub is_late: bool,
}

/// When a drill will take longer than the RTO allows, if it goes on as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// Most likely; may lie before now.
    pub crosses_at: Timestamp,
    /// Hardly before.
    pub earliest: Timestamp,
    /// Hardly after; `None`: it may be that it never does.
    pub latest: Option<Timestamp>,
}

/// Looks how the watched sources stand. A vault that cannot be reached is an answer: what was known of it
/// last is told, with [`Status::unreachable`].
///
/// # Errors
/// [`OpsError::NoVault`]; [`OpsError::Catalog`].
pub fn look(ctx: &Context, watched: &[Watched]) -> Result<Status, OpsError> {
    let now = ctx.clock.now();
    ctx.vault()?;
    let (facts, findings, unreachable) = match gather::gather(ctx, watched) {
        Ok((facts, findings)) => (facts, findings, None),
        Err(error @ OpsError::Vault { .. }) => (
            gather::known(ctx, watched)?,
            Vec::new(),
            Some(described(&error)),
        ),
        Err(error) => return Err(error),
    };
    let exceptions = exception::open(ctx)?;
    let nothing = Facts::default();
    let mut sources = Vec::with_capacity(watched.len());
    for one in watched {
        let facts = facts.get(&one.source).unwrap_or(&nothing);
        let open = exceptions.iter().filter(|open| open.source == one.source);
        let open = open.count() as u64;
        let runs = ctx.catalog.last_runs(&one.source)?;
        sources.push(judge::judge(one, facts, &runs, open, now));
    }
    sources.sort_by(|a, b| {
        (b.standing, b.exceptions > 0, &a.source).cmp(&(a.standing, a.exceptions > 0, &b.source))
    });
    Ok(Status {
        at: now,
        sources,
        exceptions,
        findings,
        unreachable,
    })
}
