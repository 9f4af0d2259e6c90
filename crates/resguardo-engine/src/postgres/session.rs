//! A connection, driven by the thread that uses it. Whatever is waited for ends when the caller cancels,
//! when the server is silent for too long, and when the connection is cut; a statement that is given up is
//! cancelled on the server too.

mod copy;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::str::FromStr;
use std::time::{Duration, Instant};

use resguardo_model::CancelToken;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::{Settings, SslMode};
use super::{failure, tls};
use crate::port::{EngineError, Rows};

/// How often whoever waits looks around.
const TICK: Duration = Duration::from_millis(100);
/// Longest time for a request to cancel a statement.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// Values print the same everywhere; nothing is hidden from us without an error; nothing ends us but our
/// own limits. The order of rows is that of the table, so that yesterday's backup is found again.
const PREPARATION: &str = "set search_path = ''; set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; \
    set extra_float_digits = 3; set bytea_output = 'hex'; set xmloption = content; set timezone = 'UTC'; set lc_monetary = 'C'; \
    set row_security = off; set synchronize_seqscans = off; set statement_timeout = 0; \
    set idle_in_transaction_session_timeout = 0; set standard_conforming_strings = on; \
    set check_function_bodies = off; set default_transaction_read_only = off; set client_min_messages = warning";

/// Longest time for a connection to close.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(300);

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// For a lock that somebody else holds.
    pub(super) lock: Duration,
    /// For the next byte of an answer. `None` where the server may be busy for hours.
    pub(super) silence: Option<Duration>,
}

/// A server's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServerVersion {
    /// `server_version_num`: 150004 is 15.4.
    pub(super) number: u32,
}

impl ServerVersion {
    /// 15 of 15.4.
    pub(super) fn major(self) -> u32 {
        self.number / 10_000
    }
}

impl std::fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major(), self.number % 10_000)
    }
}

/// One row of an answer, as text.
pub(super) struct Row(tokio_postgres::SimpleQueryRow);

impl Row {
    /// A column that is never NULL; empty if it is.
    pub(super) fn text(&self, column: usize) -> &str {
        self.optional(column).unwrap_or_default()
    }

    /// A column, `None` for NULL.
    pub(super) fn optional(&self, column: usize) -> Option<&str> {
        self.0.get(column)
    }

    /// A number; the default if it is NULL or none.
    pub(super) fn number<T: FromStr + Default>(&self, column: usize) -> T {
        self.text(column).parse().unwrap_or_default()
    }

    /// A boolean.
    pub(super) fn is_true(&self, column: usize) -> bool {
        self.text(column) == "t"
    }

    pub(super) fn values(&self) -> Vec<Option<String>> {
        let column = |column| self.optional(column).map(str::to_owned);
        (0..self.0.len()).map(column).collect()
    }
}

/// A connection to a database. It belongs to one thread at a time.
pub(super) struct Session {
    /// There until it is dropped.
    client: Option<Client>,
    connection: JoinHandle<()>,
    runtime: Runtime,
    tls: MakeRustlsConnect,
    settings: Settings,
    limits: Limits,
    cancel: CancelToken,
    version: ServerVersion,
    encoding: String,
    in_recovery: bool,
}

impl Session {
    /// Connects, and prepares the session.
    ///
    /// # Errors
    /// Named by [`failure`].
    pub(super) fn connect(
        settings: &Settings,
        limits: Limits,
        cancel: &CancelToken,
    ) -> Result<Self, EngineError> {
        let mut session = Self::connect_unprepared(settings, limits, cancel)?;
        session.prepare()?;
        Ok(session)
    }

