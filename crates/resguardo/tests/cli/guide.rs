//! The guide's pages, followed: their fenced commands are run in their order, in an empty home, on the configs
//! that the pages show, and each has to end well. In both languages.
//!
//! What a page leaves open (`age1...`, `FILE`) is filled in from a list, of which everything has to occur. A fence
//! below `<!-- not run: REASON -->` is left out.

use resguardo_testkit::S3Server;

use crate::terminal::on_terminal;
use crate::world::{Ran, World, ask, shop};

const RECIPIENT: &str = "age1r7ntq8j2gcgtnktxwj3q8d3vf0f8ktl7wgt2jxtm74nwkn50gu8qg7cmtl";
const SSH_RECIPIENT: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN ana@laptop";

/// A page, and what stands for what it leaves open.
struct Page {
    fences: Vec<(String, String)>,
    open: Vec<(String, String, bool)>,
}

impl Page {
    fn of(path: &str) -> Self {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/");
        let text = std::fs::read_to_string(format!("{root}{path}")).unwrap();
        Self {
            fences: fences(&text),
            open: Vec::new(),
        }
    }

    fn with(mut self, left_open: &str, stands_for: &str) -> Self {
        self.open
            .push((left_open.to_owned(), stands_for.to_owned(), false));
        self
    }

    fn fill(&mut self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (left_open, stands_for, occurred) in &mut self.open {
            *occurred |= filled.contains(left_open.as_str());
            filled = filled.replace(left_open.as_str(), stands_for);
        }
        filled
    }

    /// The configs of the page, in their order.
    fn configs(&mut self) -> Vec<String> {
        let fences = self.fences.clone();
        let configs = fences.iter().filter(|(word, _)| word == "toml");
        configs.map(|(_, body)| self.fill(body)).collect()
    }

    /// Runs every command; `run` says where and how.
    fn follow(&mut self, mut run: impl FnMut(&mut Self, &str) -> Ran) -> usize {
        let mut commands = 0;
        for (_, body) in self.fences.clone().iter().filter(|(word, _)| word == "sh") {
            for line in body.lines().filter(|line| !line.is_empty()) {
                let line = line.split("  #").next().unwrap().trim_end();
                let command = self.fill(line);
                let ran = run(self, &command);
                assert_eq!(
                    ran.code, 0,
                    "{command}\n--- stdout\n{}\n--- stderr\n{}",
                    ran.stdout, ran.stderr
                );
                commands += 1;
            }
        }
        for (left_open, _, occurred) in &self.open {
            assert!(occurred, "{left_open:?} is not left open any more");
        }
        commands
    }
}

/// The fences of a page: the word after their backticks, and what is in them.
fn fences(text: &str) -> Vec<(String, String)> {
    let mut fences = Vec::new();
    let (mut not_run, mut lines) = (false, text.lines());
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix("<!-- not run:") {
            let reason = comment.trim_end_matches("-->").trim();
            assert!(!reason.is_empty(), "no reason in {line}");
            not_run = true;
        } else if let Some(word) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines
                .by_ref()
                .take_while(|line| !line.starts_with("```"))
                .collect();
            if !std::mem::take(&mut not_run) {
                fences.push((word.to_owned(), inside.join("\n")));
            }
        } else if !line.trim().is_empty() {
            assert!(!not_run, "{line:?} stands between a comment and its fence");
        }
    }
    fences
}

