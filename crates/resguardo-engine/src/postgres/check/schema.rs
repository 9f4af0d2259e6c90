//! The structure, object by object: `pg_dump`'s text of what was restored against that of the backup.

use std::path::Path;

use resguardo_model::{CheckOutcome, CheckResult};

use super::{Asked, skipped, unknown};
use crate::port::{BoxError, EngineError, SILENCE_TIMEOUT};
use crate::postgres::inventory::{Inventory, SCHEMA};
use crate::postgres::normal::Normal;
use crate::postgres::settings::Settings;
use crate::postgres::tool;
use crate::postgres::tools::Tools;
use crate::process::{self, Command, NoLog};

const NAME: &str = "schema";
/// Objects that a failed check names.
const NAMED_MAX: usize = 12;
/// What follows the name of an object whose text is another.
const DIFFERS: &str = " differs";

pub(super) fn check(asked: &Asked<'_>) -> CheckResult {
    let (Some(inventory), Some(facts)) = (asked.inventory, asked.backup.facts()) else {
        return unknown(NAME);
    };
    let expected = facts.schema_sha256.to_string();
    let compared = restored(asked, inventory).and_then(|(worded_by, actual)| {
        let source = Wording {
            server: inventory.server_version / 10_000,
            pg_dump: dumped_by(inventory),
        };
        let is_worded_alike = worded_by == source;
        if is_worded_alike && actual.digest() == facts.schema_sha256 {
            return Ok(CheckResult::compare(NAME, &*expected, &*expected));
        }
        if asked.is_dump() {
            return Ok(of_dump(is_worded_alike, &expected, &actual));
        }
        let backed_up = backed_up(asked, inventory)?;
        if !is_worded_alike {
            return Ok(by_name(source, worded_by, backed_up, actual));
        }
        let differ = backed_up.difference(&actual);
        if differ.is_empty() {
            // An earlier version of Resguardo digested what does not matter.
            return Ok(CheckResult::compare(NAME, &*expected, &*expected));
        }
        Ok(failed(&expected, &actual.digest().to_string(), &differ))
    });
    compared.unwrap_or_else(|error| CheckResult::error(NAME, expected, error.in_full()))
}

/// Whose words a structure is in, by their majors.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wording {
    server: u32,
    pg_dump: u32,
}

/// Major of the `pg_dump` that made the archives.
fn dumped_by(inventory: &Inventory) -> u32 {
    let major = inventory.pg_dump.split('.').next();
    major.and_then(|major| major.parse().ok()).unwrap_or(0)
}

fn failed(expected: &str, actual: &str, differ: &[String]) -> CheckResult {
    let mut result = CheckResult::new(NAME, CheckOutcome::Failed, expected, actual);
    result.detail = listed(differ);
    result
}

/// Another major, of the server or of `pg_dump`, words the same structure otherwise: then every object must be
/// there, by type and name.
fn by_name(source: Wording, worded_by: Wording, backed_up: Normal, actual: Normal) -> CheckResult {
    // What a large object is in a dump differs between majors; they have a check of their own.
    let keep = |key: &str| !key.starts_with("BLOB");
    let (backed_up, actual) = (backed_up.filtered(keep), actual.filtered(keep));
    let mut named = backed_up.difference(&actual);
    named.retain(|told| !told.ends_with(DIFFERS));
    let expected = format!("{} objects by type and name", backed_up.len());
    let mut result = if named.is_empty() {
        CheckResult::compare(NAME, &*expected, &*expected)
    } else {
        CheckResult::new(NAME, CheckOutcome::Failed, expected, listed(&named))
    };
    let (what, ours, theirs) = if source.server == worded_by.server {
        ("pg_dump", worded_by.pg_dump, source.pg_dump)
    } else {
        ("PostgreSQL", worded_by.server, source.server)
    };
    result.detail = format!(
        "the text of objects is not compared: {what} {ours} words that of {theirs} otherwise"
    );
    result
}

/// Of the structure of a dump its digest alone is known.
fn of_dump(is_worded_alike: bool, expected: &str, actual: &Normal) -> CheckResult {
    if is_worded_alike {
        return CheckResult::compare(NAME, expected, actual.digest().to_string());
    }
    skipped(
        NAME,
        "of a dump the digest alone is known, and another major words objects otherwise",
    )
}

fn listed(differ: &[String]) -> String {
    let mut words = differ
        .iter()
        .take(NAMED_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if differ.len() > NAMED_MAX {
        words.push_str(&format!(" and {} more", differ.len() - NAMED_MAX));
    }
    words
}

/// The structure of the restored database, and whose words it is in: those of the `pg_dump` that was used at
/// the source, where it is to be had.
fn restored(asked: &Asked<'_>, inventory: &Inventory) -> Result<(Wording, Normal), EngineError> {
    let session = asked.session()?;
    let server = session.version().major();
    let folders = &asked.around.tool_folders;
    let tools = Tools::clients(server.max(dumped_by(inventory)), folders)
        .or_else(|_| Tools::clients(server, folders))?;
    let worded_by = Wording {
        server,
        pg_dump: tools.major(),
    };
    let mut arguments = vec!["--section=pre-data", "--section=post-data", "--no-password"];
    arguments.extend(tool::in_utf8(session.encoding()));
    let arguments = arguments.into_iter().map(str::to_owned);
    let command = tool::command(&tools, "pg_dump", arguments, asked.settings);
    text_of(asked, &command, "pg_dump", "dumping the structure of").map(|text| (worded_by, text))
}

/// The structure that was backed up.
fn backed_up(asked: &Asked<'_>, inventory: &Inventory) -> Result<Normal, EngineError> {
    let scratch = &asked.around.scratch;
    let failed = |source: BoxError| EngineError::Other {
        operation: "writing to",
        place: scratch.display().to_string(),
        source,
    };
    std::fs::create_dir_all(scratch).map_err(|error| failed(error.into()))?;
    let folder = tempfile::tempdir_in(scratch).map_err(|error| failed(error.into()))?;
    let archive = folder.path().join(SCHEMA);
    let path = SCHEMA
        .parse()
        .expect("a name of the engine's own is a path");
    asked
        .backup
        .write_files(&[(path, archive.clone())], false, asked.run)?;
    // What reads the archive must be as new as what wrote it.
    let tools = Tools::clients(dumped_by(inventory), &asked.around.tool_folders)?;
    let arguments = ["-f".to_owned(), "-".to_owned(), shown(&archive)];
    let command = Command::program(tools.program("pg_restore"), arguments, "/")
        .without_variables(Settings::foreign_variables());
    text_of(asked, &command, "pg_restore", "reading the structure of")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// What a program prints, as a structure.
fn text_of(
    asked: &Asked<'_>,
    command: &Command,
    program: &'static str,
    doing: &'static str,
) -> Result<Normal, EngineError> {
    let mut text = Vec::new();
    let cancel = asked.run.cancel;
    let read = process::read_from(command, SILENCE_TIMEOUT, cancel, &NoLog, &mut |block| {
        text.extend_from_slice(block);
        Ok(())
    });
    tool::ended(doing, &asked.settings.describe(), program, read)?;
    Ok(Normal::parse(&String::from_utf8_lossy(&text)))
}
