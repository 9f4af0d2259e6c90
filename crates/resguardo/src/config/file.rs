//! The shape of `resguardo.toml`, as it is written. [`super::resolve`] gives it meaning.
//!
//! Every leaf carries its place in the file, so that an error can point at it and `config show` can
//! name its line. The doc comments are the descriptions in the JSON Schema.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use resguardo_model::duration::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

mod catalog;
mod copy;
mod http;
mod notify;
mod retention;
mod step;

pub use catalog::{CatalogFile, ServeFile};
pub use copy::{CopyFile, CopyTable};
pub use http::{HttpFile, OidcFile};
pub use notify::{NotifyFile, SourcePingFile};
pub use retention::{RetentionFile, RetentionTable};
pub use step::{JsonScalar, StepFile};

/// A value and where it stands in the file.
#[derive(Clone, Debug)]
pub struct Leaf<T>(Spanned<T>);

impl<T> Leaf<T> {
    /// A value that stands there in another shape.
    pub fn at(span: Range<usize>, value: T) -> Self {
        Self(Spanned::new(span, value))
    }

    /// The value.
    pub fn get(&self) -> &T {
        self.0.get_ref()
    }

    /// Its bytes in the file.
    pub fn span(&self) -> Range<usize> {
        self.0.span()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Leaf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Leaf<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A length of time as it was written: a whole number and a unit, like 90s, 15m, 4h, 30d or 2w.
#[derive(Clone, Debug)]
pub struct Length {
    /// What it means.
    pub span: Span,
    text: String,
}

impl Length {
    /// A length that nobody wrote.
    pub fn of(span: Span) -> Self {
        Self {
            text: span.to_string(),
            span,
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self { span, text })
    }
}

impl JsonSchema for Length {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Length".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]+[smhdw]$",
        })
    }
}

/// A value that a check compares with, as text: `true` and `false` are 1 and 0, as SQLite has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar(pub String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(u8::from(value).to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.to_owned()))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// Configuration of Resguardo: `resguardo.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "resguardo.toml")]
pub struct ConfigFile {
    /// Where backups are stored.
    #[serde(default)]
    pub vault: VaultFile,
    /// What is promised for each kind of surroundings: `[environments.production]`.
    #[serde(default)]
    pub environments: BTreeMap<String, EnvironmentFile>,
    /// The pages and the API of `serve`; without it and without --listen, there are none.
    pub http: Option<HttpFile>,
    /// What several machines share that run `serve` for this vault; without it there is one.
    pub catalog: Option<CatalogFile>,
    /// This machine, among those that run `serve`.
    #[serde(default)]
    pub serve: ServeFile,
    /// What is protected: `[sources.shop]`. A name is 1 to 63 of a-z, 0-9, _ and -.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, SourceFile>")]
    pub sources: BTreeMap<Spanned<String>, SourceFile>,
    /// Who is told what happens: `[notify.team]`. A name is 1 to 63 of a-z, 0-9, _ and -.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, NotifyFile>")]
    pub notify: BTreeMap<Spanned<String>, NotifyFile>,
}

