//! The faults that a drill must catch, each a test: none may end as passed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use resguardo_engine::port::{
    Allowed, BackupReader, CaptureRequest, CaptureSink, Captured, Engine, EngineError, Location,
    RestoreOptions, Restored, Rows, Run, SandboxSite, Target, TargetState,
};
use resguardo_model::duration::Span;
use resguardo_model::{CheckOutcome, CheckResult, Diagnosis, EngineKind, SourceFacts, Verdict};
use resguardo_ops::drill::DrillDone;
use resguardo_ops::source::HttpCheck;
use resguardo_ops::{CheckKind, Context, Engines, ErrorKind, SourceSpec, list, receipts};
use resguardo_store::{Condition, Store};
use resguardo_vault::generate_identity;
use rusqlite::Connection;

use crate::world::{World, check, command_check, equals, outcome, result, run_drill, sql_check};

/// An engine whose sandboxes are tampered with after the restore: what comes back is not what was taken.
struct Tampering {
    inner: Arc<dyn Engine>,
    sql: &'static str,
}

struct TamperedTarget {
    inner: Box<dyn Target>,
    sql: &'static str,
}

impl Engine for Tampering {
    fn kind(&self) -> EngineKind {
        self.inner.kind()
    }

    fn probe(&self, subject: &str, location: &Location) -> Vec<Diagnosis> {
        self.inner.probe(subject, location)
    }

    fn capture(
        &self,
        request: &CaptureRequest,
        sink: &dyn CaptureSink,
        run: Run<'_>,
    ) -> Result<Captured, EngineError> {
        self.inner.capture(request, sink, run)
    }

    fn export(
        &self,
        request: &CaptureRequest,
        out: &Path,
        run: Run<'_>,
    ) -> Result<Vec<std::path::PathBuf>, EngineError> {
        self.inner.export(request, out, run)
    }

    fn open_file(&self, file: &Path, run: Run<'_>) -> Result<Box<dyn BackupReader>, EngineError> {
        self.inner.open_file(file, run)
    }

    fn open_target(&self, location: &Location) -> Result<Box<dyn Target>, EngineError> {
        self.inner.open_target(location)
    }

    fn open_sandbox(
        &self,
        site: &dyn SandboxSite,
        facts: Option<&SourceFacts>,
        run: Run<'_>,
    ) -> Result<Box<dyn Target>, EngineError> {
        let inner = self.inner.open_sandbox(site, facts, run)?;
        Ok(Box::new(TamperedTarget {
            inner,
            sql: self.sql,
        }))
    }
}

impl Target for TamperedTarget {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn state(&self) -> Result<TargetState, EngineError> {
        self.inner.state()
    }

    fn is_same_as(&self, location: &Location) -> bool {
        self.inner.is_same_as(location)
    }

    fn restore(
        &self,
        backup: &dyn BackupReader,
        options: &RestoreOptions,
        run: Run<'_>,
    ) -> Result<Restored, EngineError> {
        let restored = self.inner.restore(backup, options, run)?;
        let variables = self.inner.environment();
        let (_, path) = variables
            .iter()
            .find(|(name, _)| name == "SQLITE_PATH")
            .unwrap();
        Connection::open(path)
            .unwrap()
            .execute_batch(self.sql)
            .unwrap();
        Ok(restored)
    }

    fn check(&self, backup: &dyn BackupReader, allowed: Allowed, run: Run<'_>) -> Vec<CheckResult> {
        self.inner.check(backup, allowed, run)
    }

    fn execute(&self, script: &str, timeout: Duration, run: Run<'_>) -> Result<(), EngineError> {
        self.inner.execute(script, timeout, run)
    }

    fn query(
        &self,
        sql: &str,
        rows_max: usize,
        timeout: Duration,
        run: Run<'_>,
    ) -> Result<Rows, EngineError> {
        self.inner.query(sql, rows_max, timeout, run)
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.inner.environment()
    }

