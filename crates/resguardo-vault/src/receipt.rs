//! Receipts: in-toto statements in DSSE envelopes, signed by the writer and chained by digest.
//! `docs/format.md`, "Receipts".

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use resguardo_model::receipt::{
    Envelope, PAYLOAD_TYPE, Predicate, STATEMENT_TYPE, Signature, Statement, Subject,
};
use resguardo_model::{Finding, FindingKind, Sha256Digest, SourceName, WriterId};
use resguardo_store::{Condition, Key, ObjectInfo};

use crate::error::VaultError;
use crate::keys::{self, WriteKey};
use crate::layout;
use crate::vault::{Role, Vault};

/// `docs/format.md`, "Limits".
const RECEIPT_BYTES_MAX: u64 = 64 << 20;
/// How many of the newest receipts are looked at for the last one, by name and by time.
const LAST_LOOKED_AT: usize = 3;

/// A receipt before it is signed. Writer, sequence and predecessor are filled in.
#[derive(Clone, Debug)]
pub struct ReceiptDraft {
    /// What it speaks of.
    pub subject: Vec<Subject>,
    /// Type of the predicate.
    pub predicate_type: String,
    /// The predicate.
    pub predicate: Predicate,
}

/// A receipt as it lies in the vault; its signature is good.
#[derive(Clone, Debug)]
pub struct StoredReceipt {
    /// What it says.
    pub statement: Statement,
    /// SHA-256 of the object.
    pub sha256: Sha256Digest,
    /// The object's key.
    pub key: String,
    /// Whether its writer is trusted here.
    pub trusted: bool,
    /// The object.
    pub bytes: Vec<u8>,
}

/// The receipts of a vault, and what is wrong with them.
#[derive(Clone, Debug, Default)]
pub struct Receipts {
    /// By source, writer and sequence.
    pub receipts: Vec<StoredReceipt>,
    /// Forged ones, and holes in the chains.
    pub findings: Vec<Finding>,
}

/// What is wrong with the bytes of a receipt.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReceiptError {
    /// It is not of the shape.
    #[error("it is no receipt: {0}")]
    Malformed(String),
    /// The signature is not its writer's.
    #[error("its signature does not match its writer")]
    Forged,
}

/// DSSE v1, "pre-authentication encoding".
fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {PAYLOAD_TYPE} {} ",
        PAYLOAD_TYPE.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

fn sign(statement: &Statement, key: &WriteKey) -> Vec<u8> {
    let payload = serde_json::to_vec(statement).expect("strings and numbers always serialise");
    let signature = key.sign(&pre_authentication_encoding(&payload));
    let envelope = Envelope {
        payload_type: PAYLOAD_TYPE.to_owned(),
        payload: BASE64_STANDARD.encode(&payload),
        signatures: vec![Signature {
            keyid: key.writer().to_string(),
            sig: BASE64_STANDARD.encode(signature),
        }],
    };
    let mut json = serde_json::to_vec_pretty(&envelope).expect("strings always serialise");
    json.push(b'\n');
    json
}

/// Checks the signature of one receipt; whether its writer is to be trusted is the caller's question.
///
/// # Errors
/// [`ReceiptError`].
pub fn verify_envelope(bytes: &[u8]) -> Result<(Statement, WriterId), ReceiptError> {
    let malformed = |why: &dyn std::fmt::Display| ReceiptError::Malformed(why.to_string());
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(malformed(
            &"it carries something else than an in-toto statement",
        ));
    }
    let [signature] = &envelope.signatures[..] else {
        return Err(malformed(&"it has not exactly one signature"));
    };
    let payload = BASE64_STANDARD
        .decode(&envelope.payload)
        .map_err(|error| malformed(&error))?;
    let writer: WriterId = signature.keyid.parse().map_err(|error| malformed(&error))?;
    let sig = BASE64_STANDARD
        .decode(&signature.sig)
        .map_err(|error| malformed(&error))?;
    let sig: [u8; 64] = sig
        .try_into()
        .map_err(|_| malformed(&"the signature has not 64 bytes"))?;
    if !keys::signed_by(writer, &pre_authentication_encoding(&payload), &sig) {
        return Err(ReceiptError::Forged);
    }
    let statement: Statement =
        serde_json::from_slice(&payload).map_err(|error| malformed(&error))?;
    if !crate::head::SEQUENCES.contains(&statement.predicate.sequence) {
        return Err(malformed(&"no receipt has that number"));
    }
    if statement.predicate.writer != writer {
        return Err(ReceiptError::Forged);
    }
    Ok((statement, writer))
}

/// While it lives, no receipt is signed on this machine: [`Vault::hold_receipts`].
#[derive(Debug)]
pub struct ReceiptsHeld {
    _locks: Vec<File>,
}

