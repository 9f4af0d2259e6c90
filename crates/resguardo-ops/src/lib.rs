//! The use cases of Resguardo. The CLI and the daemon call the same functions with the same typed
//! requests and get the same typed answers; nothing here prints, reads the environment or knows a
//! concrete store or engine.
//!
//! ```text
//! backup::backup(&Context, &BackupRequest)        -> Result<BackupDone, OpsError>
//! backup::export(&Context, &SourceSpec, out)      -> Result<ExportDone, OpsError>
//! restore::inspect(&Context, EngineKind, &Location, &[SourceSpec]) -> Result<Inspection, OpsError>
//! restore::restore(&Context, &RestoreRequest)     -> Result<RestoreDone, OpsError>
//! restore::engine_of(&Context, &Origin, &[SourceSpec]) -> Result<EngineKind, OpsError>
//! drill::drill(&Context, &DrillRequest)           -> Result<DrillDone, OpsError>
//! report::render(&DrillDone, Format, Language)    -> String
//! verify::verify(&Context, &VerifyRequest)        -> Result<VerifyDone, OpsError>
//! list::list(&Context, Option<&SourceName>)       -> Result<Listed, OpsError>
//! show::show(&Context, &Reference)                -> Result<ShowDone, OpsError>
//! receipts::list(&Context, Option<&SourceName>)   -> Result<ReceiptsListed, OpsError>
//! receipts::find(&Context, name)                  -> Result<StoredReceipt, OpsError>
//! receipts::verify_file(path)                     -> Result<FileVerified, OpsError>
//! prune::prune(&Context, &PruneRequest)           -> Result<PruneDone, OpsError>      (prune_in: a copy)
//! pin::pin(&Context, &PinRequest), pin::unpin     -> Result<PinDone, OpsError>
//! keys::list(&Context), keys::rehearse(&Context, from) -> Result<KeysListed / RehearseDone, OpsError>
//! receipts::drill_of(&Statement)                  -> Option<DrillDone>      (for report::render)
//! copy::sync(&Context, &SyncRequest)              -> Result<SyncDone, OpsError>   (one source, one copy)
//! copy::status(&Context, &CopyPlace)              -> Result<CopyStatus, OpsError>
//! copy::open_begun(&Context, &CopyPlace)          -> Result<Option<Vault>, OpsError>
//! copy::rebuild(&Context, name, &CopyPlace, mend) -> Result<RebuildDone, OpsError>
//! copy::behind(&Context, place)                   -> Result<Vec<Behind>, OpsError>   (by receipts alone)
//! access::look(&Context), access::review(...)      -> Result<Access, OpsError>, Result<Reviewed, OpsError>
//! status::look(&Context, &[Watched])             -> Result<Status, OpsError>
//! series::series(&Context, &SourceName), year(...) -> Result<Series, OpsError>, Result<Year, OpsError>
//! exception::assess(&Context, &Status)           -> Result<Vec<Change>, OpsError>
//! exception::look(&Context, &[Watched])          -> Result<(Status, Vec<Change>), OpsError>   (look and assess)
//! exception::resolve(&Context, id, note)         -> Result<ResolveDone, OpsError>
//! exception::open(&Context), all(&Context)       -> Result<Vec<Exception>, OpsError>
//! audit::note(&Catalog, &Deed, now), sign(&Context) -> Result<(), OpsError>; newest, last_logins
//! users::{add, set_password, set_role, remove, list, knows}, users::session, users::token
//! doctor::doctor(&Context, &DoctorRequest)        -> Vec<Diagnosis>
//! catalog::Catalog::{open(path), in_memory, notes, runs(limit)}
//! catalog::rebuild(&Context)                      -> Result<Rebuilt, OpsError>
//! recover::sweep(&Context)                        -> Result<Swept, OpsError>   (verbs call it themselves)
//! refer::resolve(&Context, &Reference)            -> Result<StoredHead, OpsError>; Reference: FromStr
//! ```
//!
//! A verb that writes runs in this order: sweep what died, open a run in the catalog, do the work,
//! store the receipt, close the run. The vault is the truth; the catalog is a cache of it plus the
//! history of runs, and losing it loses nothing else.

pub mod access;
mod another;
pub mod audit;
pub mod backup;
pub mod catalog;
pub mod check;
pub mod context;
pub mod copy;
pub mod doctor;
pub mod drill;
pub mod error;
pub mod exception;
mod history;
mod json_path;
pub mod keys;
pub mod list;
pub mod origin;
pub mod phase;
pub mod pin;
pub mod prune;
mod reader;
mod receipt;
pub mod receipts;
pub mod recover;
pub mod refer;
pub mod report;
pub mod restore;
mod run;
pub mod sandbox;
pub mod series;
pub mod show;
mod sink;
pub mod source;
pub mod status;
mod suspect;
pub mod users;
pub mod verify;

pub use context::{Context, Engines};
pub use error::{ErrorKind, OpsError};
pub use origin::Origin;
pub use refer::Reference;
pub use run::{described, failed_to_begin};
pub use source::{CheckKind, CheckSpec, DrillSpec, Expectation, SourceSpec};

/// The parsers of words from outside, for the fuzz target.
#[doc(hidden)]
pub mod parsers {
    pub use crate::json_path::JsonPath;
}
