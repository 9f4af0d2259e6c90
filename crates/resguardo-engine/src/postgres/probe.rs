//! Looks at a source for `doctor`, and before every backup: can it be reached, is everything there that a
//! backup needs, and may its role read all of it? It waits for nobody and changes nothing.

use std::time::Duration;

use resguardo_model::size::ByteSize;
use resguardo_model::{CancelToken, Diagnosis, Severity, counted};

use super::Surroundings;
use super::capture::{self, require_known_major};
use super::catalog;
use super::failure::GRANT_CONNECT;
use super::maintenance;
use super::pooler;
use super::privilege::{self, Lack};
use super::session::{Limits, Session};
use super::settings::Settings;
use super::tools::Tools;
use crate::port::{EngineError, Location};

/// Somebody watches: neither lock nor answer is waited for longer.
const LIMITS: Limits = Limits {
    lock: Duration::from_secs(2),
    silence: Some(Duration::from_secs(20)),
};
/// Privileges that are named one by one.
const LACKS_MAX: usize = 20;
/// Shared among all transactions, so not all of the lock table is ours.
const LOCKS_SHARE: f64 = 0.7;

/// What is found at `location`.
pub(super) fn probe(around: &Surroundings, subject: &str, location: &Location) -> Vec<Diagnosis> {
    let mut found = Found {
        subject,
        diagnoses: Vec::new(),
    };
    if let Err(error) = look(around, location, &mut found) {
        found.problem(error.in_full(), next_step(&error));
    }
    found.diagnoses
}

/// What was found so far.
struct Found<'a> {
    subject: &'a str,
    diagnoses: Vec<Diagnosis>,
}

impl Found<'_> {
    fn ok(&mut self, message: String) {
        self.diagnoses.push(Diagnosis::ok(self.subject, message));
    }

    fn not_ok(&mut self, severity: Severity, message: String, next: String) {
        let diagnosis = Diagnosis::not_ok(severity, self.subject, message, next);
        self.diagnoses.push(diagnosis);
    }

    fn problem(&mut self, message: String, next: String) {
        self.not_ok(Severity::Problem, message, next);
    }

    fn warning(&mut self, message: String, next: &str) {
        self.not_ok(Severity::Warning, message, next.to_owned());
    }
}

fn look(
    around: &Surroundings,
    location: &Location,
    found: &mut Found<'_>,
) -> Result<(), EngineError> {
    let settings = Settings::resolve(location, &around.libpq)?;
    let (session, _) = pooler::two_sessions(&settings, LIMITS, &CancelToken::new())?;
    require_known_major(&session)?;
    let tools = Tools::clients(session.version().major(), &around.tool_folders);
    let relations = catalog::relations(&session)?;
    let with_rows = relations
        .iter()
        .filter(|relation| capture::has_rows(relation, session.in_recovery()))
        .count();
    let database = catalog::database(&session)?;
    let dumped_by = match &tools {
        Ok(tools) => format!("; pg_dump {}", tools.version()),
        Err(_) => String::new(),
    };
    found.ok(format!(
        "PostgreSQL {} at {}: {}, {}{dumped_by}",
        session.version(),
        settings.describe(),
        counted(with_rows as u64, "table"),
        ByteSize(database.bytes)
    ));
    if let Err(error) = tools {
        found.problem(error.in_full(), next_step(&error));
    }
    privileges(&privilege::missing(&session)?, found);
    locks(&session, relations.len(), found)?;
    standby(&session, found)?;
    if let Some(opening) = maintenance::left_closed(&session)? {
        found.warning(
            "a restore that did not end left it closed to the application".to_owned(),
            &format!("restore it again, or open it as it is: {opening}"),
        );
    }
    for left_out in catalog::left_out(&session)? {
        found.warning(format!("a backup leaves out {left_out}"), "");
    }
    Ok(())
}

fn privileges(lacks: &[Lack], found: &mut Found<'_>) {
    for lack in lacks.iter().take(LACKS_MAX) {
        found.problem(
            format!("{} cannot be read: {}", lack.object, lack.why),
            format!("{};", lack.grant),
        );
    }
    if lacks.len() > LACKS_MAX {
        let more = lacks.len() - LACKS_MAX;
        found.problem(
            format!("{more} more tables or sequences cannot be read"),
            "GRANT SELECT ON ALL TABLES IN SCHEMA and ON ALL SEQUENCES IN SCHEMA, or GRANT pg_read_all_data"
                .to_owned(),
        );
    }
}

/// Every table is locked at once, and the server keeps room for so many locks.
fn locks(session: &Session, tables: usize, found: &mut Found<'_>) -> Result<(), EngineError> {
    let rows = session.rows(
        "select current_setting('max_locks_per_transaction')::int8, current_setting('max_connections')::int8 \
           + current_setting('max_prepared_transactions')::int8",
    )?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let (each, transactions): (u64, u64) = (row.number(0), row.number(1));
    let room = (each * transactions) as f64;
    let needed = tables as f64;
    if needed <= room * LOCKS_SHARE {
        return Ok(());
    }
    let enough = (needed / LOCKS_SHARE / transactions.max(1) as f64).ceil() as u64 + 1;
    let severity = if needed > room {
        Severity::Problem
    } else {
        Severity::Warning
    };
    found.not_ok(
        severity,
        format!(
            "a backup locks {} at once, and the server has room for some {} locks",
            counted(tables as u64, "table"),
            each * transactions
        ),
        format!(
            "set max_locks_per_transaction = {enough} in postgresql.conf and restart the server"
        ),
    );
    Ok(())
}

fn standby(session: &Session, found: &mut Found<'_>) -> Result<(), EngineError> {
    if !session.in_recovery() {
        return Ok(());
    }
    let rows = session.rows("select current_setting('hot_standby_feedback')::bool")?;
    if rows.first().is_some_and(|row| row.is_true(0)) {
        found.ok(
            "it is a standby with hot_standby_feedback: a long backup is not cut off".to_owned(),
        );
    } else {
        found.warning(
            "it is a standby without hot_standby_feedback: its primary may cut a long backup off"
                .to_owned(),
            "ALTER SYSTEM SET hot_standby_feedback = on; SELECT pg_reload_conf(); on the standby",
        );
    }
    Ok(())
}

fn next_step(error: &EngineError) -> String {
    match error {
        EngineError::Missing { .. } => {
            "correct the database's name in the source's url: psql -l lists those that there are".to_owned()
        }
        EngineError::Denied { why, .. } if why.contains(GRANT_CONNECT) => {
            let grant = why.split_once(GRANT_CONNECT).map_or("", |(_, grant)| grant);
            format!("{GRANT_CONNECT}{grant};")
        }
        EngineError::Denied { .. } => {
            "correct user and password of the source's url, or the server's pg_hba.conf".to_owned()
        }
        EngineError::Unreachable { .. } | EngineError::Timeout { .. } => {
            "see that the server runs and that its host and port are those of the source's url: pg_isready"
                .to_owned()
        }
        EngineError::ToolMissing { package, .. } => format!("install {package}"),
        EngineError::Unsupported { next, .. } => next.clone(),
        EngineError::Busy { .. } => "try again when its lock is released".to_owned(),
        _ => String::new(),
    }
}
