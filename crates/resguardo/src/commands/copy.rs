//! `copy`: further vaults that hold the same backups.

mod said;

use clap::Subcommand;
use resguardo_model::SourceName;
use resguardo_ops::OpsError;
use resguardo_ops::copy::{self, SyncDone, SyncRequest};
use resguardo_ops::verify::{Scope, VerifyRequest, verify};
use resguardo_vault::{CopyPlace, Side};
use serde_json::{Value, json};

use said::{damage_of, state_of, status_json, synced_json, tell_rebuilt, tell_synced};

use super::verify::{self as verifying, DepthArg};
use crate::config::Config;
use crate::config::copies::CopySettings;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Opened, Reading, policy_at};
use crate::keys::KeyFolder;
use crate::render::table::table;
use crate::render::time;
use crate::wire::{self, Missing};

const AFTER_HELP: &str = "\
A copy is a further vault that holds the same backups: [vault] copies. Each
backup is sent there once it was taken; what could not be is sent later.

Nothing is ever deleted at a copy but by `resguardo prune`, which follows the
copy's own retention: what is deleted in the vault stays at its copies.

Examples:
  resguardo copy sync                     send what is missing, everywhere
  resguardo copy status                   ask each copy what it holds
  resguardo copy verify offsite           compare every object's SHA-256
  resguardo copy sync offsite --mend      send again what is damaged there
  resguardo restore shop --from offsite --to back.db
  resguardo copy rebuild --from offsite   make a lost vault again
  resguardo copy rebuild --from near --from offsite    from what both have";

/// Further vaults that hold the same backups
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: CopyVerb,
}

#[derive(Debug, Subcommand)]
enum CopyVerb {
    /// Send to each copy the backups that it lacks
    Sync {
        /// Only these copies: their names, or URLs [default: all of the config]
        #[arg(value_name = "COPY")]
        copies: Vec<String>,
        /// Only this source; may be repeated
        #[arg(long, value_name = "NAME")]
        source: Vec<SourceName>,
        /// Read all that the copy holds, and send again what is damaged
        #[arg(long)]
        mend: bool,
        /// Begin a copy anew whose place is empty and held it before
        #[arg(long)]
        new: bool,
    },
    /// Check what is stored at each copy
    Verify {
        /// Only these copies: their names, or URLs [default: all of the config]
        #[arg(value_name = "COPY")]
        copies: Vec<String>,
        /// Only this source
        #[arg(long, value_name = "NAME")]
        source: Option<SourceName>,
        /// How deep, as in `resguardo verify`
        #[arg(long, value_enum, default_value_t = DepthArg::Digests)]
        depth: DepthArg,
    },
    /// Ask each copy what it holds
    Status {
        /// Only these copies: their names, or URLs [default: all of the config]
        #[arg(value_name = "COPY")]
        copies: Vec<String>,
    },
    /// Say which of two records is kept, where the vault and a copy hold different ones (record-differs)
    Settle {
        /// The copy: its name in the config, or its URL
        copy: String,
        /// The object that the finding names
        object: String,
        /// Whose record is kept
        #[arg(long, value_enum, value_name = "SIDE")]
        keep: Keep,
    },
    /// Make the vault again from its copies: all of it, or what it lost
    Rebuild {
        /// A copy: its name in the config, or its URL; repeated, what one lost comes from another
        #[arg(long, value_name = "COPY", required = true)]
        from: Vec<String>,
        /// Read all that the vault holds, and replace what is damaged
        #[arg(long)]
        mend: bool,
    },
}

/// Whose record is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Keep {
    /// The vault's.
    Vault,
    /// The copy's.
    Copy,
}

/// Runs `copy`.
///
/// # Errors
/// The last failure; the copies after it are served all the same.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    match &args.verb {
        CopyVerb::Sync {
            copies,
            source,
            mend,
            new,
        } => sync(invocation, copies, source, *mend, *new),
        CopyVerb::Verify {
            copies,
            source,
            depth,
        } => verify_copies(invocation, copies, source.as_ref(), *depth),
        CopyVerb::Status { copies } => status(invocation, copies),
        CopyVerb::Settle { copy, object, keep } => settle(invocation, copy, object, *keep),
        CopyVerb::Rebuild { from, mend } => rebuild(invocation, from, *mend),
    }
}

