//! PgBouncer, a connection pooler, in front of a server.

use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use super::server::PgServer;
use super::{account, ground};
use crate::servers::Server;

/// When a pooler takes a server's connection back from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// When the client leaves.
    Session,
    /// After every transaction.
    Transaction,
    /// After every statement.
    Statement,
}

/// A pooler that trusts everybody; gone when it is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    server: Server,
    #[expect(dead_code, reason = "removed with the value")]
    folder: TempDir,
}

impl PgBouncer {
    /// Starts a pooler in front of all of the server's databases.
    ///
    /// # Panics
    /// If the program is missing, which the message says how to install.
    #[must_use]
    pub fn start(server: &PgServer, mode: PoolMode) -> Self {
        let program = crate::tools::find_also("pgbouncer", "bin", &["/usr/sbin"]);
        let folder = ground::fresh();
        let users = folder.path().join("users.txt");
        let password = server.options.password.as_deref().unwrap_or_default();
        std::fs::write(&users, format!("\"postgres\" \"{password}\"\n")).unwrap();
        let mode = match mode {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
            PoolMode::Statement => "statement",
        };
        let config = folder.path().join("pgbouncer.ini");
        let running = Server::start_as(account::unprivileged(), folder.path(), |port| {
            let text = format!(
                "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
                 pool_mode = {mode}\nadmin_users = postgres\n\
                 ignore_startup_parameters = extra_float_digits\n",
                server.port(),
                users.display()
            );
            std::fs::write(&config, text).unwrap();
            let mut command = Command::new(&program);
            command.arg(&config);
            command
        });
        Self {
            server: running,
            folder,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// `postgresql://postgres@127.0.0.1:PORT/DATABASE`, through the pooler.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@{}/{database}", self.address())
    }
}
