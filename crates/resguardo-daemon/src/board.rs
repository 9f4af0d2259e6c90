//! What the daemon shows: how everything stands, and what runs at present.
//!
//! One thread looks anew after each run, each poke and every minute; whoever asks is given what it saw last. No
//! question of a reader's ever reaches the vault, so that a page that a thousand people watch costs as much as one.
//!
//! Invariant: whoever watches can slow nothing; a reader of events that is too far behind is told so and dropped.

mod looker;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::sync::broadcast;

pub use looker::{Look, Looker};

/// Events that a reader may be behind before it is dropped.
const BEHIND_MAX: usize = 256;

/// Something to look at anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Larger than that of every event before, for as long as the process lives.
    pub number: u64,
    /// What changed.
    pub about: About,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// How things stand.
    Status,
    /// The run of this number, which is going on or ended.
    Run(u64),
}

/// How everything stood at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot<S> {
    /// When that was.
    pub at: Timestamp,
    /// What was seen; `None` until the first look ends.
    pub seen: Option<S>,
    /// Why the last look saw nothing; then `seen` is what was seen before.
    pub blind: Option<String>,
    /// When something was last seen.
    pub seen_at: Option<Timestamp>,
    /// Changes whenever what was seen may have: part of every page's validator.
    pub version: u64,
}

/// What there is to see, kept by [`Looker`] and read by everybody.
pub struct Board<S> {
    snapshot: RwLock<Arc<Snapshot<S>>>,
    number: AtomicU64,
    events: broadcast::Sender<Event>,
}

impl<S> Board<S> {
    /// With nothing seen yet.
    #[must_use]
    pub fn new(now: Timestamp) -> Arc<Self> {
        let (events, _) = broadcast::channel(BEHIND_MAX);
        Arc::new(Self {
            snapshot: RwLock::new(Arc::new(Snapshot {
                at: now,
                seen: None,
                blind: None,
                seen_at: None,
                version: 0,
            })),
            number: AtomicU64::new(0),
            events,
        })
    }

    /// What was seen last.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot<S>> {
        let held = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&held)
    }

    /// Everything that changes from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// The number of the newest event.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.number.load(Ordering::SeqCst)
    }

    /// Puts up what was seen at `now`, or why nothing was.
    pub fn put(&self, now: Timestamp, seen: Result<S, String>)
    where
        S: Clone,
    {
        {
            let mut held = self
                .snapshot
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            let version = held.version + 1;
            *held = Arc::new(match seen {
                Ok(seen) => Snapshot {
                    at: now,
                    seen: Some(seen),
                    blind: None,
                    seen_at: Some(now),
                    version,
                },
                Err(why) => Snapshot {
                    at: now,
                    seen: held.seen.clone(),
                    blind: Some(why),
                    seen_at: held.seen_at,
                    version,
                },
            });
        }
        self.tell(About::Status);
    }

    /// Tells whoever watches.
    pub fn tell(&self, about: About) {
        let number = self.number.fetch_add(1, Ordering::SeqCst) + 1;
        // Nobody may be listening.
        let _ = self.events.send(Event { number, about });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_look_that_sees_nothing_keeps_what_was_seen() {
        let board = Board::new(at("2026-11-22T10:00:00Z"));
        assert!(board.snapshot().seen.is_none());
        let mut events = board.events();
        board.put(at("2026-11-22T10:01:00Z"), Ok("all well"));
        board.put(at("2026-11-22T10:02:00Z"), Err("no network".to_owned()));
        let now = board.snapshot();
        assert_eq!(now.seen, Some("all well"));
        assert_eq!(now.blind.as_deref(), Some("no network"));
        assert_eq!(now.seen_at, Some(at("2026-11-22T10:01:00Z")));
        assert_eq!(now.version, 2);
        let first = events.try_recv().unwrap();
        let second = events.try_recv().unwrap();
        assert_eq!(first.about, About::Status);
        assert!(first.number < second.number);
        assert_eq!(second.number, board.newest());
    }
}
