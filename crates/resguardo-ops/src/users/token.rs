//! Tokens: what a script shows instead of a password.

use jiff::Timestamp;
use resguardo_model::{Role, Sha256Digest, UserName};

use super::{UsersError, random};
use crate::catalog::{Catalog, TokenRow};

/// How every token begins, so that those who search for leaked ones find it.
const PREFIX: &str = "rsg_";

/// What a script shows; told once. It prints as `***`.
pub struct TokenSecret(String);

impl TokenSecret {
    /// The token.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A token, without what it is shown by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub name: UserName,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is valid no more; `None`: until it is removed.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub used_at: Option<Timestamp>,
}

impl Token {
    fn of(row: TokenRow) -> Self {
        Self {
            name: row.name,
            role: row.role,
            created_at: row.created_at,
            expires_at: row.expires_at,
            used_at: row.used_at,
        }
    }
}

/// Makes a token.
///
/// # Errors
/// If there is one of that name.
pub fn add(
    catalog: &Catalog,
    name: &UserName,
    role: Role,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<TokenSecret, UsersError> {
    let bytes: [u8; 32] = random()?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = TokenSecret(format!("{PREFIX}{digits}"));
    let row = TokenRow {
        name: name.clone(),
        role,
        created_at: now,
        expires_at,
        used_at: None,
    };
    if catalog.add_token(&hash(secret.expose()), &row)? {
        Ok(secret)
    } else {
        Err(UsersError::TokenExists(name.clone()))
    }
}

/// The token that was shown, if it is valid.
///
/// # Errors
/// If the catalog cannot be read.
pub fn find(catalog: &Catalog, shown: &str, now: Timestamp) -> Result<Option<Token>, UsersError> {
    if !shown.starts_with(PREFIX) {
        return Ok(None);
    }
    let row = catalog.token(&hash(shown))?;
    let valid = row.filter(|row| row.expires_at.is_none_or(|end| now < end));
    Ok(valid.map(Token::of))
}

/// Writes down that a token is used.
///
/// # Errors
/// If the catalog cannot be written.
pub fn used(catalog: &Catalog, name: &UserName, now: Timestamp) -> Result<(), UsersError> {
    Ok(catalog.use_token(name, now)?)
}

/// Every token, by name.
///
/// # Errors
/// If the catalog cannot be read.
pub fn list(catalog: &Catalog) -> Result<Vec<Token>, UsersError> {
    Ok(catalog.tokens()?.into_iter().map(Token::of).collect())
}

/// Removes a token.
///
/// # Errors
/// If there is none of that name.
pub fn remove(catalog: &Catalog, name: &UserName) -> Result<(), UsersError> {
    if catalog.remove_token(name)? {
        Ok(())
    } else {
        Err(UsersError::NoSuchToken(name.clone()))
    }
}

fn hash(shown: &str) -> [u8; 32] {
    Sha256Digest::of(shown.as_bytes()).0
}
