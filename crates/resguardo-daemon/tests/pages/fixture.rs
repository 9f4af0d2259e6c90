//! Made-up sources of five teams, as they could stand on one morning.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use resguardo_daemon::web::view::{
    AccessPage, Account, AuditEntry, BackupFile, BackupLine, BackupPage, Check, Copy, CopyOfBackup,
    Day, DrillPage, DrillPoint, Exception, ExceptionsPage, Forecast, Lock, LogLine, Overview,
    Pages, Phase, Pin, PolicyBackup, PolicyPage, Receipt, Resolved, Review, Role, Row, Run,
    RunPage, RunState, Running, RunsPage, SizePoint, SourcePage, SourcePolicy, StoreSays, Token,
    Viewer, WriterSeen,
};
use resguardo_daemon::web::{Frame, Language, Say, Section, Theme};
use resguardo_model::receipt::Verb;
use resguardo_model::{CheckOutcome, Concern, Measure, Standing, Verdict, What};

/// A name that nobody should be able to use, and that must harm nothing.
pub(crate) const MARKUP: &str = "<img src=x onerror=alert(1)>\"'&amp;";

/// The morning.
pub(crate) fn now() -> Timestamp {
    "2026-11-22T14:00:00Z".parse().unwrap()
}

/// So many hours before it.
pub(crate) fn ago(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

pub(crate) fn say(language: Language) -> Say {
    Say {
        language,
        zone: TimeZone::get("America/Bogota").unwrap(),
        now: now(),
    }
}

pub(crate) fn viewer(role: Role) -> Viewer {
    Viewer {
        name: "ana".to_owned(),
        role,
    }
}

/// What stands around a page.
pub(crate) fn frame<'a>(
    say: &'a Say,
    theme: Theme,
    viewer: &'a Viewer,
    section: Section,
) -> Frame<'a> {
    Frame {
        say,
        theme,
        here: "/",
        section,
        viewer: Some(viewer),
        csrf: "c3JmLXRva2Vu",
        vault: "s3://acme-respaldos/principal",
        unreachable: None,
        exceptions: 4,
        notice: None,
        version: "0.1.0",
    }
}

pub(crate) fn measure(seconds: Option<f64>, target: Option<u64>, standing: Standing) -> Measure {
    Measure {
        seconds,
        target_seconds: target,
        standing,
    }
}

/// A source that is well.
pub(crate) fn row(name: &str, engine: &str, environment: &str) -> Row {
    Row {
        name: name.to_owned(),
        engine: engine.to_owned(),
        environment: environment.to_owned(),
        standing: Standing::Ok,
        concerns: Vec::new(),
        rpo: measure(Some(7.0 * 3600.0), Some(86_400), Standing::Ok),
        rto: measure(Some(752.0), Some(14_400), Standing::Ok),
        proven_at: Some(ago(12 * 24)),
        last_drill: Some(ago(12 * 24)),
        forecast: None,
        copies: vec![copy("bogota", 0), copy("virginia", 0)],
        next_drill: Some(ago(-14 * 24)),
        exceptions: 0,
    }
}

pub(crate) fn copy(name: &str, behind: u64) -> Copy {
    Copy {
        name: name.to_owned(),
        place: format!("s3://acme-copia-{name}/respaldos"),
        behind,
        newest: Some(ago(7)),
    }
}

/// A source whose last drill failed.
pub(crate) fn broken() -> Row {
    Row {
        standing: Standing::Breached,
        concerns: vec![
            Concern::DrillFailed,
            Concern::RpoPassed,
            Concern::CopyBehind,
        ],
        rpo: measure(Some(31.0 * 3600.0), Some(86_400), Standing::Breached),
        rto: measure(Some(5_412.0), Some(7_200), Standing::Ok),
        proven_at: Some(ago(43 * 24)),
        last_drill: Some(ago(3 * 24)),
        copies: vec![copy("bogota", 0), copy("virginia", 3)],
        next_drill: Some(ago(-18)),
        exceptions: 2,
        ..row("comercial-electrica", "postgres", "production")
    }
}

