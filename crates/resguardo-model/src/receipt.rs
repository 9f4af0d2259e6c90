//! Receipts: in-toto Statements v1 (<https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>)
//! carried in DSSE envelopes (<https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>).
//! Signing and checking are `resguardo-vault`'s; the shapes are here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{RunId, Sha256Digest, SourceName, VaultId, WriterId};

/// `_type` of every statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// `payloadType` of every envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Predicate of a drill: <https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md>.
pub const TEST_RESULT_TYPE: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// Predicate of a backup, verify or restore, and the sibling of a drill's test result.
pub const RUN_TYPE: &str = "https://resguardo.dev/attestation/run/v1";

/// The verbs that leave a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// A backup was taken, or failed.
    Backup,
    /// Stored objects were checked.
    Verify,
    /// A backup was brought into a target.
    Restore,
    /// A backup was proven, or was not.
    Drill,
    /// Who may read, write and delete was reviewed.
    Access,
    /// Backups were let go as the policy says.
    Prune,
    /// A backup was pinned, or its pin was taken away.
    Pin,
    /// Backups were brought to a further vault, or checked there.
    Copy,
    /// Keys were added, retired, changed or rehearsed.
    Keys,
    /// Something that somebody has to look at was opened, or resolved.
    Exception,
    /// Somebody logged in, changed users or tokens, or asked for something by the pages or the API.
    Audit,
}

impl Verb {
    /// Its word, in receipts and for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Verify => "verify",
            Self::Restore => "restore",
            Self::Drill => "drill",
            Self::Access => "access",
            Self::Prune => "prune",
            Self::Pin => "pin",
            Self::Copy => "copy",
            Self::Keys => "keys",
            Self::Exception => "exception",
            Self::Audit => "audit",
        }
    }
}

/// An in-toto Statement v1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// The artefacts it speaks of: the backup's head and manifest, a target file.
    pub subject: Vec<Subject>,
    /// [`RUN_TYPE`], or [`TEST_RESULT_TYPE`] for a drill.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// The statement itself.
    pub predicate: Predicate,
}

/// An artefact named by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its key in the vault, or the name of a file.
    pub name: String,
    /// Algorithm to hexadecimal digest; always `sha256`.
    pub digest: BTreeMap<String, String>,
}

impl Subject {
    /// A subject named by its SHA-256.
    #[must_use]
    pub fn new(name: impl Into<String>, sha256: Sha256Digest) -> Self {
        Self {
            name: name.into(),
            digest: BTreeMap::from([("sha256".to_owned(), sha256.to_string())]),
        }
    }
}

/// What was done, by whom, and how it went. A drill has `result`, `configuration`, `passedTests` and
/// `failedTests` of the test-result predicate as well; consumers ignore fields they do not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Predicate {
    /// Version of this predicate's own fields: 1.
    pub format: u32,
    /// The run; the receipt's name.
    pub run: RunId,
    /// What was done.
    pub verb: Verb,
    /// The vault it was done in.
    pub vault: VaultId,
    /// The source it was done to.
    pub source: SourceName,
    /// `succeeded`, `failed`, `interrupted`; for a drill its verdict.
    pub outcome: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The machine.
    pub host: String,
    /// The user.
    pub operator: String,
    /// Names and versions of what took part.
    pub tools: BTreeMap<String, String>,
    /// Facts of this verb (backup: sizes and row counts; drill: phases, checks, RTO and RPO).
    pub details: BTreeMap<String, Value>,
    /// Who signs.
    pub writer: WriterId,
    /// One more than the writer's receipt for this source before it; the first is 1.
    pub sequence: u64,
    /// SHA-256 of the object of the writer's receipt for this source before it.
    pub previous: Option<Sha256Digest>,
    /// `PASSED` or `FAILED` (test-result).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// What was tested with (test-result): the config's digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configuration: Vec<Subject>,
    /// Names of the checks that passed (test-result).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_tests: Vec<String>,
    /// Names of the checks that did not pass (test-result).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_tests: Vec<String>,
}

/// A DSSE envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// [`PAYLOAD_TYPE`].
    pub payload_type: String,
    /// The statement's bytes, base64.
    pub payload: String,
    /// One signature.
    pub signatures: Vec<Signature>,
}

/// A signature over DSSE's pre-authentication encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The writer, as [`WriterId`] prints it.
    pub keyid: String,
    /// Ed25519 signature, base64.
    pub sig: String,
}
