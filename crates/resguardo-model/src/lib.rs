//! The pure domain of Resguardo: the words of `DESIGN.md` as types.
//!
//! Nothing here reads a file, a clock, the network or the environment. Whatever is persisted or
//! printed as JSON has its shape defined here, with a format version where it lies in a vault.

pub mod cancel;
pub mod check;
pub mod clock;
pub mod count;
pub mod diagnosis;
pub mod digest;
pub mod duration;
pub mod exception;
pub mod facts;
pub mod finding;
pub mod forecast;
pub mod head;
pub mod id;
pub mod manifest;
pub mod objective;
pub mod progress;
pub mod reason;
pub mod receipt;
pub mod retention;
pub mod role;
pub mod schedule;
pub mod size;
pub mod standing;

pub use cancel::{CancelToken, Cancelled};
pub use check::{CheckOutcome, CheckResult};
pub use clock::{Clock, SystemClock};
pub use count::counted;
pub use diagnosis::{Diagnosis, Severity};
pub use digest::Sha256Digest;
pub use exception::{ExceptionKind, What};
pub use facts::{SourceFacts, TableFacts};
pub use finding::{Finding, FindingKind, Findings};
pub use head::{Head, ObjectRef};
pub use id::{BackupId, EngineKind, FilePath, RecordId, RunId, SourceName, VaultId, WriterId};
pub use manifest::{Extent, FileEntry, FileKind, Manifest, ManifestHeader};
pub use objective::{Objectives, Verdict};
pub use progress::{NoProgress, Progress};
pub use reason::Reason;
pub use role::{Role, UserName};
pub use schedule::Schedule;
pub use standing::{Concern, Measure, Standing};