/// A drill that is going on.
pub(crate) fn drilling() -> Running {
    let line = |seconds: i64, text: &str| LogLine {
        at: now() - SignedDuration::from_secs(240 - seconds),
        text: text.to_owned(),
    };
    Running {
        id: "01kazx5v3m4n5p6q7r8s9t0vwa".to_owned(),
        verb: "drill".to_owned(),
        source: "comercial-electrica".to_owned(),
        began_at: now() - SignedDuration::from_secs(240),
        by: "ana".to_owned(),
        phases: vec![
            ("select".to_owned(), now() - SignedDuration::from_secs(240)),
            ("restore".to_owned(), now() - SignedDuration::from_secs(238)),
            (
                "provision".to_owned(),
                now() - SignedDuration::from_secs(70),
            ),
            ("migrate".to_owned(), now() - SignedDuration::from_secs(64)),
        ],
        bytes: 1_212_000_000,
        total: Some(2_870_000_000),
        lines: vec![
            line(1, "comercial-electrica 01kazw8h2m of 2026-11-22T07:00:00Z"),
            line(2, "a server of PostgreSQL 16.14 was started for this drill"),
            line(170, "provision sql/01_roles.sql"),
            line(176, "npx prisma migrate deploy"),
            line(
                180,
                "\u{1b}[1mPrisma\u{1b}[0m schema loaded from prisma/schema.prisma",
            ),
            line(184, "14 migrations found in prisma/migrations"),
            line(190, "Applying migration `20261120_precios`"),
        ],
        lines_dropped: 0,
    }
}

/// Fourteen sources, the worst first.
pub(crate) fn overview() -> Overview {
    let never = Row {
        standing: Standing::NeverProven,
        concerns: vec![Concern::NeverProven],
        rto: measure(None, Some(7_200), Standing::NeverProven),
        proven_at: None,
        last_drill: None,
        next_drill: None,
        copies: Vec::new(),
        exceptions: 1,
        ..row("puranatura-blog", "sqlite", "production")
    };
    let slow = Row {
        standing: Standing::Breached,
        concerns: vec![Concern::DrillOverdue, Concern::RtoPassed],
        rto: measure(Some(9_480.0), Some(7_200), Standing::Breached),
        proven_at: Some(ago(97 * 24)),
        next_drill: Some(ago(-9)),
        exceptions: 1,
        ..row("puranatura", "sqlite", "production")
    };
    let at_risk = Row {
        standing: Standing::AtRisk,
        concerns: vec![Concern::RtoForecast, Concern::CopyBehind],
        rpo: measure(Some(760.0), Some(900), Standing::AtRisk),
        rto: measure(Some(12_240.0), Some(14_400), Standing::AtRisk),
        forecast: Some(Forecast {
            crosses_at: "2027-05-09T00:00:00Z".parse().unwrap(),
            earliest: "2027-04-01T00:00:00Z".parse().unwrap(),
            latest: Some("2027-08-20T00:00:00Z".parse().unwrap()),
        }),
        copies: vec![copy("bogota", 1), copy("virginia", 0)],
        ..row("obyra", "postgres", "production")
    };
    let mut sources = vec![broken(), slow, never, at_risk];
    for (name, engine, environment) in [
        ("inventario", "postgres", "production"),
        ("sago-factu", "postgres", "production"),
        ("sago-factu-certificados", "sqlite", "production"),
        ("comercial-electrica-staging", "postgres", "staging"),
        ("inventario-staging", "postgres", "staging"),
        ("obyra-staging", "postgres", "staging"),
        ("puranatura-staging", "sqlite", "staging"),
        ("sago-factu-staging", "postgres", "staging"),
        ("metabase", "postgres", "internal"),
        ("wiki", "sqlite", "internal"),
    ] {
        sources.push(row(name, engine, environment));
    }
    Overview {
        at: now(),
        sources,
        running: vec![drilling()],
        exceptions: 4,
        findings: Vec::new(),
    }
}

