//! libpq's service file: sections of `keyword=value`, by which a connection gets a name.

use std::path::Path;

use super::keyword;

/// Where Debian keeps the machine's own service file.
const SYSTEM_FOLDER: &str = "/etc/postgresql-common";

/// What a service sets: of the user's own file, else of the machine's.
pub(super) fn read(
    service: &str,
    own: Option<&Path>,
    system_folder: &Option<String>,
) -> Result<Vec<(&'static str, String)>, String> {
    let system =
        Path::new(system_folder.as_deref().unwrap_or(SYSTEM_FOLDER)).join("pg_service.conf");
    for file in own.into_iter().chain([system.as_path()]) {
        let Ok(text) = std::fs::read_to_string(file) else {
            continue;
        };
        if let Some(found) = section(service, &text) {
            return found.map_err(|why| format!("service {service} in {}: {why}", file.display()));
        }
    }
    Err(format!("there is no service {service} in a service file"))
}

/// The section of a service, if there is one.
fn section(service: &str, text: &str) -> Option<Result<Vec<(&'static str, String)>, String>> {
    let mut lines = text.lines().map(str::trim);
    let header = format!("[{service}]");
    lines.find(|line| *line == header)?;
    let own = lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = own.map(|line| {
        let (name, value) = line
            .split_once('=')
            .ok_or("one of its lines is not keyword=value")?;
        let keyword = keyword(name.trim())
            .filter(|keyword| *keyword != "service")
            .ok_or("one of its lines begins with no connection parameter")?;
        Ok((keyword, value.trim().to_owned()))
    });
    Some(pairs.collect())
}
