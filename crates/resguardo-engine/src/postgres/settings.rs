//! How to reach a server, resolved once in libpq's way: what the URL says, then the service file, then the
//! `PG*` variables, then the defaults; the password last from the password file. Our own connections and
//! the server's tools are given the same answer, the tools by their environment, so that no secret stands
//! on a command line. <https://www.postgresql.org/docs/current/libpq-connect.html>

mod passfile;
mod service;
mod url;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::name;
use crate::port::{EngineError, Location};

/// libpq's keywords that have a variable, and their variables.
const KEYWORDS: [(&str, &str); 23] = [
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("service", "PGSERVICE"),
    ("servicefile", "PGSERVICEFILE"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslcrl", "PGSSLCRL"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("gssencmode", "PGGSSENCMODE"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("client_encoding", "PGCLIENTENCODING"),
    ("requirepeer", "PGREQUIREPEER"),
];

/// Variables of libpq that would change what a tool does, beyond [`KEYWORDS`].
const OTHER_VARIABLES: [&str; 8] = [
    "PGDATESTYLE",
    "PGTZ",
    "PGGEQO",
    "PGSYSCONFDIR",
    "PGREQUIRESSL",
    "PGSSLCRLDIR",
    "PGSSLCERTMODE",
    "PGREQUIREAUTH",
];

/// Where local servers of Debian and of PostgreSQL's own builds listen.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// What libpq would find around a process; the binary reads it and hands it down.
#[derive(Clone, Default)]
pub struct LibpqEnvironment {
    /// The `PG*` variables that are set.
    pub variables: BTreeMap<String, String>,
    /// The home folder: `.pgpass`, `.pg_service.conf`, `.postgresql/`.
    pub home: Option<PathBuf>,
    /// The operating system's user, libpq's default for the database's.
    pub user: Option<String>,
}

impl fmt::Debug for LibpqEnvironment {
    /// Without the variables: one of them is a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LibpqEnvironment")
            .field("home", &self.home)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// How strictly a connection is encrypted and the server's certificate checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SslMode {
    Disable,
    /// libpq's `allow` and `prefer`: TLS if the server has it.
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// A server and a database on it, with everything needed to connect. `Display` and `Debug` hide the
/// password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Settings {
    values: BTreeMap<&'static str, String>,
    home: Option<PathBuf>,
    /// Why a password file was not looked into.
    unused_passfile: Option<String>,
}

impl Settings {
    /// Resolves `location`, a URL.
    ///
    /// # Errors
    /// If it is no URL of PostgreSQL's, or a service or file that it names is not there.
    pub(super) fn resolve(
        location: &Location,
        environment: &LibpqEnvironment,
    ) -> Result<Self, EngineError> {
        let refused = |why: String| {
            EngineError::Unsupported {
            place: location.to_string(),
            why,
            next: "write it as postgresql://USER@HOST:PORT/DATABASE, the password in ~/.pgpass, PGPASSWORD or ${VARIABLE}"
                .to_owned(),
        }
        };
        let mut values = url::parse(location.expose()).map_err(refused)?;
        let variable = |name: &str| {
            let value = environment.variables.get(name);
            value.filter(|value| !value.is_empty()).cloned()
        };
        let service = values.get("service").cloned().or(variable("PGSERVICE"));
        if let Some(service) = service {
            let file = variable("PGSERVICEFILE").map(PathBuf::from).or_else(|| {
                let home = environment.home.as_ref()?;
                Some(home.join(".pg_service.conf"))
            });
            let found = service::read(&service, file.as_deref(), &variable("PGSYSCONFDIR"));
            for (keyword, value) in found.map_err(refused)? {
                values.entry(keyword).or_insert(value);
            }
        }
        for (keyword, name) in KEYWORDS {
            if let Some(value) = variable(name) {
                values.entry(keyword).or_insert(value);
            }
        }
        for done in ["service", "servicefile", "client_encoding"] {
            values.remove(done);
        }
        if let Some("prefer-standby") = values.get("target_session_attrs").map(String::as_str) {
            return Err(refused(
                "target_session_attrs=prefer-standby may lead to a server now and to another one next"
                    .to_owned(),
            ));
        }
        if values.contains_key("sslcrl") {
            return Err(refused("sslcrl is not supported".to_owned()));
        }
        let user = environment
            .user
            .clone()
            .unwrap_or_else(|| "postgres".to_owned());
        let user = values.entry("user").or_insert(user).clone();
        values.entry("dbname").or_insert(user);
        values.entry("port").or_insert_with(|| "5432".to_owned());
        if !values.contains_key("host") && !values.contains_key("hostaddr") {
            values.insert("host", default_host(&values["port"]));
        }
        let mut settings = Self {
            values,
            home: environment.home.clone(),
            unused_passfile: None,
        };
        settings.ssl_mode().map_err(refused)?;
        settings.ports().map_err(refused)?;
        settings.find_password();
        Ok(settings)
    }

    /// Settings for a server that listens on a socket in `folder` alone.
    pub(super) fn of_socket(folder: &str, port: u16, user: &str, database: &str) -> Self {
        let values = [
            ("host", folder.to_owned()),
            ("port", port.to_string()),
            ("user", user.to_owned()),
            ("dbname", database.to_owned()),
            ("sslmode", "disable".to_owned()),
        ];
        Self {
            values: values.into_iter().collect(),
            home: None,
            unused_passfile: None,
        }
    }

    fn find_password(&mut self) {
        let file = self.values.remove("passfile").map(PathBuf::from);
        if self.values.contains_key("password") {
            return;
        }
        let file = file.or_else(|| Some(self.home.as_ref()?.join(".pgpass")));
        match file.map(|file| passfile::find(&file, self)) {
            Some(Ok(Some(password))) => {
                self.values.insert("password", password);
            }
            Some(Err(why)) => self.unused_passfile = Some(why),
            Some(Ok(None)) | None => {}
        }
    }

    /// Why a password file that is there was not looked into.
    pub(super) fn unused_passfile(&self) -> Option<&str> {
        self.unused_passfile.as_deref()
    }

    pub(super) fn get(&self, keyword: &str) -> Option<&str> {
        self.values.get(keyword).map(String::as_str)
    }

    /// The database's name.
    pub(super) fn database(&self) -> &str {
        &self.values["dbname"]
    }

    /// The role's name.
    pub(super) fn user(&self) -> &str {
        &self.values["user"]
    }

    /// The same server and role, another database.
    pub(super) fn with_database(&self, database: &str) -> Self {
        let mut other = self.clone();
        other.values.insert("dbname", database.to_owned());
        other
    }

    /// Host names, addresses or socket folders, in the order in which they are tried.
    pub(super) fn hosts(&self) -> Vec<String> {
        let named = self.get("host").or(self.get("hostaddr"));
        named
            .unwrap_or_default()
            .split(',')
            .map(|host| host.trim().to_owned())
            .collect()
    }

    /// One port for all hosts, or one for each.
    pub(super) fn ports(&self) -> Result<Vec<u16>, String> {
        let listed = self.values["port"].split(',');
        listed
            .map(|port| {
                port.trim()
                    .parse()
                    .map_err(|_| {
                        // Not shown: where a password holds a slash, it is half of that.
                        "its port is no number; a / ? # or @ in the password is written %2F %3F %23 or %40"
                            .to_owned()
                    })
            })
            .collect()
    }

    /// Whether the server is reached by a socket in a folder.
    pub(super) fn is_local_socket(&self) -> bool {
        self.hosts().iter().all(|host| host.starts_with(['/', '@']))
    }

    pub(super) fn ssl_mode(&self) -> Result<SslMode, String> {
        Ok(match self.get("sslmode").unwrap_or("prefer") {
            "disable" => SslMode::Disable,
            "allow" | "prefer" => SslMode::Prefer,
            "require" => SslMode::Require,
            "verify-ca" => SslMode::VerifyCa,
            "verify-full" => SslMode::VerifyFull,
            other => {
                return Err(format!(
                    "there is no sslmode {other:?}; it is one of disable, prefer, require, verify-ca, verify-full"
                ));
            }
        })
    }

    /// A file of libpq's own folder in the home folder.
    pub(super) fn own_file(&self, name: &str) -> Option<PathBuf> {
        let file = self.home.as_ref()?.join(".postgresql").join(name);
        file.is_file().then_some(file)
    }

    /// Longest time for a connection to stand.
    pub(super) fn connect_timeout(&self) -> Duration {
        let told = self
            .get("connect_timeout")
            .and_then(|text| text.parse().ok());
        match told {
            None | Some(0) => Duration::from_secs(30),
            Some(seconds) => Duration::from_secs(seconds),
        }
    }

    /// With a value for what nothing says.
    pub(super) fn or(mut self, keyword: &'static str, value: &str) -> Self {
        self.values
            .entry(keyword)
            .or_insert_with(|| value.to_owned());
        self
    }

    /// Variables that make libpq's programs connect to the same place in the same way.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let variable = |(keyword, name): &(&str, &str)| {
            Some(((*name).to_owned(), self.values.get(keyword)?.clone()))
        };
        KEYWORDS.iter().filter_map(variable).collect()
    }

    /// Every variable that must not reach a tool from our own environment.
    pub(super) fn foreign_variables() -> impl Iterator<Item = &'static str> {
        let named = KEYWORDS.iter().map(|(_, variable)| *variable);
        named.chain(OTHER_VARIABLES)
    }

    /// `postgresql://user@host:port/database`, without the password.
    pub(super) fn describe(&self) -> String {
        self.as_url(false)
    }

    /// The URL with everything in it: for the environment of children alone.
    pub(super) fn url(&self) -> String {
        self.as_url(true)
    }

    fn as_url(&self, whole: bool) -> String {
        url::format(self, whole)
    }

    /// The table as errors name it: `public.orders of postgresql://…`.
    pub(super) fn table(&self, schema: &str, table: &str) -> String {
        format!("{} of {}", name::qualified(schema, table), self.describe())
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({self})")
    }
}

