//! What is answered: JSON, pages, and what went wrong in the same words for both.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use resguardo_ops::users::UsersError;
use resguardo_ops::{ErrorKind, OpsError, described};
use serde::Serialize;
use serde_json::json;

/// An answer.
pub(super) type Answer = Result<Response<Body>, Problem>;

/// Why nothing is answered but this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// A word for programs.
    pub(super) kind: &'static str,
    /// A line for people.
    pub(super) message: String,
    /// What to do about it; may be empty.
    pub(super) hint: String,
    /// Seconds after which it is worth another try.
    pub(super) again: Option<u64>,
    /// The role that it takes.
    pub(super) needs: Option<resguardo_model::Role>,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            hint: String::new(),
            again: None,
            needs: None,
        }
    }

    /// The request makes no sense.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "usage", message)
    }

    /// With another status.
    pub(super) fn with(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// With what to do about it.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: hint.into(),
            ..self
        }
    }

    /// There is no such thing.
    pub(super) fn absent(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// Nobody is logged in.
    pub(super) fn nobody() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "log in, or show a token",
        )
        .hint("make a token with `resguardo tokens add NAME --scope read`")
    }

    /// The token that was shown is none.
    pub(super) fn bad_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "the token is not valid",
        )
        .hint("see all tokens with `resguardo tokens list`")
    }

    /// Whoever asks may not.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// Something that is needed cannot be had at present.
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unreachable", message)
    }

    /// There are too many requests.
    pub(super) fn busy() -> Self {
        let mut problem =
            Self::unreachable("too many requests at once").hint("try again in a moment");
        problem.kind = "busy";
        problem.again = Some(1);
        problem
    }

    /// Too many passwords were tried.
    pub(super) fn wait(seconds: u64) -> Self {
        let message = "too many tries; wait a while";
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "wait", message);
        problem.again = Some(seconds.max(1));
        problem
    }

    /// As programs read it.
    pub(super) fn json(&self) -> Response<Body> {
        let body =
            json!({"error": {"kind": self.kind, "message": self.message, "hint": self.hint}});
        let mut response = with_json(self.status, &body);
        self.mark(&mut response);
        response
    }

    /// With the headers that belong to it.
    pub(super) fn mark(&self, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        if let Some(seconds) = self.again {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
}

impl From<OpsError> for Problem {
    fn from(error: OpsError) -> Self {
        let (status, kind) = match error.kind() {
            ErrorKind::User => (StatusCode::NOT_FOUND, "user"),
            ErrorKind::Usage => (StatusCode::BAD_REQUEST, "usage"),
            ErrorKind::Findings => (StatusCode::UNPROCESSABLE_ENTITY, "findings"),
            ErrorKind::Unreachable => (StatusCode::SERVICE_UNAVAILABLE, "unreachable"),
            ErrorKind::Vault => (StatusCode::SERVICE_UNAVAILABLE, "vault"),
            ErrorKind::Locked => (StatusCode::CONFLICT, "locked"),
            ErrorKind::Refused => (StatusCode::CONFLICT, "refused"),
            ErrorKind::Interrupted => (StatusCode::SERVICE_UNAVAILABLE, "interrupted"),
        };
        let hint = error.hint().unwrap_or_default();
        Self::new(status, kind, described(&error)).hint(hint)
    }
}

impl From<UsersError> for Problem {
    fn from(error: UsersError) -> Self {
        Self::unreachable(described(&error))
    }
}

/// JSON.
pub(super) fn json_of(value: &impl Serialize) -> Answer {
    Ok(with_json(StatusCode::OK, value))
}

fn with_json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let bytes = serde_json::to_vec(value).expect("model types have string keys only");
    bytes_of(status, "application/json", bytes)
}

/// Text.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    bytes_of(
        status,
        "text/plain; charset=utf-8",
        text.into().into_bytes(),
    )
}

/// Bytes of a type.
pub(super) fn bytes_of(
    status: StatusCode,
    media_type: &'static str,
    bytes: Vec<u8>,
) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(media_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    response
}

/// To another page of ours.
pub(super) fn to(place: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    // What could not stand in a header was refused with the path.
    let place = HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, place);
    response
}
