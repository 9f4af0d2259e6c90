//! What is looked at.

use resguardo_model::retention::Policy;
use resguardo_model::{BackupId, RunId, SourceName};
use resguardo_ops::catalog::{RunFilter, RunState};
use resguardo_ops::copy::CopyPlace;
use resguardo_ops::prune::{self, PruneDone, PruneRequest};
use resguardo_ops::users::{self, token};
use resguardo_ops::{
    Context, OpsError, Reference, access as reviews, audit, exception, list, receipts, series, show,
};
use serde_json::{Value, json};

use super::super::answer::{Answer, Problem, json_of};
use super::super::ask::{Ask, By};
use super::super::desk::Seen;
use super::shape;
use crate::feed::Running;

const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;

/// Whoever asks.
pub(super) fn me(ask: &Ask) -> Answer {
    let who = ask.who()?;
    let by = match who.by {
        By::Session(_) => "session",
        By::Token => "token",
    };
    json_of(&json!({ "name": who.name, "role": who.role, "scope": who.role.scope(), "by": by }))
}

fn seen<T>(ask: &Ask, of: impl FnOnce(&Seen) -> Result<T, Problem>) -> Result<T, Problem> {
    let snapshot = ask.state.house.board.snapshot();
    match (&snapshot.seen, &snapshot.blind) {
        (Some(seen), _) => of(seen),
        (None, Some(why)) => Err(Problem::unreachable(why.clone())),
        (None, None) => Err(Problem::starting()),
    }
}

/// Everything.
pub(super) fn status(ask: &Ask) -> Answer {
    let snapshot = ask.state.house.board.snapshot();
    let mut answer = seen(ask, |seen| Ok(json!(seen.status)))?;
    answer["version"] = json!(snapshot.version);
    answer["blind"] = json!(snapshot.blind);
    json_of(&answer)
}

/// What comes.
pub(super) fn plan(ask: &Ask) -> Answer {
    json_of(&json!({ "plan": seen(ask, |seen| Ok(json!(seen.plan)))? }))
}

/// One source.
pub(super) fn source(ask: &Ask) -> Answer {
    let name: SourceName = ask.param("name")?;
    let answer = seen(ask, |seen| {
        let mut all = seen.status.sources.iter();
        let status = all
            .find(|one| one.source == name)
            .ok_or_else(|| no_such_source(&name))?;
        let mine = seen.plan.iter();
        let plan: Vec<_> = mine
            .filter(|job| job.source.as_ref() == Some(&name))
            .collect();
        let open = seen.status.exceptions.iter();
        let open: Vec<_> = open.filter(|exception| exception.source == name).collect();
        Ok(json!({ "source": status, "plan": plan, "exceptions": open }))
    })?;
    json_of(&answer)
}

pub(super) fn no_such_source(name: &SourceName) -> Problem {
    Problem::absent(format!("there is no source {name}"))
        .hint("see the sources with `resguardo config show`")
}

fn source_of(ask: &Ask) -> Result<Option<SourceName>, Problem> {
    let text = ask.query.said("source");
    text.map(str::parse)
        .transpose()
        .map_err(|error: resguardo_model::id::InvalidName| Problem::bad(error.to_string()))
}

/// Some of many: how many are left out, and how many there are at most.
fn some(ask: &Ask) -> Result<(u32, u32), Problem> {
    let skip = ask.query.number("skip", 0, u32::MAX)?;
    Ok((skip, ask.query.number("limit", LIMIT, LIMIT_MAX)?))
}

/// Backups.
pub(super) fn backups(ask: &Ask) -> Answer {
    let (source, (skip, limit)) = (source_of(ask)?, some(ask)?);
    let mut listed = list::list(&ask.context()?, source.as_ref())?;
    listed
        .backups
        .sort_by_key(|backup| std::cmp::Reverse((backup.taken_at, backup.id)));
    let in_all = listed.backups.len();
    let page = listed
        .backups
        .iter()
        .skip(skip as usize)
        .take(limit as usize);
    let backups: Vec<Value> = page.map(shape::backup).collect();
    json_of(&json!({ "backups": backups, "in_all": in_all, "findings": listed.findings }))
}

/// One backup.
pub(super) fn backup(ask: &Ask) -> Answer {
    let id: BackupId = ask.param("id")?;
    let reference: Reference = id.to_string().parse().map_err(Problem::from)?;
    let done = show::show(&ask.context()?, &reference)?;
    let mut backup = shape::backup(&done.backup);
    backup["head_sha256"] = json!(done.head.sha256);
    backup["packs"] = json!(done.head.head.packs.len());
    backup["locked"] = json!(
        done.lock
            .map(|lock| json!({ "until": lock.until, "mode": lock.mode }))
    );
    let contents = done.contents.as_ref().ok();
    let files = contents.map(|contents| contents.files.iter().map(shape::file).collect::<Vec<_>>());
    json_of(&json!({
        "backup": backup,
        "manifest": contents.map(|contents| &contents.header),
        "files": files,
        "contents_error": done.contents.as_ref().err(),
        "receipts": done.receipts.iter().map(shape::receipt).collect::<Vec<_>>(),
    }))
}

