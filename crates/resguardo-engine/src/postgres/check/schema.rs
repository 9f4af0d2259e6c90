//! The structure, object by object: `pg_dump`'s text of what was restored against that of the backup.

use std::path::Path;

use resguardo_model::{CheckOutcome, CheckResult};

use super::{Asked, in_full, unknown};
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
    let compared = restored(asked).and_then(|(major, actual)| {
        let same_major = major == inventory.server_version / 10_000;
        if same_major && actual.digest() == facts.schema_sha256 {
            return Ok(CheckResult::compare(NAME, &*expected, &*expected));
        }
        let backed_up = backed_up(asked, inventory)?;
        Ok(if same_major {
            let differ = backed_up.difference(&actual);
            failed(&expected, &actual.digest().to_string(), &differ)
        } else {
            by_name(inventory, major, backed_up, actual)
        })
    });
    compared.unwrap_or_else(|error| CheckResult::error(NAME, expected, in_full(&error)))
}

fn failed(expected: &str, actual: &str, differ: &[String]) -> CheckResult {
    let mut result = CheckResult::new(NAME, CheckOutcome::Failed, expected, actual);
    result.detail = listed(differ);
    result
}

/// Another major words the same structure otherwise: then every object must be there, by type and name.
fn by_name(inventory: &Inventory, major: u32, backed_up: Normal, actual: Normal) -> CheckResult {
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
    result.detail = format!(
        "the text of objects is not compared: PostgreSQL {major} words that of {} otherwise",
        inventory.server_version / 10_000
    );
    result
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

/// The structure of the restored database, and its server's major.
fn restored(asked: &Asked<'_>) -> Result<(u32, Normal), EngineError> {
    let session = asked.session()?;
    let major = session.version().major();
    let tools = Tools::clients(major, &asked.around.tool_folders)?;
    let mut arguments = vec!["--section=pre-data", "--section=post-data", "--no-password"];
    arguments.extend(tool::in_utf8(session.encoding()));
    let arguments = arguments.into_iter().map(str::to_owned);
    let command = tool::command(&tools, "pg_dump", arguments, asked.settings);
    text_of(asked, &command, "pg_dump", "dumping the structure of").map(|text| (major, text))
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
    let major = inventory.server_version / 10_000;
    let tools = Tools::clients(major, &asked.around.tool_folders)?;
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
