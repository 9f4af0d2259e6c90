//! `keys`: who may read the backups, and whose word is believed.

mod change;
mod kit;
mod list;
mod passphrase;
mod rehearse;
mod rotate;

use std::path::PathBuf;

use jiff::Timestamp;
use resguardo_model::WriterId;
use resguardo_ops::copy;
use resguardo_ops::keys::{self, GivenOf, Recorded, Signed};
use resguardo_store::Store;
use resguardo_vault::{VaultError, WriteKey};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::config::{Config, KeyPlace};
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{self, Invocation, Opened, Reading};
use crate::keys::{KeyFolder, not_writable, replace_write_key_at};
use crate::render::counted;

const AFTER_HELP: &str = "\
A recipient reads: backups are encrypted to the recipients of the vault, and
whoever holds a recipient's identity opens them. A writer signs: each host
that takes backups has one, and believes those that it was told to.

Examples:
  resguardo keys list
  resguardo keys add age1... --old-backups
  resguardo keys add \"ssh-ed25519 AAAA... ana@laptop\"
  resguardo keys retire age1...
  resguardo keys retire ed25519:... --signed-before 2026-11-01T00:00:00Z
  resguardo keys rehearse --identity /mnt/usb/identity.txt
  resguardo keys kit --out recovery-kit-2026.md

No object is ever encrypted anew: what a retired recipient could read stays
readable to it, in every copy that it has.";

/// Who may read the backups, and whose word is believed
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: KeysVerb,
}

#[derive(Debug, clap::Subcommand)]
enum KeysVerb {
    /// Show recipients and writers, and what each can open or signed
    List,
    /// Let one more recipient read; on every host that takes backups
    Add {
        /// The public key: age1..., ssh-ed25519 ..., ssh-rsa ..., or one of an age plugin
        recipient: String,
        /// Also the backups that are there; needs an identity that opens them
        #[arg(long)]
        old_backups: bool,
        /// Retire this one in the same step: an identity that was rotated on another host
        #[arg(long, value_name = "RECIPIENT")]
        instead_of: Option<String>,
    },
    /// Encrypt no more to a recipient, or believe nothing more of a writer
    Retire {
        /// The recipient, or the writer (ed25519:...)
        key: String,
        /// Of a writer: believe only what the store had by then, by its own clock
        #[arg(long, value_name = "TIME")]
        signed_before: Option<Timestamp>,
        /// Go on although this copy cannot be reached; may be repeated
        #[arg(long, value_name = "COPY")]
        without_copy: Vec<String>,
    },
    /// Believe a writer, after comparing it with its host's recovery kit
    Trust {
        /// The writer (ed25519:...)
        writer: WriterId,
        /// Also if it was retired here: whoever has its key is believed again, in all that it signed
        #[arg(long)]
        again: bool,
    },
    /// Put a new key in the place of this machine's own
    Rotate {
        /// Which
        #[arg(value_enum)]
        which: Which,
        /// Of the identity: let the new one open the backups that are there
        #[arg(long)]
        old_backups: bool,
        /// Of the writer: believe only what the store had by then, by its own clock
        #[arg(long, value_name = "TIME")]
        signed_before: Option<Timestamp>,
        /// Go on although this copy cannot be reached; may be repeated
        #[arg(long, value_name = "COPY")]
        without_copy: Vec<String>,
    },
    /// Set, change or remove the passphrase of the identity
    Passphrase {
        /// A file whose first line is the new passphrase [default: asked for]
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
        /// Leave the identity without one
        #[arg(long, conflicts_with = "new_passphrase_file")]
        remove: bool,
    },
    /// Open the newest backup of every source with the identity that is kept elsewhere, now
    Rehearse,
    /// Write the recovery kit anew: where the vault and its copies are, who reads, whom to believe
    Kit {
        /// A new file for it [default: it is printed]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// A key of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    /// What this machine signs with.
    Writer,
    /// What opens backups.
    Identity,
}

/// Runs `keys`.
///
/// # Errors
/// If a key is none, or what is to be changed is not what this machine knows.
pub fn run(invocation: &Invocation, args: Args) -> Result<Exit, Failure> {
    match args.verb {
        KeysVerb::List => list::run(invocation),
        KeysVerb::Add {
            recipient,
            old_backups,
            instead_of,
        } => change::add(invocation, &recipient, instead_of.as_deref(), old_backups),
        KeysVerb::Retire {
            key,
            signed_before,
            without_copy,
        } => {
            refuse_future(invocation, signed_before)?;
            if key.starts_with("ed25519:") {
                let writer = key.parse().map_err(|_| {
                    Failure::usage(format!("{key} is no writer (ed25519: and 64 digits)"))
                        .hint("see the writers with `resguardo keys list`")
                })?;
                return change::retire_writer(invocation, writer, signed_before, &without_copy);
            }
            if signed_before.is_some() {
                return Err(Failure::usage(
                    "--signed-before is for writers: a recipient signs nothing",
                ));
            }
            change::retire_recipient(invocation, &key, &without_copy)
        }
        KeysVerb::Trust { writer, again } => change::trust(invocation, writer, again),
        KeysVerb::Rotate {
            which: Which::Writer,
            signed_before,
            without_copy,
            ..
        } => {
            refuse_future(invocation, signed_before)?;
            rotate::writer(invocation, signed_before, &without_copy)
        }
        KeysVerb::Rotate {
            which: Which::Identity,
            old_backups,
            without_copy,
            ..
        } => rotate::identity(invocation, old_backups, &without_copy),
        KeysVerb::Passphrase {
            new_passphrase_file,
            remove,
        } => passphrase::run(invocation, new_passphrase_file.as_deref(), remove),
        KeysVerb::Rehearse => rehearse::run(invocation),
        KeysVerb::Kit { out } => kit::run(invocation, out.as_deref()),
    }
}

/// What is signed until then by whoever has the key would be believed.
fn refuse_future(invocation: &Invocation, before: Option<Timestamp>) -> Result<(), Failure> {
    let now = invocation.clock.now();
    match before.filter(|before| *before > now) {
        Some(before) => Err(Failure::user(format!(
            "--signed-before {before} is still to come, and it is {now:.0} now"
        ))
        .hint(
            "name a time that is past, or leave it out: then what the store has now stays believed",
        )),
        None => Ok(()),
    }
}

/// What a change of keys works on. The vault is not opened: where it differs from the pin, it could not be.
struct Ground {
    config: Config,
    store: Arc<dyn Store>,
    keys: KeyFolder,
    key: WriteKey,
}

impl Ground {
    fn find(invocation: &Invocation) -> Result<Self, Failure> {
        let config = invocation.config()?;
        let store = invocation.store(&config)?;
        let description = invocation::describe(&*store, &invocation.home()?)
            .map_err(|failure| invocation::with_copies(failure, &config))?;
        let keys = KeyFolder::new(invocation.home()?.keys(description.vault));
        if let Some(place) = &config.vault.write_key
            && place.value.file().is_none()
        {
            return Err(not_writable(&place.value));
        }
        let key = invocation.write_key(&config, &keys)?;
        let key = key.ok_or_else(|| Failure::from(VaultError::NoWriteKey))?;
        Ok(Self {
            config,
            store,
            keys,
            key,
        })
    }

