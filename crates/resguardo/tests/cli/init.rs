//! `init`

use std::os::unix::fs::PermissionsExt as _;

use crate::world::{World, shop};

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn makes_everything_and_says_what_is_next() {
    let world = World::new();
    shop(&world.path("shop.db"), 10);
    let ran = world
        .run(&[
            "init",
            "--vault",
            "./vault",
            "--source",
            "shop=./shop.db",
            "--yes",
        ])
        .exits(0)
        .prints(&[
            "vault",
            "recipients",
            "conditional put works",
            "next:",
            "resguardo doctor",
            "resguardo backup",
            "resguardo drill",
        ])
        .complains(&["put a copy of the identity"]);
    assert!(
        !ran.stdout.contains("AGE-SECRET-KEY"),
        "no secret is printed"
    );
    for name in [
        "resguardo.toml",
        "recovery-kit.md",
        "vault/vault.json",
        "vault/README.txt",
        "vault/read_vault.py",
    ] {
        assert!(world.path(name).is_file(), "{name}");
    }
    for name in ["write-key.json", "identity.txt"] {
        assert_eq!(mode(&world.keys().join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&world.keys()), 0o700);
    let kit = std::fs::read_to_string(world.path("recovery-kit.md")).unwrap();
    assert!(
        kit.contains("read_vault.py") && kit.contains("--source shop"),
        "{kit}"
    );
    let identity = std::fs::read_to_string(world.keys().join("identity.txt")).unwrap();
    let secret = identity
        .lines()
        .find(|line| line.starts_with("AGE-SECRET-KEY-1"))
        .unwrap();
    assert!(!kit.contains(secret), "the kit holds no secret");
    for entry in std::fs::read_dir(world.path("vault")).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(
            !name.to_string_lossy().contains("key"),
            "no key in the vault: {name:?}"
        );
    }
}

#[test]
fn answers_in_json() {
    let world = World::new();
    let ran = world
        .run(&["init", "--vault", "./vault", "--yes", "--json"])
        .exits(0);
    let answer = ran.json();
    assert_eq!(answer["created"], true);
    assert_eq!(answer["probe"]["conditional_put"], true);
    assert_eq!(answer["recipients"].as_array().unwrap().len(), 1);
    assert!(answer["writer"].as_str().unwrap().starts_with("ed25519:"));
}

#[test]
fn overwrites_nothing_and_can_be_run_again() {
    let world = World::with_shop();
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    world
        .run(&[
            "init",
            "--vault",
            "./vault",
            "--source",
            "other=./x.db",
            "--yes",
        ])
        .exits(7)
        .complains(&["resguardo.toml exists already", "hint: "]);
    let before = std::fs::read(world.keys().join("write-key.json")).unwrap();
    world
        .run(&["init", "--yes"])
        .exits(0)
        .prints(&["was there"]);
    assert_eq!(
        std::fs::read_to_string(world.path("resguardo.toml")).unwrap(),
        config
    );
    assert_eq!(
        std::fs::read(world.keys().join("write-key.json")).unwrap(),
        before
    );
}

#[test]
fn a_run_that_died_half_way_is_finished_by_the_next() {
    let world = World::with_shop();
    // Died after the vault was made and before the keys were moved to their place.
    let keys = world.keys();
    let identity = std::fs::read_to_string(keys.join("identity.txt")).unwrap();
    let recipient = identity
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .unwrap();
    for name in ["resguardo.toml", "recovery-kit.md"] {
        std::fs::remove_file(world.path(name)).unwrap();
    }
    std::fs::remove_dir_all(&keys).unwrap();
    let other = World::new();
    other
        .run(&[
            "init",
            "--vault",
            world.path("vault").to_str().unwrap(),
            "--yes",
        ])
        .exits(2)
        .complains(&["--write-only"]);
    // What the dead run had staged: found by the place of the vault.
    let absolute = world.path("vault");
    let staged = world
        .home()
        .join("keys")
        .join(staged_name(&world, absolute.to_str().unwrap()));
    std::fs::create_dir_all(&staged).unwrap();
    std::fs::write(staged.join("identity.txt"), &identity).unwrap();
    std::fs::write(staged.join("recipient.txt"), recipient).unwrap();
    world.init("./vault");
    assert!(!staged.exists());
    assert_eq!(
        std::fs::read_to_string(world.keys().join("identity.txt")).unwrap(),
        identity
    );
    world.backup();
    world.run(&["drill"]).exits(0);
}

/// The name of the folder in which `init` stages the identity of a vault without an id.
fn staged_name(_world: &World, place: &str) -> String {
    format!(
        "new-{}",
        resguardo_model::Sha256Digest::of(place.as_bytes()).short()
    )
}

