//! Single tables out of a backup.

use std::path::Path;

use resguardo_engine::contract::{MemoryBackup, capture, with_run};
use resguardo_engine::port::{Engine as _, EngineError, Location, RestoreOptions, Restored};
use rusqlite::Connection;

use crate::shop::{Shop, number, text};

fn restore(
    shop: &Shop,
    backup: &MemoryBackup,
    to: &Path,
    only: &[&str],
) -> Result<Restored, EngineError> {
    let target = shop
        .engine
        .open_target(&Location::new(to.to_str().unwrap()))?;
    let options = RestoreOptions {
        clean: true,
        only: only.iter().map(|name| (*name).to_owned()).collect(),
        durable: true,
        ..RestoreOptions::default()
    };
    with_run(|run| target.restore(backup, &options, run))
}

fn shop_and_backup() -> (Shop, MemoryBackup) {
    let shop = Shop::new("wal", 20, 0);
    // A sequence beyond the highest row, and a row id that is nobody's column.
    shop.connect()
        .execute_batch(
            "insert into customer (id, name) values (99, 'gone'); delete from customer where id = 99;
             create table plain (a); insert into plain (rowid, a) values (17, 'x'), (400, 'y');
             create virtual table notes using fts5 (body);
             insert into notes values ('hola')",
        )
        .unwrap();
    let (backup, _) = capture(&shop.engine, &shop.location()).unwrap();
    (shop, backup)
}

/// Everything of one table, as text that two databases can be compared by.
fn dump(path: &Path, table: &str) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection
        .prepare(&format!("select * from {table} order by 1, 2"))
        .unwrap();
    let columns = statement.column_count();
    let rows = statement
        .query_map([], |row| {
            (0..columns)
                .map(|column| row.get_ref(column).map(|value| format!("{value:?}")))
                .collect::<Result<Vec<_>, _>>()
        })
        .unwrap();
    rows.map(|row| row.unwrap().join("|")).collect()
}

#[test]
fn a_table_comes_back_into_a_database_that_lost_it() {
    let (shop, backup) = shop_and_backup();
    let original = shop.folder.path().join("original.sqlite");
    std::fs::write(&original, backup.only_file()).unwrap();
    shop.connect()
        .execute_batch(
            "pragma foreign_keys = off; drop table orders; update customer set name = 'ruined';
             insert into changed values ('after the backup')",
        )
        .unwrap();
    let restored = restore(
        &shop,
        &backup,
        &shop.path,
        &["ORDERS", "customer", "orders"],
    )
    .unwrap();
    assert_eq!(restored.tables, 2);
    for table in ["customer", "orders"] {
        assert_eq!(dump(&shop.path, table), dump(&original, table), "{table}");
    }
    // What was not asked for is what it was.
    let after = "select count(*) from changed where what = 'after the backup'";
    assert_eq!(number(&shop.path, after), 1);
    let objects = "select group_concat(name, ',') from (select name from sqlite_schema \
                   where tbl_name = 'orders' order by name)";
    assert_eq!(
        text(&shop.path, objects),
        "orders,orders_by_customer,orders_changed"
    );
    let sequence = "select seq from sqlite_sequence where name = 'customer'";
    assert_eq!(number(&shop.path, sequence), 99);
    assert_eq!(text(&shop.path, "pragma integrity_check"), "ok");
}

#[test]
fn tables_without_row_ids_and_with_row_ids_of_their_own() {
    let (shop, backup) = shop_and_backup();
    shop.connect()
        .execute_batch("delete from line; delete from plain; delete from \"odd \"\"name\"\" ñ\"")
        .unwrap();
    let odd = "odd \"name\" ñ";
    restore(&shop, &backup, &shop.path, &["line", "plain", odd]).unwrap();
    assert_eq!(number(&shop.path, "select count(*) from line"), 60);
    assert_eq!(number(&shop.path, "select sum(rowid) from plain"), 417);
    let kept = "select count(*) from \"odd \"\"name\"\" ñ\" where rowid = 'not a row id'";
    assert_eq!(number(&shop.path, kept), 1);
}

#[test]
fn a_new_database_holds_these_tables_alone() {
    let (shop, backup) = shop_and_backup();
    let path = shop.folder.path().join("part.sqlite");
    let restored = restore(&shop, &backup, &path, &["orders"]).unwrap();
    assert!(restored.notes[0].contains("60 rows of orders name no row of customer"));
    let tables = "select group_concat(name, ',') from sqlite_schema where type = 'table'";
    assert_eq!(text(&path, tables), "orders");
    assert_eq!(dump(&path, "orders").len(), 60);
    assert_eq!(text(&path, "pragma journal_mode"), "wal");
    let restored = restore(
        &shop,
        &backup,
        &path.with_file_name("both.sqlite"),
        &["orders", "customer"],
    );
    assert!(restored.unwrap().notes.is_empty());
}

#[test]
fn rows_that_would_lose_their_parent_undo_everything() {
    let (shop, backup) = shop_and_backup();
    // An order of a customer who came after the backup.
    shop.connect()
        .execute_batch(
            "insert into customer (id, name) values (200, 'new');
             insert into orders (id, customer_id, total) values (9000, 200, 1)",
        )
        .unwrap();
    let before = dump(&shop.path, "customer");
    let error = restore(&shop, &backup, &shop.path, &["customer"]).expect_err("orphans");
    let words = "1 row of orders names no row of customer";
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(dump(&shop.path, "customer"), before);
}

#[test]
fn orphans_that_were_there_before_do_not_hinder() {
    let (shop, backup) = shop_and_backup();
    shop.connect()
        .execute_batch(
            "pragma foreign_keys = off; insert into line values (12345, 1, 'of no order')",
        )
        .unwrap();
    restore(&shop, &backup, &shop.path, &["customer"]).expect("they are not ours");
}

#[test]
fn what_is_no_table_of_the_backup_is_refused() {
    let (shop, backup) = shop_and_backup();
    let before = std::fs::read(&shop.path).unwrap();
    for name in ["nothing", "rich", "sqlite_sequence", "orders_by_customer"] {
        let error = restore(&shop, &backup, &shop.path, &[name]).expect_err(name);
        assert!(matches!(error, EngineError::NoSuchTable { .. }), "{error}");
        assert!(error.to_string().contains("customer"), "{error}");
    }
    for name in ["notes", "notes_content"] {
        let error = restore(&shop, &backup, &shop.path, &[name]).expect_err(name);
        let cause = std::error::Error::source(&error)
            .expect("a cause")
            .to_string();
        assert!(cause.contains("virtual table"), "{cause}");
    }
    assert!(std::fs::read(&shop.path).unwrap() == before);
}
