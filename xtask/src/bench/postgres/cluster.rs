//! The data: a PostgreSQL cluster made by `pgbench`, at rest, and the same after random updates.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::plan::Size;
use super::super::scratch::{self, Scratch};
use crate::failure::Failure;
use crate::step;

const BIN: &str = "/usr/lib/postgresql/15/bin";
pub(super) const UPDATES: u32 = 6_000;

/// Before and after.
pub(super) struct States {
    pub(super) first: PathBuf,
    pub(super) second: PathBuf,
}

/// `pgbench` fills its rows with blanks. This gives them words and hexadecimal digits, so that they compress
/// about six to one, as an application's rows do.
const FILL: &str = "alter table pgbench_accounts alter filler type char(84) using \
    left(md5(aid::text), 20) || ' ' || \
    (array['pendiente', 'pagado', 'enviado', 'devuelto', 'en reparto', 'anulado', 'entregado', 'en aduana']) \
        [1 + (hashint4(aid) & 7)] || ' calle ' || \
    (array['de la Paz', 'del Mercado', 'Mayor', 'de los Olivos', 'San Martin', 'del Puerto', 'Nueva', 'Real']) \
        [1 + (hashint4(aid + 1) & 7)]";

const UPDATE: &str = "\\set aid random(1, 100000 * :scale)\n\
    update pgbench_accounts set abalance = abalance + 1 where aid = :aid;\n";

/// Nothing but the updates changes the files, and the log stays small: both sides store it too.
const SETTINGS: &str = "\n\
    listen_addresses = ''\n\
    autovacuum = off\n\
    fsync = off\n\
    full_page_writes = off\n\
    wal_level = minimal\n\
    max_wal_senders = 0\n\
    min_wal_size = 2MB\n\
    max_wal_size = 16MB\n\
    shared_buffers = 512MB\n\
    maintenance_work_mem = 512MB\n";

/// Makes both states, once.
pub(super) fn states(scratch: &Scratch, size: Size) -> Result<States, Failure> {
    let scale = match size {
        Size::Full => 140,
        Size::Small => 3,
    };
    let recipe = format!("pgbench -s {scale}, {UPDATES} updates\n{FILL}\n{SETTINGS}");
    let data = scratch.once("pg", &recipe, |folder| make(folder, scale))?;
    Ok(States {
        first: data.join("first"),
        second: data.join("second"),
    })
}

fn make(folder: &Path, scale: u32) -> Result<(), Failure> {
    scratch::open_to_all(folder)?;
    let cluster = Cluster {
        folder: folder.to_owned(),
    };
    cluster.init()?;
    cluster.start()?;
    cluster.pgbench(&["-i", "-I", "dtg", "-q", "-s", &scale.to_string()])?;
    cluster.psql(FILL)?;
    cluster.pgbench(&["-i", "-I", "p", "-q", "-s", &scale.to_string()])?;
    cluster.psql("vacuum (freeze, analyze)")?;
    cluster.stop()?;
    cluster.keep("first")?;
    cluster.start()?;
    let script = folder.join("update.sql");
    scratch::write(&script, UPDATE)?;
    let (script, updates) = (script.display().to_string(), UPDATES.to_string());
    let scale = format!("scale={scale}");
    let random = ["-n", "-c", "1", "-D", &scale, "-f", &script, "-t", &updates];
    cluster.pgbench(&[&random[..], &["--random-seed=1"]].concat())?;
    cluster.stop()?;
    cluster.keep("second")?;
    scratch::remove(&cluster.data())
}

/// A server in the scratch folder, reached by a socket there.
struct Cluster {
    folder: PathBuf,
}

impl Cluster {
    fn data(&self) -> PathBuf {
        self.folder.join("cluster")
    }

    fn init(&self) -> Result<(), Failure> {
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(self.data());
        initdb.args([
            "-A",
            "trust",
            "-U",
            "postgres",
            "--no-sync",
            "--wal-segsize=1",
        ]);
        initdb.args(["--locale=C", "--encoding=UTF8"]);
        step::output(&mut initdb)?;
        let settings = self.data().join("postgresql.conf");
        let text = std::fs::read_to_string(&settings).map_err(|source| Failure::Read {
            path: settings.clone(),
            source,
        })?;
        scratch::write(&settings, &(text + SETTINGS))
    }

    fn start(&self) -> Result<(), Failure> {
        let mut start = self.command("pg_ctl");
        start
            .args(["start", "-w", "-s", "-t", "120", "-D"])
            .arg(self.data());
        start.arg("-l").arg(self.folder.join("server.log"));
        start.arg("-o").arg(format!("-k {}", self.folder.display()));
        step::run(&mut start)
    }

    /// Writes everything out first.
    fn stop(&self) -> Result<(), Failure> {
        let mut stop = self.command("pg_ctl");
        stop.args(["stop", "-w", "-s", "-t", "600", "-m", "fast", "-D"])
            .arg(self.data());
        step::run(&mut stop)
    }

    /// Keeps the files as they are, with their times.
    fn keep(&self, name: &str) -> Result<(), Failure> {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(self.data()).arg(self.folder.join(name));
        step::run(&mut copy)
    }

    fn pgbench(&self, words: &[&str]) -> Result<(), Failure> {
        let mut pgbench = self.command("pgbench");
        pgbench.arg("-h").arg(&self.folder);
        pgbench.args(["-U", "postgres"]).args(words).arg("postgres");
        step::run(&mut pgbench)
    }

    fn psql(&self, sql: &str) -> Result<(), Failure> {
        let mut psql = self.command("psql");
        psql.arg("-h").arg(&self.folder);
        psql.args([
            "-U",
            "postgres",
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            sql,
            "postgres",
        ]);
        step::run(&mut psql)
    }

    /// PostgreSQL refuses root, so root calls its programs as `postgres`.
    fn command(&self, program: &str) -> Command {
        let path = format!("{BIN}/{program}");
        let is_root = step::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
        let mut command = if is_root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", &path]);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(&self.folder);
        command
    }
}
