//! `inventory.json` of a backup: what a restore and the checks after it need to know, taken in the very
//! snapshot that was dumped. `docs/format.md`, "A PostgreSQL backup".

use std::collections::BTreeMap;
use std::io::Read as _;

use resguardo_model::FilePath;
use serde::{Deserialize, Serialize};

use super::name;
use crate::port::{BackupReader, EngineError, ReadError};

/// Path of the inventory in a backup.
pub(super) const INVENTORY: &str = "inventory.json";
/// Path of the roles and tablespaces.
pub(super) const GLOBALS: &str = "globals.sql";
/// Path of everything but data, in pg_dump's custom format.
pub(super) const SCHEMA: &str = "schema.dump";
/// Path of the large objects, in pg_dump's custom format; only where there are any.
pub(super) const LARGE_OBJECTS: &str = "large-objects.dump";
/// Path of the script that brings rows and sequences back with `psql`.
pub(super) const ROWS: &str = "rows.sql";
/// Version of the inventory's format.
pub(super) const FORMAT: u32 = 1;

/// The whole inventory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Inventory {
    /// [`FORMAT`].
    pub(super) format: u32,
    /// The database's name.
    pub(super) database: String,
    /// Its owner.
    pub(super) owner: String,
    /// `server_version_num` of the server.
    pub(super) server_version: u32,
    /// Version of the `pg_dump` that made the archives.
    pub(super) pg_dump: String,
    /// The database's encoding; also that of the rows.
    pub(super) encoding: String,
    /// Where its order of texts comes from: `c` (libc), `i` (ICU), `b` (built in).
    pub(super) locale_provider: String,
    /// `LC_COLLATE`.
    pub(super) collate: String,
    /// `LC_CTYPE`.
    pub(super) ctype: String,
    /// The locale of ICU or of the built-in provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) locale: Option<String>,
    /// ICU's own rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) icu_rules: Option<String>,
    /// Tables whose rows are in the backup, in the order of schema and name.
    pub(super) tables: Vec<Table>,
    /// Indexes and constraints that own one.
    pub(super) indexes: Vec<Index>,
    /// Sequences and where they stood.
    pub(super) sequences: Vec<Sequence>,
    /// Materialized views, and whether they held rows.
    pub(super) matviews: Vec<Matview>,
    /// Extensions and their versions.
    pub(super) extensions: Vec<Extension>,
    /// Roles that owners, grants and memberships need.
    pub(super) roles: Vec<Role>,
    /// What the database has beside its objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) properties: Option<Properties>,
    /// Constraints that were not valid, and indexes that were not, by their qualified names.
    pub(super) invalid: Vec<String>,
    /// Large objects, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) large_objects: Option<LargeObjects>,
    /// The newest migration that a tool of the application wrote down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) migration: Option<Migration>,
    /// What is in the database and not in the backup, each with its reason.
    pub(super) left_out: Vec<String>,
    /// Tables and sequences whose structure is in the backup and whose contents a standby does not have: they
    /// come back empty and at their start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unread: Vec<Unread>,
    /// Tablespaces that it lies in, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tablespaces: Vec<String>,
}

/// A table or sequence that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unread {
    /// Its schema.
    pub(super) schema: String,
    /// Its name.
    pub(super) name: String,
    /// Why.
    pub(super) reason: String,
}

/// A table with its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Table {
    /// Its oid in the source.
    pub(super) oid: u32,
    /// Its schema.
    pub(super) schema: String,
    /// Its name.
    pub(super) name: String,
    /// Its columns in the order of the rows; generated ones are left out.
    pub(super) columns: Vec<String>,
    /// Which of its rows are the user's: a table of an extension's configuration. SQL, with `WHERE`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) condition: String,
    /// Rows in the snapshot.
    pub(super) rows: u64,
    /// Digest of the rows in any order: `xxh3sum:` and 32 hexadecimal digits.
    pub(super) digest: String,
    /// Size in the source with TOAST and without indexes, in bytes: how much work it is.
    pub(super) bytes: u64,
    /// Files of its rows, in the order of the table; none if it is empty.
    pub(super) files: Vec<RowsFile>,
}

/// A file of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowsFile {
    /// Its path in the backup.
    pub(super) path: FilePath,
    /// Rows in it.
    pub(super) rows: u64,
    /// Its size in bytes.
    pub(super) bytes: u64,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    /// Its oid in the source.
    pub(super) oid: u32,
    /// Oid of the constraint that it belongs to, 0 if to none: pg_dump names that one.
    pub(super) constraint: u32,
    /// Oid of its table.
    pub(super) table: u32,
    /// Its size in bytes.
    pub(super) bytes: u64,
}

