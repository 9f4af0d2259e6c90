//! Throwaway servers and temporary databases: like the source's, private, and gone afterwards.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use resguardo_engine::contract::with_run;
use resguardo_engine::port::{Engine as _, EngineError, RestoreOptions, Target, TargetState};
use resguardo_model::{EngineKind, Sha256Digest, SourceFacts};
use resguardo_testkit::{PgServer, PgServerOptions, PgVersion};

use crate::world::{
    Site, ask, assert_all_pass, captured, described, engine, engine_with, server_user,
};

fn facts(version: &str, details: &[(&str, &str)]) -> SourceFacts {
    let detail = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).into());
    SourceFacts {
        engine: EngineKind::Postgres,
        server_version: version.to_owned(),
        schema_sha256: Sha256Digest::of(b""),
        tables: Vec::new(),
        details: details.iter().map(detail).collect::<BTreeMap<_, _>>(),
    }
}

fn open(version: PgVersion, site: &Site, facts: Option<&SourceFacts>) -> Box<dyn Target> {
    with_run(|run| engine(version).open_sandbox(site, facts, run))
        .unwrap_or_else(|error| panic!("{version}: {}", described(&error)))
}

const LATIN: [(&str, &str); 5] = [
    ("database", "la \"tienda\" 1"),
    ("encoding", "LATIN1"),
    ("locale_provider", "c"),
    ("collate", "C"),
    ("ctype", "C"),
];

#[test]
fn a_server_of_the_sources_major_encoding_and_name_runs_unprivileged_without_tcp() {
    for version in PgVersion::all() {
        let site = Site::new();
        let facts = facts(&format!("{}.1", version.major()), &LATIN);
        let target = open(version, &site, Some(&facts));
        let setting = |name: &str| ask(&*target, &format!("show {name}"));
        assert!(setting("server_version").starts_with(&version.major().to_string()));
        assert_eq!(
            ask(&*target, "select current_database()"),
            "la \"tienda\" 1"
        );
        assert_eq!(setting("server_encoding"), "LATIN1");
        assert_eq!(setting("listen_addresses"), "");
        assert_eq!(setting("fsync"), "off");
        assert_eq!(target.state().unwrap(), TargetState::Empty);
        let pid = site.groups.lock().unwrap().last().unwrap().pid;
        let owner = std::fs::metadata(format!("/proc/{pid}")).unwrap().uid();
        let expected = server_user().map_or(rustix::process::geteuid().as_raw(), |user| user.uid);
        assert_eq!(owner, expected);
        assert_ne!(owner, 0, "a server never runs as root");
        target.close().unwrap();
        assert!(!site.is_alive());
    }
}

#[test]
fn a_server_ends_when_its_target_is_dropped_in_the_middle_of_work() {
    let site = Site::new();
    let target = open(PgVersion::V15, &site, None);
    let variables: BTreeMap<_, _> = target.environment().into_iter().collect();
    let mut busy = std::process::Command::new(PgVersion::V15.bin_dir().join("psql"))
        .args([
            "-X",
            "-c",
            "select count(*) from generate_series(1, 100000000000)",
        ])
        .envs(&variables)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let working = "select count(*) from pg_stat_activity where state = 'active' and query like '%100000000000%' \
                   and pid <> pg_backend_pid()";
    while ask(&*target, working) != "1" {
        std::thread::sleep(Duration::from_millis(10));
    }
    let url = &variables["DATABASE_URL"];
    assert!(
        url.starts_with("postgresql://resguardo_drill@localhost:5432/restored?"),
        "{url}"
    );
    drop(target);
    assert!(!site.is_alive());
    assert!(!busy.wait().unwrap().success(), "its connection is cut");
}

#[test]
fn a_killed_server_takes_its_children_with_it() {
    let site = Site::new();
    let target = open(PgVersion::V16, &site, None);
    let pid = ask(
        &*target,
        "select pid from pg_stat_activity where backend_type = 'checkpointer'",
    );
    let server = site.groups.lock().unwrap().last().unwrap().clone();
    server.end_group();
    let began = Instant::now();
    while std::path::Path::new(&format!("/proc/{pid}")).exists() && began.elapsed().as_secs() < 20 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    let error = target.state().unwrap_err();
    assert!(
        described(&error).contains("throwaway server"),
        "{}",
        described(&error)
    );
}

#[test]
fn what_this_machine_does_not_have_is_replaced_and_told() {
    let site = Site::new();
    let unknown = [
        ("collate", "xx_YY.utf8"),
        ("ctype", "xx_YY.utf8"),
        ("encoding", "UTF8"),
    ];
    let target = open(PgVersion::V15, &site, Some(&facts("15.1", &unknown)));
    let collate = "select datcollate from pg_database where datname = current_database()";
    assert_eq!(ask(&*target, collate), "C.UTF-8");
    target.close().unwrap();
    // A build without ICU.
    let site = Site::new();
    let icu = [
        ("locale_provider", "i"),
        ("collate", "C"),
        ("ctype", "C"),
        ("locale", "de"),
    ];
    let target = open(PgVersion::V18, &site, Some(&facts("18.1", &icu)));
    assert_eq!(ask(&*target, collate), "C");
    target.close().unwrap();
    // And one with it.
    let site = Site::new();
    let target = open(PgVersion::V15, &site, Some(&facts("15.1", &icu)));
    let provider = "select datlocprovider::text || daticulocale from pg_database where datname = current_database()";
    assert_eq!(ask(&*target, provider), "ide");
    target.close().unwrap();
}

