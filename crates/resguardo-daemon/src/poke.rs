//! Somebody asks for a run now, out of turn: a person by the dashboard, or a program by its API.

use resguardo_model::BackupId;

use crate::agenda::{Subject, Task};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poke {
    /// To whom.
    pub subject: Subject,
    /// What is to be done.
    pub task: Task,
    /// How, and on whose behalf.
    pub asked: Asked,
}

/// How a run is to be done that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who asked: the run's operator.
    pub by: String,
    /// A drill, a restore: of this backup, and not of the one that the config chooses.
    pub backup: Option<BackupId>,
    /// A restore: the name of the database or file beside the source, which is not there yet.
    pub to: Option<String>,
    /// A drill: what was restored stays.
    pub keep: bool,
}

impl Asked {
    /// As the config has it.
    #[must_use]
    pub fn by(who: impl Into<String>) -> Self {
        Self {
            by: who.into(),
            backup: None,
            to: None,
            keep: false,
        }
    }

    /// Whether a run that was asked to be `other`, or that its schedule began, is what is asked for here.
    pub(crate) fn is_done_by(&self, other: Option<&Self>) -> bool {
        let wants = |asked: &Self| (asked.backup, asked.to.clone(), asked.keep);
        let of_schedule = (None, None, false);
        wants(self) == other.map_or(of_schedule, wants)
    }
}

/// What becomes of it. Asked again meanwhile, nothing is done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It begins.
    Begun,
    /// The same runs already.
    Running,
    /// It begins when its source is free, and there is room.
    Waits,
    /// Something else is asked of it already: this is not done.
    Other,
    /// There is no such source.
    NotConfigured,
    /// No run is begun any more.
    Stopping,
}