    fn close(self: Box<Self>) -> Result<(), EngineError> {
        self.inner.close()
    }
}

fn tampered(world: &World, sql: &'static str) -> Context {
    let mut ctx = world.context();
    let inner = world.engine();
    ctx.engines = Engines::new().with(Arc::new(Tampering { inner, sql }));
    ctx
}

/// Whatever the fault: it is no proof, the receipt says so, and nothing is left behind.
fn assert_caught(world: &World, ctx: &Context, done: &DrillDone, verdict: Verdict) {
    assert_eq!(done.verdict, verdict, "{:#?}", done.checks);
    world.assert_nothing_left();
    let receipt = receipts::find(ctx, &done.run.to_string()).unwrap();
    assert_eq!(
        receipt.statement.predicate.result.as_deref(),
        Some("FAILED")
    );
    assert!(!receipt.statement.predicate.failed_tests.is_empty());
    let listed = list::list(ctx, None).unwrap().backups;
    assert!(listed.iter().all(|backup| backup.proven_at.is_none()));
    assert_eq!(listed[0].last_drill.unwrap().verdict, verdict);
}

#[test]
fn one_changed_row() {
    let world = World::new();
    world.back_up();
    let ctx = tampered(&world, "update orders set cents = cents + 1 where id = 7");
    let done = run_drill(&ctx, &world.shop()).unwrap();
    assert_caught(&world, &ctx, &done, Verdict::Failed);
    assert_eq!(outcome(&done, "file digest"), CheckOutcome::Failed);
    assert_eq!(outcome(&done, "row counts"), CheckOutcome::Passed);
}

#[test]
fn one_lost_row() {
    let world = World::new();
    world.back_up();
    let ctx = tampered(&world, "delete from orders where id = 7");
    let done = run_drill(&ctx, &world.shop()).unwrap();
    assert_caught(&world, &ctx, &done, Verdict::Failed);
    let counts = result(&done, "row counts");
    assert_eq!(counts.outcome, CheckOutcome::Failed);
    assert!(counts.expected.contains("orders: 300"), "{counts:?}");
    assert!(counts.actual.contains("orders: 299"), "{counts:?}");
}

#[test]
fn a_damaged_pack() {
    let world = World::new();
    world.back_up();
    let key = world.keys("/packs/")[0].parse().unwrap();
    let mut pack = world.store.get(&key).unwrap().to_vec();
    let middle = pack.len() / 2;
    pack[middle] ^= 1;
    world
        .store
        .put(&key, Bytes::from(pack), Condition::Always)
        .unwrap();
    let ctx = world.context();
    let mut shop = world.shop();
    shop.checks = vec![sql_check(
        "orders",
        "select count(*) from orders",
        equals(300),
    )];
    let done = run_drill(&ctx, &shop).unwrap();
    assert_caught(&world, &ctx, &done, Verdict::Failed);
    assert_eq!(outcome(&done, "restore"), CheckOutcome::Failed);
    assert_eq!(outcome(&done, "orders"), CheckOutcome::Skipped);
    assert_eq!(done.rto_seconds, None);
}

#[test]
fn a_missing_pack() {
    let world = World::new();
    world.back_up();
    let key = world.keys("/packs/")[0].parse().unwrap();
    world.store.delete(&key).unwrap();
    let ctx = world.context();
    let done = run_drill(&ctx, &world.shop()).unwrap();
    assert_ne!(outcome(&done, "restore"), CheckOutcome::Passed);
    assert_caught(&world, &ctx, &done, done.verdict);
    assert_ne!(done.verdict, Verdict::Passed);
}

#[test]
fn a_pack_whose_first_bytes_are_damaged() {
    let world = World::new();
    world.back_up();
    let key = world.keys("/packs/")[0].parse().unwrap();
    let mut pack = world.store.get(&key).unwrap().to_vec();
    pack[..16].fill(0);
    world
        .store
        .put(&key, Bytes::from(pack), Condition::Always)
        .unwrap();
    let ctx = world.context();
    let done = run_drill(&ctx, &world.shop()).unwrap();
    assert_caught(&world, &ctx, &done, Verdict::Failed);
}

