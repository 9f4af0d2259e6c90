//! `tokens`: what scripts show to the API of `serve`.

use clap::{Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use resguardo_model::duration::Span;
use resguardo_model::{Role, UserName};
use resguardo_ops::catalog::Catalog;
use resguardo_ops::users::token;
use serde_json::{Value, json};

use super::users::{audited, catalog};
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::Invocation;
use crate::render::table::table;
use crate::render::time;

const AFTER_HELP: &str = "\
A token is shown once, when it is made, and kept nowhere but as a hash. It is
sent as `Authorization: Bearer TOKEN`. The scope `read` looks, `operate` takes
backups, drills, verifies and pins as well, `admin` does everything.

Examples:
  resguardo tokens add prometheus --scope read
  resguardo tokens add deploy --scope operate --expires 90d
  resguardo tokens remove deploy";

/// What scripts show to the API of `serve`
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: TokensVerb,
}

/// What a token may do. No doc comments on the values: clap would spread the help over many lines for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scope {
    Read,
    Operate,
    Admin,
}

impl Scope {
    fn role(self) -> Role {
        match self {
            Self::Read => Role::Viewer,
            Self::Operate => Role::Operator,
            Self::Admin => Role::Admin,
        }
    }
}

#[derive(Debug, Subcommand)]
enum TokensVerb {
    /// Make one, and print it
    Add {
        /// What it is called
        name: UserName,
        /// What it may do
        #[arg(long, value_name = "SCOPE", value_enum)]
        scope: Scope,
        /// After so long it is valid no more [default: never]
        #[arg(long, value_name = "TIME")]
        expires: Option<Span>,
    },
    /// Show all of them, without what they are known by
    List,
    /// Remove one: it is valid no more
    Remove {
        /// What it is called
        name: UserName,
    },
}

/// Runs `tokens`.
///
/// # Errors
/// If there is no such token, or one of that name already.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let catalog = catalog(invocation)?;
    let out = &invocation.out;
    match &args.verb {
        TokensVerb::Add {
            name,
            scope,
            expires,
        } => {
            let now = invocation.clock.now();
            let expires_at = expires.map(|span| after(now, span)).transpose()?;
            let secret = token::add(&catalog, name, scope.role(), expires_at, now)?;
            audited(invocation, &catalog, "tokens add", name);
            out.print(secret.expose());
            out.note("it is shown this once; send it as `Authorization: Bearer TOKEN`");
            out.json(&json!({
                "name": name,
                "scope": scope.role().scope(),
                "expires_at": expires_at,
                "token": secret.expose(),
            }));
        }
        TokensVerb::Remove { name } => {
            token::remove(&catalog, name)?;
            audited(invocation, &catalog, "tokens remove", name);
            out.say(&format!("the token {name} is valid no more"));
            out.json(&json!({ "name": name }));
        }
        TokensVerb::List => list(invocation, &catalog)?,
    }
    Ok(Exit::Done)
}

fn after(now: Timestamp, span: Span) -> Result<Timestamp, Failure> {
    let seconds = i64::try_from(span.seconds())
        .ok()
        .map(SignedDuration::from_secs);
    let end = seconds.and_then(|length| now.checked_add(length).ok());
    end.ok_or_else(|| Failure::usage(format!("{span} is too long for a token")))
}

fn list(invocation: &Invocation, catalog: &Catalog) -> Result<(), Failure> {
    let out = &invocation.out;
    let all = token::list(catalog)?;
    let shown: Vec<Value> = all
        .iter()
        .map(|token| {
            json!({
                "name": token.name,
                "scope": token.role.scope(),
                "created_at": token.created_at,
                "expires_at": token.expires_at,
                "used_at": token.used_at,
            })
        })
        .collect();
    out.json(&json!({ "tokens": shown }));
    if all.is_empty() {
        out.print("there is no token");
        return Ok(());
    }
    let zone = &invocation.ambient.zone;
    let moment =
        |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| time::moment(at, zone));
    let rows = all.iter().map(|token| {
        vec![
            token.name.to_string(),
            token.role.scope().to_owned(),
            moment(token.expires_at),
            moment(token.used_at),
        ]
    });
    let header = ["NAME", "SCOPE", "EXPIRES", "LAST USED"];
    out.print(&table(out, &header, &[], rows.collect()));
    Ok(())
}
