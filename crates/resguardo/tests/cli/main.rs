//! The command line as a user meets it: the real binary, in an empty home, one file per verb.
//! What it prints, on which stream, and its exit code are asserted.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test: starts the binary, writes fixtures, looks at the machine"
)]
#![allow(unreachable_pub, reason = "nothing imports a test")]

mod world;

mod access;
mod backup;
mod bad_input;
mod catalog;
mod cloud;
mod config;
mod copy;
mod demo;
mod doctor;
mod drill;
mod emergency;
mod examples;
mod flights;
mod full_disk;
mod guide;
mod help;
mod init;
mod keys;
mod killed;
mod kit;
mod list;
mod live;
mod locked;
mod mistyped;
mod notify;
mod orphans;
mod plan;
mod postgres;
mod prune;
mod receipts;
mod restore;
mod s3;
mod serve;
mod serve_on;
mod several;
mod signals;
mod sourceless;
mod status;
mod steps;
mod terminal;
mod unmounted;
mod users;
mod verify;
