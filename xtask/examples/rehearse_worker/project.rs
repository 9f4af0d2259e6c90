//! A project of `examples/` in a scratch folder, with its database, its vault and its daemon.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use resguardo_testkit::{PgServer, PgVersion};
use serde_json::Value;

use crate::ear::Ear;
use crate::{Anything, config};

/// How long the daemon may take to end.
const GRACE: Duration = Duration::from_secs(90);

/// A project below `examples/`.
#[derive(Clone, Copy)]
pub(crate) struct Example {
    pub(crate) name: &'static str,
    /// A statement that changes its database.
    change: &'static str,
    is_postgres: bool,
}

impl Example {
    pub(crate) const ALL: [Self; 5] = [
        Self::postgres("inventario"),
        Self::postgres("obyra"),
        Self::postgres("sago-factu"),
        Self::postgres("comercial-electrica"),
        Self {
            name: "puranatura",
            change: CHANGE,
            is_postgres: false,
        },
    ];

    const fn postgres(name: &'static str) -> Self {
        Self {
            name,
            change: CHANGE,
            is_postgres: true,
        }
    }
}

/// A table of our own, that no check looks at.
const CHANGE: &str = "insert into rehearsal (what) values ('a change')";

/// One that was set up.
pub(crate) struct Project {
    pub(crate) example: Example,
    folder: tempfile::TempDir,
    binary: PathBuf,
    server: Option<PgServer>,
    pub(crate) ear: Ear,
}

/// What the daemon was while it served.
pub(crate) struct Served {
    pub(crate) rss_max_kib: u64,
    /// The time of processors that it took itself, in seconds.
    pub(crate) cpu_seconds: f64,
    pub(crate) status: ExitStatus,
    pub(crate) stop_seconds: f64,
    pub(crate) log: PathBuf,
}

impl Project {
    pub(crate) fn set_up(example: Example, binary: &Path) -> Result<Self, Anything> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let folder = tempfile::Builder::new().prefix("rehearse-").tempdir()?;
        copy(&root.join(example.name), folder.path())?;
        let file = folder.path().join("resguardo.toml");
        std::fs::write(&file, config::hurried(&std::fs::read_to_string(&file)?))?;
        let schema = std::fs::read_to_string(folder.path().join("base/esquema.sql"))?;
        let server = example.is_postgres.then(|| {
            let server = PgServer::start(PgVersion::V15);
            server.create_database("base", "");
            server
        });
        let project = Self {
            example,
            folder,
            binary: binary.to_owned(),
            server,
            ear: Ear::listen()?,
        };
        project.sql(&schema)?;
        project.sql("create table rehearsal (what text)")?;
        project.answer(&["init", "--yes"])?;
        Ok(project)
    }

    pub(crate) fn tasks(&self) -> Result<Vec<&'static str>, Anything> {
        let text = std::fs::read_to_string(self.folder.path().join("resguardo.toml"))?;
        Ok(config::tasks(&text))
    }

    fn sql(&self, sql: &str) -> Result<(), Anything> {
        if let Some(server) = &self.server {
            server.psql("base", sql);
            return Ok(());
        }
        // A statement that begins with a comment would be an option.
        let file = self.folder.path().join("statement.sql");
        std::fs::write(&file, sql)?;
        let mut sqlite = Command::new("sqlite3");
        sqlite
            .arg(self.folder.path().join("base.sqlite"))
            .stdin(std::fs::File::open(&file)?);
        match sqlite.status()?.success() {
            true => Ok(()),
            false => Err("sqlite3 refused a statement".into()),
        }
    }

    /// Serves for so long, changing the database meanwhile.
    pub(crate) fn serve(&self, length: Duration) -> Result<Served, Anything> {
        let log = self.folder.path().join("serve.log");
        let mut serve = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        serve.stderr(std::fs::File::create(&log)?);
        let begun = Instant::now();
        let mut child = serve.spawn()?;
        let mut last = Usage::default();
        let mut changed_at = begun;
        while begun.elapsed() < length {
            std::thread::sleep(Duration::from_millis(250));
            if let Some(status) = child.try_wait()? {
                let said = std::fs::read_to_string(&log)?;
                return Err(
                    format!("{}: serve ended, {status}:\n{said}", self.example.name).into(),
                );
            }
            last.look(&child);
            if changed_at.elapsed() > Duration::from_secs(20) {
                self.sql(self.example.change)?;
                changed_at = Instant::now();
            }
        }
        let stopped_at = Instant::now();
        let number = child.id().to_string();
        Command::new("kill").args(["-TERM", &number]).status()?;
        let status = ended(&mut child)?;
        Ok(Served {
            rss_max_kib: last.rss_max_kib,
            cpu_seconds: last.cpu_seconds,
            status,
            stop_seconds: stopped_at.elapsed().as_secs_f64(),
            log,
        })
    }

    /// The answer of a command in JSON.
    pub(crate) fn answer(&self, words: &[&str]) -> Result<Value, Anything> {
        let mut command = self.command(words);
        let output = command.arg("--json").stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("{}: {words:?}: {}", self.example.name, output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn command(&self, words: &[&str]) -> Command {
        let folder = self.folder.path();
        let address = self.ear.address;
        let mut path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(&self.binary);
        if let Some(server) = &self.server {
            path = format!("{}:{path}", server.bin_dir().display());
            command.env("DATABASE_URL", server.url("base"));
        }
        command
            .args(words)
            .current_dir(folder)
            .env("PATH", path)
            .env("RESGUARDO_HOME", folder.join("home"))
            .env("ENTORNO", "production")
            .env("BOVEDA", "./boveda")
            .env("BOVEDA_COPIA", "./copia")
            .env("BOVEDA_REGION_2", "./region-2")
            .env("BASE", "./base.sqlite")
            .env("SLACK_WEBHOOK", format!("http://{address}/slack"))
            .env("LATIDO", format!("http://{address}/latido"))
            .stdin(Stdio::null());
        command
    }
}

fn ended(child: &mut Child) -> Result<ExitStatus, Anything> {
    let begun = Instant::now();
    while begun.elapsed() < GRACE {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill()?;
    Err("serve did not end".into())
}

/// What the kernel tells of a process.
#[derive(Default)]
struct Usage {
    rss_max_kib: u64,
    cpu_seconds: f64,
}

impl Usage {
    fn look(&mut self, child: &Child) {
        let read = |name: &str| {
            let file = format!("/proc/{}/{name}", child.id());
            std::fs::read_to_string(file).unwrap_or_default()
        };
        let status = read("status");
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|rss| rss.trim().trim_end_matches(" kB").parse().ok());
        self.rss_max_kib = self.rss_max_kib.max(rss.unwrap_or(0));
        // Fields 14 and 15 of proc(5), counted behind the name, in hundredths of a second.
        let stat = read("stat");
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: f64 = ticks.filter_map(|one| one.parse::<f64>().ok()).sum();
        self.cpu_seconds = self.cpu_seconds.max(ticks / 100.0);
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&to)?;
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
