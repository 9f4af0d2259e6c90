//! Opens what is new, and tells what got worse and what is good again.

use jiff::{SignedDuration, Timestamp};
use resguardo_model::{ExceptionKind, RunId, SourceName, What};

use super::{Change, Changed, Exception, sign};
use crate::context::Context;
use crate::error::OpsError;
use crate::status::{SourceStatus, Status};

/// How often it is written down that one still holds.
const SEEN_AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// Makes exceptions of what [`crate::status::look`] found to be wrong, and tells what changed. Asked again,
/// nothing changes; of several who ask at once, one is told. Each opening is signed into the vault; what
/// cannot be signed now is signed the next time.
///
/// While the vault cannot be reached, nobody knows whether others made good what is wrong here: only runs
/// that failed are looked at.
///
/// # Errors
/// [`OpsError::NoVault`], [`OpsError::Catalog`].
pub fn assess(ctx: &Context, status: &Status) -> Result<Vec<Change>, OpsError> {
    let vault = ctx.vault()?.id();
    let mut fresh = Vec::new();
    for source in &status.sources {
        for alarm in &source.alarms {
            fresh.push((source.source.clone(), alarm.kind(), ctx.new_run_id()?));
        }
    }
    let id_of = |source: &SourceName, kind: ExceptionKind| {
        let one = fresh.iter().find(|one| (&one.0, one.1) == (source, kind));
        one.map(|one| one.2)
    };
    let is_blind = status.unreachable.is_some();
    let changes = ctx.catalog.with_exceptions(vault, |exceptions| {
        let mut changes = Vec::new();
        for source in &status.sources {
            for kind in ExceptionKind::ALL {
                if is_blind && kind != ExceptionKind::RunFailed {
                    continue;
                }
                let before = exceptions.newest(&source.source, kind)?;
                if is_undecided(source, before.as_ref(), kind) {
                    continue;
                }
                let fresh = id_of(&source.source, kind);
                let Some((after, changed)) =
                    next(before, alarm_of(source, kind), status.at, || {
                        Some((source.source.clone(), fresh?))
                    })
                else {
                    continue;
                };
                exceptions.put(&after)?;
                changes.extend(changed.map(|what| Change {
                    exception: after,
                    what,
                }));
            }
        }
        Ok(changes)
    })?;
    sign::sign(ctx, vault)?;
    Ok(changes)
}

fn alarm_of(source: &SourceStatus, kind: ExceptionKind) -> Option<&What> {
    source.alarms.iter().find(|alarm| alarm.kind() == kind)
}

/// Whether nobody knows yet if what failed is good again: it runs, or is tried again.
fn is_undecided(source: &SourceStatus, before: Option<&Exception>, kind: ExceptionKind) -> bool {
    let Some(What::RunFailed { verb, .. }) = before.map(|before| &before.what) else {
        return false;
    };
    alarm_of(source, kind).is_none() && source.undecided.contains(verb)
}

/// What becomes of the newest exception of a source and kind; `None`: nothing.
fn next(
    before: Option<Exception>,
    alarm: Option<&What>,
    now: Timestamp,
    fresh: impl FnOnce() -> Option<(SourceName, RunId)>,
) -> Option<(Exception, Option<Changed>)> {
    match (before, alarm) {
        (None, None) => None,
        (Some(before), None) => {
            if before.good_at.is_some() {
                return None;
            }
            let is_open = before.resolved.is_none();
            let after = Exception {
                good_at: Some(now),
                ..before
            };
            Some((after, is_open.then_some(Changed::Good)))
        }
        (Some(before), Some(what)) if before.resolved.is_none() => again(before, what, now),
        (Some(before), Some(what)) if still_resolved(&before, what) => None,
        (_, Some(what)) => {
            let (source, id) = fresh()?;
            let opened = Exception {
                id,
                source,
                kind: what.kind(),
                what: what.clone(),
                times: 1,
                opened_at: now,
                seen_at: now,
                good_at: None,
                receipt: None,
                resolved: None,
            };
            Some((opened, Some(Changed::Opened)))
        }
    }
}

/// Resolved while it held, and it holds without having happened again.
fn still_resolved(before: &Exception, what: &What) -> bool {
    before.good_at.is_none() && before.what.occurrence() == what.occurrence()
}

/// One that is open holds.
fn again(before: Exception, what: &What, now: Timestamp) -> Option<(Exception, Option<Changed>)> {
    let was_good = before.good_at.is_some();
    let is_other = before.what.occurrence() != what.occurrence();
    let is_written = before.what == *what && now.duration_since(before.seen_at).abs() < SEEN_AGAIN;
    if !was_good && is_written {
        return None;
    }
    // A run that is tried again and again is one thing to look at, and what is overdue is so each day.
    let tells = matches!(
        what.kind(),
        ExceptionKind::DrillFailed | ExceptionKind::RtoBreached | ExceptionKind::VerifyFindings
    );
    let is_worse = was_good || is_other && tells;
    let after = Exception {
        what: what.clone(),
        times: before.times.saturating_add(u32::from(was_good || is_other)),
        seen_at: now,
        good_at: None,
        ..before
    };
    Some((after, is_worse.then_some(Changed::Worse)))
}

#[cfg(test)]
mod tests;
