//! The outbox: in the catalog, and what cannot be written there in memory.
//!
//! A catalog on a full disk is just what people have to be told of: then a message is sent all the same, and is lost
//! only if the process ends before.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use resguardo_ops::catalog::Catalog;
use resguardo_ops::catalog::outbox::{NewParcel, Parcel};

/// Messages that are kept in memory, at most.
const KEPT_MAX: usize = 256;

/// The outbox.
pub struct Outbox {
    catalog: Catalog,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    kept: VecDeque<Kept>,
    /// The last number that was given; numbers of kept ones are negative.
    last: i64,
    /// Messages of the catalog that have ended, of which the catalog could not be told.
    ended: BTreeSet<i64>,
}

struct Kept {
    endpoint: String,
    parcel: Parcel,
    next_at: Timestamp,
}

/// What becomes of a message.
pub(super) enum Fate<'a> {
    Sent,
    Later(&'a str, Timestamp),
    GivenUp(&'a str),
}

impl Outbox {
    /// The one of a catalog.
    #[must_use]
    pub fn of(catalog: Catalog) -> Self {
        Self {
            catalog,
            memory: Mutex::default(),
        }
    }

    /// Endpoints for which something waits in the catalog.
    pub(super) fn endpoints(&self) -> Result<Vec<String>, String> {
        let all = self.catalog.outbox_waiting().map_err(|e| in_a_line(&e))?;
        let waiting = all.into_iter().filter(|one| one.waiting > 0);
        Ok(waiting.map(|one| one.endpoint).collect())
    }

    /// Puts a message down; why it could not be written, if it is only kept in memory.
    pub(super) fn put(&self, parcel: &NewParcel, now: Timestamp) -> Result<(), String> {
        let Err(error) = self.catalog.outbox_put(parcel, now) else {
            return Ok(());
        };
        let delivery = parcel.delivery();
        let mut memory = self.memory();
        let is_known = memory
            .kept
            .iter()
            .any(|kept| kept.parcel.delivery == delivery);
        if !is_known {
            if memory.kept.len() >= KEPT_MAX {
                memory.kept.pop_front();
            }
            memory.last -= 1;
            let number = memory.last;
            memory.kept.push_back(Kept {
                endpoint: parcel.endpoint.clone(),
                parcel: Parcel {
                    number,
                    delivery,
                    payload: parcel.payload.clone(),
                    tries: 0,
                    created_at: now,
                    expires_at: parcel.expires_at,
                },
                next_at: now,
            });
        }
        Err(in_a_line(&error))
    }

    /// The message that is due. It is not taken again before `until`.
    pub(super) fn take(
        &self,
        endpoint: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Parcel>, String> {
        if let Some(parcel) = self.take_kept(endpoint, now, until) {
            return Ok(Some(parcel));
        }
        loop {
            let taken = self.catalog.outbox_take(endpoint, now, until);
            let Some(parcel) = taken.map_err(|e| in_a_line(&e))? else {
                return Ok(None);
            };
            if !self.memory().ended.contains(&parcel.number) {
                return Ok(Some(parcel));
            }
            let told = self.catalog.outbox_sent(parcel.number, now);
            told.map_err(|e| in_a_line(&e))?;
            self.memory().ended.remove(&parcel.number);
        }
    }

    fn take_kept(&self, endpoint: &str, now: Timestamp, until: Timestamp) -> Option<Parcel> {
        let mut memory = self.memory();
        let due = |kept: &&mut Kept| kept.endpoint == endpoint && kept.next_at <= now;
        let kept = memory.kept.iter_mut().find(due)?;
        kept.next_at = until;
        kept.parcel.tries += 1;
        Some(kept.parcel.clone())
    }

    /// Writes down what became of a message.
    pub(super) fn end(&self, number: i64, fate: &Fate<'_>, now: Timestamp) -> Result<(), String> {
        if number < 0 {
            let mut memory = self.memory();
            match fate {
                Fate::Later(_, at) => {
                    let kept = memory.kept.iter_mut();
                    for one in kept.filter(|one| one.parcel.number == number) {
                        one.next_at = *at;
                    }
                }
                Fate::Sent | Fate::GivenUp(_) => {
                    memory.kept.retain(|one| one.parcel.number != number);
                }
            }
            return Ok(());
        }
        let written = match fate {
            Fate::Sent => self.catalog.outbox_sent(number, now),
            Fate::Later(said, at) => self.catalog.outbox_later(number, said, *at),
            Fate::GivenUp(said) => self.catalog.outbox_give_up(number, said, now),
        };
        written.map_err(|error| {
            if !matches!(fate, Fate::Later(..)) {
                self.memory().ended.insert(number);
            }
            in_a_line(&error)
        })
    }

    /// When the next message is due.
    pub(super) fn next(&self, endpoint: &str) -> Result<Option<Timestamp>, String> {
        let memory = self.memory();
        let kept = memory.kept.iter().filter(|one| one.endpoint == endpoint);
        let kept = kept.map(|one| one.next_at).min();
        drop(memory);
        let written = self.catalog.outbox_next(endpoint);
        match (kept, written) {
            (Some(kept), Ok(Some(written))) => Ok(Some(kept.min(written))),
            (Some(kept), _) => Ok(Some(kept)),
            (None, written) => written.map_err(|e| in_a_line(&e)),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_a_line(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
