//! Who can read, write, delete and log in; and what was done here.

use maud::{Markup, html};

use super::figures::Say;
use super::frame::{self, Frame, Live};
use super::language::Language;
use super::view::{AccessPage, Account, AuditEntry, Token, WriterSeen};
use super::words::in_table;
use super::{plain, signs, stores};

/// The whole page.
#[must_use]
pub fn page(frame: &Frame<'_>, view: &AccessPage) -> Markup {
    let say = frame.say;
    let words = say.words();
    let main = html! {
        h1 { (words.access) }
        (review(say, view))
        @for note in &view.notes { p.banner.risk { (note_of(say, note)) } }
        h2 { (words.who_reads) }
        p { (words.who_reads_means) }
        ul { @for recipient in &view.recipients { li.wrap { code { (recipient) } } } }
        p { @if view.can_read { (words.this_host_reads) } @else { (words.this_host_reads_not) } }
        h2 { (words.who_writes) }
        (writers(say, view))
        h2 { (words.store_says) }
        @if view.store.is_empty() && view.notes.is_empty() { p.dim { (words.store_silent) } }
        @else if view.store.is_empty() {}
        @else {
            table.cards {
                caption { (words.store_caption) }
                thead { tr { th scope="col" { (words.subject) } th scope="col" { (words.says) } th scope="col" { (words.standing) } } }
                tbody { @for fact in &view.store { tr {
                    th scope="row" { (subject(say, &fact.subject)) }
                    td.wrap data-head=(words.says) { (says(say, &fact.says)) }
                    td data-head=(words.standing) { @if fact.concern { (signs::concern(words.more_than_should)) } @else { (signs::good(words.ok)) } }
                } } }
            }
        }
        @if let Some(accounts) = &view.accounts { h2 { (words.accounts) } (self::accounts(say, accounts)) }
        @if let Some(tokens) = &view.tokens { h2 { (words.tokens) } (self::tokens(say, tokens)) }
        @if let Some(entries) = &view.audit { h2 { (words.audit) } (audit(say, entries)) }
    };
    frame::page(frame, words.access, Live::No, &main)
}

fn subject(say: &Say, text: &str) -> Markup {
    match (say.language, stores::subject(text)) {
        (Language::Es, Some(ours)) => html! { (ours) },
        (_, Some(_)) => html! { (plain::text(text)) },
        // What no store of ours calls so is a name.
        (_, None) => html! { code { (plain::text(text)) } },
    }
}

fn says(say: &Say, text: &str) -> Markup {
    match (say.language, stores::says(text)) {
        (Language::Es, Some(ours)) => html! { (plain::text(&ours)) },
        _ => plain::english(say, text),
    }
}

fn note_of(say: &Say, note: &str) -> Markup {
    let words = say.words();
    if note == "the store does not say who may do what" {
        return html! { (words.store_silent) };
    }
    match note.strip_prefix("the store was asked in vain: ") {
        Some(why) => html! { (words.store_in_vain) ": " (plain::english(say, why)) },
        None => plain::english(say, note),
    }
}

fn review(say: &Say, view: &AccessPage) -> Markup {
    let words = say.words();
    html! {
        @match &view.review {
            Some(review) => {
                p.summary.(if review.overdue { "risk" } else { "ok" }) {
                    (words.reviewed.replacen("{}", &say.date(say.day_of(review.at)), 1)) " " (plain::text(&review.by))
                }
                @if let Some(next) = review.next {
                    p { @if review.overdue { (signs::concern(words.review_overdue)) } @else { (words.review_next) } " " (say.date(next)) }
                }
            }
            None => p.summary.never { (words.never_reviewed) },
        }
        p.dim { (words.review_with) " " code { "resguardo vault access --reviewed --next 2027-02-28" } }
    }
}

