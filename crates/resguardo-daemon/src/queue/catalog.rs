//! The queue in the shared catalog.

use std::sync::Arc;
use std::time::Duration;

use resguardo_model::SourceName;
use resguardo_ops::catalog::shared::{Hold, SharedCatalog, SharedError, SharedJob};

use super::{Known, Queue, Runner, Seen, Ticket};
use crate::agenda::Task;
use crate::driver::JobState;

/// Jobs in the shared catalog.
pub struct CatalogQueue {
    /// The shared catalog.
    pub catalog: Arc<SharedCatalog>,
}

impl Queue for CatalogQueue {
    fn lease(&self) -> Duration {
        self.catalog.lease()
    }

    fn look(&self) -> Result<Seen, String> {
        let look = self.catalog.look().map_err(|error| line(&error))?;
        Ok(Seen {
            now: look.now,
            jobs: look.jobs.into_iter().filter_map(known).collect(),
        })
    }

    fn introduce(&self, source: &SourceName, task: Task, state: &JobState) -> Result<(), String> {
        self.catalog
            .introduce(source, task.word(), &text(state))
            .map_err(|error| line(&error))
    }

    fn claim(
        &self,
        source: &SourceName,
        task: Task,
        revision: i64,
        state: &JobState,
    ) -> Result<Option<Ticket>, String> {
        let claimed = self
            .catalog
            .claim(source, task.word(), revision, &text(state));
        let fence = claimed.map_err(|error| line(&error))?;
        Ok(fence.map(|fence| Ticket {
            source: source.clone(),
            task,
            fence,
        }))
    }

    fn renew(&self, tickets: &[&Ticket]) -> Result<Vec<bool>, String> {
        let holds: Vec<Hold<'_>> = tickets.iter().map(|ticket| hold(ticket)).collect();
        self.catalog.renew(&holds).map_err(|error| line(&error))
    }

    fn keep(&self, ticket: &Ticket, state: &JobState) -> Result<bool, String> {
        let kept = self.catalog.keep(&hold(ticket), &text(state));
        kept.map_err(|error| line(&error))
    }

    fn end(&self, ticket: &Ticket, state: &JobState) -> Result<bool, String> {
        let ended = self.catalog.end(&hold(ticket), &text(state));
        ended.map_err(|error| line(&error))
    }

    fn put(
        &self,
        source: &SourceName,
        task: Task,
        revision: i64,
        state: &JobState,
    ) -> Result<bool, String> {
        let put = self
            .catalog
            .put(source, task.word(), revision, &text(state));
        put.map_err(|error| line(&error))
    }
}

/// `None`: another version knows a task, or a state, that this one does not; it is left to that one.
fn known(job: SharedJob) -> Option<Known> {
    let task = Task::OF_SOURCES
        .into_iter()
        .find(|task| task.word() == job.task)?;
    Some(Known {
        source: job.source,
        task,
        state: serde_json::from_str(&job.state).ok()?,
        revision: job.revision,
        runner: job.held.map(|held| Runner {
            host: held.host,
            is_us: held.is_us,
            is_heard: held.is_heard,
        }),
    })
}

fn hold(ticket: &Ticket) -> Hold<'_> {
    Hold {
        source: &ticket.source,
        task: ticket.task.word(),
        fence: ticket.fence,
    }
}

fn text(state: &JobState) -> String {
    serde_json::to_string(state).expect("times and texts always serialise")
}

