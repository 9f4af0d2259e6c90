//! `rows.sql`: rows and sequences back with `psql` alone.

use crate::postgres::inventory::{Inventory, Sequence, Table};
use crate::postgres::name::literal;

const HEAD: &str = "\
-- The rows of this backup and the state of its sequences, for psql, run where inventory.json lies:
--   psql -d NEW -f globals.sql
--   pg_restore -d NEW --section=pre-data schema.dump
--   psql -d NEW -f rows.sql
--   pg_restore -d NEW large-objects.dump        (if there is one)
--   pg_restore -d NEW --section=post-data schema.dump
\\set ON_ERROR_STOP on
SET search_path = '';
SET session_replication_role = DEFAULT;
BEGIN;
";

/// The whole script.
pub(super) fn of(inventory: &Inventory) -> String {
    let mut script = HEAD.to_owned();
    for table in &inventory.tables {
        copy(&mut script, table, &inventory.encoding);
    }
    for sequence in &inventory.sequences {
        script.push_str(&state(sequence));
    }
    script.push_str("COMMIT;\n");
    script
}

fn copy(script: &mut String, table: &Table, encoding: &str) {
    let columns = table.column_list();
    let columns = match columns.as_str() {
        "" => String::new(),
        list => format!(" ({list})"),
    };
    let target = format!("{}{columns}", table.quoted());
    if target.contains(['\n', '\r']) && !table.files.is_empty() {
        // psql reads \copy to the end of the line.
        let folder = table.files[0].path.as_str();
        script.push_str(&format!(
            "\\warn a name holds a line break: copy {folder} and what lies beside it by hand\n"
        ));
        return;
    }
    for file in &table.files {
        script.push_str(&format!(
            "\\copy {target} from '{}' with (encoding {})\n",
            file.path,
            literal(encoding)
        ));
    }
}

fn state(sequence: &Sequence) -> String {
    format!(
        "SELECT pg_catalog.setval({}, {}, {});\n",
        literal(&sequence.quoted()),
        sequence.last_value,
        sequence.is_called
    )
}
