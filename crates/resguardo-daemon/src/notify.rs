//! Telling people: what happened, to the endpoints that want to hear it, once each.
//!
//! ```text
//! Notifier::start(Office) -> Notifier     Notifier::tell(Event), exceptions(..)  (never wait)     Notifier::stop(limit)
//! Endpoint::deliver(&Letter) -> Result<(), Refused>                          (one try, at once)
//! ```
//!
//! The way of a message: `tell` -> the clerk's queue -> the clerk finds who wants to hear it ([`Rules`]), and writes
//! it down, a parcel for each ([`Outbox`]) -> the endpoint's own thread sends it, again and again until it arrives or
//! is given up. Invariants:
//!
//! - It is written down before it is sent. A catalog that cannot be written keeps nobody from being told.
//! - An endpoint that is down, hangs or answers nonsense delays no other, and nothing else.
//! - No text leaves without having passed the [`Redactor`]; addresses of endpoints are secrets themselves.

mod bell;
mod change;
mod clerk;
mod email;
mod endpoint;
mod event;
mod herald;
mod http;
mod letter;
mod outbox;
mod pace;
mod ping;
mod postman;
mod redact;
mod rules;
mod since;
mod slack;
mod turns;
mod watching;
mod webhook;
mod words;

pub use change::news;
pub use clerk::{Notifier, Office};
pub use email::{Mail, Security, check_address};
pub use endpoint::{Again, Endpoint, HttpPlace, Kind, Refused};
pub use event::{Event, ExceptionFacts, Fact, FactName, What};
pub use herald::Herald;
pub use letter::Letter;
pub use outbox::Outbox;
pub use pace::Pace;
pub use redact::Redactor;
pub use rules::{Directory, Route, Rules, Topic};
pub use since::Since;
pub use turns::Turns;
pub use watching::Telling;
