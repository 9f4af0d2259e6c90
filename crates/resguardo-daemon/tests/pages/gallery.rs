//! Every page, as it is looked at.

use resguardo_daemon::web::view::Role;
use resguardo_daemon::web::{Frame, Language, Section, Theme, overview};

use crate::fixture;

/// Every page by its name.
pub(crate) fn all(language: Language, theme: Theme) -> Vec<(&'static str, String)> {
    let say = fixture::say(language);
    let admin = fixture::viewer(Role::Admin);
    let frame = |section: Section| fixture::frame(&say, theme, &admin, section);
    let mut pages = Vec::new();
    let mut add =
        |name, markup: resguardo_daemon::web::Page| pages.push((name, markup.into_string()));
    let home = frame(Section::Overview);
    add("overview", overview::page(&home, &fixture::overview()));
    let unreachable = Frame {
        unreachable: Some(
            "listing s3://acme-respaldos/principal: connecting to 10.0.0.9:443: no route to host",
        ),
        ..frame(Section::Overview)
    };
    add(
        "overview-odd",
        overview::page(&unreachable, &fixture::odd()),
    );
    let mut nothing = fixture::overview();
    nothing.sources.clear();
    nothing.running.clear();
    nothing.exceptions = 0;
    add("overview-empty", overview::page(&home, &nothing));
    pages
}
