//! Makes the receipts: what each verb states, of what, and how it went. The vault signs and stores them.

use std::collections::BTreeMap;

use resguardo_model::receipt::{Predicate, RUN_TYPE, Subject, TEST_RESULT_TYPE};
use resguardo_model::{CheckOutcome, Sha256Digest, SourceName, Verdict};
use resguardo_vault::{ReceiptDraft, StoredHead};
use serde::Serialize;
use serde_json::Value;

use crate::context::Context;
use crate::drill::DrillDone;
use crate::error::OpsError;
use crate::history;
use crate::run::OpenRun;

/// Version of our fields in a predicate.
const PREDICATE_FORMAT: u32 = 1;

/// What a run states.
pub(crate) struct Record<'a> {
    pub(crate) run: &'a OpenRun<'a>,
    pub(crate) source: &'a SourceName,
    /// `succeeded`, `failed`, `interrupted`, or a drill's verdict.
    pub(crate) outcome: &'a str,
    pub(crate) subject: Vec<Subject>,
    pub(crate) tools: BTreeMap<String, String>,
    pub(crate) details: BTreeMap<String, Value>,
    /// What makes a drill's receipt a test result.
    pub(crate) test: Option<Test>,
}

/// Fields of the test-result predicate.
pub(crate) struct Test {
    result: &'static str,
    configuration: Vec<Subject>,
    passed: Vec<String>,
    failed: Vec<String>,
}

impl Test {
    pub(crate) fn of(done: &DrillDone, config: Option<Sha256Digest>) -> Self {
        let named = |passed: bool| {
            let checks = done.checks.iter().filter(move |check| match check.outcome {
                CheckOutcome::Passed => passed,
                CheckOutcome::Failed | CheckOutcome::Error => !passed,
                CheckOutcome::Skipped => false,
            });
            checks.map(|check| check.name.clone()).collect()
        };
        Self {
            result: if done.verdict == Verdict::Passed {
                "PASSED"
            } else {
                "FAILED"
            },
            configuration: config
                .map(|sha256| Subject::new("resguardo.toml", sha256))
                .into_iter()
                .collect(),
            passed: named(true),
            failed: named(false),
        }
    }
}

/// Signs and stores a receipt; returns its key in the vault. `None` without a vault or a write key.
pub(crate) fn store(ctx: &Context, record: Record<'_>) -> Result<Option<String>, OpsError> {
    let Some(vault) = ctx.vault.as_ref() else {
        return Ok(None);
    };
    let Some(writer) = vault.writer() else {
        return Ok(None);
    };
    let run = record.run.id();
    let mut subject = record.subject;
    if subject.is_empty() {
        // A statement has to be about something: a run that made nothing is about its vault.
        subject.extend(vault_subject(ctx));
    }
    let mut tools = record.tools;
    tools.insert("resguardo".to_owned(), ctx.version.clone());
    let mut details = record.details;
    if vault.is_copy() {
        // What was read there says nothing of the vault itself.
        let place = || value(vault.store().describe());
        details.entry("place".to_owned()).or_insert_with(place);
    }
    let test = record.test;
    let predicate_type = if test.is_some() {
        TEST_RESULT_TYPE
    } else {
        RUN_TYPE
    };
    let (result, configuration, passed_tests, failed_tests) = match test {
        Some(test) => (
            Some(test.result.to_owned()),
            test.configuration,
            test.passed,
            test.failed,
        ),
        None => (None, Vec::new(), Vec::new(), Vec::new()),
    };
    let stored = vault
        .put_receipt(ReceiptDraft {
            subject,
            predicate_type: predicate_type.to_owned(),
            predicate: Predicate {
                format: PREDICATE_FORMAT,
                run,
                verb: record.run.verb(),
                vault: vault.id(),
                source: record.source.clone(),
                outcome: record.outcome.to_owned(),
                started_at: record.run.started_at(),
                finished_at: ctx.clock.now(),
                host: ctx.host.clone(),
                operator: ctx.operator.clone(),
                tools,
                details,
                writer,
                sequence: 0,
                previous: None,
                result,
                configuration,
                passed_tests,
                failed_tests,
            },
        })
        .map_err(OpsError::vault(format!(
            "storing the receipt of {} {run}",
            record.run.verb().word()
        )))?;
    history::remember_receipts(ctx, vault.id(), std::iter::once(&stored));
    Ok(Some(stored.key))
}

/// Stores a receipt where the work itself is done already: what goes wrong becomes a note.
pub(crate) fn store_or_note(
    ctx: &Context,
    record: Record<'_>,
    notes: &mut Vec<String>,
) -> Option<String> {
    match store(ctx, record) {
        Ok(Some(key)) => Some(key),
        Ok(None) => {
            let why = if ctx.vault.is_some() {
                "there is no write key here"
            } else {
                "no vault is configured"
            };
            notes.push(format!("no receipt was made: {why}"));
            None
        }
        Err(error) => {
            notes.push(crate::run::described(&error));
            None
        }
    }
}

/// The artefacts of a backup: its head and its manifest.
pub(crate) fn subjects_of(stored: &StoredHead) -> Vec<Subject> {
    let manifest = stored.key.replace(".head.json", ".manifest.age");
    vec![
        Subject::new(&stored.key, stored.sha256),
        Subject::new(manifest, stored.head.manifest.sha256),
    ]
}

fn vault_subject(ctx: &Context) -> Option<Subject> {
    let key = "vault.json";
    let parsed = key.parse().ok()?;
    let bytes = ctx.vault.as_ref()?.store().get(&parsed).ok()?;
    Some(Subject::new(key, Sha256Digest::of(&bytes)))
}

/// A value for `details`.
pub(crate) fn value(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("model types have string keys only")
}
