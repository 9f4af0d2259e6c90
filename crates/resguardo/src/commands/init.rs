//! `init`: a vault, its keys, a config, and the page that says how to get data back.

use std::path::{Path, PathBuf};

use resguardo_model::{Severity, SourceName, WriterId};
use resguardo_store::Store;
use resguardo_store::durable::{self, DurableError, Mode};
use resguardo_store::probe::{self, Probe};
use resguardo_vault::VaultError;
use serde_json::{Value, json};

use crate::config::load::{self, Overrides};
use crate::config::problem::shown_path;
use crate::config::{Config, location, resolve};
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::Invocation;
use crate::kit;
use crate::render::probing;
use crate::render::table::pairs;
use crate::setup::plan::{self, Plan, Wishes};
use crate::setup::strangers::{self, Stranger};
use crate::setup::vault::{self, Ready};
use crate::template;
use crate::wire::{self, Missing};

const AFTER_HELP: &str = "\
Sets up a vault, the keys of this machine, resguardo.toml and the recovery
kit; or joins a vault that is there, and names the writers in it that are not
trusted yet.

Examples:
  resguardo init                          asks what it needs to know
  resguardo init --vault ./vault --source shop=./shop.db --yes
  resguardo init --vault s3://bucket/shop --passphrase-file pass.txt --yes
  resguardo init --vault s3://bucket/shop --identity identity.txt --yes
                                          joins it, to read and write
  resguardo init --vault s3://bucket/shop --write-only --recipient age1...
                                          a host that cannot read history
  resguardo init --trust ed25519:...      believes one more writer

The keys go into RESGUARDO_HOME, or the platform's config folder, never into
the vault. A run that was interrupted can be run again. A config that is there
is used and left as it is.";

/// Set up a vault, its keys and a config
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A database to protect; may be repeated
    #[arg(long = "source", value_name = "NAME=URL")]
    sources: Vec<String>,
    /// Who can read the backups, besides the identity that is made; may be repeated
    #[arg(long = "recipient", value_name = "AGE1...")]
    recipients: Vec<String>,
    /// Make no identity: this machine takes backups and cannot read them
    #[arg(long, conflicts_with = "identity")]
    write_only: bool,
    /// Believe another writer of the vault as well; may be repeated
    #[arg(long = "trust", value_name = "ed25519:HEX")]
    trust: Vec<WriterId>,
    /// Begin another vault at a place where this machine knows one that is gone
    #[arg(long)]
    new_vault: bool,
    /// Ask nothing
    #[arg(long, short)]
    yes: bool,
}

/// Runs `init`.
///
/// # Errors
/// If something is in the way. What was done until then is used by the next run.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let wishes = Wishes {
        vault: invocation.global.vault.clone(),
        config: invocation.global.config.clone(),
        sources: args.sources.clone(),
        recipients: args.recipients.clone(),
        write_only: args.write_only,
        identity: invocation.global.identity.clone(),
        trust: args.trust.clone(),
        new_vault: args.new_vault,
        yes: args.yes,
    };
    let home = invocation.home()?;
    let (plan, config) = planned(invocation, &wishes)?;
    let store = wire::open_store(
        &config.vault,
        &config.folder,
        Missing::Create,
        &invocation.cancel,
    )?;
    let seen = trial(invocation, &*store)?;
    let ready = vault::set_up(invocation, &home, &*store, &wishes, &config)?;
    let kit = write_kit(invocation, &plan, &config, &ready)?;
    let config_written = write_config(&plan)?;
    let strangers = if ready.created {
        Vec::new()
    } else {
        strangers::of_vault(invocation, &home, store, &ready.keys)?
    };
    let done = Done {
        absent: plan::absent_sources(&plan),
        strangers,
        plan,
        config,
        ready,
        kit,
        config_written,
        seen,
    };
    invocation.out.json(&done.as_json());
    done.tell(invocation);
    Ok(Exit::Done)
}

