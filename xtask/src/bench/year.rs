//! A simulated year of daily backups with a retention: what is stored month by month, and how long a
//! restore takes at its end, against daily full backups and against pgBackRest.
//!
//! Each day is real: rows change in a server that is stopped then, and every contestant backs its files up.
//! Only the dates are made up, and that dead objects wait for no grace.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::contest::{self, megabytes};
use super::measure::{measure, median, settle};
use super::plan::{Plan, Size};
use super::postgres;
use super::product::Product;
use super::scratch::{self, Scratch};
use super::server::Server;
use crate::failure::Failure;
use crate::step;

/// Days between two full backups of pgBackRest.
const WEEK: u32 = 7;
/// So many full backups pgBackRest keeps, with all that hang on them: the eight weeks of the policy. It has no months.
const FULLS: u32 = 8;

const SETTINGS: &str = "\n\
    listen_addresses = ''\n\
    autovacuum = off\n\
    fsync = off\n\
    full_page_writes = off\n\
    wal_level = minimal\n\
    max_wal_senders = 0\n\
    min_wal_size = 2MB\n\
    max_wal_size = 16MB\n\
    shared_buffers = 128MB\n";

/// Old rows change, and new ones come: `pgbench_history` grows.
const DAY: &str = "\\set aid random(1, 100000 * :scale)\n\
    update pgbench_accounts set abalance = abalance + 1, filler = md5(:aid::text || now()) where aid = :aid;\n\
    insert into pgbench_history (tid, bid, aid, delta, mtime, filler) values (1, 1, :aid, 1, now(), left(md5(:aid::text), 22));\n";

const FILL: &str = "alter table pgbench_accounts alter filler type char(84) using \
    left(md5(aid::text), 20) || ' calle ' || left(md5((aid % 977)::text), 12)";

struct Scale {
    days: u32,
    pgbench: u32,
    changes: u32,
}

impl Scale {
    fn of(size: Size) -> Self {
        match size {
            Size::Full => Self {
                days: 365,
                pgbench: 5,
                changes: 200,
            },
            Size::Small => Self {
                days: 16,
                pgbench: 1,
                changes: 40,
            },
        }
    }
}

/// What lay in the stores at the end of a month, in bytes.
struct Month {
    day: u32,
    data: u64,
    ours: u64,
    fulls: u64,
    pgbackrest: u64,
    /// What the newest of our backups needs.
    needed: u64,
}

struct Year<'a> {
    product: &'a Product,
    folder: PathBuf,
    scale: Scale,
    server: Server,
    pgbackrest: contest::Contestant,
    needed: u64,
    /// Over all days: ours, a full one, pgBackRest's.
    seconds: [Vec<f64>; 3],
}

/// Measures, and tells the figures as Markdown.
pub(super) fn run(plan: &Plan, product: &Product, scratch: &Scratch) -> Result<String, Failure> {
    let folder = scratch.fresh("year")?;
    let scale = Scale::of(plan.size);
    let server = Server::of(&folder)?;
    server.init(SETTINGS, 1)?;
    let live = server.data();
    let pgbackrest = postgres::pgbackrest(&folder, &live, "pgBackRest", "theirs", FULLS, &[])?;
    let mut year = Year {
        product,
        folder,
        scale,
        server,
        pgbackrest,
        needed: 0,
        seconds: Default::default(),
    };
    year.begin()?;
    let mut months = Vec::new();
    for day in 0..year.scale.days {
        year.day(day)?;
        if date(day + 1)?.ends_with("-01") || day + 1 == year.scale.days {
            months.push(year.stored(day)?);
        }
    }
    let mut text = table(&months);
    text += &year.told(plan)?;
    Ok(text)
}