    /// Connects and changes no setting: behind a pooler it might be that of another's connection. To be
    /// followed by [`Session::prepare`].
    ///
    /// # Errors
    /// Named by [`failure`].
    pub(super) fn connect_unprepared(
        settings: &Settings,
        limits: Limits,
        cancel: &CancelToken,
    ) -> Result<Self, EngineError> {
        let place = settings.describe();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failure::unreachable(&place, error.into()))?;
        let tls = tls::connector(settings)?;
        let config = config(settings);
        let timeout = settings.connect_timeout();
        let connecting = config.connect(tls.clone());
        let connected = match until(&runtime, cancel, Some(timeout), connecting) {
            Ok(connected) => connected,
            Err(stopped) => {
                // A resolver that does not answer cannot be told to stop, and is not waited for.
                runtime.shutdown_background();
                return Err(stopped.named(&place, "connecting"));
            }
        };
        let (client, connection) =
            connected.map_err(|error| failure::of_connecting(settings, error))?;
        let encoding = connection
            .parameter("server_encoding")
            .unwrap_or("UTF8")
            .to_owned();
        // Its end is every statement's error.
        let connection = runtime.spawn(async move {
            let _ = connection.await;
        });
        Ok(Self {
            client: Some(client),
            connection,
            runtime,
            tls,
            settings: settings.clone(),
            limits,
            cancel: cancel.clone(),
            version: ServerVersion { number: 0 },
            encoding,
            in_recovery: false,
        })
    }

    /// Sets what makes values print the same everywhere, and asks who is there.
    ///
    /// # Errors
    /// Named by [`failure`].
    pub(super) fn prepare(&mut self) -> Result<(), EngineError> {
        self.batch(PREPARATION)?;
        let lock = self.limits.lock.as_millis();
        self.batch(&format!("set lock_timeout = {lock}"))?;
        let told = self.rows(
            "select pg_catalog.current_setting('server_version_num'), pg_catalog.pg_is_in_recovery()",
        )?;
        if let Some(row) = told.first() {
            self.version = ServerVersion {
                number: row.number(0),
            };
            self.in_recovery = row.is_true(1);
        }
        if self.version.major() >= 14 {
            self.batch("set idle_session_timeout = 0")?;
        }
        if self.version.major() >= 17 {
            self.batch("set transaction_timeout = 0")?;
        }
        Ok(())
    }

    fn client(&self) -> &Client {
        let client = self.client.as_ref();
        client.expect("it is taken away when the session is dropped, not before")
    }

    /// The server's version.
    pub(super) fn version(&self) -> ServerVersion {
        self.version
    }

    /// The database's encoding, by PostgreSQL's name.
    pub(super) fn encoding(&self) -> &str {
        &self.encoding
    }

    /// Whether the server is a standby.
    pub(super) fn in_recovery(&self) -> bool {
        self.in_recovery
    }

    /// Where it is connected to.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Runs one or several statements and looks at no answer.
    ///
    /// # Errors
    /// Named by [`failure`].
    pub(super) fn batch(&self, sql: &str) -> Result<(), EngineError> {
        self.wait(sql, self.limits.silence, self.client().batch_execute(sql))
    }

    /// The same with its own limit in place of the one on silence.
    ///
    /// # Errors
    /// As [`Session::batch`]; [`EngineError::Timeout`].
    pub(super) fn batch_within(&self, sql: &str, timeout: Duration) -> Result<(), EngineError> {
        self.wait(sql, Some(timeout), self.client().batch_execute(sql))
    }

    /// Every row of the statements' answers.
    ///
    /// # Errors
    /// Named by [`failure`].
    pub(super) fn rows(&self, sql: &str) -> Result<Vec<Row>, EngineError> {
        let answer = self.wait(sql, self.limits.silence, self.client().simple_query(sql))?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some(self.readable(row, sql)),
            _ => None,
        };
        answer.into_iter().filter_map(row).collect()
    }

    /// A database of encoding `SQL_ASCII` sends whatever bytes it holds.
    fn readable(&self, row: tokio_postgres::SimpleQueryRow, sql: &str) -> Result<Row, EngineError> {
        let is_text = (0..row.len()).all(|column| row.try_get(column).is_ok());
        if is_text {
            return Ok(Row(row));
        }
        Err(EngineError::Unsupported {
            place: self.settings.describe(),
            why: format!(
                "the answer to {} holds bytes that are not UTF-8",
                failure::shortened(sql)
            ),
            next: "rename what has such a name, or cast such a value to bytea".to_owned(),
        })
    }

    /// At most `rows_max` rows of one query, which ends after `timeout`.
    ///
    /// # Errors
    /// [`EngineError::Sql`], [`EngineError::Timeout`].
    pub(super) fn rows_max(
        &self,
        sql: &str,
        rows_max: usize,
        timeout: Duration,
    ) -> Result<Rows, EngineError> {
        use futures::StreamExt as _;
        let query = async {
            let stream = self.client().simple_query_raw(sql).await?;
            let mut stream = std::pin::pin!(stream);
            let mut rows = Vec::new();
            let mut truncated = false;
            while let Some(message) = stream.next().await {
                let SimpleQueryMessage::Row(row) = message? else {
                    continue;
                };
                if rows.len() == rows_max {
                    truncated = true;
                    break;
                }
                rows.push(row);
            }
            Ok((rows, truncated))
        };
        let (rows, truncated) = self.wait(sql, Some(timeout), query)?;
        if truncated {
            // Nobody wants the rest of the answer.
            self.cancel_statement();
        }
        let values = |row| self.readable(row, sql).map(|row| row.values());
        let rows = rows.into_iter().map(values).collect::<Result<_, _>>()?;
        Ok(Rows { rows, truncated })
    }

    /// Waits for an answer.
    fn wait<T>(
        &self,
        sql: &str,
        limit: Option<Duration>,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, EngineError> {
        let place = self.settings.describe();
        match until(&self.runtime, &self.cancel, limit, answer) {
            Ok(answer) => answer.map_err(|error| failure::of("asking", &place, sql, error)),
            Err(stopped) => {
                self.cancel_statement();
                Err(stopped.named(&place, &failure::shortened(sql)))
            }
        }
    }

    /// Asks the server to end what this session does. Whether it did so cannot be known.
    fn cancel_statement(&self) {
        let request = self.client().cancel_token();
        let asking = async {
            let _ =
                tokio::time::timeout(CANCEL_TIMEOUT, request.cancel_query(self.tls.clone())).await;
        };
        self.runtime.block_on(asking);
    }
}

