//! Users of the pages, their sessions, and tokens, as rows. What they mean is [`crate::users`]'s.
//!
//! Neither passwords nor what a browser or a script holds are ever written: hashes alone.

use jiff::Timestamp;
use resguardo_model::{Role, UserName};
use rusqlite::{OptionalExtension as _, Row, params};

use super::{Catalog, CatalogError, optional, parsed};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserRow {
    pub(crate) name: UserName,
    pub(crate) role: Role,
    pub(crate) password: String,
    pub(crate) created_at: Timestamp,
    pub(crate) changed_at: Timestamp,
}

/// A session. `role` is that of a user who is kept elsewhere; a user of ours has his own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) user: UserName,
    pub(crate) issuer: Option<String>,
    pub(crate) role: Role,
    pub(crate) began_at: Timestamp,
    pub(crate) seen_at: Timestamp,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenRow {
    pub(crate) name: UserName,
    pub(crate) role: Role,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) used_at: Option<Timestamp>,
}

impl Catalog {
    /// Adds a user; `false` if there is one of that name.
    pub(crate) fn add_user(&self, row: &UserRow) -> Result<bool, CatalogError> {
        let sql = "insert or ignore into users (name, role, password, created_at, changed_at) \
                   values (?1, ?2, ?3, ?4, ?5)";
        let values = params![
            row.name.as_str(),
            row.role.word(),
            row.password,
            row.created_at.to_string(),
            row.changed_at.to_string()
        ];
        let added = self.lock().execute(sql, values);
        added
            .map(|rows| rows == 1)
            .map_err(CatalogError::sqlite("adding a user to"))
    }