impl Year<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn report(&self) -> PathBuf {
        self.path("time")
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let scale = self.scale.pgbench.to_string();
        self.server.start()?;
        self.server
            .pgbench("postgres", &["-i", "-I", "dtg", "-q", "-s", &scale])?;
        step::run(&mut self.server.psql("postgres", &[FILL]))?;
        self.server
            .pgbench("postgres", &["-i", "-I", "p", "-q", "-s", &scale])?;
        step::run(&mut self.server.psql("postgres", &["vacuum (freeze, analyze)"]))?;
        self.server.stop()?;
        scratch::write(&self.path("day.sql"), DAY)?;
        scratch::make(&self.path("fulls"))?;
        step::run(&mut self.worker("keys", "ours", &[]))?;
        for command in &mut self.pgbackrest.prepare {
            step::output(command)?;
        }
        step::run(&mut self.shell("age-keygen -o key 2>&1 | sed 's/.*: //' > recipient"))
    }

    /// The worker, on the vault and keys in a folder of that name.
    fn worker(&self, verb: &str, own: &str, more: &[&Path]) -> Command {
        let (vault, keys) = (self.path(own).join("vault"), self.path(own).join("keys"));
        let mut words = vec![Path::new(verb), &*vault, &*keys];
        words.extend(more);
        self.product.worker(&words)
    }

    fn shell(&self, script: &str) -> Command {
        let mut shell = Command::new("bash");
        shell.current_dir(&self.folder);
        shell.args(["-e", "-o", "pipefail", "-c", script]);
        shell
    }

    /// Rows change, and everybody takes a backup.
    fn day(&mut self, day: u32) -> Result<(), Failure> {
        let date = date(day)?;
        eprintln!("xtask: day {} of {}: {date}", day + 1, self.scale.days);
        self.change(day)?;
        let live = self.server.data();
        let at = format!("{date}T02:00:00Z");
        let backup = self.worker("day", "ours", &[&live, Path::new(&at)]);
        let full = self.shell(&format!(
            "tar -C cluster -c . | zstd -q -T2 -3 | age -R recipient -o fulls/{date}.age"
        ));
        let number = usize::from(!day.is_multiple_of(WEEK));
        let theirs = &self.pgbackrest.steps[number];
        for (position, command) in [&backup, &full, theirs].into_iter().enumerate() {
            let sample = measure(command, &self.report())?;
            self.seconds[position].push(sample.seconds);
        }
        self.retain(&at)
    }

    fn change(&self, day: u32) -> Result<(), Failure> {
        self.server.start()?;
        let script = self.path("day.sql").display().to_string();
        let changes = self.scale.changes.to_string();
        let scale = format!("scale={}", self.scale.pgbench);
        let seed = format!("--random-seed={}", day + 1);
        let words = [
            "-n", "-c", "1", "-D", &scale, "-f", &script, "-t", &changes, &seed,
        ];
        self.server.pgbench("postgres", &words)?;
        if day.is_multiple_of(WEEK) {
            step::run(&mut self.server.psql("postgres", &["vacuum"]))?;
        }
        self.server.stop()
    }

    /// Prunes ours, and keeps the full ones of the same days.
    fn retain(&mut self, at: &str) -> Result<(), Failure> {
        let told = step::output(&mut self.worker("retain", "ours", &[Path::new(at)]))?;
        let kept: BTreeSet<String> = told
            .lines()
            .filter_map(|line| line.strip_prefix("kept "))
            .map(|date| format!("{date}.age"))
            .collect();
        for (name, _) in scratch::files(&self.path("fulls"))? {
            if !kept.contains(&*name.to_string_lossy()) {
                scratch::remove(&self.path("fulls").join(name))?;
            }
        }
        let needs = told.lines().find_map(|line| line.strip_prefix("needs "));
        self.needed = needs.and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        Ok(())
    }

    fn stored(&self, day: u32) -> Result<Month, Failure> {
        Ok(Month {
            day: day + 1,
            data: scratch::bytes_in(&self.server.data())?,
            ours: scratch::bytes_in(&self.path("ours/vault"))?,
            fulls: scratch::bytes_in(&self.path("fulls"))?,
            pgbackrest: scratch::bytes_in(&self.pgbackrest.store)?,
            needed: self.needed,
        })
    }

    /// What a backup took, and what a restore takes now, also of a vault that holds nothing but today.
    fn told(&self, plan: &Plan) -> Result<String, Failure> {
        let live = self.server.data();
        step::run(&mut self.worker("keys", "fresh", &[]))?;
        step::run(&mut self.worker("backup", "fresh", &[&live]))?;
        let fresh = scratch::bytes_in(&self.path("fresh/vault"))?;
        let last = date(self.scale.days - 1)?;
        let out = self.path("out");
        let worker = |own: &str| self.worker("restore", own, &[&out]);
        let full = self.shell(&format!(
            "age -d -i key fulls/{last}.age | zstd -q -d | tar -C out -x"
        ));
        let mut theirs = Command::new(self.pgbackrest.steps[2].get_program());
        theirs.args(self.pgbackrest.steps[2].get_args());
        let theirs_out = self.path("theirs/out");
        let mut text = String::from(
            "\n| restore of the newest | seconds | compares what it wrote |\n|---|---|---|\n",
        );
        let ways = [
            ("Resguardo, after the year", worker("ours"), &out, "yes"),
            (
                "Resguardo, a vault that holds this backup alone",
                worker("fresh"),
                &out,
                "yes",
            ),
            ("`age`, `zstd`, `tar`", full, &out, "no"),
            ("pgBackRest", theirs, &theirs_out, "yes"),
        ];
        for (name, command, out, compares) in ways {
            let mut seconds = Vec::new();
            for _ in 0..plan.runs {
                scratch::remove(out)?;
                scratch::make(out)?;
                settle(&[&self.folder])?;
                seconds.push(measure(&command, &self.report())?.seconds);
                postgres::same(&live, out)?;
            }
            text += &format!("| {name} | **{:.2}** | {compares} |\n", median(seconds));
        }
        text += &format!(
            "\nA backup took {:.2} s (Resguardo), {:.2} s (a full one), {:.2} s (pgBackRest), the median of all days. The newest backup needs {} MB; taken into an empty \
             vault it is {} MB.\n\nThe data: {} days, {} rows changed and as many added on each, at random; vacuumed once a week. Policy: 14 daily, 8 weekly, 12 monthly, also for \
             the full ones; pgBackRest: a full one a week and {FULLS} of them kept, without the months.\n",
            median(self.seconds[0].iter().copied()),
            median(self.seconds[1].iter().copied()),
            median(self.seconds[2].iter().copied()),
            megabytes(self.needed),
            megabytes(fresh),
            self.scale.days,
            self.scale.changes,
        );
        Ok(text)
    }
}

