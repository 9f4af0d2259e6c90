//! Object storage as the vault needs it: few operations, immutable objects, named errors.
//!
//! [`port`] is the contract; the adapters ([`folder`], [`memory`], [`s3`], [`gcs`], [`azure`]) and the
//! wrappers in [`wrap`] all pass the same suite (`contract`). [`durable`] is the only place where persisted state of any
//! crate reaches the disk. Nothing here retries by itself, prints, or reads the environment.

pub mod azure;
mod cloud;
#[cfg(any(test, feature = "contract"))]
#[doc(hidden)]
pub mod contract;
pub mod durable;
pub mod exclusive;
pub mod folder;
pub mod gcs;
pub mod location;
pub mod memory;
pub mod port;
pub mod probe;
pub mod s3;
pub mod wrap;

pub use azure::AzureStore;
pub use cloud::advice::advice;
pub use folder::FolderStore;
pub use gcs::GcsStore;
pub use location::Location;
pub use memory::MemoryStore;
pub use port::{
    AccessFact, Capabilities, Condition, DefaultRetention, Key, KeyError, LockMode, LockedUntil,
    ObjectInfo, PlaceFacts, Store, StoreError, Version,
};
pub use s3::S3Store;
