//! A streaming hot standby of a server.

use std::time::{Duration, Instant};

use super::process::PATIENCE;
use super::server::PgServer;
use super::{account, ground, tree};

impl PgServer {
    /// Copies the running server by `pg_basebackup`, and starts the copy as its hot standby.
    #[must_use]
    pub fn standby(&self) -> Self {
        let folder = ground::fresh();
        let mut copy = account::command(&self.bin_dir().join("pg_basebackup"));
        copy.arg("-h").arg(self.socket_dir());
        copy.args(["-p", &self.port().to_string(), "-U", "postgres"]);
        copy.args(["-c", "fast", "-X", "stream", "--no-sync", "-R", "-D"]);
        account::run(copy.arg(folder.path().join("data")));
        let mut options = self.options.clone();
        // Its copy of the primary's settings points to the primary's files.
        options.tls = false;
        options.settings.push(("ssl".to_owned(), "off".to_owned()));
        Self::start_cluster(folder, &tree::of(self.version()), options)
    }

    /// Waits until this standby has replayed all that `primary` has written.
    ///
    /// # Panics
    /// If it does not in time.
    pub fn catch_up_with(&self, primary: &Self) {
        let goal = primary.psql("postgres", "SELECT pg_current_wal_insert_lsn()");
        let question = format!("SELECT pg_last_wal_replay_lsn() >= '{goal}'");
        let began = Instant::now();
        while self.psql("postgres", &question) != "t" {
            assert!(began.elapsed() < PATIENCE, "the standby does not catch up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
