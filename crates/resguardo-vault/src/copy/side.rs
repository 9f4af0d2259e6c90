//! The signed records beside the backups: they are sent as they are, after every head.

use bytes::Bytes;
use resguardo_model::{Finding, FindingKind};
use resguardo_store::{Condition, Key, Store as _, StoreError};

use super::compare::Listing;
use super::place::at_copy;
use super::send::each;
use super::sync::Run;
use crate::error::VaultError;
use crate::layout::SIGNED_FOLDERS;
use crate::receipt::verify_envelope;

/// `docs/format.md`, "Limits": a receipt's.
const RECORD_BYTES_MAX: u64 = 64 << 20;

/// What became of one record.
enum Record {
    WasThere,
    Sent(u64),
    Bad(String),
}

impl Run<'_> {
    /// Sends the records that the copy lacks.
    pub(super) fn records(&mut self, here: &Listing) -> Result<(), VaultError> {
        // A record that explains nothing here explains nothing there.
        let unbelievable = self.from.prune_records(self.request.source)?.findings;
        let is_believed = |key: &&Key| {
            let object = key.as_str();
            !unbelievable.iter().any(|finding| finding.object == object)
        };
        for folder in SIGNED_FOLDERS {
            let prefix = format!("{}/{folder}/", self.request.source);
            let of_folder = |key: &&Key| key.as_str().starts_with(&prefix);
            let mut keys: Vec<Key> = here
                .keys()
                .filter(of_folder)
                .filter(is_believed)
                .cloned()
                .collect();
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
                    Record::Bad(why) => self.done.findings.push(Finding {
                        kind: FindingKind::ReceiptForged,
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
        let is_there = self.there.get(key).is_some_and(|info| info.bytes == bytes);
        // A pin may be set again, to another date of the same length; all else never changes.
        if is_there && !self.request.mend && folder != "pins" {
            return Ok(Record::WasThere);
        }
        if bytes > RECORD_BYTES_MAX {
            return Ok(Record::Bad(format!("{bytes} bytes are no record")));
        }
        let body = match self.from.store().get(key) {
            Ok(body) => body,
            // It was removed since it was listed, as only what is carried forward is.
            Err(StoreError::NotFound { .. }) => return Ok(Record::WasThere),
            Err(error) => return Err(error.into()),
        };
        if folder == "receipts"
            && let Err(error) = verify_envelope(&body)
        {
            return Ok(Record::Bad(error.to_string()));
        }
        if is_there && self.has(key, &body)? {
            return Ok(Record::WasThere);
        }
        let bytes = body.len() as u64;
        self.to
            .store()
            .put(key, body, Condition::Always)
            .map_err(|error| at_copy(error.into(), self.place))?;
        Ok(Record::Sent(bytes))
    }

    fn has(&self, key: &Key, body: &Bytes) -> Result<bool, VaultError> {
        match self.to.store().get(key) {
            Ok(there) => Ok(there == *body),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(at_copy(error.into(), self.place)),
        }
    }
}
