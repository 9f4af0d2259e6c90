//! `show`: everything that is known of one backup.

use std::collections::BTreeSet;

use jiff::Timestamp;
use resguardo_model::manifest::ManifestHeader;
use resguardo_model::{FileKind, FilePath, Manifest, Sha256Digest};
use resguardo_vault::{Space, StoredHead};

use crate::context::Context;
use crate::error::OpsError;
use crate::history;
use crate::list::{self, ListedBackup};
use crate::receipts::{self, ReceiptSummary};
use crate::refer::{self, Reference};
use crate::run::described;

/// One backup.
#[derive(Clone, Debug)]
pub struct ShowDone {
    /// Its line in the list.
    pub backup: ListedBackup,
    /// Its head.
    pub head: StoredHead,
    /// What only an identity opens, or why it could not be opened.
    pub contents: Result<Contents, String>,
    /// The receipts that speak of it, oldest first.
    pub receipts: Vec<ReceiptSummary>,
    /// The store's lock on its head; `None`: none that the store tells of.
    pub lock: Option<Lock>,
}

/// A lock of the store: until then nobody deletes the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Until when; `None`: until somebody lifts it.
    pub until: Option<Timestamp>,
    /// `governance` or `compliance`, where the store tells.
    pub mode: Option<&'static str>,
}

/// What lies in a backup.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// The manifest's header with the engine's facts.
    pub header: ManifestHeader,
    /// The files in the order of their paths.
    pub files: Vec<ShownFile>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownFile {
    /// Its path inside the backup.
    pub path: FilePath,
    /// How it was cut.
    pub kind: FileKind,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of the whole file.
    pub sha256: Sha256Digest,
    /// The number of pieces of packs that it is made of.
    pub extents: u64,
}

/// Shows one backup. Without an identity, what needs one is left out and said to be.
///
/// # Errors
/// If there is no such backup, or the vault cannot be read.
pub fn show(ctx: &Context, reference: &Reference) -> Result<ShowDone, OpsError> {
    let head = refer::resolve(ctx, reference)?;
    let vault = ctx.vault()?;
    let contents = match vault.open_snapshot(&head) {
        Ok(snapshot) => Ok(contents_of(snapshot.manifest())),
        Err(error) => Err(described(&error)),
    };
    let drills = history::drills(ctx, &BTreeSet::from([head.head.source.clone()]))?;
    let all = history::receipts(ctx, Some(&head.head.source))?.receipts;
    let mut receipts: Vec<_> = all
        .iter()
        .filter(|receipt| {
            let digest = head.sha256.to_string();
            let subjects = &receipt.statement.subject;
            subjects
                .iter()
                .any(|subject| subject.digest.get("sha256") == Some(&digest))
        })
        .map(receipts::summary)
        .collect();
    receipts.sort_by_key(|receipt| receipt.run);
    let copies = history::copies(ctx, &BTreeSet::from([head.head.source.clone()]))?;
    let mut backup = list::line(
        &head,
        drills.get(&head.head.backup),
        &vault.store().describe(),
    );
    backup.lies_at(&copies, &head);
    let pins = vault
        .pins(Some(&head.head.source))
        .map_err(OpsError::vault("reading the pins of the vault"))?;
    let space = Space::of(&history::heads(ctx, Some(&head.head.source))?.heads);
    let frees = list::frees_of(&space).get(&head.head.backup).copied();
    let backup = list::with_keeping(backup, &pins, frees.unwrap_or(0));
    let lock = lock_on(ctx, &head)?;
    Ok(ShowDone {
        backup,
        head,
        contents,
        receipts,
        lock,
    })
}

/// The store's lock on the head. A store that does not answer that question tells of none.
fn lock_on(ctx: &Context, head: &StoredHead) -> Result<Option<Lock>, OpsError> {
    let Ok(key) = head.key.parse() else {
        return Ok(None);
    };
    let told = ctx.vault()?.store().retention(&key).ok().flatten();
    Ok(told.map(|locked| Lock {
        until: locked.until,
        mode: locked.mode.map(|mode| mode.name()),
    }))
}

fn contents_of(manifest: &Manifest) -> Contents {
    let files = manifest.files.iter().map(|file| ShownFile {
        path: file.path.clone(),
        kind: file.kind,
        bytes: file.size,
        sha256: file.sha256,
        extents: file.extents.len() as u64,
    });
    Contents {
        header: manifest.header.clone(),
        files: files.collect(),
    }
}