/// The copies that are meant.
fn chosen(
    invocation: &Invocation,
    config: &Config,
    named: &[String],
) -> Result<Vec<CopySettings>, Failure> {
    if !named.is_empty() {
        let copies = named.iter();
        return copies
            .map(|name| invocation.copy_settings(config, name))
            .collect();
    }
    if config.copies.is_empty() {
        return Err(Failure::user("no copy is configured").hint(
            "add one to the config: [vault] copies = [\"s3://bucket/prefix\"], or name its URL",
        ));
    }
    Ok(config.copies.clone())
}

/// Failures on the way: each but the last is printed, the last one is the answer.
#[derive(Default)]
struct Failures(Option<Failure>);

impl Failures {
    /// Keeps one; tells whether to go on.
    fn keep(&mut self, invocation: &Invocation, failure: Failure) -> bool {
        let goes_on = failure.exit != Exit::Interrupted;
        if let Some(earlier) = self.0.replace(failure) {
            earlier.print(&invocation.out);
        }
        goes_on
    }

    /// Whether the last one says the same.
    fn holds(&self, failure: &Failure) -> bool {
        let last = self.0.as_ref();
        last.is_some_and(|last| last.in_a_line() == failure.in_a_line())
    }

    fn end(self, otherwise: Exit) -> Result<Exit, Failure> {
        match self.0 {
            Some(failure) => Err(failure),
            None => Ok(otherwise),
        }
    }
}

fn sync(
    invocation: &Invocation,
    named: &[String],
    only: &[SourceName],
    mend: bool,
    begin_anew: bool,
) -> Result<Exit, Failure> {
    let opened = invocation.open(Reading::Nothing)?;
    let copies = chosen(invocation, &opened.config, named)?;
    let sources = sources_of(&opened, only)?;
    let (mut answers, mut failures, mut exit) = (Vec::new(), Failures::default(), Exit::Done);
    let reached = reach(invocation, &opened, &copies, sources.first());
    'all: for (settings, place) in copies.iter().zip(reached) {
        let place = match place {
            Ok(place) => place,
            Err(failure) => {
                if failures.keep(invocation, failure) {
                    continue;
                }
                break;
            }
        };
        for source in &sources {
            match sync_one(&opened, settings, &place, source, (mend, begin_anew)) {
                Ok(done) => {
                    tell_synced(&invocation.out, &done);
                    if !done.is_whole() {
                        exit = Exit::Findings;
                    }
                    answers.push(synced_json(&done));
                }
                Err(error) => {
                    // What is said of the copy itself is the same for every source.
                    let failure = Failure::from(error);
                    if failures.holds(&failure) {
                        continue;
                    }
                    if !failures.keep(invocation, failure) {
                        break 'all;
                    }
                }
            }
        }
    }
    drop(opened);
    invocation.out.json(&json!({ "syncs": answers }));
    if sources.is_empty() {
        invocation
            .out
            .print("no backup yet; take one with `resguardo backup`");
    }
    failures.end(exit)
}

/// The places of copies, all of them asked at the same time whether they can be reached. What cannot leaves the
/// receipt of a synchronisation of `source` that was not tried.
fn reach(
    invocation: &Invocation,
    opened: &Opened,
    copies: &[CopySettings],
    source: Option<&SourceName>,
) -> Vec<Result<CopyPlace, Failure>> {
    let placed: Vec<_> = copies
        .iter()
        .map(|settings| invocation.copy_place(&opened.config, settings, Missing::Begin))
        .collect();
    let places: Vec<CopyPlace> = placed.iter().flatten().cloned().collect();
    let mut unreached = copy::unreached(&places).into_iter();
    let placed = placed.into_iter().map(|place| {
        let place = place?;
        let error = unreached.next().expect("each place was asked");
        match (error, source) {
            (None, _) => Ok(place),
            (Some(error), None) => Err(error.into()),
            (Some(error), Some(source)) => {
                Err(copy::not_tried(&opened.context, &place, source, error).into())
            }
        }
    });
    placed.collect()
}

fn sources_of(opened: &Opened, only: &[SourceName]) -> Result<Vec<SourceName>, Failure> {
    let all = copy::sources(&opened.context)?;
    if only.is_empty() {
        return Ok(all);
    }
    match only.iter().find(|name| !all.contains(name)) {
        Some(unknown) => Err(
            Failure::user(format!("the vault holds no backup of {unknown}"))
                .hint("see all backups with `resguardo list`"),
        ),
        None => Ok(only.to_vec()),
    }
}

