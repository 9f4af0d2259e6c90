//! How everything stands, for Prometheus: OpenMetrics text, made of a [`Status`] and nothing else.
//!
//! Every name begins with `resguardo_`. Ages are not told: times are, so that an age grows while nobody looks,
//! and a file that is written no more alarms by itself. What is not known has no line.

use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use resguardo_model::receipt::Verb;
use resguardo_model::{ExceptionKind, Standing, Verdict};
use resguardo_ops::catalog::RunState;
use resguardo_ops::status::{SourceStatus, Status};

/// What an answer of this text is called.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Family64 = Family<Labels, Gauge<f64, AtomicU64>>;

/// A name, its help, and how it is taken of a source; `None`: there is no line.
type OfSource = (&'static str, &'static str, fn(&SourceStatus) -> Option<f64>);

/// One line a source.
const OF_SOURCES: [OfSource; 25] = [
    (
        "resguardo_backup_last_success_timestamp_seconds",
        "When the newest backup was committed",
        |one| one.last_backup.as_ref().map(|one| seconds(one.finished_at)),
    ),
    (
        "resguardo_restorable_timestamp_seconds",
        "The instant whose data could be restored now",
        |one| one.restorable_at.map(seconds),
    ),
    (
        "resguardo_rpo_seconds",
        "Age of what could be restored, at the time of the look",
        |one| one.rpo.seconds,
    ),
    (
        "resguardo_rpo_target_seconds",
        "The RPO that was promised",
        |one| one.rpo.target_seconds.map(whole),
    ),
    (
        "resguardo_rto_seconds",
        "From the start of a restore to the end of its checks, as a drill measured it last",
        |one| one.rto.seconds,
    ),
    (
        "resguardo_rto_target_seconds",
        "The RTO that was promised",
        |one| one.rto.target_seconds.map(whole),
    ),
    (
        "resguardo_proven_timestamp_seconds",
        "When a drill last passed; no line: never",
        |one| one.proven.as_ref().map(|one| seconds(one.at)),
    ),
    ("resguardo_proven", "1 if a drill ever passed", |one| {
        Some(flag(one.proven.is_some()))
    }),
    (
        "resguardo_drill_last_timestamp_seconds",
        "When the last drill ended",
        |one| one.last_drill.as_ref().map(|one| seconds(one.at)),
    ),
    (
        "resguardo_drill_last_passed",
        "1 if the last drill passed",
        |one| {
            let last = one.last_drill.as_ref();
            last.map(|last| flag(last.verdict == Verdict::Passed))
        },
    ),
    ("resguardo_backups", "Backups of trusted writers", |one| {
        Some(whole(one.backups))
    }),
    (
        "resguardo_backups_untrusted",
        "Backups of writers that are not trusted here",
        |one| Some(whole(one.untrusted)),
    ),
    (
        "resguardo_raw_bytes",
        "Size of what the newest backup restores",
        |one| Some(whole(one.raw_bytes)),
    ),
    (
        "resguardo_stored_bytes",
        "What all backups take in the vault",
        |one| Some(whole(one.stored_bytes)),
    ),
    (
        "resguardo_backup_last_duration_seconds",
        "How long the newest backup took",
        |one| one.last_backup.as_ref().map(|one| one.seconds),
    ),
    (
        "resguardo_backup_last_stored_bytes",
        "What the newest backup added to the vault",
        |one| {
            let last = one.last_backup.as_ref();
            last.map(|last| whole(last.stored_bytes))
        },
    ),
    (
        "resguardo_run_last_timestamp_seconds",
        "When the newest run began that this machine knows",
        |one| one.last_run.as_ref().map(|run| seconds(run.started_at)),
    ),
    (
        "resguardo_run_last_duration_seconds",
        "How long the newest run took that this machine knows; no line: it runs",
        |one| {
            let run = one.last_run.as_ref()?;
            let took = run.finished_at?.duration_since(run.started_at);
            Some(took.as_secs_f64().max(0.0))
        },
    ),
    (
        "resguardo_run_last_ok",
        "0 if the newest run failed or died that this machine knows",
        |one| {
            let run = one.last_run.as_ref()?;
            let failed = matches!(run.state, RunState::Failed | RunState::Died);
            Some(flag(!failed))
        },
    ),
    (
        "resguardo_next_backup_timestamp_seconds",
        "When the next backup is due",
        |one| one.next_backup.map(seconds),
    ),
    (
        "resguardo_next_drill_timestamp_seconds",
        "When the next drill is due",
        |one| one.next_drill.map(seconds),
    ),
    (
        "resguardo_backup_overdue",
        "1 if a backup should have been taken by now",
        |one| Some(flag(one.overdue.contains(&Verb::Backup))),
    ),
    (
        "resguardo_drill_overdue",
        "1 if a drill should have been made by now",
        |one| Some(flag(one.overdue.contains(&Verb::Drill))),
    ),
    (
        "resguardo_exceptions_open",
        "Exceptions that nobody has resolved",
        |one| Some(whole(one.exceptions)),
    ),
    (
        "resguardo_rto_forecast_timestamp_seconds",
        "When drills will take longer than the RTO, if they go on as they did",
        |one| one.forecast.map(|forecast| seconds(forecast.crosses_at)),
    ),
];

