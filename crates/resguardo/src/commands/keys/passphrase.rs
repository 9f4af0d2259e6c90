//! `keys passphrase`: the identity's file is replaced in one step, after the new one was opened in memory.

use std::path::Path;

use resguardo_store::durable::{self, Mode};
use resguardo_vault::{Identities, KeyError, is_protected, open_identity, protect_identity};
use secrecy::SecretString;
use serde_json::json;
use zeroize::Zeroizing;

use crate::config::{Config, KeyPlace};
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::Invocation;
use crate::keys::{KeyFolder, read_identity_text};
use crate::prompt;

/// Runs `keys passphrase`.
pub(super) fn run(
    invocation: &Invocation,
    new_file: Option<&Path>,
    remove: bool,
) -> Result<Exit, Failure> {
    let config = invocation.config()?;
    let path = identity_file(invocation, &config)?;
    let plain = plain_text(invocation, &config, &path)?;
    let passphrase = match (remove, new_file) {
        (true, _) => None,
        (false, Some(file)) => Some(prompt::passphrase_in(&invocation.ambient, file)?),
        (false, None) if invocation.ambient.asks => match prompt::new_passphrase()? {
            Some(passphrase) => Some(passphrase),
            None => {
                return Err(Failure::user(
                    "no passphrase was typed, and the identity is as it was",
                )
                .hint("to leave it without one: `resguardo keys passphrase --remove`"));
            }
        },
        (false, None) => {
            return Err(Failure::usage("there is no terminal to ask for the new passphrase")
                .hint("name a file whose first line it is, with --new-passphrase-file FILE, or take it away with --remove"));
        }
    };
    replace(&path, &plain, passphrase.as_ref())?;
    let protected = passphrase.is_some();
    invocation
        .out
        .json(&json!({ "identity": path, "protected": protected }));
    invocation.out.say(&format!(
        "{} {}",
        path.display(),
        if protected {
            "opens with the new passphrase"
        } else {
            "opens without a passphrase"
        }
    ));
    invocation
        .out
        .note("copies of the file that are kept elsewhere are as they were");
    Ok(Exit::Done)
}

/// Writes the identity, protected or not.
pub(super) fn replace(
    path: &Path,
    plain: &[u8],
    passphrase: Option<&SecretString>,
) -> Result<(), Failure> {
    let text = std::str::from_utf8(plain)
        .map_err(|_| Failure::user(format!("{} is no text inside", path.display())))?;
    let file = match passphrase {
        Some(passphrase) => protect_identity(text, passphrase)?,
        None => plain.to_vec(),
    };
    // Nobody gets it back if what is written does not open.
    let opened = open_identity(&file, passphrase)?;
    assert!(*opened == *plain, "age opens what it sealed a moment ago");
    Ok(durable::write(path, &file, Mode::PRIVATE)?)
}

/// The identity's text, with the passphrase that it has now.
pub(super) fn plain_text(
    invocation: &Invocation,
    config: &Config,
    path: &Path,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let place = KeyPlace::File(path.to_owned());
    let file = read_identity_text(&place, &config.folder, &invocation.cancel)?;
    if file.starts_with(b"-----BEGIN") && !is_protected(&file) {
        return Err(Failure::user(format!("{place} is an SSH key"))
            .hint("change its passphrase with `ssh-keygen -p -f FILE`"));
    }
    let passphrase = match is_protected(&file) {
        true => invocation.passphrase(config, true)?,
        false => None,
    };
    let named = |error: KeyError| {
        let mut failure = Failure::from(error);
        failure.message = format!("{place}: {}", failure.message);
        failure
    };
    let plain = open_identity(&file, passphrase.as_ref()).map_err(named)?;
    Identities::parse(&plain, None).map_err(named)?;
    Ok(plain)
}

/// The file of the identity that is to be changed.
fn identity_file(invocation: &Invocation, config: &Config) -> Result<std::path::PathBuf, Failure> {
    if let Some(setting) = &config.vault.identity {
        return match setting.value.file() {
            Some(path) => Ok(path.to_owned()),
            None => Err(Failure::user(format!(
                "the identity comes from {}, where nothing can be written to",
                setting.value
            ))
            .hint("name a file with --identity FILE")),
        };
    }
    let store = invocation.store(config)?;
    let home = invocation.home()?;
    let vault = crate::invocation::describe(&*store, &home)?.vault;
    Ok(KeyFolder::new(home.keys(vault)).identity_path())
}
