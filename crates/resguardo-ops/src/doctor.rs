//! `doctor`: what is not as it should be, each with the command that mends it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use resguardo_model::duration::Span;
use resguardo_model::receipt::Verb;
use resguardo_model::size::ByteSize;
use resguardo_model::{Diagnosis, EngineKind, Severity};
use resguardo_vault::{StoredHead, Vault};

use crate::catalog::RunState;
use crate::context::Context;
use crate::drill::length;
use crate::error::OpsError;
use crate::run::described;
use crate::source::SourceSpec;
use crate::suspect::{self, Suspicion};
use crate::{access, another, history, keys, list, recover, sandbox};

/// What `doctor` is given beyond the context.
#[derive(Clone, Debug)]
pub struct DoctorRequest<'a> {
    /// Every source that is configured.
    pub sources: &'a [SourceSpec],
    /// The vault's local cache.
    pub cache: PathBuf,
    /// How far the store's clock is ahead of ours, in milliseconds, as the store's probe saw it.
    pub clock_ahead_milliseconds: Option<i64>,
}

/// A clock that is off by more than this makes backups look older or newer than they are.
const CLOCK_WARNING_MILLISECONDS: u64 = 30_000;
/// Beyond this, stores refuse requests and leases lapse at the wrong time.
const CLOCK_PROBLEM_MILLISECONDS: u64 = 300_000;
/// Below this, any run may fail for want of space.
const FREE_BYTES_MIN: u64 = 100_000_000;
/// Runs that are looked at, of all vaults together.
const RUNS_MAX: u32 = 1000;

/// Looks at the vault, the keys, the clock, disk space, the sources and the runs. The store itself is
/// probed by whoever opened it.
#[must_use]
pub fn doctor(ctx: &Context, request: &DoctorRequest<'_>) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    let newest = match &ctx.vault {
        Some(vault) => {
            own_keys(vault, &mut found);
            heads(ctx, vault, &mut found)
        }
        None => {
            let next = "set one up with `resguardo init`";
            found.push(problem("vault", "no vault is configured", next));
            Vec::new()
        }
    };
    clock(ctx, request.clock_ahead_milliseconds, &newest, &mut found);
    space(ctx, request, &newest, &mut found);
    for folders in sandbox::kept(&ctx.state) {
        let paths: Vec<String> = folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        found.push(warning(
            "sandboxes",
            &format!("one was kept to be looked at: {}", paths.join(" and ")),
            &format!(
                "stop the server if you started it (pg_ctl stop -D DATA), then remove it: rm -r {}",
                paths.join(" ")
            ),
        ));
    }
    for note in ctx.catalog.notes() {
        let next = "fill it again with `resguardo catalog rebuild`";
        found.push(warning("catalog", note, next));
    }
    for source in request.sources {
        match ctx.engines.get(source.engine) {
            Ok(engine) => {
                let subject = format!("source {}", source.name);
                found.extend(engine.probe(&subject, &source.location));
            }
            Err(error) => {
                let next = error.hint().unwrap_or_default();
                found.push(problem(
                    &format!("source {}", source.name),
                    &error.to_string(),
                    &next,
                ));
            }
        }
    }
    if ctx.vault.is_some() {
        freshness(ctx, request.sources, &newest, &mut found);
        access::diagnose(ctx, &mut found);
        found.extend(keys::diagnose_rehearsals(ctx));
    }
    runs(ctx, &mut found);
    suspects(ctx, request.sources, &mut found);
    found
}

fn problem(subject: &str, message: &str, next: &str) -> Diagnosis {
    Diagnosis::not_ok(Severity::Problem, subject, message, next)
}

fn warning(subject: &str, message: &str, next: &str) -> Diagnosis {
    Diagnosis::not_ok(Severity::Warning, subject, message, next)
}

fn own_keys(vault: &Vault, found: &mut Vec<Diagnosis>) {
    let place = vault.store().describe();
    found.push(Diagnosis::ok(
        "vault",
        format!("vault {} at {place}", vault.id()),
    ));
    found.push(match vault.writer() {
        Some(writer) => Diagnosis::ok("write key", format!("this host signs as {writer}")),
        None => warning(
            "write key",
            "there is none here: this host takes no backups and signs no receipts",
            "make one with `resguardo init --write-only --recipient age1...`",
        ),
    });
    if !vault.can_read() {
        found.push(warning(
            "identity",
            "there is none here: this host can neither restore nor drill",
            "name its file with --identity FILE where backups are to be read",
        ));
    }
}

