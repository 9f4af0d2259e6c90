//! `[catalog]` and `[serve]`: what several machines share, and which of them this one is.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Leaf, Length};

/// What several machines share that run `serve` for one vault.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogFile {
    /// A PostgreSQL database in which they agree who does what: postgresql://USER@HOST:PORT/DATABASE. `${VAR}`,
    /// file:PATH or cmd:COMMAND keep a password out of this file. Best not on a server that is backed up here.
    pub url: Leaf<String>,
    /// How long a machine may be silent before others say that it died and take over what it ran; the same on
    /// every machine. 5s to 1h. Default: 60s.
    pub lease: Option<Leaf<Length>>,
}

/// This machine, among those that run `serve`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServeFile {
    /// What this machine can reach, in words of your own like "bogota": it takes sources that have one of them, and
    /// those that have none. `serve --label` says it in its place.
    pub labels: Option<Leaf<Vec<String>>>,
}
