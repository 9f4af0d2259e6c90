//! Development only: what the tests of the other crates need. Never a normal dependency.
//!
//! It panics where a test would: a server that is missing, a proxy that cannot listen. Whatever it
//! starts ends with the value that stands for it.

#![allow(
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "test code: starts servers, reads the environment, asks the real clock while it waits"
)]

pub mod clock;
pub mod fixture;
pub mod fuzz;
pub mod postgres;
pub mod proxy;
pub mod servers;
pub mod tools;

pub use clock::FakeClock;
pub use postgres::{PgBouncer, PgServer, PgServerOptions, PgVersion, PoolMode};
pub use proxy::{Proxy, ProxyFault};
pub use servers::{AzureServer, GcsServer, MailServer, MailTls, S3Server};
