//! Which tables are meant by `--only`, and what of the archive belongs to them: a table with its partitions, its
//! own sequences, defaults, keys, indexes, triggers, policies, words and grants, and what it cannot be made
//! without.

use std::collections::{BTreeMap, BTreeSet};

use super::archive::{Entry, Section};
use crate::port::EngineError;
use crate::postgres::inventory::Inventory;

/// Tables that an error lists.
const LISTED_MAX: usize = 12;

/// Positions in the archive of the tables that `asked` names, their partitions with them, sorted.
///
/// # Errors
/// [`EngineError::NoSuchTable`].
pub(super) fn tables(entries: &[Entry], asked: &[String]) -> Result<Vec<usize>, EngineError> {
    let all: Vec<_> = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.kind == "TABLE")
        .collect();
    let mut found = BTreeSet::new();
    for name in asked {
        let same = |fits: &dyn Fn(&str) -> bool| -> Vec<usize> {
            let named = all.iter().filter(|(_, entry)| {
                fits(&format!("{}.{}", entry.schema, entry.name)) || fits(&entry.name)
            });
            named.map(|(position, _)| *position).collect()
        };
        let mut fitting = same(&|other| other == name);
        if fitting.is_empty() {
            fitting = same(&|other| other.eq_ignore_ascii_case(name));
        }
        match fitting.as_slice() {
            [one] => found.insert(*one),
            other => {
                let of_these: Vec<_> = if other.is_empty() {
                    all.iter().map(|(_, entry)| *entry).collect()
                } else {
                    other.iter().map(|position| &entries[*position]).collect()
                };
                return Err(no_such_table(name, &of_these));
            }
        };
    }
    with_partitions(entries, &mut found);
    Ok(found.into_iter().collect())
}

fn no_such_table(asked: &str, there: &[&Entry]) -> EngineError {
    let names = there.iter().take(LISTED_MAX);
    let names: Vec<_> = names
        .map(|entry| format!("{}.{}", entry.schema, entry.name))
        .collect();
    let more = if there.len() > LISTED_MAX {
        ", …"
    } else {
        ""
    };
    EngineError::NoSuchTable {
        table: asked.to_owned(),
        has: format!("{}{more}", names.join(", ")),
    }
}

fn with_partitions(entries: &[Entry], found: &mut BTreeSet<usize>) {
    let position = |id: u32| entries.iter().position(|entry| entry.key.id == id);
    let attached = entries.iter().filter(|entry| entry.kind == "TABLE ATTACH");
    // pg_dump names the partition first, the table that it belongs to after it.
    let pairs: Vec<_> = attached
        .filter_map(|entry| {
            let mut tables = entry.needs.iter().filter_map(|id| position(*id));
            Some((tables.next()?, tables.next()?))
        })
        .collect();
    loop {
        let before = found.len();
        for (part, whole) in &pairs {
            if found.contains(whole) {
                found.insert(*part);
            }
        }
        if found.len() == before {
            return;
        }
    }
}

/// What of the archive is run for some tables: positions, in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selected {
    /// What a table cannot be made without, and may be there already.
    pub(super) needed: BTreeSet<usize>,
    /// What belongs to the tables.
    pub(super) own: BTreeSet<usize>,
}

/// What belongs to `tables`, which are to be made, and what they need.
pub(super) fn select(entries: &[Entry], tables: &[usize]) -> Selected {
    let by_id: BTreeMap<u32, usize> = entries
        .iter()
        .enumerate()
        .map(|(position, entry)| (entry.key.id, position))
        .collect();
    let mut own: BTreeSet<usize> = tables.iter().copied().collect();
    // The archive is sorted: what belongs to an object comes after it.
    for (position, entry) in entries.iter().enumerate() {
        let needs: Vec<_> = entry.needs.iter().filter_map(|id| by_id.get(id)).collect();
        if needs.iter().any(|needed| own.contains(needed)) && belongs(entries, entry, &own) {
            own.insert(position);
        }
    }
    let mut needed = BTreeSet::new();
    let mut open: Vec<usize> = own.iter().copied().collect();
    while let Some(position) = open.pop() {
        // What comes after the rows is only wished for; it does not bring other tables along.
        if entries[position].section == Section::After {
            continue;
        }
        for id in &entries[position].needs {
            if let Some(other) = by_id.get(id)
                && entries[*other].kind != "TABLE"
                && !own.contains(other)
                && needed.insert(*other)
            {
                open.push(*other);
            }
        }
    }
    Selected { needed, own }
}

