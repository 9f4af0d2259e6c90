//! Whether two addresses lead to the same database: by the cluster's own identifier and the database's oid,
//! which no name, port, tunnel or pooler can hide.

use resguardo_model::CancelToken;

use super::session::{Limits, Session};
use super::settings::Settings;
use super::target::LOCK_TIMEOUT;
use crate::port::EngineError;

/// A database, whatever it is called and however it is reached.
#[derive(PartialEq, Eq)]
struct Identity {
    /// `system_identifier` of the cluster; empty where this role may not ask for it.
    cluster: String,
    /// When the postmaster started and where its clients arrive, for where the first is unknown.
    server: String,
    /// Oid of the database, or its name where it does not exist.
    database: String,
}

/// Whether both lead to one database. Where one cannot be reached, the same address is the same place.
pub(super) fn is_same(one: &Settings, other: &Settings) -> bool {
    let address = |settings: &Settings| {
        (
            settings.hosts(),
            settings.ports().unwrap_or_default(),
            settings.database().to_owned(),
        )
    };
    if address(one) == address(other) {
        return true;
    }
    match (identity(one), identity(other)) {
        (Ok(one), Ok(other)) => one.shares_server_with(&other) && one.database == other.database,
        _ => false,
    }
}

/// Whether both lead to one server, or to a standby of it. Where one cannot be reached, the same address is
/// the same server.
pub(super) fn is_same_server(one: &Settings, other: &Settings) -> bool {
    let address = |settings: &Settings| (settings.hosts(), settings.ports().unwrap_or_default());
    if address(one) == address(other) {
        return true;
    }
    match (identity(one), identity(other)) {
        (Ok(one), Ok(other)) => one.shares_server_with(&other),
        _ => false,
    }
}

impl Identity {
    fn shares_server_with(&self, other: &Self) -> bool {
        if self.cluster.is_empty() || other.cluster.is_empty() {
            self.server == other.server
        } else {
            self.cluster == other.cluster
        }
    }
}

fn identity(settings: &Settings) -> Result<Identity, EngineError> {
    let limits = Limits {
        lock: LOCK_TIMEOUT,
        silence: Some(settings.connect_timeout()),
    };
    let cancel = CancelToken::new();
    // Nothing is set: a pooler may stand between, and give the connection to somebody else.
    let (session, exists) = match Session::connect_unprepared(settings, limits, &cancel) {
        Ok(session) => (session, true),
        // The database that a restore would make may be the one that the source's name leads to.
        Err(EngineError::Missing { .. }) => {
            let maintenance = settings.with_database("postgres");
            (
                Session::connect_unprepared(&maintenance, limits, &cancel)?,
                false,
            )
        }
        Err(error) => return Err(error),
    };
    let first = |sql: &str| {
        let rows = session.rows(sql).unwrap_or_default();
        rows.first().map(|row| row.text(0).to_owned())
    };
    let cluster = first("select system_identifier from pg_catalog.pg_control_system()");
    let server = first(
        "select extract(epoch from pg_catalog.pg_postmaster_start_time()) || ' ' || pg_catalog.current_setting('port')",
    );
    let database = if exists {
        first(
            "select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()",
        )
    } else {
        None
    };
    Ok(Identity {
        cluster: cluster.unwrap_or_default(),
        server: server.unwrap_or_default(),
        database: database.unwrap_or_else(|| settings.database().to_owned()),
    })
}