impl Drop for Session {
    /// Takes leave: the server would note a connection that was cut.
    fn drop(&mut self) {
        drop(self.client.take());
        let connection = &mut self.connection;
        let leaving = async { tokio::time::timeout(LEAVE_TIMEOUT, connection).await };
        // A server that does not listen any more is left all the same.
        let _ = self.runtime.block_on(leaving);
    }
}

/// Why a wait ended before its answer.
enum Stopped {
    Cancelled(resguardo_model::Cancelled),
    TooLong(Duration),
}

impl Stopped {
    fn named(self, place: &str, doing: &str) -> EngineError {
        match self {
            Self::Cancelled(cancelled) => EngineError::Cancelled(cancelled),
            Self::TooLong(limit) => EngineError::Timeout {
                what: format!("{place}: {doing}"),
                seconds: limit.as_secs(),
            },
        }
    }
}

/// Drives the connection until the answer is there, somebody cancels, or the limit is over.
fn until<T>(
    runtime: &Runtime,
    cancel: &CancelToken,
    limit: Option<Duration>,
    answer: impl Future<Output = T>,
) -> Result<T, Stopped> {
    let begun = Instant::now();
    runtime.block_on(async {
        let mut answer = std::pin::pin!(answer);
        loop {
            if let Ok(answer) = tokio::time::timeout(TICK, &mut answer).await {
                return Ok(answer);
            }
            cancel.check().map_err(Stopped::Cancelled)?;
            if let Some(limit) = limit.filter(|limit| begun.elapsed() >= *limit) {
                return Err(Stopped::TooLong(limit));
            }
        }
    })
}

fn config(settings: &Settings) -> Config {
    let mut config = Config::new();
    config
        .user(settings.user())
        .dbname(settings.database())
        .application_name(settings.get("application_name").unwrap_or("resguardo"))
        .connect_timeout(settings.connect_timeout())
        .keepalives_idle(Duration::from_secs(30))
        .keepalives_interval(Duration::from_secs(10))
        .keepalives_retries(6);
    if let Some(password) = settings.get("password") {
        config.password(password);
    }
    if let Some(options) = settings.get("options") {
        config.options(options);
    }
    for host in settings.hosts() {
        config.host(host);
    }
    for address in settings.get("hostaddr").unwrap_or_default().split(',') {
        if let Ok(address) = address.trim().parse() {
            config.hostaddr(address);
        }
    }
    for port in settings.ports().unwrap_or_default() {
        config.port(port);
    }
    config.ssl_mode(match settings.ssl_mode() {
        _ if settings.is_local_socket() => tokio_postgres::config::SslMode::Disable,
        Ok(SslMode::Disable) => tokio_postgres::config::SslMode::Disable,
        Ok(SslMode::Prefer) | Err(_) => tokio_postgres::config::SslMode::Prefer,
        Ok(_) => tokio_postgres::config::SslMode::Require,
    });
    if settings.get("channel_binding") == Some("require") {
        config.channel_binding(tokio_postgres::config::ChannelBinding::Require);
    }
    match settings.get("target_session_attrs") {
        Some("read-write" | "primary") => {
            config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite);
        }
        Some("read-only" | "standby") => {
            config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadOnly);
        }
        _ => {}
    }
    config
}
