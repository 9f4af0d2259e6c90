//! What people are to be told, written down before it is sent. The catalog does not look into it.
//!
//! A parcel is one message for one endpoint about one subject (an exception, the runs of a source). Invariants,
//! which the tests hold it to:
//!
//! - The same change of the same subject is put down once for an endpoint, however often it is told.
//! - Of one subject an endpoint gets the older parcel before the newer one; one that waits for its next
//!   try holds back nothing about other subjects.
//! - A parcel that was taken is not taken again until its time is up: then whoever took it has died.
//! - No endpoint has more than [`WAITING_MAX`] parcels that wait; beyond that the oldest is given up.

use jiff::{SignedDuration, Timestamp};
use resguardo_model::Sha256Digest;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Catalog, CatalogError};

/// Parcels of one endpoint that wait, at most.
pub const WAITING_MAX: u32 = 1000;
/// How long it is remembered what was sent or given up.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24 * 30);

/// A message that is to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewParcel {
    /// Who is told.
    pub endpoint: String,
    /// What it is about.
    pub subject: String,
    /// What happened to that, as a word that no other change of the subject has.
    pub change: String,
    /// The message, as whoever sends it reads it.
    pub payload: String,
    /// A newer message about the subject makes it worthless while it waits.
    pub fleeting: bool,
    /// When it is not worth sending any more.
    pub expires_at: Timestamp,
}

impl NewParcel {
    /// What its receiver knows it by, the same at every try and from every machine: 32 hexadecimal digits.
    #[must_use]
    pub fn delivery(&self) -> String {
        let parts = [&self.endpoint, &self.subject, &self.change];
        let text = parts.map(String::as_str).join("\n");
        let mut digest = Sha256Digest::of(text.as_bytes()).to_string();
        digest.truncate(32);
        digest
    }
}

/// A message that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Its number.
    pub number: i64,
    /// What its receiver knows it by.
    pub delivery: String,
    /// The message.
    pub payload: String,
    /// How often it was taken to be sent, this time included.
    pub tries: u32,
    /// When it was written down.
    pub created_at: Timestamp,
    /// When it is not worth sending any more.
    pub expires_at: Timestamp,
}

/// How many parcels an endpoint has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The endpoint.
    pub endpoint: String,
    /// Those that wait.
    pub waiting: u32,
    /// Those that were given up within the last 30 days.
    pub given_up: u32,
    /// What was said at the last try of one that waits; else empty.
    pub said: String,
}

impl Catalog {
    /// Writes a message down; `false` if it was known already.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn outbox_put(&self, parcel: &NewParcel, now: Timestamp) -> Result<bool, CatalogError> {
        self.in_transaction("writing a message to", |connection| {
            put(connection, parcel, now)
        })
    }

    /// Takes the message for `endpoint` that is due, and keeps it from others until `until`.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn outbox_take(
        &self,
        endpoint: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Parcel>, CatalogError> {
        const TAKE: &str = "
            update outbox set tries = tries + 1, next_at = ?3 where number = (
                select number from outbox as one
                where endpoint = ?1 and state = 'waiting' and next_at <= ?2 and not exists (
                    select 1 from outbox as older
                    where older.endpoint = one.endpoint and older.subject = one.subject
                    and older.state = 'waiting' and older.number < one.number)
                order by next_at, number limit 1)
            returning number, delivery, payload, tries, created_at, expires_at";
        self.lock()
            .prepare_cached(TAKE)
            .and_then(|mut statement| {
                let times = (now.as_millisecond(), until.as_millisecond());
                statement
                    .query_row(params![endpoint, times.0, times.1], parcel)
                    .optional()
            })
            .map_err(CatalogError::sqlite("taking a message from"))
    }

    /// A message has arrived.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn outbox_sent(&self, number: i64, now: Timestamp) -> Result<(), CatalogError> {
        self.outbox_end(number, "sent", "", now)
    }

    /// A message is not tried again.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn outbox_give_up(
        &self,
        number: i64,
        said: &str,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        self.outbox_end(number, "given_up", said, now)
    }

    /// A message is tried again at `at`.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn outbox_later(&self, number: i64, said: &str, at: Timestamp) -> Result<(), CatalogError> {
        self.outbox_end(number, "waiting", said, at)
    }

    fn outbox_end(
        &self,
        number: i64,
        state: &str,
        said: &str,
        at: Timestamp,
    ) -> Result<(), CatalogError> {
        // One that was made worthless while it was sent stays so.
        const END: &str = "update outbox set state = ?2, said = ?3, next_at = ?4
            where number = ?1 and state = 'waiting'";
        self.lock()
            .prepare_cached(END)
            .and_then(|mut statement| {
                statement.execute(params![number, state, said, at.as_millisecond()])
            })
            .map(|_| ())
            .map_err(CatalogError::sqlite(
                "writing down what became of a message in",
            ))
    }

    /// When the next message for `endpoint` is due.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn outbox_next(&self, endpoint: &str) -> Result<Option<Timestamp>, CatalogError> {
        const NEXT: &str =
            "select min(next_at) from outbox where endpoint = ?1 and state = 'waiting'";
        let next: Option<i64> = self
            .lock()
            .prepare_cached(NEXT)
            .and_then(|mut statement| statement.query_row([endpoint], |row| row.get(0)))
            .map_err(CatalogError::sqlite("reading the messages of"))?;
        Ok(next.map(moment))
    }

    /// How many messages each endpoint has that wait or were given up.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn outbox_waiting(&self) -> Result<Vec<Waiting>, CatalogError> {
        const WAITING: &str = "
            select endpoint, sum(state = 'waiting'), sum(state = 'given_up'),
                coalesce((select said from outbox as last where last.endpoint = outbox.endpoint
                    and last.state = 'waiting' and last.said <> '' order by number desc limit 1), '')
            from outbox group by endpoint order by endpoint";
        let failed = CatalogError::sqlite("reading the messages of");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(WAITING).map_err(&failed)?;
        let rows = statement.query_map([], |row| {
            Ok(Waiting {
                endpoint: row.get(0)?,
                waiting: row.get(1)?,
                given_up: row.get(2)?,
                said: row.get(3)?,
            })
        });
        let rows = rows.map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }
}

