//! Clearing away: what died is buried, and what has been dead for the grace is deleted.

use std::collections::HashSet;

use resguardo_model::{BackupId, Finding, FindingKind};
use resguardo_store::{Key, ObjectInfo};

use super::delete::Deletion;
use super::tombstone::Tombstone;
use super::{Run, dead};
use crate::error::VaultError;
use crate::heads::Heads;

/// Objects deleted before the lease is looked at again.
const BATCH: usize = 64;

impl Run<'_> {
    /// Buries what died, and deletes what has been dead for long enough. `before` and `listed` were seen
    /// before heads were removed: whatever came since is not touched. Answers what heads name; `None` if
    /// something is wrong with them, so that nobody knows.
    pub(super) fn sweep(
        &mut self,
        before: &Heads,
        listed: &[ObjectInfo],
        mut buried: Vec<Tombstone>,
    ) -> Result<Option<HashSet<Key>>, VaultError> {
        self.progress.phase(&format!("objects of {}", self.source));
        let after = self.vault.heads(Some(self.source))?;
        let seen = alarms(&after.findings);
        if !seen.is_empty() {
            self.outcome.unswept = seen;
        }
        if !self.outcome.unswept.is_empty() {
            return Ok(None);
        }
        let mut alive = dead::named(&after.heads);
        // A head that was there and that we did not remove is alive, whatever the second listing says.
        let removed: HashSet<&BackupId> = self.outcome.removed.iter().collect();
        alive.extend(dead::named(
            before
                .heads
                .iter()
                .filter(|stored| !removed.contains(&stored.head.backup)),
        ));
        let dead: Vec<&ObjectInfo> = dead::among(listed, &alive);
        let fresh: Vec<&ObjectInfo> = dead
            .iter()
            .filter(|info| !buried.iter().any(|tombstone| tombstone.buries(info)))
            .copied()
            .collect();
        if !fresh.is_empty() {
            self.go_on()?;
            self.vault.bury(self.source, self.lease.run(), &fresh)?;
            fresh
                .iter()
                .for_each(|info| self.outcome.buried.add(info.bytes));
            (buried, _) = self.vault.tombstones(self.source)?;
        }
        self.delete_ripe(&dead, buried)?;
        Ok(Some(alive))
    }

    /// Deletes those of `dead` whose grace is over.
    fn delete_ripe(
        &mut self,
        dead: &[&ObjectInfo],
        tombstones: Vec<Tombstone>,
    ) -> Result<(), VaultError> {
        if tombstones.is_empty() {
            return Ok(());
        }
        let now = self.lease.touch()?;
        let (ripe, waiting): (Vec<_>, Vec<_>) = tombstones
            .into_iter()
            .partition(|tombstone| tombstone.ends_at(self.grace()) <= now);
        let mut done: HashSet<&Key> = HashSet::new();
        for tombstone in &ripe {
            let doomed: Vec<&ObjectInfo> = dead
                .iter()
                .filter(|info| tombstone.buries(info) && !done.contains(&info.key))
                .copied()
                .collect();
            let mut refused = false;
            for some in doomed.chunks(BATCH) {
                self.go_on()?;
                let ended = self
                    .vault
                    .in_parallel(some, |info| self.vault.remove(&info.key))?;
                for (info, deletion) in some.iter().zip(ended) {
                    done.insert(&info.key);
                    match deletion {
                        Deletion::Gone => self.outcome.deleted.add(info.bytes),
                        Deletion::Refused(until) => {
                            refused = true;
                            self.outcome.refused.add(info.bytes);
                            self.outcome.waiting.add(info.bytes);
                            self.outcome.refused_until = self.outcome.refused_until.max(until);
                        }
                    }
                }
            }
            if !refused {
                let _: Deletion = self.vault.remove(&tombstone.key)?;
            }
        }
        for info in dead.iter().filter(|info| !done.contains(&info.key)) {
            self.outcome.waiting.add(info.bytes);
        }
        self.outcome.waiting_until = waiting
            .iter()
            .map(|tombstone| tombstone.ends_at(self.grace()))
            .max();
        Ok(())
    }
}

/// What must be mended before anything may be called dead: a head that cannot be read, or that is gone.
pub(super) fn alarms(findings: &[Finding]) -> Vec<Finding> {
    let is_alarm = |finding: &&Finding| {
        matches!(
            finding.kind,
            FindingKind::HeadMalformed
                | FindingKind::HeadForged
                | FindingKind::HeadReplayed
                | FindingKind::HeadMissing
                | FindingKind::HeadChanged
                | FindingKind::HeadRolledBack
        )
    };
    findings.iter().filter(is_alarm).cloned().collect()
}
