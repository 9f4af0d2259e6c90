//! Each copy is pruned by its own retention, after the vault. One that cannot be reached is named, and the
//! command fails in the end.

use resguardo_model::SourceName;
use resguardo_ops::copy;
use resguardo_ops::prune::{self, PruneDone, PruneRequest};
use resguardo_vault::{CopyPlace, Vault};
use serde_json::{Value, json};

use super::{Args, Chosen, backup_json, print, source_json};
use crate::config::copies::CopySettings;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Opened, policy_at};
use crate::wire::Missing;

/// A copy of the config that was asked once.
pub(super) struct Reached {
    settings: CopySettings,
    /// `None`: it was not begun yet.
    copy: Result<Option<(CopyPlace, Vault)>, Failure>,
}

impl Reached {
    /// Where it is, if it can be reached.
    pub(super) fn place(&self) -> Option<CopyPlace> {
        let copy = self.copy.as_ref().ok()?.as_ref();
        copy.map(|(place, _)| place.clone())
    }
}

/// Opens every copy of the config, all at the same time.
pub(super) fn reach(invocation: &Invocation, opened: &Opened) -> Vec<Reached> {
    let copies = opened.config.copies.iter();
    let placed: Vec<_> = copies
        .map(|settings| invocation.copy_place(&opened.config, settings, Missing::Leave))
        .collect();
    let places: Vec<CopyPlace> = placed.iter().flatten().cloned().collect();
    let mut answers = copy::open_each(&opened.context, &places).into_iter();
    let settings = opened.config.copies.iter();
    let each = settings.zip(placed).map(|(settings, place)| {
        let copy = place.and_then(|place| {
            let answer = answers.next().expect("each place was asked")?;
            Ok(answer.map(|copy| (place, copy)))
        });
        Reached {
            settings: settings.clone(),
            copy: copy.map_err(|failure| named(&settings.name, failure)),
        }
    });
    each.collect()
}

/// With the copy's name, unless it is told already.
fn named(name: &str, mut failure: Failure) -> Failure {
    let copy = format!("copy {name}");
    if !failure.message.contains(&copy) {
        failure.message = format!("{copy}: {}", failure.message);
    }
    failure
}

/// Copies whose pins could not be asked for, where they are left alone otherwise.
pub(super) fn tell_unreached(invocation: &Invocation, reached: &[Reached]) {
    for one in reached {
        if let Err(failure) = &one.copy {
            let line = failure.in_a_line();
            let note = format!("what is pinned at the copy alone is not known: {line}");
            invocation.out.note(&note);
        }
    }
}

/// A source at a copy: pruned, or what it would be, or why it was not. Without a source: the copy itself.
pub(super) struct AtCopy {
    name: String,
    place: String,
    source: Option<SourceName>,
    done: Result<PruneDone, Value>,
}

impl AtCopy {
    pub(super) fn is_unswept(&self) -> bool {
        self.done.as_ref().is_ok_and(|done| done.unswept)
    }
}

/// What is asked of the copies.
pub(super) struct Asked<'a> {
    pub(super) invocation: &'a Invocation,
    pub(super) args: &'a Args,
    pub(super) opened: &'a Opened,
    pub(super) chosen: &'a Chosen,
    /// Of the copies that can be reached.
    pub(super) places: &'a [CopyPlace],
}

impl Asked<'_> {
    /// Prunes every copy that was begun. What goes wrong with one stops the others as little as it stopped the
    /// vault.
    pub(super) fn prune(
        &self,
        reached: Vec<Reached>,
        last_failure: &mut Option<Failure>,
    ) -> Vec<AtCopy> {
        let mut pruned = Vec::new();
        for Reached { settings, copy } in reached {
            match copy {
                Ok(Some((place, copy))) => {
                    if !self.prune_one(&settings, (&place, &copy), &mut pruned, last_failure) {
                        return pruned;
                    }
                }
                Ok(None) => self.invocation.out.note(&format!(
                    "the copy {name} was not begun yet: `resguardo copy sync {name}`",
                    name = settings.name
                )),
                Err(failure) => {
                    let told = AtCopy {
                        name: settings.name,
                        place: settings.url,
                        source: None,
                        done: Err(failure.as_json()["error"].take()),
                    };
                    pruned.push(told);
                    keep(self.invocation, failure, last_failure);
                }
            }
        }
        pruned
    }

    /// Every source of one copy; tells whether to go on.
    fn prune_one(
        &self,
        settings: &CopySettings,
        (place, copy): (&CopyPlace, &Vault),
        pruned: &mut Vec<AtCopy>,
        last_failure: &mut Option<Failure>,
    ) -> bool {
        let name = &settings.name;
        for (source, environment) in &self.chosen.sources {
            let policy = policy_at(&self.opened.config, settings, environment);
            let request = PruneRequest {
                source,
                environment,
                policy: policy.as_ref(),
                accept_missing_heads: self.args.accept_missing_heads,
                dry_run: self.args.dry_run,
                copies: self.places,
            };
            let mut told = AtCopy {
                name: name.clone(),
                place: place.describe(),
                source: Some(source.clone()),
                done: Err(Value::Null),
            };
            let mut failed = None;
            match prune::prune_in(&self.opened.context, copy, &request) {
                Ok(done) => {
                    self.invocation.out.say(&format!("at the copy {name}:"));
                    print(self.invocation, self.args, self.opened, &done);
                    told.done = Ok(done);
                }
                Err(error) => {
                    let mut failure = Failure::from(error);
                    failure.message = format!("{source} at the copy {name}: {}", failure.message);
                    told.done = Err(failure.as_json()["error"].take());
                    failed = Some(failure);
                }
            }
            pruned.push(told);
            if let Some(failure) = failed
                && !keep(self.invocation, failure, last_failure)
            {
                return false;
            }
        }
        true
    }
}

/// Keeps the last failure; tells whether to go on.
fn keep(invocation: &Invocation, failure: Failure, last: &mut Option<Failure>) -> bool {
    let goes_on = failure.exit != Exit::Interrupted;
    if let Some(earlier) = last.replace(failure) {
        earlier.print(&invocation.out);
    }
    goes_on
}

/// The shape of `docs/json.md`.
pub(super) fn as_json(one: &AtCopy) -> Value {
    let done = match &one.done {
        Ok(done) => done,
        Err(error) => {
            return json!({
                "copy": one.name,
                "place": one.place,
                "source": one.source,
                "error": error,
            });
        }
    };
    let some = |kept: bool| -> Vec<Value> {
        let backups = done.backups.iter();
        backups
            .filter(|backup| backup.kept == kept)
            .map(|backup| backup_json(done, backup))
            .collect()
    };
    let mut answer = source_json(done);
    answer["copy"] = json!(one.name);
    answer["place"] = json!(one.place);
    answer["kept"] = json!(some(true));
    answer["deleted"] = json!(some(false));
    answer
}
