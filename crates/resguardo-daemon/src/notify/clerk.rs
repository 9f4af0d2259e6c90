//! The notifier: takes events from whoever tells them, at once, and writes a parcel for everybody who is to hear it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use resguardo_model::Clock;
use resguardo_ops::catalog::outbox::NewParcel;
use resguardo_ops::exception::Exception;

use super::bell::Bell;
use super::change::news;
use super::event::{Event, What};
use super::letter::Letter;
use super::outbox::Outbox;
use super::pace::Pace;
use super::postman::{Postman, later};
use super::redact::Redactor;
use super::rules::{Directory, Route, Rules};
use super::since::Since;
use super::turns::Turns;

/// Events that wait for the clerk, at most.
const EVENTS_MAX: usize = 1024;
/// Changes that are remembered, at most.
const TOLD_MAX: usize = 10_000;
/// How long a message is tried.
const WORTH: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a ping is: a switch that was to hear it an hour ago has raised its alarm.
const PING_WORTH: Duration = Duration::from_secs(60 * 60);

/// What is around the notifier.
pub struct Office {
    /// What is configured.
    pub directory: Arc<dyn Directory>,
    /// Where messages wait.
    pub outbox: Outbox,
    /// Whose turn it is to send; `None`: always ours.
    pub turns: Option<Arc<dyn Turns>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How fast it is tried again.
    pub pace: Pace,
    /// The machine's name.
    pub host: String,
    /// Is told what a person should know, in a line.
    pub note: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Tells people. It is stopped by [`Notifier::stop`]; what waits then is sent at the next start.
pub struct Notifier {
    orders: Mutex<Option<SyncSender<Order>>>,
    done: Mutex<Receiver<()>>,
    bells: Arc<Bells>,
    note: Arc<dyn Fn(&str) + Send + Sync>,
    is_full: AtomicBool,
}

enum Order {
    Tell(Box<Event>),
    News(Vec<Event>),
}

/// The bell of each endpoint's thread.
#[derive(Default)]
struct Bells(Mutex<BTreeMap<String, Arc<Bell>>>);

impl Notifier {
    /// Starts to tell, beginning with what waits in the outbox.
    ///
    /// # Errors
    /// If there can be no thread for it.
    pub fn start(office: Office) -> std::io::Result<Arc<Self>> {
        let office = Arc::new(office);
        let (orders, taken) = sync_channel(EVENTS_MAX);
        let (over, done) = sync_channel::<()>(0);
        let bells = Arc::new(Bells::default());
        let clerk = Clerk {
            office: Arc::clone(&office),
            bells: Arc::clone(&bells),
            told: BTreeSet::new(),
            day: 0,
        };
        let work = move || {
            let mut clerk = clerk;
            clerk.resume();
            for order in taken {
                clerk.take(order);
            }
            drop(over);
        };
        std::thread::Builder::new()
            .name("notify".to_owned())
            .spawn(work)?;
        Ok(Arc::new(Self {
            orders: Mutex::new(Some(orders)),
            done: Mutex::new(done),
            bells,
            note: Arc::clone(&office.note),
            is_full: AtomicBool::new(false),
        }))
    }

    /// Tells an event to everybody who wants to hear it. Never waits.
    pub fn tell(&self, event: Event) {
        self.order(Order::Tell(Box::new(event)));
    }

    /// Tells how exceptions stand: what everybody who wants to hear it was not told yet, and reminders
    /// where it is time for them; nothing of what was so before `since`. It may be called again and again.
    /// Never waits.
    pub fn exceptions(&self, exceptions: &[Exception], now: Timestamp, since: Since) {
        let news = news(exceptions, now, since);
        if !news.is_empty() {
            self.order(Order::News(news));
        }
    }

