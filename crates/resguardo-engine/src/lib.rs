//! The engine port, and the engines behind it. An engine knows one kind of source; it never knows the
//! vault: it is handed a [`port::CaptureSink`] to write to and a [`port::BackupReader`] to read from.

mod beside;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod durable;
mod exported;
mod folder;
mod meta;
#[doc(hidden)]
pub mod parsers;
pub mod port;
pub mod postgres;
pub mod process;
mod proven;
pub mod sqlite;
mod system;
