//! A place that was a vault: its objects are there, and its `vault.json` is not.
//!
//! Nothing here makes a new `vault.json`: its id is bound into every signed head, and hosts pin it.

use resguardo_store::Store;

use crate::error::Failure;
use crate::exit::Exit;

/// Folders that only a vault has, each below a source.
const FOLDERS: [&str; 4] = ["snapshots", "packs", "index", "receipts"];

/// What to say where `store` holds the rest of a vault without its description; `None` if it does not.
#[must_use]
pub fn of_vault(store: &dyn Store) -> Option<Failure> {
    // A store that cannot be listed was said to be so by whoever asked it before.
    let there = store.list("").ok()?;
    let left = there.iter().find(|object| {
        let folder = object.key.as_str().split('/').nth(1);
        folder.is_some_and(|folder| FOLDERS.contains(&folder))
    })?;
    Some(
        Failure::new(
            Exit::Vault,
            format!(
                "{} was a vault and has lost its vault.json: there is still {}",
                store.describe(),
                left.key
            ),
        )
        .hint(
            "bring vault.json back, from a copy of the vault or the older versions of the bucket; `resguardo init` cannot make it again",
        ),
    )
}
