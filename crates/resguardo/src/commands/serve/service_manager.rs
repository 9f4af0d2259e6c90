//! Words to whoever manages the process: systemd's `sd_notify` protocol
//! (<https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>), a datagram to a socket.

use std::os::unix::net::UnixDatagram;

use crate::ambient::Ambient;

/// Whoever started the process and wants to know how it is; often nobody.
pub struct ServiceManager {
    socket: Option<(UnixDatagram, String)>,
}

impl ServiceManager {
    /// As `NOTIFY_SOCKET` says.
    #[must_use]
    pub fn of(ambient: &Ambient) -> Self {
        let place = ambient.variable("NOTIFY_SOCKET");
        let open = |place: &str| {
            let socket = UnixDatagram::unbound().ok()?;
            // Whoever does not read what he is told holds nobody up.
            socket.set_nonblocking(true).ok()?;
            Some((socket, place.to_owned()))
        };
        Self {
            socket: place.and_then(open),
        }
    }

    /// It is up, and does what it is to do.
    pub fn is_ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// It is not stuck (`WatchdogSec=`).
    pub fn is_alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// It reads its config again; [`ServiceManager::is_ready`] ends that.
    pub fn reloads(&self) {
        self.say("RELOADING=1");
    }

    /// It ends.
    pub fn stops(&self) {
        self.say("STOPPING=1");
    }

    /// A manager that does not listen is no reason to stop.
    fn say(&self, words: &str) {
        let Some((socket, place)) = &self.socket else {
            return;
        };
        #[cfg(target_os = "linux")]
        if let Some(name) = place.strip_prefix('@') {
            use std::os::linux::net::SocketAddrExt as _;
            if let Ok(address) = std::os::unix::net::SocketAddr::from_abstract_name(name) {
                let _ = socket.send_to_addr(words.as_bytes(), &address);
            }
            return;
        }
        let _ = socket.send_to(words.as_bytes(), place);
    }
}
