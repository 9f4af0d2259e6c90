//! A shop's database, in every form that the tests need.

use std::path::{Path, PathBuf};

use resguardo_engine::port::Location;
use resguardo_engine::sqlite::SqliteEngine;
use rusqlite::Connection;
use tempfile::TempDir;

/// Tables of the shop; `transfer` triggers move nothing, so that rows stay what they were.
pub(crate) const SCHEMA: &str = "
    create table customer (id integer primary key autoincrement, name text not null);
    create table orders (
        id integer primary key, customer_id integer not null references customer (id),
        total real, cents integer generated always as (cast(total * 100 as integer)) stored
    );
    create index orders_by_customer on orders (customer_id);
    create table line (
        order_id integer references orders (id), number integer, sku text,
        primary key (order_id, number)
    ) without rowid;
    create table \"odd \"\"name\"\" ñ\" (\"select\" text, rowid text);
    create table changed (what text);
    create trigger orders_changed after update on orders begin
        insert into changed values ('orders');
    end;
    create view rich as select * from orders where total > 100;
    create table account_a (id integer primary key, amount integer not null);
    create table account_b (id integer primary key, amount integer not null);
";

/// Rows of it; `?1` customers with three orders each.
const ROWS: &str = "
    insert into customer (name)
        with recursive n(i) as (select 1 union all select i + 1 from n where i < ?1)
        select 'customer ' || i || ' ñ' from n;
    insert into orders (id, customer_id, total)
        select c.id * 3 + k.value, c.id, c.id * 1.5 + k.value
        from customer c, json_each('[0, 1, 2]') k;
    insert into line select id, 1, 'sku ' || id from orders;
    insert into \"odd \"\"name\"\" ñ\" values ('x', 'not a row id'), (null, null);
    insert into account_a select id, 1000 from customer;
    insert into account_b select id, 1000 from customer;
";

/// A folder with a database in it, and an engine.
pub(crate) struct Shop {
    pub(crate) folder: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) engine: SqliteEngine,
}

impl Shop {
    /// A shop with `customers` customers and about `filler_bytes` of other data.
    pub(crate) fn new(journal_mode: &str, customers: u32, filler_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.sqlite");
        let connection = Connection::open(&path).unwrap();
        let mode: String = connection
            .query_row(
                &format!("pragma journal_mode = {journal_mode}"),
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(mode, journal_mode);
        fill(&connection, customers, filler_bytes);
        drop(connection);
        let engine = SqliteEngine::new(folder.path().join("scratch"));
        Self {
            folder,
            path,
            engine,
        }
    }

    pub(crate) fn location(&self) -> Location {
        Location::new(self.path.to_str().unwrap())
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    /// Names of everything in the folder, sorted.
    pub(crate) fn listing(&self) -> Vec<String> {
        listing(self.folder.path())
    }
}

pub(crate) fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(crate) fn fill(connection: &Connection, customers: u32, filler_bytes: u64) {
    connection.execute_batch(SCHEMA).unwrap();
    connection.execute_batch("begin").unwrap();
    let rows = ROWS.replace("?1", &customers.to_string());
    connection.execute_batch(&rows).unwrap();
    if filler_bytes > 0 {
        connection
            .execute_batch(&format!(
                "create table filler (a blob);
                 with recursive n(i) as (select 1 union all select i + 1 from n where i < {})
                 insert into filler select randomblob(1000) from n;",
                filler_bytes / 1000
            ))
            .unwrap();
    }
    connection.execute_batch("commit").unwrap();
}

/// One number out of a database file.
pub(crate) fn number(path: &Path, sql: &str) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// One text out of a database file.
pub(crate) fn text(path: &Path, sql: &str) -> String {
    let connection = Connection::open(path).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// What a crash leaves of a database with a write-ahead log: the main file and the log, with
/// `script` only in the log.
pub(crate) fn crashed_with_log(to: &Path, script: &str) {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live.sqlite");
    let connection = Connection::open(&live).unwrap();
    connection
        .execute_batch("pragma journal_mode = wal; pragma wal_autocheckpoint = 0")
        .unwrap();
    fill(&connection, 50, 0);
    connection
        .execute_batch("pragma wal_checkpoint(truncate)")
        .unwrap();
    connection.execute_batch(script).unwrap();
    std::fs::copy(&live, to).unwrap();
    let log = |path: &Path| format!("{}-wal", path.display());
    std::fs::copy(log(&live), log(to)).unwrap();
    assert!(std::fs::metadata(log(to)).unwrap().len() > 0);
}