fn writers(say: &Say, view: &AccessPage) -> Markup {
    let words = say.words();
    html! {
        table.cards {
            caption { (words.writers_caption) }
            thead { tr {
                th scope="col" { (words.writer) } th scope="col" { (words.standing) } th.num scope="col" { (words.backups) }
                th.num scope="col" { (words.receipts) } th scope="col" { (words.sources) } th scope="col" { (words.last_signed) }
            } }
            tbody { @for writer in &view.writers { tr {
                th scope="row" { code { (writer.id) } @if view.own_writer.as_ref() == Some(&writer.id) { small { (words.own_writer) } } }
                td data-head=(words.standing) { (trust(say, writer)) }
                td.num data-head=(words.backups) { (say.number(writer.backups)) }
                td.num data-head=(words.receipts) { (say.number(writer.receipts)) }
                td.wrap data-head=(words.sources) { (writer.sources.join(", ")) }
                td data-head=(words.last_signed) { @match writer.last_at { Some(at) => (say.ago(at)), None => i { (words.never) } } }
            } } }
        }
    }
}

fn trust(say: &Say, writer: &WriterSeen) -> Markup {
    let words = say.words();
    html! {
        @if writer.retired { (signs::concern(words.retired)) }
        @else if writer.trusted { (signs::good(words.trusted)) }
        @else { (signs::concern(words.untrusted)) }
    }
}

fn accounts(say: &Say, accounts: &[Account]) -> Markup {
    let words = say.words();
    html! {
        table.cards {
            caption { (words.accounts_caption) }
            thead { tr { th scope="col" { (words.name) } th scope="col" { (words.role) } th scope="col" { (words.last_login) } } }
            tbody { @for account in accounts { tr {
                th scope="row" { (plain::text(&account.name)) }
                td data-head=(words.role) { (frame::role(account.role, say)) }
                td data-head=(words.last_login) { @match account.last_login { Some(at) => (say.ago(at)), None => i { (words.never) } } }
            } } }
        }
        p.dim { (words.change_with) " " code { "resguardo users add NAME --role viewer" } ", " code { "resguardo users remove NAME" } }
    }
}

fn tokens(say: &Say, tokens: &[Token]) -> Markup {
    let words = say.words();
    html! {
        @if tokens.is_empty() { p.dim { (words.no_tokens) } } @else {
            table.cards {
                caption { (words.tokens_caption) }
                thead { tr { th scope="col" { (words.name) } th scope="col" { (words.scope) } th scope="col" { (words.expires) } th scope="col" { (words.last_used) } } }
                tbody { @for token in tokens { tr {
                    th scope="row" { (plain::text(&token.name)) }
                    td data-head=(words.scope) { code { (token.scope) } }
                    td data-head=(words.expires) { @match token.expires { Some(at) => (say.ago(at)), None => i { (words.never) } } }
                    td data-head=(words.last_used) { @match token.last_used { Some(at) => (say.ago(at)), None => i { (words.never) } } }
                } } }
            }
        }
        p.dim { (words.change_with) " " code { "resguardo tokens add NAME --scope read" } }
    }
}

fn audit(say: &Say, entries: &[AuditEntry]) -> Markup {
    let words = say.words();
    html! {
        @if entries.is_empty() { p.dim { (words.no_audit) } } @else {
            table.cards {
                caption { (words.audit_caption) }
                thead { tr { th scope="col" { (words.when) } th scope="col" { (words.who) } th scope="col" { (words.what) } th scope="col" { (words.outcome) } } }
                tbody { @for entry in entries { tr {
                    th scope="row" { (say.moment_exact(entry.at)) }
                    td.wrap data-head=(words.who) { (plain::text(&entry.who)) @if !entry.origin.is_empty() { " " small { (plain::text(&entry.origin)) } } }
                    td.wrap data-head=(words.what) { (in_table(words.verbs, &entry.what)) @if !entry.object.is_empty() { ": " (plain::text(&entry.object)) } }
                    td.wrap data-head=(words.outcome) { (signs::outcome(&entry.outcome, words)) }
                } } }
            }
        }
    }
}
