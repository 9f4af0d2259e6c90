//! Each example backed up and drilled with all its checks, and what must not pass.

use serde_json::Value;

use super::{COMERCIAL, Example, INVENTARIO, OBYRA, PURANATURA, Project, SAGO_FACTU};

/// What is broken, and which check says so.
enum Broken {
    /// A change of the database.
    Row(&'static str),
    /// A file of the project, and what is replaced in it.
    File(&'static str, &'static str, &'static str),
}

struct Case {
    what: Broken,
    check: &'static str,
    outcome: &'static str,
}

const fn row(sql: &'static str, check: &'static str) -> Case {
    Case {
        what: Broken::Row(sql),
        check,
        outcome: "failed",
    }
}

const fn file(
    name: &'static str,
    from: &'static str,
    to: &'static str,
    check: &'static str,
    outcome: &'static str,
) -> Case {
    Case {
        what: Broken::File(name, from, to),
        check,
        outcome,
    }
}

/// Every check of the config passes; each case fails by its check, and by nothing that was proven before.
fn drilled(example: Example, cases: &[Case]) {
    let project = example.with_database("production");
    let world = &project.world;
    let taken = world.run(&["backup", "--reason", "pre-migration", "--json"]);
    taken.exits(0);
    let drill = drill(&project, 0);
    assert_eq!(drill["verdict"], "passed", "{drill:#}");
    let configured = names_of_checks(&project, example);
    assert!(configured.len() >= 5, "{configured:?}");
    for name in &configured {
        assert_eq!(check(&drill, name)["outcome"], "passed", "{name}");
    }
    assert_eq!(world.sandboxes(), 0);
    for case in cases {
        let restored = match case.what {
            Broken::Row(sql) => {
                project.sql(sql);
                world.run(&["backup"]).exits(0);
                None
            }
            Broken::File(name, from, to) => {
                let text = std::fs::read_to_string(world.path(name)).unwrap();
                assert!(text.contains(from), "{from} is not in {name}");
                world.write(name, &text.replace(from, to));
                Some((name, text))
            }
        };
        let drill = self::drill(&project, 3);
        let check = check(&drill, case.check);
        assert_eq!(check["outcome"], case.outcome, "{check:#}");
        if let Some((name, text)) = restored {
            world.write(name, &text);
        }
        assert_eq!(world.sandboxes(), 0);
    }
}

fn drill(project: &Project, code: i32) -> Value {
    let ran = project.world.run(&["drill", "--json"]).exits(code);
    ran.json()["drills"][0].clone()
}

fn names_of_checks(project: &Project, example: Example) -> Vec<String> {
    let shown = project.world.run(&["config", "show", "--json"]).exits(0);
    let shown = shown.json();
    let values = shown["values"].as_array().unwrap().iter();
    let prefix = format!("sources.{}.checks[", example.source);
    let named = values.filter(|value| {
        let key = value["key"].as_str().unwrap();
        key.starts_with(&prefix) && key.ends_with("].name")
    });
    named
        .map(|value| value["value"].as_str().unwrap().to_owned())
        .collect()
}

fn check<'a>(drill: &'a Value, name: &str) -> &'a Value {
    let checks = drill["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no check {name} in {checks:#?}"))
}

#[test]
fn inventario() {
    drilled(
        INVENTARIO,
        &[
            file(
                "app/servidor.py",
                "\"estado\": \"ok\"",
                "\"estado\": \"mal\"",
                "salud",
                "failed",
            ),
            row(
                "update usuarios set rol = 'consulta'",
                "humo del administrador",
            ),
            row(
                "delete from usuarios where nombre = 'admin'",
                "login, catálogos y activos",
            ),
        ],
    );
}

#[test]
fn obyra() {
    drilled(
        OBYRA,
        &[
            file(
                "app/migrar.sh",
                "20260210_ordenes",
                "20260105_inicio",
                "versión de Alembic",
                "failed",
            ),
            file(
                "sql/02_permisos.sql",
                "grant usage, create on schema app",
                "grant nonsense on schema app",
                "provision sql/02_permisos.sql",
                "failed",
            ),
            row("truncate app.ordenes", "órdenes"),
        ],
    );
}

#[test]
fn sago_factu() {
    drilled(
        SAGO_FACTU,
        &[
            file(
                "app/servidor.py",
                "aceptados > 0",
                "aceptados < 0",
                "salud",
                "failed",
            ),
            row(
                r#"update "Comprobante" set "xmlKey" = null where numero = 7"#,
                "ningún comprobante sin su XML",
            ),
        ],
    );
}

#[test]
fn comercial_electrica() {
    drilled(
        COMERCIAL,
        &[
            file(
                "app/servidor.py",
                "import json",
                "import no_existe",
                "salud",
                "error",
            ),
            row(
                r#"update "Product" set "tenantId" = 1"#,
                "ningún producto fuera de su tenant",
            ),
        ],
    );
}

#[test]
fn puranatura() {
    drilled(
        PURANATURA,
        &[
            file(
                "app/servidor.py",
                "self.responder(201",
                "self.responder(500",
                "synthetic:checks",
                "failed",
            ),
            row("update productos set precio = 0 where id = 2", "test:ci"),
        ],
    );
}
