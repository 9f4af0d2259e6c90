//! Recipients that come and go: who opens what, and what a crash or a stranger in between can do.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: a rig that fails ends the test"
)]

mod rig;
#[path = "recipients/unneeded.rs"]
mod unneeded;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use resguardo_model::{CancelToken, FindingKind, NoProgress};
use resguardo_store::wrap::Faulty;
use resguardo_store::wrap::faulty::{Fault, Rule};
use resguardo_store::{Condition, Key, MemoryStore, Store};
use resguardo_vault::{
    Access, CopyPlace, Depth, Identities, RecipientChange, RecipientsChanged, Selection, Vault,
    VaultError, WriteKey, change_recipients, generate_identity, span_of,
};
use rig::{Files, Rig, assert_restores, back_up, back_up_at, change_page, pages, run_id, source};

/// When the backups after the change began.
const LATER: Timestamp = Timestamp::constant(3600, 0);

/// A vault with two backups, and Bea, who wants to read.
struct World {
    rig: Rig,
    content: Vec<Files>,
    /// The text of her identity.
    bea: String,
    to_bea: String,
}

impl World {
    fn new() -> Self {
        let rig = Rig::new();
        let mut files = Files::from([("db.pages".to_owned(), pages(1, 300))]);
        let mut content = Vec::new();
        for number in 1..=2 {
            change_page(files.get_mut("db.pages").unwrap(), 7, number);
            back_up(&rig.vault(), number, &files).unwrap();
            content.push(files.clone());
        }
        let (text, to_bea) = generate_identity(Timestamp::UNIX_EPOCH);
        Self {
            rig,
            content,
            bea: text.to_string(),
            to_bea,
        }
    }

    fn key(&self) -> WriteKey {
        WriteKey::from_json(&self.rig.write_key).unwrap()
    }

    /// Changes the recipients; the key is stored, as the binary does.
    fn change(&mut self, change: &RecipientChange) -> Result<RecipientsChanged, VaultError> {
        let mut key = self.key();
        let done = change_recipients(&*self.rig.store, &mut key, change, Timestamp::UNIX_EPOCH)?;
        self.rig.write_key = key.to_json().to_string();
        Ok(done)
    }

    fn add_bea(&mut self) -> RecipientsChanged {
        self.change(&RecipientChange::Add(self.to_bea.clone()))
            .unwrap()
    }

    fn next_backup(&mut self) -> resguardo_vault::Committed {
        self.next_backup_at(LATER)
    }

    fn next_backup_at(&mut self, began: Timestamp) -> resguardo_vault::Committed {
        let number = self.content.len() as u64 + 1;
        let mut files = self.content.last().unwrap().clone();
        change_page(files.get_mut("db.pages").unwrap(), 9, number);
        let done = back_up_at(&self.rig.vault(), number, &files, began).unwrap();
        self.content.push(files);
        done
    }

    /// The vault with the identity of Bea alone.
    fn as_bea(&self) -> Vault {
        let access = Access {
            identities: Some(Identities::parse(self.bea.as_bytes(), None).unwrap()),
            ..self.rig.access(false, false)
        };
        Vault::open(self.rig.store.clone(), access, self.rig.settings()).unwrap()
    }

    fn give(&self, vault: &Vault) -> Result<resguardo_vault::Given, VaultError> {
        let to = [self.to_bea.clone()];
        vault.give_old_backups(&source(), &to, &CancelToken::new(), &NoProgress)
    }

    /// Which of the backups a vault's identities open and restore, in their order.
    fn opened(&self, vault: &Vault) -> Vec<bool> {
        let heads = vault.heads(None).unwrap().heads;
        assert_eq!(heads.len(), self.content.len());
        let each = heads.iter().zip(&self.content);
        each.map(|(head, files)| match vault.open_snapshot(head) {
            Ok(_) => {
                assert_restores(vault, head, files);
                true
            }
            Err(VaultError::WrongIdentity { .. }) => false,
            Err(other) => panic!("{other}"),
        })
        .collect()
    }

    fn bundles(&self) -> Vec<Key> {
        let listed = self.rig.store.list("shop/headers").unwrap();
        listed.into_iter().map(|info| info.key).collect()
    }
}

