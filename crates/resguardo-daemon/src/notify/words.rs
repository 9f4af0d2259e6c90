//! The words of messages, in each language.

use resguardo_ops::report::Language;

use super::event::{Event, FactName, What};
use super::letter::Letter;

/// A message in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// In a line, without markup.
    pub(super) title: String,
    /// What was said, in a line or a few; may be empty.
    pub(super) message: String,
    /// What is known: labels and values.
    pub(super) facts: Vec<(&'static str, String)>,
    /// What to do next; may be empty.
    pub(super) next: String,
    /// Who says so.
    pub(super) foot: String,
}

impl Text {
    /// The words of a message.
    pub(super) fn of(letter: &Letter) -> Self {
        let event = &letter.event;
        let words = words(letter.language());
        let mut facts: Vec<(&'static str, String)> = Vec::new();
        if let Some(source) = &event.source {
            facts.push((words.source, source.to_string()));
        }
        if !letter.environment.is_empty() {
            facts.push((words.environment, letter.environment.clone()));
        }
        for (name, label) in words.facts {
            let Some(value) = event.fact(name) else {
                continue;
            };
            let value = match value.parse() {
                Ok(at) => letter.moment(at),
                Err(_) => value.to_owned(),
            };
            facts.push((label, value));
        }
        if let Some(exception) = &event.exception {
            facts.push((words.since, letter.moment(exception.opened_at)));
            facts.push((words.exception, exception.id.clone()));
        }
        facts.push((words.at, letter.moment(event.at)));
        Self {
            title: title(event, letter.language()),
            message: event.fact(FactName::Message).unwrap_or("").to_owned(),
            facts,
            next: next(event, words),
            foot: format!("{} {}", words.foot, letter.host),
        }
    }

    /// All of it, as lines.
    pub(super) fn plain(&self) -> String {
        let mut out = format!("{}\n", self.title);
        if !self.message.is_empty() {
            out.push_str(&format!("\n{}\n", self.message));
        }
        out.push('\n');
        for (label, value) in &self.facts {
            out.push_str(&format!("{label}: {value}\n"));
        }
        if !self.next.is_empty() {
            out.push_str(&format!("\n{}\n", self.next));
        }
        out.push_str(&format!("\n-- \n{}\n", self.foot));
        out
    }
}

struct Words {
    source: &'static str,
    environment: &'static str,
    since: &'static str,
    at: &'static str,
    exception: &'static str,
    facts: [(FactName, &'static str); 12],
    foot: &'static str,
    resolve: &'static str,
    runs: &'static str,
}

const EN: Words = Words {
    source: "Source",
    environment: "Environment",
    since: "Open since",
    at: "Time",
    exception: "Exception",
    facts: [
        (FactName::Measured, "Measured"),
        (FactName::Target, "Target"),
        (FactName::Backup, "Backup"),
        (FactName::Copy, "Copy"),
        (FactName::ProvenAt, "Last proven"),
        (FactName::AgainAt, "Tried again at"),
        (FactName::Verb, "Run"),
        (FactName::DueAt, "Was due"),
        (FactName::NewestAt, "Newest backup"),
        (FactName::Behind, "Backups missing"),
        (FactName::Findings, "Findings"),
        (FactName::Times, "Times"),
    ],
    foot: "Resguardo on",
    resolve: "What is open: resguardo exceptions. Once it is dealt with: resguardo exceptions resolve",
    runs: "The history of runs: resguardo catalog runs",
};

const ES: Words = Words {
    source: "Fuente",
    environment: "Entorno",
    since: "Abierta desde",
    at: "Hora",
    exception: "Excepción",
    facts: [
        (FactName::Measured, "Medido"),
        (FactName::Target, "Objetivo"),
        (FactName::Backup, "Respaldo"),
        (FactName::Copy, "Copia"),
        (FactName::ProvenAt, "Última prueba"),
        (FactName::AgainAt, "Se intenta de nuevo"),
        (FactName::Verb, "Ejecución"),
        (FactName::DueAt, "Tocaba"),
        (FactName::NewestAt, "Respaldo más nuevo"),
        (FactName::Behind, "Respaldos que faltan"),
        (FactName::Findings, "Hallazgos"),
        (FactName::Times, "Veces"),
    ],
    foot: "Resguardo en",
    resolve: "Lo que está abierto: resguardo exceptions. Cuando esté atendido: resguardo exceptions resolve",
    runs: "El historial de ejecuciones: resguardo catalog runs",
};

fn words(language: Language) -> &'static Words {
    match language {
        Language::En => &EN,
        Language::Es => &ES,
    }
}

fn next(event: &Event, words: &Words) -> String {
    match (event.what, &event.exception) {
        (What::Opened | What::Worse | What::Reminder | What::Good, Some(exception)) => {
            format!("{} {} --note \"...\"", words.resolve, exception.id)
        }
        (What::RunFailed, _) => words.runs.to_owned(),
        _ => String::new(),
    }
}

/// What happened, in a line.
fn title(event: &Event, language: Language) -> String {
    let is_spanish = language == Language::Es;
    let words = |en: &str, es: &str| if is_spanish { es } else { en }.to_owned();
    let is_error = event.fact(FactName::Verdict) == Some("error");
    let what = match &event.exception {
        Some(exception) => kind(&exception.kind, is_error, language),
        None if is_error => kind("drill_failed", is_error, language),
        None => task(event.task.as_deref().unwrap_or(""), event.what, language),
    };
    let about = match event.what {
        What::Opened | What::RunBegan | What::RunFailed | What::RunSucceeded => what,
        What::Worse => format!("{}: {what}", words("worse", "peor")),
        What::Reminder => format!("{}: {what}", words("still open", "sigue abierta")),
        What::Good => format!("{} ({what})", words("good again", "bien otra vez")),
        What::Test => {
            return words(
                "A test message of Resguardo",
                "Un mensaje de prueba de Resguardo",
            );
        }
    };
    match &event.source {
        Some(source) => format!("{source}: {about}"),
        None => about,
    }
}

/// What an exception of this kind says; of a drill, whether it could be carried out.
fn kind(kind: &str, is_error: bool, language: Language) -> String {
    let (en, es) = match kind {
        "drill_failed" if is_error => (
            "the drill could not be carried out",
            "el simulacro no se pudo hacer",
        ),
        "drill_failed" => ("the drill failed", "el simulacro no se superó"),
        "drill_overdue" => ("the drill is overdue", "el simulacro está atrasado"),
        "run_failed" => ("a run failed", "una ejecución falló"),
        "rpo_breached" => (
            "the newest backup is older than the RPO allows",
            "el respaldo más nuevo es más viejo de lo que permite el RPO",
        ),
        "rto_breached" => (
            "a restore takes longer than the RTO allows",
            "una restauración tarda más de lo que permite el RTO",
        ),
        "copy_behind" => ("a copy is behind", "una copia está atrasada"),
        "verify_findings" => (
            "the verification found something wrong",
            "la verificación encontró algo mal",
        ),
        "backup_overdue" => ("the backup is overdue", "el respaldo está atrasado"),
        other => return other.to_owned(),
    };
    match language {
        Language::En => en,
        Language::Es => es,
    }
    .to_owned()
}

/// What became of a run.
fn task(task: &str, what: What, language: Language) -> String {
    let (en, es) = match task {
        "backup" => ("the backup", "el respaldo"),
        "drill" => ("the drill", "el simulacro"),
        "verify" => ("the verification", "la verificación"),
        "prune" => ("the prune", "la depuración"),
        "copy" => ("the copying", "la copia"),
        other => (other, other),
    };
    match (language, what) {
        (Language::En, What::RunFailed) => format!("{en} failed"),
        (Language::En, What::RunBegan) => format!("{en} begins"),
        (Language::En, _) => format!("{en} is done"),
        (Language::Es, What::RunFailed) if task == "drill" => format!("{es} no se superó"),
        (Language::Es, What::RunFailed) => format!("{es} falló"),
        (Language::Es, What::RunBegan) => format!("{es} empieza"),
        (Language::Es, _) => format!("{es} terminó bien"),
    }
}

#[cfg(test)]
pub(super) mod examples {
    #![allow(clippy::unwrap_used, reason = "test")]

