//! Throwaway servers, each a process of its own on a free port and in a private folder.

mod answers;
mod azure;
mod gcs;
mod mail;
mod s3;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::postgres::account::{Account, become_words};
pub use answers::{Answer, Answering, Asked};
pub use azure::AzureServer;
pub use gcs::GcsServer;
pub use mail::{MailServer, MailTls};
pub use s3::S3Server;

/// How long a server may take until it listens.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A server process with its children; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts the command that `command` makes for a free port of the loopback interface, and waits
    /// until it listens there. Its output goes to `server.log` in `folder`.
    pub(crate) fn start(folder: &Path, command: impl Fn(u16) -> Command) -> Self {
        Self::start_as(None, folder, command)
    }

    /// The same as another user.
    pub(crate) fn start_as(
        account: Option<Account>,
        folder: &Path,
        command: impl Fn(u16) -> Command,
    ) -> Self {
        // Somebody else may take the port before the server does.
        for _ in 0..5 {
            let port = free_port();
            let log = std::fs::File::create(folder.join("server.log")).unwrap();
            let mut command = dying_with_us(&command(port), account);
            command
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .process_group(0);
            let child = spawn(command);
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let mut server = Self { child, address };
            if server.is_ready() {
                return server;
            }
        }
        let log = std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
        panic!("{:?} does not listen; it said:\n{log}", command(0));
    }

    fn is_ready(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < READY_WITHIN {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// The same command, run as `account`, killed by the kernel when we end ([`spawn`] sees to that): a test
/// that is killed leaves no server behind.
pub(crate) fn dying_with_us(command: &Command, account: Option<Account>) -> Command {
    let mut dying = Command::new("setpriv");
    dying
        .args(become_words(account))
        .args(["--pdeathsig", "KILL", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => dying.env(name, value),
            None => dying.env_remove(name),
        };
    }
    dying
}

/// Starts a command from a thread that never ends: the kernel sends `--pdeathsig` when the thread that
/// started a process ends, and the caller's may end before the server is to.
pub(crate) fn spawn(command: Command) -> Child {
    type Order = (Command, Sender<std::io::Result<Child>>);
    static STARTER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
        let (sender, orders) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let shown = format!("{command:?}");
    let (answer, started) = channel();
    STARTER.lock().unwrap().send((command, answer)).unwrap();
    started
        .recv()
        .unwrap()
        .unwrap_or_else(|error| panic!("{shown}: {error}"))
}

/// A port of the loopback interface on which nobody listens at this moment.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
