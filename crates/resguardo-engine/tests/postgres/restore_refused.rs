//! What a restore meets that it cannot overcome, and what it leaves then.

use resguardo_engine::contract::with_run;
use resguardo_engine::port::{Engine as _, EngineError, Location, RestoreOptions, TargetState};
use resguardo_model::{CancelToken, SystemClock};
use resguardo_testkit::fixture::{self, Extra, ODD_DATABASE};
use resguardo_testkit::{
    PgBouncer, PgServer, PgServerOptions, PgVersion, PoolMode, Proxy, ProxyFault,
};

use crate::restore::{assert_same, restore, restored, shop, state};
use crate::world::{Site, captured, clean, create, described, engine};

#[test]
fn roles_are_made_where_we_may_and_named_where_we_may_not() {
    for version in PgVersion::all() {
        let server = shop(version);
        let backup = captured(&server, "shop");
        let other = PgServer::start(version);
        other.psql(
            "postgres",
            "create role maker login createdb; create role superless login createdb createrole",
        );
        let open = |role: &str, database: &str| {
            let location = Location::new(other.url_of(role, None, database));
            engine(version).open_target(&location).unwrap()
        };
        let target = open("maker", "shop");
        let error = with_run(|run| target.restore(&backup, &create(), run)).unwrap_err();
        let words = described(&error);
        assert!(
            words.contains("clerk's") && words.contains("shop_owner"),
            "{words}"
        );
        assert_eq!(state(&other, "shop"), TargetState::Missing);
        let done = restored(&other, "shop", &backup, &create());
        let told = done.notes.join("; ");
        assert!(
            told.contains("role shop_owner was created without a password"),
            "{told}"
        );
        assert_same((&server, "shop"), (&other, "shop"), &[]);
        let member = "select pg_has_role('clerk''s', 'shop_owner', 'member')";
        assert_eq!(other.psql("shop", member), "t");
    }
}

#[test]
fn without_owners_and_grants_no_role_is_needed() {
    let server = PgServer::start(PgVersion::V15);
    server.create_database("shop", "");
    server.psql(
        "shop",
        "create role one; create table t (a int); alter table t owner to one; insert into t values (1);
         grant select on t to one",
    );
    let backup = captured(&server, "shop");
    let other = PgServer::start(PgVersion::V15);
    other.psql("postgres", "create role plain login createdb");
    let location = Location::new(other.url_of("plain", None, "shop"));
    let options = RestoreOptions {
        no_owner: true,
        no_acl: true,
        ..create()
    };
    let target = engine(PgVersion::V15).open_target(&location).unwrap();
    with_run(|run| target.restore(&backup, &options, run))
        .unwrap_or_else(|error| panic!("{}", described(&error)));
    let owner =
        "select tableowner || coalesce((select relacl::text from pg_class where relname = 't'), '')
        from pg_tables where tablename = 't'";
    assert_eq!(other.psql("shop", owner), "plain");
}

#[test]
fn an_extension_that_is_not_there_is_named_before_anything_is_touched() {
    for version in PgVersion::all() {
        let server = shop(version);
        let mut backup = captured(&server, "shop");
        let path = "inventory.json".parse().unwrap();
        let (_, text) = backup.files.get_mut(&path).unwrap();
        let words = String::from_utf8(text.clone()).unwrap();
        *text = words
            .replace("\"resguardo_fixture\"", "\"no_such_thing\"")
            .into_bytes();
        let error = restore(&server, "again", &backup, &create()).unwrap_err();
        assert!(
            described(&error).contains("no_such_thing"),
            "{}",
            described(&error)
        );
        assert_eq!(state(&server, "again"), TargetState::Missing);
    }
}

#[test]
fn other_encodings_and_odd_names_come_back() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        fixture::make_latin(&server, "latin");
        fixture::make_ascii(&server, "ascii");
        server.create_database(ODD_DATABASE, "");
        server.psql(ODD_DATABASE, "create table t as select 1 as a");
        for database in ["latin", "ascii", ODD_DATABASE] {
            let backup = captured(&server, database);
            let again = format!("{database} again");
            restored(&server, &again, &backup, &create());
            let dump = |database: &str| {
                let output = server.command("pg_dump", database).output().unwrap();
                let lines = output.stdout.split(|byte| *byte == b'\n');
                let lines = lines.filter(|line| !line.starts_with(b"\\"));
                lines.map(<[u8]>::to_vec).collect::<Vec<_>>()
            };
            assert!(dump(database) == dump(&again), "{version} {database}");
            let encoding = "show server_encoding";
            assert_eq!(
                server.psql(database, encoding),
                server.psql(&again, encoding)
            );
        }
    }
}