    /// A user.
    pub(crate) fn user(&self, name: &UserName) -> Result<Option<UserRow>, CatalogError> {
        let sql = "select name, role, password, created_at, changed_at from users where name = ?1";
        let connection = self.lock();
        let found = connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([name.as_str()], user_row).optional());
        found.map_err(CatalogError::sqlite("reading the users of"))
    }

    /// Every user, by name.
    pub(crate) fn users(&self) -> Result<Vec<UserRow>, CatalogError> {
        let sql = "select name, role, password, created_at, changed_at from users order by name";
        self.rows(sql, user_row, "reading the users of")
    }

    /// Another password; every session ends with it. `false` if there is no such user.
    pub(crate) fn set_password(
        &self,
        name: &UserName,
        password: &str,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        self.in_transaction("changing a password in", |connection| {
            let sql = "update users set password = ?2, changed_at = ?3 where name = ?1";
            let changed =
                connection.execute(sql, params![name.as_str(), password, now.to_string()])?;
            end_sessions(connection, name)?;
            Ok(changed == 1)
        })
    }

    /// Another role, from the next request on. `false` if there is no such user.
    pub(crate) fn set_role(
        &self,
        name: &UserName,
        role: Role,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let sql = "update users set role = ?2, changed_at = ?3 where name = ?1";
        let values = params![name.as_str(), role.word(), now.to_string()];
        let changed = self.lock().execute(sql, values);
        changed
            .map(|rows| rows == 1)
            .map_err(CatalogError::sqlite("changing a user of"))
    }

    /// Removes a user with all sessions. `false` if there is none of that name.
    pub(crate) fn remove_user(&self, name: &UserName) -> Result<bool, CatalogError> {
        self.in_transaction("removing a user from", |connection| {
            end_sessions(connection, name)?;
            let removed =
                connection.execute("delete from users where name = ?1", [name.as_str()])?;
            Ok(removed == 1)
        })
    }

    /// Begins a session, and ends the oldest ones of its user but so many.
    pub(crate) fn begin_session(
        &self,
        id: &[u8],
        row: &SessionRow,
        sessions_max: u32,
    ) -> Result<(), CatalogError> {
        self.in_transaction("beginning a session in", |connection| {
            let sql = "insert into sessions (id, user, issuer, role, began_at, seen_at) \
                       values (?1, ?2, ?3, ?4, ?5, ?6)";
            let (user, issuer) = (row.user.as_str(), row.issuer.as_deref().unwrap_or_default());
            let values = params![
                id,
                user,
                issuer,
                row.role.word(),
                row.began_at.to_string(),
                row.seen_at.to_string()
            ];
            connection.execute(sql, values)?;
            let sql = "delete from sessions where user = ?1 and issuer = ?2 and id not in \
                       (select id from sessions where user = ?1 and issuer = ?2 \
                        order by seen_at desc, began_at desc limit ?3)";
            connection.execute(sql, params![user, issuer, sessions_max])?;
            Ok(())
        })
    }

    /// A session, with the role that its user has now.
    pub(crate) fn session(&self, id: &[u8]) -> Result<Option<SessionRow>, CatalogError> {
        // A session of ours whose user is gone is none.
        let sql = "select s.user, s.issuer, case s.issuer when '' then u.role else s.role end, \
                   s.began_at, s.seen_at \
                   from sessions s left join users u on u.name = s.user and s.issuer = '' \
                   where s.id = ?1 and (s.issuer <> '' or u.name is not null)";
        let connection = self.lock();
        let found = connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([id], session_row).optional());
        found.map_err(CatalogError::sqlite("reading the sessions of"))
    }

    /// A session was used.
    pub(crate) fn see_session(&self, id: &[u8], now: Timestamp) -> Result<(), CatalogError> {
        self.run_sql(
            "update sessions set seen_at = ?2 where id = ?1",
            params![id, now.to_string()],
            "writing a session to",
        )
    }

    /// Ends a session.
    pub(crate) fn end_session(&self, id: &[u8]) -> Result<(), CatalogError> {
        self.run_sql(
            "delete from sessions where id = ?1",
            params![id],
            "ending a session in",
        )
    }

    /// Ends all sessions that are not of users of ours.
    pub(crate) fn end_vouched_sessions(&self) -> Result<(), CatalogError> {
        self.run_sql(
            "delete from sessions where issuer <> ''",
            params![],
            "ending sessions in",
        )
    }

    /// Forgets sessions that began before, or were last seen before.
    pub(crate) fn sweep_sessions(
        &self,
        began_before: Timestamp,
        seen_before: Timestamp,
    ) -> Result<(), CatalogError> {
        self.run_sql(
            "delete from sessions where began_at < ?1 or seen_at < ?2",
            params![began_before.to_string(), seen_before.to_string()],
            "ending sessions in",
        )
    }

    /// Adds a token; `false` if there is one of that name.
    pub(crate) fn add_token(&self, hash: &[u8], row: &TokenRow) -> Result<bool, CatalogError> {
        let sql = "insert or ignore into tokens (name, hash, role, created_at, expires_at) \
                   values (?1, ?2, ?3, ?4, ?5)";
        let values = params![
            row.name.as_str(),
            hash,
            row.role.word(),
            row.created_at.to_string(),
            row.expires_at.map(|at| at.to_string())
        ];
        let added = self.lock().execute(sql, values);
        added
            .map(|rows| rows == 1)
            .map_err(CatalogError::sqlite("adding a token to"))
    }

    /// A token, by its hash.
    pub(crate) fn token(&self, hash: &[u8]) -> Result<Option<TokenRow>, CatalogError> {
        let sql = "select name, role, created_at, expires_at, used_at from tokens where hash = ?1";
        let connection = self.lock();
        let found = connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([hash], token_row).optional());
        found.map_err(CatalogError::sqlite("reading the tokens of"))
    }

    /// Every token, by name.
    pub(crate) fn tokens(&self) -> Result<Vec<TokenRow>, CatalogError> {
        let sql = "select name, role, created_at, expires_at, used_at from tokens order by name";
        self.rows(sql, token_row, "reading the tokens of")
    }

    /// A token was used.
    pub(crate) fn use_token(&self, name: &UserName, now: Timestamp) -> Result<(), CatalogError> {
        self.run_sql(
            "update tokens set used_at = ?2 where name = ?1",
            params![name.as_str(), now.to_string()],
            "writing a token to",
        )
    }

    /// Removes a token. `false` if there is none of that name.
    pub(crate) fn remove_token(&self, name: &UserName) -> Result<bool, CatalogError> {
        let removed = self
            .lock()
            .execute("delete from tokens where name = ?1", [name.as_str()]);
        removed
            .map(|rows| rows == 1)
            .map_err(CatalogError::sqlite("removing a token from"))
    }

    fn run_sql(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        operation: &'static str,
    ) -> Result<(), CatalogError> {
        let connection = self.lock();
        let done = connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values));
        done.map(drop).map_err(CatalogError::sqlite(operation))
    }

    fn rows<T>(
        &self,
        sql: &str,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
        operation: &'static str,
    ) -> Result<Vec<T>, CatalogError> {
        let failed = CatalogError::sqlite(operation);
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
        let rows = statement.query_map([], row).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }
}

fn end_sessions(connection: &rusqlite::Connection, name: &UserName) -> rusqlite::Result<()> {
    let sql = "delete from sessions where user = ?1 and issuer = ''";
    connection.execute(sql, [name.as_str()]).map(drop)
}

fn user_row(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    Ok(UserRow {
        name: parsed(row, 0)?,
        role: parsed(row, 1)?,
        password: row.get(2)?,
        created_at: parsed(row, 3)?,
        changed_at: parsed(row, 4)?,
    })
}

fn session_row(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    let issuer: String = row.get(1)?;
    Ok(SessionRow {
        user: parsed(row, 0)?,
        issuer: Some(issuer).filter(|issuer| !issuer.is_empty()),
        role: parsed(row, 2)?,
        began_at: parsed(row, 3)?,
        seen_at: parsed(row, 4)?,
    })
}

fn token_row(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    Ok(TokenRow {
        name: parsed(row, 0)?,
        role: parsed(row, 1)?,
        created_at: parsed(row, 2)?,
        expires_at: optional(row, 3)?,
        used_at: optional(row, 4)?,
    })
}