/// Two hundred sources that stand as those fourteen do.
pub(crate) fn many() -> Overview {
    let mut view = overview();
    let known = view.sources.clone();
    let rows = (0..200).map(|number| {
        let row = known[number % known.len()].clone();
        let name = format!("{}-{number:03}", row.name);
        Row { name, ..row }
    });
    view.sources = rows.collect();
    view.sources
        .sort_by_key(|row| std::cmp::Reverse(row.standing));
    view
}

/// Two hundred sources of which everything is to be said that can be said of one.
pub(crate) fn all_broken() -> Overview {
    let rows = (0..200).map(|number| Row {
        name: format!("comercial-electrica-{number:03}"),
        ..broken()
    });
    Overview {
        sources: rows.collect(),
        ..overview()
    }
}

/// Names that are as long and as odd as can be.
pub(crate) fn odd() -> Overview {
    let mut view = overview();
    view.sources[0].name = MARKUP.to_owned();
    view.sources[0].environment = MARKUP.to_owned();
    view.sources[0].copies = vec![copy(MARKUP, 7)];
    view.sources[0].concerns = vec![Concern::CopyBehind, Concern::DrillFailed];
    view.sources[1].name =
        "un-nombre-tan-largo-como-se-permite-que-sea-de-sesenta-y-tres-ca".to_owned();
    view.sources[1].environment = "x".repeat(120);
    view.sources[2].name = "a".repeat(63);
    view.findings = vec![format!(
        "head {MARKUP} is missing: {}",
        "shop/snapshots/".repeat(12)
    )];
    view
}

/// A backup in a list.
pub(crate) fn line(number: u32) -> BackupLine {
    let hours = 7 + 24 * i64::from(number);
    BackupLine {
        id: format!("01kazw8h2m{number:016}"),
        source: "comercial-electrica".to_owned(),
        taken_at: ago(hours),
        reason: if number % 6 == 1 {
            "pre-migration"
        } else {
            "scheduled"
        }
        .to_owned(),
        raw_bytes: 2_870_000_000 - 4_000_000 * u64::from(number),
        stored_bytes: 31_000_000 + 700_000 * u64::from(number % 7),
        proven_at: (number % 9 == 4).then(|| ago(hours - 20)),
        last_drill_passed: match number {
            3 => Some(false),
            number if number % 9 == 4 => Some(true),
            _ => None,
        },
        pinned: number == 5,
        copies: vec!["bogota".to_owned(), "virginia".to_owned()],
        trusted: true,
    }
}

pub(crate) fn exception() -> Exception {
    Exception {
        id: "01kaztk3s0000000000000000e".to_owned(),
        source: "comercial-electrica".to_owned(),
        what: What::DrillFailed {
            at: ago(75),
            backup: "01jd8kq2v3m4n5p6q7r8s9t0vx".parse().unwrap(),
            verdict: Verdict::Failed,
            checks: vec!["row counts".to_owned(), "health".to_owned()],
            receipt: "comercial-electrica/receipts/01jd8kq2v3m4n5p6q7r8s9t0vw.json".to_owned(),
        },
        times: 2,
        opened_at: ago(75),
        good_at: None,
        resolved: None,
    }
}