fn put(connection: &Connection, parcel: &NewParcel, now: Timestamp) -> rusqlite::Result<bool> {
    let now_ms = now.as_millisecond();
    let forgotten = now
        .checked_sub(REMEMBERED)
        .map_or(i64::MIN, Timestamp::as_millisecond);
    connection
        .prepare_cached("delete from outbox where state <> 'waiting' and created_at < ?1")?
        .execute([forgotten])?;
    let new = connection
        .prepare_cached(
            "insert or ignore into outbox
             (endpoint, subject, change, delivery, payload, fleeting, state, tries, created_at, next_at, expires_at, said)
             values (?1, ?2, ?3, ?4, ?5, ?6, 'waiting', 0, ?7, ?7, ?8, '')",
        )?
        .execute(params![
            parcel.endpoint,
            parcel.subject,
            parcel.change,
            parcel.delivery(),
            parcel.payload,
            parcel.fleeting,
            now_ms,
            parcel.expires_at.as_millisecond(),
        ])?;
    if new == 0 {
        // It is told still, and so it is still to be known.
        connection
            .prepare_cached(
                "update outbox set created_at = ?4 where endpoint = ?1 and subject = ?2 and change = ?3
                 and state <> 'waiting'",
            )?
            .execute(params![parcel.endpoint, parcel.subject, parcel.change, now_ms])?;
        return Ok(false);
    }
    let number = connection.last_insert_rowid();
    connection
        .prepare_cached(
            "update outbox set state = 'replaced' where endpoint = ?1 and subject = ?2
             and fleeting and state = 'waiting' and number < ?3",
        )?
        .execute(params![parcel.endpoint, parcel.subject, number])?;
    connection
        .prepare_cached(
            "update outbox set state = 'given_up', said = 'too many messages wait'
             where endpoint = ?1 and state = 'waiting' and number <= (
                 select number from outbox where endpoint = ?1 and state = 'waiting'
                 order by number desc limit 1 offset ?2)",
        )?
        .execute(params![parcel.endpoint, WAITING_MAX])?;
    Ok(true)
}

fn parcel(row: &Row<'_>) -> rusqlite::Result<Parcel> {
    Ok(Parcel {
        number: row.get(0)?,
        delivery: row.get(1)?,
        payload: row.get(2)?,
        tries: row.get(3)?,
        created_at: moment(row.get(4)?),
        expires_at: moment(row.get(5)?),
    })
}

