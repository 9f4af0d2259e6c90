//! `prune`: what the retention lets go of is deleted, and every decision explained.

mod copies;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use resguardo_model::retention::Policy;
use resguardo_model::size::ByteSize;
use resguardo_model::{BackupId, SourceName};
use resguardo_ops::prune::{self, PruneDone, PruneRequest, PrunedBackup};
use resguardo_vault::CopyPlace;
use serde_json::{Value, json};

use crate::config::Config;
use crate::config::problem::nearest;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Opened, Reading};
use crate::render::table::table;
use crate::render::{counted, finding_line, time};

const AFTER_HELP: &str = "\
Deletes the backups that the `retention` of their environment lets go, and
then the objects that no backup needs any more, after a grace of a day. Needs
a write key, and credentials that may delete. Without `retention` nothing is
deleted.

Never deleted, whatever it says: the last proven backup, the last two backups,
pinned ones, those of a writer that is not trusted here, and what the store
itself keeps.

Examples:
  resguardo prune --dry-run          every backup, and why it stays or goes
  resguardo prune                    every source of the config
  resguardo prune shop
  resguardo prune old --environment production   a source of no config";

/// Delete the backups that the retention lets go, and say why each stays or goes
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Only these sources [default: all of the config]
    #[arg(value_name = "SOURCE")]
    names: Vec<SourceName>,
    /// Only say what would be deleted, and why
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// The environment of sources that are not in the config
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Give up backups for lost whose heads are missing, although nobody pruned them
    #[arg(long)]
    accept_missing_heads: bool,
    /// Leave the copies as they are
    #[arg(long)]
    no_copies: bool,
}

/// Runs `prune`.
///
/// # Errors
/// The last failure; the sources after it are pruned all the same.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let opened = invocation.open(Reading::Nothing)?;
    let chosen = choose(&opened, args)?;
    let reached = copies::reach(invocation, &opened);
    let places: Vec<CopyPlace> = reached.iter().filter_map(copies::Reached::place).collect();
    let mut done = Vec::new();
    let mut last_failure: Option<Failure> = None;
    for (source, environment) in &chosen.sources {
        let request = PruneRequest {
            source,
            environment,
            policy: policy_of(&opened.config, environment),
            accept_missing_heads: args.accept_missing_heads,
            dry_run: args.dry_run,
            copies: &places,
        };
        match prune::prune(&opened.context, &request) {
            Ok(one) => {
                print(invocation, args, &opened, &one);
                done.push(one);
            }
            Err(error) => {
                let failure = Failure::from(error);
                let interrupted = failure.exit == Exit::Interrupted;
                if let Some(earlier) = last_failure.replace(failure) {
                    earlier.print(&invocation.out);
                }
                if interrupted {
                    break;
                }
            }
        }
    }
    let mut at_copies = Vec::new();
    let interrupted = invocation.cancel.is_cancelled();
    if args.no_copies {
        copies::tell_unreached(invocation, &reached);
    } else if !interrupted {
        let of_copies = copies::Asked {
            invocation,
            args,
            opened: &opened,
            chosen: &chosen,
            places: &places,
        };
        at_copies = of_copies.prune(reached, &mut last_failure);
    }
    for (source, backups) in &chosen.left_alone {
        invocation.out.note(&format!(
            "{source} is not in the config: its {} left alone; say what holds with `resguardo prune {source} --environment NAME`",
            counted(*backups, "backup is", "backups are")
        ));
    }
    let mut answer = as_json(args, &done, &chosen);
    answer["copies"] = at_copies.iter().map(copies::as_json).collect();
    invocation.out.json(&answer);
    if done.is_empty() && last_failure.is_none() {
        invocation
            .out
            .print("no source has a backup yet; nothing to prune");
    }
    match last_failure {
        Some(failure) => Err(failure),
        None if done.iter().any(|one| one.unswept)
            || at_copies.iter().any(copies::AtCopy::is_unswept) =>
        {
            Ok(Exit::Findings)
        }
        None => Ok(Exit::Done),
    }
}

/// What is to be pruned, and what is in the vault beside it.
struct Chosen {
    /// Sources and their environments.
    sources: Vec<(SourceName, String)>,
    /// Sources that no config knows, with their numbers of backups.
    left_alone: Vec<(SourceName, u64)>,
}

