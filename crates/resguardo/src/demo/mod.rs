//! The demo: the real commands, run in this process on a made-up shop, in a private temporary folder
//! with its own home. Nothing outside that folder is read or written.

mod random;
mod shop;
mod tienda;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser as _;
use resguardo_model::size::ByteSize;
use resguardo_store::durable::{self, Mode};

use crate::ambient::Ambient;
use crate::cli::Cli;
use crate::commands;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::Invocation;
use crate::render::{Output, time};
use shop::{DEMO, Shop, summary};

/// What was shown.
pub struct Shown {
    /// Where it lies, if it was kept.
    pub folder: Option<PathBuf>,
    /// The commands, in their order.
    pub steps: Vec<Step>,
    /// After the restore the shop was what it had been before the disaster.
    pub whole_again: bool,
}

/// One command and how long it took.
pub struct Step {
    /// As it would be typed.
    pub command: String,
    /// Seconds.
    pub seconds: f64,
}

const CHECKS: &str = r#"
[[sources.shop.checks]]
name = "customers"
sql = "select count(*) from customers"
min = 1000

[[sources.shop.checks]]
name = "every order adds up"
sql = """
select count(*) from orders o where total_cents <>
  (select sum(quantity * price_cents) from order_lines l where l.order_id = o.id)"""
equals = 0

[[sources.shop.checks]]
name = "every paid order has its payment"
sql = """
select count(*) from orders o left join payments p on p.order_id = o.id
where o.status in ('paid', 'shipped') and p.amount_cents is not o.total_cents"""
equals = 0
"#;

/// Runs the demo.
///
/// # Errors
/// If a step fails.
pub fn show(invocation: &Invocation, keep: bool) -> Result<Shown, Failure> {
    let begun = Instant::now();
    let folder = tempfile::Builder::new()
        .prefix("resguardo-demo-")
        .tempdir()
        .map_err(|error| Failure::user("making a temporary folder").because(&error))?;
    let mut stage = Stage::new(invocation, folder.path());
    let whole_again = play(&mut stage)?;
    let out = &invocation.out;
    out.say("");
    out.say(&format!(
        "{} in {}. On your own database it is the same four commands: init, backup, drill, restore.",
        if whole_again { "Everything came back" } else { "NOT everything came back" },
        time::length(begun.elapsed().as_secs_f64())
    ));
    let steps = stage.steps;
    let folder = keep.then(|| folder.keep());
    match &folder {
        Some(folder) => out.say(&format!(
            "The folder is kept: cd {} && export RESGUARDO_HOME=$PWD/home",
            folder.display()
        )),
        None => out.say("The folder is removed again; `resguardo demo --keep` keeps it."),
    }
    Ok(Shown {
        folder,
        steps,
        whole_again,
    })
}

/// The play itself. Tells whether the shop was whole in the end.
fn play(stage: &mut Stage<'_>) -> Result<bool, Failure> {
    let database = stage.folder.join("shop.sqlite");
    stage.scene(
        "A shop",
        "A SQLite database in WAL mode; the application keeps it open all the time.",
    );
    let mut shop = Shop::create(&database, DEMO).map_err(broken)?;
    stage.look(&database)?;
    protect(stage, &mut shop)?;
    let before = summary(&database).map_err(broken)?;
    lose_and_recover(stage, shop)?;
    stage.look(&database)?;
    let after = summary(&database).map_err(broken)?;
    let on_server = tienda::play(stage)?;
    stage.scene(
        "Evidence",
        "Who did what, when, with which result; each record signed and chained to the last.",
    );
    stage.run("list")?;
    stage.run("receipts verify")?;
    Ok(before == after && on_server.unwrap_or(true))
}

/// Set up, two backups, a drill.
fn protect(stage: &mut Stage<'_>, shop: &mut Shop) -> Result<(), Failure> {
    stage.scene(
        "Set up",
        "A vault, its keys outside of it, a config, and a page for the worst day.",
    );
    stage.run("init --vault ./vault --source shop=./shop.sqlite --yes")?;
    append(&stage.folder.join("resguardo.toml"), CHECKS)?;
    stage.tell("three checks of the shop's own were added to resguardo.toml");

    stage.scene(
        "First backup",
        "Taken while the application works; only encrypted data leaves the machine.",
    );
    stage.run("backup")?;

    stage.scene(
        "Business goes on",
        "150 new orders. The next backup stores the pages that changed.",
    );
    shop.add_orders(150).map_err(broken)?;
    stage.run("backup --reason daily")?;

    stage.scene(
        "Proof",
        "The backup is restored into a sandbox, compared, checked, timed; the result is signed.",
    );
    stage.run("drill shop --report drill.html")
}

