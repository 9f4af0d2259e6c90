//! Which backup a scheduled drill proves.

use jiff::{SignedDuration, Timestamp};
use resguardo_model::duration::Span;
use resguardo_model::{BackupId, Reason, SourceName};
use resguardo_ops::list::ListedBackup;
use sha2::{Digest as _, Sha256};

/// Which backup a scheduled drill proves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The newest.
    #[default]
    Latest,
    /// One of those that were taken within so long, each as likely as any other. `None`: of all.
    Random {
        /// How old it may be.
        within: Option<Span>,
    },
}

/// The backup that is drilled now; `None`: the newest, also where none is young enough. Which one it is cannot
/// be foreseen from the backups, and is the same for the same moment.
pub(super) fn chosen(
    backups: &[ListedBackup],
    source: &SourceName,
    choice: Choice,
    now: Timestamp,
) -> Option<BackupId> {
    let Choice::Random { within } = choice else {
        return None;
    };
    let length = within.and_then(|within| i64::try_from(within.seconds()).ok());
    let oldest =
        length.and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok());
    // What a latest backup may be, an older one may be as well.
    let fits = |backup: &&ListedBackup| {
        backup.source == *source
            && backup.trusted
            && backup.reason != Reason::safety()
            && oldest.is_none_or(|oldest| backup.taken_at >= oldest)
    };
    let fitting: Vec<BackupId> = backups
        .iter()
        .filter(fits)
        .map(|backup| backup.id)
        .collect();
    let mut hash = Sha256::new();
    hash.update(source.as_str());
    hash.update([0]);
    hash.update(now.as_nanosecond().to_le_bytes());
    let bytes = hash.finalize();
    let draw = u64::from_le_bytes(bytes[..8].try_into().expect("a digest has 32 bytes"));
    let count = u64::try_from(fitting.len())
        .ok()
        .filter(|count| *count > 0)?;
    let place = usize::try_from(draw % count).ok()?;
    fitting.get(place).copied()
}