impl Vault {
    /// Chains, signs and stores a receipt.
    ///
    /// One at a time on this machine: two receipts with the same predecessor would make a fork, from
    /// which one could be removed unseen.
    ///
    /// # Errors
    /// [`VaultError::NoWriteKey`]; [`VaultError::OnlyACopy`] if the vault is one and its primary is not at
    /// hand; the store's own.
    pub fn put_receipt(&self, draft: ReceiptDraft) -> Result<StoredReceipt, VaultError> {
        if let Role::Copy { primary } = self.role() {
            // Two places would give one chain two ends.
            let none = || VaultError::OnlyACopy {
                place: self.store().describe(),
            };
            return primary.as_ref().ok_or_else(none)?.put_receipt(draft);
        }
        let ReceiptDraft {
            subject,
            predicate_type,
            mut predicate,
        } = draft;
        let source = predicate.source.clone();
        let _one_at_a_time = self.lock_receipts(&source)?;
        // Under the lock: whoever takes the key away holds it.
        let key = self.key_of_receipts()?;
        let last = self.last_own_receipt(&source, key.writer())?;
        if last.is_some_and(|(sequence, _)| !crate::head::has_next(sequence)) {
            let object = layout::receipts(&source);
            return Err(VaultError::NoNumberLeft { object });
        }
        predicate.writer = key.writer();
        predicate.sequence = last.as_ref().map_or(0, |(sequence, _)| *sequence) + 1;
        predicate.previous = last.map(|(_, sha256)| sha256);
        let at = layout::receipt(&source, predicate.run);
        let statement = Statement {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject,
            predicate_type,
            predicate,
        };
        let bytes = sign(&statement, &key);
        self.store()
            .put(&at, Bytes::copy_from_slice(&bytes), Condition::Always)?;
        let sha256 = Sha256Digest::of(&bytes);
        Ok(StoredReceipt {
            statement,
            sha256,
            key: at.to_string(),
            trusted: true,
            bytes,
        })
    }

    /// Waits until no receipt of these sources is being signed on this machine, and lets none be until it is
    /// let go of. Whoever replaces the write key holds this from before he asks what the old one signed.
    ///
    /// # Errors
    /// [`VaultError::File`] if a lock file in the cache cannot be made.
    pub fn hold_receipts(
        &self,
        sources: &BTreeSet<SourceName>,
    ) -> Result<ReceiptsHeld, VaultError> {
        let locks = sources.iter().map(|source| self.lock_receipts(source));
        Ok(ReceiptsHeld {
            _locks: locks.collect::<Result<_, _>>()?,
        })
    }