#[test]
fn a_wrong_identity() {
    let world = World::new();
    world.back_up();
    let (other, _) = generate_identity("2026-11-22T02:00:00Z".parse().unwrap());
    let mut ctx = world.context();
    ctx.vault = Some(Arc::new(world.vault_with(true, Some(other.as_str()))));
    let done = run_drill(&ctx, &world.shop()).unwrap();
    assert_caught(&world, &ctx, &done, Verdict::Error);
    let restore = result(&done, "restore");
    assert_eq!(restore.outcome, CheckOutcome::Error);
    assert!(restore.detail.contains("identity"), "{}", restore.detail);
}

#[test]
fn without_an_identity_nothing_is_begun_and_nothing_is_said_of_the_backup() {
    let world = World::new();
    world.back_up();
    let mut ctx = world.context();
    let runs = ctx.catalog.runs(10).unwrap().len();
    ctx.vault = Some(Arc::new(world.vault_with(true, None)));
    let error = run_drill(&ctx, &world.shop()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::User, "{error}");
    assert!(error.hint().unwrap().contains("--identity"));
    let receipts = receipts::list(&ctx, None).unwrap().receipts;
    assert_eq!(receipts.len(), 1, "the backup's alone");
    assert_eq!(ctx.catalog.runs(10).unwrap().len(), runs);
    assert!(
        list::list(&ctx, None).unwrap().backups[0]
            .last_drill
            .is_none()
    );
}

/// What others said is for the terminal and the report: the receipt is plain text in the vault.
#[test]
fn what_others_said_stays_out_of_the_receipt() {
    const SECRET: &str = "s3cr3tpw";
    let world = World::new();
    world.back_up();
    let ctx = world.context();
    let print = format!("echo postgres://app:{SECRET}@db/shop");
    let script = format!("insert into no_such_table_{SECRET} values (1)");
    let mut commands = world.shop();
    commands.drill.migrate = Some(print.clone());
    let mut health = HttpCheck::get("http://127.0.0.1:${PORT}/health");
    health.serve = Some(format!("{print}; exit 1"));
    commands.checks = vec![
        command_check("smoke", &format!("{print}; exit 3")),
        check("health", CheckKind::Http(health)),
        sql_check("orders", "select count(*) from orders", equals(301)),
    ];
    let mut migration = world.shop();
    migration.drill.migrate = Some(format!("{print} >&2; exit 2"));
    migration.checks = commands.checks.clone();
    let mut provision = world.shop();
    std::fs::write(world.path("roles.sql"), script).unwrap();
    provision.drill.provision = vec!["roles.sql".into()];
    for shop in [commands, migration, provision] {
        world.later(1);
        let done = run_drill(&ctx, &shop).unwrap();
        let said = done.checks.iter().find(|one| one.detail.contains(SECRET));
        let said = said.expect("the words are kept here");
        let receipt = receipts::find(&ctx, &done.run.to_string()).unwrap();
        let text = serde_json::to_string(&receipt.statement).unwrap();
        assert!(!text.contains(SECRET), "{text}");
        let digest = resguardo_model::Sha256Digest::of(said.detail.as_bytes());
        assert!(text.contains(&digest.to_string()), "{text}");
        let again = receipts::drill_of(&receipt.statement).unwrap();
        for (kept, ours) in again.checks.iter().zip(&done.checks) {
            assert_eq!(
                (&kept.name, kept.outcome, &kept.expected, &kept.actual),
                (&ours.name, ours.outcome, &ours.expected, &ours.actual)
            );
        }
    }
    let smoke = receipts::find(&ctx, "latest").unwrap();
    assert_eq!(smoke.statement.predicate.outcome, "failed");
}

