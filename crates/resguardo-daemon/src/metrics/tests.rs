//! Every metric, odd names in labels, and what promtool says of them and of the alert rules.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: starts promtool, reads what is shipped"
)]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use resguardo_model::{Concern, EngineKind, Measure};
use resguardo_ops::status::{CopyStanding, LastBackup, LastDrill, Proven};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn source(name: &str) -> SourceStatus {
    SourceStatus {
        source: name.parse().unwrap(),
        engine: EngineKind::Postgres,
        environment: "production".to_owned(),
        standing: Standing::Ok,
        concerns: Vec::new(),
        rpo: Measure {
            seconds: Some(3600.0),
            target_seconds: Some(86_400),
            standing: Standing::Ok,
        },
        restorable_at: Some(at("2026-11-22T11:00:00Z")),
        rto: Measure {
            seconds: Some(12.5),
            target_seconds: Some(14_400),
            standing: Standing::Ok,
        },
        proven: Some(Proven {
            at: at("2026-11-22T11:30:00Z"),
            backup: "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap(),
            backup_taken_at: Some(at("2026-11-22T11:00:00Z")),
            rto_seconds: Some(12.5),
            receipt: format!("{name}/receipts/01jd8kq2v3m4n5p6q7r8s9t0vw.json"),
        }),
        last_drill: Some(LastDrill {
            at: at("2026-11-22T11:30:00Z"),
            verdict: Verdict::Passed,
            backup: "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap(),
            rto_seconds: Some(12.5),
            only_objectives: false,
            receipt: format!("{name}/receipts/01jd8kq2v3m4n5p6q7r8s9t0vw.json"),
        }),
        last_backup: Some(LastBackup {
            id: "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap(),
            taken_at: at("2026-11-22T11:00:00Z"),
            finished_at: at("2026-11-22T11:00:30.5Z"),
            raw_bytes: 1_000_000,
            stored_bytes: 1000,
            seconds: 30.5,
        }),
        last_run: None,
        backups: 14,
        untrusted: 0,
        raw_bytes: 1_000_000,
        stored_bytes: 90_000,
        copies: vec![CopyStanding {
            name: "nas".to_owned(),
            place: "/mnt/nas".to_owned(),
            behind: 2,
            newest_there: Some(at("2026-11-20T11:00:00Z")),
            synced_at: None,
            is_late: true,
        }],
        next_backup: Some(at("2026-11-23T07:00:00Z")),
        next_drill: None,
        overdue: Vec::new(),
        exceptions: 1,
        forecast: None,
        alarms: Vec::new(),
        undecided: Vec::new(),
    }
}

fn status() -> Status {
    let new = SourceStatus {
        standing: Standing::NeverProven,
        concerns: vec![Concern::NoBackup, Concern::NeverProven],
        rpo: Measure::default(),
        restorable_at: None,
        rto: Measure::default(),
        proven: None,
        last_backup: None,
        copies: Vec::new(),
        ..source("new")
    };
    Status {
        at: at("2026-11-22T12:00:00Z"),
        sources: vec![new, source("shop")],
        exceptions: Vec::new(),
        findings: Vec::new(),
        unreachable: None,
    }
}