#[test]
fn a_new_recipient_opens_the_next_backup_with_all_that_it_shares() {
    let mut world = World::new();
    let done = world.add_bea();
    assert!(done.stored && done.pinned);
    let whole = world.next_backup();
    assert!(
        whole.notes.iter().any(|note| note.contains("whole one")),
        "{:?}",
        whole.notes
    );
    let shared = world.next_backup();
    assert!(shared.head.head.stored_bytes < whole.head.head.stored_bytes / 4);
    assert_eq!(world.opened(&world.as_bea()), [false, false, true, true]);
    assert_eq!(world.opened(&world.rig.vault()), [true; 4]);
    let vault = world.rig.vault();
    let heads = vault.heads(None).unwrap().heads;
    let should: Vec<bool> = heads
        .iter()
        .map(|stored| vault.should_open(&world.to_bea, &stored.head).unwrap())
        .collect();
    assert_eq!(should, [false, false, true, true]);
}

#[test]
fn a_clock_that_was_ahead_does_not_close_later_backups_to_a_new_recipient() {
    let mut world = World::new();
    // Taken while the clock of the host was a day ahead; it was put right before she was added.
    let tomorrow = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24);
    world.next_backup_at(tomorrow);
    world.add_bea();
    let moment = jiff::SignedDuration::from_secs(1);
    let whole = world.next_backup_at(tomorrow + moment);
    let shared = world.next_backup_at(tomorrow + moment + moment);
    assert!(shared.head.head.stored_bytes < whole.head.head.stored_bytes / 4);
    let opened = world.opened(&world.as_bea());
    assert_eq!(opened, [false, false, false, true, true]);
    assert_eq!(world.opened(&world.rig.vault()), [true; 5]);
}

#[test]
fn old_backups_are_given_without_writing_any_object_anew() {
    let mut world = World::new();
    world.add_bea();
    let before = world.rig.store.list("shop").unwrap();
    let given = world.give(&world.rig.vault()).unwrap();
    assert!(given.objects >= 3 && given.findings.is_empty(), "{given:?}");
    let after = world.rig.store.list("shop").unwrap();
    let kept: Vec<_> = after
        .iter()
        .filter(|info| !info.key.as_str().contains("/headers/"))
        .collect();
    assert_eq!(kept, before.iter().collect::<Vec<_>>());
    assert_eq!(world.opened(&world.as_bea()), [true, true]);
    assert_eq!(world.opened(&world.rig.vault()), [true, true]);

    let again = world.give(&world.rig.vault()).unwrap();
    assert_eq!((again.objects, again.already), (0, given.objects));
    assert_eq!(world.bundles().len(), 1);

    let next = world.next_backup();
    assert!(
        next.head.head.stored_bytes > 100_000,
        "further headers are not signed: nothing is built upon them"
    );
    assert_eq!(world.opened(&world.as_bea()), [true; 3]);
    let all = Selection::All;
    let found = world
        .as_bea()
        .verify(&all, Depth::Bytes, &CancelToken::new(), &NoProgress)
        .unwrap();
    assert_eq!(found.findings, []);
    let vault = world.rig.vault();
    for stored in &vault.heads(None).unwrap().heads[..2] {
        assert!(vault.should_open(&world.to_bea, &stored.head).unwrap());
    }
}

#[test]
fn a_bundle_that_was_tampered_with_opens_nothing_and_closes_nothing() {
    let mut world = World::new();
    world.add_bea();
    world.give(&world.rig.vault()).unwrap();
    let key = world.bundles().remove(0);
    let text = String::from_utf8(world.rig.store.get(&key).unwrap().to_vec()).unwrap();
    for forged in [
        text.replace("\"header_bytes\":", "\"header_bytes\":1"),
        text.replacen("\"header\":\"YWdl", "\"header\":\"YWdm", 99),
        text[..text.len() / 2].to_owned(),
        String::new(),
    ] {
        world
            .rig
            .store
            .put(&key, Bytes::from(forged), Condition::Always)
            .unwrap();
        assert_eq!(world.opened(&world.rig.vault()), [true, true]);
        let bea = world.as_bea();
        for head in bea.heads(None).unwrap().heads {
            assert!(bea.open_snapshot(&head).is_err());
        }
    }
}