#[test]
fn a_failing_migration() {
    let world = World::new();
    world.back_up();
    let ctx = world.context();
    let mut shop = world.shop();
    shop.drill.migrate = Some("echo column tenant_id exists already >&2; exit 2".to_owned());
    shop.checks = vec![sql_check(
        "orders",
        "select count(*) from orders",
        equals(300),
    )];
    let done = run_drill(&ctx, &shop).unwrap();
    assert_caught(&world, &ctx, &done, Verdict::Failed);
    let migrate = result(&done, "migrate");
    assert_eq!(
        (migrate.outcome, migrate.actual.as_str()),
        (CheckOutcome::Failed, "exit code 2")
    );
    assert_eq!(migrate.detail, "column tenant_id exists already");
    assert_eq!(outcome(&done, "orders"), CheckOutcome::Skipped);
}

#[test]
fn failing_and_missing_provisioning() {
    let world = World::new();
    world.back_up();
    let ctx = world.context();
    let mut shop = world.shop();
    shop.drill.provision = vec!["roles.sql".into()];
    shop.drill.migrate = Some("touch migrated".to_owned());
    let done = run_drill(&ctx, &shop).unwrap();
    assert_eq!(
        outcome(&done, "provision roles.sql"),
        CheckOutcome::Error,
        "it is not there"
    );
    world.later(1);
    std::fs::write(
        world.path("roles.sql"),
        "insert into no_such_table values (1)",
    )
    .unwrap();
    let done = run_drill(&ctx, &shop).unwrap();
    assert_caught(&world, &ctx, &done, Verdict::Failed);
    assert!(
        result(&done, "provision roles.sql")
            .detail
            .contains("no_such_table")
    );
    assert!(!world.path("migrated").exists(), "nothing is migrated then");
}

#[test]
fn a_backup_older_than_the_rpo() {
    let world = World::new();
    world.back_up();
    world.later(25);
    let ctx = world.context();
    let mut shop = world.shop();
    shop.objectives.rpo = Some(Span::from_seconds(24 * 3600));
    let done = run_drill(&ctx, &shop).unwrap();
    assert_caught(&world, &ctx, &done, Verdict::Failed);
    let rpo = result(&done, "RPO");
    assert_eq!(
        (rpo.expected.as_str(), rpo.actual.as_str()),
        ("at most 1d", "1 d 1 h")
    );
}

#[test]
fn a_restore_slower_than_the_rto() {
    let world = World::new();
    world.back_up();
    let ctx = world.context();
    let mut shop = world.shop();
    shop.objectives.rto = Some(Span::from_seconds(0));
    let done = run_drill(&ctx, &shop).unwrap();
    assert_caught(&world, &ctx, &done, Verdict::Failed);
    assert_eq!(outcome(&done, "RTO"), CheckOutcome::Failed);
}

fn http_drill(world: &World, answer: &str, timeout: Duration) -> (Context, DrillDone) {
    let script = format!(
        "import http.server, os, time\nclass App(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n        {answer}\nhttp.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), App).serve_forever()\n"
    );
    std::fs::write(world.path("app.py"), script).unwrap();
    let mut health = HttpCheck::get("http://127.0.0.1:${PORT}/health");
    health.serve = Some("python3 app.py".to_owned());
    let mut spec = check("health", CheckKind::Http(health));
    spec.timeout = timeout;
    let mut shop = world.shop();
    shop.checks = vec![spec];
    world.back_up();
    let ctx = world.context();
    let done = run_drill(&ctx, &shop).unwrap();
    (ctx, done)
}

#[test]
fn an_application_that_answers_500() {
    let world = World::new();
    let answer = "self.send_error(500, 'no tenants')";
    let (ctx, done) = http_drill(&world, answer, Duration::from_secs(60));
    assert_caught(&world, &ctx, &done, Verdict::Failed);
    let health = result(&done, "health");
    assert_eq!(
        (health.expected.as_str(), health.actual.as_str()),
        ("status 200", "status 500")
    );
    assert!(health.detail.contains("no tenants"), "{}", health.detail);
}