/// One of each kind, open, over and resolved.
pub(crate) fn exceptions() -> ExceptionsPage {
    let of = |number: u32, source: &str, what: What| Exception {
        id: format!("01kaztk3s000000000000000e{number}"),
        source: source.to_owned(),
        what,
        times: 1,
        ..exception()
    };
    let copy = What::CopyBehind {
        copies: vec!["virginia".to_owned()],
        backups: 3,
    };
    let over = Exception {
        good_at: Some(ago(5)),
        ..of(3, "obyra", copy)
    };
    let run = What::RunFailed {
        run: "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap(),
        verb: Verb::Backup,
        at: ago(300),
        message: format!("connecting to db.obyra.example:5432: connection refused {MARKUP}"),
    };
    let rto = What::RtoBreached {
        at: ago(97 * 24),
        seconds: 9_480.0,
        target_seconds: 7_200,
        receipt: "puranatura/receipts/01jd8kq2v3m4n5p6q7r8s9t0vw.json".to_owned(),
    };
    let due = What::DrillOverdue {
        due: ago(30),
        proven_at: Some(ago(97 * 24)),
    };
    let old = What::RpoBreached {
        newest: Some(ago(31)),
        target_seconds: 86_400,
    };
    let found = What::VerifyFindings {
        run: None,
        findings: 2,
        message: "pack 3f2a… is missing".to_owned(),
    };
    let late = What::BackupOverdue {
        due: ago(8),
        newest: None,
    };
    let resolved = Exception {
        resolved: Some(Resolved {
            at: ago(290),
            by: "berta".to_owned(),
            note: "el proveedor movió la base; la nueva dirección está en la configuración"
                .to_owned(),
        }),
        ..of(9, "obyra", run.clone())
    };
    ExceptionsPage {
        open: vec![
            exception(),
            of(1, "puranatura", due),
            of(2, "puranatura", rto),
            over,
            of(4, "comercial-electrica", old),
            of(5, "inventario", found),
            of(6, "puranatura-blog", late),
            of(7, "obyra", run),
        ],
        source: None,
        resolved: vec![resolved],
        resolved_in_all: 41,
    }
}

fn year() -> Vec<Day> {
    let today = now().to_zoned(TimeZone::UTC).date();
    let day = |back: i64| Day {
        date: today.saturating_sub(jiff::ToSpan::days(back)),
        backups: u32::from(back % 61 != 17),
        passed: u32::from(back % 30 == 12),
        failed: u32::from(back == 3 || back == 140),
        failed_runs: u32::from(back % 61 == 17),
    };
    (0..330).map(day).collect()
}

pub(crate) fn source(lines: u64, page: u64) -> SourcePage {
    let pages = Pages::of(page, 50, lines);
    let drill = |number: i64| DrillPoint {
        at: ago((360 - number * 30) * 24 + 72),
        passed: number != 12 && number != 7,
        rto_seconds: Some(
            3_900.0 + 140.0 * number as f64 + if number % 3 == 0 { 260.0 } else { 0.0 },
        ),
        receipt: Some(format!("01kaz{number:021}")),
    };
    let size = |number: u64| SizePoint {
        at: ago(i64::try_from((330 - number) * 24).unwrap()),
        raw_bytes: 1_900_000_000 + 2_900_000 * number,
        stored_bytes: 28_000_000 + 900_000 * (number % 11),
    };
    let forecast = Forecast {
        crosses_at: "2027-05-09T00:00:00Z".parse().unwrap(),
        earliest: "2027-04-01T00:00:00Z".parse().unwrap(),
        latest: Some("2027-08-20T00:00:00Z".parse().unwrap()),
    };
    SourcePage {
        row: Row {
            forecast: Some(forecast),
            ..broken()
        },
        last_backup: Some(line(0)),
        last_backup_seconds: Some(94.0),
        proven_by: Some("01kaz000000000000000000011".to_owned()),
        last_drill: Some(drill(12)),
        next_backup: Some(ago(-17)),
        backups: lines,
        raw_bytes: 2_870_000_000,
        stored_bytes: 6_420_000_000,
        running: Some(drilling()),
        exceptions: vec![exception()],
        year: year(),
        until: now().to_zoned(TimeZone::UTC).date(),
        sizes: (0..330).map(size).collect(),
        drills: (1..=12).map(drill).collect(),
        forecast: Some(forecast),
        lines: pages
            .range()
            .map(|number| line(u32::try_from(number).unwrap()))
            .collect(),
        pages,
    }
}

