//! `schedule`, `quiet` and `jitter`, from what is written to when something is done.

use jiff::tz::TimeZone;
use resguardo_daemon::{Plan, Window};
use resguardo_model::Schedule;
use resguardo_model::duration::Span;

use super::file::{EnvironmentFile, Leaf};
use super::problem::Problem;
use super::resolver::Resolver;

/// When something is done to the sources of an environment.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    /// Backups.
    pub backup: Option<Plan>,
    /// Drills.
    pub drill: Option<Plan>,
}

impl Resolver<'_> {
    pub(super) fn plans(&mut self, name: &str, file: &EnvironmentFile, zone: &TimeZone) -> Plans {
        let key = |field: &str| format!("environments.{name}.{field}");
        let backup = self.schedule(&key("schedule"), file.schedule.as_ref());
        let drill = file
            .drill
            .as_ref()
            .and_then(|drill| drill.schedule.as_ref());
        let drill = self.schedule(&key("drill.schedule"), drill);
        let windows = self.windows(&key("quiet"), file.quiet.as_ref());
        let jitter: Option<Span> = self
            .optional(&key("jitter"), file.jitter.as_ref())
            .map(|length| length.span);
        let plan = |schedule| Plan {
            schedule,
            zone: zone.clone(),
            windows: windows.clone(),
            jitter,
        };
        Plans {
            backup: backup.map(plan),
            drill: drill.map(plan),
        }
    }

    fn schedule(&mut self, key: &str, leaf: Option<&Leaf<String>>) -> Option<Schedule> {
        let leaf = leaf?;
        let text = self.optional(key, Some(leaf))?;
        match text.parse() {
            Ok(schedule) => Some(schedule),
            Err(error) => {
                let error: resguardo_model::schedule::NotASchedule = error;
                self.problems.push(
                    Problem::at(leaf.span(), error.to_string(), "minute hour day month weekday, or words").with_hint(
                        "every day at 2:00 is \"daily 02:00\" or \"0 2 * * *\"; the first Sunday of each month at 4:00 is \"monthly first sunday 04:00\"",
                    ),
                );
                None
            }
        }
    }

    fn windows(&mut self, key: &str, leaf: Option<&Leaf<Vec<String>>>) -> Vec<Window> {
        let (Some(leaf), Some(texts)) = (leaf, self.optional(key, leaf)) else {
            return Vec::new();
        };
        let mut windows: Vec<Window> = Vec::new();
        for text in texts {
            match text.parse() {
                Ok(window) => windows.push(window),
                Err(error) => {
                    let error: resguardo_daemon::NotAWindow = error;
                    self.problems.push(Problem::at(
                        leaf.span(),
                        error.to_string(),
                        "hours in which nothing begins",
                    ));
                }
            }
        }
        if resguardo_daemon::window::leave_no_room(&windows) {
            let message = "these hours leave none in which anything could begin".to_owned();
            self.problems
                .push(Problem::at(leaf.span(), message, "all of the week"));
        }
        windows
    }
}
