//! What a prune would do.

use jiff::Timestamp;
use resguardo_model::SourceName;
use resguardo_ops::prune::PruneDone;
use resguardo_ops::{OpsError, described};

use crate::web::view;

/// What a prune of a source would do.
pub(in super::super) fn policy(
    source: &SourceName,
    environment: &str,
    done: Result<PruneDone, OpsError>,
    next: Option<Timestamp>,
    backups_max: usize,
) -> view::SourcePolicy {
    let mut view = view::SourcePolicy {
        source: source.to_string(),
        environment: environment.to_owned(),
        policy: None,
        backups: Vec::new(),
        kept: 0,
        deleted: 0,
        freed_bytes: 0,
        next,
        trouble: String::new(),
    };
    match done {
        Err(error) => view.trouble = described(&error),
        Ok(done) => {
            view.kept = done.backups.iter().filter(|backup| backup.kept).count() as u64;
            view.deleted = done.backups.len() as u64 - view.kept;
            view.freed_bytes = done.freed_bytes;
            let newest = done.backups.iter().rev().take(backups_max);
            view.backups = newest
                .map(|backup| view::PolicyBackup {
                    id: backup.id.to_string(),
                    taken_at: backup.taken_at,
                    reason: backup.reason.to_string(),
                    kept: backup.kept,
                    why: backup.why.clone(),
                    frees_bytes: backup.frees_bytes,
                })
                .collect();
            view.policy = done.policy;
        }
    }
    view
}