fn line(error: &SharedError) -> String {
    resguardo_ops::described(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use resguardo_ops::catalog::shared::{LibpqEnvironment, Location};
    use resguardo_testkit::postgres::{PgServer, PgVersion};

    use super::super::contract::{Pair, holds};
    use super::*;

    const LEASE: Duration = Duration::from_secs(600);

    fn catalog(server: &PgServer, database: &str, host: &str) -> SharedCatalog {
        let location = Location::new(server.url(database));
        let around = LibpqEnvironment::default();
        let vault = "01arz3ndektsv4rrffq69g5fav".parse().unwrap();
        SharedCatalog::at(&location, &around, vault, host, LEASE).unwrap()
    }

    fn queue(server: &PgServer, host: &str) -> CatalogQueue {
        let catalog = catalog(server, "postgres", host);
        catalog.prepare().unwrap();
        CatalogQueue {
            catalog: Arc::new(catalog),
        }
    }

    fn run_out(server: &PgServer) {
        server.psql(
            "postgres",
            "update resguardo.leases set until = clock_timestamp() where holder is not null",
        );
    }

    #[test]
    fn the_one_in_postgres() {
        let server = PgServer::start(PgVersion::V15);
        let (one, other) = (queue(&server, "one"), queue(&server, "other"));
        holds(&Pair {
            one: &one,
            other: &other,
            run_out: &|| run_out(&server),
        });
        many_claim_at_once(&server);
        a_connection_that_is_cut_is_made_anew(&server, &one);
        newer_tables_are_refused_by_name(&server, &one);
        tables_are_made_once_by_many(&server);
        what_role_makes_them(&server);
    }

    /// Everybody wants every job of two sources, again and again: each is had by one at a time.
    fn many_claim_at_once(server: &PgServer) {
        const ROUNDS: i64 = 30;
        let names = ["x", "y"].map(|name| name.parse::<SourceName>().unwrap());
        let tasks = [Task::Backup, Task::Drill];
        let state = JobState::new("2026-11-22T02:00:00Z".parse().unwrap());
        let first = queue(server, "first");
        for (name, task) in names.iter().flat_map(|name| tasks.map(|task| (name, task))) {
            first.introduce(name, task, &state).unwrap();
        }
        let busy = names
            .each_ref()
            .map(|_| std::sync::atomic::AtomicI64::new(0));
        let done = std::sync::atomic::AtomicI64::new(0);
        let work = |host: &str| {
            let queue = queue(server, host);
            while done.load(std::sync::atomic::Ordering::SeqCst) < ROUNDS {
                for known in queue.look().unwrap().jobs {
                    let Some(place) = names.iter().position(|name| *name == known.source) else {
                        continue;
                    };
                    let claim = queue
                        .claim(&known.source, known.task, known.revision, &state)
                        .unwrap();
                    let Some(ticket) = claim else { continue };
                    let order = std::sync::atomic::Ordering::SeqCst;
                    assert_eq!(busy[place].fetch_add(1, order), 0, "one at a time");
                    assert_eq!(queue.renew(&[&ticket]).unwrap(), [true]);
                    busy[place].fetch_sub(1, order);
                    done.fetch_add(1, order);
                    assert!(queue.end(&ticket, &state).unwrap());
                }
            }
        };
        std::thread::scope(|scope| {
            for host in ["a", "b", "c", "d"] {
                scope.spawn(move || work(host));
            }
        });
        // Each claim has left its number, and each claim and end its revision.
        let fences = server.psql(
            "postgres",
            "select sum(fence) from resguardo.leases where source in ('x', 'y')",
        );
        let revisions = server.psql(
            "postgres",
            "select sum(revision - 1) from resguardo.jobs where source in ('x', 'y')",
        );
        let claims: i64 = fences.parse().unwrap();
        assert!(claims >= ROUNDS);
        assert_eq!(revisions.parse::<i64>().unwrap(), 2 * claims);
    }

    fn a_connection_that_is_cut_is_made_anew(server: &PgServer, queue: &CatalogQueue) {
        queue.look().unwrap();
        let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'resguardo'";
        assert_ne!(server.psql("postgres", cut), "0");
        queue.look().unwrap();
    }

    fn newer_tables_are_refused_by_name(server: &PgServer, queue: &CatalogQueue) {
        server.psql("postgres", "update resguardo.catalog set version = 1000");
        let words = "has version 1000, this version of Resguardo knows 1";
        // A process that runs already, and one that starts.
        let why = queue.look().unwrap_err();
        assert!(why.contains(words), "{why}");
        let error = queue.catalog.prepare().unwrap_err();
        assert!(
            matches!(error, SharedError::Newer { version: 1000, .. }),
            "{error:?}"
        );
        server.psql("postgres", "update resguardo.catalog set version = 1");
        queue.catalog.prepare().unwrap();
        server.psql("postgres", "truncate resguardo.catalog");
        let why = queue.look().unwrap_err();
        assert!(why.contains("is gone"), "{why}");
    }

    fn tables_are_made_once_by_many(server: &PgServer) {
        server.create_database("many", "");
        assert_eq!(catalog(server, "many", "x").version().unwrap(), None);
        std::thread::scope(|scope| {
            for host in ["a", "b", "c", "d", "e"] {
                scope.spawn(move || catalog(server, "many", host).prepare().unwrap());
            }
        });
        assert_eq!(catalog(server, "many", "x").version().unwrap(), Some(1));
    }

    fn what_role_makes_them(server: &PgServer) {
        server.create_database("strict", "");
        server.psql(
            "strict",
            "create role plain login; revoke create on database strict from public",
        );
        let location = Location::new(server.url_of("plain", None, "strict"));
        let vault = "01arz3ndektsv4rrffq69g5fav".parse().unwrap();
        let around = LibpqEnvironment::default();
        let plain = SharedCatalog::at(&location, &around, vault, "x", LEASE).unwrap();
        let error = plain.prepare().unwrap_err();
        let words = resguardo_ops::described(&error);
        assert!(
            words.contains("permission denied for database strict"),
            "{words}"
        );
        // A schema of its own is enough.
        server.psql("strict", "create schema resguardo authorization plain");
        plain.prepare().unwrap();
        assert_eq!(plain.version().unwrap(), Some(1));
        assert!(plain.look().unwrap().jobs.is_empty());
    }
}
