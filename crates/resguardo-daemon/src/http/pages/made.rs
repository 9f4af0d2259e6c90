//! Views made of what the

mod backup;
mod drill;
mod people;
mod policy;
mod run;
mod source;

pub(super) use backup::backup;
pub(super) use drill::drill;
pub(super) use people::{access, account, audit, token};
pub(super) use policy::policy;
pub(super) use run::{first_id, run, run_of_live, running, running_id};
pub(super) use source::{SourceParts, source};