/// The disaster, and the way back.
fn lose_and_recover(stage: &mut Stage<'_>, mut shop: Shop) -> Result<(), Failure> {
    stage.scene(
        "Disaster",
        "An UPDATE without WHERE, then a DROP TABLE. It commits, of course.",
    );
    let lost = shop.disaster().map_err(broken)?;
    // The application is stopped: it would go on with the old file.
    shop.close().map_err(broken)?;
    stage.tell(&format!(
        "{lost} orders are cancelled and worth nothing, all payments are gone"
    ));

    stage.scene(
        "Recovery",
        "Over a database that holds data only by its name, and after a backup of it.",
    );
    stage.run("restore latest --to ./shop.sqlite --clean --yes-overwrite shop.sqlite")
}

fn broken(error: rusqlite::Error) -> Failure {
    Failure::user("the demo's database").because(&error)
}

/// Writes more into the config.
fn append(config: &Path, more: &str) -> Result<(), Failure> {
    let mut text =
        std::fs::read_to_string(config).map_err(|error| Failure::io("reading", config, &error))?;
    text.push_str(more);
    Ok(durable::write(config, text.as_bytes(), Mode::READABLE)?)
}

/// The folder of the demo and everything that happens in it.
struct Stage<'a> {
    invocation: &'a Invocation,
    ambient: Ambient,
    folder: PathBuf,
    steps: Vec<Step>,
    scenes: u32,
}

impl<'a> Stage<'a> {
    fn new(invocation: &'a Invocation, folder: &Path) -> Self {
        let mut variables = BTreeMap::from([(
            "RESGUARDO_HOME".to_owned(),
            folder.join("home").display().to_string(),
        )]);
        for name in ["NO_COLOR", "TERM", "PATH"] {
            if let Some(value) = invocation.ambient.variable(name) {
                variables.insert(name.to_owned(), value.to_owned());
            }
        }
        Self {
            ambient: Ambient {
                variables,
                folder: folder.to_path_buf(),
                asks: false,
                ..invocation.ambient.clone()
            },
            invocation,
            folder: folder.to_path_buf(),
            steps: Vec::new(),
            scenes: 0,
        }
    }

    fn scene(&mut self, title: &str, what: &str) {
        self.scenes += 1;
        let out = &self.invocation.out;
        if self.scenes > 1 {
            out.say("");
        }
        out.say(&out.bold(&format!("{}. {title}", self.scenes)));
        out.say(&out.pale(what));
    }

    fn tell(&self, line: &str) {
        self.invocation.out.say(line);
    }

    /// What a person would ask to see that all is well.
    fn look(&self, database: &Path) -> Result<(), Failure> {
        let (orders, payments, cents) = summary(database).map_err(broken)?;
        let bytes = std::fs::metadata(database).map_or(0, |metadata| metadata.len());
        self.tell(&format!(
            "shop.sqlite: {}, {orders} orders, {payments} payments, {}.{:02} in revenue",
            ByteSize(bytes),
            cents / 100,
            cents % 100
        ));
        Ok(())
    }

    /// Runs one command as if it were typed in the folder.
    fn run(&mut self, arguments: &str) -> Result<(), Failure> {
        let command = format!("resguardo {arguments}");
        let out = &self.invocation.out;
        out.say(&format!("$ {}", out.bold(&command)));
        let words = command.split_whitespace().map(|word| match word {
            "$DATABASE_URL" => self.ambient.variable("DATABASE_URL").unwrap_or(word),
            other => other,
        });
        let cli = Cli::try_parse_from(words).map_err(|error| Failure::usage(error.to_string()))?;
        let mut inner = Invocation::new(self.ambient.clone(), cli.global);
        inner.cancel = self.invocation.cancel.clone();
        inner.clock = self.invocation.clock.clone();
        inner.global.lang = self.invocation.global.lang;
        inner.out = Output {
            silent: out.json || out.quiet,
            json: false,
            quiet: out.json || out.quiet,
            ..out.clone()
        };
        inner.global.quiet = inner.out.quiet || !self.ambient.stderr_terminal;
        let begun = Instant::now();
        let exit = commands::run(&inner, cli.command)?;
        let seconds = begun.elapsed().as_secs_f64();
        out.say(&out.pale(&format!("took {}", time::length(seconds))));
        self.steps.push(Step {
            command: command.clone(),
            seconds,
        });
        if exit != Exit::Done {
            return Err(Failure::new(
                exit,
                format!("{command} found something wrong"),
            ));
        }
        Ok(())
    }
}
