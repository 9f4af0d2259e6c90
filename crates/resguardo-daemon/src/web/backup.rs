//! One backup: its facts, where it lies, what keeps it, what speaks of it.

use maud::{Markup, html};
use resguardo_model::Verdict;

use super::action::{self, Action};
use super::figures::Say;
use super::frame::{self, Frame, Live, part};
use super::source::{proven, short};
use super::view::{BackupLine, BackupPage, Receipt, Role};
use super::words::in_table;
use super::{plain, signs};

/// Files that are listed at most.
const FILES_MAX: usize = 200;

/// The whole page.
#[must_use]
pub fn page(frame: &Frame<'_>, view: &BackupPage) -> Markup {
    let say = frame.say;
    let (words, line) = (say.words(), &view.line);
    let main = html! {
        p.crumbs {
            a href="/" { (words.overview) } " / "
            a href={ "/sources/" (part(&line.source)) } { (line.source) } " / " (short(&line.id))
        }
        h1 { (words.backup_of.replacen("{}", &say.moment(line.taken_at), 1)) }
        p.summary.(proven_class(line)) { (proven(say, line)) }
        @if !line.trusted { p.banner.bad { (words.untrusted_means) } }
        (facts(say, view))
        h2 { (words.places) }
        (places(say, view))
        h2 { (words.kept_by) }
        (keeping(say, view))
        h2 { (words.receipts) }
        (receipts(say, &view.receipts))
        h2 { (words.files) }
        (files(say, view))
        h2 { (words.actions) }
        (action::actions(frame, &actions(say, view)))
    };
    let title = format!("{}: {}", line.source, short(&line.id));
    frame::page(frame, &title, Live::No, &main)
}

/// The class of what is known of its restores: the last drill counts, not the last that passed.
fn proven_class(line: &BackupLine) -> &'static str {
    match (line.last_drill, line.proven_at) {
        (Some(Verdict::Failed), _) => "bad",
        (Some(Verdict::Error), _) => "risk",
        (_, Some(_)) => "ok",
        (_, None) => "never",
    }
}

fn facts(say: &Say, view: &BackupPage) -> Markup {
    let (words, line) = (say.words(), &view.line);
    let texts = [
        (words.note, &view.note),
        (words.commit, &view.commit),
        (words.migration, &view.migration),
        (words.database, &view.database),
    ];
    html! {
        dl.facts {
            dt { (words.data_of) } dd { (say.at(line.taken_at)) }
            dt { (words.finished) } dd { (say.when(view.finished_at)) }
            dt { (words.source) } dd { a href={ "/sources/" (part(&line.source)) } { (line.source) } " (" (view.engine) ")" }
            dt { (words.reason) } dd { (in_table(words.reasons, &line.reason)) }
            @for (name, text) in texts { @if !text.is_empty() {
                dt { (name) } dd { (plain::text(text)) }
            } }
            dt { (words.size) } dd { (say.bytes(line.raw_bytes)) }
            dt { (words.added) } dd { (say.bytes(line.stored_bytes)) }
            dt { (words.frees) } dd { (say.bytes(view.frees_bytes)) }
            @for (name, value) in &view.facts { dt { (fact_name(say, name)) } dd { (plain::text(value)) } }
            dt { (words.signed_by) } dd { code { (view.writer) } }
            dt { "id" } dd { code { (line.id) } }
            dt { "SHA-256" } dd { code { (view.head_sha256) } }
        }
    }
}

/// The name of a fact; engines and programs are called the same everywhere.
fn fact_name(say: &Say, name: &str) -> String {
    match name {
        "host" => say.words().host.to_owned(),
        "operator" => say.words().operator.to_owned(),
        other => plain::text(other),
    }
}

fn places(say: &Say, view: &BackupPage) -> Markup {
    let words = say.words();
    html! {
        table.cards {
            caption { (words.places_caption) }
            thead { tr { th scope="col" { (words.place) } th scope="col" { (words.address) } th scope="col" { (words.standing) } } }
            tbody { @for place in &view.places { tr {
                th scope="row" { @if place.name.is_empty() { (words.vault) } @else { (place.name) } }
                td.wrap data-head=(words.address) { code { (place.place) } }
                td data-head=(words.standing) { (signs::present(place.here, words)) }
            } } }
        }
    }
}

fn keeping(say: &Say, view: &BackupPage) -> Markup {
    let words = say.words();
    html! {
        @if view.pin.is_none() && view.lock.is_none() { p { (words.only_policy) " " a href="/policy" { (words.policy) } "." } }
        @if let Some(pin) = &view.pin {
            p {
                (words.pinned_by) " " b { (pin.by) } ", "
                @match pin.until { Some(until) => { (words.until) " " (say.moment(until)) }, None => (words.until_unpinned) }
                @if !pin.note.is_empty() { ": " (plain::text(&pin.note)) }
            }
        }
        @if let Some(lock) = &view.lock {
            p {
                (words.locked)
                @if let Some(mode) = &lock.mode { " (" (mode) ")" }
                ", " @match lock.until { Some(until) => { (words.until) " " (say.moment(until)) }, None => (words.until_lifted) }
            }
        }
    }
}

