//! Taking backups: what is told, what is recorded, and what a failure leaves.

use resguardo_model::receipt::RUN_TYPE;
use resguardo_ops::backup;
use resguardo_ops::catalog::RunState;
use resguardo_ops::{ErrorKind, list, receipts, show, verify};
use resguardo_store::{Condition, Store as _};

use crate::world::{CUSTOMERS, ORDERS, World, run_drill, take};

#[test]
fn a_backup_is_committed_recorded_and_signed() {
    let world = World::new();
    let ctx = world.context();
    let done = world.back_up_in(&ctx);
    assert_eq!((done.tables, done.rows), (2, CUSTOMERS + ORDERS));
    assert_eq!(
        done.raw_bytes,
        std::fs::metadata(world.database()).unwrap().len()
    );
    world.assert_nothing_left();

    let rows = ctx.catalog.runs(10).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].run, rows[0].state),
        (done.run, RunState::Succeeded)
    );
    assert_eq!(
        (rows[0].backup, &rows[0].receipt),
        (Some(done.id), &done.receipt)
    );

    let receipt = receipts::find(&ctx, &done.run.to_string()).unwrap();
    assert!(receipt.trusted);
    let statement = &receipt.statement;
    assert_eq!(
        (
            statement.predicate_type.as_str(),
            statement.predicate.outcome.as_str()
        ),
        (RUN_TYPE, "succeeded")
    );
    assert_eq!(
        statement.subject[0].digest["sha256"],
        done.head_sha256.to_string()
    );

    let shown = show::show(&ctx, &"shop".parse().unwrap()).unwrap();
    let contents = shown.contents.unwrap();
    assert_eq!(contents.header.backup, done.id);
    assert_eq!(contents.files.len(), 1);
    assert_eq!(shown.receipts.len(), 1);
}

#[test]
fn receipts_are_chained_and_a_removed_one_leaves_a_hole() {
    let world = World::new();
    let ctx = world.context();
    for _ in 0..3 {
        world.back_up_in(&ctx);
        world.later(1);
    }
    let listed = receipts::list(&ctx, None).unwrap();
    assert_eq!(listed.findings, []);
    let sequences: Vec<_> = listed
        .receipts
        .iter()
        .map(|receipt| receipt.sequence)
        .collect();
    assert_eq!(sequences, [1, 2, 3]);

    let middle = listed.receipts[1].key.parse().unwrap();
    resguardo_store::Store::delete(&*world.store, &middle).unwrap();
    assert_eq!(receipts::list(&ctx, None).unwrap().findings.len(), 1);
    let request = verify::VerifyRequest {
        scope: verify::Scope::All,
        depth: verify::Depth::Heads,
    };
    let verified = verify::verify(&ctx, &request).unwrap();
    assert_eq!(
        verified.findings.findings.len(),
        1,
        "{:?}",
        verified.findings
    );
    assert_eq!(verified.findings.whole.len(), 3, "no backup is hit");
    assert_eq!(verified.receipts.len(), 1);
}

#[test]
fn a_receipt_in_a_file_is_checked_without_a_vault() {
    let world = World::new();
    let ctx = world.context();
    let done = world.back_up_in(&ctx);
    let receipt = receipts::find(&ctx, done.receipt.as_deref().unwrap()).unwrap();
    let path = world.path("receipt.json");
    std::fs::write(&path, &receipt.bytes).unwrap();
    let verified = receipts::verify_file(&path).unwrap();
    assert_eq!(verified.statement.unwrap(), receipt.statement);
    assert_eq!(verified.writer, Some(receipt.statement.predicate.writer));

    let mut changed = receipt.bytes.clone();
    let at = changed.len() / 2;
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    std::fs::write(&path, changed).unwrap();
    let verified = receipts::verify_file(&path).unwrap();
    assert!(verified.statement.is_err() && verified.writer.is_none());
    let missing = receipts::verify_file(&world.path("none.json")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::User);
}

#[test]
fn a_failed_backup_leaves_no_head_but_a_receipt_and_a_run() {
    let world = World::new();
    let ctx = world.context();
    std::fs::remove_file(world.database()).unwrap();
    let error = take(&ctx, &world.shop()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.hint().is_some());
    assert_eq!(world.keys(".head.json"), [""; 0]);
    world.assert_nothing_left();
    let listed = receipts::list(&ctx, None).unwrap().receipts;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].outcome, "failed");
    assert_eq!(ctx.catalog.runs(10).unwrap()[0].state, RunState::Failed);
}

