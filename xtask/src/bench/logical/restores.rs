//! A backup of ours into an empty database and into a drill's own server, against `pg_restore` of a local
//! file; what came back is compared with what was there, outside the time.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::contest::{self, Contestant, Step, hold};
use super::super::measure::median;
use super::super::product::Place;
use super::super::scratch;
use super::super::server::Server;
use super::data::{DATABASE, FINGERPRINT};
use super::{Stage, Told};
use crate::failure::Failure;
use crate::step;

/// Shares of `pg_restore`'s time.
const RESTORE_MAX: f64 = 0.9;
const DRILL_MAX: f64 = 0.8;

/// Everything else is as PostgreSQL comes: it flushes what it commits.
const SETTINGS: &str = "\n\
    listen_addresses = ''\n\
    autovacuum = off\n\
    max_wal_size = 1GB\n\
    shared_buffers = 512MB\n\
    maintenance_work_mem = 256MB\n";

/// Of the first contestants, in their order; the last is the drill, which leaves no database.
const DATABASES: [&str; 3] = ["ours", "plain", "compressed"];

/// Restores, while the first state is served as the source.
pub(super) fn run(stage: &Stage<'_>) -> Result<Told, Failure> {
    let target = &stage.target;
    target.init(SETTINGS, 16)?;
    target.start()?;
    let input = stage.folder.join("input");
    let answer = stage.folder.join("drill.json");
    let mut contestants = contestants(stage, &input, &answer)?;
    let expected = step::output(&mut stage.live.psql(DATABASE, &[FINGERPRINT]))?;
    let phases = RefCell::new(Vec::new());
    let steps = [Step {
        name: "restore",
        reads: input,
        before: &|| checkpoint(target),
        after: &|position| {
            match DATABASES.get(position) {
                Some(database) => same(target, database, &expected)?,
                None => phases.borrow_mut().push(restore_seconds(&answer)?),
            }
            checkpoint(target)
        },
    }];
    let report = stage.folder.join("time");
    let outcome = hold(&mut contestants, &steps, stage.plan.runs, &report)?;
    let of = |position| outcome.of(position, 0).seconds();
    let drilled = median(phases.borrow().iter().copied());
    let mut goals = String::new();
    for (what, most, seconds) in [
        ("restore into an empty database", RESTORE_MAX, of(0)),
        ("restore within a drill", DRILL_MAX, drilled),
    ] {
        let ratio = seconds / of(1);
        goals += &contest::goal(
            &format!("{what}, against `pg_restore -j2` of `-Fc -Z0`"),
            &format!("{most} x its time"),
            &format!("{ratio:.2} x ({seconds:.2} s to {:.2} s)", of(1)),
            ratio <= most,
        );
    }
    let table = contest::table(&contestants, &steps, &outcome);
    Ok(Told { goals, table })
}

/// Ours, two of `pg_restore`, and a drill; below `input` is made what they restore from.
fn contestants(stage: &Stage<'_>, input: &Path, answer: &Path) -> Result<[Contestant; 4], Failure> {
    let place = place(stage, input)?;
    let plain = dump(stage, &input.join("plain.dump"), &["-Z0"])?;
    let compressed = dump(stage, &input.join("compressed.dump"), &[])?;
    let [into_ours, into_plain, into_compressed] = DATABASES;
    let to = stage.target.url(into_ours);
    Ok([
        restoring(
            "Resguardo",
            stage,
            into_ours,
            place.command(&["restore", "shop", "--to", &to, "--quiet"]),
        ),
        restoring(
            "`pg_restore -j2` of `-Fc -Z0`",
            stage,
            into_plain,
            pg_restore(stage, into_plain, &plain),
        ),
        restoring(
            "`pg_restore -j2` of `-Fc`",
            stage,
            into_compressed,
            pg_restore(stage, into_compressed, &compressed),
        ),
        Contestant {
            name: "Resguardo, a whole drill",
            store: stage.folder.join("nothing"),
            leftovers: Vec::new(),
            prepare: Vec::new(),
            steps: vec![drill(&place, answer)],
        },
    ])
}

