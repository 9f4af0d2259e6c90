//! SIGKILL at moments drawn from a seed: whatever was at work, the next run of the same command goes on,
//! the vault and its copy are whole, and everything that was said to stand restores.

use std::time::{Duration, Instant};

use resguardo_testkit::S3Server;
use rusqlite::Connection;
use serde_json::Value;

use crate::world::{Ran, World, ask, finish, send, shop};

/// What is killed, one after the other.
const VERBS: [&[&str]; 4] = [
    &["backup", "--json"],
    &["prune", "--json"],
    &["copy", "sync", "--json"],
    &["restore", "shop", "--to", "restored.db", "--json"],
];

/// SplitMix64: the same moments in every run, as far as a machine allows.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

/// Kills each verb so many times, and lets it run to its end each time after.
struct Campaign {
    world: World,
    chance: Chance,
    /// Backups that were said to stand, and the sum that their shop had.
    stand: Vec<(String, String)>,
    killed: u32,
}

impl Campaign {
    fn new(world: World, vault: &str, copy: &str, seed: u64) -> Self {
        shop(&world.path("shop.db"), 20_000);
        let source = "shop=./shop.db";
        world
            .run(&["init", "--vault", vault, "--source", source, "--yes"])
            .exits(0);
        let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
        let config = config.replacen("[vault]\n", &format!("[vault]\ncopies = [\"{copy}\"]\n"), 1);
        let kept = "[environments.production]\nretention = { last = 3 }";
        let config = config.replace("[environments.production]", kept);
        let config = match config.contains("\nenvironment = \"production\"") {
            true => config,
            false => config.replace(
                "[sources.shop]",
                "[sources.shop]\nenvironment = \"production\"",
            ),
        };
        assert!(config.contains(copy) && config.contains(kept));
        world.write("resguardo.toml", &config);
        Self {
            world,
            chance: Chance(seed),
            stand: Vec::new(),
            killed: 0,
        }
    }

    fn change(&mut self) {
        let shop = Connection::open(self.world.path("shop.db")).unwrap();
        let from = self.chance.below(19_000);
        shop.execute(
            "UPDATE customers SET note = hex(randomblob(40)) WHERE id BETWEEN ?1 AND ?1 + 500",
            [i64::try_from(from).unwrap()],
        )
        .unwrap();
    }

    fn state(&self, path: &str) -> String {
        ask(
            &self.world.path(path),
            "SELECT count(*) || ' ' || group_concat(note, '') FROM customers",
        )
    }

    fn done(&mut self, verb: &[&str], ran: &Ran) {
        if verb[0] == "backup" {
            let id = ran.json()["backups"][0]["id"].as_str().unwrap().to_owned();
            let state = self.state("shop.db");
            self.stand.push((id, state));
        }
    }

    /// Runs the verb to its end, then again and is killed on the way, then again to its end.
    fn round(&mut self, verb: &[&str]) {
        let _ = std::fs::remove_file(self.world.path("restored.db"));
        self.change();
        let begin = Instant::now();
        let ran = self.world.run(verb).exits(0);
        let whole = begin.elapsed();
        self.done(verb, &ran);

        let _ = std::fs::remove_file(self.world.path("restored.db"));
        self.change();
        let child = self.world.command(verb).spawn().unwrap();
        let thousandth = u32::try_from(self.chance.below(1000)).unwrap();
        std::thread::sleep(whole * thousandth / 1000 + Duration::from_millis(1));
        send("KILL", &child);
        if finish(child).code == -1 {
            self.killed += 1;
        }
        let restored = self.world.path("restored.db");
        if verb[0] == "restore" && restored.exists() {
            assert_eq!(
                self.state("restored.db"),
                self.newest(),
                "whole, or not there"
            );
            std::fs::remove_file(restored).unwrap();
        }
        let ran = self.world.run(verb).exits(0);
        self.done(verb, &ran);
        self.whole();
    }

    fn newest(&self) -> String {
        // A backup whose process was killed after its commit stands too: it is the newest then.
        self.stand.last().unwrap().1.clone()
    }

    /// Nothing is wrong anywhere, and the newest that was said to stand is there.
    fn whole(&self) {
        let run = |words: &[&str]| self.world.run(words).exits(0).json();
        let found = run(&["verify", "--all", "--depth", "bytes", "--json"]);
        assert_eq!(found["findings"], Value::Array(vec![]));
        let listed = run(&["list", "--json"]);
        assert_eq!(listed["findings"], Value::Array(vec![]));
        let backups = listed["backups"].as_array().unwrap();
        if let Some((last, _)) = self.stand.last() {
            assert!(backups.iter().any(|one| one["id"] == *last), "{listed}");
        }
    }

    /// In the end: from the vault and from the copy the newest restores to what its shop held.
    fn ends(mut self) {
        let ran = self.world.run(VERBS[0]).exits(0);
        self.done(VERBS[0], &ran);
        self.world.run(&["copy", "sync"]).exits(0);
        self.world.run(&["copy", "verify"]).exits(0);
        let (id, state) = self.stand.last().unwrap().clone();
        for from in [&[][..], &["--from", "copy"]] {
            let _ = std::fs::remove_file(self.world.path("restored.db"));
            let words = [&["restore", id.as_str(), "--to", "restored.db"], from].concat();
            self.world.run(&words).exits(0);
            assert_eq!(self.state("restored.db"), state);
        }
        assert_eq!(self.world.sandboxes(), 0);
        assert!(
            self.killed > 0,
            "nothing was killed: the moments are all too late"
        );
    }
}

#[test]
fn in_a_folder_at_any_moment() {
    let mut campaign = Campaign::new(World::new(), "./vault", "./copy", 77);
    for _ in 0..3 {
        for verb in VERBS {
            campaign.round(verb);
        }
    }
    assert!(!campaign.world.path("vault/shop/lease.json").exists());
    campaign.ends();
}

#[test]
fn in_a_bucket_at_any_moment() {
    let server = S3Server::s3s_fs();
    server.create_bucket("backups");
    server.create_bucket("copy");
    let world = World::new()
        .with("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY_ID)
        .with("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_ACCESS_KEY)
        .with("AWS_ENDPOINT_URL", &server.endpoint());
    let mut campaign = Campaign::new(world, "s3://backups/shop", "s3://copy/shop", 78);
    for verb in VERBS {
        campaign.round(verb);
    }
    campaign.ends();
}

/// Two processes on one source: one of them does it, the other says who, and both are whole.
#[test]
fn two_at_once() {
    let world = World::new();
    let mut campaign = Campaign::new(world, "./vault", "./copy", 79);
    for other in VERBS {
        campaign.change();
        let children = [VERBS[0], other].map(|verb| campaign.world.command(verb).spawn().unwrap());
        let ended = children.map(finish);
        for ran in &ended {
            assert!(
                [0, 5, 6].contains(&ran.code),
                "{}{}",
                ran.stdout,
                ran.stderr
            );
            if ran.code == 6 {
                assert!(
                    ran.stderr.contains("locked") || ran.stderr.contains("lock"),
                    "{}",
                    ran.stderr
                );
            }
        }
        assert!(ended.iter().any(|ran| ran.code == 0));
        let _ = std::fs::remove_file(campaign.world.path("restored.db"));
        let ran = campaign.world.run(VERBS[0]).exits(0);
        campaign.done(VERBS[0], &ran);
        campaign.whole();
    }
}
