//! Looks at the exceptions every minute and after each run, and has people told of them.

use std::sync::Arc;
use std::time::Duration;

use resguardo_model::Clock;
use resguardo_ops::exception::Exception;

use super::bell::Bell;
use super::clerk::Notifier;

/// How long after a look the next one comes at the latest.
const EVERY: Duration = Duration::from_secs(60);

/// A thread that looks. It ends when it is dropped, after the look that goes on.
pub struct Herald(Arc<Bell>);

impl Herald {
    /// Starts to look. `look` gives the newest exceptions as they stand now, or why they cannot be seen, in a
    /// line, which `note` is told once until they can be seen again.
    ///
    /// # Errors
    /// If there can be no thread for it.
    pub fn start(
        look: impl Fn() -> Result<Vec<Exception>, String> + Send + 'static,
        notifier: Arc<Notifier>,
        clock: Arc<dyn Clock>,
        note: impl Fn(&str) + Send + 'static,
    ) -> std::io::Result<Arc<Self>> {
        let bell = Arc::new(Bell::default());
        let own = Arc::clone(&bell);
        let work = move || {
            let mut blind = String::new();
            while !own.is_over() {
                match look() {
                    Ok(exceptions) => {
                        blind.clear();
                        notifier.exceptions(&exceptions, clock.now());
                    }
                    Err(why) if why != blind => {
                        note(&format!("what there is to tell cannot be seen: {why}"));
                        blind = why;
                    }
                    Err(_) => {}
                }
                own.wait(EVERY);
            }
        };
        std::thread::Builder::new()
            .name("notify-look".to_owned())
            .spawn(work)?;
        Ok(Arc::new(Self(bell)))
    }

    /// Looks now: something has happened.
    pub fn poke(&self) {
        self.0.ring();
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        self.0.end();
    }
}
