//! Whose turn it is to send a message, where several machines have the same to tell.

use std::time::Duration;

use resguardo_ops::catalog::shared::{SharedCatalog, Turn};

/// Several machines agree by it.
pub trait Turns: Send + Sync {
    /// Whose turn it is. Ours stays so for `hold`; who dies in between is followed by another.
    ///
    /// # Errors
    /// Why nobody can tell, in a line. Then it is sent: twice is better than never.
    fn turn(&self, delivery: &str, hold: Duration) -> Result<Turn, String>;

    /// It was sent, or is given up.
    ///
    /// # Errors
    /// Why others cannot be told, in a line.
    fn is_over(&self, delivery: &str) -> Result<(), String>;
}

impl Turns for SharedCatalog {
    fn turn(&self, delivery: &str, hold: Duration) -> Result<Turn, String> {
        self.turn_to_send(delivery, hold)
            .map_err(|error| resguardo_ops::described(&error))
    }

    fn is_over(&self, delivery: &str) -> Result<(), String> {
        self.was_sent(delivery)
            .map_err(|error| resguardo_ops::described(&error))
    }
}
