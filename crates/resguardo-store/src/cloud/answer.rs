//! What the service answered, as one of the port's errors.
//!
//! `object_store` hands its cause on as text nested in text: the status is read from it, and so are the
//! code and message of the service's XML. The cause that users see is the service's own sentence, or the
//! network's.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

use super::Place;
use crate::port::{BoxError, StoreError};

/// The service's refusal, in its own words.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Refusal {
    pub(crate) status: Option<u16>,
    /// The service's own name for it, like `ExpiredToken`.
    pub(crate) code: String,
    pub(crate) message: String,
    /// The region in which the bucket lies, where the answer names it.
    pub(crate) region: Option<String>,
}

impl Refusal {
    /// Out of the body of an answer: XML, or Google's JSON.
    fn in_body(status: Option<u16>, body: &str) -> Self {
        let field = |xml: &str, json: &str| element(body, xml).or_else(|| json_field(body, json));
        Self {
            status,
            code: field("Code", "reason").unwrap_or_default(),
            message: field("Message", "message").unwrap_or_default(),
            region: element(body, "Region"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.map(|status| format!("HTTP {status}"));
        let first = self.message.lines().next().unwrap_or("");
        let parts: Vec<_> = [status.as_deref().unwrap_or(""), &self.code, first]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        f.write_str(&parts.join(": "))
    }
}

/// The network broke off.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {words}")]
struct Broken {
    place: String,
    words: String,
}

/// Nobody here can say who asks.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub(crate) struct Nobody {
    /// What the place's URL begins with: `s3`, `gs`, `az`.
    pub(crate) scheme: String,
    words: String,
}

/// The service that makes tokens of the credentials refuses them.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub(crate) struct RefusedToken {
    /// As of [`Nobody`].
    pub(crate) scheme: String,
    words: String,
}

/// A request, for its errors.
pub(crate) struct Asked<'a> {
    /// `put`, `get`, ...
    pub(crate) operation: &'static str,
    /// The key or prefix.
    pub(crate) key: &'a str,
    /// The bucket.
    pub(crate) place: &'a Place,
}

