//! What pages show.

use axum::http::StatusCode;
use maud::Markup;
use resguardo_model::{BackupId, Role, RunId, SourceName};
use resguardo_ops::catalog::{RunFilter, RunRow, RunState};
use resguardo_ops::users::{self, token};
use resguardo_ops::{Reference, access as reviews, audit, exception, list, receipts, series, show};

use super::super::answer::{Answer, Problem, to};
use super::super::api::look::would_prune;
use super::super::ask::Ask;
use super::super::desk::Seen;
use super::{Visit, html, made, shown, shown_of_board, shown_with_board};
use crate::feed::Running;
use crate::web::view::{self, Overview, Pages};
use crate::web::{self, Section};

/// Lines of a page of a long list.
const LINES: u64 = 50;
/// Resolved exceptions that are shown.
const RESOLVED_MAX: u32 = 100;
/// Entries of the audit that are shown.
const AUDIT_MAX: u32 = 100;
/// Backups of a source that the page of the policy shows.
const POLICY_MAX: usize = 100;

fn seen<T>(ask: &Ask, of: impl FnOnce(&Seen) -> Result<T, Problem>) -> Result<T, Problem> {
    let snapshot = ask.state.house.board.snapshot();
    match (&snapshot.seen, &snapshot.blind) {
        (Some(seen), _) => of(seen),
        (None, Some(why)) => Err(Problem::unreachable(why.clone())),
        (None, None) => Err(Problem::starting()),
    }
}

fn running(ask: &Ask) -> Vec<view::Running> {
    ask.state
        .house
        .desk
        .running()
        .iter()
        .map(made::running)
        .collect()
}

fn page_asked(ask: &Ask) -> u64 {
    // Of a page that is none the nearest is shown.
    ask.query.number("page", 1, 1_000_000).map_or(1, u64::from)
}

/// All sources.
pub(super) fn overview(ask: &Ask) -> Answer {
    shown_of_board(ask, |visit| {
        let view = seen(ask, |seen| Ok(Overview::of(&seen.status, running(ask))))?;
        Ok(web::overview::page(&visit.frame(Section::Overview), &view))
    })
}

/// One source.
pub(super) fn source(ask: &Ask) -> Answer {
    let name: SourceName = ask.param("name")?;
    shown_with_board(ask, |visit| {
        let (status, open) = seen(ask, |seen| {
            let mut all = seen.status.sources.iter();
            let found = all.find(|one| one.source == name).cloned();
            let open = seen
                .status
                .exceptions
                .iter()
                .filter(|one| one.source == name);
            let open: Vec<_> = open.cloned().collect();
            Ok((
                found.ok_or_else(|| Problem::absent("there is no such source"))?,
                open,
            ))
        })?;
        let context = ask.context()?;
        let listed = list::list(&context, Some(&name))?;
        let series = series::series(&context, &name)?;
        let year = series::year(&context, &name, ask.state.now())?;
        let running = ask.state.house.desk.running();
        let running = running
            .iter()
            .find(|run| run.subject.source() == Some(&name));
        let parts = made::SourceParts {
            status: &status,
            open: &open,
            listed: &listed,
            series: &series,
            year: &year,
            running: running.map(made::running),
            pages: Pages::of(page_asked(ask), LINES, listed.backups.len() as u64),
        };
        let view = made::source(parts, visit);
        Ok(web::source::page(&visit.frame(Section::Overview), &view))
    })
}

/// One backup.
pub(super) fn backup(ask: &Ask) -> Answer {
    let id: BackupId = ask.param("id")?;
    shown(ask, |visit| {
        let reference: Reference = id.to_string().parse().map_err(Problem::from)?;
        let done = show::show(&ask.context()?, &reference)?;
        let copies = seen(ask, |seen| {
            let all = seen.status.sources.iter();
            let mut own = all.filter(|one| one.source == done.backup.source);
            Ok(own.next().map(|one| one.copies.clone()).unwrap_or_default())
        })?;
        let view = made::backup(&done, &copies);
        Ok(web::backup::page(&visit.frame(Section::Overview), &view))
    })
}

/// One drill: by its run, or by the key of its receipt.
pub(super) fn drill(ask: &Ask) -> Answer {
    let run: RunId = ask.param("run")?;
    shown(ask, |visit| {
        let stored = receipts::of_run(&ask.context()?, run)?;
        let done = receipts::drill_of(&stored.statement);
        let done = done.ok_or_else(|| Problem::absent("that run was no drill"))?;
        let view = made::drill(&done, &stored.key, stored.sha256, stored.trusted);
        Ok(web::drill::page(&visit.frame(Section::Overview), &view))
    })
}

/// Runs.
pub(super) fn runs(ask: &Ask) -> Answer {
    shown(ask, |visit| {
        let source = ask.query.said("source").and_then(|text| text.parse().ok());
        let state = ask.query.said("state").and_then(RunState::parse);
        let filter = RunFilter { source, state };
        let read = &ask.state.house.accounts.read;
        let unread = |error| Problem::from(resguardo_ops::OpsError::from(error));
        let in_all = read.runs_page(&filter, 0, 0).map_err(unread)?.in_all;
        let pages = Pages::of(page_asked(ask), LINES, in_all);
        let skipped = u32::try_from(pages.range().start).unwrap_or(u32::MAX);
        let size = u32::try_from(LINES).expect("there are few");
        let page = read.runs_page(&filter, skipped, size).map_err(unread)?;
        let sources = seen(ask, |seen| {
            let mut names: Vec<String> = seen
                .status
                .sources
                .iter()
                .map(|one| one.source.to_string())
                .collect();
            names.sort();
            Ok(names)
        });
        let view = view::RunsPage {
            running: running(ask),
            runs: page.runs.iter().map(made::run).collect(),
            source: filter.source.map(|name| name.to_string()),
            state,
            sources: sources.unwrap_or_default(),
            pages,
        };
        Ok(web::runs::page(&visit.frame(Section::Runs), &view))
    })
}

