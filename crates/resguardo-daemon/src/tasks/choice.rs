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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use std::collections::BTreeMap;

    use resguardo_model::{EngineKind, WriterId};

    use super::*;

    /// Backups of the shop, one a day, the newest of them now.
    fn backups(now: Timestamp, count: u8) -> Vec<ListedBackup> {
        let day = SignedDuration::from_hours(24);
        let one = |number: u8| ListedBackup {
            id: format!("01kars7y5w00000000000000{number:02}")
                .parse()
                .unwrap(),
            source: "shop".parse().unwrap(),
            engine: EngineKind::Sqlite,
            taken_at: now - day * i32::from(count - 1 - number),
            finished_at: now,
            reason: Reason::scheduled(),
            raw_bytes: 0,
            stored_bytes: 0,
            writer: WriterId([0; 32]),
            trusted: true,
            proven_at: None,
            last_drill: None,
            note: String::new(),
            commit: String::new(),
            migration: None,
            database: String::new(),
            copies: Vec::new(),
            copy_names: Vec::new(),
            damaged_at: Vec::new(),
            damaged_names: Vec::new(),
            pin: None,
            frees_bytes: 0,
        };
        (0..count).map(one).collect()
    }

    const NOW: &str = "2026-11-22T04:00:00Z";

    /// How often each backup is chosen in a thousand drills.
    fn drawn(backups: &[ListedBackup], choice: Choice, now: Timestamp) -> BTreeMap<BackupId, u32> {
        let source = "shop".parse().unwrap();
        let mut drawn = BTreeMap::new();
        for seconds in 0..1000 {
            let later = now + SignedDuration::from_secs(seconds);
            let backup = chosen(backups, &source, choice, later);
            assert_eq!(backup, chosen(backups, &source, choice, later));
            if let Some(backup) = backup {
                *drawn.entry(backup).or_default() += 1;
            }
        }
        drawn
    }

    #[test]
    fn each_backup_within_the_time_is_chosen_about_as_often() {
        let now: Timestamp = NOW.parse().unwrap();
        let all = backups(now, 20);
        let within = Some("9d".parse().unwrap());
        let drawn = drawn(
            &all,
            Choice::Random { within },
            now - SignedDuration::from_hours(1),
        );
        assert_eq!(drawn.len(), 10, "{drawn:?}");
        assert!(
            drawn.values().all(|count| (50..200).contains(count)),
            "{drawn:?}"
        );
        assert!(!drawn.contains_key(&all[9].id), "too old");
    }

    #[test]
    fn what_no_latest_could_be_is_never_chosen() {
        let now: Timestamp = NOW.parse().unwrap();
        let mut all = backups(now, 4);
        all[0].trusted = false;
        all[1].reason = Reason::safety();
        all[2].source = "blog".parse().unwrap();
        let drawn = drawn(&all, Choice::Random { within: None }, now);
        assert_eq!(drawn, BTreeMap::from([(all[3].id, 1000)]));
    }

    #[test]
    fn where_none_is_young_enough_it_is_the_newest() {
        let now: Timestamp = NOW.parse().unwrap();
        let old = now + SignedDuration::from_hours(24 * 60);
        let within = Some("30d".parse().unwrap());
        assert!(drawn(&backups(now, 4), Choice::Random { within }, old).is_empty());
        assert!(drawn(&backups(now, 4), Choice::Latest, now).is_empty());
    }
}