    fn order(&self, order: Order) {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(orders) = &*orders else { return };
        match orders.try_send(order) {
            Ok(()) => self.is_full.store(false, Ordering::Relaxed),
            // Said once, and not for each of a thousand.
            Err(TrySendError::Full(_)) if !self.is_full.swap(true, Ordering::Relaxed) => {
                (self.note)("too many messages wait to be written down: some are lost");
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// Ends it: what was told is written down, within `limit`; what was not sent yet is sent after the next
    /// start.
    pub fn stop(&self, limit: Duration) {
        let orders = self
            .orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(orders);
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            (self.note)("not every message was written down in time");
        }
        let bells = self.bells.0.lock().unwrap_or_else(PoisonError::into_inner);
        bells.values().for_each(|bell| bell.end());
    }
}

struct Clerk {
    office: Arc<Office>,
    bells: Arc<Bells>,
    /// Endpoint, subject and change of what was put down: exceptions are told again every minute.
    told: BTreeSet<(String, String, String)>,
    /// The day of `told`: once a day the outbox is asked again, so that it forgets nothing that goes on.
    day: i64,
}

impl Clerk {
    /// Goes on with what waits.
    fn resume(&self) {
        match self.office.outbox.endpoints() {
            Ok(endpoints) => endpoints.iter().for_each(|endpoint| self.wake(endpoint)),
            Err(why) => self.note(&format!("the messages that wait cannot be read: {why}")),
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Tell(event) => self.tell(&event, 0),
            Order::News(events) => {
                for event in &events {
                    match (event.what, self.turn(event)) {
                        (What::Reminder, None) => {}
                        (What::Reminder, Some(turn)) => self.tell(event, turn),
                        _ => self.tell(event, 0),
                    }
                }
            }
        }
    }

    /// How often people should have been reminded by now.
    fn turn(&self, event: &Event) -> Option<i64> {
        let rules = self.office.directory.rules(event.source.as_ref()?)?;
        let remind = i64::try_from(rules.remind?.seconds()).ok()?;
        let opened_at = event.exception.as_ref()?.opened_at;
        let turn_at = |at: Timestamp| at.duration_since(opened_at).as_secs().checked_div(remind);
        let told = event.told_until.and_then(turn_at).unwrap_or(0);
        turn_at(event.at).filter(|turn| *turn > told.max(0))
    }

    fn tell(&mut self, event: &Event, turn: i64) {
        let Some(source) = &event.source else { return };
        let Some(rules) = self.office.directory.rules(source) else {
            return;
        };
        let day = self.office.clock.now().as_second() / (24 * 60 * 60);
        if day != self.day {
            self.told.clear();
            self.day = day;
        }
        let subject = event.subject();
        let change = event.change(turn);
        let told = |route: &&Route| (route.endpoint.clone(), subject.clone(), change.clone());
        let routes: Vec<&Route> = rules
            .routes
            .iter()
            .filter(|route| route.wants(event) && !self.told.contains(&told(route)))
            .collect();
        if routes.is_empty() {
            return;
        }
        let redactor = Redactor::new(self.office.directory.secrets());
        for route in routes {
            let parcel = self.parcel(event, turn, &rules, route, &redactor);
            self.put(&parcel);
            if self.told.len() >= TOLD_MAX {
                // The outbox knows them, too; it only takes longer.
                self.told.clear();
            }
            self.told.insert(told(&route));
        }
    }

    fn parcel(
        &self,
        event: &Event,
        turn: i64,
        rules: &Rules,
        route: &Route,
        redactor: &Redactor,
    ) -> NewParcel {
        let now = self.office.clock.now();
        let mut letter = Letter::new(event, route.language, &rules.zone, redactor, now);
        letter.environment.clone_from(&rules.environment);
        letter.host.clone_from(&self.office.host);
        let worth = if route.is_ping { PING_WORTH } else { WORTH };
        NewParcel {
            endpoint: route.endpoint.clone(),
            subject: event.subject(),
            change: event.change(turn),
            payload: serde_json::to_string(&letter).expect("times and texts always serialise"),
            fleeting: matches!(event.what, What::Reminder | What::RunBegan),
            expires_at: later(now, worth),
        }
    }

    fn put(&self, parcel: &NewParcel) {
        if let Err(why) = self.office.outbox.put(parcel, self.office.clock.now()) {
            self.note(&format!(
                "a message to {} cannot be written down, and is sent all the same: {why}",
                parcel.endpoint
            ));
        }
        self.wake(&parcel.endpoint);
    }

    /// Wakes the endpoint's thread; starts it if there is none.
    fn wake(&self, endpoint: &str) {
        let mut bells = self.bells.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(endpoint) {
            bell.ring();
            return;
        }
        let bell = Arc::new(Bell::default());
        let postman = Postman::new(
            Arc::clone(&self.office),
            endpoint.to_owned(),
            Arc::clone(&bell),
        );
        let thread = std::thread::Builder::new().name("notify-endpoint".to_owned());
        match thread.spawn(move || postman.work()) {
            Ok(_) => {
                bells.insert(endpoint.to_owned(), bell);
            }
            Err(error) => self.note(&format!("{endpoint} cannot be told: no thread: {error}")),
        }
    }

    fn note(&self, line: &str) {
        (self.office.note)(line);
    }
}

#[cfg(test)]
mod tests;
