//! The use cases over a vault in memory and real SQLite databases: the main way, the faults that a
//! drill must catch, interruptions, the safety of restores, receipts and the catalog.

#![allow(
    clippy::disallowed_methods,
    reason = "test: files and processes that the tests themselves need"
)]
#![allow(clippy::unwrap_used, reason = "test: what fails here ends the test")]

mod backup;
mod catalog;
mod copies;
mod copy;
mod disputed;
mod drill;
mod fault;
mod interrupt;
mod keys;
mod looks;
mod orphans;
mod prune;
mod rebuilt;
mod reference;
mod restore;
mod status;
mod world;