/// The text.
#[must_use]
pub fn text(status: &Status, version: &str) -> String {
    let mut registry = Registry::default();
    whole_of(&mut registry, status, version);
    for (name, help, value) in OF_SOURCES {
        let family = family(&mut registry, name, help);
        for source in &status.sources {
            if let Some(value) = value(source) {
                set(&family, labels(source), value);
            }
        }
    }
    of_standings(&mut registry, status);
    of_copies(&mut registry, status);
    of_exceptions(&mut registry, status);
    let mut text = String::new();
    encode(&mut text, &registry).expect("writing to a text cannot fail");
    text
}

/// What is told of everything at once.
fn whole_of(registry: &mut Registry, status: &Status, version: &str) {
    let build = family(registry, "resguardo_build_info", "The version of Resguardo");
    set(&build, vec![("version", version.to_owned())], 1.0);
    for (name, help, value) in [
        (
            "resguardo_looked_timestamp_seconds",
            "When all of this was looked at",
            seconds(status.at),
        ),
        (
            "resguardo_vault_reachable",
            "1 if the vault could be asked; else everything is as it was known last",
            flag(status.unreachable.is_none()),
        ),
        (
            "resguardo_findings",
            "What is wrong with the heads in the vault",
            whole(status.findings.len() as u64),
        ),
    ] {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }
}

fn of_standings(registry: &mut Registry, status: &Status) {
    let standing = family(
        registry,
        "resguardo_standing",
        "1 at the standing that the source has: ok, at_risk, never_proven or breached",
    );
    let concern = family(
        registry,
        "resguardo_concern",
        "1 for each reason why the source stands no better",
    );
    for source in &status.sources {
        for one in Standing::ALL {
            let mut labels = labels(source);
            labels.push(("standing", one.word().to_owned()));
            set(&standing, labels, flag(source.standing == one));
        }
        for one in &source.concerns {
            let mut labels = labels(source);
            labels.push(("concern", one.word().to_owned()));
            set(&concern, labels, 1.0);
        }
    }
}

fn of_copies(registry: &mut Registry, status: &Status) {
    let behind = family(
        registry,
        "resguardo_copy_behind_backups",
        "Backups that a copy lacks",
    );
    let newest = family(
        registry,
        "resguardo_copy_newest_timestamp_seconds",
        "The instant whose data the newest backup holds that a copy has",
    );
    let late = family(
        registry,
        "resguardo_copy_late",
        "1 if a copy lacks backups for longer than it takes to send them",
    );
    for source in &status.sources {
        for copy in &source.copies {
            let mut labels = labels(source);
            labels.push(("copy", copy.name.clone()));
            set(&behind, labels.clone(), whole(copy.behind));
            set(&late, labels.clone(), flag(copy.is_late));
            if let Some(at) = copy.newest_there {
                set(&newest, labels, seconds(at));
            }
        }
    }
}

fn of_exceptions(registry: &mut Registry, status: &Status) {
    let open = family(
        registry,
        "resguardo_exceptions_open_by_kind",
        "Exceptions of a kind that nobody has resolved, of all sources",
    );
    for kind in ExceptionKind::ALL {
        let of_kind = status.exceptions.iter().filter(|one| one.kind == kind);
        let labels = vec![("kind", kind.word().to_owned())];
        set(&open, labels, whole(of_kind.count() as u64));
    }
}

fn labels(source: &SourceStatus) -> Labels {
    vec![
        ("source", source.source.to_string()),
        ("engine", source.engine.to_string()),
        ("environment", source.environment.clone()),
    ]
}

fn family(registry: &mut Registry, name: &'static str, help: &'static str) -> Family64 {
    let family = Family64::default();
    registry.register(name, help, family.clone());
    family
}

fn set(family: &Family64, labels: Labels, value: f64) {
    family.get_or_create(&labels).set(value);
}

/// Seconds since 1970, with the part of a second.
fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and bytes far below 2^52, and a rounding error of a byte is none"
)]
fn whole(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
