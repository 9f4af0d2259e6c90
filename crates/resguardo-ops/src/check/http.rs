//! Requests one after the other, and the answers that pass. What an answer is captured for, what it sets as
//! a cookie and what comes from the environment are secrets: they are sent, and never shown.

use std::time::Instant;

use regex::Regex;
use resguardo_model::{CheckOutcome, CheckResult};
use serde_json::Value;

use super::Restored;
use super::application::{Application, Applications};
use crate::source::{CheckSpec, HttpCheck, HttpStep};

mod known;
mod send;

use known::Known;
use send::{Answer, Request, ask};

/// Characters of a body that a result shows.
const SHOWN_MAX: usize = 400;

/// Why a step did not pass.
enum Miss {
    /// The answer was not as expected: what it was, and its words.
    Answer { actual: String, detail: String },
    /// There was none.
    Error(String),
}

pub(super) fn run(
    restored: &Restored<'_>,
    check: &CheckSpec,
    http: &HttpCheck,
    applications: &mut Applications<'_>,
) -> CheckResult {
    let expected = all_words(http);
    let application = match http.serve.as_deref().map(|line| applications.get(line)) {
        Some(Err(why)) => return CheckResult::error(&check.name, expected, why),
        Some(Ok(application)) => Some(application),
        None => None,
    };
    let mut known = Known::new(http, application.map(|application| application.port));
    let begun = Instant::now();
    for (position, step) in http.steps.iter().enumerate() {
        let left = check.timeout.saturating_sub(begun.elapsed());
        let ended = request_of(step, &known)
            .and_then(|request| ask(request, left, &restored.ctx.cancel))
            .map_err(Miss::Error);
        let said = application.map(Application::said).unwrap_or_default();
        if application.is_some_and(|application| !application.is_running()) {
            let why = with_words("the application ended during the check", &said);
            return CheckResult::error(&check.name, expected, known.masked(&why));
        }
        let ended = ended.and_then(|answer| {
            known.learn(step, &answer);
            judge(step, &answer)
        });
        let Err(miss) = ended else {
            continue;
        };
        let (place, address) = match http.steps.len() {
            1 => (String::new(), String::new()),
            // The address as it is configured: what its variables stand for is not shown.
            all => (
                format!("step {} of {all}: ", position + 1),
                format!("{} {}: ", step.method, step.url),
            ),
        };
        return match miss {
            Miss::Error(why) => {
                let why = with_words(&format!("{place}{address}{why}"), &said);
                CheckResult::error(&check.name, expected, known.masked(&why))
            }
            Miss::Answer { actual, detail } => {
                let detail = if place.is_empty() {
                    detail
                } else {
                    format!("{address}{actual}; {} was expected{detail}", words(step))
                };
                let actual = known.masked(&format!("{place}{actual}"));
                let mut result =
                    CheckResult::new(&check.name, CheckOutcome::Failed, expected, actual);
                let detail = detail.trim_start_matches("; ");
                result.detail = known.masked(&with_words(detail, &said));
                result
            }
        };
    }
    let actual = match http.steps.as_slice() {
        [only] => actual_words(only),
        all => format!("{} steps as expected", all.len()),
    };
    CheckResult::new(&check.name, CheckOutcome::Passed, expected, actual)
}

fn all_words(http: &HttpCheck) -> String {
    match http.steps.as_slice() {
        [only] => words(only),
        all => format!("{} steps as expected", all.len()),
    }
}

fn words(step: &HttpStep) -> String {
    let mut words = format!("status {}", step.status);
    if let Some(pattern) = &step.matches {
        words.push_str(&format!(" and a match of /{pattern}/"));
    }
    for (path, value) in &step.json {
        words.push_str(&format!(" and {path} = {value}"));
    }
    words
}

fn actual_words(step: &HttpStep) -> String {
    let mut words = format!("status {}", step.status);
    if step.matches.is_some() {
        words.push_str(" and a match");
    }
    for (path, value) in &step.json {
        words.push_str(&format!(" and {path} = {value}"));
    }
    words
}

fn with_words(why: &str, said: &str) -> String {
    if said.is_empty() {
        why.to_owned()
    } else {
        format!("{why}; the application said: {said}")
    }
}

fn request_of(step: &HttpStep, known: &Known) -> Result<Request, String> {
    let headers = step.headers.iter().map(|(name, value)| {
        let value = known.fill(value)?;
        Ok((name.clone(), value))
    });
    let mut headers = headers.collect::<Result<Vec<_>, String>>()?;
    let own_cookies = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    if let Some(cookies) = known.cookies().filter(|_| !own_cookies) {
        headers.push(("Cookie".to_owned(), cookies));
    }
    let body = step.body.as_deref().map(|body| known.fill(body));
    Ok(Request {
        // What follows a question mark may be a token.
        place: step.url.split('?').next().unwrap_or_default().to_owned(),
        url: known.fill(&step.url)?,
        method: step.method.clone(),
        headers,
        body: body.transpose()?,
    })
}

/// Compares an answer with what is expected of it.
fn judge(step: &HttpStep, answer: &Answer) -> Result<(), Miss> {
    let mut passed = answer.status == step.status;
    let mut actual = format!("status {}", answer.status);
    if let Some(pattern) = &step.matches {
        let pattern = Regex::new(pattern).map_err(|error| Miss::Error(error.to_string()))?;
        let fits = pattern.is_match(&answer.body);
        actual.push_str(if fits {
            " and a match"
        } else {
            " and no match"
        });
        passed &= fits;
    }
    if !step.json.is_empty() || !step.capture.is_empty() {
        match serde_json::from_str::<Value>(&answer.body) {
            Ok(document) => {
                for (path, expected) in &step.json {
                    let found = path.find(&document);
                    passed &= found
                        .as_ref()
                        .is_some_and(|found| is_equal(found, expected));
                    match found {
                        Some(found) => actual.push_str(&format!(" and {path} = {found}")),
                        None => actual.push_str(&format!(" and no {path}")),
                    }
                }
                for (name, path) in &step.capture {
                    if path.find(&document).is_none() {
                        actual.push_str(&format!(" and no {path} to be {name}"));
                        passed = false;
                    }
                }
            }
            Err(_) => {
                actual.push_str(" and no JSON");
                passed = false;
            }
        }
    }
    if passed {
        return Ok(());
    }
    // The answer that was hoped for holds what is captured; another one says what is wrong.
    let detail = if step.capture.is_empty() || answer.status != step.status {
        let shown: String = answer.body.chars().take(SHOWN_MAX).collect();
        format!("; the answer was: {shown}")
    } else {
        String::new()
    };
    Err(Miss::Answer { actual, detail })
}

/// Two numbers are compared as numbers: 1 and 1.0 are the same.
fn is_equal(found: &Value, expected: &Value) -> bool {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => found.total_cmp(&expected).is_eq(),
        _ => found == expected,
    }
}
