//! `users`: who may log in to the pages of `serve`.

use std::io::BufRead as _;
use std::path::PathBuf;

use clap::Subcommand;
use resguardo_model::{Role, UserName};
use resguardo_ops::audit::{self, Deed};
use resguardo_ops::catalog::Catalog;
use resguardo_ops::users::{self, UsersError};
use resguardo_store::durable::{self, Mode};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Reading};
use crate::prompt;
use crate::render::table::table;
use crate::render::time;

const AFTER_HELP: &str = "\
A viewer looks. An operator takes backups, drills, verifies, pins and resolves
exceptions as well. An admin may also take pins away and see who has access.

Users are kept in the catalog of this machine. There is none until one is
made here, and no first password.

Examples:
  resguardo users add ana --role admin
  resguardo users add maria@example.com --role viewer < password.txt
  resguardo users role maria@example.com operator
  resguardo users passwd ana
  resguardo users remove maria@example.com";

/// Who may log in to the pages of `serve`
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: UsersVerb,
}

#[derive(Debug, Subcommand)]
enum UsersVerb {
    /// Add one; the password is asked for, or the first line of standard input
    Add {
        /// The name
        name: UserName,
        /// What he may do: viewer, operator or admin
        #[arg(long, value_name = "ROLE")]
        role: Role,
        /// A file whose first line is the password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Show all of them
    List,
    /// Give one another role, from his next request on
    Role {
        /// The name
        name: UserName,
        /// What he may do: viewer, operator or admin
        role: Role,
    },
    /// Give one another password, which ends his sessions
    Passwd {
        /// The name
        name: UserName,
        /// A file whose first line is the password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Remove one, which ends his sessions
    Remove {
        /// The name
        name: UserName,
    },
}

/// Runs `users`.
///
/// # Errors
/// If there is no such user, there is one already, or the password would be guessed.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let catalog = catalog(invocation)?;
    let now = invocation.clock.now();
    let done = |verb: &str, name: &UserName, words: &str, answer: Value| {
        audited(invocation, &catalog, &format!("users {verb}"), name);
        invocation.out.say(&format!("{name} {words}"));
        invocation.out.json(&answer);
    };
    match &args.verb {
        UsersVerb::Add {
            name,
            role,
            password_file,
        } => {
            let password = password(invocation, password_file.as_ref())?;
            users::add(&catalog, name, *role, &password, now)?;
            let words = format!("may log in as {role}");
            done("add", name, &words, json!({ "user": name, "role": role }));
        }
        UsersVerb::Role { name, role } => {
            users::set_role(&catalog, name, *role, now)?;
            let words = format!("is {role} from now on");
            done("role", name, &words, json!({ "user": name, "role": role }));
        }
        UsersVerb::Passwd {
            name,
            password_file,
        } => {
            let password = password(invocation, password_file.as_ref())?;
            users::set_password(&catalog, name, &password, now)?;
            let words = "has another password, and is logged out everywhere";
            done("passwd", name, words, json!({ "user": name }));
        }
        UsersVerb::Remove { name } => {
            users::remove(&catalog, name)?;
            let words = "may log in no more";
            done("remove", name, words, json!({ "user": name }));
        }
        UsersVerb::List => list(invocation, &catalog)?,
    }
    Ok(Exit::Done)
}

fn list(invocation: &Invocation, catalog: &Catalog) -> Result<(), Failure> {
    let out = &invocation.out;
    let all = users::list(catalog)?;
    let shown: Vec<Value> = all
        .iter()
        .map(|user| {
            json!({
                "name": user.name,
                "role": user.role,
                "created_at": user.created_at,
                "changed_at": user.changed_at,
            })
        })
        .collect();
    out.json(&json!({ "users": shown }));
    if all.is_empty() {
        out.print("nobody may log in");
        out.note("make the first user with `resguardo users add NAME --role admin`");
        return Ok(());
    }
    let zone = &invocation.ambient.zone;
    let rows = all.iter().map(|user| {
        vec![
            user.name.to_string(),
            user.role.to_string(),
            time::moment(user.changed_at, zone),
        ]
    });
    out.print(&table(
        out,
        &["NAME", "ROLE", "CHANGED"],
        &[],
        rows.collect(),
    ));
    Ok(())
}

/// The catalog of this machine: users need no vault.
///
/// # Errors
/// If it cannot be opened.
pub fn catalog(invocation: &Invocation) -> Result<Catalog, Failure> {
    let home = invocation.home()?;
    durable::create_folder(home.state(), Mode::PRIVATE_FOLDER)?;
    let opened = Catalog::open(&home.state().join("catalog.db"));
    Ok(opened.map_err(resguardo_ops::OpsError::from)?)
}

/// Writes down what was done, and signs it into the vault, if there is one that can be opened now. If not, whoever opens it
/// next does: nobody is kept from locking somebody out because a vault cannot be reached.
pub fn audited(invocation: &Invocation, catalog: &Catalog, what: &str, object: &UserName) {
    let ambient = &invocation.ambient;
    let deed = Deed {
        who: &ambient.operator,
        origin: &ambient.host,
        what,
        object: object.as_str(),
        source: None,
    };
    if let Err(error) = audit::note(catalog, &deed, invocation.clock.now()) {
        let why = resguardo_ops::described(&error);
        invocation
            .out
            .warn(&format!("that it was done is not written down: {why}"));
        return;
    }
    let quiet = invocation.quietly();
    let Ok(config) = quiet.config() else {
        return;
    };
    let signed = quiet
        .open_to_look(config, Reading::Nothing)
        .and_then(|opened| Ok(audit::sign(&opened.context)?));
    if signed.is_err() {
        invocation
            .out
            .note("that it was done is signed once the vault can be opened");
    }
}

/// The password: of the file, of a question, or the first line of standard input.
fn password(invocation: &Invocation, file: Option<&PathBuf>) -> Result<SecretString, Failure> {
    if let Some(file) = file {
        return prompt::passphrase_in(&invocation.ambient, file);
    }
    if invocation.ambient.asks {
        return prompt::new_password();
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::user("reading the password").because(&error))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        let failure = Failure::user("no password was given");
        return Err(failure.hint(
            "give it as the first line of standard input, or name a file with --password-file",
        ));
    }
    Ok(SecretString::from(password.to_owned()))
}

impl From<UsersError> for Failure {
    fn from(error: UsersError) -> Self {
        let hint = match error {
            UsersError::Catalog(error) => return resguardo_ops::OpsError::from(error).into(),
            UsersError::Hash(_) | UsersError::NoRandomness => {
                return Self::user(error.to_string());
            }
            UsersError::UserExists(ref name) => {
                format!("give it another password with `resguardo users passwd {name}`")
            }
            UsersError::NoSuchUser(_) => "see all users with `resguardo users list`".to_owned(),
            UsersError::TokenExists(ref name) => {
                format!("remove it first with `resguardo tokens remove {name}`")
            }
            UsersError::NoSuchToken(_) => "see all tokens with `resguardo tokens list`".to_owned(),
            UsersError::NotAPassword(_) => {
                "four words that nobody would put together are a good one".to_owned()
            }
        };
        Self::user(error.to_string()).hint(hint)
    }
}
