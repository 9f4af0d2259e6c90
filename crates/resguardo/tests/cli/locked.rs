//! Buckets with versions and object locks: a prune meets the lock, says until when, and everything stays
//! restorable. The heads are locked one by one, or everything by a rule of the bucket.

use resguardo_testkit::S3Server;
use rusqlite::Connection;
use serde_json::Value;

use crate::world::{World, shop};

fn locked_bucket() -> S3Server {
    let server = S3Server::moto();
    server.create_locked_bucket("acme");
    server
}

/// Locks the heads of these backups for 30 days, as a rule of the bucket would.
fn lock_heads(server: &S3Server, prefix: &str, ids: &[String]) {
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(30 * 24);
    for id in ids {
        let head = format!("{prefix}/shop/snapshots/{id}.head.json");
        server.lock_object("acme", &head, "COMPLIANCE", &format!("{until:.0}"));
    }
}

/// Three backups of changing data; their ids.
fn back_up_often(world: &World) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..3 {
        let data = Connection::open(world.path("shop.db")).unwrap();
        let sql = format!("UPDATE customers SET note = 'n{number}' WHERE id = 7");
        data.execute(&sql, []).unwrap();
        ids.push(world.backup());
    }
    ids
}

fn keep_one(world: &World) {
    let path = world.path("resguardo.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let header = "[environments.production]";
    assert!(config.contains(header), "{config}");
    let kept = format!("{header}\nretention = {{ last = 1, keep_successful = 1 }}");
    let config = config.replace(header, &kept);
    let config = match config.contains("\nenvironment = \"production\"") {
        true => config,
        false => config.replace(
            "[sources.shop]",
            "[sources.shop]\nenvironment = \"production\"",
        ),
    };
    world.write("resguardo.toml", &config);
}

/// The days until a time.
fn days_until(value: &Value) -> i64 {
    let until: jiff::Timestamp = value.as_str().unwrap().parse().unwrap();
    until.duration_since(jiff::Timestamp::now()).as_hours() / 24
}

#[test]
fn a_prune_of_a_locked_vault_says_until_when() {
    let server = locked_bucket();
    let world = World::new()
        .with("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY_ID)
        .with("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_ACCESS_KEY)
        .with("AWS_ENDPOINT_URL", &server.endpoint());
    shop(&world.path("shop.db"), 100);
    world
        .run(&[
            "init",
            "--vault",
            "s3://acme/shop",
            "--source",
            "shop=./shop.db",
            "--yes",
        ])
        .exits(0);
    let ids = back_up_often(&world);
    lock_heads(&server, "shop", &ids);
    keep_one(&world);
    let foreseen = world.run(&["prune", "--dry-run", "--json"]).exits(0).json();
    let pruned = world.run(&["prune", "--json"]).exits(0).json();
    for answer in [&foreseen, &pruned] {
        assert_eq!(answer["deleted"].as_array().unwrap().len(), 0, "{answer}");
        let kept = answer["kept"].as_array().unwrap();
        assert_eq!(kept.len(), 3);
        let locked = kept.iter().filter(|one| !one["kept_until"].is_null());
        let days: Vec<i64> = locked.map(|one| days_until(&one["kept_until"])).collect();
        assert_eq!(days, [29, 29], "{answer}");
    }
    // Nothing else of it suffers: lists, chains, proofs.
    let listed = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(listed["backups"].as_array().unwrap().len(), 3);
    world.run(&["verify", "--depth", "bytes"]).exits(0);
    world.run(&["drill"]).exits(0);
    let shown = world.run(&["show", "latest", "--json"]).exits(0).json();
    assert_eq!(days_until(&shown["backup"]["locked"]["until"]), 29);
}

#[test]
fn a_bucket_that_locks_all_that_is_new_takes_backups_and_a_prune_says_until_when() {
    let server = locked_bucket();
    server.lock_new_objects("acme", "COMPLIANCE", 30);
    let world = World::new()
        .with("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY_ID)
        .with("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_ACCESS_KEY)
        .with("AWS_ENDPOINT_URL", &server.endpoint());
    shop(&world.path("shop.db"), 100);
    let source = ["--source", "shop=./shop.db"];
    let init = ["init", "--vault", "s3://acme/shop", "--yes"];
    world.run(&[&init[..], &source[..]].concat()).exits(0);
    let ids = back_up_often(&world);
    keep_one(&world);
    let pruned = world.run(&["prune", "--json"]).exits(0).json();
    assert_eq!(pruned["deleted"].as_array().unwrap().len(), 0, "{pruned}");
    let kept = pruned["kept"].as_array().unwrap().iter();
    let until = kept.filter(|one| !one["kept_until"].is_null());
    let days: Vec<i64> = until.map(|one| days_until(&one["kept_until"])).collect();
    assert_eq!(days, [29, 29], "{pruned}");
    // Leases cannot be removed either, and keep nobody out.
    world.backup();
    world.run(&["verify", "--depth", "bytes"]).exits(0);
    world.run(&["pin", &ids[0], "--reason", "audit"]).exits(0);
    world.run(&["restore", &ids[0], "--to", "back.db"]).exits(0);
}

#[test]
fn a_locked_copy_is_filled_pruned_and_mended() {
    let server = locked_bucket();
    let world = World::with_shop().with("OFFSITE_SECRET", S3Server::SECRET_ACCESS_KEY);
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let copy = format!(
        "[vault]\ncopies = [{{ url = \"s3://acme/copy\", name = \"offsite\", endpoint = \"{}\", access_key = \"{}\", secret_key = \"${{OFFSITE_SECRET}}\" }}]\n",
        server.endpoint(),
        S3Server::ACCESS_KEY_ID
    );
    world.write("resguardo.toml", &config.replacen("[vault]\n", &copy, 1));
    let ids = back_up_often(&world);
    lock_heads(&server, "copy", &ids);
    keep_one(&world);
    let pruned = world.run(&["prune", "--json"]).exits(0).json();
    // The vault lets go, the copy cannot.
    assert_eq!(pruned["deleted"].as_array().unwrap().len(), 2);
    let there = &pruned["copies"][0];
    assert_eq!(there["deleted"].as_array().unwrap().len(), 0, "{there}");
    let kept = there["kept"].as_array().unwrap().iter();
    let locked: Vec<_> = kept.filter(|one| !one["kept_until"].is_null()).collect();
    assert_eq!(locked.len(), 2, "{there}");
    assert_eq!(days_until(&locked[0]["kept_until"]), 29);
    world
        .run(&["copy", "status"])
        .exits(0)
        .prints(&["has everything"]);
    world.run(&["copy", "verify"]).exits(0);
    // An object of a locked bucket can be put again: that makes a newer version of it.
    world
        .run(&["copy", "sync", "--mend"])
        .exits(0)
        .prints(&["0 backups sent"]);
    let id = locked[0]["id"].as_str().unwrap();
    world
        .run(&["restore", id, "--from", "offsite", "--to", "back.db"])
        .exits(0);
}
