//! The main way of a drill: restored, provisioned, migrated, checked, timed, destroyed, signed.

use std::time::Duration;

use resguardo_model::duration::Span;
use resguardo_model::receipt::TEST_RESULT_TYPE;
use resguardo_model::{CheckOutcome, Verdict};
use resguardo_ops::drill::{self, DrillRequest};
use resguardo_ops::source::HttpCheck;
use resguardo_ops::{CheckKind, Expectation, Origin, backup, list, receipts};

use crate::world::{
    CUSTOMERS, ORDERS, Watcher, World, check, command_check, equals, latest, outcome, result,
    run_drill, sql_check,
};

/// A shop of one page: it answers `/health` with the number of customers in the restored database.
const APPLICATION: &str = r#"
import http.server, os, sqlite3
path = os.environ["DATABASE_URL"].removeprefix("file:")
class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        count = sqlite3.connect(path).execute("select count(*) from customer").fetchone()[0]
        self.send_response(200 if self.path == "/health" else 500)
        self.end_headers()
        self.wfile.write(f"customers: {count}".encode())
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Shop).serve_forever()
"#;

#[test]
fn what_programs_print_is_seen_while_they_run() {
    let world = World::new();
    world.back_up();
    let mut shop = world.shop();
    // It ends once its first line was seen: a line that came with the end would never be.
    let seen = world.path("seen");
    let line = format!(
        "echo applying 1 >&2; while ! test -e {}; do sleep 0.05; done; echo applied",
        seen.display()
    );
    shop.drill.migrate = Some(line);
    shop.checks = vec![command_check("smoke", "echo from a check; exit 3")];
    let watcher = Watcher::new(|_| {});
    let mut ctx = world.context();
    ctx.progress = watcher.clone();
    let (its, done) = (watcher.clone(), ctx.cancel.clone());
    let looking = std::thread::spawn(move || {
        while its.said().is_empty() && !done.is_cancelled() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        std::fs::write(seen, "").unwrap();
    });
    let drilled = run_drill(&ctx, &shop);
    ctx.cancel.cancel();
    looking.join().unwrap();
    assert_eq!(drilled.unwrap().verdict, Verdict::Failed);
    assert_eq!(watcher.said(), ["applying 1", "applied", "from a check"]);
    let notes = watcher.notes().join("\n");
    assert!(
        !notes.contains("appl") && !notes.contains("from a check"),
        "{notes}"
    );
}

#[test]
fn a_whole_drill_passes_and_leaves_a_proof_and_nothing_else() {
    let world = World::new();
    let taken = world.back_up();
    world.later(3);
    std::fs::write(world.path("roles.sql"), "create table role (name text);").unwrap();
    std::fs::write(world.path("app.py"), APPLICATION).unwrap();
    let mut shop = world.shop();
    shop.drill.provision = vec!["roles.sql".into()];
    shop.drill.migrate = Some(
        "test -e roles.sql && python3 -c 'import os,sqlite3; \
         sqlite3.connect(os.environ[\"SQLITE_PATH\"]).execute(\"create table migrated (x)\")'"
            .to_owned(),
    );
    shop.objectives.rpo = Some(Span::from_seconds(24 * 3600));
    shop.objectives.rto = Some(Span::from_seconds(4 * 3600));
    let mut health = HttpCheck::get("http://127.0.0.1:${PORT}/health");
    health.serve = Some("exec python3 app.py".to_owned());
    health.steps[0].matches = Some(format!("customers: {CUSTOMERS}$"));
    shop.checks = vec![
        sql_check("orders", "select count(*) from orders", equals(ORDERS)),
        sql_check("migrated", "select * from migrated, role", rows(0)),
        check("health", CheckKind::Http(health)),
        command_check("smoke", "test -f \"$SQLITE_PATH\""),
    ];
    let mut ctx = world.context();
    let watcher = Watcher::new(|_| {});
    ctx.progress = watcher.clone();
    let done = run_drill(&ctx, &shop).unwrap();
    assert_eq!(done.verdict, Verdict::Passed, "{:#?}", done.checks);
    assert!(
        done.checks
            .iter()
            .all(|check| check.outcome == CheckOutcome::Passed)
    );
    for name in [
        "file digest",
        "row counts",
        "schema",
        "integrity_check",
        "provision roles.sql",
        "migrate",
        "health",
        "RPO",
        "RTO",
    ] {
        assert_eq!(outcome(&done, name), CheckOutcome::Passed, "{name}");
    }
    let phases = [
        "select",
        "restore",
        "compare",
        "provision",
        "migrate",
        "checks",
        "destroy",
    ];
    assert_eq!(
        done.phases
            .iter()
            .map(|phase| phase.name.as_str())
            .collect::<Vec<_>>(),
        phases
    );
    assert_eq!(watcher.phases(), phases);
    assert_eq!(done.rpo_seconds, Some(3.0 * 3600.0));
    assert!(done.rto_seconds.is_some_and(|seconds| seconds > 0.0));
    assert_eq!(done.backup, Some(taken.id));
    world.assert_nothing_left();

    let receipt = receipts::find(&ctx, &done.run.to_string()).unwrap();
    let predicate = &receipt.statement.predicate;
    assert_eq!(receipt.statement.predicate_type, TEST_RESULT_TYPE);
    assert_eq!(predicate.result.as_deref(), Some("PASSED"));
    assert_eq!(predicate.passed_tests.len(), done.checks.len());
    assert_eq!(
        receipt.statement.subject[0].digest["sha256"],
        taken.head_sha256.to_string()
    );
    let read_back = receipts::drill_of(&receipt.statement).unwrap();
    assert_eq!(
        (read_back.checks, read_back.phases),
        (done.checks, done.phases)
    );

    let listed = list::list(&ctx, None).unwrap();
    assert_eq!(listed.backups[0].proven_at, Some(done.finished_at));
    assert!(listed.findings.is_empty());
}

