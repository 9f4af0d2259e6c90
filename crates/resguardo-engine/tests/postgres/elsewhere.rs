//! What a sandbox cannot have as the source has it (tablespaces, the contents of unlogged tables on a standby,
//! a named server's own roles, another `pg_dump`) fails no drill; what is really lost does.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use resguardo_engine::contract::{MemoryBackup, MemorySink, with_run};
use resguardo_engine::port::{CaptureRequest, Engine as _, Location, RestoreOptions, Target};
use resguardo_model::{CheckOutcome, CheckResult};
use resguardo_testkit::{PgServer, PgVersion};

use crate::capture::inventory;
use crate::world::{
    Site, assert_all_pass, captured, checked, described, drilled, engine, engine_with, execute,
};

fn result_of(target: &dyn Target, backup: &MemoryBackup, name: &str) -> CheckResult {
    let results = checked(target, backup);
    let found = results.into_iter().find(|result| result.name == name);
    found.unwrap_or_else(|| panic!("there is no check {name}"))
}

#[test]
fn what_lies_in_a_tablespace_comes_back_into_the_default_one() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.create_database("shop", "");
        // In the server's own folder: it is the server's user that makes it.
        server.psql(
            "shop",
            "set allow_in_place_tablespaces = on; create tablespace fast location '';
             create table t (a int primary key using index tablespace fast) tablespace fast;
             create index on t (a) tablespace fast;
             create table parted (a int) partition by range (a) tablespace fast;
             create materialized view seen tablespace fast as select 1 as one;
             insert into t select generate_series(1, 10)",
        );
        let backup = captured(&server, "shop");
        assert_eq!(
            inventory(&backup)["tablespaces"],
            serde_json::json!(["fast"])
        );
        drop(server);
        let site = Site::new();
        let facts = backup.facts.as_ref();
        let target = with_run(|run| engine(version).open_sandbox(&site, facts, run)).unwrap();
        let restored = with_run(|run| target.restore(&backup, &RestoreOptions::default(), run));
        let restored = restored.unwrap_or_else(|error| panic!("{}", described(&error)));
        let notes = restored.notes.join("\n");
        assert!(notes.contains("there is no tablespace fast"), "{notes}");
        assert_all_pass(&*target, &backup, &version.to_string());
        execute(&*target, "drop index t_a_idx");
        let schema = result_of(&*target, &backup, "schema");
        assert_eq!(schema.outcome, CheckOutcome::Failed, "{schema:?}");
        target.close().unwrap();
    }
}

#[test]
fn what_a_standby_could_not_read_comes_back_empty() {
    for version in PgVersion::all() {
        let primary = PgServer::start(version);
        primary.create_database("shop", "");
        primary.psql(
            "shop",
            "create unlogged table quick (id int generated always as identity (start 5), a int);
             insert into quick (a) values (7), (8);
             create table kept (a int); insert into kept values (1)",
        );
        let standby = primary.standby();
        standby.catch_up_with(&primary);
        let backup = captured(&standby, "shop");
        let unread = inventory(&backup)["unread"].to_string();
        assert!(unread.contains("\"quick\""), "{unread}");
        let site = Site::new();
        let target = drilled(version, &site, &backup);
        assert_all_pass(&*target, &backup, &version.to_string());
        // But nothing else may be in it.
        execute(&*target, "insert into quick (a) values (1)");
        let counts = result_of(&*target, &backup, "row counts");
        assert_eq!(counts.outcome, CheckOutcome::Failed, "{counts:?}");
        if version.major() >= 15 {
            let sequences = result_of(&*target, &backup, "sequences");
            assert_eq!(sequences.outcome, CheckOutcome::Failed, "{sequences:?}");
        }
        target.close().unwrap();
    }
}

