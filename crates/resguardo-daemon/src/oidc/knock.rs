//! A login that was begun: what binds its end to the browser that began it.
//!
//! The browser holds it all, sealed by a key that this process alone has: nobody can fill a memory with logins
//! that are never ended, or push others' out of it. What is sent to the provider is derived from a secret in it,
//! so that state, nonce and verifier of a token can only be those of that browser.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use resguardo_model::Sha256Digest;
use sha2::Sha256;

/// How long a login may take at the provider.
pub const TIME_MAX: SignedDuration = SignedDuration::from_mins(10);
/// Bytes of the key and of the secret.
const SECRET_BYTES: usize = 32;
/// Bytes of a seal.
const SEAL_BYTES: usize = 32;

/// A login that was begun.
#[derive(Clone, PartialEq, Eq)]
pub struct Knock {
    secret: [u8; SECRET_BYTES],
    began: Timestamp,
    next: String,
}

impl std::fmt::Debug for Knock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Knock {
    /// One that begins now, and leads to the page `next`. `None`: the system gives no random numbers.
    #[must_use]
    pub fn new(next: &str, now: Timestamp) -> Option<Self> {
        Some(Self {
            secret: random()?,
            began: now,
            next: next.to_owned(),
        })
    }

    /// The page to go to.
    #[must_use]
    pub fn next(&self) -> &str {
        &self.next
    }

    /// What comes back in the address.
    #[must_use]
    pub fn state(&self) -> String {
        self.derived("state")
    }

    /// What stands in the token.
    #[must_use]
    pub fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// What whoever shows the code has to know.
    #[must_use]
    pub fn verifier(&self) -> String {
        self.derived("verifier")
    }

    fn derived(&self, what: &str) -> String {
        let mut text = format!("resguardo oidc {what}\0").into_bytes();
        text.extend(self.secret);
        Sha256Digest::of(&text).to_string()
    }

    /// As it stands in the cookie.
    #[must_use]
    pub fn sealed(&self, key: &Key) -> String {
        let mut bytes = self.secret.to_vec();
        bytes.extend(self.began.as_second().to_be_bytes());
        bytes.extend(self.next.as_bytes());
        let seal = key.mac(&bytes).finalize().into_bytes();
        bytes.splice(0..0, seal);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// Of a cookie; `None`: it is not ours, or too old.
    #[must_use]
    pub fn open(text: &str, key: &Key, now: Timestamp) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (seal, bytes) = bytes.split_at_checked(SEAL_BYTES)?;
        key.mac(bytes).verify_slice(seal).ok()?;
        let (secret, rest) = bytes.split_first_chunk::<SECRET_BYTES>()?;
        let (began, next) = rest.split_first_chunk::<8>()?;
        let began = Timestamp::from_second(i64::from_be_bytes(*began)).ok()?;
        if now.duration_since(began).abs() > TIME_MAX {
            return None;
        }
        Some(Self {
            secret: *secret,
            began,
            next: String::from_utf8(next.to_vec()).ok()?,
        })
    }
}

/// What seals them: of this process alone.
pub struct Key([u8; SECRET_BYTES]);

impl Key {
    /// A new one. `None`: the system gives no random numbers.
    #[must_use]
    pub fn new() -> Option<Self> {
        random().map(Self)
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0);
        mac.expect("a key of any length will do")
            .chain_update(b"resguardo oidc\0")
            .chain_update(bytes)
    }
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    #[test]
    fn a_cookie_is_that_of_this_server_and_of_late() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let key = Key::new().unwrap();
        let knock = Knock::new("/runs?page=2", now).unwrap();
        let text = knock.sealed(&key);
        assert_eq!(Knock::open(&text, &key, now), Some(knock.clone()));
        assert_eq!(knock.next(), "/runs?page=2");
        // Of another server, of another time, forged, cut, empty.
        assert_eq!(Knock::open(&text, &Key::new().unwrap(), now), None);
        let late = now + TIME_MAX + SignedDuration::from_secs(1);
        assert_eq!(Knock::open(&text, &key, late), None);
        let before = now - TIME_MAX - SignedDuration::from_secs(1);
        assert_eq!(Knock::open(&text, &key, before), None);
        for at in [0, text.len() / 2, text.len() - 1] {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(Knock::open(&forged, &key, now), None, "{at}");
            assert_eq!(Knock::open(&text[..at], &key, now), None, "{at}");
        }
        assert_eq!(Knock::open("é", &key, now), None);
    }

    #[test]
    fn what_is_sent_tells_nothing_of_the_rest() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let (one, other) = (Knock::new("/", now).unwrap(), Knock::new("/", now).unwrap());
        let mut all = vec![one.state(), one.nonce(), one.verifier()];
        all.extend([other.state(), other.nonce(), other.verifier()]);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6);
        // RFC 7636, 4.1: 43 to 128 of the unreserved characters.
        assert_eq!(one.verifier().len(), 64);
        assert_eq!(format!("{one:?}"), "***");
    }
}
