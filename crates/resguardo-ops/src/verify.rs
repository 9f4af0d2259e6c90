//! `verify`: stored objects are checked against what their heads and names promise.

use std::collections::{BTreeMap, BTreeSet};

use resguardo_model::count::counted;
use resguardo_model::receipt::{Subject, Verb};
use resguardo_model::size::ByteSize;
use resguardo_model::{BackupId, Finding, Findings, RunId, SourceName};
pub use resguardo_vault::Depth;
use resguardo_vault::{Amount, Selection, StoredHead, Vault};

use crate::catalog::RunState;
use crate::context::Context;
use crate::error::OpsError;
use crate::receipt::{self, Record, value};
use crate::refer::{self, Reference};
use crate::run::OpenRun;
use crate::{history, recover};

/// What is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every backup of every source, and the receipts.
    All,
    /// One backup.
    Backup(Reference),
    /// Every backup of one source.
    Source(SourceName),
}

impl Scope {
    /// Its word in receipts.
    fn word(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Backup(_) => "backup",
            Self::Source(_) => "source",
        }
    }
}

/// What is asked of a verification.
#[derive(Clone, Debug)]
pub struct VerifyRequest {
    /// What is verified.
    pub scope: Scope,
    /// How deep: heads and presence (no key needed), structure, every byte.
    pub depth: Depth,
}

/// A verification that ran to its end, whatever it found.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyDone {
    /// The run.
    pub run: RunId,
    /// What was found.
    pub findings: Findings,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Objects that no backup needs, by source; none where everything is needed, or only one backup was looked at.
    pub orphans: Vec<(SourceName, Amount)>,
    /// Keys of the receipts in the vault, one for each source; none without a write key.
    pub receipts: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Verifies. Whatever is wrong with stored data is a finding, not an error.
///
/// # Errors
/// Only what keeps it from looking: no vault, no identity, an unreachable store, an interruption.
pub fn verify(ctx: &Context, request: &VerifyRequest) -> Result<VerifyDone, OpsError> {
    recover::sweep(ctx)?;
    let mut run = OpenRun::begin(ctx, Verb::Verify, None)?;
    match look(ctx, request, &mut run) {
        Ok(done) => {
            run.has_receipt(done.receipts.first().map(String::as_str));
            let (state, message) = match done.findings.findings.len() {
                0 => (RunState::Succeeded, String::new()),
                count => (RunState::Failed, format!("{count} findings")),
            };
            run.end(state, message);
            Ok(done)
        }
        Err(error) => {
            run.end_with(&error);
            Err(error)
        }
    }
}

fn look(
    ctx: &Context,
    request: &VerifyRequest,
    run: &mut OpenRun<'_>,
) -> Result<VerifyDone, OpsError> {
    let vault = ctx.vault()?;
    let selection = match &request.scope {
        Scope::All => Selection::All,
        Scope::Source(source) => {
            run.is_about(Some(source), None);
            Selection::Source(source.clone())
        }
        Scope::Backup(reference) => {
            let head = refer::resolve(ctx, reference)?.head;
            run.is_about(Some(&head.source), Some(head.backup));
            Selection::Backups(vec![head.backup])
        }
    };
    ctx.progress.phase("verify");
    let findings = vault
        .verify(&selection, request.depth, &ctx.cancel, &*ctx.progress)
        .map_err(OpsError::vault("verifying the vault"))?;
    let mut done = VerifyDone {
        run: run.id(),
        findings,
        orphans: Vec::new(),
        seconds: run.seconds(),
        receipts: Vec::new(),
        notes: Vec::new(),
    };
    let heads = history::heads(ctx, None)?.heads;
    for source in sources_of(&heads, &selection) {
        if !matches!(selection, Selection::Backups(_)) {
            orphans_of(vault, source, &heads, &mut done)?;
        }
        let key = state_for(ctx, request, run, &heads, source, &mut done);
        done.receipts.extend(key);
    }
    Ok(done)
}

