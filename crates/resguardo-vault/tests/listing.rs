//! A listing that lies: what is listed and not there, and what is there and not listed. Nothing is lost by
//! either: what is hidden is a finding that names its backups, and is whole again when the listing is.

#![allow(clippy::unwrap_used, reason = "test")]

mod rig;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use resguardo_model::{CancelToken, FindingKind, NoProgress};
use resguardo_store::{
    Capabilities, Condition, Key, MemoryStore, ObjectInfo, Store, StoreError, Version,
};
use resguardo_vault::{Depth, Selection, Vault};
use rig::{Files, Rig, assert_restores, back_up, change_page, pages};

/// Hides objects from listings, and lists one that is not there.
struct Lying {
    inner: MemoryStore,
    hides: String,
    invents: Option<Key>,
}

impl Store for Lying {
    fn describe(&self) -> String {
        self.inner.describe()
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> Result<Option<Version>, StoreError> {
        self.inner.put(key, body, condition)
    }
    fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        self.inner.get(key)
    }
    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.inner.get_range(key, range)
    }
    fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.inner.stat(key)
    }
    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let mut listed = self.inner.list(prefix)?;
        if !self.hides.is_empty() {
            listed.retain(|info| !info.key.as_str().contains(&self.hides));
        }
        if let Some(key) = &self.invents
            && key.as_str().starts_with(prefix)
            && let Some(like) = listed.last().cloned()
        {
            listed.push(ObjectInfo {
                key: key.clone(),
                ..like
            });
        }
        Ok(listed)
    }
    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.inner.delete(key)
    }
}

/// Three backups, and what the last one holds.
fn three() -> (Rig, Vec<String>, Files) {
    let rig = Rig::new();
    let mut files = Files::from([("db.pages".to_owned(), pages(1, 300))]);
    let mut heads = Vec::new();
    for number in 1..=3 {
        change_page(files.get_mut("db.pages").unwrap(), 7, number);
        heads.push(back_up(&rig.vault(), number, &files).unwrap().head.key);
    }
    (rig, heads, files)
}

fn lying(rig: &Rig, hides: &str, invents: Option<Key>) -> Vault {
    rig.vault_over(Arc::new(Lying {
        inner: MemoryStore::clone(&rig.store),
        hides: hides.to_owned(),
        invents,
    }))
}

fn kinds(vault: &Vault) -> Vec<FindingKind> {
    let (cancel, progress) = (CancelToken::new(), NoProgress);
    let found = vault
        .verify(&Selection::All, Depth::Structure, &cancel, &progress)
        .unwrap();
    found.findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn a_head_that_is_hidden_is_found() {
    let (rig, heads, files) = three();
    let in_the_middle = kinds(&lying(&rig, &heads[1], None));
    assert_eq!(in_the_middle, [FindingKind::HeadMissing]);
    // The newest is asked for by its name, so that the next backup follows it.
    let vault = lying(&rig, &heads[2], None);
    assert!(kinds(&vault).is_empty());
    let done = back_up(&vault, 4, &files).unwrap();
    assert_eq!(done.head.head.sequence, 4);
    assert!(kinds(&rig.vault()).is_empty(), "nothing was lost by it");
}

#[test]
fn a_host_that_took_none_of_the_hidden_backups_sees_the_hole_later() {
    let (rig, heads, files) = three();
    rig.lose_cache();
    let done = back_up(&lying(&rig, &heads[2], None), 4, &files).unwrap();
    assert_eq!(done.head.head.sequence, 3, "it cannot know better");
    assert!(
        !kinds(&rig.vault()).is_empty(),
        "two of one number are told"
    );
    assert_restores(&rig.vault(), &done.head, &files);
}

#[test]
fn a_pack_that_is_hidden_is_found_and_no_backup_builds_on_it() {
    let (rig, _, mut files) = three();
    let vault = lying(&rig, "/packs/", None);
    assert!(kinds(&vault).contains(&FindingKind::PackMissing));
    // What cannot be seen is stored again.
    change_page(files.get_mut("db.pages").unwrap(), 9, 9);
    let done = back_up(&vault, 4, &files);
    if let Ok(done) = done {
        assert_restores(&rig.vault(), &done.head, &files);
    }
    assert!(kinds(&rig.vault()).is_empty(), "nothing was lost by it");
}

#[test]
fn a_head_that_is_listed_and_not_there_counts_for_nothing() {
    let (rig, heads, files) = three();
    let ghost: Key = heads[0].replace("01", "7Z").parse().unwrap();
    assert!(rig.store.get(&ghost).is_err());
    let vault = lying(&rig, "", Some(ghost));
    assert_eq!(vault.heads(None).unwrap().heads.len(), 3);
    assert!(kinds(&vault).is_empty());
    let done = back_up(&vault, 4, &files).unwrap();
    assert_restores(&rig.vault(), &done.head, &files);
}
