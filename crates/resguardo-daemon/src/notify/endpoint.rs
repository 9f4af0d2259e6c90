//! An endpoint: who is told, and one try to tell them.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::email::Mail;
use super::letter::Letter;
use super::redact::Redactor;
use super::{email, ping, slack, webhook};

/// Characters of a refusal that are kept.
const SAID_CHARS_MAX: usize = 300;

/// Whether it is worth trying again what was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The same message is refused again.
    Never,
    /// After a while.
    Later,
    /// After so long, as the answer asks.
    After(Duration),
}

/// A message did not arrive, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// Why, in a line, without the endpoint's address beyond its host.
    pub why: String,
    /// Whether it is tried again.
    pub again: Again,
}

impl Refused {
    pub(super) fn later(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            again: Again::Later,
        }
    }

    pub(super) fn never(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            again: Again::Never,
        }
    }
}

/// Where requests go.
#[derive(Clone, Debug)]
pub struct HttpPlace {
    /// The address; who knows it can write there.
    pub url: SecretString,
    /// Certificates, in PEM, of the authority that is believed instead of the public ones.
    pub authority: Option<Arc<str>>,
}

impl HttpPlace {
    /// What may be shown of the address: its scheme and host.
    #[must_use]
    pub fn shown(&self) -> String {
        shown(self.url.expose_secret())
    }
}

/// Scheme and host of an address.
fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "***".to_owned();
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}")
}

/// What an endpoint is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// An incoming webhook of Slack, or of what takes the same.
    Slack(HttpPlace),
    /// An address that is posted JSON.
    Webhook {
        /// The address.
        place: HttpPlace,
        /// What signs the body; `None`: it is not signed.
        secret: Option<SecretString>,
    },
    /// People with mailboxes.
    Email(Box<Mail>),
    /// A dead man's switch, by the convention of healthchecks.io. `{source}` and `{task}` in its address
    /// stand for what is run.
    Ping(HttpPlace),
}

/// Somebody who is told.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its name in the config.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How long its answer may take.
    pub timeout: Duration,
}

impl Endpoint {
    /// Its kind, in a word.
    #[must_use]
    pub fn kind_word(&self) -> &'static str {
        match self.kind {
            Kind::Slack(_) => "slack",
            Kind::Webhook { .. } => "webhook",
            Kind::Email(_) => "email",
            Kind::Ping(_) => "ping",
        }
    }

    /// What may be shown of where it is.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.kind {
            Kind::Slack(place) | Kind::Ping(place) | Kind::Webhook { place, .. } => place.shown(),
            Kind::Email(mail) => mail.shown(),
        }
    }

    /// Tries once to tell it.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn deliver(&self, letter: &Letter) -> Result<(), Refused> {
        let outcome = match &self.kind {
            Kind::Slack(place) => slack::deliver(place, letter, self.timeout),
            Kind::Webhook { place, secret } => {
                webhook::deliver(place, secret.as_ref(), letter, self.timeout)
            }
            Kind::Email(mail) => email::deliver(mail, letter, self.timeout),
            Kind::Ping(place) => ping::deliver(place, letter, self.timeout),
        };
        outcome.map_err(|refused| Refused {
            why: self.redactor().text(&refused.why, SAID_CHARS_MAX),
            again: refused.again,
        })
    }

    /// The same, and no longer than `limit`, whatever the other side does. What goes on beyond that keeps
    /// `token` until it ends.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn deliver_within(
        &self,
        letter: &Letter,
        limit: Duration,
        token: Arc<()>,
    ) -> Result<(), Refused> {
        let (sender, done) = channel();
        let (endpoint, letter) = (self.clone(), letter.clone());
        let attempt = move || {
            let outcome = endpoint.deliver(&letter);
            drop(token);
            // Nobody may be waiting any more.
            let _ = sender.send(outcome);
        };
        std::thread::Builder::new()
            .name("tells".to_owned())
            .spawn(attempt)
            .map_err(|error| Refused::later(format!("no thread for it: {error}")))?;
        match done.recv_timeout(limit) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(Refused::later(format!(
                "{}: not done after {} s",
                self.place(),
                limit.as_secs()
            ))),
            Err(RecvTimeoutError::Disconnected) => Err(Refused::never(
                "a fault of Resguardo's: it panicked while it told",
            )),
        }
    }

    /// Knows the endpoint's own secrets.
    fn redactor(&self) -> Redactor {
        let mut secrets = Vec::new();
        match &self.kind {
            Kind::Slack(place) | Kind::Ping(place) => secrets.push(place.url.clone()),
            Kind::Webhook { place, secret } => {
                secrets.push(place.url.clone());
                secrets.extend(secret.clone());
            }
            Kind::Email(mail) => secrets.extend(mail.password.clone()),
        }
        Redactor::new(secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_the_host_is_shown() {
        for (url, out) in [
            (
                "https://hooks.slack.com/services/T/B/x",
                "https://hooks.slack.com",
            ),
            ("http://u:p@[::1]:80?token=x", "http://[::1]:80"),
            ("nonsense", "***"),
        ] {
            assert_eq!(shown(url), out);
        }
    }
}