impl Asked<'_> {
    /// Waits for `request` at most until `deadline`.
    pub(crate) async fn within<T>(
        &self,
        deadline: Duration,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(deadline, request).await {
            Ok(answer) => answer.map_err(|error| self.error(error)),
            Err(_) => {
                let words = format!("no answer within {} s", deadline.as_secs_f32());
                Err(self.interrupted(self.broken(words)))
            }
        }
    }

    pub(crate) fn interrupted(&self, source: BoxError) -> StoreError {
        StoreError::Interrupted {
            operation: self.operation,
            key: self.named(),
            source,
        }
    }

    /// No connection came about.
    pub(crate) fn unreachable(&self, source: BoxError) -> StoreError {
        StoreError::Unreachable {
            operation: self.operation,
            key: self.named(),
            source,
        }
    }

    /// The key or prefix; the place, where all of it is meant.
    fn named(&self) -> String {
        if self.key.is_empty() {
            self.place.url.clone()
        } else {
            self.key.to_owned()
        }
    }

    pub(crate) fn other(&self, source: BoxError) -> StoreError {
        StoreError::Other {
            operation: self.operation,
            key: self.named(),
            source,
        }
    }

    fn broken(&self, words: String) -> BoxError {
        let place = self
            .place
            .endpoint
            .clone()
            .unwrap_or_else(|| self.place.url.clone());
        Broken { place, words }.into()
    }

    /// What `object_store` answered, as the port's error.
    fn error(&self, error: object_store::Error) -> StoreError {
        use object_store::Error as E;
        if is_about_credentials(&error) {
            return self.without_credentials(&error);
        }
        if let Some(network) = network_error(&error) {
            return self.network(network, &error);
        }
        let text = error.to_string();
        let refusal = Refusal {
            region: element(&text, "Region").or_else(|| is_redirect(&text).then(String::new)),
            ..Refusal::in_body(status_in(&text), &text)
        };
        let refusal = match self.by_code(refusal) {
            Ok(named) => return named,
            Err(refusal) => refusal,
        };
        let (operation, key) = (self.operation, self.named());
        match error {
            E::NotFound { .. } => StoreError::NotFound { key },
            E::AlreadyExists { .. } | E::Precondition { .. } if operation == "put" => {
                StoreError::ConditionFailed { key }
            }
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => StoreError::Denied {
                operation,
                key,
                source: refusal.into(),
            },
            E::NotImplemented { .. } | E::NotSupported { .. } => {
                StoreError::Unsupported { operation, key }
            }
            error if refusal.status.is_none() && refusal.region.is_none() => {
                // Something on our side of the connection.
                self.other(error.into())
            }
            _ => self.by_status(refusal),
        }
    }

    /// Nobody here can say who asks, or who does is not believed.
    fn without_credentials(&self, error: &object_store::Error) -> StoreError {
        let (operation, key) = (self.operation, self.named());
        let words = root_of(error).to_string();
        let (scheme, _) = self.place.url.split_once("://").unwrap_or_default();
        let scheme = scheme.to_owned();
        if is_refused_token(error) {
            // There are credentials, and the service that makes tokens of them refuses.
            let source = RefusedToken { scheme, words }.into();
            return StoreError::Denied {
                operation,
                key,
                source,
            };
        }
        StoreError::NoCredentials {
            operation,
            key,
            source: Nobody { scheme, words }.into(),
        }
    }

    /// An answer to a request of our own, as the port's error.
    pub(crate) fn refused(&self, status: Option<u16>, body: &str) -> StoreError {
        match self.by_code(Refusal::in_body(status, body)) {
            Ok(named) => named,
            Err(refusal) => self.by_status(refusal),
        }
    }

    /// The error that the service's own code names; the refusal comes back where it names none.
    fn by_code(&self, refusal: Refusal) -> Result<StoreError, Refusal> {
        let (operation, key) = (self.operation, self.named());
        Ok(match meaning(&refusal) {
            Meaning::NoSuchPlace => StoreError::NoSuchPlace {
                place: self.place.words.clone(),
                source: refusal.into(),
            },
            Meaning::Full => StoreError::Full {
                operation,
                key,
                source: refusal.into(),
            },
            Meaning::Locked => StoreError::Locked {
                key,
                until: None,
                source: refusal.into(),
            },
            Meaning::Denied => StoreError::Denied {
                operation,
                key,
                source: refusal.into(),
            },
            Meaning::Passing => self.interrupted(refusal.into()),
            Meaning::None => return Err(refusal),
        })
    }

    fn by_status(&self, refusal: Refusal) -> StoreError {
        let (operation, key) = (self.operation, self.named());
        match refusal.status {
            Some(401 | 403) => StoreError::Denied {
                operation,
                key,
                source: refusal.into(),
            },
            Some(404) => StoreError::NotFound { key },
            Some(501) => StoreError::Unsupported { operation, key },
            Some(507) => StoreError::Full {
                operation,
                key,
                source: refusal.into(),
            },
            Some(408 | 429 | 500..) => self.interrupted(refusal.into()),
            _ => self.other(refusal.into()),
        }
    }

    fn network(&self, network: &HttpError, error: &object_store::Error) -> StoreError {
        let root = root_of(error);
        let words = self.broken(root.to_string());
        let unknown_host = root.to_string().contains("Name or service not known")
            || root.to_string().contains("nodename nor servname");
        if unknown_host {
            return StoreError::NoSuchPlace {
                place: self.place.url.clone(),
                source: words,
            };
        }
        match network.kind() {
            HttpErrorKind::Connect if is_certificate(error) => self.other(words),
            HttpErrorKind::Connect => self.unreachable(words),
            // `Unknown` is how a connection that was reset in the middle of a body may look.
            _ => self.interrupted(words),
        }
    }
}

/// Whether a service of tokens answered, and refused: not a machine's metadata service.
fn is_refused_token(error: &object_store::Error) -> bool {
    const SERVICES: [&str; 4] = [
        "//oauth2.googleapis.",
        "//accounts.google.",
        "//login.microsoftonline.",
        "//sts.",
    ];
    let text = error.to_string();
    let (first, status) = text.split_once("status code: ").unwrap_or((&text, ""));
    SERVICES.iter().any(|service| first.contains(service)) && status.starts_with('4')
}

