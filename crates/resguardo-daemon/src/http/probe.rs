//! Whether the process lives, and whether it can do its work.

use axum::http::StatusCode;
use jiff::SignedDuration;

use super::answer::{Answer, Problem, bytes_of, text};
use super::ask::Ask;

/// How old the last look that saw anything may be.
const LOOKED_MAX: SignedDuration = SignedDuration::from_mins(5);

/// `/healthz`: it answers, so it lives.
pub(super) fn health(_ask: &Ask) -> Answer {
    Ok(text(StatusCode::OK, "alive\n"))
}

/// `/readyz`: vault and catalog could be read lately. Why they could not is told to whoever is on this machine.
pub(super) fn ready(ask: &Ask) -> Answer {
    let snapshot = ask.state.house.board.snapshot();
    let is_fresh = |at| ask.state.now().duration_since(at) < LOOKED_MAX;
    let unreachable = snapshot
        .seen
        .as_ref()
        .and_then(|seen| seen.status.unreachable.clone());
    let why = match (&snapshot.blind, snapshot.seen_at) {
        (Some(why), _) => why.clone(),
        (None, None) => "nothing was looked at yet".to_owned(),
        (None, Some(at)) if !is_fresh(at) => format!("nothing was looked at since {at:.0}"),
        (None, Some(_)) => match unreachable {
            None => return Ok(text(StatusCode::OK, "ready\n")),
            Some(why) => why,
        },
    };
    let told = if ask.address.is_loopback() && !ask.state.settings.behind_proxy {
        format!("not ready: {why}\n")
    } else {
        "not ready\n".to_owned()
    };
    Ok(text(StatusCode::SERVICE_UNAVAILABLE, told))
}

/// `/metrics`: what was seen at the last look, for Prometheus.
pub(super) fn metrics(ask: &Ask) -> Answer {
    let snapshot = ask.state.house.board.snapshot();
    let seen = snapshot.seen.as_ref().ok_or_else(Problem::starting)?;
    let told = crate::metrics::text(&seen.status, &ask.state.house.version);
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(bytes_of(StatusCode::OK, media_type, told.into_bytes()))
}
