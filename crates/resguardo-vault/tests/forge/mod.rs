//! Vault objects made by hand, after `docs/format.md` alone: what somebody could write who has a write
//! key and credentials of the store, and does not use Resguardo.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    reason = "test: a forger that fails ends the test"
)]

use std::io::Write as _;
use std::path::Path;

use bytes::Bytes;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use resguardo_model::{
    BackupId, CancelToken, EngineKind, FilePath, Finding, FindingKind, Head, ManifestHeader,
    NoProgress, ObjectRef, Reason, Sha256Digest,
};
use resguardo_store::{Condition, Store};
use resguardo_vault::{Depth, Selection, Snapshot, StoredHead, Vault, VaultError, WriteKey};

use crate::rig::{Rig, backup_id, facts, source};

/// A snapshot in the making: sound as it comes from [`Forgery::of`], until the test bends it.
pub(crate) struct Forgery {
    /// Contents of the packs before they are sealed.
    pub(crate) packs: Vec<Vec<u8>>,
    /// The manifest's first line; its packs are filled in unless there are some.
    pub(crate) header: ManifestHeader,
    /// The lines after it.
    pub(crate) lines: Vec<String>,
    /// The head; manifest, packs and writer are filled in.
    pub(crate) head: Head,
    /// To whom packs and manifest are sealed, where that is not the vault's own recipient.
    pub(crate) recipient: Option<age::x25519::Recipient>,
}

impl Forgery {
    /// A sound snapshot of one stream, `file`, that lies in one frame of one pack.
    pub(crate) fn of(rig: &Rig, number: u64, content: &[u8]) -> Self {
        let vault = rig.vault().id();
        let header = ManifestHeader {
            format: 1,
            vault,
            source: source(),
            backup: backup_id(number),
            reason: Reason::manual(),
            note: String::new(),
            taken_at: Timestamp::UNIX_EPOCH,
            host: "host".to_owned(),
            operator: "mallory".to_owned(),
            resguardo: "0.1.0".to_owned(),
            facts: facts(),
            packs: vec![],
        };
        let size = content.len() as u64;
        let none = ObjectRef {
            sha256: Sha256Digest::of(b""),
            bytes: 0,
        };
        let last = newest(&rig.vault());
        let head = Head {
            format: 1,
            vault,
            source: source(),
            backup: backup_id(number),
            engine: EngineKind::Sqlite,
            reason: Reason::manual(),
            taken_at: Timestamp::UNIX_EPOCH,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            raw_bytes: size,
            stored_bytes: size,
            writer: own_key(rig).writer(),
            sequence: last.as_ref().map_or(1, |last| last.head.sequence + 1),
            previous: last.map(|last| last.sha256),
            manifest: none,
            index: vec![],
            packs: vec![],
        };
        Self {
            packs: vec![pack(&[content])],
            header,
            lines: vec![
                file_line("file", size, content),
                format!("{{\"extents\":[[0,{size},0,0,0]]}}"),
                "{\"end\":{\"files\":1,\"extents\":1}}".to_owned(),
            ],
            head,
            recipient: None,
        }
    }

    /// Seals, signs with the rig's own key and stores everything.
    pub(crate) fn put(self, rig: &Rig) {
        let key = rig.write_key.clone();
        self.put_signed(rig, &key);
    }

