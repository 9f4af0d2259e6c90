//! An incoming webhook of Slack: blocks, and a plain text for where blocks are not shown.
//!
//! What comes from outside is escaped as Slack asks (`&`, `<`, `>`): it mentions nobody, links nowhere, and ends no
//! block of code.

use std::time::Duration;

use serde_json::{Value, json};

use super::endpoint::{HttpPlace, Refused};
use super::http::{self, Post};
use super::letter::Letter;
use super::redact::shortened;
use super::words::Text;

/// Slack's limits, in characters (docs.slack.dev, "Blocks").
const HEADER_CHARS_MAX: usize = 150;
const SECTION_CHARS_MAX: usize = 2900;
const FIELD_CHARS_MAX: usize = 1900;
const FIELDS_MAX: usize = 10;

pub(super) fn deliver(
    place: &HttpPlace,
    letter: &Letter,
    timeout: Duration,
) -> Result<(), Refused> {
    let post = Post::json(place, message(&Text::of(letter)).to_string());
    http::post(place, &post, timeout)
}

fn message(text: &Text) -> Value {
    let mut blocks = vec![json!({
        "type": "header",
        "text": {
            "type": "plain_text",
            "text": shortened(&escaped(&text.title), HEADER_CHARS_MAX),
            "emoji": false,
        },
    })];
    if !text.message.is_empty() {
        // A block of code ends with the next three back ticks.
        let said = escaped(&text.message.replace("```", "'''"));
        let said = shortened_escaped(&said, SECTION_CHARS_MAX);
        blocks.push(json!({
            "type": "section",
            "text": { "type": "mrkdwn", "text": format!("```{said}```"), "verbatim": true },
        }));
    }
    let fields: Vec<Value> = text
        .facts
        .iter()
        .take(FIELDS_MAX)
        .map(|(label, value)| {
            let value = shortened_escaped(&escaped(value), FIELD_CHARS_MAX);
            json!({ "type": "mrkdwn", "text": format!("*{label}*\n{value}"), "verbatim": true })
        })
        .collect();
    blocks.push(json!({ "type": "section", "fields": fields }));
    let last = [text.next.as_str(), text.foot.as_str()];
    for words in last.into_iter().filter(|words| !words.is_empty()) {
        blocks.push(json!({
            "type": "context",
            "elements": [{ "type": "plain_text", "text": escaped(words), "emoji": false }],
        }));
    }
    let mut fallback = escaped(&text.title);
    if !text.message.is_empty() {
        let said = escaped(text.message.lines().next().unwrap_or(""));
        fallback = format!("{fallback}: {said}");
    }
    json!({
        "text": shortened_escaped(&fallback, FIELD_CHARS_MAX),
        "blocks": blocks,
        "unfurl_links": false,
    })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Shortened, and not in the middle of an escape.
fn shortened_escaped(text: &str, chars_max: usize) -> String {
    let short = shortened(text, chars_max);
    match short.rfind('&') {
        Some(at) if short.len() < text.len() && !short[at..].contains(';') => {
            format!("{}…", &short[..at])
        }
        _ => short,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use resguardo_ops::report::Language;

    use super::*;
    use crate::notify::words::examples::failed_drill;

    #[test]
    fn a_message_is_blocks_with_everything_escaped() {
        let field = |text: &str| json!({ "type": "mrkdwn", "text": text, "verbatim": true });
        let context = |text: &str| {
            json!({
                "type": "context",
                "elements": [{ "type": "plain_text", "text": text, "emoji": false }],
            })
        };
        assert_eq!(
            message(&Text::of(&failed_drill(Language::Es))),
            json!({
                "text": "shop: el simulacro no se superó: the drill did not pass: &lt;!channel&gt; &amp; &lt;b&gt;active tenants&lt;/b&gt;",
                "unfurl_links": false,
                "blocks": [
                    {
                        "type": "header",
                        "text": {
                            "type": "plain_text",
                            "text": "shop: el simulacro no se superó",
                            "emoji": false,
                        },
                    },
                    {
                        "type": "section",
                        "text": {
                            "type": "mrkdwn",
                            "text": "```the drill did not pass: &lt;!channel&gt; &amp; &lt;b&gt;active tenants&lt;/b&gt;\nBcc: eve@example.org```",
                            "verbatim": true,
                        },
                    },
                    {
                        "type": "section",
                        "fields": [
                            field("*Fuente*\nshop"),
                            field("*Entorno*\nproduction"),
                            field("*Medido*\n1h 10m"),
                            field("*Objetivo*\n1h"),
                            field("*Última prueba*\n2026-11-01 04:00 America/Bogota"),
                            field("*Abierta desde*\n2026-11-22 04:29 America/Bogota"),
                            field("*Excepción*\n01jd8kq2v3m4n5p6q7r8s9t0vw"),
                            field("*Hora*\n2026-11-22 04:30 America/Bogota"),
                        ],
                    },
                    context("Lo que está abierto: resguardo exceptions. Cuando esté atendido: resguardo exceptions resolve 01jd8kq2v3m4n5p6q7r8s9t0vw --note \"...\""),
                    context("Resguardo en db1"),
                ],
            })
        );
    }

    #[test]
    fn a_long_text_stays_within_slacks_limits() {
        let mut letter = failed_drill(Language::En);
        letter.event.facts[0].value = "```<&>".repeat(2000);
        let message = message(&Text::of(&letter));
        let code = message["blocks"][1]["text"]["text"].as_str().unwrap();
        assert!(code.chars().count() <= 3000, "{}", code.chars().count());
        assert_eq!(code.matches("```").count(), 2);
        assert!(!code.contains('<'));
        assert_eq!(shortened_escaped("a&amp;b", 4), "a…");
        assert_eq!(shortened_escaped("a&amp;b", 7), "a&amp;b");
        assert_eq!(shortened_escaped("a&amp;bcd", 8), "a&amp;b…");
    }
}
