//! What bad input gets: a clear error that names the thing and the next command, the right exit code,
//! and nothing lost.

use std::os::unix::fs::PermissionsExt as _;

use crate::world::World;

#[test]
fn an_unknown_key_in_the_config() {
    let world = World::with_shop();
    world.add_to_config("[sources.other]\nulr = \"x.db\"\n");
    world.run(&["backup"]).exits(1).complains(&[
        "unknown key ulr",
        "resguardo.toml:",
        "ulr = \"x.db\"",
        "did you mean url?",
        "hint: known here",
    ]);
}

#[test]
fn everything_wrong_with_the_config_is_said_at_once() {
    let world = World::with_shop();
    world.add_to_config(
        r#"
[environments.staging]
schedule = "at two"
timezone = "America/Bogotá"

[sources.a]
engine = "mysql"
url = "mysql://db/a"

[sources.b]
url = "b.db"
environment = "stagin"

[[sources.b.checks]]
name = "both"
sql = "select 1"
command = "true"

[[sources.b.checks]]
name = "nothing expected"
sql = "select 1"
"#,
    );
    world.run(&["list"]).exits(1).complains(&[
        "\"at two\" is not a schedule",
        "America/Bogotá is not a time zone",
        "the engine mysql is not supported yet",
        "there is no environment stagin",
        "did you mean staging?",
        "has both sql and command",
        "needs one of equals, min, max, matches or rows",
    ]);
}

#[test]
fn what_means_nothing_for_an_engine_is_refused() {
    let world = World::with_shop();
    world.add_to_config(
        r#"
[sources.a]
url = "a.db"
jobs = 4
silence_timeout = "1m"

[sources.a.drill]
sandbox = "database"
server = "postgresql://db/x"

[sources.b]
engine = "sqlite"
url = "postgres://db/b"

[sources.c]
url = "postgress://ana:s3cret@db/c"

[sources.d]
url = "cmd:pass show db"

[sources.e]
engine = "postgres"
url = "shop"
jobs = 65

[sources.e.drill]
sandbox = "databse"

[sources.f]
url = "postgres://db/f"

[sources.f.drill]
server = "postgres://db/x"

[sources.g]
url = "postgres://db/g"

[sources.g.drill]
sandbox = "database"
"#,
    );
    let ran = world.run(&["list"]).exits(1).complains(&[
        "jobs means nothing for sqlite",
        "silence_timeout means nothing for sqlite",
        "sandbox means nothing for sqlite",
        "the engine is sqlite, and the url is one of postgres",
        "there is no engine postgress",
        "did you mean postgres?",
        "a url by cmd: says nothing about its engine",
        "the engine is postgres, and the url is one of sqlite",
        "65 is no number of jobs",
        "there is no sandbox databse",
        "did you mean database?",
        "server means nothing for a throwaway server",
        "a sandbox that is a database needs a server",
    ]);
    let json = world.run(&["list", "--json"]).exits(1);
    // The lines of the file are shown to whoever may read it, and to nobody else.
    assert!(!json.stderr.contains("s3cret"), "{}", json.stderr);
    drop(ran);
}

#[test]
fn errors_as_json() {
    let world = World::with_shop();
    let ran = world.run(&["backup", "shpo", "--json"]).exits(1);
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "user");
    assert_eq!(error["error"]["exit_code"], 1);
    assert_eq!(error["error"]["hint"], "did you mean shop?");
}

#[test]
fn no_such_source() {
    let world = World::with_shop();
    world.run(&["backup", "shpo"]).exits(1).complains(&[
        "there is no source shpo; configured: shop",
        "hint: did you mean shop?",
    ]);
}

#[test]
fn a_variable_that_is_not_set() {
    let world = World::with_shop();
    world.add_to_config("[sources.other]\nurl = \"${OTHER_DB}\"\n");
    // Only whoever needs it is refused.
    world.run(&["list"]).exits(0);
    world.run(&["backup", "shop"]).exits(0);
    world.run(&["backup", "other"]).exits(1).complains(&[
        "the environment variable OTHER_DB is not set",
        "${OTHER_DB}",
    ]);
}

