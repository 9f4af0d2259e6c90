//! Who may use the pages: users with passwords, their sessions, and tokens of scripts.
//!
//! Invariants: no password, session or token is ever stored, but what they hash to; a wrong password and a name
//! that nobody has take equally long; a session ends with its user, its user's password, its twelve idle hours
//! or its seven days, whichever comes first. There is no first password: the first user is made by whoever
//! has the machine.

use jiff::Timestamp;
use resguardo_model::{Role, UserName};
use secrecy::SecretString;

use crate::catalog::{Catalog, CatalogError, UserRow};

mod password;
pub mod session;
pub mod token;

pub use password::NotAPassword;
pub use session::{Session, SessionSecret};
pub use token::{Token, TokenSecret};

/// What can go wrong with users.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// There is one of that name.
    #[error("there is a user {0} already")]
    UserExists(UserName),
    /// There is none of that name.
    #[error("there is no user {0}")]
    NoSuchUser(UserName),
    /// There is one of that name.
    #[error("there is a token {0} already")]
    TokenExists(UserName),
    /// There is none of that name.
    #[error("there is no token {0}")]
    NoSuchToken(UserName),
    /// The password would be guessed.
    #[error(transparent)]
    NotAPassword(#[from] NotAPassword),
    /// Nothing could be hashed.
    #[error("hashing a password: {0}")]
    Hash(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
    /// The catalog could not be read or written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// A user, as everybody may know him who may see who has access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: UserName,
    /// What he may do.
    pub role: Role,
    /// Since when there is such a user.
    pub created_at: Timestamp,
    /// When role or password were last changed.
    pub changed_at: Timestamp,
}

/// Adds a user.
///
/// # Errors
/// If there is one of that name, or the password would be guessed.
pub fn add(
    catalog: &Catalog,
    name: &UserName,
    role: Role,
    password: &SecretString,
    now: Timestamp,
) -> Result<(), UsersError> {
    let row = UserRow {
        name: name.clone(),
        role,
        password: password::hash(name, password)?,
        created_at: now,
        changed_at: now,
    };
    if catalog.add_user(&row)? {
        Ok(())
    } else {
        Err(UsersError::UserExists(name.clone()))
    }
}

/// Gives a user another password, which ends his sessions.
///
/// # Errors
/// If there is no such user, or the password would be guessed.
pub fn set_password(
    catalog: &Catalog,
    name: &UserName,
    password: &SecretString,
    now: Timestamp,
) -> Result<(), UsersError> {
    let hash = password::hash(name, password)?;
    known(name, catalog.set_password(name, &hash, now)?)
}

/// Gives a user another role, from his next request on.
///
/// # Errors
/// If there is no such user.
pub fn set_role(
    catalog: &Catalog,
    name: &UserName,
    role: Role,
    now: Timestamp,
) -> Result<(), UsersError> {
    known(name, catalog.set_role(name, role, now)?)
}

/// Removes a user, which ends his sessions.
///
/// # Errors
/// If there is no such user.
pub fn remove(catalog: &Catalog, name: &UserName) -> Result<(), UsersError> {
    known(name, catalog.remove_user(name)?)
}

/// Every user, by name.
///
/// # Errors
/// If the catalog cannot be read.
pub fn list(catalog: &Catalog) -> Result<Vec<User>, UsersError> {
    let rows = catalog.users()?.into_iter();
    let users = rows.map(|row| User {
        name: row.name,
        role: row.role,
        created_at: row.created_at,
        changed_at: row.changed_at,
    });
    Ok(users.collect())
}

/// Whether that is the user's password. Takes a good part of a second and 19 MiB, also for a name that nobody
/// has: whoever calls bounds how many do at once.
///
/// # Errors
/// If the catalog cannot be read.
pub fn knows(
    catalog: &Catalog,
    name: &UserName,
    password: &SecretString,
) -> Result<bool, UsersError> {
    let row = catalog.user(name)?;
    let is_right = password::is(row.as_ref().map(|row| row.password.as_str()), password)?;
    Ok(is_right && row.is_some())
}

fn known(name: &UserName, found: bool) -> Result<(), UsersError> {
    if found {
        Ok(())
    } else {
        Err(UsersError::NoSuchUser(name.clone()))
    }
}

/// Random bytes.
fn random<const N: usize>() -> Result<[u8; N], UsersError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| UsersError::NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
