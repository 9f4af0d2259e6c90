//! Empties a database in one transaction: either everything of the users' is gone, or nothing was touched.

use tokio_postgres::error::SqlState;

use crate::port::{EngineError, TargetState};
use crate::postgres::failure::{is_sql_state, shortened};
use crate::postgres::session::Session;
use crate::postgres::{contents, name};

/// Objects that are not part of every new database begin here (`FirstNormalObjectId`).
const OWN: &str = "o.oid >= 16384 and not exists (select from pg_catalog.pg_depend d \
    where d.objid = o.oid and d.deptype = 'e')";

/// What is dropped, in this order: what fires on the drops of others first.
const DROPS: [(&str, &str); 8] = [
    (
        "event trigger",
        "select pg_catalog.quote_ident(evtname) from pg_catalog.pg_event_trigger o where OWN",
    ),
    (
        "publication",
        "select pg_catalog.quote_ident(pubname) from pg_catalog.pg_publication o where OWN",
    ),
    (
        "extension",
        "select pg_catalog.quote_ident(extname) from pg_catalog.pg_extension where extname <> 'plpgsql'",
    ),
    (
        "schema",
        "select pg_catalog.quote_ident(nspname) from pg_catalog.pg_namespace \
         where nspname !~ '^pg_' and nspname <> 'information_schema'",
    ),
    (
        "foreign data wrapper",
        "select pg_catalog.quote_ident(fdwname) from pg_catalog.pg_foreign_data_wrapper o where OWN",
    ),
    (
        "language",
        "select pg_catalog.quote_ident(lanname) from pg_catalog.pg_language o \
         where lanispl and lanname <> 'plpgsql' and OWN",
    ),
    (
        "access method",
        "select pg_catalog.quote_ident(amname) from pg_catalog.pg_am o where OWN",
    ),
    (
        "cast",
        "select pg_catalog.format('(%s as %s)', pg_catalog.format_type(castsource, null), \
         pg_catalog.format_type(casttarget, null)) from pg_catalog.pg_cast o where OWN",
    ),
];

/// Default privileges of the whole database, each back to what PostgreSQL has by itself.
const DEFAULT_PRIVILEGES: &str = "select pg_catalog.format('alter default privileges for role %I %s', r.rolname, x.what) \
    from pg_catalog.pg_default_acl a join pg_catalog.pg_roles r on r.oid = a.defaclrole \
    cross join lateral (values (case a.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' \
      when 'f' then 'functions' when 'T' then 'types' when 'n' then 'schemas' when 'L' then 'large objects' end)) k(kind) \
    cross join lateral ( \
      select 1, pg_catalog.format('revoke all on %s from %s', k.kind, case e.grantee when 0 then 'public' \
        else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(e.grantee)) end) \
      from pg_catalog.aclexplode(a.defaclacl) e \
      union all select 2, pg_catalog.format('grant all on %s to %I', k.kind, r.rolname) \
      union all select 3, 'grant execute on functions to public' where a.defaclobjtype = 'f' \
      union all select 3, 'grant usage on types to public' where a.defaclobjtype = 'T') x(rank, what) \
    where a.defaclnamespace = 0 order by a.oid, x.rank";

/// Removes everything of the users' from the database of `session`.
///
/// # Errors
/// Nothing is touched then.
pub(super) fn empty(session: &Session) -> Result<(), EngineError> {
    refuse(session)?;
    session.batch("begin")?;
    let emptied = drop_all(session).and_then(|()| session.batch("commit"));
    if emptied.is_err() {
        // The connection may be gone; the server then does the same.
        let _ = session.batch("rollback");
    }
    emptied.map_err(|error| match error {
        error if is_sql_state(&error, &SqlState::OUT_OF_MEMORY) => {
            too_many(session, error.to_string())
        }
        EngineError::Busy { place, held } => EngineError::Busy {
            place,
            held: holder(session).unwrap_or(held),
        },
        other => other,
    })
}