#[test]
fn an_application_that_never_answers() {
    let world = World::new();
    let (ctx, done) = http_drill(&world, "time.sleep(1000)", Duration::from_millis(700));
    assert_caught(&world, &ctx, &done, Verdict::Error);
    assert!(result(&done, "health").detail.contains("no answer"));
}

#[test]
fn an_application_that_dies_during_a_check() {
    let world = World::new();
    let (ctx, done) = http_drill(&world, "os._exit(3)", Duration::from_secs(60));
    assert_caught(&world, &ctx, &done, Verdict::Error);
}

fn drill_with(world: &World, shop: &SourceSpec) -> (Context, DrillDone) {
    world.back_up();
    let ctx = world.context();
    let done = run_drill(&ctx, shop).unwrap();
    (ctx, done)
}

#[test]
fn a_check_whose_sql_errors() {
    let world = World::new();
    let mut shop = world.shop();
    shop.checks = vec![
        sql_check("tenants", "select count(*) from tenant", equals(1)),
        sql_check("writes", "delete from orders", equals(1)),
        sql_check("orders", "select count(*) from orders", equals(300)),
    ];
    let (ctx, done) = drill_with(&world, &shop);
    assert_caught(&world, &ctx, &done, Verdict::Error);
    let tenants = result(&done, "tenants");
    assert_eq!(tenants.outcome, CheckOutcome::Error);
    assert!(
        tenants.detail.contains("no such table"),
        "{}",
        tenants.detail
    );
    assert_eq!(outcome(&done, "writes"), CheckOutcome::Error);
    assert_eq!(
        outcome(&done, "orders"),
        CheckOutcome::Passed,
        "the others are still run"
    );
}

#[test]
fn a_check_whose_value_is_another() {
    let world = World::new();
    let mut shop = world.shop();
    shop.checks = vec![sql_check(
        "orders",
        "select count(*) from orders",
        equals(301),
    )];
    let (ctx, done) = drill_with(&world, &shop);
    assert_caught(&world, &ctx, &done, Verdict::Failed);
    let orders = result(&done, "orders");
    assert_eq!(
        (orders.expected.as_str(), orders.actual.as_str()),
        ("301", "300")
    );
}

#[test]
fn checks_that_hang() {
    let world = World::new();
    let mut shop = world.shop();
    let forever =
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    shop.checks = vec![
        sql_check("endless", forever, equals(1)),
        command_check("asleep", "echo $$ > asleep; sleep 1000"),
    ];
    for check in &mut shop.checks {
        check.timeout = Duration::from_millis(500);
    }
    let (ctx, done) = drill_with(&world, &shop);
    assert_caught(&world, &ctx, &done, Verdict::Error);
    assert_eq!(outcome(&done, "endless"), CheckOutcome::Error);
    assert_eq!(outcome(&done, "asleep"), CheckOutcome::Error);
    let pid = std::fs::read_to_string(world.path("asleep"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let mark = resguardo_engine::process::ProcessMark {
        pid,
        started: String::new(),
    };
    assert!(!mark.is_alive());
}

#[test]
fn commands_that_fail_and_that_are_not_there() {
    let world = World::new();
    let mut shop = world.shop();
    shop.checks = vec![
        command_check("fails", "echo 3 invoices without lines; exit 1"),
        command_check("missing", "no-such-command-here"),
    ];
    let (ctx, done) = drill_with(&world, &shop);
    assert_caught(&world, &ctx, &done, Verdict::Error);
    let fails = result(&done, "fails");
    assert_eq!(
        (fails.outcome, fails.detail.as_str()),
        (CheckOutcome::Failed, "3 invoices without lines")
    );
    assert_eq!(outcome(&done, "missing"), CheckOutcome::Error);
}
