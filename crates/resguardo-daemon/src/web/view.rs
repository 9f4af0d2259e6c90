//! What the pages show, before it is words: plain structures that anybody can fill.
//!
//! They are made from what `resguardo-ops` tells, and hold no text in any language but what came from
//! outside: names, notes, messages of programs.

mod backup;
mod drill;
mod exceptions;
mod overview;
mod people;
mod policy;
mod runs;
mod seen;
mod source;

pub use backup::{BackupFile, BackupPage, CopyOfBackup, Lock, Pin, Receipt};
pub use drill::{Check, DrillPage, Phase};
pub use exceptions::{Exception, ExceptionsPage, RefusedNote, Resolved};
pub use overview::{Copy, Overview, Row};
pub use people::{
    AccessPage, Account, AuditEntry, LoginPage, LoginTrouble, Review, Token, WriterSeen,
};
pub use policy::{PolicyBackup, PolicyPage, SourcePolicy};
pub use runs::{LogLine, Run, RunPage, Running, RunsPage};
pub use source::{BackupLine, Day, DrillPoint, Forecast, Pages, SizePoint, SourcePage};

pub use resguardo_model::Role;
pub use resguardo_ops::access::StoreSays;
pub use resguardo_ops::catalog::RunState;

/// Whoever looks at a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The name that was logged in with.
    pub name: String,
    /// What it may do.
    pub role: Role,
}