    use jiff::tz::TimeZone;

    use super::*;
    use crate::notify::event::ExceptionFacts;
    use crate::notify::redact::Redactor;

    /// A drill that failed, with what somebody could do to a page or a header.
    pub(in crate::notify) fn failed_drill(language: Language) -> Letter {
        let mut event = Event::new(What::Opened, "2026-11-22T09:30:00Z".parse().unwrap())
            .with(
                FactName::Message,
                "the drill did not pass: <!channel> & <b>active tenants</b>\r\nBcc: eve@example.org",
            )
            .with(FactName::Measured, "1h 10m")
            .with(FactName::Target, "1h")
            .with(FactName::ProvenAt, "2026-11-01T09:00:00Z");
        event.source = Some("shop".parse().unwrap());
        event.exception = Some(ExceptionFacts {
            id: "01jd8kq2v3m4n5p6q7r8s9t0vw".to_owned(),
            kind: "drill_failed".to_owned(),
            opened_at: "2026-11-22T09:29:58Z".parse().unwrap(),
        });
        let zone = TimeZone::get("America/Bogota").unwrap();
        let written_at = "2026-11-22T09:30:01Z".parse().unwrap();
        let mut letter = Letter::new(&event, language, &zone, &Redactor::default(), written_at);
        letter.delivery = "0123456789abcdef0123456789abcdef".to_owned();
        letter.environment = "production".to_owned();
        letter.host = "db1".to_owned();
        letter
    }