    /// Stores the write key where it was read from.
    fn store_key(&self, key: &WriteKey) -> Result<(), Failure> {
        match &self.config.vault.write_key {
            Some(place) => replace_write_key_at(&place.value, key),
            None => Ok(self.keys.replace_write_key(key)?),
        }
    }

    /// Where the identity of this machine is, as a file that can be written.
    fn identity_place(&self) -> Result<KeyPlace, Failure> {
        let place = match &self.config.vault.identity {
            Some(setting) => setting.value.clone(),
            None => KeyPlace::File(self.keys.identity_path()),
        };
        match place.file() {
            Some(_) => Ok(place),
            None => Err(Failure::user(format!(
                "the identity comes from {place}, where nothing can be written to"
            ))
            .hint("put it into a private file, name that with --identity FILE, and put the changed file back")),
        }
    }
}

/// Refuses a change of keys as long as a copy cannot be reached: what it alone holds could not be asked, and it
/// would not learn of the change. Nothing was changed until then.
fn reach_copies(
    invocation: &Invocation,
    config: &Config,
    without: &[String],
) -> Result<(), Failure> {
    for name in without {
        if !config.copies.iter().any(|copy| copy.name == *name) {
            return Err(
                Failure::usage(format!("--without-copy {name}: there is no copy {name}"))
                    .hint("see the copies with `resguardo copy status`"),
            );
        }
    }
    let (mut places, mut failed) = invocation.copy_places(config);
    places.retain(|place| !without.iter().any(|name| name == place.name()));
    failed.retain(|(name, _)| !without.contains(name));
    // Where the vault differs from the pin, only the places themselves can be asked.
    let answers: Vec<Option<Failure>> = match invocation.open(Reading::Nothing) {
        Ok(opened) => copy::open_each(&opened.context, &places)
            .into_iter()
            .map(|answer| answer.err().map(Failure::from))
            .collect(),
        Err(_) => copy::unreached(&places)
            .into_iter()
            .map(|error| error.map(Failure::from))
            .collect(),
    };
    let asked = places.iter().zip(answers);
    let asked = asked.filter_map(|(place, failure)| Some((place.name().to_owned(), failure?)));
    let mut unreached = asked.chain(failed);
    let Some((name, cause)) = unreached.next() else {
        return Ok(());
    };
    let mut names = vec![name.clone()];
    names.extend(unreached.map(|(name, _)| name));
    let mut failure = Failure::new(
        cause.exit,
        format!("the copy {name} cannot be reached, and nothing was changed"),
    );
    failure.causes = std::iter::once(cause.message).chain(cause.causes).collect();
    let flags: Vec<String> = names
        .iter()
        .map(|name| format!("--without-copy {name}"))
        .collect();
    Err(failure.hint(format!(
        "run it again once it can be reached; or go on without it with {}, and bring it up to date later with `resguardo copy sync {}`",
        flags.join(" "),
        names.join(" ")
    )))
}

/// What a writer signed, at the vault and at every copy; and words about the copies that could not be asked.
fn signed_everywhere(
    invocation: &Invocation,
    opened: &Opened,
    writer: WriterId,
    (before, without): (Option<Timestamp>, &[String]),
) -> Result<(Signed, Vec<String>), Failure> {
    let (mut places, mut failed) = invocation.copy_places(&opened.config);
    let is_left_out = |name: &str| without.iter().any(|one| one == name);
    places.retain(|place| !is_left_out(place.name()));
    failed.retain(|(name, _)| !is_left_out(name));
    let mut signed = keys::signed_by(&opened.context, writer, before, &places)?;
    let failed = failed
        .into_iter()
        .map(|(name, failure)| (name, failure.in_a_line()));
    signed.unreached.extend(failed);
    let left_out = without.iter().cloned();
    signed
        .unreached
        .extend(left_out.map(|name| (name, "it was left out".to_owned())));
    let warnings = signed.unreached.iter().map(|(name, why)| {
        format!(
            "the copy {name} could not be asked, and what it alone holds of {writer} is not believed here: {why}; once it can be reached: `resguardo keys trust {writer} --again`, and at once `resguardo keys retire {writer} --signed-before {:.0}`",
            invocation.clock.now()
        )
    });
    let mut warnings: Vec<String> = warnings.collect();
    if signed.refused > 0 {
        warnings.push(format!(
            "{} of {writer} in the vault are believed no more, and nothing restores them",
            counted(signed.refused, "backup", "backups"),
        ));
    }
    Ok((signed, warnings))
}

/// What a change leaves behind: further headers if they are wished for, and receipts.
struct Left {
    given: Option<Vec<GivenOf>>,
    recorded: Recorded,
}

impl Left {
    fn of(
        invocation: &Invocation,
        (action, what): (&str, &str),
        old_backups: Option<&str>,
    ) -> Result<Self, Failure> {
        let reading = match old_backups {
            Some(_) => Reading::Backups,
            None => Reading::Nothing,
        };
        let opened: Opened = invocation.open(reading)?;
        let given = match old_backups {
            Some(recipient) => {
                let to = [recipient.to_owned()];
                Some(keys::give_old_backups(&opened.context, &to)?)
            }
            None => None,
        };
        let recorded = keys::record(&opened.context, action, what)?;
        Ok(Self { given, recorded })
    }