/// The newest head of each source. Also tries the identity on the newest of all.
fn heads(ctx: &Context, vault: &Vault, found: &mut Vec<Diagnosis>) -> Vec<StoredHead> {
    let heads = match history::heads(ctx, None) {
        Ok(heads) => heads,
        Err(error) => {
            let next = error.hint().unwrap_or_default();
            found.push(problem("vault", &described(&error), &next));
            return Vec::new();
        }
    };
    for finding in &heads.findings {
        let next = "see which backups it hits with `resguardo verify --all`";
        found.push(problem("vault", &finding.message, next));
    }
    let mut newest: Vec<StoredHead> = Vec::new();
    for stored in heads.heads.into_iter().filter(|stored| stored.trusted) {
        match newest
            .iter_mut()
            .find(|known| known.head.source == stored.head.source)
        {
            Some(known) if known.head.taken_at <= stored.head.taken_at => *known = stored,
            Some(_) => {}
            None => newest.push(stored),
        }
    }
    let last = newest.iter().max_by_key(|stored| stored.head.taken_at);
    if let Some(stored) = last.filter(|_| vault.can_read()) {
        found.push(match vault.open_snapshot(stored) {
            Ok(_) => {
                let backup = stored.head.backup;
                Diagnosis::ok("identity", format!("it opens the newest backup, {backup}"))
            }
            Err(error) => {
                let error = OpsError::vault("opening the newest backup")(error);
                problem(
                    "identity",
                    &described(&error),
                    &error.hint().unwrap_or_default(),
                )
            }
        });
    }
    newest
}

fn clock(
    ctx: &Context,
    ahead_milliseconds: Option<i64>,
    newest: &[StoredHead],
    found: &mut Vec<Diagnosis>,
) {
    let next = "set this machine's clock, best with NTP";
    if let Some(ahead) = ahead_milliseconds {
        let message = format!("the store's clock is {ahead} ms ahead of ours");
        found.push(match ahead.unsigned_abs() {
            0..CLOCK_WARNING_MILLISECONDS => Diagnosis::ok("clock", message),
            CLOCK_WARNING_MILLISECONDS..CLOCK_PROBLEM_MILLISECONDS => {
                warning("clock", &message, next)
            }
            _ => problem("clock", &message, next),
        });
    }
    let now = ctx.clock.now();
    for stored in newest.iter().filter(|stored| stored.head.taken_at > now) {
        let (source, at) = (&stored.head.source, stored.head.taken_at);
        let at = ctx.moment(at);
        let message = format!("the newest backup of {source} is of {at}, which is in the future");
        found.push(warning("clock", &message, next));
    }
}

/// A sandbox holds a whole database; caches and the catalog hold little.
fn space(
    ctx: &Context,
    request: &DoctorRequest<'_>,
    newest: &[StoredHead],
    found: &mut Vec<Diagnosis>,
) {
    let largest = newest
        .iter()
        .map(|stored| stored.head.raw_bytes)
        .max()
        .unwrap_or(0);
    // Throwaway servers refuse root, and lie where another user can reach them.
    let apart = rustix::process::geteuid().is_root()
        && request
            .sources
            .iter()
            .any(|source| source.engine == EngineKind::Postgres);
    for (subject, folder, wanted) in [
        (
            "space for sandboxes",
            if apart { &ctx.annexes } else { &ctx.state },
            largest.max(FREE_BYTES_MIN),
        ),
        ("space for the cache", &request.cache, FREE_BYTES_MIN),
    ] {
        let next = format!("make space on the file system of {}", folder.display());
        found.push(match free_bytes(folder) {
            Ok(free) if free >= wanted => {
                let at = folder.display();
                Diagnosis::ok(subject, format!("{} free at {at}", ByteSize(free)))
            }
            Ok(free) => {
                let (free, wanted) = (ByteSize(free), ByteSize(wanted));
                problem(subject, &format!("{free} free, {wanted} are needed"), &next)
            }
            Err(error) => {
                let message = format!("{} cannot be looked at: {error}", folder.display());
                warning(subject, &message, &next)
            }
        });
    }
}

/// Free bytes for us where `folder` is, or will be.
fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let there = folder.ancestors().find(|ancestor| ancestor.exists());
    let stat = rustix::fs::statvfs(there.unwrap_or(Path::new("/")))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// How old the newest backup of each source is, and the newest that is proven.
