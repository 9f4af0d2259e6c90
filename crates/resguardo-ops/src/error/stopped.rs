//! A restore that stopped on its way.

use super::{ErrorKind, OpsError};

/// A step around a restore failed; nothing after it was done.
#[derive(Debug, thiserror::Error)]
#[error(
    "{place}: {step}: {why}; done before it: {}; not done: {}",
    listed(done),
    listed(not_done)
)]
pub struct Stopped {
    /// The target.
    pub place: String,
    /// The step that failed.
    pub step: String,
    /// How it ended.
    pub why: String,
    /// What it said, which is for nobody but whoever runs it: it may hold a secret.
    pub said: String,
    /// The steps before it, in their order.
    pub done: Vec<String>,
    /// The steps after it, in their order.
    pub not_done: Vec<String>,
    /// What opens the target again, if it is closed for maintenance.
    pub reopen: Option<String>,
    /// Data was restored or migrated and is not as it has to be.
    pub data: bool,
    /// The cause, where it is one of ours.
    #[source]
    pub source: Option<OpsError>,
}

impl Stopped {
    pub(super) fn kind(&self) -> ErrorKind {
        match &self.source {
            Some(source) => source.kind(),
            None if self.data => ErrorKind::Findings,
            None => ErrorKind::User,
        }
    }

    pub(super) fn hint(&self) -> String {
        let hint = self.source.as_ref().and_then(OpsError::hint);
        let hint = hint.unwrap_or_else(|| match &self.reopen {
            Some(_) => "put that right and run the same command again".to_owned(),
            None => "put that right and run the same command again, or do what is left yourself"
                .to_owned(),
        });
        match &self.reopen {
            Some(reopen) => format!("{hint}; to let the application in as it is: {reopen}"),
            None => hint,
        }
    }
}

fn listed(steps: &[String]) -> String {
    if steps.is_empty() {
        "nothing".to_owned()
    } else {
        steps.join(", ")
    }
}
