//! What copies do not know yet of the keys: recipients in their `vault.json`, and further headers.

use std::collections::BTreeSet;

use resguardo_model::SourceName;
use resguardo_vault::{CopyPlace, Vault, VaultError};

use super::at_once;
use crate::context::Context;
use crate::error::OpsError;
use crate::history;

/// What a copy lacks of the keys of the vault; nothing, if all is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacks {
    /// Recipients that its `vault.json` does not name yet.
    pub recipients: Vec<String>,
    /// Recipients that it names, and that were retired.
    pub retired: Vec<String>,
    /// Bundles of further headers that it has not got: what opens old backups to a new recipient.
    pub headers: u64,
}

impl Lacks {
    /// Whether it knows everything.
    #[must_use]
    pub fn nothing(&self) -> bool {
        *self == Self::default()
    }

    /// In words, without the copy's name.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        if !self.recipients.is_empty() {
            words.push(format!("the recipient {}", self.recipients.join(", ")));
        }
        if !self.retired.is_empty() {
            let retired = self.retired.join(", ");
            words.push(format!("that {retired} was retired"));
        }
        match self.headers {
            0 => {}
            1 => words.push("further headers of old backups (1 object)".to_owned()),
            more => words.push(format!("further headers of old backups ({more} objects)")),
        }
        words.join("; ")
    }
}

/// Asks each copy what it lacks of the keys, all at the same time; `None` where none was begun.
///
/// # Errors
/// The vault's own; an error of a copy is part of its answer.
pub fn lacks_of_each(
    ctx: &Context,
    places: &[CopyPlace],
) -> Result<Vec<Result<Option<Lacks>, OpsError>>, OpsError> {
    let vault = ctx.vault()?;
    let heads = history::heads(ctx, None)?.heads;
    let sources = history::sources_of(&heads);
    let here = bundles(vault, &sources)
        .map_err(OpsError::vault("reading the further headers".to_owned()))?;
    Ok(at_once(places, |place| {
        let doing = || OpsError::vault(format!("asking the copy {}", place.name()));
        let copy = match vault.copy_at(place) {
            Ok(copy) => copy,
            Err(VaultError::NotAVault { .. }) => return Ok(None),
            Err(error) => return Err(doing()(error)),
        };
        let there = bundles(&copy, &sources).map_err(doing())?;
        let minus = |a: &[String], b: &[String]| -> Vec<String> {
            a.iter().filter(|one| !b.contains(one)).cloned().collect()
        };
        let (ours, theirs) = (&vault.config().recipients, &copy.config().recipients);
        Ok(Some(Lacks {
            recipients: minus(ours, theirs),
            retired: minus(theirs, ours),
            headers: here.difference(&there).count() as u64,
        }))
    }))
}

/// The keys of the bundles of these sources.
fn bundles(vault: &Vault, sources: &BTreeSet<SourceName>) -> Result<BTreeSet<String>, VaultError> {
    let mut all = BTreeSet::new();
    for source in sources {
        let listed = vault.store().list(&format!("{source}/headers"))?;
        all.extend(listed.into_iter().map(|info| info.key.to_string()));
    }
    Ok(all)
}
