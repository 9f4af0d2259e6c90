//! Keys that are elsewhere than in files of the home: in plugins, printed by commands, named by the config.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{person, restores};
use crate::world::World;

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
pub(super) const TO_PLUGIN: &str = "age1tiny1w35ku7fdddjhjy2azmz";
const OF_PLUGIN: &str = "AGE-PLUGIN-TINY-1W35KU7FDDDJHJVW0TTJ\n";

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
    let own: serde_json::Value = serde_json::from_str(&text).unwrap();
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