/// The plan, and the configuration as it will be.
fn planned(invocation: &Invocation, wishes: &Wishes) -> Result<(Plan, Config), Failure> {
    let overrides = invocation.overrides();
    let there = load::find(&invocation.ambient, &overrides).filter(|path| path.exists());
    if let Some(path) = there {
        if !wishes.sources.is_empty() {
            return Err(Failure::new(
                Exit::Refused,
                format!("{} exists already, and is not overwritten", path.display()),
            )
            .hint(format!(
                "add the source to {} yourself, or move the file away",
                path.display()
            )));
        }
        let config = load::load(&invocation.ambient, &overrides)?;
        let vault = config
            .vault
            .url
            .as_ref()
            .map(|url| url.value.clone())
            .unwrap_or_default();
        return Ok((
            Plan {
                config: path,
                existing: true,
                vault,
                sources: Vec::new(),
            },
            config,
        ));
    }
    let plan = plan::make(&invocation.ambient, wishes)?;
    let folder = plan.config.parent().unwrap_or(&invocation.ambient.folder);
    let url = location::vault_url(&plan.vault, folder);
    let config = resolve::without_file(
        &invocation.ambient,
        &Overrides {
            vault: Some(url),
            ..Overrides::default()
        },
    )?;
    Ok((plan, config))
}

/// Tries the store out with objects that are removed again.
fn trial(invocation: &Invocation, store: &dyn Store) -> Result<Probe, Failure> {
    let nonce = format!(
        "{}-{}",
        invocation.clock.now().as_millisecond(),
        std::process::id()
    );
    probe::probe(store, &*invocation.clock, &nonce).map_err(|error| VaultError::from(error).into())
}

/// Writes the recovery kit beside the config; one that is there is kept, for it may have notes in it.
fn write_kit(
    invocation: &Invocation,
    plan: &Plan,
    config: &Config,
    ready: &Ready,
) -> Result<WrittenKit, Failure> {
    let folder = plan.config.parent().unwrap_or(&invocation.ambient.folder);
    durable::create_folder(folder, Mode::READABLE_FOLDER)?;
    let path = folder.join(kit::FILE);
    let sources = match plan.existing {
        true => kit::sources_of(config),
        false => {
            let all = plan.sources.iter();
            all.map(|source| (source.name.to_string(), source.engine))
                .collect()
        }
    };
    let key = ready.keys.read_write_key()?;
    let about = kit::About {
        config,
        description: &ready.description,
        key: &key.ok_or_else(|| Failure::from(VaultError::NoWriteKey))?,
        identity: ready.identity.clone(),
        sources,
        host: invocation.ambient.host.clone(),
        now: invocation.clock.now(),
    };
    let page = about.kit().render(invocation.global.lang);
    match durable::create_new(&path, page.as_bytes(), Mode::READABLE) {
        Ok(()) => Ok(WrittenKit { path, kept: false }),
        Err(DurableError::AlreadyThere { .. }) => Ok(WrittenKit { path, kept: true }),
        Err(error) => Err(error.into()),
    }
}

/// Writes the config, the last of all: it says that everything else is there.
fn write_config(plan: &Plan) -> Result<bool, Failure> {
    if plan.existing {
        return Ok(false);
    }
    let text = template::render(&plan.vault, &plan.sources);
    durable::create_new(&plan.config, text.as_bytes(), Mode::READABLE)?;
    Ok(true)
}

struct WrittenKit {
    path: PathBuf,
    kept: bool,
}

struct Done {
    plan: Plan,
    config: Config,
    ready: Ready,
    kit: WrittenKit,
    config_written: bool,
    seen: Probe,
    /// Writers of a vault that was joined.
    strangers: Vec<Stranger>,
    /// Sources whose file is not there, with its path.
    absent: Vec<(SourceName, PathBuf)>,
}

