//! `rows.sql`: rows and sequences back with `psql` alone.

use crate::postgres::inventory::{Inventory, Sequence, Table};
use crate::postgres::name::{identifier, literal};

const HEAD: &str = "\
-- The rows of this backup and the state of its sequences, for psql, run where inventory.json lies:
--   psql -d NEW -f globals.sql
--   pg_restore -d NEW --section=pre-data schema.dump
--   psql -d NEW -f rows.sql
--   pg_restore -d NEW large-objects.dump        (if there is one)
--   pg_restore -d NEW --section=post-data schema.dump
\\set ON_ERROR_STOP on
SET client_encoding = 'UTF8';
SET search_path = '';
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
    if table.files.is_empty() {
        return;
    }
    // psql reads \copy to the end of the line: what has a line break in its name gets another meanwhile.
    let schema = Renamed::of("SCHEMA", "", &table.schema, "resguardo_schema");
    let prefix = format!("{}.", identifier(&schema.now));
    let name = Renamed::of("TABLE", &prefix, &table.name, "resguardo_rows");
    script.push_str(&schema.before);
    script.push_str(&name.before);
    let columns = match table.column_list() {
        // Without a list, all that are not generated, in the same order.
        list if list.is_empty() || has_line_break(&list) => String::new(),
        list => format!(" ({list})"),
    };
    let target = format!("{prefix}{}{columns}", identifier(&name.now));
    for file in &table.files {
        script.push_str(&format!(
            "\\copy {target} from '{}' with (encoding {})\n",
            file.path,
            literal(encoding)
        ));
    }
    script.push_str(&name.after);
    script.push_str(&schema.after);
}

/// A name while rows are copied.
struct Renamed {
    now: String,
    before: String,
    after: String,
}

impl Renamed {
    /// `own`, or `other` with the statements that give it and take it away again.
    fn of(kind: &str, prefix: &str, own: &str, other: &str) -> Self {
        let mut renamed = Self {
            now: own.to_owned(),
            before: String::new(),
            after: String::new(),
        };
        if has_line_break(own) {
            let (from, to) = (identifier(own), identifier(other));
            renamed.now = other.to_owned();
            renamed.before = format!("ALTER {kind} {prefix}{from} RENAME TO {to};\n");
            renamed.after = format!("ALTER {kind} {prefix}{to} RENAME TO {from};\n");
        }
        renamed
    }
}

fn has_line_break(text: &str) -> bool {
    text.contains(['\n', '\r'])
}

fn state(sequence: &Sequence) -> String {
    format!(
        "SELECT pg_catalog.setval({}, {}, {});\n",
        literal(&sequence.quoted()),
        sequence.last_value,
        sequence.is_called
    )
}
