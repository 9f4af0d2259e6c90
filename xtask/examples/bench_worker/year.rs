//! The retention of a simulated year: its days are those of the backups, not of the clock.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_model::retention::{self, Candidate, Policy, Tier};
use resguardo_model::{CancelToken, NoProgress, RunId};
use resguardo_vault::{PruneOptions, Space, Vault};

use crate::Anything;
use crate::{pages, place};

pub(crate) fn retain(vault: &Vault, at: Timestamp) -> Result<(), Anything> {
    let source = pages::source()?;
    let heads = vault.heads(Some(&source))?.heads;
    let candidates: Vec<Candidate> = heads
        .iter()
        .map(|stored| Candidate {
            id: stored.head.backup,
            taken_at: stored.head.taken_at,
            sequence: stored.head.sequence,
            reason: stored.head.reason.clone(),
            trusted: stored.trusted,
            proven: false,
            failed_since: false,
            pin: None,
        })
        .collect();
    let policy = Policy::floor(TimeZone::UTC)
        .with(Tier::Daily, 14)
        .with(Tier::Weekly, 8)
        .with(Tier::Monthly, 12);
    let plan = retention::plan(&policy, &candidates, at);
    let doomed: Vec<_> = plan.deleted().map(|decision| decision.id).collect();
    let run = RunId(place::new_id());
    let lease = vault.acquire_lease(&source, run, "bench", std::process::id())?;
    let options = PruneOptions::default();
    let done = vault.prune(&lease, &doomed, &options, &CancelToken::new(), &NoProgress)?;
    if !done.unswept.is_empty() || done.removed.len() != doomed.len() {
        return Err(format!("the prune did not do what it should: {done:?}").into());
    }
    for decision in plan.kept() {
        println!("kept {}", decision.taken_at.strftime("%Y-%m-%d"));
    }
    let newest = Space::of(&heads).backups.pop();
    println!("needs {}", newest.map_or(0, |newest| newest.needed_bytes));
    Ok(())
}