    /// Brings every copy the present `vault.json`: without it, whoever reads from the copy later would be
    /// told of recipients that are none any more. A copy that cannot be reached is a note.
    fn tell_copies(&mut self, invocation: &Invocation, without: &[String]) -> Result<(), Failure> {
        let opened = invocation.open(Reading::Nothing)?;
        let (mut places, mut failed) = invocation.copy_places(&opened.config);
        let is_left_out = |name: &str| without.iter().any(|one| one == name);
        places.retain(|place| !is_left_out(place.name()));
        failed.retain(|(name, _)| !is_left_out(name));
        let told = copy::refresh_each(&opened.context, &places);
        let told = places.iter().zip(told);
        let told = told.filter_map(|(place, told)| {
            let failure = Failure::from(told.err()?);
            Some((place.name().to_owned(), failure.in_a_line()))
        });
        let failed = failed.into_iter();
        let failed = failed.map(|(name, failure)| (name, failure.in_a_line()));
        let left_out = without.iter();
        let left_out = left_out.map(|name| (name.clone(), "it was left out".to_owned()));
        for (name, why) in told.chain(failed).chain(left_out) {
            self.recorded.notes.push(format!(
                "the copy {name} does not know of it yet: {why}; once it can be reached: `resguardo copy sync {name}`"
            ));
        }
        Ok(())
    }

    /// The page that was printed does not tell of the change.
    fn kit_is_older(&mut self) {
        self.recorded.notes.push(
            "the recovery kit does not tell of this: make a new one with `resguardo keys kit --out FILE`, and print it"
                .to_owned(),
        );
    }

    fn add_to(&self, answer: &mut Value) {
        answer["old_backups"] = match &self.given {
            None => Value::Null,
            Some(all) => all.iter().map(given_json).collect(),
        };
        answer["receipts"] = json!(self.recorded.receipts);
        answer["notes"] = json!(self.recorded.notes);
    }

    /// Tells of it; answers how it went.
    fn tell(&self, invocation: &Invocation) -> Exit {
        let out = &invocation.out;
        let mut exit = Exit::Done;
        for GivenOf { source, given } in self.given.iter().flatten() {
            let objects = counted(given.objects, "object", "objects");
            out.say(&format!(
                "{source}: {objects} of the old backups opened to it, {} before",
                given.already
            ));
            for finding in &given.findings {
                out.print(&format!("{} {}", out.bad("stays closed:"), finding.message));
                exit = Exit::Findings;
            }
        }
        for note in &self.recorded.notes {
            out.note(note);
        }
        exit
    }
}

fn given_json(of: &GivenOf) -> Value {
    json!({
        "source": of.source,
        "objects": of.given.objects,
        "already": of.given.already,
        "findings": of.given.findings,
    })
}
