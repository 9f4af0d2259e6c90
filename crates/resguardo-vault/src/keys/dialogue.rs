//! What an age plugin says and asks while it works: touch the key, type its PIN. Whoever may print answers.

use std::sync::Arc;

use age::secrecy::SecretString;

/// Speaks for a plugin. `None` is "nobody can be asked".
pub trait Dialogue: Send + Sync {
    /// Shows a message.
    fn tell(&self, message: &str);
    /// Asks for a yes or no, in the plugin's words.
    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool>;
    /// Asks for something that is no secret.
    fn ask(&self, message: &str) -> Option<String>;
    /// Asks for a secret.
    fn ask_secret(&self, message: &str) -> Option<SecretString>;
}

/// Nobody is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDialogue;

impl Dialogue for NoDialogue {
    fn tell(&self, _message: &str) {}

    fn confirm(&self, _message: &str, _yes: &str, _no: Option<&str>) -> Option<bool> {
        None
    }

    fn ask(&self, _message: &str) -> Option<String> {
        None
    }

    fn ask_secret(&self, _message: &str) -> Option<SecretString> {
        None
    }
}

/// A dialogue as age wants it.
#[derive(Clone)]
pub(super) struct Callbacks(pub(super) Arc<dyn Dialogue>);

impl age::Callbacks for Callbacks {
    fn display_message(&self, message: &str) {
        self.0.tell(message);
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        self.0.confirm(message, yes, no)
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        self.0.ask(description)
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        self.0.ask_secret(description)
    }
}
