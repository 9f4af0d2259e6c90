//! The runs of all machines. Each keeps those of all in its own catalog, so that whoever looks how a source stands sees
//! what failed elsewhere, and pages need not ask.
//!
//! A run is its machine's to tell. What others say of it, that its machine was not heard of, holds until it does.

use std::time::Duration;

use jiff::Timestamp;
use resguardo_engine::postgres::database::literal;

use super::{SharedCatalog, SharedError, moment, text};
use crate::catalog::{Catalog, CatalogError, RunRow, RunState};

/// Own runs that are looked through for news, the newest first.
const OWN_RUNS_MAX: u32 = 200;
/// Runs that are taken in at once, at most.
const TAKEN_MAX: u32 = 1000;
/// A machine that is silent for so long, and for longer than a lease, runs nothing any more.
const SILENT: Duration = Duration::from_secs(5 * 60);
/// How far back a first look goes, in days.
const DAYS: u32 = 30;
/// Seconds that are looked at twice: what was written at the same time may be seen later.
const OVERLAP_SECONDS: u32 = 60;

/// Who exchanges runs, and what he knows that others know.
#[derive(Debug, Default)]
pub struct Exchange {
    told: std::collections::BTreeMap<String, RunState>,
    /// By the server's clock.
    until: Option<Timestamp>,
}

/// What can go wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The shared catalog.
    #[error(transparent)]
    Shared(#[from] SharedError),
    /// This machine's.
    #[error(transparent)]
    Own(#[from] CatalogError),
}

impl Exchange {
    /// Tells others of this machine's runs, and takes in theirs; whether it learnt something.
    ///
    /// # Errors
    /// [`ExchangeError`]: what could not be told or taken in now is at the next time.
    pub fn exchange(
        &mut self,
        own: &Catalog,
        shared: &SharedCatalog,
    ) -> Result<bool, ExchangeError> {
        shared.is_heard()?;
        let mut runs = own.runs(OWN_RUNS_MAX)?;
        runs.reverse();
        for run in runs {
            let id = run.run.to_string();
            if self.told.get(&id) != Some(&run.state) {
                shared.tell_run(&run)?;
                self.told.insert(id, run.state);
            }
        }
        let (now, news) = shared.runs_since(self.until)?;
        let mut learnt = false;
        for run in news {
            self.told.insert(run.run.to_string(), run.state);
            learnt |= own.take_in_run(&run)?;
        }
        self.until = Some(now);
        while self.told.len() > 4 * TAKEN_MAX as usize {
            self.told.pop_first();
        }
        Ok(learnt)
    }
}

impl SharedCatalog {
    /// This process is there. Runs of those that were not for long have died.
    fn is_heard(&self) -> Result<(), SharedError> {
        let silent = SILENT.max(self.lease).as_secs();
        let sql = format!(
            "with here as (
                insert into resguardo.machines (vault, process, host) values ({vault}, {process}, {host})
                on conflict (vault, process) do update set heard_at = clock_timestamp()
             ), forgotten as (
                delete from resguardo.messages where vault = {vault} and until < clock_timestamp() - interval '30 days'
             ), gone as (
                delete from resguardo.machines where vault = {vault} and heard_at < clock_timestamp() - interval '90 days'
             ), taken as (
                delete from resguardo.runs where vault = {vault} and changed_at < clock_timestamp() - interval '90 days'
             )
             update resguardo.runs r
             set state = 'died', changed_at = clock_timestamp(),
                row = (r.row::jsonb || jsonb_build_object('state', 'died',
                    'finished_at', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
                    'message', m.host || ', which ran it, was not heard of for long'))::text
             from resguardo.machines m
             where r.vault = {vault} and r.state = 'running' and m.vault = r.vault and m.process = r.process
             and m.process <> {process} and m.heard_at < clock_timestamp() - interval '{silent} seconds'",
            vault = self.vault(),
            process = literal(&self.process),
            host = literal(&self.host),
        );
        let done = self.database.ask(&sql);
        done.map(|_| ()).map_err(SharedError::at("writing to"))
    }

    /// Writes a run down. One that has ended stays as it is.
    fn tell_run(&self, run: &RunRow) -> Result<(), SharedError> {
        let row = RunRow {
            // A number of another machine's, which nobody else can look at.
            process: None,
            ..run.clone()
        };
        let row = serde_json::to_string(&row).expect("model types have string keys only");
        let sql = format!(
            "insert into resguardo.runs (vault, run, process, state, row)
             values ({vault}, {run}, {process}, {state}, {row})
             on conflict (vault, run) do update
             set state = excluded.state, row = excluded.row, changed_at = clock_timestamp()
             where resguardo.runs.state = 'running'
                or resguardo.runs.state = 'died' and excluded.state <> 'running'",
            vault = self.vault(),
            run = literal(&run.run.to_string()),
            process = literal(&self.process),
            state = literal(run.state.as_str()),
            row = literal(&row),
        );
        let done = self.database.ask(&sql);
        done.map(|_| ())
            .map_err(SharedError::at("writing a run to"))
    }

    /// What was written of runs since then, the oldest first, and until when by the server's clock. What another
    /// version wrote and this one cannot read is left out.
    fn runs_since(
        &self,
        since: Option<Timestamp>,
    ) -> Result<(Timestamp, Vec<RunRow>), SharedError> {
        let since = match since {
            Some(since) => format!(
                "to_timestamp({}) - interval '{OVERLAP_SECONDS} seconds'",
                since.as_second()
            ),
            None => format!("clock_timestamp() - interval '{DAYS} days'"),
        };
        let sql = format!(
            "select (extract(epoch from clock_timestamp()) * 1000)::bigint, null, null
             union all
             (select (extract(epoch from changed_at) * 1000)::bigint, run, row from resguardo.runs
              where vault = {vault} and changed_at >= {since} order by changed_at, run limit {TAKEN_MAX})",
            vault = self.vault()
        );
        let rows = self.database.ask_again(&sql);
        let rows = rows.map_err(SharedError::at("reading the runs of"))?;
        let mut now = rows
            .first()
            .and_then(|row| moment(row, 0))
            .ok_or_else(|| self.odd("a time"))?;
        let told = &rows[1..];
        // More than are taken at once: the next look goes on there.
        if told.len() >= TAKEN_MAX as usize {
            let last = told.last().and_then(|row| moment(row, 0));
            now = last.map_or(now, |last| {
                last + jiff::SignedDuration::from_secs(i64::from(OVERLAP_SECONDS))
            });
        }
        let runs = told.iter();
        let runs = runs.filter_map(|row| serde_json::from_str(text(row, 2)).ok());
        Ok((now, runs.collect()))
    }
}

impl Catalog {
    /// Takes in a run of another machine's; whether that is news. One that has ended here stays as it is.
    fn take_in_run(&self, run: &RunRow) -> Result<bool, CatalogError> {
        let known = self.run_state(run)?;
        let is_news = match known {
            None => true,
            Some(RunState::Running) => run.state != RunState::Running,
            Some(RunState::Died) => !matches!(run.state, RunState::Running | RunState::Died),
            Some(_) => false,
        };
        if is_news {
            self.put_run(run)?;
        }
        Ok(is_news)
    }
}
