//! Sequences and where they stand.

use super::OWN_SCHEMAS;
use crate::port::EngineError;
use crate::postgres::inventory::Sequence;
use crate::postgres::session::{Row, Session};

/// Sequences that are asked for at once.
const BATCH: usize = 250;

/// Every sequence that a backup carries, in the order of schema and name. They obey no snapshot: what is
/// told is where they stand now, which is never behind what a snapshot's rows were given.
///
/// # Errors
/// If one cannot be read.
pub(in crate::postgres) fn sequences(session: &Session) -> Result<Vec<Sequence>, EngineError> {
    let readable = if session.in_recovery() {
        "c.relpersistence = 'p'"
    } else {
        "c.relpersistence <> 't'"
    };
    let rows = session.rows(&format!(
        "select c.oid, n.nspname, c.relname, \
           coalesce((select d.refobjid from pg_depend d where d.classid = 'pg_class'::regclass \
             and d.objid = c.oid and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i') \
             and d.refobjsubid > 0 limit 1), 0) \
         from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where c.relkind = 'S' and {readable} and {OWN_SCHEMAS} \
           and (not exists (select from pg_depend d where d.classid = 'pg_class'::regclass \
               and d.objid = c.oid and d.deptype = 'e') \
             or exists (select from pg_extension x where c.oid = any (x.extconfig))) \
         order by n.nspname, c.relname"
    ))?;
    let mut sequences: Vec<Sequence> = rows.iter().map(sequence).collect();
    for batch in sequences.chunks_mut(BATCH) {
        let questions: Vec<String> = batch
            .iter()
            .map(|sequence| format!("select last_value, is_called from {}", sequence.quoted()))
            .collect();
        let answers = session.rows(&questions.join(";"))?;
        for (sequence, answer) in batch.iter_mut().zip(answers) {
            sequence.last_value = answer.number(0);
            sequence.is_called = answer.is_true(1);
        }
    }
    Ok(sequences)
}

fn sequence(row: &Row) -> Sequence {
    Sequence {
        oid: row.number(0),
        schema: row.text(1).to_owned(),
        name: row.text(2).to_owned(),
        owner_table: row.number(3),
        last_value: 0,
        is_called: false,
    }
}
