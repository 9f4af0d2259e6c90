//! Who looks what there is to tell, and who tells it: one machine of several.

use std::time::Duration;

use resguardo_engine::postgres::database::literal;

use super::{SharedCatalog, SharedError, text};

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// This process is to send it.
    Ours,
    /// Another one is about to.
    Others,
    /// It was sent.
    Sent,
}

impl SharedCatalog {
    /// Takes the lead if nobody has it, or keeps it for another `hold`; whether this process has it.
    ///
    /// # Errors
    /// [`SharedError::Database`].
    pub fn leads(&self, hold: Duration) -> Result<bool, SharedError> {
        // No source is called so.
        let sql = format!(
            "insert into resguardo.leases as l (vault, source, fence, task, holder, host, until)
             values ({vault}, '', 1, 'lead', {process}, {host}, {until})
             on conflict (vault, source) do update
             set fence = l.fence + 1, holder = excluded.holder, host = excluded.host, until = excluded.until
             where l.holder = excluded.holder or l.holder is null or l.until <= clock_timestamp()
             returning fence",
            vault = self.vault(),
            process = literal(&self.process),
            host = literal(&self.host),
            until = until(hold),
        );
        let rows = self.database.ask(&sql);
        let rows = rows.map_err(SharedError::at("leading by"))?;
        Ok(!rows.is_empty())
    }

    /// Somebody else may lead.
    ///
    /// # Errors
    /// [`SharedError::Database`].
    pub fn leads_no_more(&self) -> Result<(), SharedError> {
        let sql = format!(
            "update resguardo.leases set holder = null, host = null, until = null
             where vault = {vault} and source = '' and holder = {process}",
            vault = self.vault(),
            process = literal(&self.process),
        );
        let done = self.database.ask(&sql);
        done.map(|_| ()).map_err(SharedError::at("leading by"))
    }

    /// Whose turn it is to send a message, by what its receiver knows it by. Ours is so for `hold`.
    ///
    /// # Errors
    /// [`SharedError::Database`].
    pub fn turn_to_send(&self, delivery: &str, hold: Duration) -> Result<Turn, SharedError> {
        let sql = format!(
            "with ours as (
                insert into resguardo.messages as m (vault, delivery, process, until)
                values ({vault}, {delivery}, {process}, {until})
                on conflict (vault, delivery) do update
                set process = excluded.process, until = excluded.until
                where m.sent_at is null and (m.process = excluded.process or m.until <= clock_timestamp())
                returning 1
             )
             select (select count(*) from ours),
                (select count(*) from resguardo.messages
                 where vault = {vault} and delivery = {delivery} and sent_at is not null)",
            vault = self.vault(),
            delivery = literal(delivery),
            process = literal(&self.process),
            until = until(hold),
        );
        let rows = self.database.ask(&sql);
        let rows = rows.map_err(SharedError::at("sending a message by"))?;
        let is = |column| rows.first().is_some_and(|row| text(row, column) == "1");
        Ok(match (is(0), is(1)) {
            (true, _) => Turn::Ours,
            (false, true) => Turn::Sent,
            (false, false) => Turn::Others,
        })
    }

    /// A message has arrived, or is given up: nobody sends it any more.
    ///
    /// # Errors
    /// [`SharedError::Database`].
    pub fn was_sent(&self, delivery: &str) -> Result<(), SharedError> {
        let sql = format!(
            "update resguardo.messages set sent_at = clock_timestamp(), until = clock_timestamp()
             where vault = {vault} and delivery = {delivery} and process = {process}",
            vault = self.vault(),
            delivery = literal(delivery),
            process = literal(&self.process),
        );
        let done = self.database.ask(&sql);
        done.map(|_| ())
            .map_err(SharedError::at("sending a message by"))
    }
}

/// When what is held now is free again, in SQL.
fn until(hold: Duration) -> String {
    let hold = hold.as_millis();
    format!("clock_timestamp() + interval '{hold} milliseconds'")
}
