//! `prune`, `pin` and `unpin`

use resguardo_testkit::S3Server;
use serde_json::{Value, json};

use crate::world::World;

/// A shop with so many backups, of an environment with this retention.
fn world_with(backups: usize, retention: &str) -> (World, Vec<String>) {
    let world = World::with_shop();
    world.retain(retention);
    let ids = (0..backups).map(|_| world.backup()).collect();
    (world, ids)
}

impl World {
    /// Sets what is kept of the environment of the shop.
    fn retain(&self, retention: &str) {
        let path = self.path("resguardo.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let kept: Vec<&str> = config
            .lines()
            .filter(|line| !line.starts_with("retention = "))
            .collect();
        let header = "[environments.production]";
        let config = kept.join("\n") + "\n";
        assert!(config.contains(header), "{config}");
        let config = config.replace(header, &format!("{header}\nretention = {retention}"));
        let config = match config.contains("\nenvironment = \"production\"") {
            true => config,
            false => config.replace(
                "[sources.shop]",
                "[sources.shop]\nenvironment = \"production\"",
            ),
        };
        self.write("resguardo.toml", &config);
    }

    fn listed(&self) -> Vec<String> {
        let answer = self.run(&["list", "--json"]).exits(0).json();
        assert_eq!(answer["findings"], json!([]));
        ids(&answer["backups"])
    }
}

fn ids(backups: &Value) -> Vec<String> {
    let backups = backups.as_array().unwrap().iter();
    backups
        .map(|backup| backup["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn without_retention_nothing_is_deleted_and_that_is_said() {
    let world = World::with_shop();
    world
        .run(&["prune"])
        .exits(0)
        .prints(&["no source has a backup yet"]);
    let id = world.backup();
    for arguments in [&["prune"][..], &["prune", "--dry-run"], &["prune", "shop"]] {
        world.run(arguments).exits(0).prints(&[
            "shop: nothing is deleted",
            "has no retention",
            "retention = {",
        ]);
    }
    let answer = world.run(&["prune", "--json"]).exits(0).json();
    assert_eq!(ids(&answer["kept"]), [id]);
    assert_eq!(answer["kept"][0]["why"], "no retention is set");
    assert_eq!(answer["deleted"], json!([]));
    assert_eq!(answer["freed_bytes"], 0);
    assert_eq!(answer["sources"][0]["retention"], Value::Null);
}

#[test]
fn every_decision_is_explained_before_and_after() {
    let (world, taken) = world_with(4, "{ last = 1, keep_successful = 1 }");
    let ran = world.run(&["prune", "--dry-run"]).exits(0).prints(&[
        "shop (production: last 1)",
        "ALONE FREES",
        &taken[0][..10],
        "delete",
        "not of the last 1",
        "keep",
        "last 1; the last backup",
        "would delete 3 of 4 backups, which frees",
        "4 backups of",
    ]);
    assert!(!ran.stdout.contains(&taken[0]), "short ids: {}", ran.stdout);
    let answer = world.run(&["prune", "-n", "--json"]).exits(0).json();
    assert_eq!(answer["dry_run"], true);
    assert_eq!(ids(&answer["deleted"]), taken[..3]);
    assert_eq!(ids(&answer["kept"]), taken[3..]);
    assert_eq!(world.listed(), taken, "a dry run deletes nothing");

    let done = world.run(&["prune", "--json"]).exits(0).json();
    assert_eq!(done["dry_run"], false);
    for field in ["kept", "deleted", "freed_bytes"] {
        assert_eq!(done[field], answer[field], "{field}");
    }
    assert_eq!(done["deleted"][0]["why"], "not of the last 1");
    assert!(done["deleted"][0]["frees_bytes"].is_u64());
    let source = &done["sources"][0];
    assert_eq!(
        (&source["kept"], &source["deleted"]),
        (&json!(1), &json!(3))
    );
    assert!(source["receipt"].is_string() && source["run"].is_string());
    assert!(source["objects"]["waiting_until"].is_string());
    assert_eq!(world.listed(), taken[3..]);

    // Nothing is missed, and what stays comes back.
    world.run(&["verify", "--all"]).exits(0);
    world.run(&["receipts", "verify"]).exits(0);
    world.run(&["receipts", "list"]).exits(0).prints(&["prune"]);
    world
        .run(&["catalog", "runs"])
        .exits(0)
        .prints(&["prune", "3 backups deleted"]);
    world.run(&["restore", "shop", "--to", "back.db"]).exits(0);
    world
        .run(&["prune"])
        .exits(0)
        .prints(&["shop: deleted 0 of 1 backup", "wait until"]);
    world.run(&["drill"]).exits(0);
    world.run(&["doctor"]);
}

#[test]
fn a_policy_that_keeps_nothing_has_to_be_meant() {
    let (world, taken) = world_with(3, "{ last = 1 }");
    world.retain("{ daily = 0 }");
    world.run(&["prune"]).exits(1).complains(&[
        "this retention keeps nothing but the last 2 backups",
        "retention = \"minimum\"",
        "resguardo.toml:",
    ]);
    world.retain("{ dayly = 3 }");
    world
        .run(&["prune"])
        .exits(1)
        .complains(&["unknown key dayly", "did you mean daily?"]);
    world.retain("{ daily = -3 }");
    world
        .run(&["prune"])
        .exits(1)
        .complains(&["-3", "expected u32"]);
    world.retain("\"minimum\"\ntimezone = \"America/Macondo\"");
    world
        .run(&["prune"])
        .exits(1)
        .complains(&["America/Macondo is not a time zone"]);
    world.retain("\"minimum\"");
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let config = config.replace("timezone = \"America/Macondo\"\n", "");
    world.write("resguardo.toml", &config);
    world
        .run(&["prune"])
        .exits(0)
        .prints(&["deleted 1 of 3 backups"]);
    assert_eq!(world.listed(), taken[1..]);
}

#[test]
fn a_pin_keeps_and_shows() {
    let (world, taken) = world_with(4, "{ last = 1 }");
    let id = &taken[0][..];
    world.run(&["pin", id]).exits(2).complains(&["--reason"]);
    world
        .run(&["pin", id, "--reason", "x", "--until", "2020-01-01"])
        .exits(2)
        .complains(&["over already", "hint:"]);
    world
        .run(&["pin", id, "--reason", "x", "--until", "tomorrow"])
        .exits(2)
        .complains(&["tomorrow", "a day is written like 2032-12-31"]);
    world
        .run(&["pin", "zzzzzz", "--reason", "x"])
        .exits(1)
        .complains(&["there is no backup zzzzzz"]);
    world
        .run(&[
            "pin",
            id,
            "--reason",
            "closing of 2026",
            "--until",
            "2999-12-31",
        ])
        .exits(0)
        .prints(&["is kept through 2999-12-31"]);
    world.run(&["prune"]).exits(0).prints(&["deleted 1 of 4"]);
    assert_eq!(world.listed(), [&taken[..1], &taken[2..]].concat());
    world
        .run(&["prune", "--dry-run"])
        .exits(0)
        .prints(&["pinned until 2999-12-31: closing of 2026"]);
    world
        .run(&["list"])
        .exits(0)
        .prints(&["PINNED", "until 2999-12-31: closing of 2026"]);
    world
        .run(&["show", id])
        .exits(0)
        .prints(&["pinned", "deleting it", "frees"]);
    let shown = world.run(&["show", id, "--json"]).exits(0).json();
    assert_eq!(shown["backup"]["pinned"]["reason"], "closing of 2026");
    assert!(shown["backup"]["frees_bytes"].is_u64());
    let answer = world.run(&["unpin", id, "--json"]).exits(0).json();
    assert_eq!(
        (&answer["pinned"], &answer["was_pinned"]),
        (&json!(false), &json!(true))
    );
    world
        .run(&["unpin", id])
        .exits(0)
        .prints(&["was not pinned"]);
    world.run(&["prune"]).exits(0).prints(&["deleted 1 of 3"]);
    assert_eq!(world.listed(), taken[2..]);
    world.run(&["receipts", "verify"]).exits(0);
}

#[test]
fn a_source_that_no_config_knows_is_left_alone_and_named() {
    let (world, taken) = world_with(3, "{ last = 1 }");
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    world.write(
        "other.toml",
        &config.replace("[sources.shop]", "[sources.blog]"),
    );
    let other = |arguments: &[&str]| world.run(&[arguments, &["--config", "other.toml"]].concat());
    other(&["prune"]).exits(0).complains(&[
        "shop is not in the config: its 3 backups are left alone",
        "--environment",
    ]);
    let answer = other(&["prune", "--json"]).exits(0).json();
    assert_eq!(
        answer["left_alone"],
        json!([{ "source": "shop", "backups": 3 }])
    );
    other(&["prune", "shop"]).exits(1).complains(&[
        "no retention holds for it",
        "resguardo prune shop --environment production",
    ]);
    other(&["prune", "shop", "--environment", "produktion"])
        .exits(1)
        .complains(&[
            "there is no environment produktion",
            "did you mean production?",
        ]);
    other(&["prune", "shpo"])
        .exits(1)
        .complains(&["no backup of shpo", "did you mean shop?"]);
    other(&["prune", "blog"]).exits(0);
    other(&["prune", "shop", "--environment", "production"]).exits(0);
    assert_eq!(world.listed(), taken[1..]);
}

#[test]
fn a_machine_without_a_write_key_only_explains() {
    let (world, taken) = world_with(3, "{ last = 1 }");
    std::fs::remove_file(world.keys().join("write-key.json")).unwrap();
    world
        .run(&["prune", "--dry-run"])
        .exits(0)
        .prints(&["would delete 1 of 3"]);
    world
        .run(&["prune"])
        .exits(1)
        .complains(&["write key", "hint:"]);
    assert_eq!(world.listed(), taken);
}

#[test]
fn days_of_the_environment_without_a_file() {
    let world = World::new();
    crate::world::shop(&world.path("shop.db"), 10);
    let init = [
        "init",
        "--vault",
        "./vault",
        "--config",
        "elsewhere/resguardo.toml",
        "--yes",
    ];
    world.run(&init).exits(0);
    let world = world
        .with("DATABASE_URL", "file:./shop.db")
        .with("BACKUP_DIR", "./vault")
        .with("BACKUP_RETENTION_DAYS", "30");
    world.backup();
    world
        .run(&["prune", "--dry-run"])
        .exits(0)
        .prints(&["local: within 30d", "within 30d; one of the last 2 backups"]);
    world
        .again_with("BACKUP_RETENTION_DAYS", "0")
        .run(&["prune"])
        .exits(1)
        .complains(&["not a whole number of days"]);
}

#[test]
fn in_a_bucket_and_told_by_the_doctor() {
    let server = S3Server::s3s_fs();
    server.create_bucket("backups");
    let world = World::new()
        .with("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY_ID)
        .with("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_ACCESS_KEY)
        .with("AWS_ENDPOINT_URL", &server.endpoint());
    crate::world::shop(&world.path("shop.db"), 100);
    let init = [
        "init",
        "--vault",
        "s3://backups/shop",
        "--source",
        "shop=./shop.db",
        "--yes",
    ];
    world.run(&init).exits(0);
    world
        .run(&["doctor"])
        .prints(&["keeps everything: nothing is ever deleted"]);
    world.retain("{ last = 1, keep_successful = 1 }");
    world
        .run(&["doctor"])
        .exits(0)
        .prints(&["production keeps last 1, days of UTC"]);
    let taken: Vec<String> = (0..4).map(|_| world.backup()).collect();
    world
        .run(&["pin", &taken[0], "--reason", "the first"])
        .exits(0);
    world
        .run(&["prune"])
        .exits(0)
        .prints(&["deleted 2 of 4 backups"]);
    assert_eq!(world.listed(), [&taken[..1], &taken[3..]].concat());
    world.run(&["verify", "--all"]).exits(0);
    world.run(&["unpin", &taken[0]]).exits(0);
    world
        .run(&["prune"])
        .exits(0)
        .prints(&["deleted 1 of 2 backups"]);
    world.run(&["verify", "--all"]).exits(0);
    world.run(&["drill"]).exits(0);
}

#[test]
fn prune_names_a_copy_that_is_gone_and_does_all_else() {
    let (world, _) = world_with(0, "{ last = 1, keep_successful = 1 }");
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let copies = "[vault]\ncopies = [\"./offsite\", \"./second\"]\n";
    world.write("resguardo.toml", &config.replacen("[vault]\n", copies, 1));
    (0..3).for_each(|_| drop(world.backup()));
    // A pin that is at a copy alone keeps in the vault as well.
    let pinned = world.listed().remove(0);
    world.run(&["pin", &pinned, "--reason", "audit"]).exits(0);
    std::fs::remove_dir_all(world.path("vault/shop/pins")).unwrap();
    std::fs::remove_dir_all(world.path("offsite")).unwrap();
    let ended = world.run(&["prune", "--json"]).exits(5);
    let answer = ended.json();
    assert_eq!(answer["kept"].as_array().unwrap().len(), 2);
    assert_eq!(answer["deleted"].as_array().unwrap().len(), 1);
    let copies = answer["copies"].as_array().unwrap();
    assert_eq!(copies[0]["copy"], "offsite");
    let message = copies[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("the copy offsite is gone"), "{message}");
    assert_eq!(copies[1]["copy"], "second");
    assert_eq!(copies[1]["deleted"].as_array().unwrap().len(), 1);
    assert!(world.listed().contains(&pinned));
    world
        .run(&["prune"])
        .exits(5)
        .complains(&["the copy offsite is gone", "copy sync offsite --new"]);
    world.run(&["prune", "--no-copies"]).exits(0);
}
