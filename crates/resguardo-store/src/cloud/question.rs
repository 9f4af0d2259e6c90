//! Requests of our own beside `object_store`'s: each is signed by the adapter and sent here.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use object_store::client::{HttpErrorKind, HttpRequest, HttpRequestBody};

use super::Bucket;
use super::answer::Asked;
use crate::port::{BoxError, StoreError};

/// Status, headers and body of an answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    headers: Vec<(String, String)>,
}

impl Reply {
    /// A header; its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The service's time when it answered.
    pub(crate) fn date(&self) -> Option<Timestamp> {
        let zoned = rfc2822::parse(self.header("date")?).ok()?;
        Some(zoned.timestamp())
    }

    /// The first field of this name in a JSON body, without its quotes.
    pub(crate) fn json(&self, name: &str) -> Option<&str> {
        let (_, after) = self.body.split_once(&format!("\"{name}\""))?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        match value.strip_prefix('"') {
            Some(text) => text.split('"').next(),
            None => value.split([',', '}', '\n']).next().map(str::trim),
        }
    }

    /// The answer as the port's error.
    pub(crate) fn into_error(self, asked: &Asked<'_>) -> StoreError {
        asked.refused(Some(self.status), &self.body)
    }
}

impl Bucket {
    /// Sends one request that is ready but for its URL.
    pub(crate) async fn send(
        &self,
        asked: &Asked<'_>,
        method: &str,
        url: &str,
        headers: &[(&'static str, String)],
        body: &str,
    ) -> Result<Reply, StoreError> {
        let unfit = |what: &'static str| asked.other(what.into());
        let body = if body.is_empty() {
            HttpRequestBody::empty()
        } else {
            HttpRequestBody::from(body.to_owned())
        };
        let mut request = HttpRequest::new(body);
        *request.method_mut() = method.parse().map_err(|_| unfit("not a method"))?;
        *request.uri_mut() = url.parse().map_err(|_| unfit("not a URL"))?;
        for (name, value) in headers {
            let value = value.parse().map_err(|_| unfit("not a header"))?;
            request.headers_mut().insert(*name, value);
        }
        self.execute(asked, request).await
    }

    /// Sends one request.
    pub(crate) async fn execute(
        &self,
        asked: &Asked<'_>,
        request: HttpRequest,
    ) -> Result<Reply, StoreError> {
        let exchange = async {
            let answer = self.http.execute(request).await?;
            let status = answer.status().as_u16();
            let headers = answer
                .headers()
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
                })
                .collect();
            let bytes = answer.into_body().bytes().await?;
            Ok(Reply {
                status,
                headers,
                body: String::from_utf8_lossy(&bytes).into_owned(),
            })
        };
        match tokio::time::timeout(self.silence_max, exchange).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => {
                let error: object_store::client::HttpError = error;
                Err(match error.kind() {
                    HttpErrorKind::Connect => asked.unreachable(BoxError::from(error)),
                    _ => asked.interrupted(BoxError::from(error)),
                })
            }
            Err(elapsed) => Err(asked.interrupted(elapsed.into())),
        }
    }
}