fn sync_one(
    opened: &Opened,
    settings: &CopySettings,
    place: &CopyPlace,
    source: &SourceName,
    (mend, begin_anew): (bool, bool),
) -> Result<SyncDone, OpsError> {
    let policy = policy_of(&opened.config, settings, source);
    let request = SyncRequest {
        place,
        source,
        mend,
        policy: policy.as_ref(),
        begin_anew,
    };
    copy::sync(&opened.context, &request)
}

/// What a copy keeps of a source; of one that no config knows, everything.
pub fn policy_of(
    config: &Config,
    settings: &CopySettings,
    source: &SourceName,
) -> Option<resguardo_model::retention::Policy> {
    let known = config.sources.iter().find(|one| one.name == *source)?;
    policy_at(config, settings, &known.elsewhere.environment)
}

/// Sends the backups of a source to every copy, after one was taken. What went wrong is the second answer;
/// the backup stands all the same.
pub fn after_backup(
    invocation: &Invocation,
    opened: &Opened,
    source: &SourceName,
) -> (Vec<Value>, Option<Failure>) {
    let (mut answers, mut failed) = (Vec::new(), None);
    let copies = &opened.config.copies;
    let reached = reach(invocation, opened, copies, Some(source));
    for (settings, place) in copies.iter().zip(reached) {
        let name = &settings.name;
        let done =
            place.and_then(|place| Ok(sync_one(opened, settings, &place, source, (false, false))?));
        let failure = match done {
            Ok(done) => {
                tell_synced(&invocation.out, &done);
                answers.push(synced_json(&done));
                if done.is_whole() {
                    continue;
                }
                Failure::new(Exit::Vault, String::new())
            }
            Err(failure) => {
                answers.push(json!({
                    "copy": name,
                    "place": settings.url,
                    "source": source,
                    "error": failure.as_json()["error"],
                }));
                failure
            }
        };
        if let Some(earlier) = failed.replace(behind(name, source, failure)) {
            Failure::print(&earlier, &invocation.out);
        }
        if invocation.cancel.is_cancelled() {
            break;
        }
    }
    (answers, failed)
}

/// The backup stands, and a copy does not have it.
fn behind(name: &str, source: &SourceName, cause: Failure) -> Failure {
    let exit = match cause.exit {
        Exit::Interrupted => Exit::Interrupted,
        _ => Exit::Vault,
    };
    let mut failure = Failure::new(
        exit,
        format!("the backup of {source} stands; the copy {name} is behind"),
    );
    let causes = std::iter::once(cause.message).chain(cause.causes);
    failure.causes = causes.filter(|text| !text.is_empty()).collect();
    failure.hint(match cause.hint {
        Some(hint) => format!("{hint}; then `resguardo copy sync {name}`"),
        None => format!("send it later with `resguardo copy sync {name}`"),
    })
}

fn verify_copies(
    invocation: &Invocation,
    named: &[String],
    source: Option<&SourceName>,
    depth: DepthArg,
) -> Result<Exit, Failure> {
    let (depth, reading) = depth.parts();
    let opened = invocation.open(reading)?;
    let copies = chosen(invocation, &opened.config, named)?;
    let (mut answers, mut failures, mut exit) = (Vec::new(), Failures::default(), Exit::Done);
    for settings in &copies {
        let request = VerifyRequest {
            scope: source.map_or(Scope::All, |name| Scope::Source(name.clone())),
            depth,
        };
        let done = invocation
            .copy_place(&opened.config, settings, Missing::Leave)
            .and_then(|place| {
                let context = copy::at_copy(&opened.context, &place)?;
                Ok(verify(&context, &request)?)
            });
        match done {
            Ok(done) => {
                invocation.out.say(&format!("{}:", settings.name));
                for note in &done.notes {
                    invocation.out.note(note);
                }
                verifying::print(&invocation.out, &done);
                let mut answer = verifying::as_json(&done);
                answer["copy"] = json!(settings.name);
                answers.push(answer);
                if !done.findings.findings.is_empty() {
                    let found = &done.findings.findings;
                    let next = copy::mending(&opened.context, &settings.name, found)?;
                    invocation.out.print(&next);
                    exit = Exit::Findings;
                }
            }
            Err(failure) => {
                if !failures.keep(invocation, failure) {
                    break;
                }
            }
        }
    }
    invocation.out.json(&json!({ "copies": answers }));
    failures.end(exit)
}