// What a store needs stands here and in `CopyTable`: `#[serde(flatten)]` reads through a buffer, so that a leaf would
// not know its place in the file any more, and an unknown key would be no error.
/// Where backups are stored.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VaultFile {
    /// A folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix. A relative folder is seen
    /// from this file.
    pub url: Option<Leaf<String>>,
    /// Further vaults that hold the same backups: URLs, or tables like { url = "...", name = "offsite" }.
    /// Every backup is sent there once it was taken.
    #[serde(default)]
    pub copies: Vec<Leaf<CopyFile>>,
    /// zstd level, 1 (fast) to 19 (small). Default: 1.
    pub compression_level: Option<Leaf<i32>>,
    /// How long objects that no backup needs any more wait before `prune` deletes them, and longest time
    /// that a backup may take; the same on every machine. At least 1h. Default: 24h.
    pub prune_grace: Option<Leaf<Length>>,
    /// The identity that opens backups, only needed to read them: a file, or `cmd:COMMAND` that prints it.
    /// Default: the one in the keys folder.
    pub identity: Option<Leaf<String>>,
    /// The passphrase of the identity: `file:PATH` or `cmd:COMMAND`, whose first line it is. Default: asked for.
    pub passphrase: Option<Leaf<String>>,
    /// The write key: a file, or `cmd:COMMAND` that prints it. Default: the one in the keys folder.
    pub write_key: Option<Leaf<String>>,
    /// Writers to believe, besides those that the write key names: `ed25519:...`, from their hosts' recovery
    /// kits. Where there is no write key and this is not set, every writer is believed, with a warning.
    pub trusted_writers: Option<Leaf<Vec<String>>>,
    /// URL of a server that is not the service's own, like http://127.0.0.1:9000.
    pub endpoint: Option<Leaf<String>>,
    /// S3: region.
    pub region: Option<Leaf<String>>,
    /// S3: the bucket is part of the path, not of the host name. Many own servers need it.
    pub path_style: Option<Leaf<bool>>,
    /// S3: access key. `${VAR}`, `file:PATH` or `cmd:COMMAND` keep it out of this file.
    pub access_key: Option<Leaf<String>>,
    /// S3: secret key. `${VAR}`, `file:PATH` or `cmd:COMMAND` keep it out of this file.
    pub secret_key: Option<Leaf<String>>,
    /// S3: profile of ~/.aws/credentials and ~/.aws/config that has the keys.
    pub profile: Option<Leaf<String>>,
    /// S3: how the service encrypts what it stores: "s3" (its own keys) or "kms:KEY-ID".
    pub sse: Option<Leaf<String>>,
    /// Storage class (S3, Google) or access tier (Azure) of packs, like STANDARD_IA, NEARLINE or Cool. It must
    /// answer at once.
    pub storage_class: Option<Leaf<String>>,
    /// Google: file of a service account's key, or of application default credentials.
    pub credentials_file: Option<Leaf<String>>,
    /// Azure: storage account.
    pub account: Option<Leaf<String>>,
    /// Azure: the account's key. `${VAR}`, `file:PATH` or `cmd:COMMAND` keep it out of this file.
    pub account_key: Option<Leaf<String>>,
    /// Azure: shared access signature. `${VAR}`, `file:PATH` or `cmd:COMMAND` keep it out of this file.
    pub sas_token: Option<Leaf<String>>,
}

/// What is promised for the sources of one environment.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentFile {
    /// Most data, in time, that may be lost. A drill fails if the backup is older.
    pub rpo: Option<Leaf<Length>>,
    /// Longest time a restore and its checks may take. A drill fails if it took longer.
    pub rto: Option<Leaf<Length>>,
    /// Time zone of the schedules, of the days of the retention, and of times in backup names, like
    /// America/Bogota.
    pub timezone: Option<Leaf<String>>,
    /// When backups are due: five cron fields, or words like "daily 02:00", "weekly sunday 04:00", "monthly
    /// first sunday 04:00", "every 6h". `resguardo plan` shows what comes, `resguardo serve` does it.
    pub schedule: Option<Leaf<String>>,
    /// Hours in which nothing begins, like "08:00-20:00" or "mon-fri 08:00-20:00"; it waits for their end.
    pub quiet: Option<Leaf<Vec<String>>>,
    /// Runs begin up to so much later than scheduled, each source differently, always the same.
    pub jitter: Option<Leaf<Length>>,
    /// Which backups `prune` keeps. Without it nothing is ever deleted.
    pub retention: Option<Leaf<RetentionFile>>,
    /// Longest time that a run of `serve` may take; it is ended then, and failed. Default: none.
    pub deadline: Option<Leaf<Length>>,
    /// Longest time without any progress of a run of `serve`; it is ended then, and tried again. Default: none.
    pub silence: Option<Leaf<Length>>,
    /// Drills.
    pub drill: Option<EnvironmentDrillFile>,
    /// Comparing what is stored with what was promised.
    pub verify: Option<EnvironmentVerifyFile>,
    /// Deleting what the retention lets go of, in the vault and at its copies.
    pub prune: Option<EnvironmentTaskFile>,
    /// Sending to the copies what they lack; each backup is sent once it was taken anyway.
    pub copy: Option<EnvironmentTaskFile>,
    /// Who is told what happens to its sources: names of `[notify.X]`.
    pub notify: Option<Leaf<Vec<String>>>,
    /// After how long people are reminded of what is still open, again and again. Without it they are not.
    pub remind: Option<Leaf<Length>>,
    /// The language in which people are told: en or es. Default: en.
    pub language: Option<Leaf<String>>,
    /// `labels` of its sources that say none themselves.
    pub labels: Option<Leaf<Vec<String>>>,
}