fn table(months: &[Month]) -> String {
    let mut text = String::from(
        "| after day | data, MB | Resguardo, MB | of that the newest needs, MB | daily full ones, MB | pgBackRest, MB |\n|---|---|---|---|---|---|\n",
    );
    for month in months {
        text += &format!(
            "| {} | {} | **{}** | {} | {} | {} |\n",
            month.day,
            megabytes(month.data),
            megabytes(month.ours),
            megabytes(month.needed),
            megabytes(month.fulls),
            megabytes(month.pgbackrest),
        );
    }
    text
}

/// The date of a day of the simulated year, from 0.
fn date(day: u32) -> Result<String, Failure> {
    let mut command = Command::new("date");
    let text = step::output(command.args(["-u", "-d", &format!("2026-01-01 +{day} days"), "+%F"]))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_has_its_days() {
        assert_eq!(date(0).expect("a date"), "2026-01-01");
        assert_eq!(date(31).expect("a date"), "2026-02-01");
        assert_eq!(date(364).expect("a date"), "2026-12-31");
    }

    #[test]
    fn a_month_is_a_row() {
        let month = Month {
            day: 31,
            data: 80_000_000,
            ours: 20_000_000,
            fulls: 300_000_000,
            pgbackrest: 200_000_000,
            needed: 12_000_000,
        };
        let text = table(&[month]);
        assert!(
            text.ends_with("| 31 | 80 | **20** | 12 | 300 | 200 |\n"),
            "{text}"
        );
    }
}