/// What a run says, or said if it ended lately, by what its page is called.
fn live_or_ended(ask: &Ask, name: &str) -> Option<Running> {
    let desk = &ask.state.house.desk;
    let is_it = |run: &Running| made::running_id(run) == name || made::first_id(run) == name;
    let live = desk.running().into_iter().find(|run| is_it(run));
    live.or_else(|| desk.ended(&is_it))
}

/// One run: of the catalog, or one that goes on and is not in it yet.
pub(super) fn run(ask: &Ask) -> Answer {
    let name = ask.params.get("run").unwrap_or_default();
    // What it was called before it was in the catalog leads to what it is called now.
    if let Some(known) = live_or_ended(ask, name)
        && let now = made::running_id(&known)
        && now != name
    {
        return Ok(to(&format!("/runs/{now}")));
    }
    shown(ask, |visit| {
        let none = || Problem::absent(format!("there is no run {name}"));
        let live = live_or_ended(ask, name);
        let id: Option<RunId> = name.parse().ok();
        let read = &ask.state.house.accounts.read;
        let row: Option<RunRow> = match id {
            None => None,
            Some(id) => read
                .run(id)
                .map_err(|error| Problem::from(resguardo_ops::OpsError::from(error)))?,
        };
        let log = live.as_ref().map(made::running);
        let run = match (&row, &live) {
            (Some(row), _) => made::run(row),
            (None, Some(live)) => made::run_of_live(live),
            (None, None) => return Err(none()),
        };
        let view = view::RunPage { run, log };
        Ok(web::runs::run(&visit.frame(Section::Runs), &view))
    })
}

/// Exceptions.
pub(super) fn exceptions(ask: &Ask) -> Answer {
    shown(ask, |visit| exceptions_with(ask, visit, None))
}

/// Exceptions once more, with the note that was not taken in the form that it was typed into.
pub(super) fn exceptions_again(
    ask: &Ask,
    refused: view::RefusedNote,
    status: StatusCode,
) -> Answer {
    let visit = Visit::back_at(ask, "/exceptions");
    Ok(html(status, exceptions_with(ask, &visit, Some(refused))?))
}

fn exceptions_with(
    ask: &Ask,
    visit: &Visit,
    refused: Option<view::RefusedNote>,
) -> Result<Markup, Problem> {
    let context = ask.context()?;
    let source = ask.query.said("source").map(ToOwned::to_owned);
    let wanted = |one: &&exception::Exception| {
        let name = source.as_ref();
        name.is_none_or(|name| one.source.as_str() == name)
    };
    let open = exception::open(&context)?;
    let all = exception::all(&context, 10 * RESOLVED_MAX)?;
    let resolved = || {
        let resolved = all.iter().filter(|one| one.resolved.is_some());
        resolved.filter(wanted)
    };
    let shown = resolved().take(RESOLVED_MAX as usize);
    let view = view::ExceptionsPage {
        open: open
            .iter()
            .filter(wanted)
            .map(view::Exception::from)
            .collect(),
        resolved: shown.map(view::Exception::from).collect(),
        resolved_in_all: resolved().count() as u64,
        source: source.clone(),
        refused,
    };
    let frame = visit.frame(Section::Exceptions);
    Ok(web::exceptions::page(&frame, &view))
}

/// What a prune would do.
pub(super) fn policy(ask: &Ask) -> Answer {
    shown(ask, |visit| {
        let context = ask.context()?;
        let desk = &ask.state.house.desk;
        let copies = desk.copies();
        let plan = seen(ask, |seen| {
            let names = seen.status.sources.iter().map(|one| one.source.clone());
            let mut names: Vec<SourceName> = names.collect();
            names.sort();
            Ok((names, seen.plan.clone()))
        });
        let (names, plan) = plan?;
        let mut sources = Vec::new();
        for name in names {
            let Some(rules) = desk.policy(&name) else {
                continue;
            };
            let mut of_source = plan.iter().filter(|job| job.source.as_ref() == Some(&name));
            let next = of_source
                .find(|job| job.task == "prune")
                .and_then(|job| job.next);
            let done = would_prune(&context, &name, &rules, &copies);
            sources.push(made::policy(&name, &rules.0, done, next, POLICY_MAX));
        }
        let view = view::PolicyPage { sources };
        Ok(web::policy::page(&visit.frame(Section::Policy), &view))
    })
}

/// Who may do what. Users and tokens, admins alone see.
pub(super) fn access(ask: &Ask) -> Answer {
    shown(ask, |visit| {
        let access = reviews::look(&ask.context()?)?;
        let mut view = made::access(&access, &visit.say);
        if ask.who()?.role == Role::Admin {
            let read = &ask.state.house.accounts.read;
            let unread = |error| Problem::from(resguardo_ops::OpsError::from(error));
            let logins = audit::last_logins(read).map_err(unread)?;
            let accounts = users::list(read)?;
            let account = |user| made::account(user, &logins);
            view.accounts = Some(accounts.iter().map(account).collect());
            let entries = audit::newest(read, AUDIT_MAX).map_err(unread)?;
            view.audit = Some(entries.iter().map(made::audit).collect());
            view.tokens = Some(token::list(read)?.iter().map(made::token).collect());
        }
        Ok(web::access::page(&visit.frame(Section::Access), &view))
    })
}