fn choose(opened: &Opened, args: &Args) -> Result<Chosen, Failure> {
    let config = &opened.config;
    if let Some(environment) = &args.environment {
        known_environment(config, environment)?;
    }
    let configured: BTreeMap<&SourceName, &str> = config
        .sources
        .iter()
        .map(|source| (&source.name, source.elsewhere.environment.as_str()))
        .collect();
    let stored = prune::stored(&opened.context)?;
    let environment_of = |name: &SourceName| {
        let own = configured.get(name).copied();
        own.or(args.environment.as_deref()).map(str::to_owned)
    };
    if args.names.is_empty() {
        let mut chosen = Chosen {
            sources: Vec::new(),
            left_alone: Vec::new(),
        };
        for (name, backups) in stored {
            match environment_of(&name) {
                Some(environment) => chosen.sources.push((name, environment)),
                None => chosen.left_alone.push((name, backups)),
            }
        }
        return Ok(chosen);
    }
    let named = args.names.iter().map(|name| {
        let environment = environment_of(name);
        match (environment, stored.contains_key(name)) {
            (Some(environment), true) => Ok(Some((name.clone(), environment))),
            (None, true) => Err(Failure::user(format!(
                "{name} is not in the config, so that no retention holds for it"
            ))
            .hint(format!(
                "say which holds: `resguardo prune {name} --environment {}`",
                config
                    .environments
                    .keys()
                    .next()
                    .map_or("production", String::as_str)
            ))),
            (_, false) if configured.contains_key(name) => Ok(None),
            (_, false) => {
                let known = stored.keys().map(SourceName::as_str);
                let failure = Failure::user(format!("the vault holds no backup of {name}"));
                Err(match nearest(name.as_str(), known) {
                    Some(meant) => failure.hint(format!("did you mean {meant}?")),
                    None => failure.hint("see all backups with `resguardo list`"),
                })
            }
        }
    });
    Ok(Chosen {
        sources: named
            .collect::<Result<Vec<_>, Failure>>()?
            .into_iter()
            .flatten()
            .collect(),
        left_alone: Vec::new(),
    })
}

fn known_environment(config: &Config, name: &str) -> Result<(), Failure> {
    if config.environments.contains_key(name) {
        return Ok(());
    }
    let known: Vec<&str> = config.environments.keys().map(String::as_str).collect();
    let failure = Failure::user(match known.as_slice() {
        [] => format!("there is no environment {name}; none is configured"),
        _ => format!(
            "there is no environment {name}; configured: {}",
            known.join(", ")
        ),
    });
    Err(match nearest(name, known.iter().copied()) {
        Some(meant) => failure.hint(format!("did you mean {meant}?")),
        None => failure.hint("see the environments with `resguardo config show`"),
    })
}

fn policy_of<'a>(config: &'a Config, environment: &str) -> Option<&'a Policy> {
    config.environments.get(environment)?.retention.as_ref()
}

fn print(invocation: &Invocation, args: &Args, opened: &Opened, done: &PruneDone) {
    let out = &invocation.out;
    for finding in &done.findings {
        out.warn(&finding_line(finding));
    }
    for note in &done.notes {
        out.note(note);
    }
    let Some(policy) = &done.policy else {
        out.say(&format!(
            "{}: nothing is deleted; {} has no retention: set one, like `retention = {{ daily = 14, weekly = 8, monthly = 12 }}`",
            done.source, done.environment
        ));
        return;
    };
    let zone = policy_of(&opened.config, &done.environment)
        .map_or(&opened.context.zone, |policy| &policy.zone);
    if args.dry_run {
        out.print(&out.bold(&format!("{} ({}: {policy})", done.source, done.environment)));
        out.print(&decisions(invocation, done, zone));
        if let Some(space) = &done.space {
            out.print(&format!(
                "{} of {} in {}, {} of it shared",
                counted(space.backups, "backup", "backups"),
                ByteSize(space.raw_bytes),
                ByteSize(space.stored_bytes),
                ByteSize(space.shared_bytes),
            ));
        }
    }
    out.say(&summary(args, done, zone));
    if done.unswept {
        out.warn("no object was deleted, because something is wrong with the heads: `resguardo verify --depth heads` names it; if backups are lost for good, add --accept-missing-heads");
    }
    if args.dry_run {
        out.print("");
    }
}

fn decisions(invocation: &Invocation, done: &PruneDone, zone: &TimeZone) -> String {
    let now = invocation.clock.now();
    let rows = done.backups.iter().map(|backup| {
        vec![
            backup.id.to_string()[..10].to_owned(),
            time::moment(backup.taken_at, zone),
            time::age(backup.taken_at, now),
            backup.reason.to_string(),
            ByteSize(backup.frees_bytes).to_string(),
            if backup.kept { "keep" } else { "delete" }.to_owned(),
            in_short(&backup.why.join("; ")),
        ]
    });
    let header = ["ID", "TAKEN", "AGE", "REASON", "ALONE FREES", "", "WHY"];
    table(&invocation.out, &header, &[2, 4], rows.collect())
}

