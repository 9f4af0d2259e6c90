//! What is done in which order: rows as soon as the tables are there, the indexes of a table as soon as its
//! rows are in, everything that looks at other tables when all rows are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::archive::{Entry, Pass, Section};
use super::schedule::Task;
use crate::postgres::inventory::Inventory;

/// `pg_class`, in which tables are numbered.
const PG_CLASS: u32 = 1259;
/// Files that each session gets at least of a table that several load.
const FILES_MIN: usize = 2;

/// One piece of a restore.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Loads rows.
    Rows {
        /// Position of the table in the inventory.
        table: usize,
        /// Which of its files.
        files: Range<usize>,
    },
    /// Runs the statements of an entry.
    Entry(usize),
    /// All rows are in.
    AllRows,
}

/// Which rows are loaded: positions in the inventory.
pub(super) fn all_tables(inventory: &Inventory) -> Vec<usize> {
    (0..inventory.tables.len()).collect()
}

/// The tasks of the rows of `tables` and of those entries after the rows that belong to the main pass, for
/// `jobs` sessions.
pub(super) fn tasks(
    inventory: &Inventory,
    entries: &[Entry],
    tables: &[usize],
    jobs: usize,
) -> Vec<Task<Work>> {
    let mut plan = Plan::of(inventory, entries);
    let bytes: u64 = tables.iter().map(|table| plan.row_bytes(*table)).sum();
    for table in tables {
        // With more than its share of all rows, one session would still load it when the others are through.
        let dominates = plan.row_bytes(*table).saturating_mul(jobs as u64) > bytes;
        plan.add_rows(*table, if dominates { jobs } else { 1 });
    }
    plan.add_all_rows();
    let after = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.section == Section::After && entry.pass() == Pass::Main);
    let after: Vec<_> = after.map(|(position, _)| position).collect();
    plan.add_entries(&after);
    plan.tasks
}

/// The tasks of entries that are run when all else is there; they wait for each other alone.
pub(super) fn tasks_of(inventory: &Inventory, entries: &[Entry], pass: Pass) -> Vec<Task<Work>> {
    let mut plan = Plan::of(inventory, entries);
    let of_pass = entries.iter().enumerate();
    let of_pass: Vec<_> = of_pass
        .filter(|(_, entry)| entry.pass() == pass)
        .map(|(position, _)| position)
        .collect();
    plan.add_entries(&of_pass);
    plan.tasks
}

struct Plan<'a> {
    inventory: &'a Inventory,
    entries: &'a [Entry],
    /// Oid of the table by the number of the entry that makes it.
    tables: BTreeMap<u32, u32>,
    /// Size of an index by its oid or that of its constraint.
    index_bytes: BTreeMap<u32, u64>,
    /// The tasks that load a table, by its oid.
    rows: BTreeMap<u32, Vec<usize>>,
    all_rows: Option<usize>,
    tasks: Vec<Task<Work>>,
}

impl<'a> Plan<'a> {
    fn of(inventory: &'a Inventory, entries: &'a [Entry]) -> Self {
        let is_table = |entry: &&Entry| entry.key.class == PG_CLASS && entry.kind == "TABLE";
        let made = entries.iter().filter(is_table);
        let mut index_bytes = BTreeMap::new();
        for index in &inventory.indexes {
            index_bytes.insert(index.oid, index.bytes);
            if index.constraint != 0 {
                index_bytes.insert(index.constraint, index.bytes);
            }
        }
        Self {
            inventory,
            entries,
            tables: made.map(|entry| (entry.key.id, entry.key.oid)).collect(),
            index_bytes,
            rows: BTreeMap::new(),
            all_rows: None,
            tasks: Vec::new(),
        }
    }

    /// Bytes of a table's rows as text.
    fn row_bytes(&self, position: usize) -> u64 {
        let files = self.inventory.tables[position].files.iter();
        files.map(|file| file.bytes).sum()
    }

    /// Adds the rows of a table in up to `shares` tasks, each of as many files: they are about equally large.
    fn add_rows(&mut self, position: usize, shares: usize) {
        let table = &self.inventory.tables[position];
        if table.rows == 0 {
            return;
        }
        let count = table.files.len();
        let is_split = shares > 1 && count >= shares * FILES_MIN;
        let step = if is_split {
            count.div_ceil(shares)
        } else {
            count
        };
        let bytes = self.row_bytes(position).max(table.bytes);
        for from in (0..count).step_by(step.max(1)) {
            let files = from..count.min(from + step);
            self.rows
                .entry(table.oid)
                .or_default()
                .push(self.tasks.len());
            self.tasks.push(Task {
                cost: bytes * files.len() as u64 / count as u64,
                work: Work::Rows {
                    table: position,
                    files,
                },
                after: Vec::new(),
                tables: vec![table.oid],
                exclusive: !is_split,
            });
        }
    }

    fn add_all_rows(&mut self) {
        self.all_rows = Some(self.tasks.len());
        self.tasks.push(Task {
            work: Work::AllRows,
            cost: 0,
            after: self.rows.values().flatten().copied().collect(),
            tables: Vec::new(),
            exclusive: false,
        });
    }

    fn add_entries(&mut self, positions: &[usize]) {
        let first = self.tasks.len();
        let numbers: BTreeMap<u32, usize> = positions
            .iter()
            .enumerate()
            .map(|(offset, position)| (self.entries[*position].key.id, first + offset))
            .collect();
        for position in positions {
            let task = self.task(*position, &numbers);
            self.tasks.push(task);
        }
    }