fn rows(rows: u64) -> Expectation {
    Expectation {
        rows: Some(rows),
        ..Expectation::default()
    }
}

#[test]
fn an_application_is_started_once_for_all_its_checks_and_ended() {
    let world = World::new();
    world.back_up();
    let served = world.path("served");
    std::fs::write(world.path("app.py"), APPLICATION).unwrap();
    let mut shop = world.shop();
    let line = format!("echo $$ >> {}; exec python3 app.py", served.display());
    for name in ["first", "second"] {
        let mut health = HttpCheck::get("http://127.0.0.1:${PORT}/health");
        health.serve = Some(line.clone());
        shop.checks.push(check(name, CheckKind::Http(health)));
    }
    let done = run_drill(&world.context(), &shop).unwrap();
    assert_eq!(done.verdict, Verdict::Passed, "{:#?}", done.checks);
    let pids = std::fs::read_to_string(served).unwrap();
    let pids: Vec<u32> = pids.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(pids.len(), 1);
    assert!(
        !resguardo_engine::process::ProcessMark {
            pid: pids[0],
            started: String::new()
        }
        .is_alive()
    );
}

#[test]
fn a_sandbox_is_kept_where_that_is_asked_for() {
    let world = World::new();
    world.back_up();
    let ctx = world.context();
    let mut shop = world.shop();
    let kept = drill::drill(
        &ctx,
        &DrillRequest {
            origin: latest(),
            sources: &[shop.clone()],
            keep: true,
        },
    )
    .unwrap();
    let folder = kept.kept_at.unwrap();
    assert!(std::fs::read_dir(&folder).unwrap().count() > 0);
    resguardo_ops::recover::sweep(&ctx).unwrap();
    assert!(folder.exists(), "a kept one is not swept");
    std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();

    shop.drill.keep_failed = true;
    assert!(
        run_drill(&ctx, &shop).unwrap().kept_at.is_none(),
        "it passed"
    );
    shop.checks = vec![sql_check(
        "orders",
        "select count(*) from orders",
        equals(1),
    )];
    let failed = run_drill(&ctx, &shop).unwrap();
    assert_eq!(failed.verdict, Verdict::Failed);
    assert!(failed.kept_at.unwrap().exists());
}

#[test]
fn a_file_is_drilled_with_and_without_a_source() {
    let world = World::new();
    let ctx = world.context();
    let out = world.path("shop.sqlite.gz");
    backup::export(&ctx, &world.shop(), &out).unwrap();
    let mut shop = world.shop();
    shop.checks = vec![sql_check(
        "orders",
        "select count(*) from orders",
        equals(ORDERS),
    )];
    let run = |source: Option<&str>| {
        let source = source.map(|name| name.parse().unwrap());
        let origin = Origin::File {
            path: out.clone(),
            source,
        };
        drill::drill(
            &ctx,
            &DrillRequest {
                origin,
                sources: &[shop.clone()],
                keep: false,
            },
        )
    };
    world.later(2);
    let with = run(Some("shop")).unwrap();
    assert_eq!(
        with.rpo_seconds,
        Some(2.0 * 3600.0),
        "the file's meta.json tells its time"
    );
    assert_eq!(with.verdict, Verdict::Passed, "{:#?}", with.checks);
    assert_eq!(outcome(&with, "orders"), CheckOutcome::Passed);
    assert!(with.receipt.is_some());
    let without = run(None).unwrap();
    assert_eq!(without.verdict, Verdict::Passed, "{:#?}", without.checks);
    assert!(without.receipt.is_none() && !without.notes.is_empty());
    assert!(run(Some("other")).unwrap_err().to_string().contains("shop"));
    world.assert_nothing_left();
}

#[test]
fn the_applications_words_are_kept_when_it_does_not_start() {
    let world = World::new();
    world.back_up();
    let mut shop = world.shop();
    shop.drill.ready_timeout = Duration::from_secs(30);
    let mut health = HttpCheck::get("http://127.0.0.1:${PORT}/health");
    health.serve = Some("echo no such module: shop >&2; exit 1".to_owned());
    shop.checks = vec![check("health", CheckKind::Http(health))];
    let done = run_drill(&world.context(), &shop).unwrap();
    assert_eq!(done.verdict, Verdict::Error);
    let health = result(&done, "health");
    assert!(
        health.detail.contains("no such module: shop"),
        "{}",
        health.detail
    );
}
