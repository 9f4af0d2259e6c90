//! Throwaway PostgreSQL servers of several majors, their tools, and a pooler in front of them.
//!
//! A server listens on a free port of the loopback interface and in a private socket folder; both and
//! its data are gone when the value is dropped. PostgreSQL refuses root: then everything runs as the
//! user `postgres`, from a copy of the programs that this user can reach.
//!
//! INVARIANT: no two servers share a system identifier, though all are copies of a template
//! (`servers_are_told_apart_by_their_identifiers`).

pub(crate) mod account;
mod bouncer;
pub(crate) mod certificates;
mod client;
mod ground;
mod identity;
mod load;
mod options;
mod process;
mod server;
mod standby;
mod template;
mod tree;
mod version;

pub use bouncer::{PgBouncer, PoolMode};
pub use client::quote_identifier;
pub use load::Load;
pub use options::PgServerOptions;
pub use server::PgServer;
pub use version::PgVersion;
