//! Years of daily backups of many sources as a page sees them: heads and receipts, signed as a writer signs them, with
//! none of the packs that they name. Nothing can be restored from such a vault; it is made in seconds.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::{Timestamp, ToSpan as _};
use resguardo_model::clock::SystemClock;
use resguardo_model::receipt::{
    Envelope, PAYLOAD_TYPE, Predicate, RUN_TYPE, STATEMENT_TYPE, Signature, Statement, Subject,
    TEST_RESULT_TYPE, Verb,
};
use resguardo_model::{
    BackupId, Clock as _, EngineKind, Head, ObjectRef, Reason, RunId, Sha256Digest, SourceName,
    VaultId, WriterId,
};
use serde_json::{Value, json};
use ulid::Ulid;

use crate::Anything;

/// A drill comes after so many backups.
const DRILLED: usize = 30;
/// Packs that a backup needs, of which one is new.
const PACKS: usize = 4;

struct Hand {
    key: SigningKey,
    writer: WriterId,
    vault: VaultId,
}

/// Fills a vault with so many sources, each of which was backed up on each of so many days until now.
pub(crate) fn write(
    vault: &Path,
    keys: &Path,
    sources: usize,
    days: usize,
) -> Result<(), Anything> {
    let file: Value = serde_json::from_str(&std::fs::read_to_string(keys.join("write-key.json"))?)?;
    let text = |name: &str| file[name].as_str().ok_or("the write key lacks a word");
    let secret = HEXLOWER.decode(text("writer_secret")?.as_bytes())?;
    let key = SigningKey::from_bytes(&secret.try_into().map_err(|_| "a key has 32 bytes")?);
    let hand = Hand {
        writer: WriterId(key.verifying_key().to_bytes()),
        vault: text("vault")?.parse()?,
        key,
    };
    let now = SystemClock.now();
    for number in 0..sources {
        let source: SourceName = format!("shop-{number:03}").parse()?;
        for folder in ["snapshots", "receipts"] {
            std::fs::create_dir_all(vault.join(source.as_str()).join(folder))?;
        }
        hand.write_source(vault, &source, number, days, now)?;
    }
    Ok(())
}

impl Hand {
    fn write_source(
        &self,
        vault: &Path,
        source: &SourceName,
        number: usize,
        days: usize,
        now: Timestamp,
    ) -> Result<(), Anything> {
        let folder = vault.join(source.as_str());
        let (mut previous, mut chain) = (None, Chain::default());
        let mut packs: Vec<ObjectRef> = Vec::new();
        for day in 0..days {
            // The newest is some minutes old, that of the last source some hours.
            let age = 24 * (days - 1 - day);
            let at = now - i64::try_from(age)?.hours() - i64::try_from(number + 5)?.minutes();
            let stamp = u64::try_from(at.as_millisecond())?;
            let id =
                |kind: usize| Ulid::from_parts(stamp, ((number * 1000 + day) * 4 + kind) as u128);
            packs.push(ObjectRef {
                sha256: Sha256Digest::of(format!("pack {day} of {source}").as_bytes()),
                bytes: 30_000_000,
            });
            packs.drain(..packs.len().saturating_sub(PACKS));
            let head = Head {
                format: 1,
                vault: self.vault,
                source: source.clone(),
                backup: BackupId(id(0)),
                engine: EngineKind::Sqlite,
                reason: Reason::manual(),
                taken_at: at,
                started_at: at,
                finished_at: at + 90.seconds(),
                raw_bytes: 1_000_000_000 + 1_000_000 * day as u64,
                stored_bytes: 30_000_000,
                writer: self.writer,
                sequence: day as u64 + 1,
                previous,
                manifest: ObjectRef {
                    sha256: Sha256Digest::of(format!("manifest {day} of {source}").as_bytes()),
                    bytes: 2_000,
                },
                index: Vec::new(),
                packs: packs.clone(),
            };
            let bytes = self.head(&head)?;
            let sha256 = Sha256Digest::of(&bytes);
            previous = Some(sha256);
            let name = format!("snapshots/{}.head.json", head.backup);
            let subject = Subject::new(format!("{source}/{name}"), sha256);
            std::fs::write(folder.join(name), bytes)?;
            let backed_up = (Verb::Backup, RunId(id(1)), subject.clone());
            self.receipt(&folder, &head, backed_up, &mut chain)?;
            if (day + 1) % DRILLED == 0 {
                self.receipt(
                    &folder,
                    &head,
                    (Verb::Drill, RunId(id(2)), subject),
                    &mut chain,
                )?;
            }
        }
        Ok(())
    }

    /// `docs/format.md`, "Heads: the commit".
    fn head(&self, head: &Head) -> Result<Vec<u8>, Anything> {
        let json = serde_json::to_string(head)?;
        let message = [b"resguardo-head-v1\n", json.as_bytes()].concat();
        let signature = HEXLOWER.encode(&self.key.sign(&message).to_bytes());
        Ok(format!("{{\"head\":{json},\"signature\":\"{signature}\"}}\n").into_bytes())
    }

    /// `docs/format.md`, "Receipts".
    fn receipt(
        &self,
        folder: &Path,
        head: &Head,
        (verb, run, subject): (Verb, RunId, Subject),
        chain: &mut Chain,
    ) -> Result<(), Anything> {
        let drill = verb == Verb::Drill;
        let finished_at = head.finished_at + if drill { 20.minutes() } else { 1.seconds() };
        let predicate = Predicate {
            format: 1,
            run,
            verb,
            vault: self.vault,
            source: head.source.clone(),
            outcome: if drill { "passed" } else { "succeeded" }.to_owned(),
            started_at: head.started_at,
            finished_at,
            host: "bench".to_owned(),
            operator: "bench".to_owned(),
            tools: BTreeMap::new(),
            details: BTreeMap::from([
                ("backup".to_owned(), json!(head.backup)),
                ("taken_at".to_owned(), json!(head.taken_at)),
                ("raw_bytes".to_owned(), json!(head.raw_bytes)),
                ("stored_bytes".to_owned(), json!(head.stored_bytes)),
                ("rto_seconds".to_owned(), json!(600 + 3 * head.sequence)),
                ("rpo_seconds".to_owned(), json!(90)),
            ]),
            writer: self.writer,
            sequence: chain.sequence + 1,
            previous: chain.previous,
            result: drill.then(|| "PASSED".to_owned()),
            configuration: Vec::new(),
            passed_tests: Vec::new(),
            failed_tests: Vec::new(),
        };
        let payload = serde_json::to_vec(&Statement {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject: vec![subject],
            predicate_type: if drill { TEST_RESULT_TYPE } else { RUN_TYPE }.to_owned(),
            predicate,
        })?;
        let (kind, length) = (PAYLOAD_TYPE.len(), payload.len());
        let begin = format!("DSSEv1 {kind} {PAYLOAD_TYPE} {length} ");
        let signature = self.key.sign(&[begin.as_bytes(), &payload].concat());
        let mut bytes = serde_json::to_vec_pretty(&Envelope {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: BASE64_STANDARD.encode(&payload),
            signatures: vec![Signature {
                keyid: self.writer.to_string(),
                sig: BASE64_STANDARD.encode(signature.to_bytes()),
            }],
        })?;
        bytes.push(b'\n');
        chain.sequence += 1;
        chain.previous = Some(Sha256Digest::of(&bytes));
        Ok(std::fs::write(
            folder.join(format!("receipts/{run}.json")),
            bytes,
        )?)
    }
}

/// The end of a source's receipts.
#[derive(Default)]
struct Chain {
    sequence: u64,
    previous: Option<Sha256Digest>,
}
