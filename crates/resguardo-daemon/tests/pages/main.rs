//! The pages of the dashboard, from views that no vault would ever give, as HTML and in a real browser.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: pages are written to a temporary folder for a browser"
)]

mod browser;
mod exceptions;
mod fixture;
mod gallery;
mod html;
mod overview;
mod spanish;