/// Runs a command of the guide by a shell, as somebody does who copies it.
fn by_shell(world: &World, command: &str) -> Ran {
    let arguments = command
        .strip_prefix("resguardo ")
        .unwrap_or_else(|| panic!("{command:?} is none of ours"));
    let plain = world.command(&[]);
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_resguardo"));
    let output = std::process::Command::new("/bin/sh")
        .args(["-euc", &line])
        .current_dir(world.path(""))
        .env_clear()
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn keep(path: &str, restored: &str) {
    let server = S3Server::s3s_fs();
    server.create_bucket("acme-backups");
    let to_bucket = |world: World| {
        world
            .with("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY_ID)
            .with("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_ACCESS_KEY)
            .with("AWS_ENDPOINT_URL", &server.endpoint())
    };
    let (world, bare) = (to_bucket(World::new()), to_bucket(World::new()));
    shop(&world.path("shop.sqlite"), 500);
    std::fs::create_dir(world.path("usb")).unwrap();
    let usb = world.path("usb");
    let mut page = Page::of(path)
        .with("/mnt/usb", usb.to_str().unwrap())
        .with("@2026-12-31", "@2099-12-31")
        .with("--until 2032-12-31", "--until 2099-12-31");
    let configs = page.configs();
    let [sources, vault] = &configs[..] else {
        panic!("other configs: {configs:?}");
    };
    world.write(
        "resguardo.toml",
        &format!("[vault]\nurl = \"./vault\"\n\n{sources}"),
    );
    world.run(&["init", "--yes"]).exits(0);
    for _ in 0..4 {
        world.backup();
    }
    let mut had_copies = false;
    let followed = page.follow(|_, command| {
        if command.contains(" copy ") && !had_copies {
            had_copies = true;
            world.write("resguardo.toml", &format!("{vault}\n\n{sources}"));
        }
        if command.contains("copy rebuild") {
            std::fs::remove_dir_all(world.path("vault")).unwrap();
        }
        if command.contains("--identity identity.txt") {
            let identity = world.keys().join("identity.txt");
            std::fs::copy(identity, bare.path("identity.txt")).unwrap();
            return by_shell(&bare, command);
        }
        let ran = by_shell(&world, command);
        if command.ends_with("--dry-run") {
            let columns = ["ID", "TAKEN", "AGE", "REASON", "ALONE FREES", "WHY"];
            return ran.prints(&columns).prints(&["would delete 2 of 4"]);
        }
        ran
    });
    assert_eq!(followed, 15, "commands of {path}");
    for of in [&world, &bare] {
        let rows = ask(&of.path(restored), "SELECT count(*) FROM customers");
        assert_eq!(rows, "500");
    }
    world.run(&["verify", "--depth", "bytes"]).exits(0);
    let listed = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(listed["backups"].as_array().unwrap().len(), 2);
}

#[test]
fn keeping_backups() {
    keep("guide/keeping.md", "restored.sqlite");
}

#[test]
fn keeping_backups_in_spanish() {
    keep("es/conservar.md", "restaurada.sqlite");
}

/// The write key of a machine, as others name it.
fn writer(world: &World) -> String {
    let listed = world.run(&["keys", "list", "--json"]).exits(0).json();
    let writers = listed["writers"].as_array().unwrap();
    let own = writers
        .iter()
        .find(|writer| writer["state"] == "own")
        .unwrap();
    own["writer"].as_str().unwrap().to_owned()
}

/// Another machine with the vault of `first`, and the name of its write key.
fn join(first: &World) -> (World, String) {
    let second = World::new();
    shop(&second.path("office.sqlite"), 50);
    let (vault, identity) = (first.path("vault"), first.keys().join("identity.txt"));
    let words = [
        "init",
        "--vault",
        vault.to_str().unwrap(),
        "--identity",
        identity.to_str().unwrap(),
        "--source",
        "office=./office.sqlite",
        "--yes",
    ];
    second.run(&words).exits(0);
    second.run(&["keys", "trust", &writer(first)]).exits(0);
    let own = writer(&second);
    (second, own)
}

fn hold_keys(path: &str, [file, new, old, kit]: [&str; 4], commands: usize) {
    let world = World::with_shop();
    world.backup();
    let (second, of_second) = join(&world);
    std::fs::create_dir(world.path("usb")).unwrap();
    let identity = world.keys().join("identity.txt");
    std::fs::copy(identity, world.path("usb/identity.txt")).unwrap();
    world.write("passphrase.txt", "second passphrase\n");
    let retired = writer(&world);
    let mut page = Page::of(path)
        .with("/mnt/usb", world.path("usb").to_str().unwrap())
        .with("age1...", RECIPIENT)
        .with("ssh-ed25519 AAAA... ana@laptop", SSH_RECIPIENT)
        .with("ed25519:...", &of_second)
        .with(old, &retired)
        .with(file, "passphrase.txt");
    for config in page.configs() {
        let config = config.replace("[vault]", "[vault]\nurl = \"./vault\"");
        world.write("page.toml", &config);
        world
            .run(&["config", "show", "--config", "page.toml"])
            .exits(0);
    }
    let followed = page.follow(|page, command| {
        let on_terminal = |typed| on_terminal(&world, &command["resguardo ".len()..], typed);
        match command {
            "resguardo keys passphrase" => on_terminal("first one\nfirst one\n"),
            _ if command.contains("--new-passphrase-file") => on_terminal("first one\n"),
            _ if command.contains("passphrase --remove") => on_terminal("second passphrase\n"),
            _ if command.contains("rotate writer") => {
                let ran = by_shell(&world, command);
                let limit = command.split_once("--signed-before").unwrap().1;
                let elsewhere = format!("keys retire {retired} --signed-before{limit}`");
                let ran = ran.complains(&[&elsewhere, "1 backup of", "believed no more"]);
                page.open.push((new.to_owned(), writer(&world), false));
                ran
            }
            // Every other host has to be told of recipients.
            _ if command.contains("keys add") || command.contains("keys retire age1") => {
                by_shell(&world, command).exits(0);
                by_shell(&second, command)
            }
            // The other machine takes it in.
            _ if command.contains(new) || command.contains(&retired) => {
                let command = page.fill(command);
                by_shell(&second, &command)
            }
            _ => by_shell(&world, command),
        }
    });
    assert_eq!(followed, commands, "commands of {path}");
    assert!(world.path(kit).exists());
    let found = world
        .run(&["verify", "--depth", "heads", "--json"])
        .exits(3)
        .json();
    let findings = found["findings"].as_array().unwrap();
    assert!(!findings.is_empty());
    assert!(findings.iter().all(|one| one["kind"] == "writer-retired"));
    let readers = world.run(&["keys", "list"]).exits(0).stdout;
    assert!(readers.contains("ssh-ed25519"), "{readers}");
}

#[test]
fn keys_and_who_may_read() {
    let words = ["FILE", "ed25519:NEW", "ed25519:OLD", "recovery-kit-2026.md"];
    hold_keys("guide/keys.md", words, 13);
}

#[test]
fn keys_and_who_may_read_in_spanish() {
    let words = ["ARCHIVO", "ed25519:NUEVO", "ed25519:VIEJO", "kit-2026.md"];
    hold_keys("es/claves.md", words, 12);
}

#[test]
fn what_is_not_run_says_why() {
    let page = "<!-- not run: a printer -->\n\n```sh\nlpr kit\n```\n```sh\nresguardo list\n```\n";
    assert_eq!(
        fences(page),
        [("sh".to_owned(), "resguardo list".to_owned())]
    );
}