#[test]
fn roles_of_a_restore_that_failed_go_with_its_database() {
    let source = PgServer::start(PgVersion::V16);
    source.psql(
        "postgres",
        "create role new_one; create function fits(int) returns bool immutable language sql as 'select true';
         create table t (a int check (fits(a))); insert into t select generate_series(1, 100);
         alter table t owner to new_one;
         create or replace function fits(int) returns bool immutable language sql as 'select false'",
    );
    let backup = captured(&source, "postgres");
    let server = PgServer::start(PgVersion::V16);
    let site = Site::on(&server.url("postgres"));
    let facts = backup.facts.as_ref();
    let target = with_run(|run| engine(PgVersion::V16).open_sandbox(&site, facts, run)).unwrap();
    with_run(|run| target.restore(&backup, &RestoreOptions::default(), run)).unwrap_err();
    target.close().unwrap();
    let roles = "select string_agg(rolname, ',') from pg_roles where rolname !~ '^pg_'";
    assert_eq!(server.psql("postgres", roles), "postgres");
}

#[test]
fn what_else_a_role_is_a_member_of_is_a_named_servers_own_matter() {
    let source = PgServer::start(PgVersion::V16);
    source.psql(
        "postgres",
        "create role readers; create role clerk in role readers; create table t (a int);
         alter table t owner to clerk",
    );
    let backup = captured(&source, "postgres");
    let server = PgServer::start(PgVersion::V16);
    server.psql(
        "postgres",
        "create role readers; create role others; create role clerk in role readers, others",
    );
    let site = Site::on(&server.url("postgres"));
    let target = drilled(PgVersion::V16, &site, &backup);
    assert_all_pass(&*target, &backup, "in one more role");
    server.psql("postgres", "revoke readers from clerk");
    let roles = result_of(&*target, &backup, "roles");
    assert_eq!(roles.outcome, CheckOutcome::Failed, "{roles:?}");
    target.close().unwrap();
}

/// The server programs of one major without its clients, in a folder that any user may enter.
fn servers_alone(version: PgVersion, folder: &Path) -> PathBuf {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    for program in ["initdb", "postgres", "pg_ctl"] {
        let real = version.bin_dir().join(program);
        std::os::unix::fs::symlink(real, folder.join(program)).unwrap();
    }
    folder.to_owned()
}

#[test]
fn structure_in_the_words_of_another_pg_dump_is_compared_by_name() {
    let server = PgServer::start(PgVersion::V15);
    server.create_database("shop", "");
    server.psql(
        "shop",
        "create table t (a int primary key, b text); create index by_b on t (b);
         select lo_from_bytea(70001, 'hello')",
    );
    let folder = tempfile::tempdir().unwrap();
    let alone = servers_alone(PgVersion::V15, folder.path());
    let newer = engine_with(vec![alone, PgVersion::V18.bin_dir()]);
    let sink = MemorySink::new();
    let request = CaptureRequest::new(Location::new(server.url("shop")));
    let taken = with_run(|run| newer.capture(&request, &sink, run));
    let taken = taken.unwrap_or_else(|error| panic!("{}", described(&error)));
    let by_newer = sink.into_backup(Some(taken.facts));
    let dumped_by = inventory(&by_newer)["pg_dump"].to_string();
    let by_same = captured(&server, "shop");
    drop(server);
    // Both are there: the one that was used at the source is used again.
    if dumped_by.starts_with("\"18") {
        let site = Site::new();
        let both = engine_with(vec![PgVersion::V15.bin_dir(), PgVersion::V18.bin_dir()]);
        let facts = by_newer.facts.as_ref();
        let target = with_run(|run| both.open_sandbox(&site, facts, run)).unwrap();
        with_run(|run| target.restore(&by_newer, &RestoreOptions::default(), run)).unwrap();
        assert_all_pass(&*target, &by_newer, "by the newer pg_dump");
        target.close().unwrap();
    }
    let site = Site::new();
    let facts = by_same.facts.as_ref();
    let target = with_run(|run| newer.open_sandbox(&site, facts, run)).unwrap();
    with_run(|run| target.restore(&by_same, &RestoreOptions::default(), run)).unwrap();
    assert_all_pass(&*target, &by_same, "by the server's own pg_dump");
    execute(&*target, "drop index by_b");
    let schema = result_of(&*target, &by_same, "schema");
    assert_eq!(schema.outcome, CheckOutcome::Failed, "{schema:?}");
    target.close().unwrap();
}
