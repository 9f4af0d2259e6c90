//! What programs printed, without what would only steer a terminal, and said to be English where the page is not.

use maud::{Markup, html};

use super::figures::Say;
use super::language::Language;

/// A text that is English on every page: messages of Resguardo and of programs. Whoever has a page read aloud hears it
/// in its own language.
#[must_use]
pub fn english(say: &Say, raw: &str) -> Markup {
    let lang = (say.language != Language::En).then_some("en");
    html! { span lang=[lang] { (text(raw)) } }
}

/// A text whose escape sequences and control characters are gone; ends of lines and tabs stay.
#[must_use]
pub fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                // A control sequence ends with a letter or one of a few signs.
                Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                // A command to the terminal ends with a bell or an escape.
                Some(']') => {
                    while chars
                        .next()
                        .is_some_and(|c| c != '\u{7}' && c != '\u{1b}' && c != '\\')
                    {
                    }
                }
                _ => {}
            },
            // A line that overwrites itself, as bars of progress do.
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => out.push('\n'),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || is_invisible(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Characters that turn the direction of writing, or have no width: with them one name looks like another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn nothing_steers_a_terminal_or_hides() {
        for (raw, plain) in [
            ("plain, ñ and 日本", "plain, ñ and 日本"),
            ("\u{1b}[31;1mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("10 %\r20 %\r\nend\t.", "10 %\n20 %\nend\t."),
            ("a\0b\u{8}c", "a\u{fffd}b\u{fffd}c"),
            ("shop\u{202e}cilbup", "shop\u{fffd}cilbup"),
            ("ends with \u{1b}", "ends with "),
            ("ends with \u{1b}[", "ends with "),
        ] {
            assert_eq!(text(raw), plain, "{raw:?}");
        }
    }
}
