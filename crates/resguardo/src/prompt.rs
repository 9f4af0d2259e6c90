//! Questions on a terminal. Asked on standard error, so that standard output stays the answer's.

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use resguardo_model::CancelToken;
use resguardo_vault::Dialogue;
use secrecy::SecretString;

use crate::ambient::Ambient;
use crate::error::Failure;
use crate::render::Output;

/// Asks; an empty answer is the default.
///
/// # Errors
/// If standard input has ended.
pub fn ask(question: &str, default: &str) -> Result<String, Failure> {
    let shown = if default.is_empty() {
        format!("{question}: ")
    } else {
        format!("{question} [{default}]: ")
    };
    let mut stderr = std::io::stderr().lock();
    let _ = stderr
        .write_all(shown.as_bytes())
        .and_then(|()| stderr.flush());
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    match read {
        Ok(0) | Err(_) => Err(Failure::user("no answer was given")),
        Ok(_) if line.trim().is_empty() => Ok(default.to_owned()),
        Ok(_) => Ok(line.trim().to_owned()),
    }
}

/// The passphrase of an existing identity: from the file, the environment, or a question; none if
/// nobody can be asked.
///
/// # Errors
/// If the file cannot be read.
pub fn passphrase(ambient: &Ambient, file: Option<&Path>) -> Result<Option<SecretString>, Failure> {
    if let Some(given) = given_passphrase(ambient, file)? {
        return Ok(Some(given));
    }
    if !ambient.asks {
        return Ok(None);
    }
    rpassword::prompt_password("Passphrase of the identity: ")
        .map(|text| Some(SecretString::from(text)))
        .map_err(|error| Failure::user("reading the passphrase").because(&error))
}

/// A passphrase that needs no question.
///
/// # Errors
/// If the file cannot be read or its first line is empty.
pub fn given_passphrase(
    ambient: &Ambient,
    file: Option<&Path>,
) -> Result<Option<SecretString>, Failure> {
    if let Some(file) = file {
        return passphrase_in(ambient, file).map(Some);
    }
    Ok(ambient
        .variable("RESGUARDO_PASSPHRASE")
        .map(|text| SecretString::from(text.to_owned())))
}

/// The first line of a file.
///
/// # Errors
/// If the file cannot be read or its first line is empty.
pub fn passphrase_in(ambient: &Ambient, file: &Path) -> Result<SecretString, Failure> {
    let path = ambient.absolute(file);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::io("reading the passphrase file", &path, &error))?;
    let first = text.lines().next().unwrap_or_default();
    if first.is_empty() {
        return Err(Failure::user(format!(
            "the first line of {} is empty",
            path.display()
        )));
    }
    Ok(SecretString::from(first.to_owned()))
}

/// A new passphrase, asked for twice; none if nothing was typed.
///
/// # Errors
/// If the two differ.
pub fn new_passphrase() -> Result<Option<SecretString>, Failure> {
    let read = |question: &str| {
        rpassword::prompt_password(question)
            .map_err(|error| Failure::user("reading the passphrase").because(&error))
    };
    let first = read("Passphrase for the identity (empty: none): ")?;
    if first.is_empty() {
        return Ok(None);
    }
    if read("The same again: ")? != first {
        return Err(Failure::user("the two passphrases differ").hint("run the same command again"));
    }
    Ok(Some(SecretString::from(first)))
}

/// A new password of a user, asked for twice.
///
/// # Errors
/// If the two differ, or nothing was typed.
pub fn new_password() -> Result<SecretString, Failure> {
    let read = |question: &str| {
        rpassword::prompt_password(question)
            .map_err(|error| Failure::user("reading the password").because(&error))
    };
    let first = read("Password: ")?;
    if first.is_empty() {
        return Err(Failure::user("no password was given"));
    }
    if read("The same again: ")? != first {
        return Err(Failure::user("the two passwords differ").hint("run the same command again"));
    }
    Ok(SecretString::from(first))
}

/// Asks without a default, and gives up when the run is cancelled: a signal would otherwise wait for
/// the answer.
///
/// # Errors
/// If the run is cancelled or standard input has ended.
pub fn ask_unless(question: &str, cancel: &CancelToken) -> Result<String, Failure> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let question = question.to_owned();
    std::thread::spawn(move || {
        // The receiver is gone if the run was cancelled; nobody waits for the answer then.
        let _ = sender.send(ask(&question, ""));
    });
    loop {
        match receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(answer) => return answer,
            Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => {
                return Err(Failure::interrupted());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::user("no answer was given"));
            }
        }
    }
}

/// What plugins say and ask: on standard error, and on the terminal if there is one.
#[must_use]
pub fn dialogue(ambient: &Ambient, out: &Output) -> Arc<dyn Dialogue> {
    Arc::new(OnTerminal {
        asks: ambient.asks,
        out: out.clone(),
    })
}

struct OnTerminal {
    asks: bool,
    out: Output,
}

impl Dialogue for OnTerminal {
    fn tell(&self, message: &str) {
        self.out.warn(message);
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        if !self.asks {
            return None;
        }
        let question = format!("{message} ({yes}/{})", no.unwrap_or("no"));
        Some(ask(&question, "").ok()?.eq_ignore_ascii_case(yes))
    }

    fn ask(&self, message: &str) -> Option<String> {
        if self.asks {
            ask(message, "").ok()
        } else {
            None
        }
    }

    fn ask_secret(&self, message: &str) -> Option<SecretString> {
        if !self.asks {
            return None;
        }
        let answer = rpassword::prompt_password(format!("{message}: ")).ok()?;
        Some(SecretString::from(answer))
    }
}