/// Drills of an environment.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentDrillFile {
    /// When drills are due, as `schedule` of the environment.
    pub schedule: Option<Leaf<String>>,
    /// Which backup is drilled by schedule: "latest", or "random", one of those within `within`. Default: latest.
    pub choose: Option<Leaf<String>>,
    /// choose = "random": how old the backup may be. Default: as old as any.
    pub within: Option<Leaf<Length>>,
}

/// Verifying the sources of an environment.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentVerifyFile {
    /// When it is due, as `schedule` of the environment.
    pub schedule: Option<Leaf<String>>,
    /// How deep: heads, digests, structure or bytes; the last two need an identity. Default: digests.
    pub depth: Option<Leaf<String>>,
}

/// Something that is done to the sources of an environment.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentTaskFile {
    /// When it is due, as `schedule` of the environment.
    pub schedule: Option<Leaf<String>>,
}

/// Something that is protected.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Its kind: postgres or sqlite. Default: told from the url.
    pub engine: Option<Leaf<String>>,
    /// Where it is: postgresql://USER@HOST:PORT/DATABASE, a path, sqlite:PATH, or `${DATABASE_URL}`. A
    /// relative path is seen from this file. With engine = "postgres" also file:PATH or cmd:COMMAND,
    /// whose first line is the URL.
    pub url: Option<Leaf<String>>,
    /// The environment whose objectives and schedules hold for it. One file serves several machines where each
    /// says which it is, by a variable: `${RESGUARDO_ENVIRONMENT}`. Default: local.
    pub environment: Option<Leaf<String>>,
    /// Where it can be reached from: `serve` takes it on machines that have one of these labels. Default: those of its
    /// environment, else none: every machine takes it.
    pub labels: Option<Leaf<Vec<String>>>,
    /// Check its integrity before every backup. Default: false.
    pub check_integrity: Option<Leaf<bool>>,
    /// Longest wait for a lock that somebody else holds. Default: 30s.
    pub lock_timeout: Option<Leaf<Length>>,
    /// postgres: longest silence of a connection or tool from which data should flow. Default: 5m.
    pub silence_timeout: Option<Leaf<Length>>,
    /// postgres: streams that are read or written at once, 1 to 64. Default: one for each core, at most 4.
    pub jobs: Option<Leaf<u32>>,
    /// How its drills are done.
    pub drill: Option<SourceDrillFile>,
    /// What is done around a restore into it.
    pub restore: Option<SourceRestoreFile>,
    /// Dead man's switches that are pinged around its runs.
    pub ping: Option<SourcePingFile>,
    /// What a drill checks beyond what is built in.
    #[serde(default)]
    pub checks: Vec<Leaf<CheckFile>>,
}

