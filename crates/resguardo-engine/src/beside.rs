//! Small files that lie beside a database or dump and speak of it: how they are read, and the hash that one of
//! `sha256sum` names.

use std::io::Read as _;
use std::path::Path;

use crate::port::EngineError;
use crate::system::of_system;

/// The text of `path`, at most `bytes_max` of it; `None` if there is no such file.
///
/// # Errors
/// If it is there and cannot be read.
pub(crate) fn read_if_there(path: &Path, bytes_max: u64) -> Result<Option<String>, EngineError> {
    let failed = |error| of_system("reading", path, error);
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(bytes_max)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(Some(text))
}

/// The hash that a file of `sha256sum` names for `file`; a bare hash counts for it too.
pub(crate) fn hash_of(text: &str, file: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.trim();
        let (hash, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let name = name.trim_start().trim_start_matches('*');
        let name = name.rsplit('/').next().unwrap_or(name);
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_hash && (name.is_empty() || name == file)).then(|| hash.to_ascii_lowercase())
    })
}

/// The file that a `.meta.json` names as its own, if that is another one than `name`.
pub(crate) fn other_file(text: &str, name: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let file = value.get("file").and_then(serde_json::Value::as_str)?;
    (file != name).then(|| file.to_owned())
}
