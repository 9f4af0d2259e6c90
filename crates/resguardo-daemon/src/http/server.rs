//! The server: its settings, its thread, its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem;

use super::origin::Origin;
use super::state::{House, State};
use super::tls::{Certificate, Shown};
use super::{connection, route};

/// Threads that serve.
const WORKERS: usize = 2;
/// Threads for what blocks: more than the pools let in.
const BLOCKING_MAX: usize = 16;
/// How long blocking work is given when all is to stop.
const STOP_TIME: Duration = Duration::from_secs(5);

/// Where and how to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address.
    pub listen: SocketAddr,
    /// A certificate, to serve by TLS.
    pub certificate: Option<Certificate>,
    /// A proxy in front of it speaks TLS and says in `X-Forwarded-For` whom it speaks for.
    pub behind_proxy: bool,
    /// Under which address browsers know it.
    pub origin: Option<Origin>,
}

impl Settings {
    /// On an address, without anything else.
    #[must_use]
    pub fn on(listen: SocketAddr) -> Self {
        Self {
            listen,
            certificate: None,
            behind_proxy: false,
            origin: None,
        }
    }

    /// Whether browsers reach it by TLS.
    pub(super) fn is_secure(&self) -> bool {
        let by_proxy = || {
            let origin = self.origin.as_ref();
            self.behind_proxy && origin.is_some_and(Origin::is_secure)
        };
        self.certificate.is_some() || by_proxy()
    }

    /// Whether they may be served as they are.
    ///
    /// # Errors
    /// [`HttpError::Public`], [`HttpError::NoOrigin`].
    pub fn check(&self) -> Result<(), HttpError> {
        if self.behind_proxy && self.origin.is_none() {
            return Err(HttpError::NoOrigin);
        }
        let is_loopback = self.listen.ip().to_canonical().is_loopback();
        if is_loopback || self.certificate.is_some() || self.behind_proxy {
            return Ok(());
        }
        Err(HttpError::Public {
            listen: self.listen,
        })
    }
}

/// What can go wrong with the server.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Passwords would go over the network as they are.
    #[error("{listen} can be reached from other machines, and there is no TLS")]
    Public {
        /// The address.
        listen: SocketAddr,
    },
    /// A proxy is said to be there, and not what browsers call it.
    #[error("behind a proxy it has to be known under which url browsers reach it")]
    NoOrigin,
    /// The address cannot be had.
    #[error("listening on {listen}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// There is no thread for it.
    #[error("starting the server")]
    Start(#[source] std::io::Error),
    /// A certificate or key cannot be read.
    #[error("reading {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// The key is not the certificate's, or of a kind that is not known.
    #[error("using the certificate {}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
    /// TLS cannot be spoken.
    #[error("setting TLS up")]
    Tls(#[source] rustls::Error),
}

/// A server that runs.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
    certificate: Option<Arc<Shown>>,
}

impl Server {
    /// Begins to serve, in a thread of its own.
    ///
    /// # Errors
    /// If the settings are not to be served, or the address cannot be had.
    pub fn start(settings: Settings, house: House) -> Result<Self, HttpError> {
        Self::patient(settings, house, connection::HEADER_TIME)
    }

    /// One that waits for headers for so long.
    pub(super) fn patient(
        settings: Settings,
        house: House,
        header_time: Duration,
    ) -> Result<Self, HttpError> {
        settings.check()?;
        let shown = settings.certificate.clone().map(Shown::read).transpose()?;
        let acceptor = shown.as_ref().map(Shown::acceptor).transpose()?;
        let listen = settings.listen;
        let taken = |source| HttpError::Listen { listen, source };
        let socket = std::net::TcpListener::bind(listen).map_err(taken)?;
        socket.set_nonblocking(true).map_err(taken)?;
        let address = socket.local_addr().map_err(taken)?;
        let (stop, stopped) = watch::channel(false);
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(BLOCKING_MAX)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(HttpError::Start)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(socket).map_err(taken)?
        };
        let router = route::router(&State::new(house, settings));
        let work = move || {
            let serving = connection::serve(listener, acceptor, router, header_time, stopped);
            runtime.block_on(serving);
            runtime.shutdown_timeout(STOP_TIME);
        };
        let thread = std::thread::Builder::new().name("http-serve".to_owned());
        Ok(Self {
            address,
            stop,
            thread: Mutex::new(Some(thread.spawn(work).map_err(HttpError::Start)?)),
            certificate: shown,
        })
    }

    /// Where it listens: a port of 0 is another one by now.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads the certificate again, for connections from now on.
    ///
    /// # Errors
    /// What cannot be read; the one before is shown on.
    pub fn reload(&self) -> Result<(), HttpError> {
        self.certificate
            .as_ref()
            .map_or(Ok(()), |shown| shown.reload())
    }

    /// Takes no connection any more, and waits for the end of those that there are, for a while.
    pub fn stop(&self) {
        // Nobody listens any more if it has ended.
        let _ = self.stop.send(true);
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
