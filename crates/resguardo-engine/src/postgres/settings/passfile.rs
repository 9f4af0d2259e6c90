//! libpq's password file: `host:port:database:user:password` lines, the first that fits.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Settings;

/// The password for a connection. A file that others may read is not used, as libpq does not use it.
pub(super) fn find(file: &Path, settings: &Settings) -> Option<String> {
    let metadata = std::fs::metadata(file).ok()?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o077 != 0 {
        return None;
    }
    let text = std::fs::read_to_string(file).ok()?;
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
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| password_of(line, &wanted))
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