/// Whether the failure is not the store's but that of whoever should say who asks: a machine's metadata
/// service, or a service of tokens. Its answers must never pass for those of the store: a 404 of it is no
/// missing object.
fn is_about_credentials(error: &object_store::Error) -> bool {
    // Hosts and paths that no object of a vault has, whatever a bucket or a source is called.
    const PLACES: [&str; 10] = [
        "/latest/api/token",
        "/latest/meta-data/",
        "//169.254.",
        "//metadata.",
        "/computeMetadata/",
        "//oauth2.googleapis.",
        "//accounts.google.",
        "//login.microsoftonline.",
        "//sts.",
        "/msi/token",
    ];
    if !matches!(error, object_store::Error::Generic { .. }) {
        return false;
    }
    let text = error.to_string();
    // Only the first line is `object_store`'s: what follows may be an answer's body.
    let first = text.split("status code").next().unwrap_or(&text);
    let names_no_url = !first.contains("://");
    names_no_url && first.contains("credential") || PLACES.iter().any(|place| first.contains(place))
}

/// What a service's own code means for the port.
enum Meaning {
    NoSuchPlace,
    Full,
    Locked,
    Denied,
    /// Worth another try.
    Passing,
    /// Nothing that the status does not say.
    None,
}

fn meaning(refusal: &Refusal) -> Meaning {
    match refusal.code.as_str() {
        "NoSuchBucket" | "ContainerNotFound" | "ContainerBeingDeleted" => Meaning::NoSuchPlace,
        "QuotaExceeded" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded" => Meaning::Full,
        "ObjectLocked"
        | "BlobImmutableDueToPolicy"
        | "BlobImmutableDueToLegalHold"
        | "ContainerImmutableDueToPolicy"
        | "RetentionPolicyNotMet"
        | "retentionPolicyNotMet"
        | "ObjectUnderActiveHold"
        | "objectUnderActiveHold" => Meaning::Locked,
        "AccessDenied" if speaks_of_lock(&refusal.message) => Meaning::Locked,
        "ExpiredToken"
        | "TokenRefreshRequired"
        | "InvalidToken"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "RequestTimeTooSkewed"
        | "RequestExpired"
        | "AuthenticationFailed"
        | "AuthorizationFailure"
        | "AccessDenied" => Meaning::Denied,
        // Bytes changed or ended on the way, or another request was faster.
        "BadDigest"
        | "Md5Mismatch"
        | "XAmzContentSHA256Mismatch"
        | "IncompleteBody"
        | "RequestTimeout"
        | "OperationTimedOut"
        | "SlowDown"
        | "ServerBusy"
        | "InternalError"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "ServiceUnavailable" => Meaning::Passing,
        _ => Meaning::None,
    }
}

/// Services without a code for it say it in words.
fn speaks_of_lock(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["object lock", "worm", "retention", "legal hold"]
        .iter()
        .any(|word| message.contains(word))
}

/// `object_store`'s words for a redirect to another region, which it does not follow.
fn is_redirect(text: &str) -> bool {
    text.contains("redirect without LOCATION")
}

/// The error of the HTTP client in the chain of causes, if the failure is the network's.
fn network_error(error: &object_store::Error) -> Option<&HttpError> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(network) = error.downcast_ref::<HttpError>() {
            return Some(network);
        }
        cause = error.source();
    }
    None
}

/// The deepest cause: the system's own words.
fn root_of<'a>(error: &'a object_store::Error) -> &'a (dyn std::error::Error + 'static) {
    let mut cause: &'a (dyn std::error::Error + 'static) = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}

/// A certificate that is not trusted stays so.
fn is_certificate(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let hidden = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let says = |text: String| text.contains("certificate");
        if says(error.to_string()) || hidden.is_some_and(|error| says(error.to_string())) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The status in `object_store`'s text.
fn status_in(text: &str) -> Option<u16> {
    let (_, after) = text.split_once("status code: ")?;
    after.get(..3)?.parse().ok()
}

/// The content of the first text field `name` of a JSON answer, cut to what fits a message.
fn json_field(text: &str, name: &str) -> Option<String> {
    let (_, after) = text.split_once(&format!("\"{name}\""))?;
    let value = after.trim_start().strip_prefix(':')?.trim_start();
    let (content, _) = value.strip_prefix('"')?.split_once('"')?;
    Some(content.chars().take(300).collect())
}

/// The content of S3's XML element `name`, cut to what fits a message.
pub(crate) fn element(text: &str, name: &str) -> Option<String> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    let (content, _) = after.split_once(&format!("</{name}>"))?;
    Some(content.chars().take(300).collect())
}

#[cfg(test)]
mod tests;
