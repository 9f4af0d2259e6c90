//! The page of exceptions.

use resguardo_daemon::web::view::{RefusedNote, Role};
use resguardo_daemon::web::{Language, Section, Theme, exceptions};

use crate::fixture::{self, MARKUP};
use crate::html;

#[test]
fn a_note_that_was_not_taken_stands_in_its_form_again() {
    let (say, viewer) = (fixture::say(Language::Es), fixture::viewer(Role::Operator));
    let frame = fixture::frame(&say, Theme::System, &viewer, Section::Exceptions);
    let mut view = fixture::exceptions();
    let id = view.open[1].id.clone();
    let others = view.open.iter().filter(|one| one.id == id).count();
    let before = exceptions::page(&frame, &view).into_string();
    assert!(!before.contains("role=\"alert\"") && !before.contains(" open>"));
    view.refused = Some(RefusedNote {
        exception: id,
        note: format!("\nla base se movió {MARKUP}"),
        why: "the vault cannot be reached".to_owned(),
    });
    let page = exceptions::page(&frame, &view).into_string();
    html::is_clean(&page);
    assert_eq!(page.matches("role=\"alert\"").count(), others);
    assert_eq!(page.matches(" open>").count(), others);
    // The first end of a line within is the page's own: a browser leaves it out.
    assert!(page.contains(">\n\nla base se movió &lt;img"), "{page}");
    let text = html::text(&page);
    assert!(
        text.contains("La nota no se aceptó: the vault cannot be reached"),
        "{text}"
    );
}