/// Whether an entry that needs one of the selected is a part of it, and not something that uses it.
fn belongs(entries: &[Entry], entry: &Entry, own: &BTreeSet<usize>) -> bool {
    let of_a_table = || {
        let tables = own.iter().map(|position| &entries[*position]);
        tables.filter(|table| table.kind == "TABLE").any(|table| {
            table.schema == entry.schema && entry.name.starts_with(&format!("{} ", table.name))
        })
    };
    match entry.kind.as_str() {
        "DEFAULT" | "CONSTRAINT" | "CHECK CONSTRAINT" | "FK CONSTRAINT" | "TRIGGER" | "RULE"
        | "POLICY" => of_a_table(),
        // A sequence that is nobody's needs no table.
        "INDEX" | "INDEX ATTACH" | "TABLE ATTACH" | "ROW SECURITY" | "STATISTICS" | "COMMENT"
        | "ACL" | "SECURITY LABEL" | "SEQUENCE" | "SEQUENCE OWNED BY" => true,
        _ => false,
    }
}

/// Positions in the inventory of the tables at `positions` of the archive.
pub(super) fn in_inventory(
    inventory: &Inventory,
    entries: &[Entry],
    positions: &[usize],
) -> Vec<usize> {
    let oids: BTreeSet<u32> = positions
        .iter()
        .map(|position| entries[*position].key.oid)
        .collect();
    let tables = inventory.tables.iter().enumerate();
    tables
        .filter(|(_, table)| oids.contains(&table.oid))
        .map(|(position, _)| position)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::archive::Key;
    use super::*;

    fn entry(id: u32, kind: &str, name: &str, needs: &[u32]) -> Entry {
        Entry {
            key: Key {
                id,
                class: 1259,
                oid: 1000 + id,
            },
            needs: needs.to_vec(),
            kind: kind.to_owned(),
            schema: if kind == "SCHEMA" { "-" } else { "app" }.to_owned(),
            name: name.to_owned(),
            section: match kind {
                "INDEX" | "FK CONSTRAINT" | "CONSTRAINT" => Section::After,
                _ => Section::Before,
            },
            sql: String::new(),
        }
    }

    fn archive() -> Vec<Entry> {
        vec![
            entry(1, "SCHEMA", "app", &[]),
            entry(2, "TYPE", "mood", &[1]),
            entry(3, "TABLE", "orders", &[1, 2]),
            entry(4, "SEQUENCE", "orders_id_seq", &[1, 3]),
            entry(5, "SEQUENCE OWNED BY", "orders_id_seq", &[4]),
            entry(6, "TABLE", "lines", &[1]),
            entry(7, "VIEW", "seen", &[3, 1]),
            entry(8, "DEFAULT", "orders id", &[4, 3]),
            entry(9, "TABLE", "events", &[1]),
            entry(10, "TABLE", "events_1", &[1, 9]),
            entry(11, "TABLE ATTACH", "events_1", &[10, 9]),
            entry(12, "INDEX", "orders_idx", &[3]),
            entry(13, "CONSTRAINT", "orders orders_pkey", &[3]),
            entry(14, "FK CONSTRAINT", "lines lines_fkey", &[13, 6, 3]),
        ]
    }

    fn names(entries: &[Entry], positions: &BTreeSet<usize>) -> Vec<u32> {
        positions.iter().map(|at| entries[*at].key.id).collect()
    }

    #[test]
    fn a_table_is_found_by_its_name_with_its_partitions() {
        let entries = archive();
        let find = |name: &str| tables(&entries, &[name.to_owned()]);
        assert_eq!(find("orders").unwrap(), [2]);
        assert_eq!(find("APP.Orders").unwrap(), [2]);
        assert_eq!(find("events").unwrap(), [8, 9]);
        let error = find("nothing").unwrap_err().to_string();
        assert!(error.contains("app.orders, app.lines"), "{error}");
    }

    #[test]
    fn what_belongs_to_a_table_comes_with_it_and_what_uses_it_does_not() {
        let entries = archive();
        let selected = select(&entries, &[2]);
        assert_eq!(names(&entries, &selected.own), [3, 4, 5, 8, 12, 13]);
        assert_eq!(names(&entries, &selected.needed), [1, 2]);
        let selected = select(&entries, &[5]);
        assert_eq!(names(&entries, &selected.own), [6, 14]);
        assert_eq!(names(&entries, &selected.needed), [1]);
    }
}
