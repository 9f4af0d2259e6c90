//! The PostgreSQL engine from outside, against real servers of several majors.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test: files, processes and servers of its own"
)]

mod capture;
mod check;
mod connection;
mod contract;
mod drill;
mod elsewhere;
mod export;
mod foreign;
mod full_disk;
mod maintenance;
mod probe;
mod properties;
mod restore;
mod restore_damaged;
mod restore_part;
mod restore_refused;
mod sandbox;
mod source_errors;
mod statement;
mod target;
mod way_back;
mod world;
