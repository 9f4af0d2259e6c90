//! The pages of the dashboard: views in, HTML out.
//!
//! Everything here is pure. It reads no vault, no catalog, no request and no clock: whoever serves a page
//! makes its view, says who looks and in which language, and sends what comes back. So every page can be
//! rendered by a test from a view that no vault would ever give.
//!
//! What must always hold:
//!
//! - No inline script, no inline style, no address outside this server: the pages live under
//!   [`assets::POLICY`].
//! - Every text that comes from outside goes through maud, which escapes it; [`plain`] takes the control
//!   characters out of what programs printed.
//! - A colour or a picture never says anything that is not also said in words.
//! - Every page works without the script. The script only fetches the same page again and replaces the
//!   parts that carry `data-live`, and keeps relative times true.
//! - Forms post to the page that they belong to with the field `csrf`, say the command that does the
//!   same, and are only shown to those whose role allows them; the server decides again.

pub mod access;
pub mod action;
pub mod assets;
pub mod backup;
pub mod drill;
pub mod exceptions;
pub mod figures;
pub mod frame;
pub mod language;
pub mod login;
pub mod overview;
pub mod pictures;
pub mod plain;
pub mod policy;
pub mod refusal;
pub mod runs;
pub mod signs;
pub mod source;
pub mod stores;
pub mod view;
pub mod why;
pub mod words;

pub use figures::Say;
pub use frame::{Frame, Notice, Section};
pub use language::{Language, Theme};
pub use maud::Markup as Page;
pub use refusal::Refusal;
