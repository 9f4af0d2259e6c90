//! No English on a Spanish page.

use resguardo_daemon::web::{Language, Theme};

use crate::{gallery, html};

/// Words that no Spanish sentence has. Names of people's own things, and of things that are called so in both
/// languages, are not among them; nor are those that are months there.
const ENGLISH: &str = "the of and is are was were be been not with without from that this these those for by at to in \
    it its they who which when while has have had will would can could must should does do did done only every all \
    none nothing nobody everybody somebody everything something other another new old first than then there here \
    backup backups drill drills restore restored restores run runs ran check checks checked table tables row rows file \
    files folder server user users group owner host day days week weeks month months year years hour hours minute \
    minutes second seconds open resolved failed passed skipped succeeded interrupted running missing deleted kept \
    least most more less exit status signal code without read write delete read-only allowed blocked";

/// The text of a page without what is no text of ours: commands, what programs print, and what is said to be English.
fn told(page: &str) -> String {
    let mut out = String::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let end = tag.find('>').expect("tags end");
        let head = &tag[1..end];
        let name = head.split([' ', '/']).next().unwrap_or_default();
        let is_foreign =
            ["code", "pre", "script", "title"].contains(&name) || head.contains("lang=\"en\"");
        rest = &tag[end + 1..];
        if is_foreign && name != "html" && name != "a" {
            let (mut depth, open, close) = (1, format!("<{name}"), format!("</{name}>"));
            while depth > 0 {
                let next = rest.find(&close).expect("elements end");
                depth += rest[..next].matches(&open).count();
                depth -= 1;
                rest = &rest[next + close.len()..];
            }
        }
        out.push(' ');
    }
    html::text(&out)
}

#[test]
fn a_spanish_page_says_nothing_in_english() {
    let english: Vec<&str> = ENGLISH.split_whitespace().collect();
    let mut all = Vec::new();
    for (name, page) in gallery::all(Language::Es, Theme::System) {
        let text = told(&page);
        let text = text.replace("English", "");
        let words = text.split(|c: char| !c.is_alphabetic() && c != '-');
        let found: Vec<String> = words
            .filter(|word| english.contains(&word.to_lowercase().as_str()))
            .map(ToOwned::to_owned)
            .collect();
        if !found.is_empty() {
            all.push((name, found, text));
        }
    }
    assert!(all.is_empty(), "{all:#?}");
}

#[test]
fn what_is_looked_through_is_the_text() {
    let page = "<p>hola <code>resguardo drill</code> <span lang=\"en\">the <span>end</span></span> fin</p>";
    assert_eq!(told(page), "hola fin");
}
