//! What a prune would do now, and why.

use maud::{Markup, html};

use super::action::{self, Action};
use super::figures::Say;
use super::frame::{self, Frame, Live, part};
use super::language::Language;
use super::source::short;
use super::view::{PolicyBackup, PolicyPage, Role, SourcePolicy};
use super::words::in_table;
use super::{plain, signs, why};

/// The whole page.
#[must_use]
pub fn page(frame: &Frame<'_>, view: &PolicyPage) -> Markup {
    let words = frame.say.words();
    let main = html! {
        h1 { (words.policy) }
        p.dim { (words.policy_means) " " code { "resguardo prune --dry-run" } "." }
        @if view.sources.is_empty() { p.empty { (words.no_sources_hint) " " code { "resguardo init" } "." } }
        @for source in &view.sources { (one(frame, source)) }
    };
    frame::page(frame, words.policy, Live::No, &main)
}

fn one(frame: &Frame<'_>, view: &SourcePolicy) -> Markup {
    let (say, words) = (frame.say, frame.say.words());
    html! {
        section.policy {
            h2 { a href={ "/sources/" (part(&view.source)) } { (view.source) } " " span.dim { (view.environment) } }
            p { @match &view.policy {
                Some(policy) => code { (plain::text(policy)) },
                None => (words.no_policy),
            } }
            @if !view.trouble.is_empty() { p.banner.risk { (plain::english(say, &view.trouble)) } }
            @else {
                p {
                    (words.would.replacen("{}", &say.number(view.kept), 1).replacen("{}", &say.number(view.deleted), 1).replacen("{}", &say.bytes(view.freed_bytes), 1))
                    @if let Some(next) = view.next { " " (words.next_prune) " " (say.ago(next)) "." }
                }
                @if !view.backups.is_empty() {
                    details id={ "p-" (view.source) } open[view.deleted > 0 && view.backups.len() <= 40] {
                        summary { (words.every_backup) }
                        (table(say, view))
                    }
                }
                @if view.deleted > 0 { (action::actions(frame, &[prune(say, view)])) }
            }
        }
    }
}

fn prune<'a>(say: &Say, view: &'a SourcePolicy) -> Action<'a> {
    let words = say.words();
    Action {
        path: format!("/policy/{}/prune", part(&view.source)),
        name: words.do_prune,
        means: words.means_prune,
        command: format!("resguardo prune {}", view.source),
        role: Role::Admin,
        confirm: Some(&view.source),
        is_danger: true,
        fields: html! {},
    }
}

fn table(say: &Say, view: &SourcePolicy) -> Markup {
    let words = say.words();
    let all = view.kept + view.deleted;
    html! {
        table.cards {
            caption { (words.policy_caption) ": " (view.source) }
            thead { tr {
                th scope="col" { (words.data_of) } th scope="col" { (words.decision) } th scope="col" { (words.why) }
                th scope="col" { (words.reason) } th.num scope="col" { (words.frees_alone) }
            } }
            tbody { @for backup in &view.backups { (line(say, backup)) } }
        }
        @if all > view.backups.len() as u64 {
            p.dim { (words.more_backups.replacen("{}", &say.number(all - view.backups.len() as u64), 1)) " " code { "resguardo prune " (view.source) " --dry-run" } "." }
        }
    }
}

fn line(say: &Say, backup: &PolicyBackup) -> Markup {
    let words = say.words();
    html! {
        tr {
            th scope="row" { a href={ "/backups/" (part(&backup.id)) } { (say.when(backup.taken_at)) } small { code { (short(&backup.id)) } } }
            td data-head=(words.decision) { @if backup.kept { (signs::good(words.stays)) } @else { (signs::concern(words.goes)) } }
            td.wrap data-head=(words.why) { @for (number, cause) in backup.why.iter().enumerate() {
                @if number > 0 { br; }
                (plain::text(&match say.language { Language::En => cause.clone(), Language::Es => why::in_spanish(cause) }))
            } }
            td data-head=(words.reason) { (in_table(words.reasons, &backup.reason)) }
            td.num data-head=(words.frees_alone) { (say.bytes(backup.frees_bytes)) }
        }
    }
}
