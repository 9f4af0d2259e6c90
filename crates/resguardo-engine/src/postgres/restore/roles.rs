//! The roles that a restore makes, since they own what it brings back, and what becomes of them if it fails: they
//! are the cluster's and not the database's, so they go with nothing else.

use super::{Restore, create, ready};
use crate::port::EngineError;
use crate::postgres::session::Session;
use resguardo_model::CancelToken;

impl Restore<'_> {
    /// Makes those that are missing; none stays if that fails.
    ///
    /// # Errors
    /// If one cannot be made or set up.
    pub(super) fn make_roles(
        &self,
        session: &Session,
        notes: &mut Vec<String>,
    ) -> Result<(), EngineError> {
        if !ready::needs_roles(self.site.options) {
            return Ok(());
        }
        let missing = ready::missing_roles(session, &self.inventory.roles)?;
        ready::make_roles(self.site.target, session, &missing)?;
        let names = missing.iter().map(|role| role.name.clone()).collect();
        self.made.set(names).expect("they are made once a restore");
        ready::set_up(session, &missing, notes).map_err(|error| self.without_roles(error))?;
        // Nobody logs in to a throwaway server.
        if !self.site.target.sandbox {
            notes.extend(ready::notes_of(&missing));
        }
        Ok(())
    }

    /// Those that were made; none of a sandbox, whose roles go with it.
    fn made(&self) -> &[String] {
        match self.made.get() {
            Some(made) if !self.site.target.sandbox => made,
            _ => &[],
        }
    }

    /// Takes them away again, where `error` has left the target as it was.
    pub(super) fn without_roles(&self, error: EngineError) -> EngineError {
        let made = self.made();
        if made.is_empty() {
            return error;
        }
        // Also when the caller has cancelled.
        let cancel = CancelToken::new();
        let beside = create::beside(self.site.settings(), self.site.limits(), &cancel);
        match beside.and_then(|beside| ready::drop_roles(&beside, made)) {
            Ok(()) => error,
            Err(_) => self.with_roles("it is as it was", error),
        }
    }

    /// Takes away the database that this restore has made, and its roles.
    pub(super) fn undone(&self, error: EngineError) -> EngineError {
        match self.site.undo(error) {
            touched @ EngineError::TargetTouched { .. } => self.told(touched),
            error => self.without_roles(error),
        }
    }

    /// The target after `error` has hit it; its roles stay, since what is in it is theirs.
    pub(super) fn touched(&self, error: EngineError) -> EngineError {
        self.told(self.site.touched(error))
    }

    /// Names those that stayed, in an error that says what state the target is in.
    fn told(&self, error: EngineError) -> EngineError {
        match error {
            EngineError::TargetTouched {
                place,
                mut state,
                source,
            } => {
                if let Some(stayed) = self.stayed() {
                    state = format!("{stayed}; {state}");
                }
                EngineError::TargetTouched {
                    place,
                    state,
                    source,
                }
            }
            other => other,
        }
    }

    fn with_roles(&self, state: &str, error: EngineError) -> EngineError {
        self.told(EngineError::TargetTouched {
            place: self.site.settings().describe(),
            state: state.to_owned(),
            source: Box::new(error),
        })
    }

    fn stayed(&self) -> Option<String> {
        let made = self.made();
        let names: Vec<_> = made.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| {
            let words = if names.len() == 1 {
                "the role"
            } else {
                "the roles"
            };
            format!(
                "{words} {} made by this restore stayed",
                ready::listed(&names)
            )
        })
    }
}
