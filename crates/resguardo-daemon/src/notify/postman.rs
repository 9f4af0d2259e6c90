//! The thread of one endpoint: takes what is due, sends it, and writes down what became of it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use resguardo_ops::catalog::outbox::Parcel;
use resguardo_ops::catalog::shared::Turn;

use super::bell::Bell;
use super::clerk::Office;
use super::endpoint::{Again, Refused};
use super::letter::Letter;
use super::outbox::Fate;

/// Longest wait before the outbox is looked at again: somebody else may have put something there.
const LOOK: Duration = Duration::from_secs(60);
/// Tries that hang, at most; no more are begun before one of them ends.
const HANGING_MAX: usize = 3;

pub(super) struct Postman {
    pub(super) office: Arc<Office>,
    pub(super) endpoint: String,
    pub(super) bell: Arc<Bell>,
    /// Tries in a row that failed.
    failures: u32,
    /// It was said that the outbox cannot be read.
    blind: bool,
    /// Held by each try that has not ended.
    token: Arc<()>,
}

impl Postman {
    pub(super) fn new(office: Arc<Office>, endpoint: String, bell: Arc<Bell>) -> Self {
        Self {
            office,
            endpoint,
            bell,
            failures: 0,
            blind: false,
            token: Arc::new(()),
        }
    }

    /// Works until the bell is over.
    pub(super) fn work(mut self) {
        while !self.bell.is_over() {
            let now = self.office.clock.now();
            // Longer than a try takes: nobody else takes it meanwhile.
            let lease = later(now, self.office.pace.try_max * 2);
            match self.office.outbox.take(&self.endpoint, now, lease) {
                Ok(taken) => {
                    self.blind = false;
                    match taken {
                        Some(parcel) => self.carry(&parcel),
                        None => self.rest(now),
                    }
                }
                Err(why) => {
                    if !self.blind {
                        self.note(&format!(
                            "the messages for {} cannot be read: {why}",
                            self.endpoint
                        ));
                    }
                    self.blind = true;
                    self.bell.wait(self.office.pace.pause_max);
                }
            }
        }
    }

    fn rest(&self, now: Timestamp) {
        let next = self.office.outbox.next(&self.endpoint);
        let wait = match next {
            Ok(Some(at)) => at.duration_since(now).max(SignedDuration::from_millis(20)),
            // What cannot be read now is read later.
            Ok(None) | Err(_) => SignedDuration::from_secs(60),
        };
        self.bell.wait(wait.unsigned_abs().min(LOOK));
    }

    /// Tries to deliver one message.
    fn carry(&mut self, parcel: &Parcel) {
        if !self.is_our_turn(parcel) {
            return;
        }
        let outcome = self.attempt(parcel);
        let now = self.office.clock.now();
        match outcome {
            Ok(()) => {
                if self.failures > 0 {
                    self.note(&format!("{} is told again", self.endpoint));
                }
                self.failures = 0;
                self.is_over(parcel);
                self.end(parcel, &Fate::Sent, now);
            }
            Err(refused) if refused.again == Again::Never => {
                // The endpoint answers: only this message is nothing for it.
                self.failures = 0;
                self.give_up(parcel, &refused.why, now);
            }
            Err(refused) => {
                self.failures = self.failures.saturating_add(1);
                let pace = &self.office.pace;
                let wait = match refused.again {
                    Again::After(asked) => asked.min(pace.asked_max),
                    Again::Later | Again::Never => pace.wait(&parcel.delivery, parcel.tries),
                };
                let at = later(now, wait);
                if at > parcel.expires_at {
                    self.give_up(parcel, &refused.why, now);
                } else {
                    if self.failures == 1 {
                        self.note(&format!(
                            "{} cannot be told: {}; it is tried again",
                            self.endpoint, refused.why
                        ));
                    }
                    self.end(parcel, &Fate::Later(&refused.why, at), now);
                }
                self.bell.pause(pace.pause(self.failures));
            }
        }
    }

    /// Whether no other machine sends it, or has. What it will have become by then is looked up again.
    fn is_our_turn(&self, parcel: &Parcel) -> bool {
        let hold = self.office.pace.try_max * 2;
        let turns = self.office.turns.as_ref();
        let turn = turns.map(|turns| turns.turn(&parcel.delivery, hold));
        let now = self.office.clock.now();
        match turn {
            Some(Ok(Turn::Sent)) => self.end(parcel, &Fate::Sent, now),
            Some(Ok(Turn::Others)) => {
                let at = later(now, hold);
                self.end(parcel, &Fate::Later("another machine sends it", at), now);
            }
            // A server that cannot be asked holds up no message.
            None | Some(Ok(Turn::Ours) | Err(_)) => return true,
        }
        false
    }

    /// No other machine is to send it any more.
    fn is_over(&self, parcel: &Parcel) {
        let told = self.office.turns.as_ref();
        if let Some(Err(why)) = told.map(|turns| turns.is_over(&parcel.delivery)) {
            self.note(&format!(
                "other machines may tell {} the same again: {why}",
                self.endpoint
            ));
        }
    }

    fn attempt(&self, parcel: &Parcel) -> Result<(), Refused> {
        let Ok(mut letter) = serde_json::from_str::<Letter>(&parcel.payload) else {
            return Err(Refused::never("another version wrote the message"));
        };
        letter.delivery.clone_from(&parcel.delivery);
        letter.sent_at = self.office.clock.now();
        if letter.sent_at > parcel.expires_at {
            return Err(Refused::never("it is too late for it"));
        }
        if Arc::strong_count(&self.token) > HANGING_MAX {
            return Err(Refused::later("earlier tries have not ended yet"));
        }
        let endpoint = match self.office.directory.endpoint(&self.endpoint) {
            Ok(Some(endpoint)) => endpoint,
            Ok(None) => return Err(Refused::never("it is not configured any more")),
            Err(why) => return Err(Refused::later(why)),
        };
        endpoint.deliver_within(&letter, self.office.pace.try_max, Arc::clone(&self.token))
    }

    fn give_up(&self, parcel: &Parcel, why: &str, now: Timestamp) {
        self.note(&format!(
            "a message to {} is given up at try {}: {why}",
            self.endpoint, parcel.tries,
        ));
        self.is_over(parcel);
        self.end(parcel, &Fate::GivenUp(why), now);
    }

    fn end(&self, parcel: &Parcel, fate: &Fate<'_>, now: Timestamp) {
        if let Err(why) = self.office.outbox.end(parcel.number, fate, now) {
            self.note(&format!(
                "what became of a message to {} cannot be written down: {why}",
                self.endpoint
            ));
        }
    }

    fn note(&self, line: &str) {
        (self.office.note)(line);
    }
}

pub(super) fn later(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
