//! Dead man's switches: a ping before a run, one after it, by the convention of healthchecks.io (`/start`, nothing,
//! `/fail`). Whoever is pinged raises the alarm if the next one does not come.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::endpoint::{HttpPlace, Refused};
use super::event::{Event, FactName, What};
use super::http::{self, Post};
use super::letter::Letter;

pub(super) fn deliver(
    place: &HttpPlace,
    letter: &Letter,
    timeout: Duration,
) -> Result<(), Refused> {
    let Some(url) = url(place.url.expose_secret(), &letter.event) else {
        return Ok(());
    };
    let body = letter.event.fact(FactName::Message).unwrap_or("");
    let post = Post {
        url,
        headers: Vec::new(),
        content_type: "text/plain; charset=utf-8",
        body: body.to_owned(),
    };
    http::post(place, &post, timeout)
}

/// Where an event is told; `None` if it is nothing for a switch.
fn url(template: &str, event: &Event) -> Option<String> {
    let ending = match event.what {
        What::RunBegan => "/start",
        What::RunSucceeded => "",
        What::RunFailed => "/fail",
        // What a switch is told in a test changes nothing there.
        What::Test => "/log",
        What::Opened | What::Worse | What::Reminder | What::Good => return None,
    };
    let source = event.source.as_ref().map_or("", |source| source.as_str());
    let filled = template
        .replace("{source}", source)
        .replace("{task}", event.task.as_deref().unwrap_or(""));
    let end = filled.find(['?', '#']).unwrap_or(filled.len());
    let (path, query) = filled.split_at(end);
    let path = if ending.is_empty() {
        path
    } else {
        path.trim_end_matches('/')
    };
    Some(format!("{path}{ending}{query}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    #[test]
    fn a_run_has_three_addresses() {
        let mut event = Event::new(What::RunBegan, "2026-11-22T02:00:00Z".parse().unwrap());
        event.source = Some("shop".parse().unwrap());
        event.task = Some("backup".to_owned());
        for (what, template, expected) in [
            (
                What::RunBegan,
                "https://hc/uuid",
                Some("https://hc/uuid/start"),
            ),
            (
                What::RunSucceeded,
                "https://hc/uuid/",
                Some("https://hc/uuid/"),
            ),
            (
                What::RunFailed,
                "https://hc/uuid/",
                Some("https://hc/uuid/fail"),
            ),
            (
                What::RunBegan,
                "https://hc/key/{source}-{task}?create=1",
                Some("https://hc/key/shop-backup/start?create=1"),
            ),
            (What::Test, "https://hc/uuid", Some("https://hc/uuid/log")),
            (What::Opened, "https://hc/uuid", None),
        ] {
            event.what = what;
            assert_eq!(url(template, &event).as_deref(), expected);
        }
    }
}
