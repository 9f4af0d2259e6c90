//! Databases of everything that a backup of PostgreSQL must carry, loaded from the SQL in `fixtures/`.
//!
//! `truth.sql` is the main one: PostgreSQL's own tools give back the same text of it, so that every
//! difference is ours. What even they do not give back equal, or what takes long, is an [`Extra`].

use std::path::Path;

use crate::postgres::PgServer;

/// A name of a database that wants quotes everywhere.
pub const ODD_DATABASE: &str = "odd \"name\" with 'quotes', ñ %s & = /spaces?";

/// The password of the role `fixture_app`: nothing that is stored may hold it.
pub const PASSWORD: &str = "never-in-any-backup";

/// What can be added to a database, after [`load`] or into an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Schema `huge`: a text and a `bytea` of 100 MB each, and one of either that does not compress.
    HugeValues,
    /// Schema `moving`: partitions by the hash of an enum. A restore gives the enum's labels other OIDs,
    /// and with them other hashes: rows belong into other partitions than they came from.
    HashOfEnum,
    /// Schema `otherwise`: columns, names of constraints and roles of a policy that the tools give back in
    /// another order, with all that they mean and hold.
    Otherwise,
    /// A subscription, not connected: its database cannot be dropped before it is.
    Subscription,
    /// Settings of the database and of a role in it that change how values look; its grants and its limit.
    DatabaseSettings,
}

/// Loads `truth.sql` into an empty database; makes its roles where the server lacks them.
///
/// # Panics
/// At the first error.
pub fn load(server: &PgServer, database: &str) {
    run(server, database, "truth.sql");
}

/// Adds one more thing to a database.
///
/// # Panics
/// At the first error.
pub fn add(server: &PgServer, database: &str, extra: Extra) {
    let file = match extra {
        Extra::HugeValues => "huge_values.sql",
        Extra::HashOfEnum => "hash_of_enum.sql",
        Extra::Otherwise => "otherwise.sql",
        Extra::Subscription => "subscription.sql",
        Extra::DatabaseSettings => "database_settings.sql",
    };
    run(server, database, file);
}

/// Makes a database of encoding LATIN1, with names and values that are not ASCII.
///
/// # Panics
/// At the first error.
pub fn make_latin(server: &PgServer, database: &str) {
    server.create_database(
        database,
        "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    run(server, database, "latin.sql");
}

/// Makes a database of encoding SQL_ASCII, with bytes that are valid in no encoding.
///
/// # Panics
/// At the first error.
pub fn make_ascii(server: &PgServer, database: &str) {
    server.create_database(
        database,
        "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    run(server, database, "ascii.sql");
}

fn run(server: &PgServer, database: &str, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(file);
    let output = server
        .command("psql", database)
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{} on {}: {}",
        path.display(),
        server.version(),
        String::from_utf8_lossy(&output.stderr)
    );
}
