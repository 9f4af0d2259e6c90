//! `keys kit`: the recovery kit, made anew of what holds now.

use std::path::Path;

use resguardo_store::durable::{self, DurableError, Mode};
use resguardo_vault::Vault;
use serde_json::json;

use super::Ground;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::Invocation;
use crate::kit::{self, About};

/// Runs `keys kit`.
///
/// # Errors
/// If the vault cannot be read, this machine has no write key, or the file is there already.
pub(super) fn run(invocation: &Invocation, out: Option<&Path>) -> Result<Exit, Failure> {
    let ground = Ground::find(invocation)?;
    let description = Vault::read_config(&*ground.store)?;
    let identity = match &ground.config.vault.identity {
        Some(setting) => setting.value.file().map(Path::to_path_buf),
        None => Some(ground.keys.identity_path()),
    };
    let about = About {
        config: &ground.config,
        description: &description,
        key: &ground.key,
        identity: identity.filter(|path| path.exists()),
        sources: kit::sources_of(&ground.config),
        host: invocation.ambient.host.clone(),
        now: invocation.clock.now(),
    };
    let page = about.kit().render(invocation.global.lang);
    let path = out.map(|path| invocation.ambient.absolute(path));
    match &path {
        None => invocation.out.print(page.trim_end()),
        Some(path) => {
            write(path, &page)?;
            invocation.out.say(&format!(
                "the recovery kit is in {}: print it, and keep it away from this machine",
                path.display()
            ));
        }
    }
    invocation
        .out
        .json(&json!({ "page": page, "recovery_kit": path }));
    Ok(Exit::Done)
}

/// Never over one that is there: it may have notes in it.
fn write(path: &Path, page: &str) -> Result<(), Failure> {
    match durable::create_new(path, page.as_bytes(), Mode::READABLE) {
        Err(DurableError::AlreadyThere { path }) => Err(Failure::new(
            Exit::Refused,
            format!("{} exists already, and is not overwritten", path.display()),
        )
        .hint("move it away, or name another file with --out")),
        other => Ok(other?),
    }
}