/// A source of which nothing is known yet.
pub(crate) fn new_source() -> SourcePage {
    SourcePage {
        row: Row {
            standing: Standing::NeverProven,
            concerns: vec![Concern::NoBackup, Concern::NeverProven],
            rpo: measure(None, None, Standing::Ok),
            rto: measure(None, None, Standing::NeverProven),
            proven_at: None,
            last_drill: None,
            next_drill: None,
            copies: Vec::new(),
            ..row("puranatura-blog", "sqlite", "local")
        },
        last_backup: None,
        last_backup_seconds: None,
        proven_by: None,
        last_drill: None,
        next_backup: None,
        backups: 0,
        raw_bytes: 0,
        stored_bytes: 0,
        running: None,
        exceptions: Vec::new(),
        year: Vec::new(),
        sizes: Vec::new(),
        drills: Vec::new(),
        forecast: None,
        ..source(0, 1)
    }
}

pub(crate) fn backup() -> BackupPage {
    let receipt = |verb: &str, outcome: &str, hours| Receipt {
        run: "01jd8kq2v3m4n5p6q7r8s9t0vw".to_owned(),
        verb: verb.to_owned(),
        outcome: outcome.to_owned(),
        at: ago(hours),
        trusted: true,
    };
    let file = |number: u64| BackupFile {
        path: format!("tables/public.pedidos_{number}.copy"),
        bytes: 41_000_000 * (number + 1),
        sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
    };
    BackupPage {
        line: line(4),
        engine: "postgres".to_owned(),
        finished_at: ago(102),
        writer: "f3b1c0de5a7719".to_owned(),
        note: "0042_precios".to_owned(),
        commit: "8c1f0a2".to_owned(),
        migration: "20261118_precios".to_owned(),
        database: "comercial".to_owned(),
        head_sha256: "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae".to_owned(),
        places: vec![
            CopyOfBackup {
                name: String::new(),
                place: "s3://acme-respaldos/principal".to_owned(),
                here: true,
            },
            CopyOfBackup {
                name: "bogota".to_owned(),
                place: "file:///mnt/nas/respaldos".to_owned(),
                here: true,
            },
            CopyOfBackup {
                name: "virginia".to_owned(),
                place: "s3://acme-copia-virginia/respaldos".to_owned(),
                here: false,
            },
        ],
        pin: Some(Pin {
            by: "ana".to_owned(),
            note: "cierre de 2026".to_owned(),
            until: Some(ago(-24 * 400)),
        }),
        lock: Some(Lock {
            until: Some(ago(-24 * 20)),
            mode: Some("governance".to_owned()),
        }),
        frees_bytes: 33_800_000,
        files: Ok((0..9).map(file).collect()),
        facts: vec![
            ("PostgreSQL".to_owned(), "16.14".to_owned()),
            ("tables".to_owned(), "41".to_owned()),
        ],
        receipts: vec![
            receipt("drill", "passed", 80),
            receipt("drill", "failed", 90),
            receipt("backup", "succeeded", 102),
        ],
    }
}