/// The folder in which a local server listens, else this machine by its name.
fn default_host(port: &str) -> String {
    SOCKET_FOLDERS
        .into_iter()
        .find(|folder| {
            let socket = format!("{folder}/.s.PGSQL.{port}");
            std::path::Path::new(&socket).exists()
        })
        .unwrap_or("localhost")
        .to_owned()
}

/// The keyword of this name.
fn keyword(name: &str) -> Option<&'static str> {
    KEYWORDS
        .iter()
        .map(|(keyword, _)| *keyword)
        .find(|keyword| *keyword == name)
}

/// Whether the text is a URL of a PostgreSQL database, for the fuzz targets.
pub(crate) fn is_url(text: &str) -> bool {
    url::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "test: files of its own")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> LibpqEnvironment {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        LibpqEnvironment {
            variables: variables.iter().map(own).collect(),
            home: None,
            user: Some("ana".to_owned()),
        }
    }

    fn resolve(url: &str, environment: &LibpqEnvironment) -> Settings {
        Settings::resolve(&Location::new(url), environment).unwrap()
    }

    #[test]
    fn the_url_wins_over_the_environment_and_that_over_the_defaults() {
        let around = environment(&[
            ("PGHOST", "elsewhere"),
            ("PGPORT", "6000"),
            ("PGPASSWORD", "s3cret"),
            ("PGSSLMODE", ""),
        ]);
        let settings = resolve("postgres://bea@db/shop", &around);
        assert_eq!(settings.describe(), "postgresql://bea@db:6000/shop");
        assert_eq!(settings.get("password"), Some("s3cret"));
        let settings = resolve("postgresql://", &around);
        assert_eq!(settings.describe(), "postgresql://ana@elsewhere:6000/ana");
        let shown = format!("{settings:?} {settings} {around:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn tools_get_what_we_got() {
        let around = environment(&[("PGSSLROOTCERT", "/ca.pem"), ("PGSERVICE", "")]);
        let url = "postgresql://b:p%40ss@h1,h2:5433/s%20p?sslmode=verify-full&application_name=x";
        let variables = resolve(url, &around).variables();
        let expected = [
            ("PGHOST", "h1,h2"),
            ("PGPORT", "5433"),
            ("PGDATABASE", "s p"),
            ("PGUSER", "b"),
            ("PGPASSWORD", "p@ss"),
            ("PGAPPNAME", "x"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/ca.pem"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(variables, expected);
    }

    #[test]
    fn services_and_password_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_path_buf();
        let services =
            "# ours\n[other]\nhost=no\n\n[shop]\nhost=db.internal\nport=6543\ndbname=tienda\n";
        std::fs::write(home.join(".pg_service.conf"), services).unwrap();
        let pass = home.join(".pgpass");
        std::fs::write(
            &pass,
            "# c\nno:*:*:*:a\n*:6543:tienda:bea:pa\\:ss\n*:*:*:*:last\n",
        )
        .unwrap();
        std::fs::set_permissions(&pass, std::fs::Permissions::from_mode(0o600)).unwrap();
        let around = LibpqEnvironment {
            home: Some(home.clone()),
            ..environment(&[])
        };
        let settings = resolve("postgres://bea@/?service=shop", &around);
        assert_eq!(
            settings.describe(),
            "postgresql://bea@db.internal:6543/tienda"
        );
        assert_eq!(settings.get("password"), Some("pa:ss"));
        // Others could read it: libpq does not use it either.
        std::fs::set_permissions(&pass, std::fs::Permissions::from_mode(0o644)).unwrap();
        let settings = resolve("postgres://bea@db/shop", &around);
        assert_eq!(settings.get("password"), None);
        let why = settings.unused_passfile().unwrap();
        assert!(
            why.contains("others may read it (mode 0644); chmod 600"),
            "{why}"
        );
        let missing = Location::new("postgres:///?service=nope");
        let error = Settings::resolve(&missing, &around).unwrap_err();
        assert!(error.to_string().contains("nope"), "{error}");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (url, word) in [
            ("postgres://db:a/shop", "port"),
            ("postgres://db/shop?sslmode=verify", "verify"),
            ("postgres://db/shop?sslmod=require", "sslmod"),
            ("postgres://db/%zz", "dbname has a %"),
            (
                "postgres://db/a?target_session_attrs=prefer-standby",
                "prefer-standby",
            ),
            ("mysql://db/shop", "mysql"),
            ("postgres://db/shop?sslcrl=x", "sslcrl"),
        ] {
            let error = Settings::resolve(&Location::new(url), &environment(&[])).unwrap_err();
            assert!(error.to_string().contains(word), "{url}: {error}");
        }
    }

    #[test]
    fn a_password_that_breaks_the_url_is_not_shown() {
        for url in [
            "postgres://a:S3CR%ETPW@db/shop",
            "postgres://a:S3CR/ETPW@db/shop",
            "postgres://a:S3CR?ETPW@db/shop",
            "postgres://a:S3CR?ET=PW@db/shop",
            "postgres://a:S3CR@ETPW@db:x/shop",
        ] {
            let resolved = Settings::resolve(&Location::new(url), &environment(&[]));
            let told = match resolved {
                Ok(settings) => settings.describe(),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!told.contains("S3CR") && !told.contains("ETPW"), "{told}");
        }
    }

    #[test]
    fn a_url_comes_back_whole() {
        for url in [
            "postgresql://b:p%40ss@db:5433/s%20p?sslmode=require",
            "postgresql://b@localhost:5432/shop?host=%2Frun%2Fpg",
        ] {
            let settings = resolve(url, &environment(&[]));
            assert_eq!(
                resolve(&settings.url(), &environment(&[])),
                settings,
                "{url}"
            );
        }
        let local = Settings::of_socket("/run/pg", 5432, "b", "shop");
        assert!(local.is_local_socket());
        assert!(local.url().contains("host=%2Frun%2Fpg"), "{}", local.url());
    }

    #[test]
    fn parameters_of_drivers_are_left_out() {
        let url = "postgresql+psycopg2://b@db/shop?schema=public&pgbouncer=true&connection_limit=1";
        let settings = resolve(url, &environment(&[]));
        assert_eq!(settings.describe(), "postgresql://b@db:5432/shop");
    }
}