fn status(invocation: &Invocation, named: &[String]) -> Result<Exit, Failure> {
    let opened = invocation.open(Reading::Nothing)?;
    let copies = chosen(invocation, &opened.config, named)?;
    let mut failures = Failures::default();
    let places: Vec<CopyPlace> = copies
        .iter()
        .map(|settings| invocation.copy_place(&opened.config, settings, Missing::Leave))
        .collect::<Result<_, _>>()?;
    let all = copy::status_of_each(&opened.context, &places)?;
    invocation
        .out
        .json(&json!({ "copies": all.iter().map(status_json).collect::<Vec<_>>() }));
    let zone = &opened.context.zone;
    let mut rows = Vec::new();
    for one in &all {
        for source in one.sources.iter().flatten() {
            rows.push(vec![
                one.copy.clone(),
                source.source.to_string(),
                source.held.to_string(),
                source.missing.len().to_string(),
                source.only_there.to_string(),
                source
                    .newest_there
                    .map_or_else(|| "-".to_owned(), |at| time::moment(at, zone)),
                source
                    .verified
                    .as_ref()
                    .and_then(|verified| verified.at)
                    .map_or_else(|| "never".to_owned(), |at| time::moment(at, zone)),
                state_of(&one.copy, source),
            ]);
        }
    }
    if !rows.is_empty() {
        let header = [
            "COPY",
            "SOURCE",
            "HELD",
            "MISSING",
            "ONLY THERE",
            "NEWEST",
            "VERIFIED",
            "STATE",
        ];
        let out = &invocation.out;
        out.print(&table(out, &header, &[2, 3, 4], rows));
    }
    let mut asked = all.iter().flat_map(|one| one.sources.iter().flatten());
    let exit = match asked.any(|source| !damage_of(source).is_empty()) {
        true => Exit::Findings,
        false => Exit::Done,
    };
    for one in all {
        if let Err(error) = one.sources {
            let mut failure = Failure::from(error);
            failure.message = format!("copy {}: {}", one.copy, failure.message);
            failures.keep(invocation, failure);
        }
    }
    failures.end(exit)
}

fn settle(invocation: &Invocation, named: &str, object: &str, keep: Keep) -> Result<Exit, Failure> {
    let opened = invocation.open(Reading::Nothing)?;
    let settings = invocation.copy_settings(&opened.config, named)?;
    let place = invocation.copy_place(&opened.config, &settings, Missing::Leave)?;
    let (side, word) = match keep {
        Keep::Vault => (Side::Vault, "the vault's"),
        Keep::Copy => (Side::Copy, "the copy's"),
    };
    let done = copy::settle(&opened.context, &place, object, side)?;
    let out = &invocation.out;
    let told = done.replaced.as_ref().map_or_else(String::new, |replaced| {
        format!(
            "; what it replaced is kept at {}: {}",
            replaced.place,
            replaced.objects.join(", ")
        )
    });
    out.say(&format!("{object}: both sides hold {word} now{told}"));
    for unjudged in &done.unjudged {
        out.note(unjudged);
    }
    for note in &done.notes {
        out.note(note);
    }
    out.json(&json!({
        "copy": settings.name,
        "object": done.object,
        "kept_sha256": done.kept,
        "replaced": done.replaced.as_ref().map(|one| json!({
            "sha256": one.sha256,
            "bytes": one.bytes,
            "place": one.place,
            "objects": one.objects,
        })),
        "unjudged": done.unjudged,
        "run": done.run,
        "receipt": done.receipt,
        "notes": done.notes,
    }));
    Ok(Exit::Done)
}

fn rebuild(invocation: &Invocation, from: &[String], mend: bool) -> Result<Exit, Failure> {
    let config = invocation.config()?;
    let mut settings = chosen(invocation, &config, from)?;
    let first = settings.remove(0);
    let opened = invocation.open_copy_alone(config, Reading::IfAtHand, &first)?;
    let others = settings.iter();
    let others: Vec<CopyPlace> = others
        .map(|copy| invocation.copy_place(&opened.config, copy, Missing::Leave))
        .collect::<Result<_, _>>()?;
    let store = wire::open_store(
        &opened.config.vault,
        &opened.config.folder,
        Missing::Create,
        &invocation.cancel,
    )?;
    let to = CopyPlace::new("vault", store);
    let done = copy::rebuild(&opened.context, &first.name, &others, &to, mend)?;
    if let Some(vault) = &opened.context.vault {
        let keys = KeyFolder::new(invocation.home()?.keys(vault.id()));
        keys.remember_place(&done.place);
    }
    drop(opened);
    tell_rebuilt(invocation, &done);
    Ok(match done.is_whole() {
        true => Exit::Done,
        false => Exit::Findings,
    })
}
