//! The demo's second act: the same on PostgreSQL, on a throwaway server of its own, where the server's
//! programs are installed.
//!
//! INVARIANT: each order's total is the sum of its lines, which the demo's own check asks for. Guarded by
//! `the_main_job_from_beginning_to_end` of the binary's tests.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use resguardo_engine::port::{EngineError, Run, Target};
use resguardo_model::{EngineKind, NoProgress, RunId, Sha256Digest, SourceFacts};
use resguardo_ops::sandbox::Sandbox;

use super::{Stage, append};
use crate::error::Failure;
use crate::wire;

/// Longest time for a script of the demo.
const TIMEOUT: Duration = Duration::from_secs(120);
/// A role, an enum, partitions, JSON and identity columns: what a dump has to carry beside rows.
const SCHEMA: &str = "
create role tienda_app nologin;
create type estado as enum ('pendiente', 'pagado', 'enviado', 'anulado');
create table clientes (
  id bigint generated always as identity primary key, nombre text not null,
  correo text not null unique, ficha jsonb not null default '{}');
create table pedidos (
  id bigint not null, cliente_id bigint not null references clientes, estado estado not null,
  fecha date not null, total_centavos bigint not null, primary key (id, fecha)) partition by range (fecha);
create table pedidos_2025 partition of pedidos for values from ('2025-01-01') to ('2026-01-01');
create table pedidos_2026 partition of pedidos for values from ('2026-01-01') to ('2027-01-01');
create table lineas (
  pedido_id bigint not null, linea int not null, producto text not null, cantidad int not null,
  centavos bigint not null, primary key (pedido_id, linea));
create index pedidos_por_cliente on pedidos (cliente_id);
create index clientes_por_ficha on clientes using gin (ficha);
grant select, insert, update on all tables in schema public to tienda_app;
insert into clientes (nombre, correo, ficha)
  select 'Cliente ' || i, 'cliente' || i || '@tienda.test', jsonb_build_object('ciudad', (array['Bogotá', 'Lima', 'Quito'])[1 + i % 3], 'puntos', i * 7 % 1000)
  from generate_series(1, 4000) i;
create function vender(primero bigint, ultimo bigint) returns void language sql as $$
  insert into lineas select p, l, 'PN-' || (p * 31 + l) % 320, 1 + (p + l) % 4, 150 + (p * 97 + l * 13) % 9000
    from generate_series(primero, ultimo) p, generate_series(1, 1 + p % 4) l;
  insert into pedidos select p, 1 + p % 4000, (array['pendiente', 'pagado', 'enviado'])[1 + p % 3]::estado,
    date '2025-01-01' + (p % 650)::int, (select sum(cantidad * centavos) from lineas where pedido_id = p)
    from generate_series(primero, ultimo) p;
$$;
select vender(1, 20000);
";
const CHECKS: &str = r#"
[sources.tienda]
engine = "postgres"
url = "${DATABASE_URL}"

[[sources.tienda.checks]]
name = "every order adds up"
sql = """
select count(*) from pedidos p where total_centavos <>
  (select sum(cantidad * centavos) from lineas l where l.pedido_id = p.id)"""
equals = 0

[[sources.tienda.checks]]
name = "the application may read"
sql = "set role tienda_app; select count(*) from pedidos"
min = 20000
"#;
const BUSINESS: &str = "select vender(20001, 20150)";
const DISASTER: &str =
    "update pedidos set estado = 'anulado', total_centavos = 0; drop table lineas";
const SUMMARY: &str = "select count(*), sum(total_centavos)::bigint / 100, (select count(*) from pg_class where relname = 'lineas') from pedidos";

/// Plays the act. `None` if the server's programs are not installed; else whether the shop was whole in the
/// end.
pub(super) fn play(stage: &mut Stage<'_>) -> Result<Option<bool>, Failure> {
    stage.scene(
        "The same with PostgreSQL",
        "Another shop, on a throwaway server: roles, partitions, enums, JSON.",
    );
    let Some(server) = Server::start(stage)? else {
        return Ok(None);
    };
    server.execute(SCHEMA)?;
    let first = server.summary()?;
    stage.tell(&first.words());
    append(&stage.folder.join("resguardo.toml"), CHECKS)?;
    stage
        .tell("the source and two checks were added to resguardo.toml; its url is ${DATABASE_URL}");
    stage.run("backup tienda")?;
    server.execute(BUSINESS)?;
    stage.tell("150 new orders");
    stage.run("backup tienda --reason pre-migration")?;
    stage.run("drill tienda")?;
    let before = server.summary()?;

    server.execute(DISASTER)?;
    stage.tell("an UPDATE without WHERE, and a DROP TABLE:");
    stage.tell(&server.summary()?.words());
    let name = server.variable("PGDATABASE");
    stage.run(&format!(
        "restore tienda:latest --to $DATABASE_URL --clean --yes-overwrite {name}"
    ))?;
    let after = server.summary()?;
    stage.tell(&after.words());
    server.stop()?;
    Ok(Some(after == before))
}