    /// As [`Forgery::put`], signed with another write key.
    pub(crate) fn put_signed(mut self, rig: &Rig, write_key: &str) {
        let recipient = self.recipient.clone().unwrap_or_else(|| recipient_of(rig));
        let mut packs = Vec::new();
        for plain in &self.packs {
            let sealed = seal(&recipient, plain);
            let object = object_of(&sealed);
            put(
                rig,
                &format!("{}/packs/{}.age", self.head.source, object.sha256),
                sealed,
            );
            packs.push(object);
        }
        if self.header.packs.is_empty() {
            self.header.packs.clone_from(&packs);
        }
        if self.head.packs.is_empty() {
            self.head.packs = packs;
        }
        let mut text = serde_json::to_string(&self.header).unwrap();
        for line in &self.lines {
            text.push('\n');
            text.push_str(line);
        }
        text.push('\n');
        let sealed = seal(&recipient, &zstd::encode_all(text.as_bytes(), 3).unwrap());
        if self.head.manifest.bytes == 0 {
            self.head.manifest = object_of(&sealed);
        }
        let (source, backup) = (self.header.source.clone(), backup_id_of(&self.head));
        put(
            rig,
            &format!("{source}/snapshots/{backup}.manifest.age"),
            sealed,
        );
        put_head(rig, &self.head, write_key);
    }
}

fn backup_id_of(head: &Head) -> String {
    head.backup.to_string()
}

/// Signs a head with a write key, in its name, and puts it in its place.
pub(crate) fn put_head(rig: &Rig, head: &Head, write_key: &str) {
    let head = Head {
        writer: WriteKey::from_json(write_key).unwrap().writer(),
        ..head.clone()
    };
    let key = format!("{}/snapshots/{}.head.json", head.source, head.backup);
    put(rig, &key, signed(&head, write_key));
}

/// `docs/format.md`, "Heads: the commit".
fn signed(head: &Head, write_key: &str) -> Vec<u8> {
    let json = serde_json::to_string(head).unwrap();
    let message = [b"resguardo-head-v1\n", json.as_bytes()].concat();
    let signature = HEXLOWER.encode(&sign(write_key, &message));
    format!("{{\"head\":{json},\"signature\":\"{signature}\"}}\n").into_bytes()
}

/// An Ed25519 signature with the secret that lies in a write key's file.
pub(crate) fn sign(write_key: &str, message: &[u8]) -> [u8; 64] {
    let json: serde_json::Value = serde_json::from_str(write_key).unwrap();
    let secret = json["writer_secret"].as_str().unwrap();
    let secret = HEXLOWER_PERMISSIVE.decode(secret.as_bytes()).unwrap();
    SigningKey::from_bytes(&secret.try_into().unwrap())
        .sign(message)
        .to_bytes()
}

/// An age file to one recipient.
pub(crate) fn seal(recipient: &age::x25519::Recipient, plain: &[u8]) -> Vec<u8> {
    let recipients = std::iter::once(recipient as &dyn age::Recipient);
    let mut sealed = age::Encryptor::with_recipients(recipients)
        .unwrap()
        .wrap_output(Vec::new())
        .unwrap();
    sealed.write_all(plain).unwrap();
    sealed.finish().unwrap()
}

/// A pack before it is sealed: frames of these contents, and a table that is true.
pub(crate) fn pack(contents: &[&[u8]]) -> Vec<u8> {
    let frames: Vec<(Vec<u8>, u32)> = contents
        .iter()
        .map(|content| (frame(content), u32::try_from(content.len()).unwrap()))
        .collect();
    pack_of(&frames)
}

/// A pack of frames whose contents are said to be so large.
pub(crate) fn pack_of(frames: &[(Vec<u8>, u32)]) -> Vec<u8> {
    let mut pack: Vec<u8> = Vec::new();
    let mut table = Vec::new();
    for (compressed, raw_bytes) in frames {
        pack.extend_from_slice(compressed);
        table.extend_from_slice(&u32::try_from(compressed.len()).unwrap().to_le_bytes());
        table.extend_from_slice(&raw_bytes.to_le_bytes());
    }
    let count = u32::try_from(frames.len()).unwrap();
    pack.extend_from_slice(&0x184D_2A5E_u32.to_le_bytes());
    pack.extend_from_slice(&(count * 8 + 9).to_le_bytes());
    pack.extend_from_slice(&table);
    pack.extend_from_slice(&count.to_le_bytes());
    pack.push(0);
    pack.extend_from_slice(&0x8F92_EAB1_u32.to_le_bytes());
    pack
}