    #[test]
    fn a_message_in_english() {
        assert_eq!(
            Text::of(&failed_drill(Language::En)).plain(),
            "shop: the drill failed

the drill did not pass: <!channel> & <b>active tenants</b>
Bcc: eve@example.org

Source: shop
Environment: production
Measured: 1h 10m
Target: 1h
Last proven: 2026-11-01 04:00 America/Bogota
Open since: 2026-11-22 04:29 America/Bogota
Exception: 01jd8kq2v3m4n5p6q7r8s9t0vw
Time: 2026-11-22 04:30 America/Bogota

What is open: resguardo exceptions. Once it is dealt with: resguardo exceptions resolve 01jd8kq2v3m4n5p6q7r8s9t0vw --note \"...\"

-- 
Resguardo on db1
"
        );
    }

    #[test]
    fn a_message_in_spanish() {
        assert_eq!(
            Text::of(&failed_drill(Language::Es)).plain(),
            "shop: el simulacro no se superó

the drill did not pass: <!channel> & <b>active tenants</b>
Bcc: eve@example.org

Fuente: shop
Entorno: production
Medido: 1h 10m
Objetivo: 1h
Última prueba: 2026-11-01 04:00 America/Bogota
Abierta desde: 2026-11-22 04:29 America/Bogota
Excepción: 01jd8kq2v3m4n5p6q7r8s9t0vw
Hora: 2026-11-22 04:30 America/Bogota

Lo que está abierto: resguardo exceptions. Cuando esté atendido: resguardo exceptions resolve 01jd8kq2v3m4n5p6q7r8s9t0vw --note \"...\"

-- 
Resguardo en db1
"
        );
    }

    #[test]
    fn a_drill_that_could_not_be_carried_out_is_none_that_failed() {
        let titles = |verdict: &str, language| {
            let mut letter = failed_drill(language);
            letter.event = letter.event.with(FactName::Verdict, verdict);
            let of_exception = Text::of(&letter).title;
            letter.event.exception = None;
            letter.event.what = What::RunFailed;
            letter.event.task = Some("drill".to_owned());
            (of_exception, Text::of(&letter).title)
        };
        let both = |title: &str| (title.to_owned(), title.to_owned());
        assert_eq!(
            titles("error", Language::En),
            both("shop: the drill could not be carried out")
        );
        assert_eq!(
            titles("error", Language::Es),
            both("shop: el simulacro no se pudo hacer")
        );
        assert_eq!(
            titles("failed", Language::En),
            both("shop: the drill failed")
        );
        assert_eq!(
            titles("failed", Language::Es),
            both("shop: el simulacro no se superó")
        );
    }

    #[test]
    fn every_change_has_its_title() {
        let mut letter = failed_drill(Language::En);
        let mut titles = Vec::new();
        for what in [What::Worse, What::Reminder, What::Good, What::Test] {
            letter.event.what = what;
            titles.push(Text::of(&letter).title);
        }
        letter.event.exception = None;
        letter.event.task = Some("backup".to_owned());
        for what in [What::RunFailed, What::RunSucceeded] {
            letter.event.what = what;
            titles.push(Text::of(&letter).title);
        }
        assert_eq!(
            titles,
            [
                "shop: worse: the drill failed",
                "shop: still open: the drill failed",
                "shop: good again (the drill failed)",
                "A test message of Resguardo",
                "shop: the backup failed",
                "shop: the backup is done",
            ]
        );
    }
}
