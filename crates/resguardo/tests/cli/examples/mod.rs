//! `examples/`: the five runbooks as projects. Each is loaded, planned, backed up and drilled as its team would, and
//! what its README says of its config is compared with it.

mod drills;
mod plans;
mod readme;

use std::path::{Path, PathBuf};

use resguardo_testkit::{PgServer, PgVersion};

use crate::world::World;

/// A project below `examples/`.
#[derive(Clone, Copy)]
pub struct Example {
    pub name: &'static str,
    /// Its only source.
    pub source: &'static str,
}

pub const INVENTARIO: Example = example("inventario", "inventario");
pub const OBYRA: Example = example("obyra", "obyra");
pub const SAGO_FACTU: Example = example("sago-factu", "sago-factu");
pub const COMERCIAL: Example = example("comercial-electrica", "comercial");
pub const PURANATURA: Example = example("puranatura", "puranatura");
pub const ALL: [Example; 5] = [INVENTARIO, OBYRA, SAGO_FACTU, COMERCIAL, PURANATURA];

const fn example(name: &'static str, source: &'static str) -> Example {
    Example { name, source }
}

impl Example {
    /// Where it is kept.
    pub fn folder(self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        root.join(self.name)
    }

    /// A copy of it on a machine that says so of itself; its database is not there yet.
    pub fn on(self, environment: &str) -> World {
        let world = World::new()
            .with("ENTORNO", environment)
            .with("BOVEDA", "./boveda")
            .with("BOVEDA_COPIA", "./copia")
            .with("BOVEDA_REGION_2", "./region-2")
            .with("BASE", "./base.sqlite")
            // Nobody listens there.
            .with("SLACK_WEBHOOK", "http://127.0.0.1:9/slack")
            .with("LATIDO", "http://127.0.0.1:9/latido");
        copy(&self.folder(), &world.path(""));
        world
    }

    /// The schema and rows that it is tried with.
    pub fn schema(self) -> String {
        std::fs::read_to_string(self.folder().join("base/esquema.sql")).unwrap()
    }

    /// The same with its database on a throwaway server, or in a file; and a vault.
    pub fn with_database(self, environment: &str) -> Project {
        let world = self.on(environment);
        let (world, server) = if self.name == PURANATURA.name {
            let base = rusqlite::Connection::open(world.path("base.sqlite")).unwrap();
            base.execute_batch(&self.schema()).unwrap();
            (world, None)
        } else {
            let version = PgVersion::V15;
            let server = PgServer::start(version);
            server.create_database("base", "");
            server.psql("base", &self.schema());
            let path = std::env::var("PATH").unwrap();
            let path = format!("{}:{path}", version.bin_dir().display());
            let world = world
                .with("PATH", &path)
                .with("DATABASE_URL", &server.url("base"));
            (world, Some(server))
        };
        world.run(&["init", "--yes"]).exits(0);
        Project { world, server }
    }
}

/// An example whose database is there.
pub struct Project {
    pub world: World,
    server: Option<PgServer>,
}

impl Project {
    /// Changes its database.
    pub fn sql(&self, sql: &str) {
        match &self.server {
            Some(server) => {
                server.psql("base", sql);
            }
            None => {
                let base = rusqlite::Connection::open(self.world.path("base.sqlite")).unwrap();
                base.execute_batch(sql).unwrap();
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