/// Who has held a lock on a table the longest, in words; `None` if that cannot be found out any more.
fn holder(session: &Session) -> Option<String> {
    let rows = session.rows(
        "select a.pid, a.usename, a.application_name, a.query, l.relation::pg_catalog.regclass::text \
         from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid \
         where l.locktype = 'relation' and l.granted and l.pid <> pg_catalog.pg_backend_pid() and l.relation >= 16384 \
           and l.database = (select oid from pg_catalog.pg_database where datname = current_database()) \
         order by a.xact_start limit 1",
    );
    let rows = rows.ok()?;
    let row = rows.first()?;
    let application = match row.text(2) {
        "" => String::new(),
        name => format!(" ({name})"),
    };
    Some(format!(
        "process {} of user {}{application} holds a lock on {}: {}",
        row.text(0),
        row.text(1),
        row.text(4),
        shortened(row.text(3))
    ))
}

/// Refuses a database that cannot be emptied in one transaction, before anything is done for it.
///
/// # Errors
/// [`EngineError::Unsupported`], with the way round it.
pub(super) fn refuse(session: &Session) -> Result<(), EngineError> {
    refuse_subscriptions(session)?;
    refuse_too_many(session)
}

/// Whatever is dropped is locked until the commit. Of objects that are no tables the server tells itself; but
/// until it does, nobody else gets a lock either, so that what can be known is asked before.
fn refuse_too_many(session: &Session) -> Result<(), EngineError> {
    let rows = session.rows(
        "select (select count(*) from pg_class where oid >= 16384), \
           (select sum(setting::int8) + 1 \
              from pg_settings where name in ('max_connections', 'max_prepared_transactions', 'max_wal_senders', \
                'max_worker_processes', 'autovacuum_max_workers', 'autovacuum_worker_slots')) \
           * current_setting('max_locks_per_transaction')::int8",
    )?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let (needed, room) = (row.number::<u64>(0), row.number::<u64>(1));
    if needed <= room {
        return Ok(());
    }
    let why = format!("its {needed} tables, indexes and sequences, and there is room for {room}");
    Err(too_many(session, why))
}

fn too_many(session: &Session, why: String) -> EngineError {
    EngineError::Unsupported {
        place: session.settings().describe(),
        why: format!(
            "the server has not enough room for locks to empty it in one transaction: {why}"
        ),
        next: "drop the database and restore with --create, or raise max_locks_per_transaction"
            .to_owned(),
    }
}

/// A subscription holds a slot on another server, and cannot be dropped in a transaction.
fn refuse_subscriptions(session: &Session) -> Result<(), EngineError> {
    let names = session.rows(
        "select subname from pg_catalog.pg_subscription s join pg_catalog.pg_database d \
         on d.oid = s.subdbid where d.datname = pg_catalog.current_database()",
    );
    // Only a superuser may look in some versions; the drop of its schema's tables then says no.
    let names = names.unwrap_or_default();
    let Some(first) = names.first() else {
        return Ok(());
    };
    Err(EngineError::Unsupported {
        place: session.settings().describe(),
        why: format!(
            "it has the subscription {}, which cannot be dropped in a transaction",
            name::identifier(first.text(0))
        ),
        next: "drop it by hand: drop subscription".to_owned(),
    })
}

fn drop_all(session: &Session) -> Result<(), EngineError> {
    for (kind, query) in DROPS {
        for row in session.rows(&query.replace("OWN", OWN))? {
            session.batch(&format!("drop {kind} if exists {} cascade", row.text(0)))?;
        }
    }
    session.rows("select pg_catalog.lo_unlink(oid) from pg_catalog.pg_largeobject_metadata")?;
    for row in session.rows(DEFAULT_PRIVILEGES)? {
        session.batch(row.text(0))?;
    }
    session.batch(public(session.version().major()))?;
    match contents::state(session)? {
        TargetState::Occupied { contents, .. } => Err(EngineError::Unsupported {
            place: session.settings().describe(),
            why: format!("it cannot be emptied: {contents} would be left"),
            next: "drop the database and restore with --create".to_owned(),
        }),
        TargetState::Missing | TargetState::Empty => Ok(()),
    }
}

/// The schema that every new database has, as that of a server of `major` is.
fn public(major: u32) -> &'static str {
    if major >= 15 {
        "create schema public authorization pg_database_owner; \
         grant usage on schema public to public; \
         comment on schema public is 'standard public schema'"
    } else {
        "create schema public; grant all on schema public to public; \
         comment on schema public is 'standard public schema'"
    }
}
