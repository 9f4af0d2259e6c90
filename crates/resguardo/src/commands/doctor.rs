//! `doctor`: everything that a backup, drill or restore needs, looked at.

use std::collections::BTreeSet;

use resguardo_model::{Diagnosis, Severity};
use resguardo_ops::OpsError;
use resguardo_ops::copy::{self as copies, Behind};
use resguardo_ops::doctor::{self, DoctorRequest};
use resguardo_store::probe::{self, Probe};
use resguardo_vault::{CopyPlace, VaultError};
use serde_json::json;

use crate::config::Config;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{self, Invocation, Opened, Reading};
use crate::keys::KeyFolder;
use crate::kit;
use crate::render::{Output, counted, probing};
use crate::wire::Missing;

const AFTER_HELP: &str = "\
Looks at config, keys, vault, store, clock, disk space, tools and sources, and
changes nothing but some objects below _probe/ in the vault, which it removes
again. Each finding comes with the next command.

Ends with exit code 3 if there is a problem; a warning is none.

Example:
  resguardo doctor --json | jq '.diagnoses[] | select(.severity != \"ok\")'";

/// Look at everything a backup, drill or restore needs
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {}

/// Runs `doctor`.
///
/// # Errors
/// If the configuration makes no sense. A problem that is found is no error, but exit code 3.
pub fn run(invocation: &Invocation, _args: &Args) -> Result<Exit, Failure> {
    let config = invocation.config_for_use(&[])?;
    let mut found = vec![Diagnosis::ok(
        "resguardo",
        format!("version {}", env!("CARGO_PKG_VERSION")),
    )];
    found.push(config_found(&config));
    if config.sources.is_empty() {
        let failure = super::no_source(&config);
        found.push(Diagnosis::not_ok(
            Severity::Warning,
            "sources",
            failure.message,
            failure.hint.unwrap_or_default(),
        ));
    }
    found.extend(sources_not_ready(&config));
    found.extend(retention_found(&config));
    let seen = look_at_store(invocation, &config, &mut found);
    let cache = invocation.home()?.cache().to_path_buf();
    let opened = open(invocation, config, &mut found)?;
    let request = DoctorRequest {
        sources: &opened.sources,
        cache,
        clock_ahead_milliseconds: seen
            .map(|seen| i64::try_from(seen.clock_ahead.as_millis()).unwrap_or(i64::MAX)),
    };
    let said = found.clone();
    found.extend(
        doctor::doctor(&opened.context, &request)
            .into_iter()
            .filter(|diagnosis| !is_said(diagnosis, &said)),
    );
    found.extend(shared_found(invocation, &opened));
    found.extend(copies_found(invocation, &opened));
    found.iter_mut().for_each(without_itself);
    let worst = found
        .iter()
        .map(|diagnosis| diagnosis.severity)
        .max()
        .unwrap_or(Severity::Ok);
    invocation
        .out
        .json(&json!({ "diagnoses": found, "worst": worst }));
    tell(&invocation.out, &found);
    Ok(if worst == Severity::Problem {
        Exit::Findings
    } else {
        Exit::Done
    })
}

/// What is known of each copy, and whether it can be reached.
fn copies_found(invocation: &Invocation, opened: &Opened) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    if opened.context.vault.is_none() {
        return found;
    }
    let placed: Vec<_> = opened
        .config
        .copies
        .iter()
        .map(|copy| invocation.copy_place(&opened.config, copy, Missing::Leave))
        .collect();
    let places: Vec<CopyPlace> = placed.iter().flatten().cloned().collect();
    let mut answers = match copies::lacks_of_each(&opened.context, &places) {
        Ok(answers) => answers.into_iter(),
        Err(error) => return vec![of_failure("copies", &error.into())],
    };
    for (copy, place) in opened.config.copies.iter().zip(placed) {
        let subject = format!("copy {}", copy.name);
        let next = format!(
            "send what is missing with `resguardo copy sync {}`",
            copy.name
        );
        let place = match place {
            Ok(place) => place,
            Err(failure) => {
                found.push(of_failure(&subject, &failure));
                continue;
            }
        };
        match answers.next().expect("each place was asked") {
            Ok(Some(lacks)) if lacks.nothing() => {}
            Ok(Some(lacks)) => {
                let message = format!("it does not know yet of {}", lacks.words());
                found.push(Diagnosis::not_ok(
                    Severity::Warning,
                    &subject,
                    message,
                    &next,
                ));
            }
            // It is begun by the first backup that is sent there, unless it was there before.
            Ok(None) => {
                let message = format!("{} holds no vault", place.describe());
                found.push(Diagnosis::not_ok(
                    Severity::Warning,
                    &subject,
                    message,
                    &next,
                ));
                continue;
            }
            Err(error) => {
                found.push(of_failure(&subject, &error.into()));
                continue;
            }
        }
        match copies::behind(&opened.context, &place.describe()) {
            Ok(behind) => found.extend(behind.iter().map(|one| copy_found(&subject, one, &next))),
            Err(error) => found.push(of_failure(&subject, &error.into())),
        }
        match copies::diagnose_verified(&opened.context, &copy.name, &place.describe()) {
            Ok(verified) => found.extend(verified),
            Err(error) => found.push(of_failure(&subject, &error.into())),
        }
    }
    found
}

