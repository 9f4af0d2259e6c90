//! The server of the pages and of the API.
//!
//! It never decides what is true: it shows what [`crate::board`] saw, asks the same use cases as the command line, and
//! hands what somebody wants done to whoever runs the daemon ([`Desk`]).
//!
//! Invariants:
//!
//! - Who may do what is decided in one place, `gate`, by the one table of routes, `route`; a route that is not in
//!   it does not exist.
//! - Whatever comes from outside is bounded: connections, headers, bodies, time, tries, streams, questions to the vault
//!   at once.
//! - Nothing is changed by a request that another site made: the browser's own word, the origin and the
//!   form's token have to agree.
//! - A public address is not served without TLS, here or by a proxy that is said to be there.

mod answer;
mod api;
mod ask;
mod connection;
mod desk;
mod events;
mod gate;
mod login;
mod oidc;
mod openapi;
mod origin;
mod pages;
mod path;
mod probe;
mod refusals;
mod route;
mod server;
mod state;
mod tls;
mod tries;

pub use desk::{Desk, Planned, Seen};
pub use origin::{NotAnOrigin, Origin};
pub use server::{HttpError, Server, Settings};
pub use state::{Accounts, House};
pub use tls::Certificate;

#[cfg(test)]
mod tests;