/// A number that nobody wrote is a time long ago.
fn moment(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-22T{text}Z").parse().unwrap()
    }

    fn message(endpoint: &str, subject: &str, change: &str) -> NewParcel {
        NewParcel {
            endpoint: endpoint.to_owned(),
            subject: subject.to_owned(),
            change: change.to_owned(),
            payload: format!("{subject} {change}"),
            fleeting: change.starts_with("reminder"),
            expires_at: at("23:00:00"),
        }
    }

    fn put(catalog: &Catalog, subject: &str, change: &str, now: &str) -> bool {
        catalog
            .outbox_put(&message("team", subject, change), at(now))
            .unwrap()
    }

    fn take(catalog: &Catalog, now: &str, until: &str) -> Option<Parcel> {
        catalog.outbox_take("team", at(now), at(until)).unwrap()
    }

    #[test]
    fn a_change_is_told_once_and_in_its_turn() {
        let catalog = Catalog::in_memory().unwrap();
        assert!(put(&catalog, "e1", "opened", "10:00:00"));
        assert!(!put(&catalog, "e1", "opened", "10:00:01"));
        assert!(put(&catalog, "e1", "good", "10:00:02"));
        assert!(put(&catalog, "e2", "opened", "10:00:03"));
        let first = take(&catalog, "10:01:00", "10:02:00").unwrap();
        assert_eq!((first.payload.as_str(), first.tries), ("e1 opened", 1));
        // The older one of the subject is not there yet; another subject need not wait for it.
        let other = take(&catalog, "10:01:00", "10:02:00").unwrap();
        assert_eq!(other.payload, "e2 opened");
        assert_eq!(take(&catalog, "10:01:00", "10:02:00"), None);
        assert_eq!(catalog.outbox_next("team").unwrap(), Some(at("10:00:02")));
        catalog.outbox_sent(first.number, at("10:01:05")).unwrap();
        let last = take(&catalog, "10:01:06", "10:02:00").unwrap();
        assert_eq!(last.payload, "e1 good");
        catalog.outbox_sent(last.number, at("10:01:07")).unwrap();
        catalog.outbox_sent(other.number, at("10:01:07")).unwrap();
        assert_eq!(catalog.outbox_next("team").unwrap(), None);
        // It was sent: the same is not put down again.
        assert!(!put(&catalog, "e1", "opened", "11:00:00"));
        assert_ne!(first.delivery, last.delivery);
        assert_eq!(first.delivery, message("team", "e1", "opened").delivery());
    }

    #[test]
    fn what_was_taken_by_somebody_who_died_is_taken_again() {
        let catalog = Catalog::in_memory().unwrap();
        put(&catalog, "e1", "opened", "10:00:00");
        assert_eq!(take(&catalog, "10:00:00", "10:05:00").unwrap().tries, 1);
        assert_eq!(take(&catalog, "10:04:59", "10:10:00"), None);
        assert_eq!(take(&catalog, "10:05:00", "10:10:00").unwrap().tries, 2);
    }

    #[test]
    fn what_failed_waits_for_its_time_or_is_given_up() {
        let catalog = Catalog::in_memory().unwrap();
        put(&catalog, "e1", "opened", "10:00:00");
        let taken = take(&catalog, "10:00:00", "10:05:00").unwrap();
        catalog
            .outbox_later(taken.number, "answered 500", at("10:30:00"))
            .unwrap();
        assert_eq!(take(&catalog, "10:29:59", "10:40:00"), None);
        let waiting = |waiting, given_up, said: &str| {
            vec![Waiting {
                endpoint: "team".to_owned(),
                waiting,
                given_up,
                said: said.to_owned(),
            }]
        };
        assert_eq!(
            catalog.outbox_waiting().unwrap(),
            waiting(1, 0, "answered 500")
        );
        let taken = take(&catalog, "10:30:00", "10:40:00").unwrap();
        catalog
            .outbox_give_up(taken.number, "answered 404", at("10:30:01"))
            .unwrap();
        assert_eq!(take(&catalog, "12:00:00", "12:40:00"), None);
        assert_eq!(catalog.outbox_waiting().unwrap(), waiting(0, 1, ""));
    }

    #[test]
    fn a_reminder_that_waits_gives_way_to_what_is_newer() {
        let catalog = Catalog::in_memory().unwrap();
        put(&catalog, "e1", "reminder 1", "10:00:00");
        let taken = take(&catalog, "10:00:00", "10:01:00").unwrap();
        put(&catalog, "e1", "good", "10:00:30");
        // It arrived all the same, or not: nobody tries it again.
        catalog
            .outbox_later(taken.number, "answered 500", at("10:02:00"))
            .unwrap();
        assert_eq!(
            take(&catalog, "10:05:00", "10:06:00").unwrap().payload,
            "e1 good"
        );
        assert_eq!(take(&catalog, "10:05:00", "10:06:00"), None);
        assert!(!put(&catalog, "e1", "reminder 1", "10:07:00"));
    }

    #[test]
    fn the_outbox_is_bounded_and_forgets() {
        let catalog = Catalog::in_memory().unwrap();
        for number in 0..WAITING_MAX + 5 {
            put(&catalog, &format!("e{number}"), "opened", "10:00:00");
        }
        let waiting = catalog.outbox_waiting().unwrap();
        assert_eq!(waiting[0].waiting, WAITING_MAX);
        assert_eq!(waiting[0].given_up, 5);
        let oldest = take(&catalog, "10:00:00", "10:01:00").unwrap();
        assert_eq!(oldest.payload, "e5 opened");
        let later: Timestamp = "2027-01-22T00:00:00Z".parse().unwrap();
        catalog
            .outbox_put(&message("other", "e1", "opened"), later)
            .unwrap();
        assert_eq!(catalog.outbox_waiting().unwrap()[1].given_up, 0);
    }

    #[test]
    fn what_is_told_again_and_again_is_never_forgotten() {
        let catalog = Catalog::in_memory().unwrap();
        put(&catalog, "e1", "worse 2", "10:00:00");
        let taken = take(&catalog, "10:00:00", "10:05:00").unwrap();
        catalog.outbox_sent(taken.number, at("10:00:01")).unwrap();
        let days = |days: i64| at("10:00:00") + SignedDuration::from_hours(24 * days);
        for day in [20, 40, 60] {
            let told = message("team", "e1", "worse 2");
            assert!(!catalog.outbox_put(&told, days(day)).unwrap(), "{day}");
        }
    }
}
