//! The suite of every engine, for every way in which a SQLite database is captured.

use resguardo_engine::contract::{Case, run};
use serde_json::Value;

use crate::shop::Shop;

fn hold(shop: &Shop, how: &str) {
    let (_, captured) =
        resguardo_engine::contract::capture(&shop.engine, &shop.location()).unwrap();
    assert_eq!(captured.facts.details["capture"], Value::from(how));
    run(&Case {
        engine: &shop.engine,
        source: shop.location(),
        folder: &shop.folder.path().join("work"),
        change_row: "update customer set name = 'changed' where id = 7",
        lose_row: "delete from line where order_id = 30",
        rows_of_a_table: ("select count(*) from orders", 300),
        export_ending: ".sqlite.gz",
    });
    // Nothing stays beside the source but what these tests made, and a persistent journal.
    let mut names = shop.listing();
    names.retain(|name| name != "shop.sqlite-journal");
    assert_eq!(names, ["scratch", "shop.sqlite", "work"]);
    assert!(crate::shop::listing(&shop.folder.path().join("scratch")).is_empty());
}

#[test]
fn a_small_database_with_a_log() {
    hold(&Shop::new("wal", 100, 0), "read transaction");
}

#[test]
fn a_larger_database_with_a_log_is_counted_meanwhile() {
    hold(&Shop::new("wal", 100, 12_000_000), "read transaction");
}

#[test]
fn a_small_database_with_a_rollback_journal() {
    hold(&Shop::new("delete", 100, 0), "in memory");
}

#[test]
fn a_larger_database_with_a_rollback_journal() {
    hold(&Shop::new("persist", 100, 20_000_000), "private copy");
}
