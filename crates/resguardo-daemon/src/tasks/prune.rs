//! What the retention lets go of is deleted: in the vault, then at each copy by its own. As `resguardo prune`
//! does it.

use resguardo_model::retention::Policy;
use resguardo_ops::OpsError;
use resguardo_ops::copy::{self, CopyPlace, Vault};
use resguardo_ops::prune::{self, PruneDone, PruneRequest};

use super::{ConfiguredCopy, Of, ended_with, worst};
use crate::driver::Ended;

/// A copy that can be reached, and was begun.
struct Reached {
    copy: ConfiguredCopy,
    place: CopyPlace,
    vault: Vault,
}

pub(super) fn run(of: &Of<'_>) -> Ended {
    let rules = match of.rules() {
        Ok(rules) => rules,
        Err(ended) => return ended,
    };
    let (mut ends, mut reached) = (Vec::new(), Vec::new());
    let copies = of.sources.copies(of.source, &of.ctx.cancel);
    // One that was not begun yet has nothing to delete, and that is as it has to be.
    let is_for_copies = copies.iter().any(|copy| copy.policy.is_some());
    for copy in copies {
        let name = copy.name.clone();
        match reach(of, copy) {
            Ok(copy) => reached.extend(copy),
            Err(ended) => ends.push(at_copy(&name, ended)),
        }
    }
    if rules.retention.is_none() && !is_for_copies && ends.is_empty() {
        return Ended::Failed(format!(
            "nothing says what is kept: {} has no retention; set one, like retention = {{ daily = 14, weekly = 8, monthly = 12 }}",
            rules.environment
        ));
    }
    // Pins that are at a copy alone keep backups as well.
    let places: Vec<CopyPlace> = reached.iter().map(|one| one.place.clone()).collect();
    let asked = |policy| PruneRequest {
        source: of.source,
        environment: &rules.environment,
        policy,
        accept_missing_heads: false,
        dry_run: false,
        copies: &places,
    };
    if let Some(policy) = &rules.retention {
        let done = prune::prune(of.ctx, &asked(Some(policy)));
        ends.push(told(of, done));
    }
    for Reached { copy, vault, .. } in &reached {
        let policy: Option<&Policy> = copy.policy.as_ref();
        if policy.is_some() && !of.ctx.cancel.is_cancelled() {
            let done = prune::prune_in(of.ctx, vault, &asked(policy));
            ends.push(at_copy(&copy.name, told(of, done)));
        }
    }
    if of.ctx.cancel.is_cancelled() {
        return Ended::Interrupted;
    }
    worst(ends)
}

/// `None`: the copy was not begun yet.
fn reach(of: &Of<'_>, copy: ConfiguredCopy) -> Result<Option<Reached>, Ended> {
    let place = copy.place.clone().map_err(Ended::Transient)?;
    let vault = copy::open_begun(of.ctx, &place).map_err(|error| ended_with(&error))?;
    Ok(vault.map(|vault| Reached { copy, place, vault }))
}

fn told(of: &Of<'_>, done: Result<PruneDone, OpsError>) -> Ended {
    let done = match done {
        Ok(done) => done,
        Err(error) => return ended_with(&error),
    };
    of.tell(&done.notes);
    let gone = done.backups.iter().filter(|backup| !backup.kept).count();
    if gone > 0 {
        let all = done.backups.len();
        let line = format!("deleted {gone} of {all} backups in {}", done.place);
        of.ctx.progress.note(&line);
    }
    if done.unswept {
        return Ended::Failed(
            "no object was deleted, because something is wrong with the heads: `resguardo verify --depth heads` names it".to_owned(),
        );
    }
    Ended::Done
}

fn at_copy(name: &str, ended: Ended) -> Ended {
    let told = |why: String| format!("at the copy {name}: {why}");
    match ended {
        Ended::Failed(why) => Ended::Failed(told(why)),
        Ended::Transient(why) => Ended::Transient(told(why)),
        Ended::Locked(why) => Ended::Locked(told(why)),
        ended @ (Ended::Done | Ended::Interrupted) => ended,
    }
}
