//! `schedule` and what else is done again and again, from what is written to when something is done.

use jiff::tz::TimeZone;
use resguardo_daemon::{Choice, Limits, Plan, Task, Window};
use resguardo_model::Schedule;
use resguardo_model::duration::Span;
use resguardo_ops::verify::{Depth, depth_name};

use super::file::{EnvironmentDrillFile, EnvironmentFile, EnvironmentTaskFile, Leaf, Length};
use super::problem::{Problem, nearest};
use super::resolver::Resolver;

/// The depths, from the shallowest.
const DEPTHS: [Depth; 4] = [Depth::Heads, Depth::Digests, Depth::Structure, Depth::Bytes];

/// When something is done to the sources of an environment, and how.
#[derive(Clone, Debug)]
pub struct Plans {
    /// Backups.
    pub backup: Option<Plan>,
    /// What copies lack is sent.
    pub copy: Option<Plan>,
    /// What is stored is verified.
    pub verify: Option<Plan>,
    /// Drills.
    pub drill: Option<Plan>,
    /// What the retention lets go of is deleted.
    pub prune: Option<Plan>,
    /// How long a run may take.
    pub limits: Limits,
    /// How deep is verified.
    pub depth: Depth,
    /// What is drilled.
    pub choice: Choice,
}

impl Default for Plans {
    fn default() -> Self {
        Self {
            backup: None,
            copy: None,
            verify: None,
            drill: None,
            prune: None,
            limits: Limits::default(),
            // Whoever takes backups need not be able to read them.
            depth: Depth::Digests,
            choice: Choice::Latest,
        }
    }
}

impl Plans {
    /// When `task` is done; `None`: not by schedule.
    #[must_use]
    pub fn of(&self, task: Task) -> Option<&Plan> {
        match task {
            Task::Backup => self.backup.as_ref(),
            Task::Copy => self.copy.as_ref(),
            Task::Restore => None,
            Task::Verify => self.verify.as_ref(),
            Task::Drill => self.drill.as_ref(),
            Task::Prune => self.prune.as_ref(),
            Task::Sweep => None,
        }
    }
}

impl Resolver<'_> {
    pub(super) fn plans(&mut self, name: &str, file: &EnvironmentFile, zone: &TimeZone) -> Plans {
        let key = |field: &str| format!("environments.{name}.{field}");
        let of_task = |task: Option<&EnvironmentTaskFile>| {
            task.and_then(|task| task.schedule.as_ref()).cloned()
        };
        let backup = self.schedule(&key("schedule"), file.schedule.as_ref());
        let drill = file.drill.as_ref().and_then(|one| one.schedule.as_ref());
        let drill = self.schedule(&key("drill.schedule"), drill);
        let choice = self.choice(&key("drill"), file.drill.as_ref());
        let verify = file.verify.as_ref().and_then(|one| one.schedule.as_ref());
        let verify = self.schedule(&key("verify.schedule"), verify);
        let depth = file.verify.as_ref().and_then(|one| one.depth.as_ref());
        let depth = self.depth(&key("verify.depth"), depth);
        let prune = of_task(file.prune.as_ref());
        let prune = self.schedule(&key("prune.schedule"), prune.as_ref());
        let copy = of_task(file.copy.as_ref());
        let copy = self.schedule(&key("copy.schedule"), copy.as_ref());
        let windows = self.windows(&key("quiet"), file.quiet.as_ref());
        let jitter = self.span(&key("jitter"), file.jitter.as_ref());
        let limits = Limits {
            deadline: self.limit(&key("deadline"), file.deadline.as_ref()),
            silence: self.limit(&key("silence"), file.silence.as_ref()),
        };
        let plan = |schedule| Plan {
            schedule,
            zone: zone.clone(),
            windows: windows.clone(),
            jitter,
        };
        Plans {
            backup: backup.map(plan),
            copy: copy.map(plan),
            verify: verify.map(plan),
            drill: drill.map(plan),
            prune: prune.map(plan),
            limits,
            depth,
            choice,
        }
    }

    fn span(&mut self, key: &str, leaf: Option<&Leaf<Length>>) -> Option<Span> {
        self.optional(key, leaf).map(|length| length.span)
    }

    /// A length after which a run is ended: none would ever get anywhere within nothing.
    fn limit(&mut self, key: &str, leaf: Option<&Leaf<Length>>) -> Option<Span> {
        let limit = self.span(key, leaf)?;
        if let (0, Some(leaf)) = (limit.seconds(), leaf) {
            let message = "every run would be ended at once".to_owned();
            self.problems
                .push(Problem::at(leaf.span(), message, "1s or more"));
        }
        Some(limit)
    }

    fn depth(&mut self, key: &str, leaf: Option<&Leaf<String>>) -> Depth {
        let default = Plans::default().depth;
        let (Some(leaf), Some(word)) = (leaf, self.optional(key, leaf)) else {
            return default;
        };
        match DEPTHS.into_iter().find(|depth| depth_name(*depth) == word) {
            Some(depth) => depth,
            None => {
                let message = format!("there is no depth {word}");
                self.one_of(leaf, message, &word, &DEPTHS.map(depth_name));
                default
            }
        }
    }

    fn choice(&mut self, key: &str, file: Option<&EnvironmentDrillFile>) -> Choice {
        let Some(file) = file else {
            return Choice::Latest;
        };
        let within = self.span(&format!("{key}.within"), file.within.as_ref());
        let word = self.optional(&format!("{key}.choose"), file.choose.as_ref());
        let word = word.as_deref().unwrap_or("latest");
        match (word, &file.choose) {
            ("random", _) => return Choice::Random { within },
            ("latest", _) | (_, None) => {}
            (word, Some(leaf)) => {
                let message = format!("a drill cannot choose {word}");
                self.one_of(leaf, message, word, &["latest", "random"]);
                return Choice::Latest;
            }
        }
        if let Some(leaf) = &file.within {
            let message = "within means nothing for the latest backup".to_owned();
            self.problems
                .push(Problem::at(leaf.span(), message, "add choose = \"random\""));
        }
        Choice::Latest
    }

    fn one_of(&mut self, leaf: &Leaf<String>, message: String, word: &str, known: &[&str]) {
        let label = match nearest(word, known.iter().copied()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("one of {}", known.join(", ")),
        };
        self.problems.push(Problem::at(leaf.span(), message, label));
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
                        "every quarter of an hour is \"every 15m\"; every day at 2:00 is \"daily 02:00\" or \"0 2 * * *\"; the first Sunday of each month at 4:00 is \"monthly first sunday 04:00\"",
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
