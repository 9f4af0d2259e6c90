//! One request to an endpoint, and what its answer means.
//!
//! Everything is bounded: the time with all of it, the headers and the body that are read. Redirects are not
//! followed: a message with a signature goes where the config says, and nowhere else.

use std::io::Read as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;

use super::endpoint::{Again, HttpPlace, Refused};
use crate::client;

/// Bytes of an answer that are read: enough to say why.
const ANSWER_BYTES_MAX: u64 = 4096;
/// Bytes of the headers of an answer.
const HEADERS_BYTES_MAX: usize = 16 * 1024;

/// A request.
pub(super) struct Post {
    /// The whole address; a secret.
    pub(super) url: String,
    /// Beyond `Content-Type` and `User-Agent`.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Post {
    /// JSON to the address of `place`.
    pub(super) fn json(place: &HttpPlace, body: String) -> Self {
        Self {
            url: place.url.expose_secret().to_owned(),
            headers: Vec::new(),
            content_type: "application/json",
            body,
        }
    }
}

/// Sends it. Success is a status of the 200s.
///
/// # Errors
/// [`Refused`], with the host and nothing else of the address.
pub(super) fn post(place: &HttpPlace, post: &Post, timeout: Duration) -> Result<(), Refused> {
    let host = place.shown();
    let agent = client::agent(place.authority.as_deref(), timeout, HEADERS_BYTES_MAX)
        .map_err(|why| Refused::later(format!("{host}: {why}")))?;
    let mut request =
        ureq::http::Request::post(&post.url).header("Content-Type", post.content_type);
    for (name, value) in &post.headers {
        request = request.header(*name, value);
    }
    let request = request
        .body(post.body.as_str())
        .map_err(|_| Refused::never(format!("{host}: the address makes no request")))?;
    let answer = agent
        .run(request)
        .map_err(|error| failed(&host, &error, timeout))?;
    let status = answer.status().as_u16();
    if answer.status().is_success() {
        return Ok(());
    }
    let header = |name: &str| {
        let value = answer.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let asked = header("retry-after");
    let date = header("date");
    let mut said = Vec::new();
    // Of a refusal whose end does not come, the beginning will do.
    let _ = answer
        .into_body()
        .into_reader()
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said);
    let said = said.lines().map(str::trim).find(|line| !line.is_empty());
    let said = said.map(|line| format!(": {line}")).unwrap_or_default();
    let why = if (300..400).contains(&status) {
        format!("{host}: answered {status}, a redirect, which is not followed")
    } else {
        format!("{host}: answered {status}{said}")
    };
    Err(Refused {
        why,
        again: again(status, asked.as_deref(), date.as_deref()),
    })
}

/// Whether a request is worth sending again after this answer.
fn again(status: u16, asked: Option<&str>, date: Option<&str>) -> Again {
    match (status, asked.and_then(|asked| retry_after(asked, date))) {
        (408 | 429 | 500.., Some(wait)) => Again::After(wait),
        (408 | 429 | 500.., None) => Again::Later,
        _ => Again::Never,
    }
}

/// `Retry-After`: seconds, or a moment by the clock of the answer itself (RFC 9110, 10.2.3).
fn retry_after(asked: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = asked.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = |text: &str| -> Option<Timestamp> {
        let zoned = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
        Some(zoned.timestamp())
    };
    let wait = moment(asked)?.duration_since(moment(date?)?);
    Some(wait.max(SignedDuration::ZERO).unsigned_abs())
}

fn failed(host: &str, error: &ureq::Error, timeout: Duration) -> Refused {
    match error {
        ureq::Error::Timeout(_) => {
            Refused::later(format!("{host}: no answer after {} s", timeout.as_secs()))
        }
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            Refused::never(format!("{host}: the address makes no request"))
        }
        other => Refused::later(format!("{host}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_asks_for_is_heeded() {
        for (status, asked, expected) in [
            (500, None, Again::Later),
            (503, Some("120"), Again::After(Duration::from_secs(120))),
            (429, Some("0"), Again::After(Duration::ZERO)),
            (429, Some("soon"), Again::Later),
            (429, Some("-1"), Again::Later),
            (
                429,
                Some("Sun, 22 Nov 2026 10:01:30 GMT"),
                Again::After(Duration::from_secs(90)),
            ),
            (
                503,
                Some("Sun, 22 Nov 2026 09:00:00 GMT"),
                Again::After(Duration::ZERO),
            ),
            (408, None, Again::Later),
            (404, Some("120"), Again::Never),
            (302, None, Again::Never),
        ] {
            let date = Some("Sun, 22 Nov 2026 10:00:00 GMT");
            assert_eq!(again(status, asked, date), expected, "{status} {asked:?}");
        }
        assert_eq!(
            again(429, Some("Sun, 22 Nov 2026 10:01:30 GMT"), None),
            Again::Later
        );
    }
}