#[test]
fn a_locked_source_is_named_with_its_holder() {
    let world = World::new();
    let ctx = world.context();
    let source = "shop".parse().unwrap();
    let run = "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap();
    let vault = ctx.vault().unwrap();
    let lease = vault
        .acquire_lease(&source, run, "other-host", 4711)
        .unwrap();
    let error = take(&ctx, &world.shop()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.contains("4711") && cause.contains("other-host"),
        "{cause}"
    );
    // It waits for that run: nothing failed that anybody has to look at.
    let waited = &ctx.catalog.runs(10).unwrap()[0];
    assert_eq!(waited.state, RunState::Interrupted);
    assert!(waited.message.contains("other-host"), "{}", waited.message);
    drop(lease);
    assert!(take(&ctx, &world.shop()).is_ok());
}

#[test]
fn without_a_write_key_nothing_is_taken() {
    let world = World::new();
    let mut ctx = world.context();
    ctx.vault = Some(std::sync::Arc::new(world.vault_with(false, None)));
    let error = take(&ctx, &world.shop()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::User, "{error}");
    ctx.vault = None;
    assert_eq!(
        take(&ctx, &world.shop()).unwrap_err().kind(),
        ErrorKind::User
    );
}

#[test]
fn an_export_needs_no_vault_and_bears_its_time() {
    let world = World::new();
    let mut ctx = world.context();
    ctx.vault = None;
    let out = world.path("shop-<time>.sqlite.gz");
    let done = backup::export(&ctx, &world.shop(), &out).unwrap();
    assert_eq!(done.paths[0], world.path("shop-20261122T020000Z.sqlite.gz"));
    assert_eq!(done.paths.len(), 2, "the file and its meta.json");
    assert!(done.paths.iter().all(|path| path.exists()));
}

#[test]
fn a_damaged_source_is_a_finding_and_an_absent_one_is_not() {
    let world = World::new();
    let ctx = world.context();
    let file = std::fs::read(world.database()).unwrap();
    std::fs::write(world.database(), &file[..file.len() / 2]).unwrap();
    let error = take(&ctx, &world.shop()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Findings, "{error}");
    world.assert_nothing_left();
}

#[test]
fn what_is_tampered_with_in_the_vault_is_seen_although_a_good_one_was_cached() {
    let world = World::new();
    let ctx = world.context();
    world.back_up_in(&ctx);
    world.later(1);
    let done = run_drill(&ctx, &world.shop()).unwrap();
    let run = done.run.to_string();
    let key = done.receipt.unwrap();
    let good = receipts::find(&ctx, &run).unwrap().bytes;
    let mut envelope: serde_json::Value = serde_json::from_slice(&good).unwrap();
    let payload = envelope["payload"].as_str().unwrap().to_owned();
    let at = payload.len() / 2;
    let other = if payload.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    let changed = format!("{}{other}{}", &payload[..at], &payload[at + 1..]);
    envelope["payload"] = changed.into();
    let bytes = serde_json::to_vec(&envelope).unwrap();
    let bytes = bytes::Bytes::from(bytes);
    let parsed = key.parse().unwrap();
    world.store.put(&parsed, bytes, Condition::Always).unwrap();

    let listed = receipts::list(&ctx, None).unwrap();
    assert_eq!(listed.receipts.len(), 1);
    assert!(
        listed.findings.iter().any(|finding| finding.object == key),
        "{:?}",
        listed.findings
    );
    let error = receipts::find(&ctx, &run[..12]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Findings, "{error}");
    assert!(error.hint().unwrap().contains("receipts verify"));
    let backups = list::list(&ctx, None).unwrap().backups;
    assert_eq!(
        backups[0].proven_at, None,
        "nothing is proven by it any more"
    );
}

#[test]
fn a_taken_name_is_no_place_for_an_export_and_the_hint_is_one_that_helps() {
    let world = World::new();
    let ctx = world.context();
    let out = world.path("shop-copy.sqlite.gz");
    backup::export(&ctx, &world.shop(), &out).unwrap();
    for taken in [out, world.database()] {
        let before = std::fs::read(&taken).unwrap();
        let error = backup::export(&ctx, &world.shop(), &taken).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("<time>") && !hint.contains("--clean"),
            "{hint}"
        );
        assert_eq!(std::fs::read(&taken).unwrap(), before);
    }
}
