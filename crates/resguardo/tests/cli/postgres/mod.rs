//! The same commands on real PostgreSQL servers.

mod another;
mod drill;
mod emergency;
mod foreign;
mod interrupt;
mod kit;
mod quick_start;
mod refusals;

use std::path::Path;

use resguardo_testkit::{PgServer, PgServerOptions, PgVersion};

use crate::world::{Ran, World};

/// The password of the superuser: whatever is printed or stored must not have it.
pub const PASSWORD: &str = "s3cret-of-postgres";

/// A shop: customers, orders, a role that reads, and the notes of a migration tool.
const SHOP: &str = "
    CREATE ROLE app LOGIN;
    CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, note text);
    CREATE TABLE orders (id serial PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, total numeric(10,2) NOT NULL);
    CREATE INDEX orders_of ON orders (customer_id);
    CREATE TABLE schema_migrations (version text PRIMARY KEY);
    INSERT INTO schema_migrations VALUES ('20261101'), ('20261115');
    INSERT INTO customers (name, note) SELECT 'Cliente ' || n, md5(n::text) FROM generate_series(1, 500) n;
    INSERT INTO orders (customer_id, total) SELECT id, id * 1.5 FROM customers WHERE id % 3 = 0;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO app;
";

/// A server with the database `shop`, and a world whose `DATABASE_URL` leads to it.
pub struct Shop {
    pub server: PgServer,
    pub world: World,
}

impl Shop {
    /// Nothing is set up yet.
    pub fn new(version: PgVersion) -> Self {
        Self::with(PgServerOptions::new(version))
    }

    /// The same with more options.
    pub fn with(options: PgServerOptions) -> Self {
        let version = options.version;
        let server = PgServer::start_with(PgServerOptions {
            password: Some(PASSWORD.to_owned()),
            ..options
        });
        server.create_database("shop", "");
        server.psql("shop", SHOP);
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", version.bin_dir().display());
        let world = World::new()
            .with("PATH", &path)
            .with("DATABASE_URL", &server.url("shop"));
        Self { server, world }
    }

    /// With a vault and a config that has the source `shop`.
    pub fn set_up(self) -> Self {
        let init = ["init", "--vault", "./vault", "--yes"];
        self.world.run(&init).exits(0);
        self
    }

    /// The URL of another database of the server.
    pub fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// What a table of a database of the server holds.
    pub fn count(&self, database: &str, table: &str) -> u64 {
        let answer = self
            .server
            .psql(database, &format!("SELECT count(*) FROM {table}"));
        answer.parse().unwrap()
    }

    /// Asserts that nothing that was written below the world's folders has the password.
    #[track_caller]
    pub fn has_no_secret(&self) {
        for folder in [self.world.path(""), self.world.home()] {
            each_file(&folder, &mut |path| {
                let bytes = std::fs::read(path).unwrap();
                let found = bytes
                    .windows(PASSWORD.len())
                    .any(|window| window == PASSWORD.as_bytes());
                assert!(!found, "the password is in {}", path.display());
            });
        }
    }
}

/// Asserts that nothing that was printed has the password.
#[track_caller]
pub fn without_secret(ran: Ran) -> Ran {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains(PASSWORD), "{text}");
    }
    ran
}

fn each_file(folder: &Path, look: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            each_file(&entry.path(), look);
        } else if entry.file_type().unwrap().is_file() {
            look(&entry.path());
        }
    }
}