#[test]
fn no_such_backup() {
    let world = World::with_shop();
    world
        .run(&["restore", "latest", "--to", "x.db"])
        .exits(1)
        .complains(&["hint: "]);
    world.backup();
    world
        .run(&["restore", "zzzz", "--to", "x.db"])
        .exits(1)
        .complains(&["there is no backup zzzz", "shop", "resguardo list"]);
    world
        .run(&["show", "a:b:c"])
        .exits(2)
        .complains(&["a:b:c", "hint: "]);
    assert!(!world.path("x.db").exists());
}

#[test]
fn no_vault() {
    let world = World::new();
    world
        .run(&["list"])
        .exits(1)
        .complains(&["no vault is configured", "resguardo init"]);
    world
        .run(&["list", "--vault", "./nowhere"])
        .exits(5)
        .complains(&["holds no vault", "resguardo init"]);
    assert!(!world.path("nowhere").exists(), "looking makes no folders");
}

#[test]
fn a_source_that_may_not_be_read() {
    let world = World::unprivileged();
    world.set_up();
    std::fs::set_permissions(
        world.path("shop.db"),
        std::fs::Permissions::from_mode(0o000),
    )
    .unwrap();
    world
        .run(&["backup"])
        .exits(4)
        .complains(&["shop", "permission denied", "hint: "]);
    assert!(world.objects("shop/snapshots", ".head.json").is_empty());
}