fn copy_found(subject: &str, one: &Behind, next: &str) -> Diagnosis {
    let source = &one.source;
    if one.backups == 0 {
        return Diagnosis::ok(subject, format!("it has every backup of {source}"));
    }
    let missing = counted(one.backups, "backup", "backups");
    let message = format!("it lacks {missing} of {source}, of {}", one.of);
    Diagnosis::not_ok(Severity::Warning, subject, message, next)
}

fn config_found(config: &Config) -> Diagnosis {
    match &config.file {
        Some(file) => Diagnosis::ok(
            "config",
            format!(
                "{}, {}",
                file.display(),
                counted(config.sources.len() as u64, "source", "sources")
            ),
        ),
        None => Diagnosis::not_ok(
            Severity::Warning,
            "config",
            "there is no resguardo.toml here: only flags, the environment and defaults count",
            "resguardo init, or name one with --config FILE",
        ),
    }
}

/// What is kept of the sources of each environment.
fn retention_found(config: &Config) -> impl Iterator<Item = Diagnosis> {
    let used = config.sources.iter();
    let used = used.map(|source| source.elsewhere.environment.as_str());
    let used: BTreeSet<&str> = used.collect();
    used.into_iter().map(|name| {
        let settings = config.environments.get(name);
        let message = match settings.and_then(|settings| settings.retention.as_ref()) {
            Some(policy) => {
                let zone = policy
                    .zone
                    .iana_name()
                    .map(|zone| format!(", days of {zone}"));
                format!("{name} keeps {policy}{}", zone.unwrap_or_default())
            }
            None => format!("{name} keeps everything: nothing is ever deleted"),
        };
        Diagnosis::ok("retention", message)
    })
}

fn sources_not_ready(config: &Config) -> impl Iterator<Item = Diagnosis> {
    config.sources.iter().filter_map(|source| {
        let problem = source.spec.as_ref().err()?;
        Some(Diagnosis::not_ok(
            Severity::Problem,
            format!("source {}", source.name),
            problem.message.clone(),
            problem.hint.clone().unwrap_or_default(),
        ))
    })
}

