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
use resguardo_vault::{PruneOptions, Vault, WriteKey, generate_identity};
use rig::pruning::prune_with;
use rig::{Files, Rig, back_up, backup_id, change_page, noise, pages};

struct Folder {
    folder: tempfile::TempDir,
    vault: Vault,
    /// Holds the cache of the vault.
    _rig: Rig,
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
        Self {
            folder,
            vault,
            _rig: rig,
        }
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
