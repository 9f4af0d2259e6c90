//! A webhook: JSON of stable fields (docs/json.md, "What a webhook is sent"), signed.
//!
//! `Resguardo-Signature: t=SECONDS,v1=HEX`, where HEX is HMAC-SHA256 over `SECONDS.BODY`, so that its receiver can
//! refuse what is old. `Resguardo-Delivery` is the same at every try.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::endpoint::{HttpPlace, Refused};
use super::http::{self, Post};
use super::letter::Letter;
use super::words::Text;

/// Of the fields.
const VERSION: u32 = 1;

pub(super) fn deliver(
    place: &HttpPlace,
    secret: Option<&SecretString>,
    letter: &Letter,
    timeout: Duration,
) -> Result<(), Refused> {
    http::post(place, &request(place, secret, letter), timeout)
}

fn request(place: &HttpPlace, secret: Option<&SecretString>, letter: &Letter) -> Post {
    let body = body(letter).to_string();
    let mut headers = vec![("Resguardo-Delivery", letter.delivery.clone())];
    if let Some(secret) = secret {
        headers.push((
            "Resguardo-Signature",
            signature(secret, letter.sent_at, &body),
        ));
    }
    Post {
        headers,
        ..Post::json(place, body)
    }
}

/// What stands in the header.
fn signature(secret: &SecretString, at: Timestamp, body: &str) -> String {
    let seconds = at.as_second();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(format!("{seconds}.{body}").as_bytes());
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

fn body(letter: &Letter) -> Value {
    let event = &letter.event;
    let text = Text::of(letter);
    let facts: Map<String, Value> = event
        .facts
        .iter()
        .map(|fact| {
            let name = serde_json::to_value(fact.name).expect("a word");
            let name = name.as_str().expect("a word").to_owned();
            (name, Value::from(fact.value.clone()))
        })
        .collect();
    json!({
        "version": VERSION,
        "delivery": letter.delivery,
        "event": event.what.word(),
        "severity": event.what.severity(),
        "at": event.at,
        "written_at": letter.written_at,
        "source": event.source,
        "environment": Some(&letter.environment).filter(|name| !name.is_empty()),
        "host": letter.host,
        "exception": event.exception,
        "task": event.task,
        "began_at": event.began_at,
        "facts": facts,
        "language": letter.tag(),
        "title": text.title,
        "text": text.plain(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use resguardo_ops::report::Language;

    use super::*;
    use crate::notify::words::examples::failed_drill;

    /// Computed with Python: `hmac.new(b"It's a Secret", b'1763804001.{"a":1}', "sha256").hexdigest()`.
    #[test]
    fn a_signature_is_what_others_compute() {
        let at = Timestamp::from_second(1_763_804_001).unwrap();
        assert_eq!(
            signature(&SecretString::from("It's a Secret"), at, "{\"a\":1}"),
            "t=1763804001,v1=b581ea21f5ef08570d13aff851bb55331cec09ef169b57d6843d9e3bb80dbb8c"
        );
    }

    #[test]
    fn the_fields_stay_what_they_are() {
        let letter = failed_drill(Language::En);
        let mut body = body(&letter);
        let text = body["text"].take();
        assert!(
            text.as_str()
                .unwrap()
                .starts_with("shop: the drill failed\n")
        );
        assert_eq!(
            body,
            json!({
                "version": 1,
                "delivery": "0123456789abcdef0123456789abcdef",
                "event": "opened",
                "severity": "problem",
                "at": "2026-11-22T09:30:00Z",
                "written_at": "2026-11-22T09:30:01Z",
                "source": "shop",
                "environment": "production",
                "host": "db1",
                "exception": {
                    "id": "01jd8kq2v3m4n5p6q7r8s9t0vw",
                    "kind": "drill_failed",
                    "opened_at": "2026-11-22T09:29:58Z",
                },
                "task": null,
                "began_at": null,
                "facts": {
                    "message": "the drill did not pass: <!channel> & <b>active tenants</b>\nBcc: eve@example.org",
                    "measured": "1h 10m",
                    "target": "1h",
                    "proven_at": "2026-11-01T09:00:00Z",
                },
                "language": "en",
                "title": "shop: the drill failed",
                "text": null,
            })
        );
    }
}