/// One receipt.
pub(super) fn receipt(ask: &Ask) -> Answer {
    let run: RunId = ask.param("run")?;
    let stored = receipts::of_run(&ask.context()?, run)?;
    json_of(&json!({
        "key": stored.key,
        "sha256": stored.sha256,
        "trusted": stored.trusted,
        "statement": stored.statement,
        "drill": receipts::drill_of(&stored.statement),
    }))
}

/// Runs.
pub(super) fn runs(ask: &Ask) -> Answer {
    let (source, (skip, limit)) = (source_of(ask)?, some(ask)?);
    let state = match ask.query.said("state") {
        None => None,
        Some(word) => Some(RunState::parse(word).ok_or_else(|| {
            Problem::bad("state is running, succeeded, failed, interrupted or died")
        })?),
    };
    let filter = RunFilter { source, state };
    let page = ask
        .state
        .house
        .accounts
        .read
        .runs_page(&filter, skip, limit)
        .map_err(unread)?;
    json_of(&json!({ "runs": page.runs, "in_all": page.in_all }))
}

fn unread(error: resguardo_ops::catalog::CatalogError) -> Problem {
    Problem::from(resguardo_ops::OpsError::from(error))
}

/// One run.
pub(super) fn run(ask: &Ask) -> Answer {
    let id: RunId = ask.param("run")?;
    let found = ask.state.house.accounts.read.run(id).map_err(unread)?;
    let run = found.ok_or_else(|| Problem::absent(format!("there is no run {id}")))?;
    let desk = &ask.state.house.desk;
    let is_it = |one: &Running| one.run == Some(id);
    let live = desk.running().into_iter().find(|one| is_it(one));
    let log = live.or_else(|| desk.ended(&is_it));
    json_of(&json!({ "run": run, "log": log }))
}

/// A source over time.
pub(super) fn series(ask: &Ask) -> Answer {
    let name: SourceName = ask.param("name")?;
    known_source(ask, &name)?;
    json_of(&series::series(&ask.context()?, &name)?)
}

/// The last year of a source, day by day.
pub(super) fn year(ask: &Ask) -> Answer {
    let name: SourceName = ask.param("name")?;
    known_source(ask, &name)?;
    let now = ask.state.now();
    json_of(&series::year(&ask.context()?, &name, now)?)
}

fn known_source(ask: &Ask, name: &SourceName) -> Result<(), Problem> {
    seen(ask, |seen| {
        let mut all = seen.status.sources.iter();
        let found = all.any(|one| one.source == *name);
        found.then_some(()).ok_or_else(|| no_such_source(name))
    })
}

/// Exceptions.
pub(super) fn exceptions(ask: &Ask) -> Answer {
    let limit = ask.query.number("limit", LIMIT, LIMIT_MAX)?;
    let context = ask.context()?;
    let exceptions = if ask.query.is_true("all") {
        exception::all(&context, limit)?
    } else {
        exception::open(&context)?
    };
    json_of(&json!({ "exceptions": exceptions }))
}

/// What a prune would do.
pub(super) fn policy(ask: &Ask) -> Answer {
    let name: SourceName = ask.param("name")?;
    let desk = &ask.state.house.desk;
    let rules = desk.policy(&name).ok_or_else(|| no_such_source(&name))?;
    let done = would_prune(&ask.context()?, &name, &rules, &desk.copies())?;
    json_of(&shape::pruned(&done))
}

/// What a prune of a source would do now, by its environment and policy. Nothing is deleted.
pub(in super::super) fn would_prune(
    ctx: &Context,
    source: &SourceName,
    (environment, policy): &(String, Option<Policy>),
    copies: &[CopyPlace],
) -> Result<PruneDone, OpsError> {
    let request = PruneRequest {
        source,
        environment,
        policy: policy.as_ref(),
        accept_missing_heads: false,
        dry_run: true,
        copies,
    };
    prune::prune(ctx, &request)
}

/// Who can do what.
pub(super) fn access(ask: &Ask) -> Answer {
    json_of(&shape::access(&reviews::look(&ask.context()?)?))
}

/// What was done here.
pub(super) fn audited(ask: &Ask) -> Answer {
    let limit = ask.query.number("limit", LIMIT, LIMIT_MAX)?;
    let entries = audit::newest(&ask.state.house.accounts.read, limit).map_err(unread)?;
    json_of(&json!({ "audit": entries }))
}

/// Users and tokens.
pub(super) fn users(ask: &Ask) -> Answer {
    let read = &ask.state.house.accounts.read;
    let users: Vec<Value> = users::list(read)?.iter().map(shape::user).collect();
    let tokens: Vec<Value> = token::list(read)?.iter().map(shape::token).collect();
    json_of(&json!({ "users": users, "tokens": tokens }))
}