/// One zstd frame that states its content size and carries its checksum.
pub(crate) fn frame(content: &[u8]) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
    compressor.include_checksum(true).unwrap();
    compressor.include_contentsize(true).unwrap();
    compressor.compress(content).unwrap()
}

/// The line that begins a stream.
pub(crate) fn file_line(path: &str, size: u64, content: &[u8]) -> String {
    let path = serde_json::to_string(path).unwrap();
    let sha256 = Sha256Digest::of(content);
    format!(
        "{{\"file\":{{\"path\":{path},\"kind\":\"stream\",\"size\":{size},\"sha256\":\"{sha256}\"}}}}"
    )
}

pub(crate) fn object_of(bytes: &[u8]) -> ObjectRef {
    ObjectRef {
        sha256: Sha256Digest::of(bytes),
        bytes: bytes.len() as u64,
    }
}

pub(crate) fn put(rig: &Rig, key: &str, bytes: Vec<u8>) {
    rig.store
        .put(&key.parse().unwrap(), Bytes::from(bytes), Condition::Always)
        .unwrap();
}

pub(crate) fn own_key(rig: &Rig) -> WriteKey {
    WriteKey::from_json(&rig.write_key).unwrap()
}

/// The recipient of everything in the rig's vault.
pub(crate) fn recipient_of(rig: &Rig) -> age::x25519::Recipient {
    own_key(rig).recipients()[0].parse().unwrap()
}

/// The newest head of the source.
pub(crate) fn newest(vault: &Vault) -> Option<StoredHead> {
    vault.heads(Some(&source())).unwrap().heads.pop()
}

/// The write key of a second host of the same vault, which its operator made everybody trust.
pub(crate) fn second_host(rig: &mut Rig) -> String {
    let mut own = own_key(rig);
    let mut other = WriteKey::generate(
        own.vault(),
        own.recipients().to_vec(),
        Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    own.trust(other.writer()).unwrap();
    other.trust(own.writer()).unwrap();
    rig.write_key = own.to_json().to_string();
    other.to_json().to_string()
}

pub(crate) const CONTENT: &[u8] = b"rows of the shop";

/// What is wrong with the only snapshot when it is opened.
pub(crate) fn refused(rig: &Rig) -> Box<Finding> {
    let vault = rig.vault();
    let head = newest(&vault).unwrap();
    match vault.open_snapshot(&head) {
        Err(VaultError::Damaged(finding)) => finding,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it was opened"),
    }
}

/// Restores the stream `file` of the newest snapshot into an empty folder.
pub(crate) fn restored(rig: &Rig) -> Result<Vec<u8>, VaultError> {
    let vault = rig.vault();
    let head = newest(&vault).unwrap();
    let snapshot = vault.open_snapshot(&head)?;
    let folder = tempfile::tempdir().unwrap();
    write(&snapshot, folder.path())?;
    Ok(std::fs::read(folder.path().join("out")).unwrap())
}

pub(crate) fn write(snapshot: &Snapshot, folder: &Path) -> Result<(), VaultError> {
    let path: FilePath = "file".parse().unwrap();
    let wanted = [(path, folder.join("out"))];
    snapshot.write_files(&wanted, false, &CancelToken::new(), &NoProgress)
}

/// The only kinds of findings that a verification to that depth has.
#[track_caller]
pub(crate) fn assert_found(rig: &Rig, depth: Depth, kind: FindingKind) {
    let found = rig
        .vault()
        .verify(&Selection::All, depth, &CancelToken::new(), &NoProgress)
        .unwrap();
    let kinds: Vec<_> = found.findings.iter().map(|finding| finding.kind).collect();
    assert!(kinds.contains(&kind), "{:#?}", found.findings);
    let none: [BackupId; 0] = [];
    assert_eq!(found.whole, none, "{:#?}", found.findings);
}
