//! The records beside the backups, after every head: receipts, prune records, bundles, pins.
//!
//! None of them ever changes but a pin. So what is good at the copy is never overwritten: whoever changes a
//! record in the vault would else change it in every copy.

use bytes::Bytes;
use resguardo_model::{Finding, FindingKind};
use resguardo_store::{Condition, Key, Store, StoreError};

use super::compare::Listing;
use super::place::at_copy;
use super::send::each;
use super::standing::{Standing, bad_kind, standing};
use super::sync::Run;
use crate::error::VaultError;
use crate::layout::SIGNED_FOLDERS;

/// `docs/format.md`, "Limits": a receipt's.
const RECORD_BYTES_MAX: u64 = 64 << 20;

/// What became of one record.
enum Record {
    WasThere,
    Sent(u64),
    Wrong(FindingKind, String),
}

impl Run<'_> {
    /// Sends the records that the copy lacks.
    pub(super) fn records(&mut self, here: &Listing) -> Result<(), VaultError> {
        for folder in SIGNED_FOLDERS {
            let prefix = format!("{}/{folder}/", self.request.source);
            let of_folder = |key: &&Key| key.as_str().starts_with(&prefix);
            let mut keys: Vec<Key> = here.keys().filter(of_folder).cloned().collect();
            keys.sort();
            let results = each(
                &keys,
                self.cancel,
                |key| self.record(folder, key, here),
                |_| {},
            );
            for (key, record) in keys.into_iter().zip(results?) {
                match record {
                    Record::WasThere => {}
                    Record::Sent(bytes) => {
                        self.done.records += 1;
                        self.done.bytes += bytes;
                        self.sent_keys.insert(key, bytes);
                    }
                    Record::Wrong(kind, why) => self.done.findings.push(Finding {
                        kind,
                        source: Some(self.request.source.clone()),
                        object: key.to_string(),
                        message: format!("{key}: {why}"),
                        backups_hit: Vec::new(),
                    }),
                }
            }
        }
        Ok(())
    }

    fn record(&self, folder: &str, key: &Key, here: &Listing) -> Result<Record, VaultError> {
        let bytes = here[key].bytes;
        let listed_there = self.there.get(key).map(|info| info.bytes);
        // A pin may be set again, to another date of the same length; all else never changes. Two copies of which a
        // vault is made again may still differ.
        let is_read = self.request.mend || self.rebuilds || folder == "pins";
        if listed_there == Some(bytes) && !is_read {
            return Ok(Record::WasThere);
        }
        if bytes > RECORD_BYTES_MAX {
            let why = format!("{bytes} bytes are no record");
            return Ok(Record::Wrong(bad_kind(folder), why));
        }
        // It was removed since it was listed, as only what is carried forward is.
        let Some(body) = read(&**self.from.store(), key)? else {
            return Ok(Record::WasThere);
        };
        let theirs = match listed_there {
            None => None,
            Some(bytes) if bytes > RECORD_BYTES_MAX => Some(Bytes::new()),
            Some(_) => read(&**self.to.store(), key).map_err(|error| at_copy(error, self.place))?,
        };
        if theirs.as_ref() == Some(&body) {
            return Ok(Record::WasThere);
        }
        let source = self.request.source;
        let ours = standing(self.from, source, key, &body)?;
        let Some(theirs) = theirs else {
            return match ours {
                Standing::Bad(why) => Ok(Record::Wrong(bad_kind(folder), why)),
                // A record that explains nothing here explains nothing there, and backups of a stranger are not sent.
                Standing::Stranger if matches!(folder, "prunes" | "headers") => {
                    Ok(Record::WasThere)
                }
                Standing::Good(_) | Standing::Stranger => self.put_record(key, body),
            };
        };
        // Whom to believe is what this machine knows, wherever the record lies.
        let their_standing = standing(self.from, source, key, &theirs)?;
        if ours.replaces(&their_standing) {
            return self.put_record(key, body);
        }
        // A copy that was out of reach when a backup was pinned anew has the older pin: another copy gave the later.
        if self.rebuilds && folder == "pins" && their_standing.replaces(&ours) {
            return Ok(Record::WasThere);
        }
        Ok(match ours {
            Standing::Bad(why) => {
                let why = format!("{why}; the copy at {} keeps its own", self.place);
                Record::Wrong(bad_kind(folder), why)
            }
            Standing::Good(_) | Standing::Stranger => {
                let why = format!(
                    "the copy at {} holds another one, and keeps it: one of them was replaced",
                    self.place
                );
                Record::Wrong(FindingKind::RecordDiffers, why)
            }
        })
    }

    fn put_record(&self, key: &Key, body: Bytes) -> Result<Record, VaultError> {
        let bytes = body.len() as u64;
        self.to
            .store()
            .put(key, body, Condition::Always)
            .map_err(|error| at_copy(error.into(), self.place))?;
        Ok(Record::Sent(bytes))
    }
}

fn read(store: &dyn Store, key: &Key) -> Result<Option<Bytes>, VaultError> {
    match store.get(key) {
        Ok(body) => Ok(Some(body)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
