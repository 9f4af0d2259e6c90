//! Who may do what, and who did.

use std::collections::BTreeMap;

use jiff::Timestamp;
use resguardo_ops::access::Access;
use resguardo_ops::audit::Entry;
use resguardo_ops::users::{Token, User};

use crate::web::Say;
use crate::web::view;

/// Who may do what.
pub(in super::super) fn access(access: &Access, say: &Say) -> view::AccessPage {
    view::AccessPage {
        recipients: access.recipients.clone(),
        writers: access
            .writers
            .iter()
            .map(|seen| view::WriterSeen {
                id: seen.writer.to_string(),
                trusted: seen.trusted,
                retired: seen.retired,
                backups: seen.backups,
                receipts: seen.receipts,
                sources: seen.sources.iter().map(ToString::to_string).collect(),
                last_at: seen.last_at,
            })
            .collect(),
        own_writer: access.own_writer.map(|writer| writer.to_string()),
        can_read: access.can_read,
        store: access.store.clone(),
        review: access.last_review.as_ref().map(|review| view::Review {
            at: review.at,
            by: review.by.clone(),
            next: review.next,
            overdue: review.next.is_some_and(|next| next < say.day_of(say.now)),
        }),
        notes: access.notes.clone(),
        accounts: None,
        tokens: None,
        audit: None,
    }
}

/// A user.
pub(in super::super) fn account(
    user: &User,
    logins: &BTreeMap<String, Timestamp>,
) -> view::Account {
    view::Account {
        name: user.name.to_string(),
        role: user.role,
        last_login: logins.get(user.name.as_str()).copied(),
    }
}

/// Something that was done.
pub(in super::super) fn audit(entry: &Entry) -> view::AuditEntry {
    view::AuditEntry {
        at: entry.at,
        who: entry.who.clone(),
        origin: entry.origin.clone(),
        what: entry.what.clone(),
        object: entry.object.clone(),
        outcome: entry.outcome.clone(),
    }
}

/// A token.
pub(in super::super) fn token(token: &Token) -> view::Token {
    view::Token {
        name: token.name.to_string(),
        scope: token.role.scope().to_owned(),
        expires: token.expires_at,
        last_used: token.used_at,
    }
}
