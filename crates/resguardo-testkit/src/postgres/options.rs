//! What a server is to be like.

use super::version::PgVersion;

/// What a server is to be like; [`PgServerOptions::new`] says what it is like by itself.
#[derive(Clone, Debug)]
pub struct PgServerOptions {
    /// Its major.
    pub version: PgVersion,
    /// Of the cluster, as `initdb -E` takes it.
    pub encoding: String,
    /// Of the cluster, as `initdb --locale` takes it; `icu:de` is ICU's `de` (full builds only).
    pub locale: String,
    /// Lines of `postgresql.conf`, after our own.
    pub settings: Vec<(String, String)>,
    /// Lines of `pg_hba.conf`, before our own.
    pub hba: Vec<String>,
    /// Takes TLS connections too (full builds only); see [`super::PgServer::ca_file`].
    pub tls: bool,
    /// Listens on 127.0.0.1, not only on its socket.
    pub tcp: bool,
    /// The superuser's: TCP connections of anybody must give a password (SCRAM). The socket trusts all.
    pub password: Option<String>,
}

impl PgServerOptions {
    /// UTF8, locale C.UTF-8, TCP without TLS, everybody trusted, no `fsync`.
    #[must_use]
    pub fn new(version: PgVersion) -> Self {
        Self {
            version,
            encoding: "UTF8".to_owned(),
            locale: "C.UTF-8".to_owned(),
            settings: Vec::new(),
            hba: Vec::new(),
            tls: false,
            tcp: true,
            password: None,
        }
    }

    /// The same with one more setting.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}
