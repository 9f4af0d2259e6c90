//! The report of a drill, as Markdown or as one self-contained page of HTML, in English or Spanish.
//!
//! Everything in it comes from outside (names, outputs of commands, answers of applications), so every
//! text is escaped where it is written.

use crate::drill::DrillDone;

mod html;
mod markdown;
mod page;
mod spanish;
mod words;

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Markdown.
    Markdown,
    /// HTML in one file: no script, no image, no address.
    Html,
}

/// The language of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Spanish.
    Es,
}

/// Writes the report of a drill.
#[must_use]
pub fn render(done: &DrillDone, format: Format, language: Language) -> String {
    let page = page::of(done, words::of(language));
    match format {
        Format::Markdown => markdown::write(&page),
        Format::Html => html::write(&page),
    }
}

/// The name of a check in Spanish; a name that is not built in stays.
#[must_use]
pub fn check_in_spanish(name: &str) -> String {
    spanish::check_name(name).unwrap_or_else(|| name.to_owned())
}

/// What the check of that name expected, found or said, in Spanish where it is a phrase of ours; values, and
/// what others said, stay.
#[must_use]
pub fn in_spanish(check: &str, text: &str) -> String {
    spanish::phrase(check, text).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use resguardo_model::{
        CheckOutcome, CheckResult, EngineKind, Objectives, Verdict, duration::Span,
    };

    use super::*;
    use crate::phase::PhaseTime;

    fn example() -> DrillDone {
        let mut failed = CheckResult::new(
            "orders | <b>today</b>",
            CheckOutcome::Failed,
            "at least 1",
            "0",
        );
        failed.detail = "it is too small\n```\n<script>alert(1)</script>".to_owned();
        DrillDone {
            run: "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap(),
            verdict: Verdict::Failed,
            source: Some("shop".parse().unwrap()),
            environment: Some("production".to_owned()),
            engine: EngineKind::Sqlite,
            backup: Some("01jd8kq2v3m4n5p6q7r8s9t0vx".parse().unwrap()),
            head_sha256: None,
            file: None,
            taken_at: Some("2026-11-22T02:00:00Z".parse().unwrap()),
            started_at: "2026-11-22T04:00:00Z".parse().unwrap(),
            finished_at: "2026-11-22T04:00:03Z".parse().unwrap(),
            rto_seconds: Some(2.5),
            rpo_seconds: Some(7200.0),
            objectives: Objectives {
                rpo: Some(Span::from_seconds(86_400)),
                rto: None,
            },
            phases: vec![PhaseTime {
                name: "restore".to_owned(),
                seconds: 1.25,
            }],
            checks: vec![CheckResult::compare("file digest", "ab", "ab"), failed],
            kept_at: None,
            receipt: Some("shop/receipts/01jd8kq2v3m4n5p6q7r8s9t0vw.json".to_owned()),
            host: "backup-1".to_owned(),
            operator: "ana".to_owned(),
            tools: BTreeMap::from([("sqlite".to_owned(), "3.51".to_owned())]),
            notes: vec!["a note & more".to_owned()],
        }
    }

    #[test]
    fn html_is_whole_escaped_and_asks_nobody() {
        for language in [Language::En, Language::Es] {
            let page = render(&example(), Format::Html, language);
            assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
            assert!(!page.contains("<script>") && !page.contains("<b>today"));
            assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
            assert!(page.contains("a note &amp; more"));
            assert!(
                !page.contains("http:") && !page.contains("https:"),
                "nothing is fetched"
            );
        }
    }

    #[test]
    fn markdown_keeps_its_tables_and_fences() {
        let page = render(&example(), Format::Markdown, Language::En);
        let row = page.lines().find(|line| line.contains("orders")).unwrap();
        assert_eq!(
            row,
            "| failed | orders \\| &lt;b&gt;today&lt;/b&gt; | at least 1 | 0 | 0.00 s |"
        );
        assert!(page.contains("````\nit is too small\n```\n"), "{page}");
    }

    #[test]
    fn built_in_checks_speak_the_language_of_the_report() {
        let mut done = example();
        let restored = format!("shop {} of 2026-11-22T02:00:00Z", done.backup.unwrap());
        done.checks = vec![
            CheckResult::new(
                "restore",
                CheckOutcome::Passed,
                format!("{restored} comes back"),
                "2 tables, 12288 bytes",
            ),
            CheckResult::compare("migrate", "exit code 0", "exit code 2"),
            CheckResult::compare("pedidos de hoy", "at least 1", "no error in sight"),
        ];
        let spanish = render(&done, Format::Markdown, Language::Es);
        for part in [
            "**Fuente**: shop",
            "**Respaldo**: 01jd",
            "| restauración | vuelve shop",
            "| 2 tablas, 12288 bytes |",
            "| migración | código de salida 0 | código de salida 2 |",
            "| pedidos de hoy | al menos 1 | no error in sight |",
        ] {
            assert!(spanish.contains(part), "{part}: {spanish}");
        }
        let english = render(&done, Format::Markdown, Language::En);
        assert!(english.contains("| migrate | exit code 0 | exit code 2 |"));
    }

    #[test]
    fn both_languages_say_the_same() {
        let english = render(&example(), Format::Markdown, Language::En);
        let spanish = render(&example(), Format::Markdown, Language::Es);
        assert!(english.contains("# Drill of shop: FAILED"), "{english}");
        assert!(
            spanish.contains("# Simulacro de shop: NO SUPERADO"),
            "{spanish}"
        );
        assert_eq!(english.lines().count(), spanish.lines().count());
        assert!(
            english.contains("| RPO | 2 h 0 min | 1d | met |"),
            "{english}"
        );
        assert!(
            spanish.contains("| RPO | 2 h 0 min | 1d | cumplido |"),
            "{spanish}"
        );
    }
}