    fn task(&self, position: usize, numbers: &BTreeMap<u32, usize>) -> Task<Work> {
        let entry = &self.entries[position];
        let own = numbers[&entry.key.id];
        let of_one_table = matches!(entry.kind.as_str(), "INDEX" | "CONSTRAINT");
        let mut after = BTreeSet::new();
        let mut tables = BTreeSet::new();
        for needed in &entry.needs {
            if let Some(table) = self.tables.get(needed) {
                tables.insert(*table);
                after.extend(self.rows.get(table).into_iter().flatten());
            }
            // Only what comes earlier in the archive: it is sorted so that nothing needs what follows.
            after.extend(numbers.get(needed).filter(|number| **number < own));
        }
        if !of_one_table {
            // A foreign key of a partitioned table looks at rows of its partitions, a trigger would fire.
            after.extend(self.all_rows);
        }
        Task {
            work: Work::Entry(position),
            cost: self.cost(entry),
            after: after.into_iter().collect(),
            tables: tables.into_iter().collect(),
            exclusive: entry.kind != "INDEX",
        }
    }

    /// How long building it takes, in bytes that are copied in the same time.
    fn cost(&self, entry: &Entry) -> u64 {
        let Some(bytes) = self.index_bytes.get(&entry.key.oid) else {
            return 0;
        };
        if entry.sql.contains(" USING gin ") || entry.sql.contains(" USING gist ") {
            bytes.saturating_mul(8)
        } else {
            *bytes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::archive::Key;
    use super::*;
    use crate::postgres::inventory::{Index, RowsFile, Table};

    fn entry(id: u32, class: u32, oid: u32, kind: &str, needs: &[u32]) -> Entry {
        Entry {
            key: Key { id, class, oid },
            needs: needs.to_vec(),
            kind: kind.to_owned(),
            schema: "public".to_owned(),
            name: format!("e{id}"),
            section: if kind == "TABLE" {
                Section::Before
            } else {
                Section::After
            },
            sql: String::new(),
        }
    }

    fn table(oid: u32, rows: u64) -> Table {
        Table {
            oid,
            schema: "public".to_owned(),
            name: format!("t{oid}"),
            columns: Vec::new(),
            condition: String::new(),
            rows,
            digest: String::new(),
            bytes: rows,
            files: vec![RowsFile {
                path: "rows/x".parse().unwrap(),
                rows,
                bytes: rows,
            }],
        }
    }

    #[test]
    fn an_index_waits_for_its_own_table_and_a_foreign_key_for_all() {
        let inventory = Inventory {
            tables: vec![table(100, 5), table(200, 0), table(300, 9)],
            indexes: vec![Index {
                oid: 101,
                constraint: 0,
                table: 100,
                bytes: 77,
            }],
            ..crate::postgres::restore::empty_inventory()
        };
        let entries = [
            entry(1, PG_CLASS, 100, "TABLE", &[]),
            entry(2, PG_CLASS, 200, "TABLE", &[]),
            entry(3, PG_CLASS, 300, "TABLE", &[]),
            entry(4, PG_CLASS, 101, "INDEX", &[1, 999]),
            entry(5, 2606, 202, "CONSTRAINT", &[2]),
            entry(6, 2606, 203, "FK CONSTRAINT", &[5, 2, 1]),
            entry(7, 0, 0, "ACL", &[1]),
        ];
        let tasks = tasks(&inventory, &entries, &all_tables(&inventory), 1);
        let works: Vec<_> = tasks.iter().map(|task| &task.work).collect();
        assert_eq!(
            works,
            [
                &Work::Rows {
                    table: 0,
                    files: 0..1
                },
                &Work::Rows {
                    table: 2,
                    files: 0..1
                },
                &Work::AllRows,
                &Work::Entry(3),
                &Work::Entry(4),
                &Work::Entry(5)
            ]
        );
        let after: Vec<_> = tasks.iter().map(|task| task.after.clone()).collect();
        assert_eq!(after[2], [0, 1]);
        assert_eq!(after[3], [0]);
        assert_eq!(after[4], Vec::<usize>::new());
        assert_eq!(after[5], [0, 2, 4]);
        assert_eq!(tasks[3].cost, 77);
        assert_eq!(tasks[5].tables, [100, 200]);
    }

    #[test]
    fn a_table_with_more_than_its_share_is_loaded_by_several() {
        let mut large = table(100, 70);
        let file = large.files[0].clone();
        large.files = vec![file; 7];
        let inventory = Inventory {
            tables: vec![large, table(200, 60)],
            ..crate::postgres::restore::empty_inventory()
        };
        let entries = [
            entry(1, PG_CLASS, 100, "TABLE", &[]),
            entry(2, PG_CLASS, 200, "TABLE", &[]),
            entry(3, PG_CLASS, 101, "INDEX", &[1]),
        ];
        let shares = |jobs: usize| {
            let tasks = tasks(&inventory, &entries, &[0, 1], jobs);
            let files = tasks.iter().filter_map(|task| match &task.work {
                Work::Rows { table: 0, files } => Some(files.clone()),
                _ => None,
            });
            let files: Vec<_> = files.collect();
            let index = tasks.last().unwrap();
            assert_eq!(index.after.len(), files.len());
            files
        };
        assert_eq!(shares(3), [0..3, 3..6, 6..7]);
        assert_eq!(shares(1).len(), 1);
        // Two files for each, or one session does it all.
        assert_eq!(shares(4).len(), 1);
    }
}
