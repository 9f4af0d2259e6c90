//! `keys`: recipients and writers that come and go, the passphrase, the rehearsal; plugins, SSH keys, and
//! keys that a command prints.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::world::{World, ask};

/// A plugin of age, as small as one can be: it hides the file key by XOR, which hides nothing.
const PLUGIN: &str = r#"#!/usr/bin/env python3
import base64, sys
def send(words, body=b""):
    text = base64.b64encode(body).rstrip(b"=").decode()
    lines = [text[at:at + 64] for at in range(0, len(text), 64)]
    if not lines or len(lines[-1]) == 64:
        lines.append("")
    sys.stdout.write("-> " + " ".join(words) + "\n" + "\n".join(lines) + "\n")
    sys.stdout.flush()
def receive():
    words = sys.stdin.readline().split()[1:]
    text = ""
    while True:
        line = sys.stdin.readline().rstrip("\n")
        text += line
        if len(line) < 64:
            return words, base64.b64decode(text + "=" * (-len(text) % 4))
def hide(key):
    return bytes(byte ^ 0x5A for byte in key)
said = []
while True:
    words, body = receive()
    if words[0] == "done":
        break
    said.append((words, body))
if sys.argv[1] == "--age-plugin=recipient-v1":
    for words, body in said:
        if words[0] == "wrap-file-key":
            send(["recipient-stanza", "0", "tiny", "x"], hide(body))
            receive()
else:
    for words, body in said:
        if words[0] == "recipient-stanza" and words[2] == "tiny":
            send(["file-key", words[1]], hide(body))
            receive()
send(["done"])
"#;
const TO_PLUGIN: &str = "age1tiny1w35ku7fdddjhjy2azmz";
const OF_PLUGIN: &str = "AGE-PLUGIN-TINY-1W35KU7FDDDJHJVW0TTJ\n";

/// A new identity in the user's folder, and its recipient.
fn person(world: &World, name: &str) -> String {
    let path = world.path(name);
    let made = Command::new("age-keygen").arg("-o").arg(&path).output();
    assert!(made.expect("package age: age-keygen").status.success());
    let text = std::fs::read_to_string(path).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "));
    line.unwrap().to_owned()
}

fn restores(world: &World, identity: &str, to: &str) -> i32 {
    let arguments = ["restore", "shop", "--identity", identity, "--to", to];
    let ran = world.run(&arguments);
    if ran.code == 0 {
        let rows = ask(&world.path(to), "SELECT count(*) FROM customers");
        assert_eq!(rows, "500");
    }
    ran.code
}

fn listed(world: &World) -> Value {
    world.run(&["keys", "list", "--json"]).exits(0).json()
}

