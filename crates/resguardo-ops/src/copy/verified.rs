//! When a copy was last read as a whole, and what was found wrong there and not put right since: by receipts.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use resguardo_model::receipt::{Predicate, Verb};
use resguardo_model::{BackupId, Diagnosis, Finding, FindingKind, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::remedy::{advice, remedies};
use crate::context::Context;
use crate::error::OpsError;
use crate::history;

/// Findings of one receipt whose words are kept; of the others, the object and the backups that they hit.
const MESSAGES_MAX: usize = 50;

/// What one receipt says of what was read at a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Looked {
    /// Every byte of all that the copy holds of the source.
    all_bytes: bool,
    /// A mend that came to its end, but for these backups, which the vault does not have or does not believe:
    /// nothing of theirs was read.
    #[serde(default)]
    mended_but: Option<BTreeSet<BackupId>>,
    findings: Vec<Finding>,
}

impl Looked {
    /// Of a verification at a copy, or of a synchronisation that read and mended everything there.
    pub(super) fn of(predicate: &Predicate) -> Option<Self> {
        Self::told(predicate.verb, &predicate.outcome, &predicate.details)
    }

    fn told(verb: Verb, outcome: &str, details: &BTreeMap<String, Value>) -> Option<Self> {
        let detail = |name: &str| details.get(name);
        let text = |name: &str| detail(name).and_then(Value::as_str);
        let findings = || serde_json::from_value::<Vec<Finding>>(detail("findings")?.clone()).ok();
        match verb {
            Verb::Verify => {
                let mut findings = findings()?;
                for finding in findings.iter_mut().skip(MESSAGES_MAX) {
                    finding.message.clone_from(&finding.object);
                }
                let is_deep = matches!(text("depth"), Some("digests" | "bytes"));
                Some(Self {
                    all_bytes: is_deep && matches!(text("scope"), Some("all" | "source")),
                    mended_but: None,
                    findings,
                })
            }
            // What it could not mend, the verification before it told.
            Verb::Copy => {
                let is_mended = detail("mend").and_then(Value::as_bool) == Some(true);
                if !is_mended || outcome != "succeeded" {
                    return None;
                }
                let only_there = detail("only_there")?.clone();
                let mut unread: BTreeSet<BackupId> = serde_json::from_value(only_there).ok()?;
                let strange = findings()?.into_iter().filter(|finding| {
                    matches!(
                        finding.kind,
                        FindingKind::WriterUnknown | FindingKind::WriterRetired
                    )
                });
                unread.extend(strange.flat_map(|finding| finding.backups_hit));
                Some(Self {
                    all_bytes: unread.is_empty(),
                    mended_but: Some(unread),
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
        if let Some(unread) = &looked.mended_but {
            // Of what hits no backup, nobody knows whose it is.
            let is_unread = |id: &BackupId| unread.contains(id);
            self.findings.retain(|finding| {
                let hit = &finding.backups_hit;
                hit.is_empty() || hit.iter().any(is_unread)
            });
        }
        let of = |finding: &Finding| (finding.object.clone(), finding.kind);
        let known = self.findings.iter().enumerate();
        let mut known: HashMap<_, usize> = known.map(|(at, old)| (of(old), at)).collect();
        for finding in &looked.findings {
            match known.entry(of(finding)) {
                Entry::Occupied(at) => self.findings[*at.get()].clone_from(finding),
                Entry::Vacant(place) => {
                    place.insert(self.findings.len());
                    self.findings.push(finding.clone());
                }
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

/// What can be done about findings at the copy called `name`: a mend brings nothing of backups that the copy alone
/// has.
///
/// # Errors
/// If the vault cannot be read.
pub fn mending(ctx: &Context, name: &str, findings: &[Finding]) -> Result<String, OpsError> {
    let heads = history::heads(ctx, None)?.heads;
    Ok(advice(&remedies(name, findings, &heads)))
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
            advice(&remedies(name, &verified.findings, &heads)),
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(number: usize) -> Finding {
        Finding {
            kind: FindingKind::PackDamaged,
            source: None,
            object: format!("shop/packs/{number}"),
            message: format!("shop/packs/{number}: it is damaged"),
            backups_hit: vec![format!("{number:0>26}").parse().unwrap()],
        }
    }

    #[test]
    fn every_backup_that_is_hit_is_known_however_many_there_are() {
        let findings: Vec<Finding> = (0..200).map(finding).collect();
        let details = BTreeMap::from([
            ("depth".to_owned(), Value::from("digests")),
            ("scope".to_owned(), Value::from("all")),
            (
                "findings".to_owned(),
                serde_json::to_value(&findings).unwrap(),
            ),
        ]);
        let looked = Looked::told(Verb::Verify, "succeeded", &details).unwrap();
        let mut verified = Verified::default();
        for _ in 0..2 {
            verified.add(Timestamp::UNIX_EPOCH, &looked);
            assert_eq!(verified.findings.len(), 200);
        }
        for finding in &findings {
            assert!(verified.hits(finding.backups_hit[0]), "{finding:?}");
        }
        assert_eq!(verified.findings[49].message, findings[49].message);
        assert_eq!(verified.findings[50].message, findings[50].object);
    }
}
