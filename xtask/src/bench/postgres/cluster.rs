//! The data: a PostgreSQL cluster made by `pgbench`, at rest, and the same after random updates.

use std::path::{Path, PathBuf};

use super::super::plan::Size;
use super::super::scratch::{self, Scratch};
use super::super::server::Server;
use crate::failure::Failure;
use crate::step;

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
    let cluster = Server::of(folder)?;
    cluster.init(SETTINGS, 1)?;
    cluster.start()?;
    cluster.pgbench(
        "postgres",
        &["-i", "-I", "dtg", "-q", "-s", &scale.to_string()],
    )?;
    step::run(&mut cluster.psql("postgres", &[FILL]))?;
    cluster.pgbench(
        "postgres",
        &["-i", "-I", "p", "-q", "-s", &scale.to_string()],
    )?;
    step::run(&mut cluster.psql("postgres", &["vacuum (freeze, analyze)"]))?;
    cluster.stop()?;
    cluster.keep("first")?;
    cluster.start()?;
    let script = folder.join("update.sql");
    scratch::write(&script, UPDATE)?;
    let (script, updates) = (script.display().to_string(), UPDATES.to_string());
    let scale = format!("scale={scale}");
    let random = ["-n", "-c", "1", "-D", &scale, "-f", &script, "-t", &updates];
    cluster.pgbench("postgres", &[&random[..], &["--random-seed=1"]].concat())?;
    cluster.stop()?;
    cluster.keep("second")?;
    scratch::remove(&cluster.data())
}