pub(crate) fn drill(verdict: Verdict) -> DrillPage {
    let phase = |name: &str, seconds| Phase {
        name: name.to_owned(),
        seconds,
    };
    let check = |name: &str, outcome, expected: &str, actual: &str, detail: &str| Check {
        name: name.to_owned(),
        outcome,
        expected: expected.to_owned(),
        actual: actual.to_owned(),
        detail: detail.to_owned(),
        milliseconds: 1_240,
    };
    let mut checks = vec![
        check(
            "restore",
            CheckOutcome::Passed,
            "comercial-electrica 01jd8kq2v3 of 2026-11-19T07:00:00Z comes back",
            "41 tables, 2870000000 bytes",
            "",
        ),
        check(
            "row digests",
            CheckOutcome::Passed,
            "41 tables",
            "41 tables",
            "",
        ),
        check(
            "foreign keys",
            CheckOutcome::Passed,
            "0 rows without their parent",
            "0 rows without their parent",
            "",
        ),
        check("pedidos con cliente", CheckOutcome::Passed, "0", "0", ""),
    ];
    if verdict != Verdict::Passed {
        checks.push(check(
            "active tenants",
            CheckOutcome::Failed,
            "at least 1",
            "0",
            "it is too small",
        ));
        checks.push(check("health", CheckOutcome::Error, "status 200", "", &format!("\u{1b}[31mError\u{1b}[0m: listen EADDRINUSE: address already in use 127.0.0.1:4004\n    at Server.setupListenHandle [as _listen2] (node:net:1817:16)\n    at node:internal/main/run_main_module:23:47 {MARKUP}")));
        checks.push(check(
            "smoke",
            CheckOutcome::Skipped,
            "exit code 0",
            "",
            "not run, because the migration did not pass",
        ));
    }
    DrillPage {
        run: "01jd8kq2v3m4n5p6q7r8s9t0vw".to_owned(),
        verdict,
        source: "comercial-electrica".to_owned(),
        environment: "production".to_owned(),
        engine: "postgres".to_owned(),
        backup: "01jd8kq2v3m4n5p6q7r8s9t0vx".to_owned(),
        taken_at: Some(ago(79)),
        started_at: ago(75),
        finished_at: ago(75) + SignedDuration::from_secs(5_419),
        rto: measure(Some(5_412.0), Some(7_200), Standing::Ok),
        rpo: measure(Some(4.0 * 3600.0), Some(86_400), Standing::Ok),
        phases: vec![
            phase("select", 0.4),
            phase("restore", 3_902.0),
            phase("compare", 811.0),
            phase("provision", 6.2),
            phase("migrate", 48.0),
            phase("checks", 644.0),
            phase("destroy", 7.1),
        ],
        checks,
        kept_at: None,
        receipt: Some("comercial-electrica/receipts/01jd8kq2v3m4n5p6q7r8s9t0vw.json".to_owned()),
        receipt_sha256: Some(
            "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae".to_owned(),
        ),
        trusted: true,
        host: "respaldos-1".to_owned(),
        operator: "resguardo".to_owned(),
        tools: vec![
            ("postgres".to_owned(), "16.14".to_owned()),
            ("resguardo".to_owned(), "0.1.0".to_owned()),
        ],
        notes: vec!["the server of the drill ran on this machine".to_owned()],
        log: None,
    }
}

pub(crate) fn run(state: RunState, verb: &str, source: &str, hours: i64, message: &str) -> Run {
    Run {
        id: "01jd8kq2v3m4n5p6q7r8s9t0vw".to_owned(),
        verb: verb.to_owned(),
        source: source.to_owned(),
        backup: "01jd8kq2v3m4n5p6q7r8s9t0vx".to_owned(),
        state,
        started_at: ago(hours),
        finished_at: (state != RunState::Running)
            .then(|| ago(hours) + SignedDuration::from_secs(94)),
        host: "respaldos-1".to_owned(),
        operator: "resguardo".to_owned(),
        message: message.to_owned(),
        receipt: true,
    }
}

pub(crate) fn runs() -> RunsPage {
    RunsPage {
        running: vec![drilling()],
        runs: vec![
            run(RunState::Running, "drill", "comercial-electrica", 0, ""),
            run(RunState::Succeeded, "backup", "inventario", 7, ""),
            run(
                RunState::Failed,
                "backup",
                "comercial-electrica",
                7,
                "connecting to db.comercial.example:5432: connection refused (os error 111)",
            ),
            run(
                RunState::Died,
                "prune",
                "obyra",
                20,
                "its process ended without a word",
            ),
            run(RunState::Interrupted, "verify", "", 30, ""),
            run(
                RunState::Failed,
                "drill",
                "comercial-electrica",
                75,
                "failed",
            ),
        ],
        source: None,
        state: None,
        sources: overview().sources.into_iter().map(|row| row.name).collect(),
        pages: Pages::of(2, 50, 480),
    }
}

pub(crate) fn live_run() -> RunPage {
    let running = drilling();
    RunPage {
        run: Run {
            started_at: running.began_at,
            finished_at: None,
            receipt: false,
            backup: String::new(),
            ..run(RunState::Running, "drill", "comercial-electrica", 0, "")
        },
        log: Some(running),
    }
}