#[test]
fn a_write_only_host_backs_up_and_cannot_read() {
    let operator = World::new();
    operator
        .run(&["init", "--vault", "./vault", "--yes"])
        .exits(0);
    let description = std::fs::read_to_string(operator.path("vault/vault.json")).unwrap();
    let recipient = description
        .split('"')
        .find(|part| part.starts_with("age1"))
        .unwrap()
        .to_owned();
    let vault = operator.path("vault");
    let vault = vault.to_str().unwrap();

    let host = World::new();
    shop(&host.path("shop.db"), 100);
    host.run(&["init", "--vault", "./new", "--write-only", "--yes"])
        .exits(2)
        .complains(&["at least one --recipient"]);
    host.run(&[
        "init",
        "--vault",
        vault,
        "--source",
        "shop=./shop.db",
        "--yes",
    ])
    .exits(2)
    .complains(&["--identity FILE", "--write-only"]);
    let wrong = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    host.run(&[
        "init",
        "--vault",
        vault,
        "--write-only",
        "--recipient",
        wrong,
        "--yes",
    ])
    .exits(5)
    .complains(&["other recipients", &recipient]);
    host.run(&[
        "init",
        "--vault",
        vault,
        "--write-only",
        "--recipient",
        &recipient,
        "--source",
        "shop=./shop.db",
        "--yes",
    ])
    .exits(0)
    .prints(&["not on this machine", "joined"]);
    assert!(!host.keys().join("identity.txt").exists());
    host.backup();
    let second = host.run(&["backup", "--json"]).exits(0).json();
    assert!(
        second["backups"][0]["stored_bytes"].as_u64().unwrap() < 20_000,
        "it deduplicates: {second}"
    );
    host.run(&["verify", "--depth", "heads"]).exits(0);
    host.run(&["restore", "latest", "--to", "x.db"])
        .exits(1)
        .complains(&["identity"]);
}

#[test]
fn backups_of_another_host_are_believed_once_its_writer_is() {
    let operator = World::new();
    operator
        .run(&["init", "--vault", "./vault", "--yes"])
        .exits(0);
    let vault = operator.path("vault");
    let vault = vault.to_str().unwrap();
    let host = World::new();
    shop(&host.path("shop.db"), 100);
    let source = ["--source", "shop=./shop.db", "--write-only", "--yes"];
    host.run(&[&["init", "--vault", vault], &source[..]].concat())
        .exits(0);
    let id = host.backup();

    let by_name = ["restore", "shop", "--to", "x.db"];
    let by_id = ["restore", &id, "--to", "x.db"];
    operator
        .run(&by_name)
        .exits(7)
        .complains(&["trusted here", "resguardo init --trust ed25519:"]);
    operator.run(&by_id).exits(7).complains(&[
        "is signed by ed25519:",
        "not trusted here",
        "resguardo init --trust ed25519:",
    ]);
    operator
        .run(&["list"])
        .exits(0)
        .complains(&["1 backup is signed by a writer that is not trusted here"]);
    let trusted = || {
        let answer = operator.run(&["list", "--json"]).exits(0).json();
        answer["backups"][0]["trusted"].as_bool().unwrap()
    };
    assert!(!trusted());
    let kit = std::fs::read_to_string(host.path("recovery-kit.md")).unwrap();
    let writer = kit
        .split('`')
        .find(|part| part.starts_with("ed25519:"))
        .unwrap();
    operator.run(&["init", "--trust", writer]).exits(0);
    assert!(trusted());
    operator.run(&by_name).exits(0);
}

#[test]
fn a_protected_identity() {
    let world = World::new();
    shop(&world.path("shop.db"), 10);
    world.write("pass.txt", "correct horse\n");
    world
        .run(&[
            "init",
            "--vault",
            "./vault",
            "--source",
            "shop=./shop.db",
            "--yes",
            "--passphrase-file",
            "pass.txt",
        ])
        .exits(0)
        .prints(&["protected by a passphrase"]);
    world.backup();
    world
        .run(&["drill"])
        .exits(1)
        .complains(&["protected by a passphrase", "RESGUARDO_PASSPHRASE"]);
    world
        .run(&["drill", "--passphrase-file", "pass.txt"])
        .exits(0);
    let world = world.with("RESGUARDO_PASSPHRASE", "wrong");
    world
        .run(&["drill"])
        .exits(1)
        .complains(&["the passphrase does not open the identity"]);
}

#[test]
fn the_kit_in_spanish() {
    let world = World::new();
    world
        .run(&["init", "--vault", "./vault", "--yes", "--lang", "es"])
        .exits(0);
    let kit = std::fs::read_to_string(world.path("recovery-kit.md")).unwrap();
    assert!(kit.contains("# Kit de recuperación"), "{kit}");
}

#[test]
fn a_folder_with_something_else_in_it_is_refused() {
    let world = World::new();
    std::fs::create_dir(world.path("photos")).unwrap();
    world.write("photos/cat.jpg", "meow");
    world
        .run(&["init", "--vault", "./photos", "--yes"])
        .exits(7)
        .complains(&["is not empty and holds no vault", "cat.jpg"]);
    assert!(!world.path("photos/vault.json").exists());
    assert!(!world.path("resguardo.toml").exists());
}

