//! Drills of databases of everything: what comes back into a throwaway server passes every check.

use resguardo_testkit::{PgServer, PgVersion, fixture};

use crate::world::{Site, assert_all_pass, captured, drilled};

#[test]
fn everything_that_a_database_can_hold_passes() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.create_database(fixture::ODD_DATABASE, "");
        fixture::load(&server, fixture::ODD_DATABASE);
        let backup = captured(&server, fixture::ODD_DATABASE);
        drop(server);
        let site = Site::new();
        let target = drilled(version, &site, &backup);
        assert_all_pass(&*target, &backup, &version.to_string());
        target.close().unwrap();
    }
}

#[test]
fn databases_of_other_encodings_pass() {
    let server = PgServer::start(PgVersion::V16);
    fixture::make_latin(&server, "latin");
    fixture::make_ascii(&server, "ascii");
    for database in ["latin", "ascii"] {
        let backup = captured(&server, database);
        let site = Site::new();
        let target = drilled(PgVersion::V16, &site, &backup);
        assert_all_pass(&*target, &backup, database);
        target.close().unwrap();
    }
}