/// What is wrong, as a diagnosis.
fn of_failure(subject: &str, failure: &Failure) -> Diagnosis {
    let message = std::iter::once(failure.message.as_str())
        .chain(failure.causes.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(": ");
    Diagnosis::not_ok(
        Severity::Problem,
        subject,
        message,
        failure.hint.clone().unwrap_or_default(),
    )
}

/// Whether the files of this machine told more of it already: why there is no vault, where the identity
/// lies and why it was not read, that there is no write key.
fn is_said(diagnosis: &Diagnosis, said: &[Diagnosis]) -> bool {
    let no_more = match diagnosis.subject.as_str() {
        "vault" => diagnosis.message == "no vault is configured",
        "identity" | "write key" => diagnosis.severity == Severity::Warning,
        _ => false,
    };
    no_more
        && said.iter().any(|other| {
            other.subject == diagnosis.subject
                || diagnosis.subject == "vault" && other.subject == "store"
        })
}

/// `doctor` is not the next command after `doctor`.
fn without_itself(diagnosis: &mut Diagnosis) {
    if diagnosis.next.contains("`resguardo doctor`") {
        diagnosis.next = match diagnosis.next.split_once("; ") {
            Some((first, _)) => first.to_owned(),
            None => "put that right, then run the same command again".to_owned(),
        };
    }
}

/// The database in which several machines agree, and whether it answers; nothing where there is none.
fn shared_found(invocation: &Invocation, opened: &Opened) -> Option<Diagnosis> {
    const SUBJECT: &str = "shared catalog";
    let vault = opened.context.vault.as_ref()?.id();
    let catalog = match invocation.shared_catalog(&opened.config, vault) {
        Ok(catalog) => catalog?,
        Err(failure) => return Some(of_failure(SUBJECT, &failure)),
    };
    let place = catalog.describe();
    let found = catalog.version().and_then(|version| match version {
        None => Ok(None),
        Some(version) => Ok(Some((version, catalog.look()?))),
    });
    Some(match found {
        Ok(None) => Diagnosis::not_ok(
            Severity::Warning,
            SUBJECT,
            format!("{place} answers, and nobody has served by it yet"),
            "start `resguardo serve`, which makes its tables",
        ),
        Ok(Some((version, look))) => {
            let running = look.jobs.iter().filter(|job| job.held.is_some()).count();
            let runs = counted(running as u64, "run goes on", "runs go on");
            Diagnosis::ok(SUBJECT, format!("{place}, version {version}; {runs}"))
        }
        Err(error) => of_failure(SUBJECT, &OpsError::from(error).into()),
    })
}

/// Whether the recovery kit beside the config tells of what holds now; nothing where there is none.
fn kit_found(opened: &Opened) -> Option<Diagnosis> {
    let path = opened.config.file.as_ref()?.parent()?.join(kit::FILE);
    let page = std::fs::read_to_string(&path).ok()?;
    let vault = opened.context.vault().ok()?;
    let missing = kit::missing(&page, &opened.config, vault.config(), vault.own_key());
    if missing.is_empty() {
        return None;
    }
    Some(Diagnosis::not_ok(
        Severity::Warning,
        "recovery kit",
        format!("{} does not name {}", path.display(), missing.join(", ")),
        "move it away, make a new one with `resguardo keys kit --out FILE`, and print it",
    ))
}

/// What `doctor` says of the identity: where it lies, and whether it can be read.
fn identity_found(opened: &Opened, keys: &KeyFolder) -> Vec<Diagnosis> {
    let named = opened.config.vault.identity.as_ref();
    let named = named.and_then(|setting| setting.value.file());
    let file = keys.diagnose_identity(named);
    let failure = match &opened.unread_identity {
        Some(failure) if named.is_none_or(std::path::Path::exists) => failure,
        _ => return vec![file],
    };
    let mut unread = of_failure("identity", failure);
    if failure.locked {
        // That nobody typed the passphrase says nothing against the identity.
        unread.severity = Severity::Warning;
        unread.message = format!("{}, which was not given: it was not tried", unread.message);
    }
    if file.severity == Severity::Ok {
        vec![unread]
    } else {
        vec![file, unread]
    }
}

fn look_at_store(
    invocation: &Invocation,
    config: &Config,
    found: &mut Vec<Diagnosis>,
) -> Option<Probe> {
    config.vault.url.as_ref()?;
    let nonce = format!(
        "{}-{}",
        invocation.clock.now().as_millisecond(),
        std::process::id()
    );
    let seen = invocation.store(config).and_then(|store| {
        // Nothing is written where there is no vault: `doctor` makes no folders.
        invocation::describe(&*store, &invocation.home()?)
            .map_err(|failure| invocation::with_copies(failure, config))?;
        probe::probe(&*store, &*invocation.clock, &nonce)
            .map_err(|error| VaultError::from(error).into())
    });
    match seen {
        Ok(seen) => {
            found.extend(probing::diagnose(&seen));
            Some(seen)
        }
        Err(failure) => {
            found.push(of_failure("store", &failure));
            None
        }
    }
}

/// The vault if it opens; what keeps it from opening is a finding.
fn open(
    invocation: &Invocation,
    config: Config,
    found: &mut Vec<Diagnosis>,
) -> Result<Opened, Failure> {
    if config.vault.url.is_none() {
        found.push(Diagnosis::not_ok(
            Severity::Problem,
            "vault",
            "no vault is configured",
            "resguardo init, or name one with --vault URL",
        ));
        return invocation.open_without_vault(config);
    }
    match invocation.open_with(config.clone(), Reading::IfAtHand) {
        Ok(opened) => {
            if let Some(keys) = &opened.keys {
                found.push(keys.diagnose_write_key());
                found.extend(identity_found(&opened, keys));
            }
            found.extend(kit_found(&opened));
            Ok(opened)
        }
        Err(failure) => {
            let problem = of_failure("vault", &failure);
            // The store may have said the same.
            if found.iter().all(|other| other.message != problem.message) {
                found.push(problem);
            }
            invocation.open_without_vault(config)
        }
    }
}

fn tell(out: &Output, found: &[Diagnosis]) {
    for diagnosis in found {
        let word = match diagnosis.severity {
            Severity::Ok => out.good("ok     "),
            Severity::Warning => out.dubious("warning"),
            Severity::Problem => out.bad("PROBLEM"),
        };
        if diagnosis.severity == Severity::Ok {
            out.say(&format!(
                "{word}  {}: {}",
                diagnosis.subject, diagnosis.message
            ));
        } else {
            out.print(&format!(
                "{word}  {}: {}",
                diagnosis.subject, diagnosis.message
            ));
            if !diagnosis.next.is_empty() {
                out.print(&format!("         next: {}", diagnosis.next));
            }
        }
    }
}
