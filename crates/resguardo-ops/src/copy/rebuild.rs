//! A vault that is lost, or lost objects, is made whole again from a copy: the same way in the other
//! direction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use resguardo_model::receipt::Verb;
use resguardo_model::{Finding, SourceName};
use resguardo_vault::{CopyPlace, SyncRequest as VaultRequest, Synced, Vault};

use super::{holdings, pins};
use crate::catalog::RunState;
use crate::context::Context;
use crate::error::OpsError;
use crate::receipt::{self, Record, value};
use crate::run::OpenRun;
use crate::{history, recover};

/// A vault that was made again.
#[derive(Clone, Debug, PartialEq)]
pub struct RebuildDone {
    /// Where it lies.
    pub place: String,
    /// The copy that it was made from.
    pub from: String,
    /// What was brought back of each source.
    pub sources: Vec<(SourceName, Synced)>,
    /// Backups that this machine took and no copy has: they are lost.
    pub lost: Vec<Finding>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Keys of its receipts, one for each source.
    pub receipts: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl RebuildDone {
    /// Whether everything that the copy has was brought back.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.sources.iter().all(|(_, synced)| came_back(synced))
    }
}

fn came_back(synced: &Synced) -> bool {
    synced.compared.missing.is_empty() && synced.kept.is_empty()
}

/// Makes the vault at `to` again from the copy that the context was opened over: into an empty place, or what
/// is missing in a place that holds this vault. `mend`: what is damaged there is replaced as well. `name` is what
/// the copy is called.
///
/// # Errors
/// [`OpsError::Vault`]: the place holds another vault or something else, or one of the two cannot be
/// reached. Run again, it goes on where it was stopped.
pub fn rebuild(
    ctx: &Context,
    name: &str,
    to: &CopyPlace,
    mend: bool,
) -> Result<RebuildDone, OpsError> {
    recover::sweep(ctx)?;
    let from = ctx.vault()?;
    let mut run = OpenRun::begin(ctx, Verb::Copy, None)?;
    let result = bring_back(ctx, from, to, mend, &run);
    match result {
        Ok(sources) => {
            let mut done = RebuildDone {
                place: to.describe(),
                from: from.store().describe(),
                sources,
                lost: Vec::new(),
                seconds: run.seconds(),
                receipts: Vec::new(),
                notes: Vec::new(),
            };
            conclude(ctx, (name, from), to, &run, &mut done)?;
            run.has_receipt(done.receipts.first().map(String::as_str));
            match done.is_whole() {
                true => run.end(RunState::Succeeded, ""),
                false => run.end(RunState::Failed, "not everything could be brought back"),
            }
            Ok(done)
        }
        Err(error) => {
            run.end_with(&error);
            Err(error)
        }
    }
}

fn bring_back(
    ctx: &Context,
    from: &Vault,
    to: &CopyPlace,
    mend: bool,
    run: &OpenRun<'_>,
) -> Result<Vec<(SourceName, Synced)>, OpsError> {
    let doing = || format!("making the vault at {} again", to.describe());
    let fresh = from.begin_copy(to).map_err(OpsError::vault(doing()))?;
    let heads = history::heads(ctx, None)?.heads;
    let unwanted = BTreeSet::new();
    let mut sources = Vec::new();
    for source in history::sources_of(&heads) {
        let request = VaultRequest {
            source: &source,
            run: run.id(),
            host: &ctx.host,
            pid: std::process::id(),
            mend,
            unwanted: &unwanted,
        };
        let synced = from
            .sync(&fresh, &request, &ctx.cancel, &*ctx.progress)
            .map_err(OpsError::vault(doing()))?;
        sources.push((source, synced));
    }
    Ok(sources)
}

/// Opens what was made as the vault itself, takes leave of what is lost, and says all of it in receipts.
fn conclude(
    ctx: &Context,
    (name, from): (&str, &Vault),
    to: &CopyPlace,
    run: &OpenRun<'_>,
    done: &mut RebuildDone,
) -> Result<(), OpsError> {
    let doing = || format!("opening the vault at {}", to.describe());
    let primary = from.primary_at(to).map_err(OpsError::vault(doing()))?;
    // What did not come back may be at this copy all the same: as long as it may, its loss stays an alarm.
    if done.is_whole() {
        done.lost = primary
            .take_leave_of_lost()
            .map_err(OpsError::vault(doing()))?;
    }
    let over_primary = Context {
        vault: Some(Arc::new(primary)),
        ..ctx.clone()
    };
    done.notes.extend(pins::lost(&over_primary)?);
    for (source, synced) in &done.sources {
        let missing = synced.compared.missing.iter();
        let missing: Vec<String> = missing.map(|one| one.backup.to_string()).collect();
        let lost: Vec<&Finding> = done
            .lost
            .iter()
            .filter(|finding| finding.source.as_ref() == Some(source))
            .collect();
        let sent: Vec<_> = synced.sent.iter().map(|one| one.backup.backup).collect();
        let details = [
            ("rebuilt_from", value(&done.from)),
            ("rebuilt_at", value(&done.place)),
            ("sent", value(sent)),
            ("objects", value(synced.objects)),
            ("bytes", value(synced.bytes)),
            ("records", value(synced.records)),
            ("mended", value(&synced.mended)),
            ("lost", value(lost)),
            ("missing", value(missing)),
            ("findings", value(&synced.findings)),
            ("seconds", value(done.seconds)),
        ];
        let details = details.map(|(name, value)| (name.to_owned(), value));
        // What told of this copy was lost with the vault.
        let mut details: BTreeMap<_, _> = holdings(&over_primary, from, source)
            .into_iter()
            .chain(details)
            .collect();
        details.insert("copy".to_owned(), value(name));
        let record = Record {
            run,
            source,
            outcome: if came_back(synced) {
                "succeeded"
            } else {
                "failed"
            },
            subject: Vec::new(),
            tools: BTreeMap::new(),
            details,
            test: None,
        };
        let receipt = receipt::store_or_note(&over_primary, record, &mut done.notes);
        done.receipts.extend(receipt);
    }
    Ok(())
}