/// How the drills of a source are done.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceDrillFile {
    /// SQL files to run in the sandbox before the migration, in this order.
    pub provision: Option<Leaf<Vec<String>>>,
    /// Command that migrates the restored database; it finds it by `DATABASE_URL`.
    pub migrate: Option<Leaf<String>>,
    /// Keep the sandbox of a drill that failed. Default: false.
    pub keep_failed: Option<Leaf<bool>>,
    /// postgres: where its data is restored: instance, a throwaway server of this machine, or database, a
    /// temporary database on `server`. Default: instance.
    pub sandbox: Option<Leaf<String>>,
    /// postgres, sandbox = "database": the server, postgresql://USER@HOST:PORT/DATABASE, by a role that
    /// may make databases. `${VAR}`, file:PATH or cmd:COMMAND keep a password out of this file.
    pub server: Option<Leaf<String>>,
    /// postgres: look for corruption in what was restored by pg_amcheck too. Default: false.
    pub amcheck: Option<Leaf<bool>>,
    /// sqlite: so many rows without their parent are known, and fail no drill and no `check_integrity`; one more does. Default: 0.
    pub orphans: Option<Leaf<u64>>,
    /// postgres, sandbox = "database": allow a server that is the source's own. Default: false.
    pub same_server: Option<Leaf<bool>>,
    /// Longest time for one provisioning file, and for the migration. Default: 10m.
    pub timeout: Option<Leaf<Length>>,
    /// Longest time until an application that a check serves answers. Default: 1m.
    pub ready_timeout: Option<Leaf<Length>>,
}

/// What is done around a restore into a source, in this order; the first that fails is the last that is
/// done.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceRestoreFile {
    /// Commands that end what uses it, before anything else; they find it by `DATABASE_URL`.
    pub before: Option<Leaf<Vec<String>>>,
    /// postgres: close it to everybody else while its safety backup is taken and it is restored. Default: false.
    pub maintenance: Option<Leaf<bool>>,
    /// SQL files to run on the restored data, in this order.
    pub provision: Option<Leaf<Vec<String>>>,
    /// Command that migrates the restored data.
    pub migrate: Option<Leaf<String>>,
    /// Run the checks of the source before it is opened again. Default: false.
    pub checks: Option<Leaf<bool>>,
    /// Commands that start what uses it, after everything else.
    pub after: Option<Leaf<Vec<String>>>,
    /// Longest time for each command and file. Default: 10m.
    pub timeout: Option<Leaf<Length>>,
}

/// One check: `sql`, `http`, `steps` or `command`, and what is expected.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckFile {
    /// What it is called in reports.
    pub name: Option<Leaf<String>>,
    /// A query on the restored database.
    pub sql: Option<Leaf<String>>,
    /// sql: the first value of the first row is this.
    pub equals: Option<Leaf<Scalar>>,
    /// sql: the first value of the first row is at least this.
    pub min: Option<Leaf<f64>>,
    /// sql: the first value of the first row is at most this.
    pub max: Option<Leaf<f64>>,
    /// sql, http: this regular expression matches the first value, or the body.
    pub matches: Option<Leaf<String>>,
    /// sql: there are so many rows.
    pub rows: Option<Leaf<u64>>,
    /// URL to ask, or a path of the application that `serve` starts; `${PORT}` is its port. `${NAME}` in
    /// URL, headers and body is an environment variable.
    pub http: Option<Leaf<String>>,
    /// Several requests, one after the other: a login, and what lies behind it.
    #[serde(default)]
    pub steps: Vec<Leaf<StepFile>>,
    /// http, steps: command that starts the application on the restored database and `PORT`.
    pub serve: Option<Leaf<String>>,
    /// http: the method. Default: GET.
    pub method: Option<Leaf<String>>,
    /// http: headers to send.
    pub headers: Option<BTreeMap<String, String>>,
    /// http: body to send.
    pub body: Option<Leaf<String>>,
    /// http: the status that is expected. Default: 200.
    pub status: Option<Leaf<u16>>,
    /// http: values that the answer has, by their paths: `{ "data.items[0].id" = 7 }`.
    pub json: Option<BTreeMap<String, Leaf<JsonScalar>>>,
    /// Command to run against the restored database.
    pub command: Option<Leaf<String>>,
    /// command: the exit code that is expected. Default: 0.
    pub exit_code: Option<Leaf<i32>>,
    /// Longest time it may take; then it is an error. Default: 30s.
    pub timeout: Option<Leaf<Length>>,
}
