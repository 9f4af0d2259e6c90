//! One backup.

use resguardo_ops::show::ShowDone;
use resguardo_ops::status::CopyStanding;

use super::source::line;
use crate::web::view;

/// One backup.
pub(in super::super) fn backup(done: &ShowDone, copies: &[CopyStanding]) -> view::BackupPage {
    let backup = &done.backup;
    let vault = backup.copies.first().cloned().unwrap_or_default();
    let in_vault = view::CopyOfBackup {
        name: String::new(),
        place: vault,
        here: true,
    };
    let elsewhere = copies.iter().map(|copy| view::CopyOfBackup {
        name: copy.name.clone(),
        place: copy.place.clone(),
        here: backup.copy_names.contains(&copy.name) || backup.copies.contains(&copy.place),
    });
    let contents = done.contents.as_ref();
    view::BackupPage {
        line: line(backup),
        engine: backup.engine.to_string(),
        finished_at: backup.finished_at,
        writer: backup.writer.to_string(),
        note: backup.note.clone(),
        commit: backup.commit.clone(),
        migration: backup.migration.clone().unwrap_or_default(),
        database: backup.database.clone(),
        head_sha256: done.head.sha256.to_string(),
        places: std::iter::once(in_vault).chain(elsewhere).collect(),
        pin: backup.pin.as_ref().map(|pin| view::Pin {
            by: pin
                .made
                .as_ref()
                .map_or_else(String::new, |(_, by, _)| by.clone()),
            note: pin.reason.clone(),
            until: pin.until,
        }),
        lock: done.lock.map(|lock| view::Lock {
            until: lock.until,
            mode: lock.mode.map(ToOwned::to_owned),
        }),
        frees_bytes: backup.frees_bytes,
        files: contents.map_err(Clone::clone).map(|contents| {
            let files = contents.files.iter().map(|file| view::BackupFile {
                path: file.path.to_string(),
                bytes: file.bytes,
                sha256: file.sha256.to_string(),
            });
            files.collect()
        }),
        facts: contents.map_or_else(
            |_| Vec::new(),
            |contents| {
                let header = &contents.header;
                vec![
                    ("host".to_owned(), header.host.clone()),
                    ("operator".to_owned(), header.operator.clone()),
                    (
                        header.facts.engine.to_string(),
                        header.facts.server_version.clone(),
                    ),
                    ("resguardo".to_owned(), header.resguardo.clone()),
                ]
            },
        ),
        receipts: done
            .receipts
            .iter()
            .rev()
            .map(view::Receipt::from)
            .collect(),
    }
}