/// What no head names takes space, and nothing else: it is a note. A prune deletes it, or a backup is under way.
fn orphans_of(
    vault: &Vault,
    source: &SourceName,
    heads: &[StoredHead],
    done: &mut VerifyDone,
) -> Result<(), OpsError> {
    // What a head names that cannot be read looks dead, and is not.
    let mut findings = done.findings.findings.iter();
    if findings.any(|finding| {
        finding.source.as_ref() == Some(source) && finding.object.ends_with(".head.json")
    }) {
        return Ok(());
    }
    let dead = vault
        .dead_beside(source, heads, &[])
        .map_err(OpsError::vault(format!(
            "looking for dead objects of {source}"
        )))?
        .dead;
    if dead.objects > 0 {
        done.notes.push(format!(
            "{source}: {} in {} are needed by no backup, unless one is being taken now; `resguardo prune` deletes them after its grace",
            ByteSize(dead.bytes),
            counted(dead.objects, "object"),
        ));
        done.orphans.push((source.clone(), dead));
    }
    Ok(())
}

fn includes(selection: &Selection, stored: &StoredHead) -> bool {
    match selection {
        Selection::All => true,
        Selection::Source(source) => stored.head.source == *source,
        Selection::Backups(backups) => backups.contains(&stored.head.backup),
    }
}

fn sources_of<'a>(heads: &'a [StoredHead], selection: &Selection) -> BTreeSet<&'a SourceName> {
    let chosen = heads.iter().filter(|stored| includes(selection, stored));
    chosen.map(|stored| &stored.head.source).collect()
}

/// The receipt of one source: what of it was looked at, and what is wrong with it.
fn state_for(
    ctx: &Context,
    request: &VerifyRequest,
    run: &OpenRun<'_>,
    heads: &[StoredHead],
    source: &SourceName,
    done: &mut VerifyDone,
) -> Option<String> {
    let of_source: Vec<&StoredHead> = heads
        .iter()
        .filter(|stored| stored.head.source == *source)
        .collect();
    let is_of_source =
        |backup: &BackupId| of_source.iter().any(|stored| stored.head.backup == *backup);
    let whole: Vec<&BackupId> = done
        .findings
        .whole
        .iter()
        .filter(|id| is_of_source(id))
        .collect();
    let wrong: Vec<&Finding> = done
        .findings
        .findings
        .iter()
        .filter(|finding| finding.source.as_ref().is_none_or(|named| named == source))
        .collect();
    let hit: BTreeSet<&BackupId> = wrong
        .iter()
        .flat_map(|finding| &finding.backups_hit)
        .filter(|id| is_of_source(id))
        .collect();
    let subject: Vec<Subject> = of_source
        .iter()
        .filter(|stored| whole.contains(&&stored.head.backup) || hit.contains(&stored.head.backup))
        .map(|stored| Subject::new(&stored.key, stored.sha256))
        .collect();
    let details = [
        ("depth", value(depth_name(request.depth))),
        ("scope", value(request.scope.word())),
        ("whole", value(&whole)),
        ("findings", value(&wrong)),
        ("objects_checked", value(done.findings.objects_checked)),
        ("bytes_read", value(done.findings.bytes_read)),
        ("seconds", value(done.seconds)),
    ];
    let record = Record {
        run,
        source,
        outcome: if wrong.is_empty() {
            "succeeded"
        } else {
            "failed"
        },
        subject,
        tools: BTreeMap::new(),
        details: details.map(|(name, value)| (name.to_owned(), value)).into(),
        test: None,
    };
    receipt::store_or_note(ctx, record, &mut done.notes)
}

/// The word of a depth.
#[must_use]
pub fn depth_name(depth: Depth) -> &'static str {
    match depth {
        Depth::Heads => "heads",
        Depth::Digests => "digests",
        Depth::Structure => "structure",
        Depth::Bytes => "bytes",
    }
}
