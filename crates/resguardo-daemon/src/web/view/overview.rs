//! All sources at a glance.

use jiff::Timestamp;

use resguardo_model::{Concern, Measure, Standing};

use super::{Forecast, Running};

/// All sources, the worst first.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// When this was looked at.
    pub at: Timestamp,
    /// The sources, in the order in which they are shown.
    pub sources: Vec<Row>,
    /// What runs at this moment.
    pub running: Vec<Running>,
    /// Exceptions that nobody has resolved.
    pub exceptions: u64,
    /// What is wrong with objects of the vault, in a line each.
    pub findings: Vec<String>,
}

impl Overview {
    /// How many sources stand so.
    #[must_use]
    pub fn count(&self, standing: Standing) -> u64 {
        let so = self.sources.iter().filter(|row| row.standing == standing);
        so.count() as u64
    }
}

/// One source.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its engine.
    pub engine: String,
    /// Its environment.
    pub environment: String,
    /// The worst of all that follows.
    pub standing: Standing,
    /// Why it does not stand better; the weightiest first.
    pub concerns: Vec<Concern>,
    /// Age of what could be restored now.
    pub rpo: Measure,
    /// Length of the last restore that passed its drill.
    pub rto: Measure,
    /// The last restore that passed.
    pub proven_at: Option<Timestamp>,
    /// When the last drill ended, whatever became of it.
    pub last_drill: Option<Timestamp>,
    /// When the restore will be slower than promised.
    pub forecast: Option<Forecast>,
    /// The further vaults.
    pub copies: Vec<Copy>,
    /// When it is drilled next.
    pub next_drill: Option<Timestamp>,
    /// Exceptions that nobody has resolved.
    pub exceptions: u64,
}

/// A further vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// What it is called.
    pub name: String,
    /// Where it is, without secrets.
    pub place: String,
    /// Backups that it lacks.
    pub behind: u64,
    /// The newest backup that lies there.
    pub newest: Option<Timestamp>,
}