/// The names of the metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let typed = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    typed
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_source_has_its_lines() {
    let text = text(&status(), "0.1.0");
    let of_shop = "{source=\"shop\",engine=\"postgres\",environment=\"production\"";
    for line in [
        "resguardo_build_info{version=\"0.1.0\"} 1.0".to_owned(),
        "resguardo_looked_timestamp_seconds 1795348800.0".to_owned(),
        format!("resguardo_rpo_seconds{of_shop}}} 3600.0"),
        format!("resguardo_rto_target_seconds{of_shop}}} 14400.0"),
        format!("resguardo_backup_last_success_timestamp_seconds{of_shop}}} 1795345230.5"),
        format!("resguardo_standing{of_shop},standing=\"ok\"}} 1.0"),
        format!("resguardo_standing{of_shop},standing=\"breached\"}} 0.0"),
        format!("resguardo_copy_behind_backups{of_shop},copy=\"nas\"}} 2.0"),
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\nin\n{text}");
    }
    // What is not known has no line.
    let lacks = [
        "resguardo_restorable_timestamp_seconds",
        "resguardo_rpo_seconds",
    ];
    let of_new = |line: &&str| line.contains("source=\"new\"");
    for line in text.lines().filter(of_new) {
        assert!(!lacks.iter().any(|name| line.starts_with(name)), "{line}");
    }
    assert!(text.contains("resguardo_proven{source=\"new\""));
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn odd_names_break_no_line() {
    let mut status = status();
    let odd = "a\"b\\c\nd} 1 {é";
    status.sources[1].environment = odd.to_owned();
    status.sources[1].copies[0].name = odd.to_owned();
    let text = text(&status, "0.1.0");
    let escaped = r#"a\"b\\c\nd} 1 {é"#;
    let line = text
        .lines()
        .find(|line| line.starts_with("resguardo_copy_late{"))
        .unwrap();
    let ending = format!("copy=\"{escaped}\"}} 1.0");
    assert!(line.ends_with(&ending), "{line}");
    promtool(&["check", "metrics"], &text);
}

#[test]
fn prometheus_reads_it_and_finds_no_fault() {
    promtool(&["check", "metrics"], &text(&status(), "0.1.0"));
    let nothing = Status {
        sources: Vec::new(),
        unreachable: Some("no route to host".to_owned()),
        ..status()
    };
    let text = text(&nothing, "0.1.0");
    assert!(text.contains("resguardo_vault_reachable 0.0"));
    promtool(&["check", "metrics"], &text);
}

#[test]
fn every_rule_that_ships_is_fired_by_its_test() {
    let rules = contrib("prometheus/resguardo.rules.yml");
    promtool(&["check", "rules", rules.to_str().unwrap()], "");
    let tests = contrib("prometheus/resguardo.tests.yml");
    promtool(&["test", "rules", tests.to_str().unwrap()], "");
    // Each of them, and not some.
    let (rules, tests) = (read(&rules), read(&tests));
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: Vec<&str> = alerts.collect();
    assert!(alerts.len() > 5, "{alerts:?}");
    for alert in alerts {
        let fired = format!("alertname: {alert}");
        assert!(tests.contains(&fired), "no test fires {alert}");
    }
}

#[test]
fn what_ships_names_metrics_that_there_are() {
    let mut status = status();
    // So that each has a line.
    status.sources[1].forecast = Some(resguardo_ops::status::Forecast {
        crosses_at: at("2027-05-01T00:00:00Z"),
        earliest: at("2027-04-01T00:00:00Z"),
        latest: None,
    });
    let there_are = names(&text(&status, "0.1.0"));
    for file in [
        "prometheus/resguardo.rules.yml",
        "prometheus/resguardo.tests.yml",
        "grafana/resguardo.json",
    ] {
        let shipped = read(&contrib(file));
        let words = shipped.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
        let named: BTreeSet<&str> = words
            .filter(|word| word.starts_with("resguardo_"))
            .collect();
        assert!(!named.is_empty(), "{file}");
        for name in named {
            assert!(there_are.contains(name), "{file}: there is no {name}");
        }
    }
}

#[test]
fn the_dashboard_is_json_with_panels() {
    let text = read(&contrib("grafana/resguardo.json"));
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 6);
    for panel in panels {
        assert!(panel["title"].is_string());
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
    }
}

fn contrib(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../contrib")
        .join(file)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs promtool with `input`, and shows what it says if it finds a fault.
fn promtool(words: &[&str], input: &str) {
    let child = Command::new("promtool")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap_or_else(|error| {
        panic!(
            "promtool ({error}): install Debian's package prometheus, or run `cargo xtask tools`"
        )
    });
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "promtool {words:?}: {}{}\n{input}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
