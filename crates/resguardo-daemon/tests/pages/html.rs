//! What a test may ask of HTML without a browser.

use crate::fixture::MARKUP;

/// The text of a page, each run of white space as one space.
pub(crate) fn text(page: &str) -> String {
    let body = page.split_once("<main").map_or(page, |_| page);
    let mut out = String::new();
    let mut inside = false;
    for c in body.chars() {
        match c {
            '<' => {
                inside = true;
                out.push(' ');
            }
            '>' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    let out = out
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&");
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Nothing of a page runs, styles, or comes from elsewhere, and no name from outside is an element.
pub(crate) fn is_clean(page: &str) {
    assert!(!page.contains(MARKUP), "a name is an element");
    assert!(!page.contains("<img src=x"), "a name is an element");
    let lower = page.to_lowercase();
    assert!(!lower.contains(" style="), "an inline style");
    assert!(!lower.contains("<style"), "an inline sheet");
    assert!(!lower.contains("javascript:"), "an address that runs");
    assert_eq!(
        lower.matches("<script").count(),
        1,
        "a script besides the one"
    );
    // Within tags only: text may speak of addresses and of handlers.
    for tag in lower
        .split('<')
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap_or(""))
    {
        let mut quoted = false;
        let bare: String = tag
            .chars()
            .filter(|c| {
                quoted ^= *c == '"';
                !quoted
            })
            .collect();
        assert!(!bare.contains(" on"), "a handler: <{tag}>");
        for address in [
            "href=\"http",
            "src=\"http",
            "action=\"http",
            "href=\"//",
            "src=\"//",
        ] {
            assert!(!tag.contains(address), "comes from elsewhere: <{tag}>");
        }
    }
}