#[test]
fn rows_that_belong_into_other_partitions_find_them() {
    let server = PgServer::start(PgVersion::V16);
    server.create_database("moving", "");
    fixture::add(&server, "moving", Extra::HashOfEnum);
    let backup = captured(&server, "moving");
    restored(&server, "again", &backup, &create());
    let all = "select string_agg(t::text, ',' order by t::text) from moving.by_label t";
    assert_eq!(server.psql("moving", all), server.psql("again", all));
}

#[test]
fn a_connection_that_is_cut_leaves_no_half_database_behind() {
    for version in PgVersion::all() {
        let server = shop(version);
        let backup = captured(&server, "shop");
        let proxy = Proxy::before(([127, 0, 0, 1], server.port()).into());
        let url = |database: &str| {
            Location::new(format!(
                "postgresql://postgres@{}/{database}",
                proxy.address()
            ))
        };
        // Each connection dies after so much: schema, rows and indexes are hit.
        for bytes in [5_000, 60_000, 400_000] {
            proxy.always(ProxyFault::CutUpload(bytes));
            let target = engine(version).open_target(&url("made")).unwrap();
            let error = with_run(|run| target.restore(&backup, &create(), run)).unwrap_err();
            let words = described(&error);
            assert!(words.contains("cannot be reached"), "{bytes}: {words}");
            let is_touched = matches!(error, EngineError::TargetTouched { .. });
            let made = state(&server, "made");
            assert!(
                is_touched || made == TargetState::Missing,
                "{bytes}: {words}: {made:?}"
            );
            server.psql("postgres", "drop database if exists made with (force)");
        }
    }
}

/// Stops a restore when its first row is in.
struct Stop(CancelToken);

impl resguardo_model::Progress for Stop {
    fn phase(&self, _: &str) {}

    fn bytes(&self, _: u64, _: Option<u64>) {
        self.0.cancel();
    }

    fn note(&self, _: &str) {}
}

#[test]
fn whoever_stops_a_restore_gets_rid_of_what_it_made() {
    for version in PgVersion::all() {
        let server = shop(version);
        let backup = captured(&server, "shop");
        let cancel = CancelToken::new();
        let stop = Stop(cancel.clone());
        let run = resguardo_engine::port::Run {
            cancel: &cancel,
            progress: &stop,
            clock: &SystemClock,
        };
        let target = engine(version)
            .open_target(&Location::new(server.url("again")))
            .unwrap();
        let error = target.restore(&backup, &create(), run).unwrap_err();
        assert!(
            matches!(error, EngineError::Cancelled(_)),
            "{}",
            described(&error)
        );
        assert_eq!(state(&server, "again"), TargetState::Missing);
    }
}

#[test]
fn a_pooler_in_transaction_mode_is_refused_and_left_as_it_was() {
    let version = PgVersion::V15;
    let server = shop(version);
    let backup = captured(&server, "shop");
    server.create_database("there", "");
    let pooler = PgBouncer::start(&server, PoolMode::Transaction);
    let engine = engine(version);
    let open = |database: &str| {
        let location = Location::new(pooler.url(database));
        engine.open_target(&location).unwrap()
    };
    let is_refused = |done: Result<(), EngineError>, what: &str| match done {
        Err(EngineError::Unsupported { why, .. }) => assert!(why.contains("pooler"), "{why}"),
        other => panic!("{what}: {other:?}"),
    };
    is_refused(open("there").state().map(drop), "state");
    let restore = |database: &str, options: &RestoreOptions| {
        with_run(|run| open(database).restore(&backup, options, run)).map(drop)
    };
    is_refused(restore("there", &RestoreOptions::default()), "restore");
    is_refused(restore("new", &create()), "a database that is not there");
    let closed = with_run(|run| open("there").begin_maintenance(run));
    is_refused(closed.map(drop), "maintenance");
    let site = Site::on(&pooler.url("postgres"));
    let sandbox = with_run(|run| engine.open_sandbox(&site, None, run));
    is_refused(sandbox.map(drop), "sandbox");
    // To look where an address leads to is no harm, and sets nothing.
    assert!(open("there").is_same_as(&Location::new(server.url("there"))));
    assert_eq!(state(&server, "there"), TargetState::Empty);
    assert_eq!(state(&server, "new"), TargetState::Missing);
    for database in ["there", "postgres"] {
        let output = server
            .command("psql", database)
            .args(["-XAtc", "show search_path", &pooler.url(database)])
            .output()
            .unwrap();
        let path = String::from_utf8(output.stdout).unwrap();
        assert_eq!(path.trim(), "\"$user\", public", "{database}");
    }
}

