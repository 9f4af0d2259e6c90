//! What becomes of exceptions, step by step, and that two who assess at once open one.

#![allow(clippy::unwrap_used, reason = "test")]

use proptest::prelude::*;
use resguardo_model::receipt::Verb;
use ulid::Ulid;

use super::*;
use crate::exception::Resolved;
use crate::status::made::{ago, now};

const RPO: What = What::RpoBreached {
    newest: None,
    target_seconds: 3600,
};

fn failed(number: u128) -> What {
    What::RunFailed {
        run: RunId(Ulid(number)),
        verb: Verb::Backup,
        at: ago(60),
        message: "no route to host".to_owned(),
    }
}

fn slow(receipt: &str) -> What {
    What::RtoBreached {
        at: ago(60),
        seconds: 7200.0,
        target_seconds: 3600,
        receipt: receipt.to_owned(),
    }
}

fn fresh() -> Option<(SourceName, RunId)> {
    Some(("shop".parse().unwrap(), RunId(Ulid(1))))
}

fn opened(what: &What) -> Exception {
    let (exception, changed) = next(None, Some(what), ago(3600), fresh).unwrap();
    assert_eq!(changed, Some(Changed::Opened));
    exception
}

fn resolved(before: Exception) -> Exception {
    Exception {
        resolved: Some(Resolved {
            at: ago(60),
            by: "ana".to_owned(),
            note: "known".to_owned(),
            run: RunId(Ulid(2)),
            receipt: None,
        }),
        ..before
    }
}

fn step(before: &Exception, alarm: Option<&What>) -> Option<(Exception, Option<Changed>)> {
    next(Some(before.clone()), alarm, now(), fresh)
}

#[test]
fn what_goes_on_is_told_once() {
    let before = opened(&RPO);
    // It is written down now and then that it still holds.
    let (seen, changed) = step(&before, Some(&RPO)).unwrap();
    assert_eq!((changed, seen.seen_at, seen.times), (None, now(), 1));
    assert_eq!(step(&seen, Some(&RPO)), None);
}

#[test]
fn it_is_good_once_and_stays_open() {
    let (good, changed) = step(&opened(&RPO), None).unwrap();
    assert_eq!(changed, Some(Changed::Good));
    assert_eq!((good.good_at, good.resolved.as_ref()), (Some(now()), None));
    assert_eq!(step(&good, None), None);
    let (again, changed) = step(&good, Some(&RPO)).unwrap();
    assert_eq!(changed, Some(Changed::Worse));
    assert_eq!((again.good_at, again.times, again.id), (None, 2, good.id));
}

#[test]
fn one_that_is_tried_again_and_again_is_told_once() {
    let (again, changed) = step(&opened(&failed(1)), Some(&failed(2))).unwrap();
    assert_eq!((changed, again.times), (None, 2));
    assert_eq!(again.what, failed(2));
    let (again, changed) = step(&opened(&slow("a")), Some(&slow("b"))).unwrap();
    assert_eq!((changed, again.times), (Some(Changed::Worse), 2));
}

#[test]
fn resolved_while_it_holds_it_stays_resolved_until_it_happens_again() {
    let before = resolved(opened(&RPO));
    assert_eq!(step(&before, Some(&RPO)), None);
    // Nobody is told that it is good: somebody knew.
    let (good, changed) = step(&before, None).unwrap();
    assert_eq!((changed, good.good_at), (None, Some(now())));
    let (new, changed) = step(&good, Some(&RPO)).unwrap();
    assert_eq!(changed, Some(Changed::Opened));
    assert_eq!((new.resolved, new.times), (None, 1));

    let before = resolved(opened(&failed(1)));
    assert_eq!(step(&before, Some(&failed(1))), None);
    let (_, changed) = step(&before, Some(&failed(2))).unwrap();
    assert_eq!(changed, Some(Changed::Opened));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens in whatever order: told are an opening first, then good and worse by turns of what
    /// holds, and looking twice changes nothing.
    #[test]
    fn changes_tell_a_story(steps in proptest::collection::vec((0..3_u128, any::<bool>()), 1..60)) {
        let mut row: Option<Exception> = None;
        let mut is_told_bad = false;
        for (number, resolves) in steps {
            let what = (number > 0).then(|| failed(number));
            if resolves && let Some(open) = row.take() {
                is_told_bad = is_told_bad && open.resolved.is_some();
                row = Some(if open.resolved.is_none() { is_told_bad = false; resolved(open) } else { open });
            }
            if let Some((after, changed)) = next(row.clone(), what.as_ref(), now(), fresh) {
                match changed {
                    Some(Changed::Opened) => { prop_assert!(!is_told_bad); is_told_bad = true; }
                    Some(Changed::Worse) => { prop_assert!(!is_told_bad); is_told_bad = true; }
                    Some(Changed::Good) => { prop_assert!(is_told_bad); is_told_bad = false; }
                    None => {}
                }
                row = Some(after);
            }
            prop_assert_eq!(next(row.clone(), what.as_ref(), now(), fresh), None);
            if let Some(row) = &row {
                prop_assert_eq!(row.good_at.is_some(), what.is_none());
            }
        }
    }
}
