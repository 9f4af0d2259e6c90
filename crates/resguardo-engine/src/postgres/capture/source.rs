//! A database that is to be read: all of it readable, its tables locked, its snapshot taken.

use std::time::Duration;

use super::integrity;
use super::lock;
use super::snapshot::{self, Snapshot};
use crate::port::{CaptureRequest, EngineError, Run};
use crate::postgres::Surroundings;
use crate::postgres::session::{Limits, Session};
use crate::postgres::settings::Settings;
use crate::postgres::tools::Tools;
use crate::postgres::{pooler, privilege};

/// Oldest and newest major that are known to work.
const MAJORS: std::ops::RangeInclusive<u32> = 14..=18;

/// A database that is to be read.
pub(in crate::postgres) struct Source<'a> {
    pub(super) around: &'a Surroundings,
    pub(super) request: &'a CaptureRequest,
    pub(super) settings: Settings,
    pub(super) run: Run<'a>,
}

/// A source whose tables are locked and whose snapshot stands, as long as this lives.
pub(in crate::postgres) struct Opened {
    /// In the transaction with locks and snapshot.
    pub(in crate::postgres) holder: Session,
    /// In no transaction: it looks after the others.
    pub(super) observer: Session,
    pub(in crate::postgres) tools: Tools,
    pub(in crate::postgres) snapshot: Snapshot,
}

impl<'a> Source<'a> {
    /// The source of `request`; nothing is asked yet.
    ///
    /// # Errors
    /// If its location makes no sense.
    pub(in crate::postgres) fn new(
        around: &'a Surroundings,
        request: &'a CaptureRequest,
        run: Run<'a>,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            around,
            request,
            settings: Settings::resolve(&request.location, &around.libpq)?,
            run,
        })
    }

    /// Where it is.
    pub(in crate::postgres) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Longest silence of a tool.
    pub(in crate::postgres) fn silence(&self) -> Duration {
        self.request.silence_timeout
    }

    /// Longest wait for a lock.
    pub(in crate::postgres) fn lock_timeout(&self) -> Duration {
        self.request.lock_timeout
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            lock: self.request.lock_timeout,
            silence: Some(self.request.silence_timeout),
        }
    }

    /// Makes sure that all of it can be read and, if asked for, that it is not corrupt; locks its tables and takes the snapshot.
    ///
    /// # Errors
    /// Whatever keeps a backup from beginning.
    pub(in crate::postgres) fn open(&self) -> Result<Opened, EngineError> {
        let (holder, observer) =
            pooler::two_sessions(&self.settings, self.limits(), self.run.cancel)?;
        require_known_major(&holder)?;
        let tools = Tools::clients(holder.version().major(), &self.around.tool_folders)?;
        require_privileges(&holder)?;
        if self.request.check_integrity {
            integrity::check(self, &holder, &tools)?;
        }
        let snapshot = snapshot::take(self, &holder, &observer)?;
        Ok(Opened {
            holder,
            observer,
            tools,
            snapshot,
        })
    }
}

impl Opened {
    /// Lets go of locks and snapshot, lets those who wait for the tables go on, and takes both again.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub(super) fn take_again(&mut self, source: &Source<'_>) -> Result<(), EngineError> {
        self.holder.batch("rollback")?;
        self.snapshot = snapshot::take(source, &self.holder, &self.observer)?;
        Ok(())
    }

    /// Asks whether locks and snapshot were held to this moment, and lets go of both.
    ///
    /// # Errors
    /// If the session was cut.
    pub(in crate::postgres) fn release(&self) -> Result<(), EngineError> {
        self.holder.batch("select 1; commit")
    }

    /// Whoever is in the way, by name, if he is there yet.
    fn named(&self, error: EngineError) -> EngineError {
        match (error, self.in_the_way()) {
            (EngineError::Busy { place, .. }, Some(held)) => EngineError::Busy { place, held },
            (error, _) => error,
        }
    }

    /// Who holds or waits for an exclusive lock on a table that is to be read, in words.
    pub(super) fn in_the_way(&self) -> Option<String> {
        lock::holder(&self.observer, &self.snapshot.relations)
    }

    /// A tool's failure is the connection's where that is gone: the tool tells it in words alone.
    pub(in crate::postgres) fn because(&self, error: EngineError) -> EngineError {
        if !matches!(error, EngineError::Other { .. } | EngineError::Busy { .. }) {
            return error;
        }
        match self.holder.batch("select 1") {
            Err(gone @ (EngineError::Unreachable { .. } | EngineError::Missing { .. })) => gone,
            _ => self.named(error),
        }
    }
}

/// Fails unless the role of `session` may read everything.
fn require_privileges(session: &Session) -> Result<(), EngineError> {
    let lacks = privilege::missing(session)?;
    let Some(first) = lacks.first() else {
        return Ok(());
    };
    let more = match lacks.len() {
        1 => String::new(),
        all => {
            format!("; {all} privileges are missing in all: resguardo doctor names what mends each")
        }
    };
    Err(EngineError::Denied {
        operation: "reading",
        place: format!("{} of {}", first.object, session.settings().describe()),
        why: format!("{}; {}{more}", first.why, first.grant),
    })
}

/// Fails unless the server is of a known major.
pub(in crate::postgres) fn require_known_major(session: &Session) -> Result<(), EngineError> {
    let major = session.version().major();
    if MAJORS.contains(&major) {
        return Ok(());
    }
    Err(EngineError::Unsupported {
        place: session.settings().describe(),
        why: format!("the server is PostgreSQL {}", session.version()),
        next: format!(
            "PostgreSQL {} to {} can be backed up",
            MAJORS.start(),
            MAJORS.end()
        ),
    })
}