/// Receipts in a table.
#[must_use]
pub fn receipts(say: &Say, receipts: &[Receipt]) -> Markup {
    let words = say.words();
    if receipts.is_empty() {
        return html! { p.empty { (words.no_receipts) } };
    }
    html! {
        table.cards {
            caption { (words.receipts_caption) }
            thead { tr {
                th scope="col" { (words.when) } th scope="col" { (words.what) } th scope="col" { (words.outcome) } th scope="col" { (words.receipt) }
            } }
            tbody { @for receipt in receipts { tr {
                th scope="row" { (say.when(receipt.at)) }
                td data-head=(words.what) { (in_table(words.verbs, &receipt.verb)) }
                td data-head=(words.outcome) { (signs::outcome(&receipt.outcome, words)) @if !receipt.trusted { " " em { (words.untrusted) } } }
                td.wrap data-head=(words.receipt) {
                    @if receipt.verb == "drill" {
                        a href={ "/drills/" (part(&receipt.run)) } { (short(&receipt.run)) }
                    } @else { code { (short(&receipt.run)) } }
                }
            } } }
        }
        p.dim { (words.check_receipts) " " code { "resguardo receipts verify" } "." }
    }
}

fn files(say: &Say, view: &BackupPage) -> Markup {
    let words = say.words();
    match &view.files {
        Err(why) => html! { p.empty { (words.files_closed) " " (plain::text(why)) } },
        Ok(files) => html! {
            details #files open[files.len() <= 12] {
                summary { (words.count_files.replacen("{}", &say.number(files.len() as u64), 1)) }
                table.cards {
                    caption { (words.files_caption) }
                    thead { tr { th scope="col" { (words.path) } th.num scope="col" { (words.size) } th scope="col" { "SHA-256" } } }
                    tbody { @for file in files.iter().take(FILES_MAX) { tr {
                        th scope="row" { code { (plain::text(&file.path)) } }
                        td.num data-head=(words.size) { (say.bytes(file.bytes)) }
                        td.wrap data-head="SHA-256" { code { (file.sha256) } }
                    } } }
                }
                @if files.len() > FILES_MAX { p { code { "resguardo show " (short(&view.line.id)) " --json" } } }
            }
        },
    }
}

fn actions<'a>(say: &Say, view: &'a BackupPage) -> Vec<Action<'a>> {
    let words = say.words();
    let (id, name) = (short(&view.line.id), view.line.source.as_str());
    let base = format!("/backups/{}", part(&view.line.id));
    let action = |verb: &str, word, means, role| Action {
        path: format!("{base}/{verb}"),
        name: word,
        means,
        command: format!("resguardo {verb} {id}"),
        role,
        confirm: None,
        is_danger: false,
        fields: html! {},
    };
    let mut actions = vec![
        action(
            "drill",
            words.do_drill,
            words.means_drill_this,
            Role::Operator,
        ),
        action(
            "verify",
            words.do_verify,
            words.means_verify,
            Role::Operator,
        ),
    ];
    if view.pin.is_some() {
        actions.push(Action {
            confirm: Some(name),
            is_danger: true,
            ..action("unpin", words.do_unpin, words.means_unpin, Role::Admin)
        });
    } else {
        actions.push(Action {
            command: format!("resguardo pin {id} --reason \"…\""),
            fields: html! {
                label { (words.reason) input type="text" name="reason" required maxlength="200"; }
                label { (words.pin_until) input type="text" name="until" placeholder="2032-12-31" pattern="[0-9]{4}-[0-9]{2}-[0-9]{2}" autocomplete="off"; }
            },
            ..action("pin", words.do_pin, words.means_pin, Role::Operator)
        });
    }
    actions.push(restore(say, view, action));
    actions.push(Action {
        command: format!("resguardo drill {id} --keep"),
        confirm: Some(name),
        ..action(
            "sandbox",
            words.do_sandbox,
            words.means_sandbox,
            Role::Operator,
        )
    });
    actions
}

/// A restore to a new place: its server or folder is the source's, its name whoever asks says.
fn restore<'a>(
    say: &Say,
    view: &BackupPage,
    action: impl Fn(&'static str, &'a str, &'a str, Role) -> Action<'a>,
) -> Action<'a> {
    let (words, id) = (say.words(), short(&view.line.id));
    let is_file = view.engine == "sqlite";
    let (means, label, like, pattern) = if is_file {
        (
            words.means_restore_file,
            words.restore_file,
            "restored.db",
            "[A-Za-z0-9_][A-Za-z0-9._\\-]*",
        )
    } else {
        (
            words.means_restore,
            words.restore_database,
            "shop_restored",
            "[a-z_][a-z0-9_]*",
        )
    };
    let to = if is_file {
        "…/restored.db"
    } else {
        "postgresql://…/shop_restored"
    };
    Action {
        command: format!("resguardo restore {id} --to {to} --create"),
        fields: html! {
            label { (label) input type="text" name="to" required maxlength="63" placeholder=(like) pattern=(pattern) autocomplete="off" autocapitalize="none" spellcheck="false"; }
        },
        ..action("restore", words.do_restore, means, Role::Operator)
    }
}
