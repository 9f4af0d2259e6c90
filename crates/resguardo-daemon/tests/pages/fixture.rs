//! Made-up sources of five teams, as they could stand on one morning.

mod rules;
mod stored;
mod work;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use resguardo_daemon::web::view::{Copy, Forecast, LogLine, Overview, Role, Row, Running, Viewer};
use resguardo_daemon::web::{Frame, Language, Say, Section, Theme};
use resguardo_model::{Concern, Measure, Standing};

pub(crate) use rules::{access, policy};
use stored::line;
pub(crate) use stored::{backup, new_source, source};
use work::exception;
pub(crate) use work::{drill, exceptions, live_run, run, runs};

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
