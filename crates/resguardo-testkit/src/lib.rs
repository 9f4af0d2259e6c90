//! Development only: what the tests of the other crates need. Never a normal dependency.
//!
//! It panics where a test would: a server that is missing, a proxy that cannot listen.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: starts servers, reads the environment, asks the real clock while it waits"
)]

pub mod clock;

pub use clock::FakeClock;
