//! `/events`: what changes, as server-sent events. They say *that* something changed; what it is now, the pages and the
//! API say.
//!
//! Bounded in number, in all and for each who holds a session or a token; whoever does not read, or is no longer
//! let in, is dropped.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use futures::Stream;
use resguardo_model::RunId;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Problem, bytes_of};
use super::ask::{Ask, By, identify};
use super::state::State;
use crate::board::{About, Event};

/// Open streams in all.
const IN_ALL_MAX: usize = 256;
/// Runs whose names are remembered.
const NAMES_MAX: usize = 64;
/// Open streams of one who is let in.
const OF_ONE_MAX: usize = 16;
/// How often something is said where nothing happens, and whether the reader is still let in is looked at.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// After so long a reader has to come again.
const LIFE_MAX: Duration = Duration::from_secs(60 * 60);

/// The open streams.
#[derive(Default)]
pub(super) struct Streams(Mutex<HashMap<String, usize>>, Mutex<VecDeque<(u64, RunId)>>);

impl Streams {
    /// The run of the catalog that a run of the feed is, also a short while after it ended.
    fn name_of(&self, state: &State, key: u64) -> Option<RunId> {
        let running = state.house.desk.running();
        let now = running.iter().find(|run| run.key == key);
        let now = now.and_then(|run| run.run);
        let mut known = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.iter().find(|(own, _)| *own == key);
        match (before, now) {
            (Some((_, run)), _) => Some(*run),
            (None, None) => None,
            (None, Some(run)) => {
                if known.len() == NAMES_MAX {
                    known.pop_front();
                }
                known.push_back((key, run));
                Some(run)
            }
        }
    }
}

/// A place among them; free again when it is dropped.
struct Place {
    state: Arc<State>,
    key: String,
}

impl Place {
    fn take(state: &Arc<State>, key: String) -> Option<Self> {
        let mut held = state
            .streams
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let in_all: usize = held.values().sum();
        let of_one = held.get(&key).copied().unwrap_or(0);
        if in_all >= IN_ALL_MAX || of_one >= OF_ONE_MAX {
            return None;
        }
        *held.entry(key.clone()).or_insert(0) += 1;
        let state = Arc::clone(state);
        Some(Self { state, key })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let held = &self.state.streams.0;
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

/// The stream.
pub(super) fn stream(ask: &Ask) -> Answer {
    let who = ask.who()?;
    let key = match &who.by {
        By::Session(secret) => secret.form_token(),
        By::Token => format!("token {}", who.name),
    };
    let place = Place::take(&ask.state, key).ok_or_else(Problem::busy)?;
    let board = &ask.state.house.board;
    let events = board.events();
    let last = ask
        .headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok());
    let newest = board.newest();
    // Whoever was away is told to look; of what happened meanwhile only the last state counts.
    let missed = last.is_some_and(|last: u64| last != newest);
    let first = format!(
        "retry: 3000\n\n{}",
        if missed {
            status(newest, ask)
        } else {
            String::new()
        }
    );
    let reader = Reader {
        events,
        place,
        headers: ask.headers.clone(),
        first: Some(first),
        checked: Instant::now(),
        end: Instant::now() + LIFE_MAX,
    };
    let mut response = bytes_of(axum::http::StatusCode::OK, "text/event-stream", Vec::new());
    *response.body_mut() = Body::from_stream(reader.into_stream());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that gathers what it sends would keep the events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn status(number: u64, ask: &Ask) -> String {
    said(
        &ask.state,
        &Event {
            number,
            about: About::Status,
        },
    )
}

struct Reader {
    events: Receiver<Event>,
    place: Place,
    headers: axum::http::HeaderMap,
    first: Option<String>,
    /// When it was last looked at whether the reader is let in.
    checked: Instant,
    end: Instant,
}

impl Reader {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        futures::stream::unfold(self, |mut reader| async move {
            let text = reader.next().await?;
            Some((Ok(Bytes::from(text)), reader))
        })
    }

    /// What is said next; `None`: it is over.
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let state = Arc::clone(&self.place.state);
        let answer = match timeout_at(Instant::now() + HEARTBEAT, self.events.recv()).await {
            Ok(Ok(event)) => said(&state, &event),
            // Too far behind, or the daemon ends: it comes again, and looks at everything.
            Ok(Err(RecvError::Lagged(_) | RecvError::Closed)) => return None,
            Err(_) => ": still here\n\n".to_owned(),
        };
        let now = Instant::now();
        if now.duration_since(self.checked) >= HEARTBEAT {
            self.checked = now;
            if !matches!(identify(&state, &self.headers), Ok(Some(_))) {
                return None;
            }
        }
        (now < self.end).then_some(answer)
    }
}

fn said(state: &State, event: &Event) -> String {
    let number = event.number;
    let (name, data) = match event.about {
        About::Status => {
            let version = state.house.board.snapshot().version;
            ("status", json!({ "version": version }))
        }
        About::Run(key) => match state.streams.name_of(state, key) {
            // Pages of runs know them by this.
            Some(run) => ("run", json!({ "key": key, "run": run })),
            None => ("run", json!({ "key": key })),
        },
    };
    format!("id: {number}\nevent: {name}\ndata: {data}\n\n")
}
