//! The server of a sandbox that is a temporary database: never the source's own, unless the config says so.
//! It is asked before anything is made.

use resguardo_engine::port::Location;

use crate::error::OpsError;
use crate::origin::Selected;
use crate::source::SandboxSpec;

/// The server on which the sandbox is to be made, `None` for a private one.
///
/// # Errors
/// [`OpsError::Refused`] if it is the source's own, or is not known.
pub(super) fn of(selected: &Selected<'_>) -> Result<Option<Location>, OpsError> {
    let Some(spec) = selected.spec else {
        return Ok(None);
    };
    let SandboxSpec::Database {
        server,
        same_server,
    } = &spec.drill.sandbox
    else {
        return Ok(None);
    };
    let table = format!("[sources.{}.drill]", spec.name);
    let server = server.as_ref().map_err(|why| OpsError::Refused {
        place: format!("the server of the drills of {}", spec.name),
        why: format!("is not known: {why}"),
        next: format!("set it, or take sandbox and server out of {table}"),
    })?;
    if !same_server && spec.location.expose().is_empty() {
        return Err(OpsError::Refused {
            place: server.to_string(),
            why: format!(
                "may be the server of the source {} itself, whose url is not set",
                spec.name
            ),
            next: format!("set it, or allow the same server with same_server = true in {table}"),
        });
    }
    if !same_server && selected.engine.is_same_server(&spec.location, server) {
        return Err(OpsError::Refused {
            place: server.to_string(),
            why: format!("is the server of the source {} itself", spec.name),
            next: format!("name another server, or allow it with same_server = true in {table}"),
        });
    }
    Ok(Some(server.clone()))
}
