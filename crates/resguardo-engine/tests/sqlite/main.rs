//! The SQLite engine from outside: capture, restore and check of databases that these tests make.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "test: files, processes and an environment of its own"
)]

mod capture;
mod contract;
mod files;
mod only;
mod shop;
mod source_errors;
mod swap;
mod target;
