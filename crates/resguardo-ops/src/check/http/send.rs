//! One request over the wire.

use std::io::Read as _;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use resguardo_model::CancelToken;

/// Bytes of a body that are read.
const BODY_BYTES_MAX: u64 = 1024 * 1024;
/// How often cancellation is asked for.
const POLL: Duration = Duration::from_millis(50);
/// The least time that a request is given, however little is left.
const LEAST: Duration = Duration::from_millis(1);

pub(super) struct Request {
    /// The address as errors name it, without what its variables stand for.
    pub(super) place: String,
    pub(super) url: String,
    pub(super) method: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    /// `Set-Cookie` headers.
    pub(super) cookies: Vec<String>,
}

/// Sends the request from a thread of its own, so that a caller who cancels need not wait for it; the
/// thread ends at the timeout at the latest.
pub(super) fn ask(
    request: Request,
    timeout: Duration,
    cancel: &CancelToken,
) -> Result<Answer, String> {
    let timeout = timeout.max(LEAST);
    let (sender, answered) = channel();
    std::thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(send(&request, timeout));
    });
    let begun = Instant::now();
    loop {
        match answered.recv_timeout(POLL) {
            Ok(answer) => return answer,
            Err(RecvTimeoutError::Disconnected) => return Err("the request broke off".to_owned()),
            Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => {
                return Err("interrupted".to_owned());
            }
            // Ended by its own timeout a moment later; this one is for what that does not see.
            Err(RecvTimeoutError::Timeout) if begun.elapsed() > timeout + timeout / 2 => {
                return Err(format!("no answer after {} s", timeout.as_secs()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn send(request: &Request, timeout: Duration) -> Result<Answer, String> {
    let place = &request.place;
    let agent = ureq::Agent::config_builder()
        // Nothing between us and the application, and no status is an error by itself.
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(timeout))
        .build()
        .new_agent();
    let mut built = ureq::http::Request::builder()
        .method(request.method.as_str())
        .uri(&request.url);
    for (name, value) in &request.headers {
        built = built.header(name, value);
    }
    let refused = |error: ureq::http::Error| format!("{place}: {error}");
    let answer = match &request.body {
        Some(body) => agent.run(built.body(body.as_str()).map_err(refused)?),
        None => agent.run(built.body(()).map_err(refused)?),
    };
    let answer = answer.map_err(|error| match error {
        ureq::Error::Timeout(_) => format!("{place}: no answer after {} s", timeout.as_secs()),
        other => format!("{place}: {other}"),
    })?;
    let status = answer.status().as_u16();
    let cookies = answer.headers().get_all("set-cookie").iter();
    let cookies = cookies
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    let mut bytes = Vec::new();
    answer
        .into_body()
        .into_reader()
        .take(BODY_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("{place}: the answer broke off: {error}"))?;
    Ok(Answer {
        status,
        body: String::from_utf8_lossy(&bytes).into_owned(),
        cookies,
    })
}
