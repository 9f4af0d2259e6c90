//! The suite of every engine.

use std::os::unix::fs::PermissionsExt as _;

use resguardo_engine::contract::{Case, run};
use resguardo_engine::port::Location;
use resguardo_testkit::{PgServer, PgVersion};

use crate::world::engine;

#[test]
fn the_oldest_and_the_newest_major_hold_to_the_contract() {
    // The one between is built without amcheck, by which a source's integrity is checked.
    for version in [PgVersion::V15, PgVersion::V18] {
        let server = PgServer::start(version);
        server.create_database("shop", "");
        server.psql(
            "shop",
            "create extension amcheck;
             create table customer (id int primary key, name text);
             create table line (id int primary key, customer int references customer);
             insert into customer select i, 'customer ' || i from generate_series(1, 300) i;
             insert into line select i, i from generate_series(1, 300) i",
        );
        // Whoever runs the servers of sandboxes has to get through.
        let folder = tempfile::Builder::new()
            .prefix("rgcase-")
            .permissions(std::fs::Permissions::from_mode(0o711))
            .tempdir()
            .unwrap();
        run(&Case {
            engine: &engine(version),
            source: Location::new(server.url("shop")),
            folder: folder.path(),
            change_row: "update customer set name = 'changed' where id = 7",
            lose_row: "delete from line where id = 30",
            rows_of_a_table: ("select count(*) from customer", 300),
            export_ending: ".dump",
        });
    }
}