    /// Waits for the lock on the receipts of a source; it is let go of with the file.
    #[expect(clippy::disallowed_methods, reason = "a lock file holds nothing")]
    fn lock_receipts(&self, source: &SourceName) -> Result<File, VaultError> {
        let folder = self.cache_of(source);
        let lock = || {
            std::fs::create_dir_all(&folder)?;
            let path = folder.join("receipts.lock");
            let file = File::options().create(true).append(true).open(path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|error| VaultError::file("locking the receipts in", &folder, error))
    }

    /// Sequence and digest of the last receipt that `writer` left for a source.
    ///
    /// A receipt is named when its run begins and stored when it ends, so a long run's is stored after
    /// those of younger ones, and neither names nor times alone tell which is the last (a vault that was
    /// copied has other times). The newest by either are looked at, and their sequences decide.
    fn last_own_receipt(
        &self,
        source: &SourceName,
        writer: WriterId,
    ) -> Result<Option<(u64, Sha256Digest)>, VaultError> {
        let mut listed = self.store().list(&layout::receipts(source))?;
        let by_name = listed
            .iter()
            .rev()
            .take(LAST_LOOKED_AT)
            .map(|info| info.key.clone());
        let mut newest: BTreeSet<Key> = by_name.collect();
        listed.sort_by_key(|info| info.modified_at);
        newest.extend(
            listed
                .iter()
                .rev()
                .take(LAST_LOOKED_AT)
                .map(|info| info.key.clone()),
        );
        let mut last = None;
        for key in newest {
            last = last.max(self.own_receipt(&key, writer)?);
        }
        if last.is_some() {
            return Ok(last);
        }
        // The newest are all of other writers.
        listed.sort_by(|a, b| b.key.cmp(&a.key));
        for info in &listed {
            if let Some(found) = self.own_receipt(&info.key, writer)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Sequence and digest of a receipt, if it is one of `writer`.
    fn own_receipt(
        &self,
        key: &Key,
        writer: WriterId,
    ) -> Result<Option<(u64, Sha256Digest)>, VaultError> {
        let bytes = self.store().stat(key)?.bytes;
        if bytes > RECEIPT_BYTES_MAX {
            return Ok(None);
        }
        let bytes = self.store().get_range(key, 0..bytes)?;
        Ok(match verify_envelope(&bytes) {
            Ok((statement, by)) if by == writer => {
                Some((statement.predicate.sequence, Sha256Digest::of(&bytes)))
            }
            _ => None,
        })
    }

    /// All receipts, of one source or of all, checked. No key is needed.
    ///
    /// # Errors
    /// The store's own; whatever is wrong with a receipt is a finding.
    pub fn receipts(&self, source: Option<&SourceName>) -> Result<Receipts, VaultError> {
        self.receipts_known(source, &|_| None)
    }

    /// As [`Vault::receipts`]; receipts whose bytes `known` returns for their key are not fetched again.
    ///
    /// # Errors
    /// As [`Vault::receipts`].
    pub fn receipts_known(
        &self,
        source: Option<&SourceName>,
        known: &(dyn Fn(&str) -> Option<Vec<u8>> + Sync),
    ) -> Result<Receipts, VaultError> {
        let listed = self
            .store()
            .list(&source.map(layout::receipts).unwrap_or_default())?;
        let places: Vec<_> = listed
            .into_iter()
            .filter_map(|info| layout::receipt_place(&info.key).map(|source| (info, source)))
            .collect();
        let fetched = self.in_parallel(&places, |(info, _)| match known(info.key.as_str()) {
            Some(bytes) => Ok(bytes),
            // What is too large to be a receipt is none: it is not even read.
            None if info.bytes > RECEIPT_BYTES_MAX => Ok(Vec::new()),
            None => Ok(self.store().get_range(&info.key, 0..info.bytes)?.to_vec()),
        })?;
        let mut all = Receipts::default();
        for ((ObjectInfo { key, .. }, source), bytes) in places.iter().zip(fetched) {
            let belongs = |statement: &Statement| {
                let predicate = &statement.predicate;
                predicate.vault == self.id()
                    && predicate.source == *source
                    && *key == layout::receipt(source, predicate.run)
            };
            match verify_envelope(&bytes) {
                Ok((statement, writer)) if belongs(&statement) => {
                    let sha256 = Sha256Digest::of(&bytes);
                    if self.retired(writer).is_some() && !self.trusts(writer, &sha256) {
                        all.findings.push(of_retired(source, key.as_str(), writer));
                    }
                    all.receipts.push(StoredReceipt {
                        statement,
                        sha256,
                        key: key.to_string(),
                        trusted: self.trusts(writer, &sha256),
                        bytes,
                    })
                }
                Ok(_) => all
                    .findings
                    .push(forged(source, key.as_str(), "it belongs elsewhere")),
                Err(error) => all
                    .findings
                    .push(forged(source, key.as_str(), &error.to_string())),
            }
        }
        all.receipts.sort_by_key(|receipt| {
            let predicate = &receipt.statement.predicate;
            (
                predicate.source.clone(),
                predicate.writer,
                predicate.sequence,
                predicate.run,
            )
        });
        let holes = find_holes(&all.receipts);
        all.findings.extend(holes);
        Ok(all)
    }
}

fn forged(source: &SourceName, key: &str, what: &str) -> Finding {
    Finding {
        kind: FindingKind::ReceiptForged,
        source: Some(source.clone()),
        object: key.to_owned(),
        message: format!("{key}: {what}"),
        backups_hit: Vec::new(),
    }
}

fn of_retired(source: &SourceName, key: &str, writer: WriterId) -> Finding {
    Finding {
        kind: FindingKind::WriterRetired,
        message: format!(
            "{key}: it is signed by {writer}, which was retired here before it was seen"
        ),
        ..forged(source, key, "")
    }
}

/// Receipts whose predecessor is gone.
fn find_holes(receipts: &[StoredReceipt]) -> Vec<Finding> {
    let mut by_chain: BTreeMap<(SourceName, WriterId), HashMap<Sha256Digest, u64>> =
        BTreeMap::new();
    for receipt in receipts {
        let predicate = &receipt.statement.predicate;
        let chain = by_chain
            .entry((predicate.source.clone(), predicate.writer))
            .or_default();
        chain.insert(receipt.sha256, predicate.sequence);
    }
    let mut findings = Vec::new();
    for receipt in receipts {
        let predicate = &receipt.statement.predicate;
        let chain = &by_chain[&(predicate.source.clone(), predicate.writer)];
        let follows = match predicate.previous {
            None => predicate.sequence == 1,
            Some(previous) => chain
                .get(&previous)
                .is_some_and(|before| before + 1 == predicate.sequence),
        };
        if !follows {
            findings.push(Finding {
                kind: FindingKind::ReceiptMissing,
                source: Some(predicate.source.clone()),
                object: receipt.key.clone(),
                message: format!(
                    "{}: the receipt before it (number {} of its writer) is gone or was changed",
                    receipt.key,
                    predicate.sequence.saturating_sub(1)
                ),
                backups_hit: Vec::new(),
            });
        }
    }
    findings
}
