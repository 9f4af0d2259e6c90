//! Jobs and who runs them. What is written of a job's state is its daemon's business.

use jiff::Timestamp;
use resguardo_engine::port::EngineError;
use resguardo_engine::postgres::database::{TextRow, literal};
use resguardo_model::SourceName;

use super::schema::KNOWN;
use super::{SharedCatalog, SharedError, moment, optional, text};

/// How everything stood at one moment.
#[derive(Clone, Debug)]
pub struct SharedLook {
    /// When, by the server's clock.
    pub now: Timestamp,
    /// Every job of the vault.
    pub jobs: Vec<SharedJob>,
}

/// How a job stands.
#[derive(Clone, Debug)]
pub struct SharedJob {
    /// Whose it is.
    pub source: SourceName,
    /// What is done.
    pub task: String,
    /// How it stands, as its daemon wrote it down.
    pub state: String,
    /// Grows with everything that is written of it.
    pub revision: i64,
    /// Who runs it.
    pub held: Option<Held>,
}

/// Who runs a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// His machine.
    pub host: String,
    /// It is this process.
    pub is_us: bool,
    /// His lease has not run out.
    pub is_heard: bool,
}

/// A source that this process claimed.
#[derive(Clone, Copy, Debug)]
pub struct Hold<'a> {
    /// The source.
    pub source: &'a SourceName,
    /// What is done to it.
    pub task: &'a str,
    /// The claim's number.
    pub fence: i64,
}

impl SharedCatalog {
    /// How everything stands. Refused once somebody has brought the tables to a newer version.
    ///
    /// # Errors
    /// [`SharedError`].
    pub fn look(&self) -> Result<SharedLook, SharedError> {
        let sql = format!(
            "select c.version, (extract(epoch from clock_timestamp()) * 1000)::bigint,
                j.source, j.task, j.state, j.revision, l.holder, l.host, l.until > clock_timestamp()
             from resguardo.catalog c
             left join resguardo.jobs j on j.vault = {vault}
             left join resguardo.leases l on l.vault = j.vault and l.source = j.source and l.task = j.task
             order by j.source, j.task",
            vault = self.vault()
        );
        let rows = self.database.ask_again(&sql);
        let rows = rows.map_err(SharedError::at("reading"))?;
        let Some(first) = rows.first() else {
            return Err(self.gone());
        };
        let version: i64 = text(first, 0).parse().unwrap_or(i64::MAX);
        if version > KNOWN {
            return Err(SharedError::Newer {
                place: self.describe(),
                version,
                known: KNOWN,
            });
        }
        let now = moment(first, 1).ok_or_else(|| self.odd("a time"))?;
        let known = rows.iter().filter(|row| optional(row, 2).is_some());
        let jobs = known.map(|row| self.job(row)).collect::<Result<_, _>>()?;
        Ok(SharedLook { now, jobs })
    }

    fn job(&self, row: &TextRow) -> Result<SharedJob, SharedError> {
        let held = optional(row, 6).map(|holder| Held {
            host: text(row, 7).to_owned(),
            is_us: holder == self.process,
            is_heard: text(row, 8) == "t",
        });
        let source = text(row, 2).parse();
        Ok(SharedJob {
            source: source.map_err(|_| self.odd("a name of a source"))?,
            task: text(row, 3).to_owned(),
            state: text(row, 4).to_owned(),
            revision: text(row, 5).parse().map_err(|_| self.odd("a revision"))?,
            held,
        })
    }

    fn gone(&self) -> SharedError {
        SharedError::Gone {
            place: self.describe(),
        }
    }