#[test]
fn a_bundle_that_is_none_is_a_finding_at_every_depth_and_hits_no_backup() {
    let mut world = World::new();
    world.add_bea();
    world.give(&world.rig.vault()).unwrap();
    let key = world.bundles().remove(0);
    let whole = world.rig.store.get(&key).unwrap();
    let text = String::from_utf8(whole.to_vec()).unwrap();
    let depths = [Depth::Heads, Depth::Digests, Depth::Structure, Depth::Bytes];
    let found = |depth| {
        let vault = world.rig.vault();
        let (all, cancel) = (Selection::All, CancelToken::new());
        vault.verify(&all, depth, &cancel, &NoProgress).unwrap()
    };
    for broken in [
        text[..text.len() / 2].to_owned(),
        text.replacen("\"source\":\"shop\"", "\"source\":\"other\"", 1),
        text.replacen("{\"format\":1", "{\"format\":2", 1),
        "no bundle\n".to_owned(),
        String::new(),
    ] {
        let body = Bytes::from(broken.clone());
        world.rig.store.put(&key, body, Condition::Always).unwrap();
        for depth in depths {
            let found = found(depth);
            let [finding] = &found.findings[..] else {
                panic!("{depth:?} of {broken:?}: {:?}", found.findings);
            };
            assert_eq!(finding.kind, FindingKind::HeadersMalformed);
            assert_eq!(finding.object, key.as_str());
            assert_eq!(finding.source, Some(source()));
            assert_eq!(found.whole.len(), 2, "its own headers open everything");
        }
    }
    world.rig.store.put(&key, whole, Condition::Always).unwrap();
    for depth in depths {
        assert_eq!(found(depth).findings, [], "{depth:?}");
    }
}

#[test]
fn a_bundle_that_was_made_up_does_not_close_later_backups_to_the_new_recipient() {
    let mut world = World::new();
    world.add_bea();
    world.give(&world.rig.vault()).unwrap();
    let key = world.bundles().remove(0);
    let text = String::from_utf8(world.rig.store.get(&key).unwrap().to_vec()).unwrap();
    let forged = text.replace("\"header\":\"YWdl", "\"header\":\"YWdm");
    assert_ne!(forged, text);
    world
        .rig
        .store
        .put(&key, Bytes::from(forged), Condition::Always)
        .unwrap();
    world.next_backup();
    world.next_backup();
    assert_eq!(world.opened(&world.as_bea()), [false, false, true, true]);
}

/// The bundle with headers in the place of its own that open with the identity of `recipient`, and hold a file key
/// that is not the objects'.
fn made_up(bundle: &str, recipient: &str) -> String {
    let recipient: age::x25519::Recipient = recipient.parse().unwrap();
    let recipients = std::iter::once(&recipient as &dyn age::Recipient);
    let mut sealed = Vec::new();
    let mut writer = age::Encryptor::with_recipients(recipients)
        .unwrap()
        .wrap_output(&mut sealed)
        .unwrap();
    std::io::Write::write_all(&mut writer, b"anything").unwrap();
    writer.finish().unwrap();
    let mac = sealed.windows(4).position(|four| four == b"\n---").unwrap() + 1;
    let end = mac
        + sealed[mac..]
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap()
        + 1;
    let header = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &sealed[..end]);
    let lines = bundle
        .lines()
        .map(|line| match line.split_once("\"header\":\"") {
            Some((before, _)) => format!("{before}\"header\":\"{header}\"}}\n"),
            None => format!("{line}\n"),
        });
    lines.collect()
}

#[test]
fn a_header_with_a_file_key_of_its_own_hides_no_good_one_and_is_given_anew() {
    let mut world = World::new();
    world.add_bea();
    let given = world.give(&world.rig.vault()).unwrap();
    let good = world.bundles().remove(0);
    let text = String::from_utf8(world.rig.store.get(&good).unwrap().to_vec()).unwrap();
    let forged = Bytes::from(made_up(&text, &world.to_bea));
    // It is tried first.
    let before = format!("shop/headers/{}.jsonl", "0".repeat(25) + "1")
        .parse()
        .unwrap();
    world
        .rig
        .store
        .put(&before, forged.clone(), Condition::Always)
        .unwrap();
    assert_eq!(world.opened(&world.as_bea()), [true, true]);
    assert_eq!(
        world.give(&world.rig.vault()).unwrap().already,
        given.objects
    );
    // Without the good one she opens nothing, and who gives is not deceived.
    world
        .rig
        .store
        .put(&good, forged, Condition::Always)
        .unwrap();
    assert_eq!(world.opened(&world.as_bea()), [false, false]);
    let vault = world.rig.vault();
    let first = &vault.heads(None).unwrap().heads[0].head;
    assert!(!vault.should_open(&world.to_bea, first).unwrap());
    let again = world.give(&world.rig.vault()).unwrap();
    assert_eq!((again.objects, again.already), (given.objects, 0));
    assert_eq!(world.opened(&world.as_bea()), [true, true]);
}