/// A sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sequence {
    /// Its oid in the source.
    pub(super) oid: u32,
    /// Its schema.
    pub(super) schema: String,
    /// Its name.
    pub(super) name: String,
    /// Oid of the table that owns it, 0 if none does.
    pub(super) owner_table: u32,
    /// Where it stood.
    pub(super) last_value: i64,
    /// Whether that value was given out.
    pub(super) is_called: bool,
}

/// A materialized view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Matview {
    /// Its schema.
    pub(super) schema: String,
    /// Its name.
    pub(super) name: String,
    /// Whether it held rows.
    pub(super) populated: bool,
}

/// An extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extension {
    /// Its name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// Its schema.
    pub(super) schema: String,
}

/// A role, without its password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Role {
    /// Its name.
    pub(super) name: String,
    /// Attributes as `CREATE ROLE` takes them: `LOGIN NOSUPERUSER …`.
    pub(super) attributes: String,
    /// Roles that it is a member of.
    pub(super) member_of: Vec<String>,
    /// Words after `WITH` of a membership that has any, by the role: `ADMIN OPTION, INHERIT FALSE`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) member_options: BTreeMap<String, String>,
    /// `search_path=…`: what it has set for itself in all databases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) settings: Vec<String>,
}

/// What a database has beside its objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Properties {
    /// Its owner.
    pub(super) owner: String,
    /// Its limit of connections; -1 without one.
    pub(super) connections_max: i64,
    /// Its comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<String>,
    /// Its settings, and those of roles in it alone.
    pub(super) settings: Vec<Setting>,
    /// Who may do what, also where that is what every database grants.
    pub(super) grants: Vec<Grant>,
}

/// A setting of a database, or of a role in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Setting {
    /// Whose; nobody's in particular if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<String>,
    /// `search_path`.
    pub(super) parameter: String,
    /// As `pg_db_role_setting` holds it.
    pub(super) value: String,
}

/// A privilege on a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Grant {
    /// Whose; everybody's if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<String>,
    /// `CONNECT`, `CREATE`, `TEMPORARY`.
    pub(super) privilege: String,
    /// Whether it may be passed on.
    pub(super) grantable: bool,
}

/// All large objects together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LargeObjects {
    /// How many.
    pub(super) count: u64,
    /// Their size in bytes.
    pub(super) bytes: u64,
    /// Digest of numbers and contents in any order, as that of a table's rows.
    pub(super) digest: String,
}

/// Where a migration tool stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Migration {
    /// The table it keeps its notes in.
    pub(super) table: String,
    /// The newest version applied.
    pub(super) version: String,
    /// How many are applied.
    pub(super) applied: u64,
}

impl Inventory {
    /// The inventory of a backup; `None` of a file that somebody else wrote, which has none.
    ///
    /// # Errors
    /// If it cannot be read, makes no sense, or is of a newer format.
    pub(super) fn read(backup: &dyn BackupReader) -> Result<Option<Self>, EngineError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let path: FilePath = INVENTORY.parse().expect("the name is a path");
        let mut files = backup.files().into_iter();
        // That of an export lies beside it, and is none of its files.
        if backup.path().is_none() && !files.any(|file| file.path == path) {
            return Ok(None);
        }
        let refused = |source: crate::port::BoxError| EngineError::Other {
            operation: "reading the inventory of",
            place: backup.describe(),
            source,
        };
        let mut text = Vec::new();
        let mut stream = match backup.open_stream(&path) {
            Ok(stream) => stream,
            Err(ReadError::NoSuchFile(_)) if backup.path().is_some() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        stream
            .read_to_end(&mut text)
            .map_err(super::restore::load::read_error)?;
        let version: Version =
            serde_json::from_slice(&text).map_err(|error| refused(error.into()))?;
        if version.format > FORMAT {
            return Err(EngineError::Unsupported {
                place: backup.describe(),
                why: format!(
                    "its inventory has format {}, this version of Resguardo knows {FORMAT}",
                    version.format
                ),
                next: "use the version of Resguardo that took it, or a newer one".to_owned(),
            });
        }
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| refused(error.into()))
    }
}

impl Table {
    /// Schema and name in quotes, for SQL.
    pub(super) fn quoted(&self) -> String {
        name::qualified(&self.schema, &self.name)
    }

    /// Schema and name for people, facts and `--only`.
    pub(super) fn shown(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The columns in quotes, separated by commas.
    pub(super) fn column_list(&self) -> String {
        let quoted: Vec<_> = self
            .columns
            .iter()
            .map(|column| name::identifier(column))
            .collect();
        quoted.join(", ")
    }
}

impl Unread {
    /// Schema and name in quotes, for SQL.
    pub(super) fn quoted(&self) -> String {
        name::qualified(&self.schema, &self.name)
    }
}

impl Sequence {
    /// Schema and name in quotes, for SQL.
    pub(super) fn quoted(&self) -> String {
        name::qualified(&self.schema, &self.name)
    }
}
