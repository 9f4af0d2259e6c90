//! What a restore comes to: its receipt, and an error that says how the target stands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use resguardo_engine::port::{BackupReader, EngineError, RestorePart, TargetState};
use resguardo_model::receipt::Subject;
use serde_json::Value;

use super::{Inspection, RestoreRequest, StepDone};
use crate::backup::BackupDone;
use crate::context::Context;
use crate::error::OpsError;
use crate::origin::Selected;
use crate::receipt::{self, Record, value};
use crate::run::OpenRun;

/// The detail of a receipt that names the source which a restore changed.
pub(crate) const CHANGES: &str = "changes";

/// What a restore comes to, for its receipt and its error.
pub(super) struct Outcome<'a> {
    pub(super) selected: &'a Selected<'a>,
    /// The instant whose data it is, where that is known.
    pub(super) taken_at: Option<Timestamp>,
    pub(super) found: &'a Inspection,
    pub(super) request: &'a RestoreRequest<'a>,
    pub(super) safety_backup: Option<BackupDone>,
    /// What was done around it, and what was not.
    pub(super) steps: Vec<StepDone>,
    /// The target is no longer what it was.
    pub(super) touched: bool,
}

impl Outcome<'_> {
    /// What became of the restore; `around` are words about what was done around it.
    pub(super) fn failed(&self, error: EngineError, around: &str) -> OpsError {
        let place = self.found.place.clone();
        let mut state = match (&error, &self.found.state) {
            (EngineError::TargetTouched { .. }, _) => "it was touched".to_owned(),
            (_, TargetState::Missing) => "nothing was made there".to_owned(),
            _ => "it is as it was before".to_owned(),
        };
        if let Some(safety) = &self.safety_backup {
            state.push_str(&format!("; its safety backup is {}", safety.id));
        }
        state.push_str(around);
        let doing = format!("writing {place}");
        OpsError::Restore {
            backup: self.selected.describe(),
            place,
            state,
            source: Box::new(match error {
                EngineError::Cancelled(cancelled) => OpsError::Cancelled(cancelled),
                other => {
                    let limits = super::limits(self.selected, self.found, self.request);
                    OpsError::target(doing, limits.map(|spec| &spec.name))(other)
                }
            }),
        }
    }

    /// What came from where: the backup's head and manifest, and the files that were restored whole.
    pub(super) fn subject(&self, restored: Option<&dyn BackupReader>) -> Vec<Subject> {
        let mut subject = self
            .selected
            .head()
            .map(receipt::subjects_of)
            .unwrap_or_default();
        let whole =
            self.request.options.only.is_empty() && self.request.options.part == RestorePart::All;
        if let Some(reader) = restored.filter(|_| whole) {
            let files = reader.files().into_iter();
            subject.extend(files.map(|file| Subject::new(file.path.as_str(), file.sha256)));
        }
        subject
    }

    pub(super) fn details(&self, more: &[(&str, Value)]) -> BTreeMap<String, Value> {
        let safety = self.safety_backup.as_ref().map(|safety| safety.id);
        let mut details = vec![
            (
                "backup",
                value(self.selected.head().map(|stored| stored.head.backup)),
            ),
            ("origin", value(self.selected.describe())),
            ("taken_at", value(self.taken_at)),
            ("target", value(&self.found.place)),
            ("clean", value(self.request.options.clean)),
            ("only", value(&self.request.options.only)),
            ("part", value(part_name(self.request.options.part))),
            ("no_owner", value(self.request.options.no_owner)),
            ("no_acl", value(self.request.options.no_acl)),
            ("safety_backup", value(safety)),
            ("steps", value(&self.steps)),
        ];
        details.extend_from_slice(more);
        let owned = details
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        owned.collect()
    }

    pub(super) fn receipt(
        &self,
        ctx: &Context,
        run: &OpenRun<'_>,
        outcome: &str,
        subject: Vec<Subject>,
        mut details: BTreeMap<String, Value>,
        notes: &mut Vec<String>,
    ) -> Option<String> {
        details.insert(CHANGES.to_owned(), value(run.changed()));
        let Some(source) = self.selected.source() else {
            notes.push("no receipt was made: the file belongs to no source".to_owned());
            return None;
        };
        let record = Record {
            run,
            source,
            outcome,
            subject,
            tools: BTreeMap::new(),
            details,
            test: None,
        };
        receipt::store_or_note(ctx, record, notes)
    }
}

fn part_name(part: RestorePart) -> &'static str {
    match part {
        RestorePart::All => "all",
        RestorePart::Structure => "structure",
        RestorePart::Data => "data",
    }
}