    /// Makes a job known that is not yet; one that is known stays as it is.
    ///
    /// # Errors
    /// [`SharedError::Database`].
    pub fn introduce(
        &self,
        source: &SourceName,
        task: &str,
        state: &str,
    ) -> Result<(), SharedError> {
        let sql = format!(
            "with lease as (
                insert into resguardo.leases (vault, source) values ({vault}, {source}) on conflict do nothing
             )
             insert into resguardo.jobs (vault, source, task, state) values ({vault}, {source}, {task}, {state})
             on conflict do nothing",
            vault = self.vault(),
            source = literal(source.as_str()),
            task = literal(task),
            state = literal(state),
        );
        let done = self.database.ask(&sql);
        done.map(|_| ())
            .map_err(SharedError::at("writing a job to"))
    }

    /// Claims a source for one of its jobs, and writes how that stands; the claim's number. `None`: somebody holds
    /// the source, or the job has another revision.
    ///
    /// # Errors
    /// [`SharedError::Database`].
    pub fn claim(
        &self,
        source: &SourceName,
        task: &str,
        revision: i64,
        state: &str,
    ) -> Result<Option<i64>, SharedError> {
        let change = format!(
            "task = {task}, holder = {process}, host = {host}, until = {until}",
            task = literal(task),
            process = literal(&self.process),
            host = literal(&self.host),
            until = self.until(),
        );
        let rows = self.advance((source, task), revision, state, "l.holder is null", &change);
        let rows = rows.map_err(SharedError::at("claiming a job of"))?;
        let fence = rows.first().map(|row| text(row, 0).parse());
        fence.transpose().map_err(|_| self.odd("a claim"))
    }

    /// Holds on for another lease's time; the sources that are still held.
    ///
    /// # Errors
    /// [`SharedError::Database`].
    pub fn renew(&self, holds: &[Hold<'_>]) -> Result<Vec<bool>, SharedError> {
        if holds.is_empty() {
            return Ok(Vec::new());
        }
        let value =
            |hold: &Hold<'_>| format!("({}, {})", literal(hold.source.as_str()), hold.fence);
        let values: Vec<String> = holds.iter().map(value).collect();
        let sql = format!(
            "update resguardo.leases set until = {until}
             where vault = {vault} and holder = {process} and (source, fence) in ({values})
             returning source",
            until = self.until(),
            vault = self.vault(),
            process = literal(&self.process),
            values = values.join(", "),
        );
        let rows = self.database.ask(&sql);
        let rows = rows.map_err(SharedError::at("renewing a lease of"))?;
        let is_held = |hold: &Hold<'_>| {
            let source = hold.source.as_str();
            rows.iter().any(|row| text(row, 0) == source)
        };
        Ok(holds.iter().map(is_held).collect())
    }

    /// Writes how a job stands whose run goes on; whether its claim holds.
    ///
    /// # Errors
    /// [`SharedError::Database`].
    pub fn keep(&self, hold: &Hold<'_>, state: &str) -> Result<bool, SharedError> {
        self.write_held(hold, state, "until = until")
    }

    /// Writes how a job stands whose run has ended, and lets its source go; whether its claim held, else nothing is
    /// written.
    ///
    /// # Errors
    /// [`SharedError::Database`].
    pub fn end(&self, hold: &Hold<'_>, state: &str) -> Result<bool, SharedError> {
        self.write_held(hold, state, LET_GO)
    }

    fn write_held(&self, hold: &Hold<'_>, state: &str, change: &str) -> Result<bool, SharedError> {
        let sql = format!(
            "with held as (
                update resguardo.leases set {change}
                where vault = {vault} and source = {source} and holder = {process} and fence = {fence}
                returning vault, source
             )
             update resguardo.jobs j
             set state = {state}, revision = j.revision + 1, at = clock_timestamp()
             from held where j.vault = held.vault and j.source = held.source and j.task = {task}
             returning j.revision",
            vault = self.vault(),
            source = literal(hold.source.as_str()),
            task = literal(hold.task),
            process = literal(&self.process),
            fence = hold.fence,
            state = literal(state),
        );
        let rows = self.database.ask(&sql);
        let rows = rows.map_err(SharedError::at("writing a job to"))?;
        Ok(!rows.is_empty())
    }

    /// Writes how a job stands that nobody runs, or that this process holds, or whose holder's lease has run out:
    /// then the source is free. Whether it was so, and the job had that revision.
    ///
    /// # Errors
    /// [`SharedError::Database`].
    pub fn put(
        &self,
        source: &SourceName,
        task: &str,
        revision: i64,
        state: &str,
    ) -> Result<bool, SharedError> {
        let free = format!(
            "(l.holder is null or l.task = {task}
                and (l.holder = {process} or l.until <= clock_timestamp()))",
            task = literal(task),
            process = literal(&self.process),
        );
        let rows = self.advance((source, task), revision, state, &free, LET_GO);
        let rows = rows.map_err(SharedError::at("writing a job to"))?;
        Ok(!rows.is_empty())
    }

    /// Writes how a job of that revision stands, where its source's lease `l` is `free`, counts the lease's number up
    /// and makes `change` to it. The number, in a row; none, if it was not so.
    fn advance(
        &self,
        (source, task): (&SourceName, &str),
        revision: i64,
        state: &str,
        free: &str,
        change: &str,
    ) -> Result<Vec<TextRow>, EngineError> {
        // Who finds the source's row locked comes too late: somebody is claiming it. The job is written before the
        // lease, so that one of another revision claims nothing.
        let sql = format!(
            "with free as (
                select vault, source from resguardo.leases l
                where vault = {vault} and source = {source} and {free}
                for update skip locked
             ), job as (
                update resguardo.jobs j
                set state = {state}, revision = j.revision + 1, at = clock_timestamp()
                from free where j.vault = free.vault and j.source = free.source
                and j.task = {task} and j.revision = {revision}
                returning j.vault, j.source
             )
             update resguardo.leases l set fence = l.fence + 1, {change}
             from job where l.vault = job.vault and l.source = job.source and {free}
             returning l.fence",
            vault = self.vault(),
            source = literal(source.as_str()),
            task = literal(task),
            state = literal(state),
        );
        self.database.ask(&sql)
    }
}

/// Nobody holds it any more.
const LET_GO: &str = "task = null, holder = null, host = null, until = null";