#[test]
fn what_the_server_cannot_lock_at_once_stays_and_the_way_round_is_told() {
    let backup = captured(&shop(PgVersion::V18), "shop");
    let options = PgServerOptions::new(PgVersion::V18)
        .setting("max_locks_per_transaction", "10")
        .setting("max_connections", "15");
    let server = PgServer::start_with(options);
    // Of tables it is known before, of functions the server tells when it has no more room.
    let many = [
        (
            "tables",
            600,
            "create table t%s (a int primary key)",
            "pg_tables",
        ),
        (
            "functions",
            6000,
            "create function f%s() returns int language sql as 'select 1'",
            "pg_proc",
        ),
    ];
    for (database, count, statement, catalog) in many {
        server.create_database(database, "");
        server.psql(
            database,
            &format!(
                "do $$ begin for i in 1..{count} loop execute format($x${statement}$x$, i); \
                 if i % 20 = 0 then commit; end if; end loop; end $$"
            ),
        );
        let there = format!("select count(*) from {catalog}");
        let before = server.psql(database, &there);
        let error = restore(&server, database, &backup, &clean()).unwrap_err();
        let EngineError::Unsupported { why, next, .. } = &error else {
            panic!("{database}: {}", described(&error));
        };
        assert!(why.contains("room for locks"), "{why}");
        assert!(
            next.contains("--create") && next.contains("max_locks_per_transaction"),
            "{next}"
        );
        assert_eq!(server.psql(database, &there), before, "{database}");
    }
}

#[test]
fn a_standby_takes_no_restore() {
    for version in PgVersion::all() {
        let primary = PgServer::start(version);
        primary.psql("postgres", "create table t as select 1 as a");
        let backup = captured(&primary, "postgres");
        primary.create_database("empty", "");
        let standby = primary.standby();
        standby.catch_up_with(&primary);
        for database in ["empty", "new"] {
            let error = restore(&standby, database, &backup, &create()).unwrap_err();
            let words = described(&error);
            assert!(
                matches!(error, EngineError::Unsupported { .. }),
                "{version}: {words}"
            );
            assert!(words.contains("is a standby"), "{version}: {words}");
        }
    }
}

#[test]
fn roles_go_with_what_could_not_be_restored_or_are_named() {
    for version in PgVersion::all() {
        let server = shop(version);
        let mut backup = captured(&server, "shop");
        let other = PgServer::start(version);
        other.create_database("mine", "");
        other.psql("mine", "create table precious as select 1 as a");
        other.create_database("empty", "");
        let roles = || {
            other.psql(
                "postgres",
                "select rolname from pg_roles where rolname !~ '^pg_' order by 1",
            )
        };
        // Whole lines, but too few of them.
        let mut paths = backup.files.keys();
        let path = paths.find(|path| path.as_str().starts_with("rows/shop.orders"));
        let path = path.unwrap().clone();
        let (_, rows) = backup.files.get_mut(&path).unwrap();
        let line = rows[..rows.len() - 1]
            .iter()
            .rposition(|byte| *byte == b'\n');
        rows.truncate(line.unwrap() + 1);
        for (database, options) in [("new", create()), ("mine", clean())] {
            let error = restore(&other, database, &backup, &options).unwrap_err();
            assert_eq!(roles(), "postgres", "{version}: {}", described(&error));
        }
        assert_eq!(other.psql("mine", "select count(*) from precious"), "1");
        let error = restore(&other, "empty", &backup, &RestoreOptions::default()).unwrap_err();
        let words = described(&error);
        assert!(
            words.contains("the roles clerk's, shop_owner made by this restore stayed"),
            "{version}: {words}"
        );
        assert_eq!(roles(), "clerk's\npostgres\nshop_owner");
    }
}

#[test]
fn a_lock_at_the_target_is_named_with_its_holder_and_nothing_is_touched() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.psql("postgres", "create table t as select 1 as a");
        let backup = captured(&server, "postgres");
        server.create_database("there", "");
        server.psql("there", "create table precious as select 1 as a");
        let mut reader = server
            .command("psql", "there")
            .env("PGAPPNAME", "long report")
            .args(["-XAtc", "begin; table precious; select pg_sleep(600)"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let holds = "select count(*) from pg_locks where relation = 'precious'::regclass and pid <> pg_backend_pid()";
        while server.psql("there", holds) == "0" {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let options = RestoreOptions {
            lock_timeout: Some(std::time::Duration::from_secs(1)),
            ..clean()
        };
        let error = restore(&server, "there", &backup, &options).unwrap_err();
        let words = described(&error);
        assert!(matches!(error, EngineError::Busy { .. }), "{words}");
        for part in ["long report", "user postgres", "precious", "pg_sleep"] {
            assert!(words.contains(part), "{version}: {words}");
        }
        assert_eq!(server.psql("there", "select count(*) from precious"), "1");
        reader.kill().unwrap();
        reader.wait().unwrap();
    }
}