fn freshness(
    ctx: &Context,
    sources: &[SourceSpec],
    newest: &[StoredHead],
    found: &mut Vec<Diagnosis>,
) {
    let now = ctx.clock.now();
    let listed = match list::list(ctx, None) {
        Ok(listed) => listed.backups,
        Err(error) => {
            found.push(problem(
                "receipts",
                &described(&error),
                &error.hint().unwrap_or_default(),
            ));
            return;
        }
    };
    for source in sources {
        let name = &source.name;
        let subject = format!("backups of {name}");
        let Some(last) = newest.iter().find(|stored| stored.head.source == *name) else {
            let next = format!("take one with `resguardo backup {name}`");
            found.push(warning(&subject, "there is none yet", &next));
            continue;
        };
        match another::of_newest(ctx, name) {
            Ok(None) => {}
            Ok(Some((message, next))) => found.push(warning(&subject, &message, &next)),
            Err(error) => found.push(warning(&subject, &described(&error), "")),
        }
        let age = seconds_between(last.head.taken_at, now);
        let message = format!("the newest is {} old", length(age));
        found.push(match source.objectives.rpo {
            Some(rpo) if age > seconds(rpo) => {
                let next = format!("take one with `resguardo backup {name}`");
                problem(&subject, &format!("{message}, the RPO is {rpo}"), &next)
            }
            _ => Diagnosis::ok(&subject, message),
        });
        let proven = listed
            .iter()
            .filter(|backup| backup.source == *name)
            .filter_map(|backup| backup.proven_at)
            .max();
        let subject = format!("proof of {name}");
        found.push(match proven {
            Some(at) => {
                let age = length(seconds_between(at, now));
                Diagnosis::ok(subject, format!("a backup was last proven {age} ago"))
            }
            None => {
                let next = format!("prove one with `resguardo drill {name}`");
                warning(&subject, "no backup was ever proven", &next)
            }
        });
    }
}

#[expect(clippy::cast_precision_loss, reason = "an age for people")]
fn seconds_between(earlier: Timestamp, later: Timestamp) -> f64 {
    later.duration_since(earlier).as_secs() as f64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "objectives are far below 2^52 seconds"
)]
fn seconds(span: Span) -> f64 {
    span.seconds() as f64
}

/// Sources into which a restore did not end well: a backup of them would be one of half the data.
fn suspects(ctx: &Context, sources: &[SourceSpec], found: &mut Vec<Diagnosis>) {
    for source in sources {
        // A catalog that cannot be read was told already.
        if let Ok(Some(suspicion)) = suspect::suspicion(ctx, &source.name) {
            found.push(problem(
                &format!("data of {}", source.name),
                &suspicion.message(ctx),
                &Suspicion::next(&source.name),
            ));
        }
    }
}

/// Runs of this vault that died or failed, now or at an earlier look, and that nobody has mended by a run
/// since. All projects of a user share one catalog.
fn runs(ctx: &Context, found: &mut Vec<Diagnosis>) {
    if let Err(error) = recover::sweep(ctx) {
        found.push(problem("runs", &described(&error), ""));
        return;
    }
    let rows = match ctx.catalog.runs(RUNS_MAX) {
        Ok(rows) => rows,
        Err(error) => {
            let error = OpsError::from(error);
            found.push(problem(
                "catalog",
                &described(&error),
                &error.hint().unwrap_or_default(),
            ));
            return;
        }
    };
    // The newest run of each verb and source is the one that counts.
    let mut seen = HashSet::new();
    let mut ailing = 0;
    let vault = ctx.vault.as_ref().map(|vault| vault.id());
    for row in rows.iter().filter(|row| row.vault == vault) {
        // Without a source it never began: a name was mistyped. Nothing is there to be repeated.
        if row.source.is_none() && row.state == RunState::Failed {
            continue;
        }
        if row.state == RunState::Running || !seen.insert((row.verb, row.source.clone())) {
            continue;
        }
        // A restore that was refused, or a verification that found something, ails nothing by itself.
        let repeats = matches!(row.verb, Verb::Backup | Verb::Drill | Verb::Prune);
        if row.state == RunState::Died || row.state == RunState::Failed && repeats {
            ailing += 1;
            let of = row
                .source
                .as_ref()
                .map(|source| format!(" {source}"))
                .unwrap_or_default();
            let verb = row.verb.word();
            let message = format!(
                "the last {verb}{of} of {} {}: {}",
                ctx.moment(row.started_at),
                row.state.as_str(),
                row.message
            );
            found.push(warning(
                "runs",
                &message,
                &format!("run `resguardo {verb}{of}` again"),
            ));
        }
    }
    if ailing == 0 {
        found.push(Diagnosis::ok(
            "runs",
            "no run died or failed since the last good one",
        ));
    }
}