#[test]
fn giving_needs_an_identity_that_opens() {
    let mut world = World::new();
    world.add_bea();
    let access = world.rig.access(true, false);
    let blind = Vault::open(world.rig.store.clone(), access, world.rig.settings()).unwrap();
    assert!(matches!(
        world.give(&blind),
        Err(VaultError::NoIdentity { .. })
    ));
    assert!(matches!(
        world.give(&world.as_bea()),
        Err(VaultError::NoWriteKey)
    ));
    let as_bea = Access {
        identities: Some(Identities::parse(world.bea.as_bytes(), None).unwrap()),
        ..world.rig.access(true, false)
    };
    let as_bea = Vault::open(world.rig.store.clone(), as_bea, world.rig.settings()).unwrap();
    assert!(matches!(
        world.give(&as_bea),
        Err(VaultError::WrongIdentity { .. })
    ));
    assert!(world.bundles().is_empty());
}

#[test]
fn a_damaged_pack_is_a_finding_and_the_rest_is_given() {
    let mut world = World::new();
    world.add_bea();
    let head = &world.rig.vault().heads(None).unwrap().heads[1];
    let lost = head.head.packs.last().unwrap().sha256;
    world
        .rig
        .store
        .delete(&format!("shop/packs/{lost}.age").parse().unwrap())
        .unwrap();
    let given = world.give(&world.rig.vault()).unwrap();
    assert_eq!(given.findings.len(), 1);
    assert_eq!(given.findings[0].kind, FindingKind::PackDamaged);
    assert!(given.objects >= 2);
}

#[test]
fn giving_stopped_at_every_store_call_is_mended_by_the_next() {
    for n in 1.. {
        let mut world = World::new();
        world.add_bea();
        let rule = Rule::from(n, Fault::Dead);
        let inner = world.rig.store.clone() as std::sync::Arc<dyn Store>;
        let store = std::sync::Arc::new(Faulty::new(inner).with(rule));
        let access = world.rig.access(true, true);
        let stopped = Vault::open(store.clone(), access, world.rig.settings())
            .and_then(|vault| world.give(&vault).map(|_| ()));
        assert_eq!(world.opened(&world.rig.vault()), [true, true], "call {n}");
        world.give(&world.rig.vault()).unwrap();
        assert_eq!(world.opened(&world.as_bea()), [true, true], "call {n}");
        if stopped.is_ok() {
            assert!(n > 5, "{n}");
            return;
        }
    }
}

#[test]
fn a_crash_between_vault_json_and_the_pin_is_mended_by_the_same_change() {
    let mut world = World::new();
    let pinned_before = world.rig.write_key.clone();
    world.add_bea();
    world.rig.write_key = pinned_before;
    let access = world.rig.access(true, false);
    let opened = Vault::open(world.rig.store.clone(), access, world.rig.settings());
    assert!(matches!(opened, Err(VaultError::ConfigChanged { .. })));
    // So it is on every other host.
    let done = world.add_bea();
    assert!(!done.stored && done.pinned);
    assert!(!world.add_bea().pinned);
    world.next_backup();
    assert_eq!(world.opened(&world.as_bea()), [false, false, true]);
}

#[test]
fn whoever_changed_vault_json_by_himself_is_not_confirmed() {
    let mut world = World::new();
    let at: Key = "vault.json".parse().unwrap();
    let text = String::from_utf8(world.rig.store.get(&at).unwrap().to_vec()).unwrap();
    let (_, to_eve) = generate_identity(Timestamp::UNIX_EPOCH);
    let ours = world.key().recipients()[0].clone();
    let both = text.replace(&format!("\"{ours}\""), &format!("\"{ours}\", \"{to_eve}\""));
    world
        .rig
        .store
        .put(&at, Bytes::from(both.clone()), Condition::Always)
        .unwrap();
    let before = world.rig.write_key.clone();
    let error = world
        .change(&RecipientChange::Add(world.to_bea.clone()))
        .unwrap_err();
    assert!(error.to_string().contains(&to_eve), "{error}");
    assert_eq!(world.rig.write_key, before);
    assert_eq!(world.rig.store.get(&at).unwrap(), both.as_bytes());
    // Retiring her takes her out, whoever put her there.
    world
        .change(&RecipientChange::Retire(to_eve.clone()))
        .unwrap_err();
}

