//! A private folder with an empty home and a small shop, and the binary run in it.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use rusqlite::Connection;
use serde_json::Value;

/// An unprivileged user and group that every system has.
const NOBODY: u32 = 65_534;

/// Whether this test runs as root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self")
        .map(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
        .unwrap()
}

/// A private folder: `home/` for Resguardo, `work/` for the user.
#[derive(Clone)]
pub struct World {
    folder: Rc<tempfile::TempDir>,
    variables: Vec<(String, String)>,
    as_nobody: bool,
}

/// How a run ended.
pub struct Ran {
    /// Exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Asserts the exit code, and shows everything where it is another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Asserts that standard error has all of `needles`.
    #[track_caller]
    pub fn complains(self, needles: &[&str]) -> Self {
        for needle in needles {
            assert!(
                self.stderr.contains(needle),
                "{needle:?} is missing in\n{}",
                self.stderr
            );
        }
        self
    }

    /// Asserts that standard output has all of `needles`.
    #[track_caller]
    pub fn prints(self, needles: &[&str]) -> Self {
        for needle in needles {
            assert!(
                self.stdout.contains(needle),
                "{needle:?} is missing in\n{}\n{}",
                self.stdout,
                self.stderr
            );
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in\n{}\n{}", self.stdout, self.stderr))
    }
}

impl World {
    /// An empty one.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "work"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self {
            folder: Rc::new(folder),
            variables: Vec::new(),
            as_nobody: false,
        }
    }

    /// One whose binary runs without root's rights: where the test is root, as nobody.
    pub fn unprivileged() -> Self {
        let mut world = Self::new();
        if is_root() {
            world.as_nobody = true;
            for path in [
                world.folder.path().to_path_buf(),
                world.path(""),
                world.home(),
            ] {
                std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
            // The build's folder may lie where nobody may not go.
            std::fs::copy(env!("CARGO_BIN_EXE_resguardo"), world.binary()).unwrap();
            std::fs::set_permissions(world.binary(), std::fs::Permissions::from_mode(0o755))
                .unwrap();
        }
        world
    }

    /// One with a shop and a vault that was set up for it.
    pub fn with_shop() -> Self {
        let world = Self::new();
        world.set_up();
        world
    }

    /// A shop that is backed up each day, and drilled each month.
    pub fn with_scheduled_shop() -> Self {
        let world = Self::with_shop();
        let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
        world.write(
            "resguardo.toml",
            &config.replace(
                "[environments.production]",
                "[environments.production]\nschedule = \"daily 02:00\"\ndrill = { schedule = \"monthly 1 04:00\" }",
            ),
        );
        world
    }

    /// Makes the shop and runs `init`.
    pub fn set_up(&self) {
        shop(&self.path("shop.db"), 500);
        self.own("shop.db");
        self.init("./vault");
    }

    /// Runs `init` for the shop `shop.db`.
    pub fn init(&self, vault: &str) {
        let words = [
            "init",
            "--vault",
            vault,
            "--source",
            "shop=./shop.db",
            "--yes",
        ];
        self.run(&words).exits(0);
    }

    /// With a variable for every later run.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same folders with another value of a variable.
    pub fn again_with(&self, name: &str, value: &str) -> Self {
        self.clone().with(name, value)
    }

    /// A path in the user's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    /// The home of Resguardo.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn binary(&self) -> PathBuf {
        self.folder.path().join("resguardo")
    }

    /// Gives a file to the user the binary runs as.
    pub fn own(&self, name: &str) {
        if self.as_nobody {
            std::os::unix::fs::chown(self.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// Writes a file into the user's folder.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Adds text to the config.
    pub fn add_to_config(&self, text: &str) {
        let config = std::fs::read_to_string(self.path("resguardo.toml")).unwrap();
        self.write("resguardo.toml", &format!("{config}\n{text}"));
    }

    /// The command with an environment of its own.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let binary = if self.as_nobody {
            self.binary()
        } else {
            env!("CARGO_BIN_EXE_resguardo").into()
        };
        let mut command = Command::new(binary);
        command
            .args(arguments)
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TZ", "UTC")
            .env("USER", "ana")
            .env("RESGUARDO_HOME", self.home())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if self.as_nobody {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Takes a backup of the shop and returns its id.
    pub fn backup(&self) -> String {
        let ran = self.run(&["backup", "--json"]).exits(0);
        ran.json()["backups"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The keys of the only vault.
    pub fn keys(&self) -> PathBuf {
        let mut folders = std::fs::read_dir(self.home().join("keys")).unwrap();
        let only = folders.next().unwrap().unwrap().path();
        assert!(folders.next().is_none(), "one vault, one folder of keys");
        only
    }

    /// Objects of the vault whose names end so, sorted.
    pub fn objects(&self, folder: &str, ending: &str) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.path("vault").join(folder)) else {
            return Vec::new();
        };
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().ends_with(ending))
            .collect();
        paths.sort();
        paths
    }

    /// Sandboxes that are there.
    pub fn sandboxes(&self) -> usize {
        let Ok(entries) = std::fs::read_dir(self.home().join("sandboxes")) else {
            return 0;
        };
        entries
            .filter(|entry| entry.as_ref().unwrap().path().is_dir())
            .count()
    }
}

/// A small shop: `customers` of so many rows.
pub fn shop(path: &Path, customers: u32) {
    let connection = Connection::open(path).unwrap();
    connection
        .pragma_update(None, "journal_mode", "wal")
        .unwrap();
    connection
        .execute_batch(&format!(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT);
             CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers(id));
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {customers})
             INSERT INTO customers SELECT i, 'Cliente ' || i, hex(randomblob(40)) FROM n;
             INSERT INTO orders SELECT id, id FROM customers WHERE id % 3 = 0;"
        ))
        .unwrap();
}

/// The answer to a query of one value.
pub fn ask(path: &Path, sql: &str) -> String {
    let connection = Connection::open(path).unwrap();
    connection
        .query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0))
        .map(|value| match value {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        })
        .unwrap()
}

/// Waits until `seen` is true; panics after a minute.
pub fn wait_for(what: &str, mut seen: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if seen() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("{what} did not happen within a minute");
}

/// Sends a signal by its name.
pub fn send(signal: &str, child: &Child) {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Waits for the end of a child.
pub fn finish(mut child: Child) -> Ran {
    let status = child.wait().unwrap();
    let text = |pipe: Option<&mut dyn std::io::Read>| {
        let mut text = String::new();
        if let Some(pipe) = pipe {
            pipe.read_to_string(&mut text).unwrap();
        }
        text
    };
    let stdout = text(
        child
            .stdout
            .as_mut()
            .map(|pipe| pipe as &mut dyn std::io::Read),
    );
    let stderr = text(
        child
            .stderr
            .as_mut()
            .map(|pipe| pipe as &mut dyn std::io::Read),
    );
    Ran {
        code: status.code().unwrap_or(-1),
        stdout,
        stderr,
    }
}