#[derive(PartialEq, Eq)]
struct Summary(Vec<Option<String>>);

impl Summary {
    fn words(&self) -> String {
        let column = |at: usize| self.0.get(at).and_then(Option::as_deref).unwrap_or("0");
        let lines = if column(2) == "0" {
            ", and no table of their lines"
        } else {
            ""
        };
        format!(
            "tienda: {} orders, {} in revenue{lines}",
            column(0),
            column(1)
        )
    }
}

/// A throwaway server with an empty database: what a drill restores into, used as a source here.
struct Server<'a> {
    stage: &'a super::Invocation,
    target: Box<dyn Target>,
    // Gone after the server that it holds.
    _sandbox: Sandbox,
    _annexes: tempfile::TempDir,
}

impl<'a> Server<'a> {
    fn start(stage: &mut Stage<'a>) -> Result<Option<Self>, Failure> {
        let broken =
            |error: std::io::Error| Failure::user("making a temporary folder").because(&error);
        // A server that refuses root has to reach it.
        let annexes = tempfile::Builder::new()
            .prefix("resguardo-demo-")
            .permissions(std::fs::Permissions::from_mode(0o711))
            .tempdir()
            .map_err(broken)?;
        let run: RunId = "01jd8kq2v3m4n5p6q7r8s9t0vw"
            .parse()
            .expect("a literal that is an id");
        let sandbox = Sandbox::create(&stage.folder.join("server"), annexes.path(), run)
            .map_err(|error| Failure::user("the demo's server").because(&error))?;
        let engines = wire::engines(&stage.folder.join("home"), &stage.ambient);
        let engine = engines.get(EngineKind::Postgres)?;
        let invocation = stage.invocation;
        let opened = engine.open_sandbox(&sandbox, Some(&facts()), running(invocation));
        let target = match opened {
            Ok(target) => target,
            Err(EngineError::ToolMissing { tool, package, .. }) => {
                stage.tell(&format!(
                    "Not shown here: {tool} is not installed. With the package {package} it would be."
                ));
                return Ok(None);
            }
            Err(error) => return Err(broken_server(&error)),
        };
        let server = Self {
            stage: invocation,
            target,
            _sandbox: sandbox,
            _annexes: annexes,
        };
        let url = server.variable("DATABASE_URL");
        stage
            .ambient
            .variables
            .insert("DATABASE_URL".to_owned(), url);
        Ok(Some(server))
    }

    fn variable(&self, name: &str) -> String {
        let found = self.target.environment().into_iter();
        let mut found = found
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value);
        found.next_back().unwrap_or_default()
    }

    fn execute(&self, script: &str) -> Result<(), Failure> {
        let done = self.target.execute(script, TIMEOUT, running(self.stage));
        done.map_err(|error| broken_server(&error))
    }

    fn summary(&self) -> Result<Summary, Failure> {
        let answer = self.target.query(SUMMARY, 1, TIMEOUT, running(self.stage));
        let mut answer = answer.map_err(|error| broken_server(&error))?;
        Ok(Summary(answer.rows.pop().unwrap_or_default()))
    }

    fn stop(self) -> Result<(), Failure> {
        self.target.close().map_err(|error| broken_server(&error))
    }
}

/// What tells a sandbox how its database is to be named.
fn facts() -> SourceFacts {
    SourceFacts {
        engine: EngineKind::Postgres,
        server_version: String::new(),
        schema_sha256: Sha256Digest::of(b""),
        tables: Vec::new(),
        details: [("database".to_owned(), "tienda".into())].into(),
    }
}

fn running(invocation: &super::Invocation) -> Run<'_> {
    Run {
        cancel: &invocation.cancel,
        progress: &NoProgress,
        clock: &*invocation.clock,
    }
}

fn broken_server(error: &EngineError) -> Failure {
    Failure::user("the demo's server").because(error)
}
