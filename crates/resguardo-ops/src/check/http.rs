//! A request, and the answer that passes.

use std::io::Read as _;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use regex::Regex;
use resguardo_model::{CancelToken, CheckOutcome, CheckResult};

use super::Restored;
use super::application::{Application, Applications};
use crate::source::{CheckSpec, HttpCheck};

/// Bytes of a body that are read.
const BODY_BYTES_MAX: u64 = 1024 * 1024;
/// Characters of a body that a result shows.
const SHOWN_MAX: usize = 400;
/// How often cancellation is asked for.
const POLL: Duration = Duration::from_millis(50);

struct Answer {
    status: u16,
    body: String,
}

pub(super) fn run(
    restored: &Restored<'_>,
    check: &CheckSpec,
    request: &HttpCheck,
    applications: &mut Applications<'_>,
) -> CheckResult {
    let expected = words(request);
    let pattern = match request.matches.as_deref().map(Regex::new).transpose() {
        Ok(pattern) => pattern,
        Err(error) => return CheckResult::error(&check.name, expected, error.to_string()),
    };
    let application = match request.serve.as_deref().map(|line| applications.get(line)) {
        Some(Err(why)) => return CheckResult::error(&check.name, expected, why),
        Some(Ok(application)) => Some(application),
        None => None,
    };
    let url = match (application, request.url.contains("${PORT}")) {
        (Some(application), _) => request
            .url
            .replace("${PORT}", &application.port.to_string()),
        (None, false) => request.url.clone(),
        (None, true) => {
            let why = "the address needs ${PORT}, and the check has no serve";
            return CheckResult::error(&check.name, expected, why);
        }
    };
    let answer = ask(request, &url, check.timeout, &restored.ctx.cancel);
    let said = application.map(Application::said).unwrap_or_default();
    if application.is_some_and(|application| !application.is_running()) {
        let why = with_words("the application ended during the check", &said);
        return CheckResult::error(&check.name, expected, why);
    }
    match answer {
        Ok(answer) => judge(&check.name, request, pattern.as_ref(), &answer, &said),
        Err(why) => CheckResult::error(&check.name, expected, with_words(&why, &said)),
    }
}

fn words(request: &HttpCheck) -> String {
    match &request.matches {
        Some(pattern) => format!("status {} and a match of /{pattern}/", request.status),
        None => format!("status {}", request.status),
    }
}

fn with_words(why: &str, said: &str) -> String {
    if said.is_empty() {
        why.to_owned()
    } else {
        format!("{why}; the application said: {said}")
    }
}

fn judge(
    name: &str,
    request: &HttpCheck,
    pattern: Option<&Regex>,
    answer: &Answer,
    said: &str,
) -> CheckResult {
    let body_fits = pattern.is_none_or(|pattern| pattern.is_match(&answer.body));
    let outcome = if answer.status == request.status && body_fits {
        CheckOutcome::Passed
    } else {
        CheckOutcome::Failed
    };
    let mut actual = format!("status {}", answer.status);
    if pattern.is_some() {
        actual.push_str(if body_fits {
            " and a match"
        } else {
            " and no match"
        });
    }
    let mut result = CheckResult::new(name, outcome, words(request), actual);
    if outcome == CheckOutcome::Failed {
        let shown: String = answer.body.chars().take(SHOWN_MAX).collect();
        result.detail = with_words(&format!("the answer was: {shown}"), said);
    }
    result
}

/// Sends the request from a thread of its own, so that a caller who cancels need not wait for it; the
/// thread ends at the timeout at the latest.
fn ask(
    request: &HttpCheck,
    url: &str,
    timeout: Duration,
    cancel: &CancelToken,
) -> Result<Answer, String> {
    let (sender, answered) = channel();
    let (request, url) = (request.clone(), url.to_owned());
    std::thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(send(&request, &url, timeout));
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

fn send(request: &HttpCheck, url: &str, timeout: Duration) -> Result<Answer, String> {
    // What follows a question mark may be a token.
    let place = url.split('?').next().unwrap_or(url);
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
        .uri(url);
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
    })
}
