//! Talking to a server: its URLs, and the programs that know where it is.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::load::Load;
use super::server::PgServer;
use super::template::SUPERUSER;

/// What libpq reads from the environment and would lead elsewhere.
const INHERITED: [&str; 14] = [
    "PGAPPNAME",
    "PGCLIENTENCODING",
    "PGDATABASE",
    "PGHOST",
    "PGHOSTADDR",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPORT",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "PGUSER",
];

impl PgServer {
    /// `postgresql://postgres[:password]@127.0.0.1:PORT/DATABASE`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_of(SUPERUSER, self.options.password.as_deref(), database)
    }

    /// The same for another role.
    #[must_use]
    pub fn url_of(&self, role: &str, password: Option<&str>, database: &str) -> String {
        let password = password.map_or_else(String::new, |text| format!(":{}", percent(text)));
        format!(
            "postgresql://{}{password}@127.0.0.1:{}/{}",
            percent(role),
            self.port(),
            percent(database)
        )
    }

    /// `postgresql://postgres@/DATABASE?host=SOCKET-FOLDER&port=PORT`.
    #[must_use]
    pub fn socket_url(&self, database: &str) -> String {
        format!(
            "postgresql://{SUPERUSER}@/{}?host={}&port={}",
            percent(database),
            percent(&self.socket_dir().to_string_lossy()),
            self.port()
        )
    }

    /// One of its programs, run as whoever we are, with an environment that leads to `database` through
    /// the socket. Nothing of our own `PG...` reaches it.
    #[must_use]
    pub fn command(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(self.bin_dir().join(program));
        for name in INHERITED {
            command.env_remove(name);
        }
        command
            .env("PGHOST", self.socket_dir())
            .env("PGPORT", self.port().to_string())
            .env("PGUSER", SUPERUSER)
            .env("PGDATABASE", database)
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs SQL, each statement by itself, and gives what it selects: a line a row, `|` between columns,
    /// nothing for NULL; without the last line break. SQL and answer are UTF-8, whatever the database is.
    ///
    /// # Panics
    /// At the first error; the message is psql's.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        self.try_psql(database, sql)
            .unwrap_or_else(|error| panic!("psql, database {database}: {error}\nin: {sql}"))
    }

    /// The same.
    ///
    /// # Errors
    /// What psql said, if a statement failed.
    pub fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = self.command("psql", database);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        command.env("PGCLIENTENCODING", "UTF8");
        let output = with_input(command, sql.as_bytes());
        if output.status.success() {
            let mut text = String::from_utf8(output.stdout).unwrap();
            if text.ends_with('\n') {
                text.pop();
            }
            Ok(text)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Makes a database; `extra` is what follows its name, such as `TEMPLATE template0 ENCODING 'LATIN1'`.
    pub fn create_database(&self, name: &str, extra: &str) {
        let name = quote_identifier(name);
        self.psql("postgres", &format!("CREATE DATABASE {name} {extra}"));
    }

    /// Drops a database, whoever is connected.
    pub fn drop_database(&self, name: &str) {
        let name = quote_identifier(name);
        self.psql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    }

    /// Runs `pgbench` on a database to its end, and gives what it said.
    pub fn pgbench(&self, database: &str, words: &[&str]) -> String {
        super::account::run(self.command("pgbench", database).args(words))
    }

    /// Starts `pgbench` on a database and lets it run until the value is dropped or finished.
    #[must_use]
    pub fn pgbench_meanwhile(&self, database: &str, words: &[&str]) -> Load {
        let mut command = self.command("pgbench", database);
        command.args(words);
        Load::start(&command)
    }
}

/// Runs a command with this input; a thread feeds it, so that neither side waits for the other.
pub(super) fn with_input(mut command: Command, input: &[u8]) -> std::process::Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A program that ends early says itself why.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

/// A name as SQL takes it, whatever is in it.
#[must_use]
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A part of a URL.
fn percent(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}
