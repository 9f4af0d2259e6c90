//! Each copy is pruned by its own retention, after the vault.

use resguardo_ops::OpsError;
use resguardo_ops::prune::{self, PruneDone, PruneRequest};
use resguardo_vault::{CopyPlace, VaultError};
use serde_json::{Value, json};

use super::{Args, Chosen, backup_json, print, source_json};
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Opened, policy_at};
use crate::wire::Missing;

/// A source that was pruned at a copy, or would be.
pub(super) struct AtCopy {
    name: String,
    pub(super) done: PruneDone,
}

/// Prunes every copy that was begun. What goes wrong with one stops the others as little as it stopped the
/// vault.
pub(super) fn prune(
    invocation: &Invocation,
    args: &Args,
    opened: &Opened,
    chosen: &Chosen,
    last_failure: &mut Option<Failure>,
) -> Vec<AtCopy> {
    let mut pruned = Vec::new();
    for settings in &opened.config.copies {
        let place = invocation.copy_place(&opened.config, settings, Missing::Leave);
        for (source, environment) in &chosen.sources {
            let policy = policy_at(&opened.config, settings, environment);
            let request = PruneRequest {
                source,
                environment,
                policy: policy.as_ref(),
                accept_missing_heads: args.accept_missing_heads,
                dry_run: args.dry_run,
            };
            let result = match &place {
                Ok(place) => one(opened, place, &request).map_err(Failure::from),
                Err(_) => break,
            };
            match result {
                Ok(Some(done)) => {
                    invocation
                        .out
                        .say(&format!("at the copy {}:", settings.name));
                    print(invocation, args, opened, &done);
                    pruned.push(AtCopy {
                        name: settings.name.clone(),
                        done,
                    });
                }
                Ok(None) => {}
                Err(mut failure) => {
                    failure.message = format!("copy {}: {}", settings.name, failure.message);
                    if !keep(invocation, failure, last_failure) {
                        return pruned;
                    }
                }
            }
        }
        if let Err(failure) = place {
            keep(invocation, failure, last_failure);
        }
    }
    pruned
}

/// Keeps the last failure; tells whether to go on.
fn keep(invocation: &Invocation, failure: Failure, last: &mut Option<Failure>) -> bool {
    let goes_on = failure.exit != Exit::Interrupted;
    if let Some(earlier) = last.replace(failure) {
        earlier.print(&invocation.out);
    }
    goes_on
}

/// One source at one copy; nothing where the copy was not begun yet.
fn one(
    opened: &Opened,
    place: &CopyPlace,
    request: &PruneRequest<'_>,
) -> Result<Option<PruneDone>, OpsError> {
    let vault = opened.context.vault()?;
    let copy = match vault.copy_at(place) {
        Ok(copy) => copy,
        Err(VaultError::NotAVault { .. }) => return Ok(None),
        Err(source) => {
            return Err(OpsError::Vault {
                operation: format!("opening the copy {}", place.name()),
                source: Box::new(source),
            });
        }
    };
    prune::prune_in(&opened.context, &copy, request).map(Some)
}

/// The shape of `docs/json.md`.
pub(super) fn as_json(one: &AtCopy) -> Value {
    let some = |kept: bool| -> Vec<Value> {
        let backups = one.done.backups.iter();
        backups
            .filter(|backup| backup.kept == kept)
            .map(|backup| backup_json(&one.done, backup))
            .collect()
    };
    let mut answer = source_json(&one.done);
    answer["copy"] = json!(one.name);
    answer["place"] = json!(one.done.place);
    answer["kept"] = json!(some(true));
    answer["deleted"] = json!(some(false));
    answer
}
