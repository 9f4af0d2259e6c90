//! Sessions: what a browser holds after a login.

use jiff::{SignedDuration, Timestamp};
use resguardo_model::{Role, Sha256Digest, UserName};

use super::{UsersError, random};
use crate::catalog::{Catalog, SessionRow};

/// How long a session is valid without use.
pub const IDLE_MAX: SignedDuration = SignedDuration::from_hours(12);
/// How long it is valid in all.
pub const AGE_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long one in all of somebody for whom another service vouches: it is not asked again meanwhile.
pub const VOUCHED_AGE_MAX: SignedDuration = SignedDuration::from_hours(12);
/// Sessions of one user.
const OF_ONE_USER_MAX: u32 = 20;
/// How often it is written down that one is used.
const SEEN_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// What a browser holds: 32 random bytes. It prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionSecret([u8; 32]);

impl SessionSecret {
    /// As it stands in the cookie: hexadecimal.
    #[must_use]
    pub fn expose(&self) -> String {
        let digits = self.0.iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }

    /// Of a cookie; `None` if it has not the shape of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The shape of a digest is that of 32 bytes.
        let digest: Sha256Digest = text.parse().ok()?;
        Some(Self(digest.0))
    }

    /// What stands in the forms of its pages: nobody who lacks the cookie can tell it, and the cookie cannot be told
    /// from it.
    #[must_use]
    pub fn form_token(&self) -> String {
        let mut text = b"resguardo form\0".to_vec();
        text.extend(self.0);
        Sha256Digest::of(&text).to_string()
    }

    fn id(&self) -> [u8; 32] {
        Sha256Digest::of(&self.0).0
    }
}

impl std::fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A session that is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub user: UserName,
    /// Who vouched for him, if he is no user of ours.
    pub issuer: Option<String>,
    /// What he may do now.
    pub role: Role,
    /// When it began.
    pub began_at: Timestamp,
    /// When it is to be written down that it is used.
    pub see_at: Timestamp,
}

/// Begins a session. `issuer` is who vouched for somebody that is no user of ours, with his role.
///
/// # Errors
/// If the catalog cannot be written.
pub fn begin(
    catalog: &Catalog,
    user: &UserName,
    issuer: Option<(&str, Role)>,
    now: Timestamp,
) -> Result<SessionSecret, UsersError> {
    let secret = SessionSecret(random()?);
    let row = SessionRow {
        user: user.clone(),
        issuer: issuer.map(|(issuer, _)| issuer.to_owned()),
        // Of a user of ours, it is asked each time.
        role: issuer.map_or(Role::Viewer, |(_, role)| role),
        began_at: now,
        seen_at: now,
    };
    sweep(catalog, now)?;
    catalog.begin_session(&secret.id(), &row, OF_ONE_USER_MAX)?;
    Ok(secret)
}

/// The session that a browser holds, if it is valid.
///
/// # Errors
/// If the catalog cannot be read.
pub fn find(
    catalog: &Catalog,
    secret: &SessionSecret,
    now: Timestamp,
) -> Result<Option<Session>, UsersError> {
    let row = catalog.session(&secret.id())?;
    let valid = row.filter(|row| {
        let age_max = match row.issuer {
            Some(_) => VOUCHED_AGE_MAX,
            None => AGE_MAX,
        };
        now.duration_since(row.began_at) < age_max && now.duration_since(row.seen_at) < IDLE_MAX
    });
    Ok(valid.map(|row| Session {
        see_at: row.seen_at.saturating_add(SEEN_EVERY).unwrap_or(now),
        user: row.user,
        issuer: row.issuer,
        role: row.role,
        began_at: row.began_at,
    }))
}

/// Writes down that a session is used.
///
/// # Errors
/// If the catalog cannot be written.
pub fn seen(catalog: &Catalog, secret: &SessionSecret, now: Timestamp) -> Result<(), UsersError> {
    Ok(catalog.see_session(&secret.id(), now)?)
}

/// Ends a session.
///
/// # Errors
/// If the catalog cannot be written.
pub fn end(catalog: &Catalog, secret: &SessionSecret) -> Result<(), UsersError> {
    Ok(catalog.end_session(&secret.id())?)
}

/// Ends every session of those whom another service vouched for: what the config says of them may be otherwise now.
///
/// # Errors
/// If the catalog cannot be written.
pub fn end_vouched(catalog: &Catalog) -> Result<(), UsersError> {
    Ok(catalog.end_vouched_sessions()?)
}

fn sweep(catalog: &Catalog, now: Timestamp) -> Result<(), UsersError> {
    let before = |length| now.saturating_sub(length).unwrap_or(now);
    Ok(catalog.sweep_sessions(before(AGE_MAX), before(IDLE_MAX))?)
}