#[test]
fn a_new_recipient_reads_from_the_next_backup_on_and_old_ones_when_asked() {
    let world = World::with_shop();
    let first = world.backup();
    let bea = person(&world, "bea.txt");
    world
        .run(&["keys", "add", &bea])
        .exits(0)
        .prints(&["reads what is backed up from now on"])
        .complains(&[
            "the next backup of each source is a whole one",
            "--old-backups",
        ]);
    assert_eq!(restores(&world, "bea.txt", "early.db"), 1);
    world.backup();
    assert_eq!(restores(&world, "bea.txt", "next.db"), 0);
    let list = listed(&world);
    assert_eq!(list["recipients"][1]["opens"], 1);
    assert_eq!(list["recipients"][0]["opens"], 2);
    assert_eq!(list["recipients"][0]["here"], true);

    let given = world
        .run(&["keys", "add", &bea, "--old-backups", "--json"])
        .exits(0)
        .json();
    assert_eq!(given["vault_changed"], false);
    assert!(given["old_backups"][0]["objects"].as_u64().unwrap() >= 2);
    let old = ["restore", &first, "--identity", "bea.txt", "--to", "old.db"];
    world.run(&old).exits(0);
    assert_eq!(listed(&world)["recipients"][1]["opens"], 2);
    // The vault still opens without Resguardo.
    let out = Command::new("python3")
        .arg(world.path("vault/read_vault.py"))
        .arg(world.path("vault"))
        .args(["--source", "shop", "--snapshot", &first, "--identity"])
        .arg(world.path("bea.txt"))
        .arg("--out")
        .arg(world.path("out"))
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[test]
fn a_retired_recipient_keeps_the_past_and_gets_nothing_new() {
    let world = World::with_shop();
    let bea = person(&world, "bea.txt");
    world.run(&["keys", "add", &bea]).exits(0);
    let before = world.backup();
    world
        .run(&["keys", "retire", &bea])
        .exits(0)
        .prints(&["what it could read before stays readable to it"]);
    world.backup();
    let latest = ["restore", "shop", "--identity", "bea.txt", "--to", "new.db"];
    world
        .run(&latest)
        .exits(1)
        .complains(&["is not encrypted to the identity", "--identity FILE"]);
    let old = [
        "restore",
        &before,
        "--identity",
        "bea.txt",
        "--to",
        "old.db",
    ];
    world.run(&old).exits(0);
    let list = listed(&world);
    let retired = &list["recipients"][1];
    assert_eq!(
        (&retired["recipient"], &retired["opens"]),
        (&bea.into(), &1.into())
    );
    assert!(retired["retired_at"].is_string());
    let ours = list["recipients"][0]["recipient"].as_str().unwrap();
    world
        .run(&["keys", "retire", ours])
        .exits(1)
        .complains(&["is the last recipient"]);
    let eve = person(&world, "eve.txt");
    world
        .run(&["keys", "retire", &eve])
        .exits(1)
        .complains(&["is no recipient of this vault", "keys list"]);
}

#[test]
fn a_key_that_is_none_changes_nothing() {
    let world = World::with_shop();
    let vault = std::fs::read(world.path("vault/vault.json")).unwrap();
    let secret = std::fs::read_to_string(world.keys().join("identity.txt")).unwrap();
    let secret = secret.lines().last().unwrap();
    let ran = world.run(&["keys", "add", secret]).exits(2);
    assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
    ran.complains(&["that is a secret key", "age-keygen -y"]);
    world
        .run(&["keys", "add", "age1nope"])
        .exits(2)
        .complains(&["is no age recipient"]);
    world
        .run(&["keys", "add", TO_PLUGIN])
        .exits(1)
        .complains(&["age-plugin-tiny is not in PATH"]);
    world.run(&["keys", "retire", "ed25519:77"]).exits(2);
    assert_eq!(
        std::fs::read(world.path("vault/vault.json")).unwrap(),
        vault
    );
    world.write("not-a-key.txt", "hello\n");
    world
        .run(&["keys", "rehearse", "--identity", "not-a-key.txt"])
        .exits(1)
        .complains(&["that is no identity", "line 1"]);
    world.write("pub.txt", &format!("{TO_PLUGIN}\n"));
    world
        .run(&["keys", "rehearse", "--identity", "pub.txt"])
        .exits(1)
        .complains(&["is a recipient, which is a public key"]);
}

#[test]
fn another_host_stops_until_the_change_is_accepted_there() {
    let world = World::with_shop();
    world.backup();
    let key = world.keys().join("write-key.json");
    let before = std::fs::read(&key).unwrap();
    let bea = person(&world, "bea.txt");
    world.run(&["keys", "add", &bea]).exits(0);
    // As the other host knows it.
    std::fs::write(&key, before).unwrap();
    world
        .run(&["backup"])
        .exits(5)
        .complains(&["vault.json differs", "resguardo keys add"]);
    let eve = person(&world, "eve.txt");
    world
        .run(&["keys", "add", &eve])
        .exits(5)
        .complains(&["vault.json differs"]);
    world
        .run(&["keys", "add", &bea])
        .exits(0)
        .prints(&["was added elsewhere, and is accepted on this machine now"]);
    world.backup();
    assert_eq!(restores(&world, "bea.txt", "out.db"), 0);
}

#[test]
fn an_identity_is_rotated_and_both_are_kept() {
    let world = World::with_shop();
    let first = world.backup();
    let old = listed(&world)["recipients"][0]["recipient"]
        .as_str()
        .unwrap()
        .to_owned();
    let done = world
        .run(&["keys", "rotate", "identity", "--old-backups", "--json"])
        .exits(0)
        .json();
    let new = done["key"].as_str().unwrap().to_owned();
    assert_eq!(done["recipients"], serde_json::json!([new]));
    let text = std::fs::read_to_string(world.keys().join("identity.txt")).unwrap();
    assert_eq!(text.matches("AGE-SECRET-KEY-1").count(), 2);
    world.backup();
    // The new one alone opens all, the old one the old backup.
    let keys: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("AGE-"))
        .collect();
    world.write("new.txt", keys[0]);
    world.write("old.txt", keys[1]);
    assert_eq!(restores(&world, "new.txt", "new.db"), 0);
    assert_eq!(restores(&world, "old.txt", "never.db"), 1);
    for (identity, to) in [("new.txt", "a.db"), ("old.txt", "b.db")] {
        world
            .run(&["restore", &first, "--identity", identity, "--to", to])
            .exits(0);
    }
    let list = listed(&world);
    assert_eq!(list["recipients"][1]["recipient"], old.as_str());
}

