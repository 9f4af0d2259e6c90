//! Pictures drawn by hand: a year, curves, bars. Shapes and classes only; colours are the stylesheet's, and
//! the page says in words, or in a table, what a picture shows.

mod curve;
mod year;

pub use curve::{Point, growth, trend};
pub use year::year;

use maud::{Markup, PreEscaped, html};

/// A bar that is filled to a share of its whole.
#[must_use]
pub fn bar(share: f64, class: &str) -> Markup {
    let width = share.clamp(0.0, 1.0) * 200.0;
    html! {
        svg.barline viewBox="0 0 200 8" preserveAspectRatio="none" aria-hidden="true" {
            (PreEscaped("<rect class=\"track\" width=\"200\" height=\"8\" rx=\"2\"/>"))
            (PreEscaped("<rect class=\"")) (class) (PreEscaped("\" height=\"8\" rx=\"2\" width=\""))
            (format!("{width:.1}")) (PreEscaped("\"/>"))
        }
    }
}
