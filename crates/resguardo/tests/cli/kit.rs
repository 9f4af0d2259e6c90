//! The recovery kit, followed to the letter on a machine that has no Resguardo: its commands are taken out
//! of the page and run in an empty folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{World, ask};

/// A machine with the tools that the page names, and nothing else.
pub struct Elsewhere {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

const TOOLS: [(&str, &str); 4] = [
    ("python3", "python3"),
    ("age", "age"),
    ("zstd", "zstd"),
    ("openssl", "openssl"),
];

impl Elsewhere {
    /// With the identity, as it comes from where it is kept.
    pub fn new(identity: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        let path = std::env::var("PATH").unwrap();
        let has =
            |tool: &str| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
        for (tool, package) in TOOLS {
            assert!(has(tool), "{tool} is missing: apt install {package}");
        }
        assert!(!has("resguardo"), "there is a Resguardo in {path}");
        std::fs::copy(identity, folder.path().join("work/identity.txt")).unwrap();
        Self {
            folder,
            variables: vec![("PATH".to_owned(), path)],
        }
    }

    /// With a variable; a second `PATH` comes before the first.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        match self.variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, before)) => *before = format!("{value}:{before}"),
            None => self.variables.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// A path in the folder where the commands run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    /// Runs commands; the first that fails ends the test.
    #[track_caller]
    pub fn follow(&self, commands: &str) -> String {
        let output = Command::new("/bin/sh")
            .args(["-euc", commands])
            .current_dir(self.path(""))
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{commands}\n{stdout}\n{stderr}");
        stdout
    }
}

/// The commands of a page below a heading, block by block.
pub fn blocks(page: &str, heading: &str) -> Vec<String> {
    let start = page
        .find(&format!("\n## {heading}"))
        .unwrap_or_else(|| panic!("no {heading:?} in\n{page}"));
    let section = page[start + 4..].split("\n## ").next().unwrap();
    let mut parts = section.split("```");
    let mut blocks = Vec::new();
    while let (Some(_), Some(block)) = (parts.next(), parts.next()) {
        blocks.push(block.strip_prefix("sh\n").unwrap_or(block).to_owned());
    }
    assert!(
        !blocks.is_empty(),
        "no commands below {heading:?} in\n{page}"
    );
    blocks
}

fn page(world: &World) -> String {
    std::fs::read_to_string(world.path("recovery-kit.md")).unwrap()
}

/// By hand: what the page says to put in the place of BACKUP and PACK is read from what it says to print.
fn by_hand(elsewhere: &Elsewhere, commands: &str, id: &str, [backup, pack_word, data]: [&str; 3]) {
    let commands = commands.replace(backup, id);
    let mut lines = commands.lines();
    let head = elsewhere.follow(lines.next().unwrap());
    let head: serde_json::Value = serde_json::from_str(&head).unwrap();
    let manifest = elsewhere.follow(lines.next().unwrap());
    assert!(
        manifest.lines().any(|line| line.contains("\"extents\"")),
        "{manifest}"
    );
    let open = lines.next().unwrap();
    let mut rows = 0;
    for pack in head["head"]["packs"].as_array().unwrap() {
        elsewhere.follow(&open.replace(pack_word, pack["sha256"].as_str().unwrap()));
        let data = std::fs::read(elsewhere.path(data)).unwrap();
        rows += data
            .windows(9)
            .filter(|window| window == b"Cliente 5")
            .count();
    }
    assert!(rows >= 12, "5, 50 to 59 and 500 lie in the packs: {rows}");
}

#[test]
fn the_page_alone_brings_a_sqlite_database_back() {
    for (lang, without, hand, words) in [
        (
            "en",
            "Without Resguardo",
            "By hand",
            ["BACKUP", "PACK", "data"],
        ),
        (
            "es",
            "Sin Resguardo",
            "A mano",
            ["RESPALDO", "PAQUETE", "datos"],
        ),
    ] {
        let world = World::new();
        crate::world::shop(&world.path("shop.db"), 500);
        let init = [
            "--lang",
            lang,
            "init",
            "--vault",
            "./vault",
            "--source",
            "shop=./shop.db",
            "--yes",
        ];
        world.run(&init).exits(0);
        let id = world.backup();
        let page = page(&world);
        let elsewhere = Elsewhere::new(&world.keys().join("identity.txt"));
        for block in blocks(&page, without) {
            elsewhere.follow(&block);
        }
        let folder = if lang == "en" {
            "restored"
        } else {
            "restaurado"
        };
        let files: Vec<PathBuf> = std::fs::read_dir(elsewhere.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(files.len(), 1, "{files:?}");
        assert_eq!(ask(&files[0], "SELECT count(*) FROM customers"), "500");
        by_hand(&elsewhere, &blocks(&page, hand)[0], &id, words);
    }
}

#[test]
fn a_page_whose_identity_was_rotated_still_works_with_the_kept_copy() {
    let world = World::with_shop();
    world.backup();
    let kept = world.path("kept.txt");
    std::fs::copy(world.keys().join("identity.txt"), &kept).unwrap();
    let bea = Command::new("age-keygen")
        .arg("-o")
        .arg(world.path("bea.txt"))
        .status();
    assert!(bea.unwrap().success());
    let text = std::fs::read_to_string(world.path("bea.txt")).unwrap();
    let bea = text
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .unwrap();
    world.run(&["keys", "add", bea, "--old-backups"]).exits(0);
    for identity in [&kept, &world.path("bea.txt")] {
        let elsewhere = Elsewhere::new(identity);
        elsewhere.follow(&blocks(&page(&world), "Without Resguardo")[0]);
        assert_eq!(
            std::fs::read_dir(elsewhere.path("restored"))
                .unwrap()
                .count(),
            1
        );
    }
}

#[test]
fn a_new_page_names_every_writer_and_copy_and_brings_old_backups_back() {
    let world = World::with_shop();
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let config = config.replacen("[vault]\n", "[vault]\ncopies = [\"./offsite\"]\n", 1);
    world.write("resguardo.toml", &config);
    world.backup();
    world
        .run(&["keys", "rotate", "writer"])
        .exits(0)
        .complains(&["resguardo keys kit"]);
    world
        .run(&["doctor"])
        .prints(&["recovery kit", "does not name", "the copy offsite"]);
    let kit = world.path("recovery-kit.md");
    world
        .run(&["keys", "kit", "--out", "recovery-kit.md"])
        .exits(7)
        .complains(&["--out"]);
    std::fs::remove_file(&kit).unwrap();
    world
        .run(&["keys", "kit", "--out", "recovery-kit.md"])
        .exits(0);
    let told = world.run(&["doctor"]).stdout;
    assert!(!told.contains("does not name"), "{told}");
    let page = page(&world);
    assert!(page.contains("--from offsite"), "{page}");
    assert_eq!(page.matches("--writer ed25519:").count(), 2, "{page}");
    // Nothing was backed up with the new writer yet: the newest is the old one's.
    let elsewhere = Elsewhere::new(&world.keys().join("identity.txt"));
    elsewhere.follow(&blocks(&page, "Without Resguardo")[0]);
    let restored = std::fs::read_dir(elsewhere.path("restored")).unwrap();
    assert_eq!(restored.count(), 1);
}
