//! Takes out of a text what nobody may read in it.
//!
//! Texts come from tools, servers and commands. What is configured as a secret is taken out wherever it stands;
//! besides that, whatever has the shape of a password in a URL or a connection string, and addresses that are
//! secrets themselves.

use std::borrow::Cow;
use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use regex::Regex;
use secrecy::{ExposeSecret as _, SecretString};

/// What stands where a secret stood.
const HIDDEN: &str = "***";
/// Secrets that are shorter stand in every text by accident.
const CHARS_MIN: usize = 4;

static SHAPES: LazyLock<[(Regex, &str); 5]> = LazyLock::new(|| {
    let shape = |pattern: &str| Regex::new(pattern).expect("the pattern is ours");
    [
        // A password in a URL; it may have an @ or a slash in it.
        (
            shape(r"(?i)\b([a-z][a-z0-9+.-]*://)([^\s:@/?#]*):\S*@"),
            "${1}${2}:***@",
        ),
        // Incoming webhooks: who knows the address can write.
        (
            shape(r"(?i)\b(hooks\.slack(?:-gov)?\.com|hc-ping\.com)/[^\s)'\x22>]+"),
            "${1}/***",
        ),
        // Parameters of URLs and connection strings.
        (
            shape(
                r"(?i)\b((?:password|passwd|pwd|passphrase|pgpassword|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key|signature|sig)\s*[=:]\s*)('[^']*'|\x22[^\x22]*\x22|[^\s&;,]+)",
            ),
            "${1}***",
        ),
        (
            shape(r"(?i)\b((?:bearer|basic)\s+)[a-z0-9._~+/=-]{8,}"),
            "${1}***",
        ),
        (
            shape(r"(?i)AGE-SECRET-KEY-(?:PQ-)?[A-Z0-9]+"),
            "AGE-SECRET-KEY-***",
        ),
    ]
});

/// Knows what is secret.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The longest first: one may be a part of another.
    known: Vec<SecretString>,
}

impl Redactor {
    /// Of a URL that is secret, what could be read in another text is: all of it, and its password.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let mut known: Vec<String> = Vec::new();
        for secret in secrets {
            let text = secret.expose_secret().trim();
            known.push(text.to_owned());
            if let Some(password) = password_of(text) {
                known.push(percent_decode_str(password).decode_utf8_lossy().into());
                known.push(password.to_owned());
            }
        }
        known.retain(|text| text.chars().count() >= CHARS_MIN);
        known.sort_by_key(|text| std::cmp::Reverse(text.len()));
        known.dedup();
        Self {
            known: known.into_iter().map(SecretString::from).collect(),
        }
    }

    /// The text without secrets and without characters that move a cursor, of `chars_max` characters at most.
    #[must_use]
    pub fn text(&self, text: &str, chars_max: usize) -> String {
        let mut text = Cow::Borrowed(text);
        for secret in &self.known {
            if text.contains(secret.expose_secret()) {
                text = Cow::Owned(text.replace(secret.expose_secret(), HIDDEN));
            }
        }
        for (shape, instead) in &*SHAPES {
            if let Cow::Owned(changed) = shape.replace_all(&text, *instead) {
                text = Cow::Owned(changed);
            }
        }
        let readable = text
            .chars()
            .filter(|c| !c.is_control() || *c == '\n')
            .collect::<String>();
        shortened(readable.trim(), chars_max)
    }
}

/// The text, or its beginning.
pub(super) fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(chars_max.saturating_sub(1)).collect();
            format!("{kept}…")
        }
    }
}

fn password_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (before, _) = rest.rsplit_once('@')?;
    before.split_once(':').map(|(_, password)| password)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        Redactor::new(secrets.iter().map(|text| SecretString::from(*text)))
    }

    #[test]
    fn what_is_configured_is_taken_out_wherever_it_stands() {
        let redactor = redactor(&[
            "s3cret-webhook",
            "postgresql://ana:p%40ss%2Fword@db/shop",
            "abc",
            "s3cret-webhook-longer",
        ]);
        for (text, out) in [
            ("key s3cret-webhook!", "key ***!"),
            ("s3cret-webhook-longer", "***"),
            ("no user p@ss/word here", "no user *** here"),
            ("raw p%40ss%2Fword", "raw ***"),
            ("to postgresql://ana:p%40ss%2Fword@db/shop", "to ***"),
            ("abc is too short to be one", "abc is too short to be one"),
        ] {
            assert_eq!(redactor.text(text, 100), out);
        }
    }

    #[test]
    fn what_has_the_shape_of_a_secret_is_taken_out() {
        let redactor = Redactor::default();
        for (text, out) in [
            (
                "postgresql://ana:p@ss/w0rd@db:5432/shop refused",
                "postgresql://ana:***@db:5432/shop refused",
            ),
            (
                "(https://hooks.slack.com/services/T0/B0/XyZ)",
                "(https://hooks.slack.com/***)",
            ),
            ("https://hc-ping.com/uuid/start", "https://hc-ping.com/***"),
            (
                "host=db password=hunter2 user=ana",
                "host=db password=*** user=ana",
            ),
            (
                "host=db password='a b' user=ana",
                "host=db password=*** user=ana",
            ),
            ("https://x/?token=abc&y=1", "https://x/?token=***&y=1"),
            (
                "Authorization: Bearer abcdefghij",
                "Authorization: Bearer ***",
            ),
            ("AGE-SECRET-KEY-1QQQQ", "AGE-SECRET-KEY-***"),
            ("row 3: user ana@example.org", "row 3: user ana@example.org"),
        ] {
            assert_eq!(redactor.text(text, 200), out);
        }
    }

    #[test]
    fn texts_are_bounded_and_move_no_cursor() {
        let redactor = Redactor::default();
        assert_eq!(redactor.text("a\u{1b}[2Jb\r\nc\0", 100), "a[2Jb\nc");
        assert_eq!(redactor.text(&"ñ".repeat(10), 4), "ñññ…");
        assert_eq!(redactor.text("ñññ", 3), "ñññ");
    }
}
