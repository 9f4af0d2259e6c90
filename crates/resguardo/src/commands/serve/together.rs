//! What several machines leave to one of them: to look what there is to tell people.
//!
//! Whoever looks opens exceptions, and tells when they are good again. Two who look at the same moment would open two
//! of each, and one who does not know of the other's runs would call good what is not: so one leads, and all exchange
//! their runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use resguardo_ops::catalog::Catalog;
use resguardo_ops::catalog::shared::{Exchange, ExchangeError, SharedCatalog};

/// How long the lead is kept from one look to the next, which come each minute.
const HOLD: Duration = Duration::from_secs(150);

/// This machine among several.
pub(super) struct Together {
    pub(super) shared: Arc<SharedCatalog>,
    exchange: Mutex<Exchange>,
    /// It led when it was asked last.
    led: AtomicBool,
}

impl Together {
    pub(super) fn by(shared: Arc<SharedCatalog>) -> Self {
        Self {
            shared,
            exchange: Mutex::default(),
            led: AtomicBool::new(false),
        }
    }

    /// Exchanges runs with the others; then whether this machine is to look. Who led goes on while the server is
    /// away.
    ///
    /// # Errors
    /// Why this machine's own catalog cannot be used, in a line.
    pub(super) fn leads(&self, own: &Catalog) -> Result<bool, String> {
        let mut exchange = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        match exchange.exchange(own, &self.shared) {
            Ok(_) => {}
            // That it cannot be used is told by whoever wants to begin something.
            Err(ExchangeError::Shared(_)) => return Ok(self.led.load(Ordering::SeqCst)),
            Err(error @ ExchangeError::Own(_)) => return Err(resguardo_ops::described(&error)),
        }
        if let Ok(leads) = self.shared.leads(HOLD) {
            self.led.store(leads, Ordering::SeqCst);
        }
        Ok(self.led.load(Ordering::SeqCst))
    }

    /// Another one may lead. Where the server is away, it may once the lead has lapsed.
    pub(super) fn ends(&self) {
        if self.led.swap(false, Ordering::SeqCst) {
            let _ = self.shared.leads_no_more();
        }
    }
}