#[test]
fn a_postgres_source_keeps_its_password_in_the_variable() {
    let url = "postgresql://ana:s3cret@127.0.0.1:1/tienda?sslmode=disable";
    let world = World::new().with("DATABASE_URL", url);
    world.run(&["init", "--vault", "./vault", "--yes"]).exits(0);
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    for line in [
        "[sources.tienda]",
        "engine = \"postgres\"",
        "url = \"${DATABASE_URL}\"",
    ] {
        assert!(config.contains(line), "{line} is missing in\n{config}");
    }
    assert!(!config.contains("s3cret"));
    let shown = world.run(&["config", "show"]).exits(0);
    let shown = shown.prints(&["postgresql://ana:***@127.0.0.1:1/tienda"]);
    assert!(!shown.stdout.contains("s3cret"));
}

#[test]
fn what_it_cannot_ask() {
    let world = World::new();
    world
        .run(&["init"])
        .exits(2)
        .complains(&["--vault", "--yes"]);
    world
        .run(&[
            "init",
            "--vault",
            "./vault",
            "--source",
            "shop=mysql://db/shop",
            "--yes",
        ])
        .exits(1)
        .complains(&["there is no engine mysql"]);
    let ran = world
        .run(&[
            "init",
            "--vault",
            "./vault",
            "--source",
            "shop=postgres://ana:s3cret@db/shop",
            "--yes",
        ])
        .exits(2)
        .complains(&["the password would stand in the config", "${SHOP_URL}"]);
    assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    world
        .run(&["init", "--vault", "ftp://host/x", "--yes"])
        .exits(1)
        .complains(&["the scheme ftp:// is not known"]);
    assert!(!world.path("vault").exists());
}

#[test]
fn whoever_joins_is_told_whom_it_does_not_trust_yet() {
    let first = World::with_shop();
    first.backup();
    let kit = std::fs::read_to_string(first.path("recovery-kit.md")).unwrap();
    let writer = kit
        .split('`')
        .find(|part| part.starts_with("ed25519:"))
        .unwrap();
    let vault = first.path("vault");
    let identity = first.keys().join("identity.txt");
    let second = World::new();
    let join = [
        "init",
        "--vault",
        vault.to_str().unwrap(),
        "--identity",
        identity.to_str().unwrap(),
        "--yes",
    ];
    second.run(&join).exits(0).complains(&[
        "backups of shop are signed by ed25519:",
        &format!("`resguardo init --trust {writer}`"),
    ]);
    second
        .run(&["restore", "latest", "--to", "x.db"])
        .exits(7)
        .complains(&["resguardo init --trust"]);
    let again = second.run(&["init", "--yes", "--json"]).exits(0).json();
    let expected = serde_json::json!([{ "writer": writer, "sources": ["shop"] }]);
    assert_eq!(again["untrusted_writers"], expected);
    let trusting = second.run(&["init", "--trust", writer]).exits(0);
    assert!(!trusting.stderr.contains("--trust"), "{}", trusting.stderr);
    second.run(&["restore", "latest", "--to", "x.db"]).exits(0);
}

#[test]
fn a_source_whose_file_is_not_there_is_noted() {
    let world = World::new();
    world
        .run(&["init", "--source", "shop", "--yes"])
        .exits(2)
        .complains(&["there is no file shop here", "--source shop=./shop.db"]);
    assert!(!world.path("vault").exists());
    let answer = world
        .run(&["init", "--source", "shop=./nofile.db", "--yes", "--json"])
        .exits(0)
        .json();
    assert_eq!(answer["absent_sources"][0]["name"], "shop");
    let world = World::new();
    world
        .run(&["init", "--source", "shop=./nofile.db", "--yes"])
        .exits(0)
        .complains(&["source shop: there is no file", "nofile.db"]);
    // A path without a name names the source after its file.
    let world = World::new();
    shop(&world.path("blog.sqlite"), 5);
    world
        .run(&["init", "--source", "./blog.sqlite", "--yes"])
        .exits(0);
    world.run(&["backup", "blog"]).exits(0);
}

#[test]
fn a_vault_without_its_description_is_not_begun_anew() {
    let world = World::with_shop();
    world.backup();
    let description = world.path("vault/vault.json");
    let kept = std::fs::read(&description).unwrap();
    std::fs::remove_file(&description).unwrap();
    for verb in ["init", "list", "backup"] {
        let arguments: &[&str] = if verb == "init" {
            &["init", "--yes"]
        } else {
            &[verb]
        };
        let ran = world
            .run(arguments)
            .exits(5)
            .complains(&["has lost its vault.json", "hint: bring vault.json back"]);
        assert!(!ran.stderr.contains("set it up"), "{verb}: {}", ran.stderr);
    }
    world
        .run(&["doctor"])
        .exits(3)
        .prints(&["has lost its vault.json", "next: bring vault.json back"]);
    std::fs::write(&description, kept).unwrap();
    world.run(&["verify"]).exits(0);
}
