//! The way back without Resguardo: `contrib/read_vault.py`, the age and zstd tools, nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes files and starts tools directly"
)]

mod rig;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use resguardo_store::{FolderStore, Store};
use resguardo_vault::{Identities, KeyError, PruneOptions, Vault, WriteKey, generate_identity};
use rig::pruning::prune_with;
use rig::{Files, Rig, back_up, backup_id, change_page, noise, pages};
use secrecy::SecretString;

struct Folder {
    folder: tempfile::TempDir,
    vault: Vault,
    /// Holds the keys and the cache of the vault.
    rig: Rig,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut rig = Rig::new();
        let store: Arc<dyn Store> =
            Arc::new(FolderStore::create(folder.path().join("vault")).unwrap());
        let (identity, recipient) = generate_identity(jiff::Timestamp::UNIX_EPOCH);
        let config = Vault::create(&*store, vec![recipient.clone()], &*rig.clock).unwrap();
        let key = WriteKey::generate(config.vault, vec![recipient], jiff::Timestamp::UNIX_EPOCH);
        rig.write_key = key.unwrap().to_json().to_string();
        rig.identity = identity.to_string();
        std::fs::write(folder.path().join("identity.txt"), &rig.identity).unwrap();
        let vault = rig.vault_over(store);
        Self { folder, vault, rig }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the script that lies in the vault itself.
    fn read_vault(&self, arguments: &[&str], out: &Path) -> Output {
        let script = self.path("vault/read_vault.py");
        Command::new("python3")
            .arg(script)
            .arg(self.path("vault"))
            .arg("--identity")
            .arg(self.path("identity.txt"))
            .args(arguments)
            .arg("--out")
            .arg(out)
            .output()
            .expect("python3 is there; `cargo xtask test` installs what is missing")
    }
}