/// With the beginnings of ids only.
fn in_short(why: &str) -> String {
    let words = why.split(' ').map(|word| {
        let (id, rest) = word.split_at(word.find(';').unwrap_or(word.len()));
        match id.parse::<BackupId>() {
            Ok(_) => format!("{}{rest}", &id[..10]),
            Err(_) => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn summary(args: &Args, done: &PruneDone, zone: &TimeZone) -> String {
    let all = done.backups.len() as u64;
    let gone = done.backups.iter().filter(|backup| !backup.kept).count() as u64;
    let objects = &done.objects;
    if args.dry_run {
        let dead = match objects.deleted.bytes {
            0 => String::new(),
            bytes => format!("; {} are dead already", ByteSize(bytes)),
        };
        return format!(
            "{}: would delete {gone} of {}, which frees {}{dead}",
            done.source,
            counted(all, "backup", "backups"),
            ByteSize(done.freed_bytes),
        );
    }
    let mut line = format!(
        "{}: deleted {gone} of {}, which frees {}",
        done.source,
        counted(all, "backup", "backups"),
        ByteSize(done.freed_bytes),
    );
    if objects.deleted.objects > 0 {
        line += &format!("; {} freed now", ByteSize(objects.deleted.bytes));
    }
    if objects.waiting.objects > 0 {
        line += &format!("; {} wait", ByteSize(objects.waiting.bytes));
        if let Some(until) = objects.waiting_until {
            line += &format!(
                " until {}, then the next prune deletes them",
                time::moment(until, zone)
            );
        }
    }
    if objects.refused.objects > 0 {
        line += &format!(
            "; {} the store refuses to delete",
            ByteSize(objects.refused.bytes)
        );
        if let Some(until) = objects.refused_until {
            line += &format!(" until {}", time::moment(until, zone));
        }
    }
    line
}

fn as_json(args: &Args, done: &[PruneDone], chosen: &Chosen) -> Value {
    let some = |kept: bool| -> Vec<Value> {
        done.iter()
            .flat_map(|one| one.backups.iter().map(move |backup| (one, backup)))
            .filter(|(_, backup)| backup.kept == kept)
            .map(|(one, backup)| backup_json(one, backup))
            .collect()
    };
    json!({
        "dry_run": args.dry_run,
        "kept": some(true),
        "deleted": some(false),
        "freed_bytes": done.iter().map(|one| one.freed_bytes).sum::<u64>(),
        "sources": done.iter().map(source_json).collect::<Vec<_>>(),
        "left_alone": chosen.left_alone.iter().map(|(source, backups)| json!({
            "source": source,
            "backups": backups,
        })).collect::<Vec<_>>(),
    })
}

fn backup_json(done: &PruneDone, backup: &PrunedBackup) -> Value {
    json!({
        "id": backup.id,
        "source": done.source,
        "taken_at": backup.taken_at,
        "reason": backup.reason,
        "why": backup.why.join("; "),
        "causes": backup.why,
        "frees_bytes": backup.frees_bytes,
        "kept_until": backup.kept_until,
    })
}

fn source_json(done: &PruneDone) -> Value {
    let objects = &done.objects;
    json!({
        "source": done.source,
        "environment": done.environment,
        "retention": done.policy,
        "kept": done.backups.iter().filter(|backup| backup.kept).count(),
        "deleted": done.backups.iter().filter(|backup| !backup.kept).count(),
        "freed_bytes": done.freed_bytes,
        "raw_bytes": done.space.as_ref().map(|space| space.raw_bytes),
        "stored_bytes": done.space.as_ref().map(|space| space.stored_bytes),
        "shared_bytes": done.space.as_ref().map(|space| space.shared_bytes),
        "objects": {
            "deleted": objects.deleted.objects,
            "deleted_bytes": objects.deleted.bytes,
            "waiting": objects.waiting.objects,
            "waiting_bytes": objects.waiting.bytes,
            "waiting_until": objects.waiting_until,
            "refused": objects.refused.objects,
            "refused_bytes": objects.refused.bytes,
            "refused_until": objects.refused_until,
        },
        "findings": done.findings,
        "run": done.run,
        "receipt": done.receipt,
        "seconds": done.seconds,
        "notes": done.notes,
    })
}