#[test]
fn a_rotation_that_was_stopped_goes_on_and_a_retired_identity_does_not_come_back() {
    let world = World::with_shop();
    let recipient = || {
        let all = listed(&world)["recipients"].clone();
        all[0]["recipient"].as_str().unwrap().to_owned()
    };
    let vault = world.path("vault/vault.json");
    let key = world.keys().join("write-key.json");
    let before = (
        std::fs::read(&vault).unwrap(),
        std::fs::read(&key).unwrap(),
        recipient(),
    );
    let rotate = || {
        world
            .run(&["keys", "rotate", "identity", "--json"])
            .exits(0)
            .json()["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let new = rotate();
    // Stopped before the pin, and before `vault.json`.
    std::fs::write(&key, &before.1).unwrap();
    assert_eq!(rotate(), new);
    std::fs::write(&vault, &before.0).unwrap();
    std::fs::write(&key, &before.1).unwrap();
    assert_eq!(rotate(), new);
    // The new one is retired, and the old one takes its place; both stay in the file, the retired one first.
    world
        .run(&["keys", "add", &before.2, "--instead-of", &new])
        .exits(0);
    assert_eq!(recipient(), before.2);
    let third = rotate();
    assert!(third != new && third != before.2, "{third}");
}

#[test]
fn a_retired_writer_is_believed_again_only_where_that_is_said() {
    let world = World::with_shop();
    world.backup();
    let key = world.keys().join("write-key.json");
    let stolen = std::fs::read(&key).unwrap();
    let done = world
        .run(&["keys", "rotate", "writer", "--json"])
        .exits(0)
        .json();
    let old = done["retired"].as_str().unwrap();
    let next = std::fs::read(&key).unwrap();
    std::fs::write(&key, stolen).unwrap();
    let forged = world.backup();
    std::fs::write(&key, &next).unwrap();
    let refused = world.run(&["restore", &forged, "--to", "out.db"]).exits(7);
    assert!(!refused.stderr.contains("trust"), "{}", refused.stderr);
    let list = world.run(&["list"]).exits(0);
    assert!(
        list.stderr.contains("retired here") && !list.stderr.contains("--trust"),
        "{}",
        list.stderr
    );
    for command in [["init", "--trust", old], ["keys", "trust", old]] {
        world
            .run(&command)
            .exits(1)
            .complains(&["was retired here"]);
        assert_eq!(std::fs::read(&key).unwrap(), next);
    }
    world.run(&["keys", "trust", old, "--again"]).exits(0);
    world.run(&["restore", &forged, "--to", "out.db"]).exits(0);
}

#[test]
fn a_rotated_writer_keeps_the_history_and_its_old_key_is_worth_nothing_more() {
    let world = World::with_shop();
    world.backup();
    let key = world.keys().join("write-key.json");
    let stolen = std::fs::read(&key).unwrap();
    let done = world
        .run(&["keys", "rotate", "writer", "--json"])
        .exits(0)
        .json();
    assert_eq!(done["kept"], 2, "a head and a receipt");
    let next = std::fs::read(&key).unwrap();
    assert_eq!(
        std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    world.backup();
    world.run(&["verify", "--depth", "heads"]).exits(0);
    std::fs::write(&key, stolen).unwrap();
    world.run(&["backup"]).exits(0);
    std::fs::write(&key, next).unwrap();
    let found = world
        .run(&["verify", "--depth", "heads", "--json"])
        .exits(3)
        .json();
    let kinds: Vec<&str> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["kind"].as_str().unwrap())
        .collect();
    assert!(
        kinds.iter().all(|kind| *kind == "writer-retired"),
        "{kinds:?}"
    );
    assert_eq!(kinds.len(), 2, "its head and its receipt: {kinds:?}");
    let list = world.run(&["list", "--json"]).exits(0).json();
    let trusted: Vec<bool> = list["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|backup| backup["trusted"].as_bool().unwrap())
        .collect();
    assert_eq!(trusted, [true, true, false]);
    let own = done["key"].as_str().unwrap();
    world
        .run(&["keys", "retire", own])
        .exits(1)
        .complains(&["this host's own writer", "keys rotate writer"]);
}

#[test]
fn a_drill_during_which_the_writer_is_rotated_is_signed_by_the_new_one() {
    let world = World::with_shop();
    let backup = world.backup();
    let rotate = world.command(&["keys", "rotate", "writer", "--json"]);
    let program = rotate.get_program().to_str().unwrap().to_owned();
    let words: Vec<&str> = rotate
        .get_args()
        .map(|word| word.to_str().unwrap())
        .collect();
    world.add_to_config(&format!(
        "[sources.shop.drill]\nmigrate = \"RESGUARDO_HOME={} {program} {} --config {} > {}\"\n",
        world.home().display(),
        words.join(" "),
        world.path("resguardo.toml").display(),
        world.path("rotated.json").display(),
    ));
    let drill = world.run(&["drill", "--json"]).exits(0).json();
    assert_eq!(drill["drills"][0]["verdict"], "passed");
    let rotated = std::fs::read_to_string(world.path("rotated.json")).unwrap();
    let rotated: serde_json::Value = serde_json::from_str(&rotated).unwrap();
    let receipts = world.run(&["receipts", "list", "--json"]).exits(0).json();
    let receipts = receipts["receipts"].as_array().unwrap();
    let of_drill = receipts.iter().find(|one| one["verb"] == "drill").unwrap();
    assert_eq!(of_drill["writer"], rotated["key"]);
    assert_eq!(of_drill["trusted"], true);
    world.run(&["receipts", "verify"]).exits(0);
    world.run(&["verify", "--all"]).exits(0);
    let list = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(list["backups"][0]["id"], backup.as_str());
    assert!(list["backups"][0]["proven_at"].is_string(), "{list}");
}

#[test]
fn a_write_key_has_no_passphrase_to_change() {
    let world = World::with_shop();
    world.backup();
    world.write("one", "correct horse\n");
    let key = world.keys().join("write-key.json");
    let before = std::fs::read(&key).unwrap();
    let named = key.to_str().unwrap();
    world
        .run(&[
            "keys",
            "passphrase",
            "--identity",
            named,
            "--new-passphrase-file",
            "one",
        ])
        .exits(1)
        .complains(&["write-key.json", "that is no identity"]);
    assert_eq!(std::fs::read(&key).unwrap(), before);
    world.backup();
}

#[test]
fn the_passphrase_is_set_changed_and_removed() {
    let world = World::with_shop();
    world.backup();
    for (file, text) in [("one", "correct horse\n"), ("two", "battery staple\n")] {
        world.write(file, text);
    }
    let rehearse = |passphrase: Option<&str>| {
        let mut arguments = vec!["keys", "rehearse"];
        arguments.extend(
            passphrase
                .map(|file| ["--passphrase-file", file])
                .iter()
                .flatten(),
        );
        world.run(&arguments).code
    };
    world
        .run(&["keys", "passphrase"])
        .exits(2)
        .complains(&["--new-passphrase-file"]);
    world
        .run(&["keys", "passphrase", "--new-passphrase-file", "one"])
        .exits(0);
    assert_eq!((rehearse(None), rehearse(Some("one"))), (1, 0));
    let wrong = ["keys", "passphrase", "--passphrase-file", "two", "--remove"];
    world
        .run(&wrong)
        .exits(1)
        .complains(&["the passphrase does not open the identity"]);
    let change = [
        "keys",
        "passphrase",
        "--passphrase-file",
        "one",
        "--new-passphrase-file",
        "two",
    ];
    world.run(&change).exits(0);
    assert_eq!((rehearse(Some("one")), rehearse(Some("two"))), (1, 0));
    let remove = ["keys", "passphrase", "--passphrase-file", "two", "--remove"];
    world.run(&remove).exits(0);
    assert_eq!(rehearse(None), 0);
    let mode = std::fs::metadata(world.keys().join("identity.txt")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_rehearsal_says_what_opens_and_leaves_a_receipt() {
    let world = World::with_shop();
    world
        .run(&["keys", "rehearse"])
        .exits(0)
        .prints(&["there is no backup to open yet"]);
    let id = world.backup();
    let away = world.path("usb.txt");
    std::fs::rename(world.keys().join("identity.txt"), &away).unwrap();
    world
        .run(&["keys", "rehearse"])
        .exits(1)
        .complains(&["--identity FILE"]);
    let arguments = ["keys", "rehearse", "--identity", "usb.txt", "--json"];
    let done = world.run(&arguments).exits(0).json();
    let one = &done["rehearsals"][0];
    assert_eq!((&one["backup"], &one["opened"]), (&id.into(), &true.into()));
    assert!(one["frame_bytes"].as_u64().unwrap() > 0);
    let receipts = world.run(&["receipts", "list", "--json"]).exits(0).json();
    let verbs: Vec<&str> = receipts["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| receipt["verb"].as_str().unwrap())
        .collect();
    assert_eq!(verbs, ["backup", "keys"]);
    world
        .run(&["doctor"])
        .prints(&["the identity was last rehearsed 0 d ago"]);
    person(&world, "eve.txt");
    world
        .run(&["keys", "rehearse", "--identity", "eve.txt"])
        .exits(3)
        .prints(&["does not open"]);
    assert!(listed(&world)["rehearsed"]["shop"].is_string());
}

fn plugin_folder(world: &World) -> PathBuf {
    let folder = world.path("plugins");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("age-plugin-tiny");
    std::fs::write(&path, PLUGIN).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn path_with(folder: &Path) -> String {
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

#[test]
fn a_plugin_seals_and_opens() {
    let world = World::with_shop();
    let path = path_with(&plugin_folder(&world));
    let with = world.again_with("PATH", &path);
    with.run(&["keys", "add", TO_PLUGIN]).exits(0);
    with.backup();
    with.write("plugin.txt", OF_PLUGIN);
    assert_eq!(restores(&with, "plugin.txt", "out.db"), 0);
    with.run(&["keys", "rehearse", "--identity", "plugin.txt"])
        .exits(0);
    // Without the plugin it is named, and nothing is half done.
    world
        .run(&["backup"])
        .exits(1)
        .complains(&["age-plugin-tiny is not in PATH"]);
    let without = ["keys", "rehearse", "--identity", "plugin.txt"];
    world
        .run(&without)
        .exits(1)
        .complains(&["age-plugin-tiny is not in PATH"]);
    with.run(&["verify"]).exits(0);
}

#[test]
fn keys_come_from_commands_and_from_files_that_the_config_names() {
    let world = World::with_shop();
    world.backup();
    world.write("pass", "correct horse\n");
    world
        .run(&["keys", "passphrase", "--new-passphrase-file", "pass"])
        .exits(0);
    for name in ["identity.txt", "write-key.json"] {
        std::fs::rename(world.keys().join(name), world.path(name)).unwrap();
    }
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let vault = "[vault]\n";
    assert!(config.contains(vault), "{config}");
    let named = |write_key: &str| {
        let keys = format!(
            "{vault}identity = \"cmd:cat identity.txt\"\npassphrase = \"file:pass\"\nwrite_key = \"{write_key}\"\n"
        );
        world.write("resguardo.toml", &config.replacen(vault, &keys, 1));
    };
    named("cmd:cat write-key.json");
    world.backup();
    world.run(&["restore", "shop", "--to", "out.db"]).exits(0);
    let bea = person(&world, "bea.txt");
    let before = std::fs::read(world.path("vault/vault.json")).unwrap();
    world.run(&["keys", "add", &bea]).exits(1).complains(&[
        "where nothing can be written to",
        "RESGUARDO_WRITE_KEY=FILE",
    ]);
    assert_eq!(
        std::fs::read(world.path("vault/vault.json")).unwrap(),
        before
    );
    named("cmd:false");
    world.run(&["backup"]).exits(1).complains(&["cmd:false"]);
    named("file:write-key.json");
    world.run(&["keys", "add", &bea]).exits(0);
    world.backup();
    let shown = world.run(&["config", "show"]).exits(0);
    assert!(!shown.stdout.contains("correct horse"), "{}", shown.stdout);
    world
        .run(&["keys", "list"])
        .exits(0)
        .prints(&["cmd:cat identity.txt", "write-key.json"]);
}

#[test]
fn a_machine_without_a_write_key_believes_the_writers_that_its_config_names() {
    let world = World::with_shop();
    let id = world.backup();
    let key = world.keys().join("write-key.json");
    let text = std::fs::read_to_string(&key).unwrap();
    let own: Value = serde_json::from_str(&text).unwrap();
    let own = own["trusted_writers"][0].as_str().unwrap().to_owned();
    std::fs::remove_file(&key).unwrap();
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let named = |writer: &str| {
        let line = format!("[vault]\ntrusted_writers = [\"{writer}\"]\n");
        world.write("resguardo.toml", &config.replacen("[vault]\n", &line, 1));
    };
    let restore = ["restore", &id, "--to", "out.db"];
    named(&format!("ed25519:{}", "7".repeat(64)));
    world
        .run(&restore)
        .exits(7)
        .complains(&["is not trusted here"]);
    named("ed25519:short");
    world
        .run(&restore)
        .exits(1)
        .complains(&["is no writer", "recovery kit"]);
    named(&own);
    let ran = world.run(&restore).exits(0);
    assert!(
        !ran.stderr.contains("no writer is pinned"),
        "{}",
        ran.stderr
    );
}