/// A vault with one backup.
fn place(stage: &Stage<'_>, input: &Path) -> Result<Place, Failure> {
    scratch::make(input)?;
    let place = stage.product.place(input);
    step::run(&mut place.init_for(&stage.live.url(DATABASE)))?;
    step::run(&mut place.command(&["backup", "--quiet"]))?;
    Ok(place)
}

fn dump(stage: &Stage<'_>, path: &Path, words: &[&str]) -> Result<PathBuf, Failure> {
    let mut dump = stage.live.client("pg_dump", DATABASE);
    dump.arg("-Fc").args(words);
    step::run(dump.arg("-f").arg(path))?;
    Ok(path.to_owned())
}

fn restoring(
    name: &'static str,
    stage: &Stage<'_>,
    database: &str,
    command: Command,
) -> Contestant {
    let drop = format!("drop database if exists {database}");
    let create = format!("create database {database} template template0");
    let statements = ["set client_min_messages = error", &drop, &create];
    Contestant {
        name,
        // What it restores from is used again.
        store: stage.folder.join("nothing"),
        leftovers: Vec::new(),
        prepare: vec![stage.target.psql("postgres", &statements)],
        steps: vec![command],
    }
}

fn pg_restore(stage: &Stage<'_>, database: &str, dump: &Path) -> Command {
    let mut restore = stage.target.client("pg_restore", database);
    restore.args(["-j2", "--exit-on-error"]).arg(dump);
    restore
}

/// A drill whose answer goes to a file.
fn drill(place: &Place, answer: &Path) -> Command {
    let inner = place.command(&["drill", "shop", "--json"]);
    let mut command = Command::new("bash");
    command.arg("-c").arg(format!(
        "exec {} > '{}'",
        step::shown(&inner),
        answer.display()
    ));
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(folder) = inner.get_current_dir() {
        command.current_dir(folder);
    }
    command
}

fn checkpoint(target: &Server) -> Result<(), Failure> {
    step::output(&mut target.psql("postgres", &["checkpoint"])).map(drop)
}

/// Looks at a database that was restored, and makes room for the next.
fn same(target: &Server, database: &str, expected: &str) -> Result<(), Failure> {
    let found = step::output(&mut target.psql(database, &[FINGERPRINT]))?;
    if found != expected {
        return Err(Failure::Answer {
            command: format!("what was restored into {database}"),
            answer: format!("{found}, instead of {expected}"),
        });
    }
    let drop = format!("drop database {database}");
    step::output(&mut target.psql("postgres", &[&drop])).map(|_| ())
}

/// How long a drill's phase `restore` took, as it says in JSON.
fn restore_seconds(answer: &Path) -> Result<f64, Failure> {
    let text = std::fs::read_to_string(answer).map_err(|source| Failure::Read {
        path: answer.to_owned(),
        source,
    })?;
    phase(&text, "restore").ok_or(Failure::Answer {
        command: "resguardo drill --json".to_owned(),
        answer: text,
    })
}

fn phase(json: &str, name: &str) -> Option<f64> {
    let phases = json.split_once("\"phases\"")?.1.split_once(']')?.0;
    phases.split('}').find_map(|phase| {
        let is_it = value(phase, "name")? == format!("\"{name}\"");
        is_it.then(|| value(phase, "seconds")?.parse().ok())?
    })
}

/// The value of a key in a flat JSON object, as it is written.
fn value<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = object.split_once(&format!("\"{key}\""))?;
    let rest = rest.trim_start().strip_prefix(':')?;
    Some(rest.split(',').next()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_is_found_in_any_layout() {
        let text = r#"{"drills":[{"rto_seconds":9,"phases":[{"name":"provision","seconds":1},{"name":"restore","seconds":2.5}],"checks":[]}]}"#;
        assert_eq!(phase(text, "restore"), Some(2.5));
        let spaced = "\"phases\": [\n {\n \"name\": \"restore\",\n \"seconds\": 7.25\n }\n ]";
        assert_eq!(phase(spaced, "restore"), Some(7.25));
        let turned = r#""phases":[{"seconds":3,"name":"restore"}]"#;
        assert_eq!(phase(turned, "restore"), Some(3.0));
        assert_eq!(phase(text, "compare"), None);
        assert_eq!(phase("{}", "restore"), None);
    }
}
