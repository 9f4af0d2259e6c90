//! When a copy was last read as a whole, and what was found wrong there and not put right since: by receipts.

use jiff::Timestamp;
use resguardo_model::receipt::{Predicate, Verb};
use resguardo_model::{BackupId, Diagnosis, Finding, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::Context;
use crate::error::OpsError;
use crate::history;

/// Findings of one receipt that are kept; all are in the receipt itself.
const FINDINGS_MAX: usize = 50;

/// What one receipt says of what was read at a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Looked {
    /// Every byte of all that the copy holds of the source.
    all_bytes: bool,
    findings: Vec<Finding>,
}

impl Looked {
    /// Of a verification at a copy, or of a synchronisation that read and mended everything there.
    pub(super) fn of(predicate: &Predicate) -> Option<Self> {
        let detail = |name: &str| predicate.details.get(name);
        let text = |name: &str| detail(name).and_then(Value::as_str);
        match predicate.verb {
            Verb::Verify => {
                let findings = detail("findings")?.clone();
                let mut findings: Vec<Finding> = serde_json::from_value(findings).ok()?;
                findings.truncate(FINDINGS_MAX);
                let is_deep = matches!(text("depth"), Some("digests" | "bytes"));
                Some(Self {
                    all_bytes: is_deep && matches!(text("scope"), Some("all" | "source")),
                    findings,
                })
            }
            // What it could not mend, the verification before it told.
            Verb::Copy => {
                let is_mended = detail("mend").and_then(Value::as_bool) == Some(true);
                (is_mended && predicate.outcome == "succeeded").then_some(Self {
                    all_bytes: true,
                    findings: Vec::new(),
                })
            }
            _ => None,
        }
    }
}

/// What is known of the bytes of one source at one copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// When every byte that it holds of the source was last compared with its digest.
    pub at: Option<Timestamp>,
    /// What was found wrong there, and was not put right since.
    pub findings: Vec<Finding>,
    /// When the newest of them was found.
    pub found_at: Option<Timestamp>,
}

impl Verified {
    /// What a later receipt says.
    pub(super) fn add(&mut self, at: Timestamp, looked: &Looked) {
        // Who looked at less, or less closely, says nothing of the rest.
        if looked.all_bytes {
            self.at = Some(at);
            self.findings.clear();
        }
        for finding in &looked.findings {
            let same =
                |old: &&mut Finding| old.object == finding.object && old.kind == finding.kind;
            match self.findings.iter_mut().find(same) {
                Some(old) => old.clone_from(finding),
                None => self.findings.push(finding.clone()),
            }
        }
        if !looked.findings.is_empty() {
            self.found_at = Some(at);
        }
    }

    /// Whether something that was found hits a backup.
    pub(crate) fn hits(&self, backup: BackupId) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.backups_hit.contains(&backup))
    }
}

/// What `doctor` says of the bytes at the copy called `name`, by receipts alone: the copy is not asked.
///
/// # Errors
/// If the vault cannot be read.
pub fn diagnose_verified(
    ctx: &Context,
    name: &str,
    place: &str,
) -> Result<Vec<Diagnosis>, OpsError> {
    let heads = history::heads(ctx, None)?.heads;
    let sources = history::sources_of(&heads);
    let known = history::copies(ctx, &sources)?;
    let mut found = Vec::new();
    for source in &sources {
        let Some(verified) = known.verified_at(source, place) else {
            continue;
        };
        let subject = format!("copy {name}");
        let Some(finding) = verified.findings.first() else {
            found.extend(verified.at.map(|at| {
                let message = format!(
                    "every byte of {source} was read there on {}",
                    ctx.moment(at)
                );
                Diagnosis::ok(subject, message)
            }));
            continue;
        };
        let at = ctx.moment(verified.found_at.unwrap_or_default());
        let others = match verified.findings.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        found.push(Diagnosis::not_ok(
            Severity::Problem,
            subject,
            format!(
                "what was found there on {at} was not put right yet: {}{others}",
                finding.message
            ),
            format!("send again what the vault has whole with `resguardo copy sync {name} --mend`"),
        ));
    }
    Ok(found)
}