fn assert_files(out: &Path, files: &Files) {
    for (path, content) in files {
        assert!(std::fs::read(out.join(path)).unwrap() == *content, "{path}");
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn the_script_in_the_vault_restores_every_snapshot() {
    let folder = Folder::new();
    let mut files = Files::from([
        ("db/shop.pages".to_owned(), pages(1, 700)),
        ("rows.copy".to_owned(), noise(3, 400_000)),
        ("empty".to_owned(), vec![]),
    ]);
    back_up(&folder.vault, 1, &files).unwrap();
    let first = files.clone();
    for page in [0, 300, 301, 699] {
        change_page(
            files.get_mut("db/shop.pages").unwrap(),
            page,
            40 + page as u64,
        );
    }
    back_up(&folder.vault, 2, &files).unwrap();

    let out = folder.path("newest");
    let output = folder.read_vault(&["--source", "shop"], &out);
    assert!(output.status.success(), "{}", text(&output));
    assert_files(&out, &files);

    let out = folder.path("first");
    let id = backup_id(1).to_string();
    let output = folder.read_vault(&["--source", "shop", "--snapshot", &id], &out);
    assert!(output.status.success(), "{}", text(&output));
    assert_files(&out, &first);
}

#[test]
fn the_script_names_a_damaged_pack_and_fails() {
    let folder = Folder::new();
    let files = Files::from([("db.pages".to_owned(), pages(1, 300))]);
    let done = back_up(&folder.vault, 1, &files).unwrap();
    let pack = done.head.head.packs[0].sha256.to_string();
    let path = folder.path(&format!("vault/shop/packs/{pack}.age"));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let output = folder.read_vault(&["--source", "shop"], &folder.path("out"));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains(&pack), "{}", text(&output));
}

#[test]
fn a_wrong_identity_is_told() {
    let folder = Folder::new();
    back_up(
        &folder.vault,
        1,
        &Files::from([("rows".to_owned(), vec![1; 9])]),
    )
    .unwrap();
    let (stranger, _) = generate_identity(jiff::Timestamp::UNIX_EPOCH);
    std::fs::write(folder.path("identity.txt"), &*stranger).unwrap();
    let output = folder.read_vault(&["--source", "shop"], &folder.path("out"));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
}

#[test]
fn the_script_tells_a_pruned_backup_from_one_that_was_removed() {
    let folder = Folder::new();
    let mut files = Files::from([("db.pages".to_owned(), pages(1, 30))]);
    for number in 1..=5 {
        change_page(files.get_mut("db.pages").unwrap(), 3, number);
        back_up(&folder.vault, number, &files).unwrap();
    }
    let prune = |doomed: &[u64]| {
        prune_with(&folder.vault, doomed, PruneOptions::default()).unwrap();
    };
    prune(&[3]);
    prune(&[2]);
    let writer = folder.vault.writer().unwrap().to_string();
    let restore = |writer: &str, name: &str| {
        let out = folder.path(name);
        let output = folder.read_vault(&["--source", "shop", "--writer", writer], &out);
        (output.status.success(), text(&output))
    };
    let (done, told) = restore(&writer, "pruned");
    assert!(done && !told.contains("warning"), "{told}");
    assert_files(&folder.path("pruned"), &files);

    let head = format!("vault/shop/snapshots/{}.head.json", backup_id(4));
    std::fs::remove_file(folder.path(&head)).unwrap();
    let (_, told) = restore(&writer, "removed");
    assert!(told.contains("no prune record explains it"), "{told}");
    assert_eq!(told.matches("warning").count(), 1, "{told}");

    let folder_of_records = folder.path("vault/shop/prunes");
    let record = std::fs::read_dir(folder_of_records)
        .unwrap()
        .next()
        .unwrap();
    let record = record.unwrap().path();
    let forged = std::fs::read_to_string(&record)
        .unwrap()
        .replace("\"last\":3", "\"last\":4");
    std::fs::write(&record, forged).unwrap();
    let (_, told) = restore(&writer, "forged");
    assert!(told.contains("it explains no missing head"), "{told}");
}

#[test]
fn whoever_became_a_recipient_later_reads_what_was_given() {
    let folder = Folder::new();
    let files = Files::from([
        ("db.pages".to_owned(), pages(1, 300)),
        ("rows".to_owned(), noise(2, 90_000)),
    ]);
    back_up(&folder.vault, 1, &files).unwrap();
    let (bea, to_bea) = generate_identity(jiff::Timestamp::UNIX_EPOCH);
    std::fs::write(folder.path("identity.txt"), &*bea).unwrap();
    let output = folder.read_vault(&["--source", "shop"], &folder.path("before"));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let given = folder.vault.give_old_backups(
        &rig::source(),
        &[to_bea],
        &resguardo_model::CancelToken::new(),
        &resguardo_model::NoProgress,
    );
    assert!(given.unwrap().objects >= 2);
    let out = folder.path("after");
    let output = folder.read_vault(&["--source", "shop"], &out);
    assert!(output.status.success(), "{}", text(&output));
    assert_files(&out, &files);
}

/// An SSH key is one of the identities that age itself knows.
#[test]
fn an_ssh_key_reads_with_the_tools_alone() {
    for kind in ["ed25519", "rsa"] {
        let mut folder = Folder::new();
        let key = folder.path("id");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", "", "-C", "ana@laptop", "-f"])
            .arg(&key)
            .status();
        assert!(made.expect("package openssh-client: ssh-keygen").success());
        let recipient = std::fs::read_to_string(folder.path("id.pub")).unwrap();
        let mut pin = WriteKey::from_json(&folder.rig.write_key).unwrap();
        let store = Arc::clone(folder.vault.store());
        let change = resguardo_vault::RecipientChange::Add(
            resguardo_vault::canonical_recipient(&recipient).unwrap(),
        );
        resguardo_vault::change_recipients(&*store, &mut pin, &change, jiff::Timestamp::UNIX_EPOCH)
            .unwrap();
        folder.rig.write_key = pin.to_json().to_string();
        folder.vault = folder.rig.vault_over(store);
        let files = Files::from([("rows".to_owned(), noise(2, 90_000))]);
        let done = back_up(&folder.vault, 1, &files).unwrap();

        std::fs::copy(&key, folder.path("identity.txt")).unwrap();
        let out = folder.path("out");
        let output = folder.read_vault(&["--source", "shop"], &out);
        assert!(output.status.success(), "{kind}: {}", text(&output));
        assert_files(&out, &files);

        folder.rig.identity = std::fs::read_to_string(&key).unwrap();
        let again = folder.rig.vault_over(Arc::clone(folder.vault.store()));
        rig::assert_restores(&again, &done.head, &files);
    }
}

#[test]
fn an_ssh_key_with_a_passphrase_opens_with_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("id");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "correct horse", "-C", "", "-f"])
        .arg(&key)
        .status();
    assert!(made.expect("package openssh-client: ssh-keygen").success());
    let file = std::fs::read(&key).unwrap();
    let parse = |passphrase: Option<&str>| {
        let passphrase = passphrase.map(|text| SecretString::from(text.to_owned()));
        Identities::parse(&file, passphrase.as_ref())
    };
    assert!(matches!(parse(None), Err(KeyError::PassphraseNeeded)));
    assert!(matches!(
        parse(Some("wrong")),
        Err(KeyError::WrongPassphrase)
    ));
    let public = std::fs::read_to_string(folder.path().join("id.pub")).unwrap();
    let public = resguardo_vault::canonical_recipient(&public).unwrap();
    assert_eq!(parse(Some("correct horse")).unwrap().recipients(), [public]);
}