impl Done {
    /// The shape of `docs/json.md`.
    fn as_json(&self) -> Value {
        json!({
            "vault": self.ready.description.vault,
            "url": self.config.vault.url.as_ref().map(|url| &url.value),
            "created": self.ready.created,
            "recipients": self.ready.description.recipients,
            "writer": self.ready.writer,
            "config": self.plan.config,
            "keys": self.ready.keys.path(),
            "identity": self.ready.identity,
            "recovery_kit": self.kit.path,
            "untrusted_writers": self.strangers.iter().map(Stranger::as_json).collect::<Vec<_>>(),
            "absent_sources": self.absent.iter().map(|(name, path)| json!({ "name": name, "path": path })).collect::<Vec<_>>(),
            "probe": probing::as_json(&self.seen),
        })
    }

    fn tell(&self, invocation: &Invocation) {
        let out = &invocation.out;
        out.say(&pairs(&self.rows(invocation)));
        for diagnosis in probing::diagnose(&self.seen) {
            if diagnosis.severity != Severity::Ok {
                out.warn(&format!("{}: {}", diagnosis.subject, diagnosis.message));
            }
        }
        let sources = if self.plan.existing {
            self.config.sources.len()
        } else {
            self.plan.sources.len()
        };
        if sources == 0 {
            out.warn(&format!(
                "no source is configured, so that there is nothing to back up: add to {}: [sources.shop] and below it url = \"postgresql://USER@HOST:PORT/DATABASE\", or the path of a SQLite database",
                shown_path(&self.plan.config, &invocation.ambient.folder).display()
            ));
        }
        for (name, path) in &self.absent {
            out.warn(&format!(
                "source {name}: there is no file {} yet, and no backup before there is",
                path.display()
            ));
        }
        // Whoever cannot read has no use for what others wrote.
        if self.ready.identity.is_some() {
            for stranger in &self.strangers {
                out.warn(&stranger.advice());
            }
        }
        if self.ready.identity.is_some() {
            out.warn(
                "put a copy of the identity and of the recovery kit somewhere else now: without the identity nobody can open the backups",
            );
        }
        out.say("");
        out.say("next:");
        for (command, why) in [
            ("resguardo doctor", "is everything as it should be?"),
            ("resguardo backup", "take the first backup"),
            if self.ready.identity.is_some() {
                ("resguardo drill", "prove that it comes back")
            } else {
                (
                    "resguardo verify --depth heads",
                    "check the vault without an identity",
                )
            },
        ] {
            out.say(&format!("  {command:<32} {why}"));
        }
    }

    /// What there is now, and what of it was there before.
    fn rows(&self, invocation: &Invocation) -> Vec<(&'static str, String)> {
        let shown = |path: &Path| {
            shown_path(path, &invocation.ambient.folder)
                .display()
                .to_string()
        };
        let ready = &self.ready;
        let place = self
            .config
            .vault
            .url
            .as_ref()
            .map(|url| url.value.as_str())
            .unwrap_or_default();
        let made = if ready.created { "made" } else { "joined" };
        let key = if ready.new_writer {
            "made, mode 0600"
        } else {
            "was there"
        };
        let identity = match &ready.identity {
            Some(path) if ready.protected => {
                format!("{} (protected by a passphrase)", path.display())
            }
            Some(path) => path.display().to_string(),
            None => "not on this machine: it can take backups and not read them".to_owned(),
        };
        let kept = |kept: bool| if kept { " (was there, kept)" } else { "" };
        vec![
            (
                "vault",
                format!("{place} ({made}, id {})", ready.description.vault),
            ),
            ("recipients", ready.description.recipients.join(", ")),
            (
                "write key",
                format!("{} ({key})", ready.keys.write_key_path().display()),
            ),
            ("identity", identity),
            (
                "config",
                format!("{}{}", shown(&self.plan.config), kept(!self.config_written)),
            ),
            (
                "recovery kit",
                format!("{}{}", shown(&self.kit.path), kept(self.kit.kept)),
            ),
            ("store", probing::in_words(&self.seen)),
        ]
    }
}