#[test]
fn the_next_newer_major_serves_and_a_missing_one_is_named_with_its_package() {
    let site = Site::new();
    let engine = engine_with(vec![PgVersion::V18.bin_dir()]);
    let target =
        with_run(|run| engine.open_sandbox(&site, Some(&facts("17.2", &[])), run)).unwrap();
    assert!(ask(&*target, "show server_version").starts_with("18"));
    target.close().unwrap();
    let future = facts("99.1", &[]);
    let error = with_run(|run| {
        engine
            .open_sandbox(&Site::new(), Some(&future), run)
            .err()
            .unwrap()
    });
    match error {
        EngineError::ToolMissing { package, .. } => assert_eq!(package, "postgresql-99"),
        other => panic!("{}", described(&other)),
    }
}

#[test]
fn a_database_on_a_named_server_is_dropped_when_it_is_closed_whoever_is_connected() {
    let server = PgServer::start_with(PgServerOptions {
        password: Some("s3cr et/ñ".to_owned()),
        ..PgServerOptions::new(PgVersion::V16)
    });
    let databases =
        "select string_agg(datname, ',' order by datname) from pg_database where not datistemplate";
    let site = Site::on(&server.url("postgres"));
    let target = open(PgVersion::V16, &site, Some(&facts("16.1", &LATIN)));
    assert!(!target.describe().contains("s3cr"), "{}", target.describe());
    let name = ask(&*target, "select current_database()");
    assert!(name.starts_with("resguardo_drill_rgsite"), "{name}");
    assert_eq!(ask(&*target, "show server_encoding"), "LATIN1");
    assert_eq!(
        server.psql("postgres", databases),
        format!("postgres,{name}")
    );
    let _connected = server.pgbench_meanwhile(&name, &["-n", "-T", "60", "-f", "/dev/null"]);
    target.close().unwrap();
    assert_eq!(server.psql("postgres", databases), "postgres");
}

#[test]
fn one_that_is_kept_stays() {
    let server = PgServer::start(PgVersion::V15);
    let site = Site::on(&server.url("postgres"));
    let mut target = open(PgVersion::V15, &site, None);
    let kept = target.keep().unwrap().unwrap();
    assert!(kept.contains("drop database \"resguardo_drill_"), "{kept}");
    target.close().unwrap();
    drop(open(
        PgVersion::V15,
        &Site::on(&server.url("postgres")),
        None,
    ));
    let left = "select count(*) from pg_database where datname like 'resguardo_drill_%'";
    assert_eq!(server.psql("postgres", left), "1");

    let site = Site::new();
    let mut target = open(PgVersion::V15, &site, None);
    let kept = target.keep().unwrap().unwrap();
    target.close().unwrap();
    assert!(!site.is_alive());
    let data = kept
        .split(" -D ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    assert!(
        std::path::Path::new(data).join("PG_VERSION").exists(),
        "{kept}"
    );
}

#[test]
fn what_a_dead_drill_left_on_a_named_server_is_dropped_by_the_next_and_nothing_else() {
    let server = PgServer::start(PgVersion::V15);
    let comment =
        "a drill of Resguardo; dropped when it ends, or by the next if nobody is connected";
    server.psql(
        "postgres",
        &format!(
            "create database resguardo_drill_dead; comment on database resguardo_drill_dead is '{comment}';
             create role of_the_dead; comment on role of_the_dead is 'resguardo_drill_dead';
             create database resguardo_drill_mine; create role mine; comment on role mine is 'mine'"
        ),
    );
    let living = open(PgVersion::V15, &Site::on(&server.url("postgres")), None);
    let other = open(PgVersion::V15, &Site::on(&server.url("postgres")), None);
    let left = server.psql(
        "postgres",
        "select datname from pg_database union select rolname from pg_roles",
    );
    assert!(!left.contains("dead"), "{left}");
    assert!(
        left.contains("resguardo_drill_mine") && left.contains("\nmine"),
        "{left}"
    );
    assert_eq!(
        ask(&*living, "select 1"),
        "1",
        "one that lives is left alone"
    );
    drop(living);
    other.close().unwrap();
    let left = server.psql("postgres", "select datname from pg_database");
    assert!(!left.contains("rgsite"), "{left}");
}

#[test]
fn libraries_that_extensions_need_are_loaded_where_they_are_here() {
    for version in PgVersion::all().into_iter().filter(|one| one.has_contrib()) {
        let library = "pg_stat_statements";
        let options =
            PgServerOptions::new(version).setting("shared_preload_libraries", "pg_stat_statements");
        let server = PgServer::start_with(options);
        server.create_database("shop", "");
        server.psql("shop", "create extension pg_stat_statements");
        let mut backup = captured(&server, "shop");
        drop(server);
        let details = &mut backup.facts.as_mut().unwrap().details;
        assert_eq!(
            details["shared_preload_libraries"],
            serde_json::json!([library])
        );
        details.insert(
            "shared_preload_libraries".to_owned(),
            serde_json::json!([library, "no_such", "auto_explain"]),
        );
        details.get_mut("extensions").unwrap()["no_such"] = "1".into();
        let site = Site::new();
        let target = open(version, &site, backup.facts.as_ref());
        let restored = with_run(|run| target.restore(&backup, &RestoreOptions::default(), run));
        let restored = restored.unwrap_or_else(|error| panic!("{version}: {}", described(&error)));
        let notes = restored.notes.join("\n");
        assert!(notes.contains("the source loads no_such"), "{notes}");
        let loaded = ask(&*target, "show shared_preload_libraries");
        assert_eq!(loaded.trim_matches('"'), library);
        // Without the library there is no answer.
        ask(&*target, "select count(*) from pg_stat_statements");
        assert_all_pass(&*target, &backup, &version.to_string());
        target.close().unwrap();
        assert!(!site.is_alive());
    }
}
