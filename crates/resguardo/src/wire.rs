//! The only place that names concrete stores and engines.

mod cloud;
mod credentials;
mod profile;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use resguardo_engine::postgres::{LibpqEnvironment, PostgresEngine, Surroundings};
use resguardo_engine::process::ProcessMark;
use resguardo_engine::sqlite::SqliteEngine;
use resguardo_model::CancelToken;
use resguardo_ops::Engines;
use resguardo_store::wrap::{Retry, RetryPolicy, SystemPacing, Throttle};
use resguardo_store::{AzureStore, FolderStore, GcsStore, Location, MemoryStore, S3Store, Store};
use resguardo_vault::CopyPlace;

use crate::ambient::Ambient;
use crate::config::VaultSettings;
use crate::config::copies::CopySettings;
use crate::config::store::StoreSettings;
use crate::error::Failure;

/// Where root puts what throwaway servers hold, which refuse to run as root.
pub const ANNEXES: &str = "/var/lib/resguardo/sandboxes";

/// Every engine of this version. Private copies of databases go below `state`, into a folder of this
/// process alone; those of processes that died are removed.
#[must_use]
pub fn engines(state: &Path, ambient: &Ambient) -> Engines {
    let all = state.join("scratch");
    sweep_scratch(&all);
    let own = all.join(std::process::id().to_string());
    let surroundings = Surroundings {
        scratch: own.join("postgres"),
        libpq: libpq(ambient),
        tool_folders: tool_folders(ambient),
        server_user: ambient.server_user,
    };
    Engines::new()
        .with(Arc::new(SqliteEngine::new(own)))
        .with(Arc::new(PostgresEngine::new(surroundings)))
}

/// What libpq would find: it takes the account's name and not `USER`.
pub fn libpq(ambient: &Ambient) -> LibpqEnvironment {
    let variables = ambient.variables.iter();
    LibpqEnvironment {
        variables: variables
            .filter(|(name, _)| name.starts_with("PG"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        home: ambient.variable("HOME").map(PathBuf::from),
        user: ambient.account.clone(),
    }
}

/// The folders of `PATH`.
fn tool_folders(ambient: &Ambient) -> Vec<PathBuf> {
    let path = ambient.variable("PATH").unwrap_or_default();
    path.split(':')
        .filter(|folder| folder.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// What cannot be removed now is removed by a later run.
fn sweep_scratch(all: &Path) {
    let Ok(entries) = std::fs::read_dir(all) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if pid.is_some_and(|pid| !ProcessMark::of(pid).is_alive()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a folder that is not there may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is made: `init`.
    Create,
    /// The first object makes it, in a folder that is there: copies.
    Begin,
    /// It is left: everybody else.
    Leave,
}

/// Nothing says where the vault is.
#[must_use]
pub fn no_vault() -> Failure {
    Failure::user("no vault is configured")
        .hint("set one up with `resguardo init`, or name one with --vault URL")
}

/// The store that the settings name, with retries. Nothing is asked of it yet.
///
/// # Errors
/// If no vault is configured, or its place makes no sense.
pub fn open_store(
    settings: &VaultSettings,
    folder: &Path,
    missing: Missing,
    cancel: &CancelToken,
) -> Result<Arc<dyn Store>, Failure> {
    let Some(url) = &settings.url else {
        return Err(no_vault());
    };
    open_place(&url.value, &settings.store, folder, missing, cancel)
}

/// The store at `url`, with retries. Nothing is asked of it yet.
///
/// # Errors
/// If the place makes no sense, or what it is to be reached with cannot be read.
pub fn open_place(
    url: &str,
    settings: &StoreSettings,
    folder: &Path,
    missing: Missing,
    cancel: &CancelToken,
) -> Result<Arc<dyn Store>, Failure> {
    let location: Location =
        url.parse()
            .map_err(|error: resguardo_store::location::LocationError| {
                Failure::user(error.to_string())
            })?;
    let store: Arc<dyn Store> = match location {
        Location::Folder(path) if missing == Missing::Create => {
            Arc::new(FolderStore::create(path).map_err(store_error)?)
        }
        Location::Folder(path) if missing == Missing::Begin => {
            Arc::new(FolderStore::open_or_begin(path).map_err(store_error)?)
        }
        Location::Folder(path) => Arc::new(FolderStore::open(path).map_err(store_error)?),
        Location::S3(place) => {
            let options = cloud::s3(place, settings, folder, cancel)?;
            Arc::new(with_retries(
                S3Store::open(options).map_err(settings_error)?,
                cancel,
            ))
        }
        Location::Gcs(place) => {
            let options = cloud::gcs(place, settings, folder, cancel)?;
            Arc::new(with_retries(
                GcsStore::open(options).map_err(settings_error)?,
                cancel,
            ))
        }
        Location::Azure(place) => {
            let options = cloud::azure(place, settings, folder, cancel)?;
            Arc::new(with_retries(
                AzureStore::open(options).map_err(settings_error)?,
                cancel,
            ))
        }
        Location::Memory => Arc::new(MemoryStore::new()),
    };
    Ok(store)
}

/// A copy, with its bandwidth limit. Nothing is asked of it yet.
///
/// # Errors
/// If its place makes no sense, or what it is to be reached with cannot be read.
pub fn open_copy(
    copy: &CopySettings,
    folder: &Path,
    missing: Missing,
    cancel: &CancelToken,
) -> Result<CopyPlace, Failure> {
    let store = open_place(&copy.url, &copy.store, folder, missing, cancel)?;
    let Some(bandwidth) = copy.bandwidth else {
        return Ok(CopyPlace::new(&copy.name, store));
    };
    // Outside of the retries: what is waited for here is no time that a call took.
    let pacing = Arc::new(SystemPacing::new(cancel.clone()));
    let limited = Throttle::new(store, bandwidth, pacing);
    Ok(CopyPlace::new(&copy.name, Arc::new(limited)))
}

fn store_error(error: resguardo_store::StoreError) -> Failure {
    Failure::from(resguardo_vault::VaultError::from(error))
}

/// A bucket is asked nothing when it is opened: what is wrong is what was set.
fn settings_error(error: resguardo_store::StoreError) -> Failure {
    let failure = Failure::user(error.to_string());
    match std::error::Error::source(&error) {
        Some(cause) => failure.because(cause),
        None => failure,
    }
    .hint("put right what `resguardo config show` says of the place; docs/guide/stores.md has all settings")
}

/// A folder either works or does not; the network may change its mind.
fn with_retries<S: Store>(store: S, cancel: &CancelToken) -> Retry<S> {
    Retry::new(
        store,
        RetryPolicy::default(),
        Arc::new(SystemPacing::new(cancel.clone())),
    )
}
