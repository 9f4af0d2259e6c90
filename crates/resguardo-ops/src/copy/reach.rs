//! Asks copies at the same time: several that cannot be reached are waited for once, not one after the other.

use resguardo_model::SourceName;
use resguardo_model::receipt::Verb;
use resguardo_vault::{CopyPlace, Vault, VaultError};

use super::sync::{SyncRequest, state_failure};
use super::{CopyStatus, open_begun, refresh, status};
use crate::context::Context;
use crate::error::OpsError;
use crate::run::OpenRun;

/// Copies that are asked at once. Nobody has more.
const AT_ONCE_MAX: usize = 16;

/// Does `work` for each item, all of them at the same time; the answers are in the order of the items.
pub(crate) fn at_once<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let mut answers = Vec::with_capacity(items.len());
    for some in items.chunks(AT_ONCE_MAX) {
        std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = some
                .iter()
                .map(|item| scope.spawn(move || work(item)))
                .collect();
            for thread in threads {
                match thread.join() {
                    Ok(answer) => answers.push(answer),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
    }
    answers
}

/// Opens each copy: [`open_begun`].
#[must_use]
pub fn open_each(ctx: &Context, places: &[CopyPlace]) -> Vec<Result<Option<Vault>, OpsError>> {
    at_once(places, |place| open_begun(ctx, place))
}

/// Brings each copy the present `vault.json`: [`refresh`].
#[must_use]
pub fn refresh_each(ctx: &Context, places: &[CopyPlace]) -> Vec<Result<bool, OpsError>> {
    at_once(places, |place| refresh(ctx, place))
}

/// Asks each copy what it holds: [`status`].
///
/// # Errors
/// The vault's own.
pub fn status_of_each(ctx: &Context, places: &[CopyPlace]) -> Result<Vec<CopyStatus>, OpsError> {
    at_once(places, |place| status(ctx, place))
        .into_iter()
        .collect()
}

/// Why each copy cannot be reached now; `None`: it can, or what is wrong there is for who uses it to say.
#[must_use]
pub fn unreached(places: &[CopyPlace]) -> Vec<Option<VaultError>> {
    let answers = at_once(places, CopyPlace::config).into_iter();
    let errors = answers.map(|answer| match answer {
        Err(error @ VaultError::AtCopy { .. }) => Some(error),
        _ => None,
    });
    errors.collect()
}

/// A synchronisation that is not tried, because the copy was found to be out of reach a moment ago: its run and
/// its receipt say so. Answers with the error that it would have ended with.
#[must_use]
pub fn not_tried(
    ctx: &Context,
    place: &CopyPlace,
    source: &SourceName,
    cause: VaultError,
) -> OpsError {
    let error = OpsError::vault(format!("opening the copy {}", place.name()))(cause);
    let mut run = match OpenRun::begin(ctx, Verb::Copy, Some(source)) {
        Ok(run) => run,
        Err(other) => return other,
    };
    let request = SyncRequest {
        place,
        source,
        mend: false,
        policy: None,
        begin_anew: false,
    };
    run.has_receipt(state_failure(ctx, &run, &request, &error).as_deref());
    run.end_with(&error);
    error
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn all_are_asked_before_one_has_answered() {
        let all = Barrier::new(3);
        let answers = at_once(&[1, 2, 3], |number| {
            all.wait();
            number * 2
        });
        assert_eq!(answers, [2, 4, 6]);
        assert_eq!(at_once(&[0_u8; 0], |_| ()), []);
        let many: Vec<usize> = (0..40).collect();
        assert_eq!(at_once(&many, |number| *number), many);
    }
}
