//! libpq's password file: `host:port:database:user:password` lines, the first that fits.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Settings;

/// The password for a connection; `None` if it has none, or there is no such file.
///
/// # Errors
/// Why the file is not used, in words: others may read it, as libpq does not use it then, or we may not.
pub(super) fn find(file: &Path, settings: &Settings) -> Result<Option<String>, String> {
    let Ok(metadata) = std::fs::metadata(file) else {
        return Ok(None);
    };
    let shown = file.display();
    if !metadata.is_file() {
        return Err(format!("{shown} is not used: it is no file"));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!(
            "{shown} is not used: others may read it (mode {mode:04o}); chmod 600 {shown}"
        ));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{shown} is not used: it cannot be read ({})", error.kind()))?;
    let hosts = settings.hosts();
    let host = hosts.first().map_or("localhost", String::as_str);
    let host = if host.starts_with(['/', '@']) {
        "localhost"
    } else {
        host
    };
    let port = settings.get("port").unwrap_or_default();
    let port = port.split(',').next().unwrap_or_default();
    let wanted = [host, port, settings.database(), settings.user()];
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.find_map(|line| password_of(line, &wanted)))
}

fn password_of(line: &str, wanted: &[&str; 4]) -> Option<String> {
    let fields = fields_of(line);
    let [host, port, database, user, password] = fields.as_slice() else {
        return None;
    };
    let fits = |(pattern, wanted): (&String, &&str)| pattern == "*" || pattern == *wanted;
    let all = [host, port, database, user]
        .into_iter()
        .zip(wanted)
        .all(fits);
    all.then(|| password.clone())
}

/// The fields of a line; a backslash takes the next character as it is.
fn fields_of(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => field.extend(letters.next()),
            ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}
