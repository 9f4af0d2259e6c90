//! One request to the provider: bounded in time and size, never redirected, never to an address that may not be
//! asked.

use std::io::Read as _;
use std::time::Duration;

use openidconnect::{HttpRequest, HttpResponse};

use super::is_fit;
use crate::client;

/// Bytes of an answer: keys of a large provider are some 10 kB.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// Bytes of its headers.
const HEADERS_BYTES_MAX: usize = 32 * 1024;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why nothing was answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The provider names an address that is not asked.
    #[error("{0} is neither https nor on this machine")]
    Unfit(String),
    /// There was no answer, or none that can be read.
    #[error("asking {host}")]
    Failed {
        /// Whom.
        host: String,
        /// Why not.
        #[source]
        source: ureq::Error,
    },
    /// The answer could not be read to its end.
    #[error("reading what {host} answered")]
    Read {
        /// Who.
        host: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is larger than anything that a provider says.
    #[error("{0} answered with more than 256 kB")]
    Large(String),
    /// The certificates that are to be believed are none.
    #[error("{0}")]
    Trust(String),
}

/// Asks, believing these certificates (PEM) where there are any, and the public ones otherwise.
pub(super) fn ask(
    request: HttpRequest,
    authority: Option<&str>,
) -> Result<HttpResponse, FetchError> {
    let host = request
        .uri()
        .host()
        .map_or_else(|| "nobody".to_owned(), ToOwned::to_owned);
    let address = request.uri().to_string();
    if !is_fit(&address) {
        return Err(FetchError::Unfit(host));
    }
    let agent = client::agent(authority, TIMEOUT, HEADERS_BYTES_MAX).map_err(FetchError::Trust)?;
    let failed = |source| FetchError::Failed {
        host: host.clone(),
        source,
    };
    let (parts, body) = request.into_parts();
    // What has no body must not say that it has an empty one.
    let answer = if body.is_empty() {
        agent.run(ureq::http::Request::from_parts(parts, ()))
    } else {
        agent.run(ureq::http::Request::from_parts(parts, body))
    };
    let (parts, body) = answer.map_err(failed)?.into_parts();
    let mut bytes = Vec::new();
    let read = body
        .into_reader()
        .take(ANSWER_BYTES_MAX + 1)
        .read_to_end(&mut bytes);
    read.map_err(|source| FetchError::Read {
        host: host.clone(),
        source,
    })?;
    if bytes.len() as u64 > ANSWER_BYTES_MAX {
        return Err(FetchError::Large(host));
    }
    Ok(HttpResponse::from_parts(parts, bytes))
}
