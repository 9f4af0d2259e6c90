//! `[notify.X]`, as it is written, and what a source says of its dead man's switches.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Leaf, Length};

/// Somebody who is told what happens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyFile {
    /// What it is: slack, webhook, email, or ping (a dead man's switch, by the convention of healthchecks.io).
    pub kind: Option<Leaf<String>>,
    /// slack, webhook, ping: the address. `${VAR}`, `file:PATH` or `cmd:COMMAND` keep it out of this file. Of a
    /// ping `{source}` and `{task}` stand for what is run.
    pub url: Option<Leaf<String>>,
    /// webhook: what signs the body. `${VAR}`, `file:PATH` or `cmd:COMMAND` keep it out of this file.
    pub secret: Option<Leaf<String>>,
    /// email: the server, like mail.example.org or mail.example.org:465.
    pub server: Option<Leaf<String>>,
    /// email: starttls, tls or plain. Default: tls on port 465, plain on this machine, else starttls.
    pub security: Option<Leaf<String>>,
    /// email: the user that the server knows.
    pub user: Option<Leaf<String>>,
    /// email: the user's password. `${VAR}`, `file:PATH` or `cmd:COMMAND` keep it out of this file.
    pub password: Option<Leaf<String>>,
    /// email: who writes, like resguardo@example.org.
    pub from: Option<Leaf<String>>,
    /// email: who is written to.
    pub to: Option<Leaf<Vec<String>>>,
    /// A file of certificates, in PEM, of the authority that is believed instead of the public ones.
    pub ca: Option<Leaf<String>>,
    /// What it is told: exception, reminder, recovery, run_failed, run_succeeded. Default: the first three.
    pub on: Option<Leaf<Vec<String>>>,
    /// Of which runs it is told: backup, drill, verify, prune, copy. Default: of all; a ping: backup.
    pub tasks: Option<Leaf<Vec<String>>>,
    /// en or es. Default: that of the environment.
    pub language: Option<Leaf<String>>,
    /// How long its answer may take. Default: 15s.
    pub timeout: Option<Leaf<Length>>,
}

/// The dead man's switches of a source, by task: each is pinged around every such run of it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourcePingFile {
    /// Backups. `${VAR}`, `file:PATH` or `cmd:COMMAND` keep it out of this file.
    pub backup: Option<Leaf<String>>,
    /// Drills.
    pub drill: Option<Leaf<String>>,
    /// Verifications.
    pub verify: Option<Leaf<String>>,
    /// Prunes.
    pub prune: Option<Leaf<String>>,
    /// Copies.
    pub copy: Option<Leaf<String>>,
}

impl SourcePingFile {
    /// Those that are set, with the words of their tasks.
    pub fn set(&self) -> impl Iterator<Item = (&'static str, &Leaf<String>)> {
        [
            ("backup", &self.backup),
            ("drill", &self.drill),
            ("verify", &self.verify),
            ("prune", &self.prune),
            ("copy", &self.copy),
        ]
        .into_iter()
        .filter_map(|(task, leaf)| leaf.as_ref().map(|leaf| (task, leaf)))
    }
}
