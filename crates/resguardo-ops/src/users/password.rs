//! Passwords: what one has to be, and what it hashes to.
//!
//! Argon2id with 19 MiB, two passes, one lane: the second choice of the OWASP Password Storage Cheat Sheet
//! (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>), as small machines
//! are meant to serve this too. Hashes are PHC strings, and carry their parameters.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use resguardo_model::UserName;
use secrecy::{ExposeSecret as _, SecretString};

use super::UsersError;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

const CHARACTERS_MIN: usize = 12;
const DISTINCT_MIN: usize = 5;
/// More is no better, and hashing it takes time.
const BYTES_MAX: usize = 1024;

/// What is hashed for a name that nobody has.
const NOBODY: &[u8] = b"nobody has this password";

/// A text that is no good password.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAPassword {
    /// It is short.
    #[error("a password has 12 characters at least")]
    Short,
    /// It is very long.
    #[error("a password has 1024 bytes at most")]
    Long,
    /// It has few different characters.
    #[error("a password has five different characters at least")]
    Uniform,
    /// It has the name in it.
    #[error("a password does not hold its user's name")]
    Name,
}

fn check(name: &UserName, password: &str) -> Result<(), NotAPassword> {
    if password.chars().count() < CHARACTERS_MIN {
        return Err(NotAPassword::Short);
    }
    if password.len() > BYTES_MAX {
        return Err(NotAPassword::Long);
    }
    if password.chars().collect::<BTreeSet<_>>().len() < DISTINCT_MIN {
        return Err(NotAPassword::Uniform);
    }
    // A name of two letters is in much.
    if name.as_str().len() > 3 && password.to_lowercase().contains(name.as_str()) {
        return Err(NotAPassword::Name);
    }
    Ok(())
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the figures are in range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hashed(password: &[u8]) -> Result<String, UsersError> {
    let hash = hasher().hash_password(password);
    hash.map(|hash| hash.to_string())
        .map_err(|error| UsersError::Hash(error.to_string()))
}

/// What is stored of a password.
///
/// # Errors
/// If it is no good one.
pub(super) fn hash(name: &UserName, password: &SecretString) -> Result<String, UsersError> {
    check(name, password.expose_secret())?;
    hashed(password.expose_secret().as_bytes())
}

/// Whether `password` hashes to `stored`; without one, hashes all the same.
pub(super) fn is(stored: Option<&str>, password: &SecretString) -> Result<bool, UsersError> {
    static OF_NOBODY: OnceLock<String> = OnceLock::new();
    let bytes = password.expose_secret().as_bytes();
    if bytes.len() > BYTES_MAX {
        return Ok(false);
    }
    let of_nobody;
    let text = match (stored, OF_NOBODY.get()) {
        (Some(stored), _) => stored,
        (None, Some(known)) => known,
        (None, None) => {
            of_nobody = hashed(NOBODY)?;
            OF_NOBODY.get_or_init(|| of_nobody)
        }
    };
    let parsed = PasswordHash::new(text).map_err(|error| UsersError::Hash(error.to_string()))?;
    match hasher().verify_password(bytes, &parsed) {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(UsersError::Hash(error.to_string())),
    }
}
