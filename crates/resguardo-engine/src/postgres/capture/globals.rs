//! `globals.sql`: roles, memberships and tablespaces for any server. Each statement looks first whether
//! its object is there, and no password is in it.

use crate::port::EngineError;
use crate::postgres::catalog;
use crate::postgres::catalog::{Membership, NamedRole};
use crate::postgres::name::{self, identifier, literal};
use crate::postgres::session::Session;

const HEAD: &str = "-- Roles without their passwords, memberships, and tablespaces by name. What is there already stays as it is.\nSET client_encoding = 'UTF8';\n";

/// The whole script.
///
/// # Errors
/// If the roles cannot be asked for.
pub(super) fn script(session: &Session) -> Result<String, EngineError> {
    let mut script = HEAD.to_owned();
    for role in catalog::named_roles(session)? {
        script.push_str(&role_block(&role));
    }
    for membership in catalog::memberships(session)? {
        script.push_str(&membership_block(&membership));
    }
    for tablespace in catalog::tablespaces(session)? {
        script.push_str(&tablespace_block(&tablespace));
    }
    Ok(script)
}

/// A block that runs `statements` if `condition` holds.
fn block(condition: &str, statements: &[String]) -> String {
    let body: String = statements
        .iter()
        .map(|statement| format!("    {statement};\n"))
        .collect();
    let code = format!("BEGIN\n  IF {condition} THEN\n{body}  END IF;\nEND");
    let mut tag = "$resguardo$".to_owned();
    while code.contains(&tag) {
        tag = format!("{}_$", &tag[..tag.len() - 1]);
    }
    format!("DO {tag}\n{code}\n{tag};\n")
}

fn role_block(role: &NamedRole) -> String {
    let mut statements = vec![role.create()];
    for setting in &role.settings {
        if let Some((parameter, value)) = setting.split_once('=') {
            statements.push(format!(
                "ALTER ROLE {} SET {} TO {}",
                identifier(&role.name),
                name::parameter(parameter),
                name::value_of(parameter, value)
            ));
        }
    }
    let condition = format!(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {})",
        literal(&role.name)
    );
    block(&condition, &statements)
}

fn membership_block(membership: &Membership) -> String {
    let condition = format!(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members a \
         JOIN pg_catalog.pg_roles m ON m.oid = a.member JOIN pg_catalog.pg_roles r ON r.oid = a.roleid \
         WHERE m.rolname = {} AND r.rolname = {})",
        literal(&membership.member),
        literal(&membership.role)
    );
    let options = match membership.options.as_str() {
        "" => String::new(),
        options => format!(" WITH {options}"),
    };
    let grant = format!(
        "GRANT {} TO {}{options}",
        identifier(&membership.role),
        identifier(&membership.member)
    );
    block(&condition, &[grant])
}

/// A tablespace is a folder of its server, which nobody else can make.
fn tablespace_block(tablespace: &str) -> String {
    let condition = format!(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_tablespace WHERE spcname = {})",
        literal(tablespace)
    );
    let words = format!(
        "tablespace {} is missing: make it with CREATE TABLESPACE, or restore with --no-tablespaces",
        identifier(tablespace)
    );
    let raise = format!("RAISE WARNING '%', {}", literal(&words));
    block(&condition, &[raise])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_withstand_what_names_hold() {
        let role = NamedRole {
            name: "o'$resguardo$\"x".to_owned(),
            attributes: "NOLOGIN".to_owned(),
            settings: vec![
                "search_path=\"$user\", public".to_owned(),
                "app.tenant=it's".to_owned(),
            ],
        };
        let block = role_block(&role);
        assert!(block.starts_with("DO $resguardo_$\n"), "{block}");
        assert!(block.ends_with("END\n$resguardo_$;\n"), "{block}");
        for line in [
            "IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'o''$resguardo$\"x') THEN",
            "CREATE ROLE \"o'$resguardo$\"\"x\" WITH NOLOGIN;",
            "SET \"search_path\" TO \"$user\", public;",
            "SET \"app\".\"tenant\" TO 'it''s';",
        ] {
            assert!(block.contains(line), "{line} is not in\n{block}");
        }
    }
}
