//! One server: starts, is stopped, killed or paused, starts again, and is gone when it is dropped.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use rustix::process::Signal;
use tempfile::TempDir;

use super::certificates::Certificates;
use super::options::PgServerOptions;
use super::process::{PATIENCE, Process};
use super::tree::{self, Tree};
use super::version::PgVersion;
use super::{account, ground, template};
use crate::servers::{dying_with_us, free_port};

/// A PostgreSQL server with its data, gone when it is dropped.
#[derive(Debug)]
pub struct PgServer {
    // Dropped before the folder that it works in.
    process: Mutex<Option<Process>>,
    pub(super) folder: TempDir,
    pub(super) options: PgServerOptions,
    pub(super) bin: PathBuf,
    pub(super) port: u16,
    certificates: Option<Certificates>,
}

impl PgServer {
    /// Starts a server as [`PgServerOptions::new`] says.
    ///
    /// # Panics
    /// If its programs are missing, which the message says how to install.
    #[must_use]
    pub fn start(version: PgVersion) -> Self {
        Self::start_with(PgServerOptions::new(version))
    }

    /// Starts a server with these options.
    ///
    /// # Panics
    /// If its programs are missing, or it does not start with these options; the message has its log.
    #[must_use]
    pub fn start_with(options: PgServerOptions) -> Self {
        let tree = tree::of(options.version);
        let folder = ground::fresh();
        template::copy_to(&folder.path().join("data"), &tree, &options);
        let password = options.password.clone();
        let server = Self::start_cluster(folder, &tree, options);
        if let Some(password) = password {
            let quoted = password.replace('\'', "''");
            server.psql(
                "postgres",
                &format!("ALTER ROLE postgres PASSWORD '{quoted}'"),
            );
        }
        server
    }

    /// Configures and starts the cluster in the folder's `data`.
    pub(super) fn start_cluster(folder: TempDir, tree: &Tree, options: PgServerOptions) -> Self {
        let socket = folder.path().join("s");
        std::fs::create_dir(&socket).unwrap();
        account::give(&socket);
        let certificates = options.tls.then(|| Certificates::make(folder.path()));
        let mut server = Self {
            process: Mutex::new(None),
            folder,
            options,
            bin: tree.bin.clone(),
            port: 0,
            certificates,
        };
        server.configure();
        // Somebody else may take the port before the server does.
        for _ in 0..5 {
            server.port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("the server does not start; it said:\n{}", server.log());
    }

    fn configure(&self) {
        let data = self.data_dir();
        let mut lines = vec![
            ("fsync", "off".to_owned()),
            ("jit", "off".to_owned()),
            ("lc_messages", "C".to_owned()),
            ("timezone", "UTC".to_owned()),
            ("log_line_prefix", "%m [%p] %q%u@%d ".to_owned()),
            ("unix_socket_directories", self.text_of(self.socket_dir())),
        ];
        if let Some(certificates) = &self.certificates {
            lines.push(("ssl", "on".to_owned()));
            lines.push(("ssl_cert_file", self.text_of(certificates.chain())));
            lines.push(("ssl_key_file", self.text_of(certificates.key())));
        }
        let given = &self.options.settings;
        let given = given
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()));
        let text: String = lines
            .into_iter()
            .chain(given)
            .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")))
            .collect();
        append(&data.join("postgresql.conf"), &text);

        let method = if self.options.password.is_some() {
            "scram-sha-256"
        } else {
            "trust"
        };
        let mut rules = self.options.hba.join("\n");
        for database in ["all", "replication"] {
            rules += &format!("\nlocal {database} all trust");
            rules += &format!("\nhost {database} all 127.0.0.1/32 {method}");
        }
        std::fs::write(data.join("pg_hba.conf"), rules + "\n").unwrap();
    }

    /// Starts the postmaster and waits until it takes connections; false if it ends instead.
    fn launch(&self) -> bool {
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.log_file())
            .unwrap();
        let data = self.data_dir();
        // A killed server leaves its own behind.
        let _ = std::fs::remove_file(data.join("postmaster.pid"));
        let mut command = Command::new(self.bin.join("postgres"));
        command.arg("-D").arg(&data);
        command.args(["-p", &self.port.to_string()]);
        let listen = if self.options.tcp { "127.0.0.1" } else { "" };
        command.arg(format!("--listen_addresses={listen}"));
        command.env("LC_ALL", "C");
        let mut command = dying_with_us(&command, account::unprivileged());
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut process = Process::new(crate::servers::spawn(command));
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if process.has_ended() {
                return false;
            }
            if self.is_ready(process.pid()) {
                *self.process.lock().unwrap() = Some(process);
                return true;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("the server is not ready in time; it said:\n{}", self.log());
    }

    /// Does the eighth line of its `postmaster.pid` say so?
    fn is_ready(&self, pid: u32) -> bool {
        let file = std::fs::read_to_string(self.data_dir().join("postmaster.pid"));
        file.is_ok_and(|text| {
            let mut lines = text.lines();
            lines.next() == Some(&pid.to_string())
                && lines.nth(6).is_some_and(|status| status.trim() == "ready")
        })
    }

    /// Kills it and its children, as a power cut would; [`Self::start_again`] then recovers it.
    pub fn kill(&self) {
        self.take_process().kill();
    }

    /// Stops it, ending the connections that are open.
    pub fn stop_fast(&self) {
        self.take_process().stop(Signal::INT);
    }

    /// Starts it again at the same port, after it was stopped or killed.
    pub fn start_again(&self) {
        assert!(
            self.process.lock().unwrap().is_none(),
            "the server is running"
        );
        assert!(
            self.launch(),
            "the server does not start again; it said:\n{}",
            self.log()
        );
    }

    /// Stops it with all its connections in the middle of whatever they do; nothing is closed.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.lock().unwrap();
        process
            .as_ref()
            .expect("the server was not stopped")
            .signal_family(signal);
    }

    fn take_process(&self) -> Process {
        let process = self.process.lock().unwrap().take();
        process.expect("the server was not stopped before")
    }

    /// Its major.
    #[must_use]
    pub fn version(&self) -> PgVersion {
        self.options.version
    }

    /// The folder of its programs: `pg_dump`, `pg_restore`, ...; any user can run them.
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        &self.bin
    }

    /// Its port, of both TCP and the socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its socket.
    #[must_use]
    pub fn socket_dir(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// The folder of its data (`PGDATA`).
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder that the server's user can write to, for what SQL writes or reads; gone with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// All that it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The certificate that vouches for the server's, which is for `localhost` alone: `verify-full`
    /// refuses the host `127.0.0.1`.
    ///
    /// # Panics
    /// If it was started without TLS.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.certificates().ca()
    }

    /// The certificate of an authority that does not vouch for the server.
    ///
    /// # Panics
    /// If it was started without TLS.
    #[must_use]
    pub fn wrong_ca_file(&self) -> PathBuf {
        self.certificates().wrong_ca()
    }

    fn certificates(&self) -> &Certificates {
        let certificates = self.certificates.as_ref();
        certificates.expect("the server was started with TLS")
    }

    fn text_of(&self, path: PathBuf) -> String {
        path.into_os_string().into_string().unwrap()
    }
}

impl Drop for PgServer {
    fn drop(&mut self) {
        if let Ok(process) = self.process.get_mut() {
            drop(process.take());
        }
    }
}

fn append(path: &Path, text: &str) {
    let file = std::fs::OpenOptions::new().append(true).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}