#[test]
fn the_last_recipient_stays_and_what_is_no_key_is_refused() {
    let mut world = World::new();
    let ours = world.key().recipients()[0].clone();
    for change in [
        RecipientChange::Retire(ours),
        RecipientChange::Add("age1nope".to_owned()),
        RecipientChange::Add("AGE-SECRET-KEY-1QQQQ".to_owned()),
    ] {
        let before = world.rig.store.get(&"vault.json".parse().unwrap()).unwrap();
        assert!(
            matches!(world.change(&change), Err(VaultError::Key(_))),
            "{change:?}"
        );
        let after = world.rig.store.get(&"vault.json".parse().unwrap()).unwrap();
        assert_eq!(before, after);
    }
}

#[test]
fn a_retired_identity_opens_what_was_sealed_to_it_and_nothing_later() {
    let mut world = World::new();
    let ours = world.key().recipients()[0].clone();
    let retired = RecipientChange::Replace(world.to_bea.clone(), ours.clone());
    world.change(&retired).unwrap();
    let key = world.key();
    assert_eq!(key.recipients(), [world.to_bea.clone()]);
    world.next_backup();
    assert_eq!(world.opened(&world.rig.vault()), [true, true, false]);
    assert_eq!(world.opened(&world.as_bea()), [false, false, true]);
    let config = Vault::read_config(&*world.rig.store).unwrap();
    assert_eq!(
        resguardo_vault::span_of(&config, &ours),
        (None, Some(Timestamp::UNIX_EPOCH))
    );
}

#[test]
fn a_copy_with_the_recipients_of_before_is_read_and_brings_the_vault_back() {
    let mut world = World::new();
    let copy = MemoryStore::new();
    let place = CopyPlace::new("offsite", Arc::new(copy.clone()));
    world.rig.vault().begin_copy(&place).unwrap();
    let json: Key = "vault.json".parse().unwrap();
    for info in world.rig.store.list("").unwrap() {
        let body = world.rig.store.get(&info.key).unwrap();
        copy.put(&info.key, body, Condition::Always).unwrap();
    }
    let before = copy.get(&json).unwrap();
    world.add_bea();
    let (access, settings) = (world.rig.access(true, true), world.rig.settings());
    let alone = Vault::open_copy(Arc::new(copy.clone()), access, settings).unwrap();
    assert!(alone.unpinned().is_some());
    assert_eq!(world.opened(&alone), [true, true]);
    // The primary is gone: made again from the copy, it names who is pinned here.
    let fresh = CopyPlace::new("vault", Arc::new(MemoryStore::new()));
    alone.begin_copy(&fresh).unwrap();
    let again = alone.primary_at(&fresh).unwrap();
    let pinned = world.key();
    assert_eq!(again.config().recipients, pinned.recipients());
    let (since, _) = span_of(again.config(), &pinned.recipients()[1]);
    assert!(since.is_some());
    // The primary is there: it brings the copy its vault.json.
    assert_eq!(copy.get(&json).unwrap(), before);
    assert!(world.rig.vault().refresh_copy(&place).unwrap());
    assert_eq!(copy.get(&json).ok(), world.rig.store.get(&json).ok());
    assert!(!world.rig.vault().refresh_copy(&place).unwrap());
}

#[test]
fn a_vault_with_other_recipients_is_read_and_nothing_is_written() {
    let mut world = World::new();
    let pinned_before = world.rig.write_key.clone();
    world.add_bea();
    world.rig.write_key = pinned_before;
    let access = world.rig.access(true, true);
    let store = world.rig.store.clone();
    let vault = Vault::open_to_read(store, access, world.rig.settings()).unwrap();
    assert!(vault.unpinned().unwrap().contains("instead of"));
    assert_eq!(world.opened(&vault), [true, true]);
    let lease = vault.acquire_lease(&source(), run_id(9), "host", 1);
    assert!(matches!(lease, Err(VaultError::ConfigChanged { .. })));
    let place = CopyPlace::new("offsite", Arc::new(MemoryStore::new()));
    let carried = vault.begin_copy(&place);
    assert!(matches!(carried, Err(VaultError::ConfigChanged { .. })));
}
