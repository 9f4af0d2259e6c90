//! Has people told of exceptions whenever somebody has looked at them.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use resguardo_model::Clock;
use resguardo_ops::catalog::Catalog;
use resguardo_ops::exception::Exception;

use super::clerk::Notifier;
use super::since::Since;

/// Told of each look, it tells people what is news to them.
pub struct Herald {
    notifier: Arc<Notifier>,
    clock: Arc<dyn Clock>,
    catalog: Catalog,
    began_at: Timestamp,
    /// Since when it tells; `None` before the first look.
    since: Mutex<Option<Since>>,
    note: Box<dyn Fn(&str) + Send + Sync>,
    /// Why nothing could be seen the last time.
    blind: Mutex<String>,
}

impl Herald {
    /// `note` is told once why exceptions cannot be seen, until they can be seen again. Since when there is
    /// something to tell is kept in `catalog`.
    pub fn new(
        notifier: Arc<Notifier>,
        clock: Arc<dyn Clock>,
        catalog: Catalog,
        note: impl Fn(&str) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            began_at: clock.now(),
            // Before jobs are written down: by them it knows a catalog that is new.
            since: Mutex::new(Since::read(&catalog)),
            notifier,
            clock,
            catalog,
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
                let since = self.since(exceptions);
                let now = self.clock.now();
                self.notifier.exceptions(exceptions, now, since);
            }
            Err(why) if why != *blind => {
                (self.note)(&format!("what there is to tell cannot be seen: {why}"));
                why.clone_into(&mut blind);
            }
            Err(_) => {}
        }
    }

    /// Since when there is something to tell: by this look, if it is the first of this machine.
    fn since(&self, exceptions: &[Exception]) -> Since {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        *since.get_or_insert_with(|| {
            let first = Since::first(self.began_at, self.clock.now());
            first.keep(&self.catalog);
            greet(first, exceptions, &*self.note);
            first
        })
    }
}

/// What was open before this machine looked is told in one line.
fn greet(since: Since, exceptions: &[Exception], note: &dyn Fn(&str)) {
    let is_open = |one: &&Exception| one.resolved.is_none() && since.is_old(one);
    match exceptions.iter().filter(is_open).count() {
        0 => {}
        1 => note(
            "1 exception was open before: see `resguardo exceptions`; what changes is told from now on",
        ),
        count => note(&format!(
            "{count} exceptions were open before: see `resguardo exceptions`; what changes is told from now on"
        )),
    }
}