pub(crate) fn policy() -> PolicyPage {
    let backup = |number: u32, kept, why: &[&str]| PolicyBackup {
        id: line(number).id,
        taken_at: line(number).taken_at,
        reason: line(number).reason,
        kept,
        why: why.iter().map(|cause| (*cause).to_owned()).collect(),
        frees_bytes: 31_000_000,
    };
    let one = SourcePolicy {
        source: "comercial-electrica".to_owned(),
        environment: "production".to_owned(),
        policy: Some("daily 14, weekly 8, monthly 12, pre-migration 90d".to_owned()),
        backups: vec![
            backup(
                0,
                true,
                &[
                    "one of the last 2 backups",
                    "daily 2026-11-22",
                    "weekly 2026-W47",
                    "monthly 2026-11",
                ],
            ),
            backup(
                1,
                true,
                &[
                    "one of the last 2 backups",
                    "daily 2026-11-21",
                    "pre-migration kept 90d",
                ],
            ),
            backup(4, true, &["the last proven backup"]),
            backup(
                15,
                false,
                &[
                    "daily 2026-11-07 is beyond the newest 14 days",
                    "weekly 2026-W45 is kept by 01kazw8h2m",
                    "monthly 2026-11 is kept by 01kazw8h2m",
                ],
            ),
        ],
        kept: 33,
        deleted: 1,
        freed_bytes: 31_000_000,
        next: Some(ago(-13)),
        trouble: String::new(),
    };
    PolicyPage {
        sources: vec![
            one.clone(),
            SourcePolicy {
                source: "inventario".to_owned(),
                policy: None,
                backups: Vec::new(),
                kept: 212,
                deleted: 0,
                freed_bytes: 0,
                next: None,
                ..one.clone()
            },
            SourcePolicy {
                source: "obyra".to_owned(),
                trouble: "the clock of this machine is 3 h ahead of that of the vault's store"
                    .to_owned(),
                ..one
            },
        ],
    }
}

pub(crate) fn access() -> AccessPage {
    let writer = |id: &str, trusted, retired| WriterSeen {
        id: id.to_owned(),
        trusted,
        retired,
        backups: 412,
        receipts: 1_290,
        sources: vec!["comercial-electrica".to_owned(), "inventario".to_owned()],
        last_at: Some(ago(7)),
    };
    let entry = |hours, who: &str, what: &str, object: &str, outcome: &str| AuditEntry {
        at: ago(hours),
        who: who.to_owned(),
        what: what.to_owned(),
        object: object.to_owned(),
        outcome: outcome.to_owned(),
    };
    AccessPage {
        recipients: vec![
            "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".to_owned(),
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN ana@operador".to_owned(),
        ],
        writers: vec![writer("f3b1c0de5a7719", true, false), writer("0a11d0b2c95e44", false, true), writer("77aa0133f4de02", false, false)],
        own_writer: Some("f3b1c0de5a7719".to_owned()),
        can_read: false,
        store: vec![
            StoreSays { subject: "public access".to_owned(), says: "blocked".to_owned(), concern: false },
            StoreSays { subject: "arn:aws:iam::123456789012:user/despliegue".to_owned(), says: "may delete objects (s3:DeleteObject)".to_owned(), concern: true },
        ],
        review: Some(Review { at: ago(24 * 120), by: "berta".to_owned(), next: Some("2026-10-31".parse().unwrap()), overdue: true }),
        notes: Vec::new(),
        accounts: Some(vec![
            Account { name: "ana".to_owned(), role: Role::Admin, last_login: Some(ago(1)) },
            Account { name: "berta@ejemplo.co".to_owned(), role: Role::Operator, last_login: None },
            Account { name: MARKUP.to_owned(), role: Role::Viewer, last_login: None },
        ]),
        tokens: Some(vec![Token { name: "grafana".to_owned(), scope: "read".to_owned(), expires: Some(ago(-24 * 40)), last_used: Some(ago(2)) }]),
        audit: Some(vec![
            entry(1, "ana", "drill", "comercial-electrica", "done"),
            entry(2, "berta@ejemplo.co", "unpin", "01kazw8h2m", "refused"),
            entry(30, "ana", "users add", "berta@ejemplo.co", "done"),
        ]),
    }
}
