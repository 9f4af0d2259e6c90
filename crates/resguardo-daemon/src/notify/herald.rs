//! Has people told of exceptions whenever somebody has looked at them.

use std::sync::{Arc, Mutex, PoisonError};

use resguardo_model::Clock;
use resguardo_ops::exception::Exception;

use super::clerk::Notifier;

/// Told of each look, it tells people what is news to them.
pub struct Herald {
    notifier: Arc<Notifier>,
    clock: Arc<dyn Clock>,
    note: Box<dyn Fn(&str) + Send + Sync>,
    /// Why nothing could be seen the last time.
    blind: Mutex<String>,
}

impl Herald {
    /// `note` is told once why exceptions cannot be seen, until they can be seen again.
    pub fn new(
        notifier: Arc<Notifier>,
        clock: Arc<dyn Clock>,
        note: impl Fn(&str) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            notifier,
            clock,
            note: Box::new(note),
            blind: Mutex::default(),
        })
    }

    /// The newest exceptions as they stand now, or why they cannot be seen, in a line. Never waits.
    pub fn saw(&self, exceptions: Result<&[Exception], &str>) {
        let mut blind = self.blind.lock().unwrap_or_else(PoisonError::into_inner);
        match exceptions {
            Ok(exceptions) => {
                blind.clear();
                self.notifier.exceptions(exceptions, self.clock.now());
            }
            Err(why) if why != *blind => {
                (self.note)(&format!("what there is to tell cannot be seen: {why}"));
                why.clone_into(&mut blind);
            }
            Err(_) => {}
        }
    }
}
