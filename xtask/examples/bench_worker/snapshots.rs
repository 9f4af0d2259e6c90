//! Many backups of a few bytes each, with the receipts that a backup and a drill leave: what a vault looks
//! like to `list` after years.

use std::collections::BTreeMap;

use resguardo_model::clock::SystemClock;
use resguardo_model::receipt::{Predicate, RUN_TYPE, Subject, TEST_RESULT_TYPE, Verb};
use resguardo_model::{BackupId, CancelToken, Clock as _, FileKind, RunId, SourceName};
use resguardo_vault::{Committed, ReceiptDraft, Vault};
use serde_json::{Value, json};

use crate::Anything;
use crate::place;

/// Every so manieth backup was drilled.
const DRILLED: usize = 10;

pub(crate) fn take(vault: &Vault, sources: usize, each: usize) -> Result<(), Anything> {
    for number in 0..sources {
        let source: SourceName = format!("shop-{number:03}").parse()?;
        for turn in 0..each {
            let done = back_up(vault, &source, turn)?;
            receipt(vault, &source, &done, Verb::Backup)?;
            if turn % DRILLED == 0 {
                receipt(vault, &source, &done, Verb::Drill)?;
            }
        }
        println!("{source}: {each} backups");
    }
    Ok(())
}

fn back_up(vault: &Vault, source: &SourceName, turn: usize) -> Result<Committed, Anything> {
    let lease = vault.acquire_lease(source, RunId(place::new_id()), "bench", std::process::id())?;
    let writer = vault.begin_snapshot(lease, BackupId(place::new_id()), &CancelToken::new())?;
    let mut file = writer.open_file(&"shop.db".parse()?, FileKind::Stream)?;
    file.write(format!("backup {turn} of {source}").as_bytes())?;
    file.finish()?;
    Ok(writer.commit(place::description())?)
}

fn receipt(
    vault: &Vault,
    source: &SourceName,
    done: &Committed,
    verb: Verb,
) -> Result<(), Anything> {
    let head = &done.head.head;
    let now = SystemClock.now();
    let drill = verb == Verb::Drill;
    let outcome = if drill { "passed" } else { "succeeded" };
    let predicate_type = if drill { TEST_RESULT_TYPE } else { RUN_TYPE };
    let details: BTreeMap<String, Value> = BTreeMap::from([
        ("backup".to_owned(), json!(head.backup)),
        ("raw_bytes".to_owned(), json!(done.raw_bytes)),
        ("stored_bytes".to_owned(), json!(done.stored_bytes)),
    ]);
    vault.put_receipt(ReceiptDraft {
        subject: vec![Subject::new(&done.head.key, done.head.sha256)],
        predicate_type: predicate_type.to_owned(),
        predicate: Predicate {
            format: 1,
            run: RunId(place::new_id()),
            verb,
            vault: vault.id(),
            source: source.clone(),
            outcome: outcome.to_owned(),
            started_at: head.started_at,
            finished_at: now,
            host: "bench".to_owned(),
            operator: "bench".to_owned(),
            tools: BTreeMap::new(),
            details,
            writer: head.writer,
            sequence: 0,
            previous: None,
            result: drill.then(|| "PASSED".to_owned()),
            configuration: Vec::new(),
            passed_tests: Vec::new(),
            failed_tests: Vec::new(),
        },
    })?;
    Ok(())
}
