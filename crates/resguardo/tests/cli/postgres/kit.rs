//! The recovery kit of a PostgreSQL source, followed without Resguardo.

use resguardo_testkit::PgVersion;

use super::Shop;
use crate::kit::{Elsewhere, blocks};

#[test]
fn the_page_alone_brings_a_database_back() {
    let shop = Shop::new(PgVersion::V15).set_up();
    shop.world.backup();
    let page = std::fs::read_to_string(shop.world.path("recovery-kit.md")).unwrap();
    let folder = shop.server.bin_dir().display().to_string();
    let elsewhere = Elsewhere::new(&shop.world.keys().join("identity.txt"))
        .with("PATH", &folder)
        .with("PGHOST", &shop.server.socket_dir().display().to_string())
        .with("PGPORT", &shop.server.port().to_string())
        .with("PGUSER", "postgres")
        .with("PGPASSWORD", super::PASSWORD);
    let blocks = blocks(&page, "Without Resguardo");
    let [unpack, load] = &blocks[..] else {
        panic!("two blocks of commands in\n{page}");
    };
    elsewhere.follow(unpack);
    let has_large_objects = elsewhere.path("restored/large-objects.dump").exists();
    let load: String = load
        .lines()
        .filter(|line| has_large_objects || !line.contains("large-objects.dump"))
        .map(|line| format!("{line}\n"))
        .collect();
    elsewhere.follow(&load.replace("NEW", "brought_back"));
    assert_eq!(shop.count("brought_back", "customers"), 500);
    assert_eq!(shop.count("brought_back", "orders"), 166);
    let sum = "SELECT sum(total) FROM orders";
    assert_eq!(
        shop.server.psql("brought_back", sum),
        shop.server.psql("shop", sum)
    );
}
