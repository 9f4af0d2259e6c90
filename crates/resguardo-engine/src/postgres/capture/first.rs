//! The first error of several threads: it ends the others, and is the one that is told.

use std::sync::Mutex;

use resguardo_model::{CancelToken, Cancelled};

use crate::port::EngineError;

/// Keeps the first error.
pub(super) struct First<'a> {
    stop: &'a CancelToken,
    error: Mutex<Option<EngineError>>,
}

impl<'a> First<'a> {
    /// `stop` is raised by the first error.
    pub(super) fn new(stop: &'a CancelToken) -> Self {
        Self {
            stop,
            error: Mutex::new(None),
        }
    }

    /// The answer; an error is kept if it is the first that is not the others' end.
    pub(super) fn note<T>(&self, result: Result<T, EngineError>) -> Option<T> {
        match result {
            Ok(answer) => Some(answer),
            Err(error) => {
                let mut first = self.error.lock().expect("nothing panics under this lock");
                let is_end = matches!(first.as_ref(), None | Some(EngineError::Cancelled(_)));
                if is_end {
                    *first = Some(error);
                }
                self.stop.cancel();
                None
            }
        }
    }

    /// The same for whoever has others to answer to.
    ///
    /// # Errors
    /// [`Cancelled`], in place of the one that is kept.
    pub(super) fn pass<T>(&self, result: Result<T, EngineError>) -> Result<T, EngineError> {
        self.note(result).ok_or_else(|| Cancelled.into())
    }

    /// The first error, if there was one.
    pub(super) fn into_result(self) -> Result<(), EngineError> {
        let error = self.error.into_inner();
        match error.expect("nothing panics under this lock") {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