#[test]
fn a_vault_that_may_not_be_written() {
    let world = World::unprivileged();
    world.set_up();
    world.backup();
    let source = world.path("vault/shop");
    let modes = |mode| {
        for folder in ["", "packs", "snapshots", "index", "receipts"] {
            let folder = source.join(folder);
            if folder.exists() {
                std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    };
    modes(0o500);
    let ran = world.run(&["backup"]);
    modes(0o700);
    ran.exits(5).complains(&["access denied", "hint: "]);
    assert_eq!(world.objects("shop/snapshots", ".head.json").len(), 1);
    world.run(&["verify"]).exits(0);
}

#[test]
fn a_vault_of_a_newer_format() {
    let world = World::with_shop();
    let path = world.path("vault/vault.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    for verb in ["backup", "list", "verify", "drill"] {
        world.run(&[verb]).exits(5).complains(&[
            "vault.json has format 2",
            "reads format 1",
            "install a newer version of Resguardo",
        ]);
    }
}

#[test]
fn a_vault_that_somebody_changed() {
    let world = World::with_shop();
    world.backup();
    let path = world.path("vault/vault.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let start = text.find("age1").unwrap();
    let changed = format!(
        "{}age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq{}",
        &text[..start],
        &text[start + 62..]
    );
    std::fs::write(&path, changed).unwrap();
    world.run(&["backup"]).exits(5).complains(&[
        "vault.json differs from this host's write key",
        "do not back up",
    ]);
    world
        .run(&["doctor"])
        .exits(3)
        .prints(&["PROBLEM", "vault.json differs"]);
    let run =
        world.run(&["receipts", "list", "--json"]).exits(0).json()["receipts"][0]["run"].clone();
    let run = run.as_str().unwrap();
    for verb in [
        &["list"][..],
        &["show", "latest"],
        &["verify", "--all"],
        &["receipts", "list"],
        &["receipts", "verify"],
        &["receipts", "verify", run],
        &["receipts", "show", run],
        &["keys", "list"],
        &["keys", "rehearse"],
        &["catalog", "rebuild"],
        &["catalog", "runs"],
        &["vault", "access"],
    ] {
        world.run(verb).exits(0).complains(&[
            "vault.json is not what this machine expects",
            "somebody wants to read your backups",
        ]);
    }
    for verb in [
        &["vault", "access", "--reviewed"][..],
        &["keys", "rotate", "identity"],
        &["pin", "latest", "--reason", "audit"],
        &["prune"],
    ] {
        world
            .run(verb)
            .exits(5)
            .complains(&["vault.json differs from this host's write key"]);
    }
}

#[test]
fn a_missing_identity() {
    let world = World::with_shop();
    world.backup();
    std::fs::rename(world.keys().join("identity.txt"), world.path("away.txt")).unwrap();
    world
        .run(&["restore", "latest", "--to", "x.db"])
        .exits(1)
        .complains(&["no identity", "--identity FILE"]);
    assert!(!world.path("x.db").exists());
    world
        .run(&[
            "restore",
            "latest",
            "--to",
            "x.db",
            "--identity",
            "nope.txt",
        ])
        .exits(1)
        .complains(&["nope.txt", "--identity FILE"]);
    world
        .run(&[
            "restore",
            "latest",
            "--to",
            "x.db",
            "--identity",
            "away.txt",
        ])
        .exits(0);
}

#[test]
fn a_wrong_identity() {
    let world = World::with_shop();
    world.backup();
    let other = World::with_shop();
    let wrong = other.keys().join("identity.txt");
    let wrong = wrong.to_str().unwrap();
    world
        .run(&["restore", "latest", "--to", "x.db", "--identity", wrong])
        .exits(1)
        .complains(&["is not encrypted to the identity", "--identity FILE"]);
    assert!(!world.path("x.db").exists());
    let ran = world
        .run(&["drill", "--json", "--identity", wrong])
        .exits(3);
    assert_eq!(ran.json()["drills"][0]["verdict"], "error");
    world.write("text.txt", "hello");
    world
        .run(&["show", "latest", "--identity", "text.txt"])
        .exits(0);
    world
        .run(&[
            "restore",
            "latest",
            "--to",
            "x.db",
            "--identity",
            "text.txt",
        ])
        .exits(1)
        .complains(&["text.txt", "that is no identity"]);
}

#[test]
fn a_corrupted_object() {
    let world = World::with_shop();
    let first = world.backup();
    let before = world.objects("shop/packs", ".age");
    rusqlite::Connection::open(world.path("shop.db"))
        .unwrap()
        .execute(
            "update customers set note = hex(randomblob(40)) where id > 250",
            [],
        )
        .unwrap();
    let second = world.backup();
    let added: Vec<_> = world
        .objects("shop/packs", ".age")
        .into_iter()
        .filter(|pack| !before.contains(pack))
        .collect();
    let pack = &added[0];
    let mut bytes = std::fs::read(pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(pack, bytes).unwrap();

    let name = pack.file_name().unwrap().to_str().unwrap();
    let found = world.run(&["verify", "--json"]).exits(3).json();
    assert_eq!(found["findings"][0]["kind"], "pack-damaged");
    assert!(
        found["findings"][0]["object"]
            .as_str()
            .unwrap()
            .ends_with(name)
    );
    assert_eq!(
        found["findings"][0]["backups_hit"],
        serde_json::json!([second])
    );
    assert_eq!(found["whole"], serde_json::json!([first]));
    world
        .run(&["verify"])
        .exits(3)
        .prints(&["pack-damaged", name, &second, &first]);

    world
        .run(&["restore", &second, "--to", "x.db"])
        .exits(3)
        .complains(&["hint: "]);
    assert!(!world.path("x.db").exists());
    world.run(&["restore", &first, "--to", "x.db"]).exits(0);
    world.run(&["drill", &second]).exits(3);
}

#[test]
fn a_text_without_quotes() {
    let world = World::new();
    world.write("resguardo.toml", "[vault]\nurl = ./vault\n");
    world
        .run(&["list"])
        .exits(1)
        .complains(&["hint: a text needs quotes: url = \"./vault\""]);
}

#[test]
fn the_last_recipient_and_a_time_to_come_are_refused_with_what_to_do() {
    let world = World::with_shop();
    world.backup();
    let keys = world.run(&["keys", "list", "--json"]).exits(0).json();
    let recipient = keys["recipients"][0]["recipient"].clone();
    world
        .run(&["keys", "retire", recipient.as_str().unwrap()])
        .exits(1)
        .complains(&["last recipient", "--instead-of"]);
    let later = ["--signed-before", "2999-01-01T00:00:00Z"];
    world
        .run(&[&["keys", "rotate", "writer"][..], &later].concat())
        .exits(1)
        .complains(&["still to come"]);
}
