//! Tables that are there already and get the rows of a backup, inside a transaction of the caller's.
//!
//! Their foreign keys, and those of others that point at them, are taken away and made again behind the rows,
//! so that each is proven for all rows and in no order; their triggers rest meanwhile. If a row would be left
//! without its parent, the whole transaction fails and nothing has changed.

use std::collections::BTreeSet;

use super::{ENDLESS, ready};
use crate::port::EngineError;
use crate::postgres::inventory::Table;
use crate::postgres::name;
use crate::postgres::session::Session;

/// Tables that are ready to take rows, and what was taken away for it.
pub(super) struct Opened {
    /// Statements that bring it back, in their order.
    closing: Vec<String>,
}

/// Which of `tables` are there as tables, by their positions in the slice.
pub(super) fn there(session: &Session, tables: &[&Table]) -> Result<BTreeSet<usize>, EngineError> {
    let rows = session.rows(
        "select n.nspname, c.relname from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p')",
    )?;
    let names: BTreeSet<_> = rows.iter().map(|row| (row.text(0), row.text(1))).collect();
    let found = tables.iter().enumerate();
    let found =
        found.filter(|(_, table)| names.contains(&(table.schema.as_str(), table.name.as_str())));
    Ok(found.map(|(position, _)| position).collect())
}

/// Locks `tables`, empties them if they may be, and takes away what would look at each row.
///
/// # Errors
/// [`EngineError::Occupied`] if there are rows and `clean` is not asked for.
pub(super) fn open(
    session: &Session,
    tables: &[&Table],
    clean: bool,
) -> Result<Opened, EngineError> {
    let mut opened = Opened {
        closing: Vec::new(),
    };
    if tables.is_empty() {
        return Ok(opened);
    }
    let list = only(tables);
    session.batch(&format!("lock table {list} in access exclusive mode"))?;
    if !clean {
        refuse_rows(session, tables)?;
    }
    opened.take_foreign_keys(session, tables)?;
    opened.rest_triggers(session, tables)?;
    if clean {
        remove_rows(session, tables)?;
    }
    Ok(opened)
}

/// Removes the rows that a backup would hold: of a table of an extension, those that are not the extension's.
fn remove_rows(session: &Session, tables: &[&Table]) -> Result<(), EngineError> {
    let (whole, partly): (Vec<&Table>, Vec<&Table>) =
        tables.iter().partition(|table| table.condition.is_empty());
    for table in partly {
        let (quoted, condition) = (table.quoted(), &table.condition);
        session.batch_within(&format!("delete from only {quoted} {condition}"), ENDLESS)?;
    }
    if whole.is_empty() {
        return Ok(());
    }
    session.batch(&format!("truncate table {}", only(&whole)))
}

/// The tables without those that inherit from them, for a statement.
fn only(tables: &[&Table]) -> String {
    let quoted = tables
        .iter()
        .map(|table| format!("only {}", table.quoted()));
    quoted.collect::<Vec<_>>().join(", ")
}

fn refuse_rows(session: &Session, tables: &[&Table]) -> Result<(), EngineError> {
    let mut full = Vec::new();
    for table in tables {
        let (quoted, condition) = (table.quoted(), &table.condition);
        let query = format!("select from only {quoted} {condition} limit 1");
        if !session.rows(&query)?.is_empty() {
            full.push(table.shown());
        }
    }
    if full.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = full.iter().map(String::as_str).collect();
    Err(EngineError::Occupied {
        place: session.settings().describe(),
        contents: format!("there are rows in {}", ready::listed(&names)),
    })
}

/// The oids of the tables, for a query.
fn oids(tables: &[&Table]) -> String {
    let texts: Vec<_> = tables
        .iter()
        .map(|table| format!("{}::pg_catalog.regclass", name::literal(&table.quoted())))
        .collect();
    format!("array[{}]::pg_catalog.oid[]", texts.join(", "))
}

impl Opened {
    fn take_foreign_keys(
        &mut self,
        session: &Session,
        tables: &[&Table],
    ) -> Result<(), EngineError> {
        // A partition's key is a part of that of the table it belongs to: that one is taken.
        let keys = session.rows(&format!(
            "with recursive k as (select oid, conparentid from pg_catalog.pg_constraint \
               where contype = 'f' and (conrelid = any ({0}) or confrelid = any ({0})) \
             union select c.oid, c.conparentid from pg_catalog.pg_constraint c join k on c.oid = k.conparentid) \
             select c.conrelid::pg_catalog.regclass, pg_catalog.quote_ident(c.conname), \
               pg_catalog.pg_get_constraintdef(c.oid), \
               pg_catalog.quote_literal(pg_catalog.obj_description(c.oid, 'pg_constraint')) \
             from pg_catalog.pg_constraint c join k using (oid) where c.conparentid = 0 order by c.oid",
            oids(tables)
        ))?;
        for key in keys {
            let (table, name, definition) = (key.text(0), key.text(1), key.text(2));
            session.batch(&format!("alter table {table} drop constraint {name}"))?;
            self.closing.push(format!(
                "alter table {table} add constraint {name} {definition}"
            ));
            if let Some(words) = key.optional(3) {
                self.closing.push(format!(
                    "comment on constraint {name} on {table} is {words}"
                ));
            }
        }
        Ok(())
    }

    fn rest_triggers(&mut self, session: &Session, tables: &[&Table]) -> Result<(), EngineError> {
        let triggers = session.rows(&format!(
            "select tgrelid::pg_catalog.regclass, pg_catalog.quote_ident(tgname), tgenabled \
             from pg_catalog.pg_trigger where not tgisinternal and tgenabled <> 'D' \
             and tgrelid = any ({})",
            oids(tables)
        ))?;
        for trigger in triggers {
            let (table, name) = (trigger.text(0), trigger.text(1));
            let mode = match trigger.text(2) {
                "R" => "replica ",
                "A" => "always ",
                _ => "",
            };
            session.batch(&format!("alter table {table} disable trigger {name}"))?;
            self.closing
                .push(format!("alter table {table} enable {mode}trigger {name}"));
        }
        Ok(())
    }

    /// Brings back what was taken away; every foreign key is proven for all rows.
    ///
    /// # Errors
    /// If a row has no parent.
    pub(super) fn close(self, session: &Session) -> Result<(), EngineError> {
        self.closing
            .iter()
            .try_for_each(|statement| session.batch_within(statement, ENDLESS))
    }
}
