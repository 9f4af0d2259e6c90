//! A real mail server: `aiosmtpd`, with and without TLS, with and without a login.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::Server;
use crate::postgres::certificates::Certificates;
use crate::tools;

const PROGRAM: &str = include_str!("mail.py");

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// In the clear.
    None,
    /// In the clear at first; it refuses mail before `STARTTLS`.
    StartTls,
    /// Encrypted from the start.
    Tls,
}

/// A mail server; gone when it is dropped. It refuses `nobody@...` for good, and `later@...` for now.
#[derive(Debug)]
pub struct MailServer {
    server: Server,
    folder: TempDir,
    certificates: Option<Certificates>,
}

impl MailServer {
    /// Starts one. With `login` it takes no mail before this user and password.
    ///
    /// # Panics
    /// If `aiosmtpd` is not there; `cargo xtask test` installs it.
    #[must_use]
    pub fn start(tls: MailTls, login: Option<(&str, &str)>) -> Self {
        let python = tools::find("python", "venv/bin");
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("mail.py");
        std::fs::write(&program, PROGRAM).unwrap();
        std::fs::create_dir(folder.path().join("mail")).unwrap();
        let certificates = (tls != MailTls::None).then(|| Certificates::make(folder.path()));
        let mut proof = Command::new(&python);
        let is_there = proof.args(["-c", "import aiosmtpd"]).status().unwrap();
        assert!(
            is_there.success(),
            "aiosmtpd is not in {}: run `cargo xtask test`, which installs it",
            python.display()
        );
        let server = Server::start(folder.path(), |port| {
            let mut command = Command::new(&python);
            command.arg(&program).arg(folder.path().join("mail"));
            command.arg(port.to_string()).arg(match tls {
                MailTls::None => "none",
                MailTls::StartTls => "starttls",
                MailTls::Tls => "tls",
            });
            if let Some(certificates) = &certificates {
                command.arg(certificates.chain()).arg(certificates.key());
            }
            if let Some((user, password)) = login {
                command.args([user, password]);
            }
            command
        });
        Self {
            server,
            folder,
            certificates,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The certificate of its authority, in PEM. It is for `localhost`.
    #[must_use]
    pub fn authority(&self) -> String {
        let certificates = self.certificates.as_ref().unwrap();
        std::fs::read_to_string(certificates.ca()).unwrap()
    }

    /// The certificate of some other authority, in PEM.
    #[must_use]
    pub fn wrong_authority(&self) -> String {
        let certificates = self.certificates.as_ref().unwrap();
        std::fs::read_to_string(certificates.wrong_ca()).unwrap()
    }

    /// The messages that it took, in their order, each a JSON object: `from`, `to`, `content`, `encrypted`, `user`.
    #[must_use]
    pub fn taken(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("mail")).unwrap();
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .collect();
        paths.sort();
        paths
            .iter()
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect()
    }
}
