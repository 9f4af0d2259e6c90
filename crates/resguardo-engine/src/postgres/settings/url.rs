//! A connection URL: `postgresql://user:password@host:port/database?keyword=value`, as libpq reads it, and
//! with what drivers add to it.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::{Settings, keyword};

/// Parameters that object mappers and drivers put into a URL and that say nothing about the connection.
const OF_DRIVERS: [&str; 20] = [
    "schema",
    "pgbouncer",
    "connection_limit",
    "pool_timeout",
    "pool_size",
    "max_overflow",
    "pool_recycle",
    "pool",
    "socket_timeout",
    "statement_cache_size",
    "prepared_statements",
    "prepareThreshold",
    "currentSchema",
    "sslaccept",
    "sslidentity",
    "sslpassword",
    "encoding",
    "timezone",
    "uselibpqcompat",
    "keepalives",
];

/// Keywords of libpq without a variable, which the tools have sensible values for.
const TUNING: [&str; 4] = [
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
];

/// What must be encoded in every part.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'/')
    .add(b':')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'+');

/// The keywords that a URL sets.
pub(super) fn parse(text: &str) -> Result<BTreeMap<&'static str, String>, String> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("it is no URL of a PostgreSQL server")?;
    if !is_ours(scheme) {
        return Err(format!("{scheme}:// is no URL of a PostgreSQL server"));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (who, places) = match authority.rsplit_once('@') {
        Some((who, places)) => (who, places),
        None => ("", authority),
    };
    if who.is_empty() && database.contains('@') {
        return Err("an @ stands behind the first /: in a password / is written %2F".to_owned());
    }
    if !places.split(',').all(is_place) {
        return Err(
            "host and port are no such: user and password end with an @ before them".to_owned(),
        );
    }
    let mut values = BTreeMap::new();
    let mut put = |keyword, text: &str| -> Result<(), String> {
        if !text.is_empty() {
            values.insert(keyword, decoded(keyword, text)?);
        }
        Ok(())
    };
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    put("user", user)?;
    put("password", password)?;
    put("dbname", database)?;
    let (hosts, ports) = places_of(places);
    put("host", &hosts)?;
    put("port", &ports)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // libpq's old name, and Amazon's and Java's.
        let (name, value) = match (name, value) {
            ("ssl", "true") => ("sslmode", "require"),
            other => other,
        };
        match keyword(name) {
            Some(keyword) => put(keyword, value)?,
            None if OF_DRIVERS.contains(&name) || TUNING.contains(&name) => {}
            None if is_word(name) && pair.contains('=') => {
                return Err(format!("there is no connection parameter {name:?}"));
            }
            // Not shown: where a password holds a question mark, it is half of that.
            None => {
                let why =
                    "what follows the ? is not keyword=value; a ? in the password is written %3F";
                return Err(why.to_owned());
            }
        }
    }
    Ok(values)
}

/// `postgres`, `postgresql`, and what SQLAlchemy and Django make of them.
fn is_ours(scheme: &str) -> bool {
    let base = scheme.split('+').next().unwrap_or(scheme);
    matches!(base, "postgres" | "postgresql" | "postgis" | "pgsql")
}

/// Hosts and ports of `h1:p1,h2`, each as a list; an IPv6 address stands in brackets.
fn places_of(places: &str) -> (String, String) {
    let mut hosts = Vec::new();
    let mut ports = Vec::new();
    for place in places.split(',') {
        let (host, port) = match place
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        {
            Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or("")),
            None => place.rsplit_once(':').unwrap_or((place, "")),
        };
        hosts.push(host);
        if !port.is_empty() {
            ports.push(port);
        }
    }
    (hosts.join(","), ports.join(","))
}

/// Whether it is a host, perhaps with a port: more than one colon is the password's, unless in brackets.
fn is_place(place: &str) -> bool {
    place.starts_with('[') || place.matches(':').count() <= 1
}

/// Whether it is like a keyword.
fn is_word(name: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    !name.is_empty() && name.len() <= 40 && name.chars().all(fits)
}

/// The text of one part, which errors name and never quote: it may be the password.
fn decoded(part: &str, text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, byte)| {
        let two = bytes.get(at + 1..at + 3);
        *byte == b'%' && !two.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return Err(format!(
            "its {part} has a % that encodes nothing; write it as %25"
        ));
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| format!("its {part} does not decode to UTF-8"))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The URL of settings; with everything in it if `whole`, else for people.
pub(super) fn format(settings: &Settings, whole: bool) -> String {
    let hosts = settings.hosts().join(",");
    let is_socket = settings.is_local_socket();
    let user = encoded(settings.user());
    let password = match settings.get("password") {
        Some(password) if whole => format!(":{}", encoded(password)),
        _ => String::new(),
    };
    let place = if is_socket { "localhost" } else { &hosts };
    let place = if place.contains(':') && !place.contains(',') {
        format!("[{place}]")
    } else {
        place.to_owned()
    };
    let port = settings.get("port").unwrap_or("5432");
    let database = encoded(settings.database());
    let mut url = format!("postgresql://{user}{password}@{place}:{port}/{database}");
    let mut parameters = Vec::new();
    if is_socket {
        let host = if whole { encoded(&hosts) } else { hosts };
        parameters.push(format!("host={host}"));
    }
    if whole {
        let in_place = ["host", "port", "dbname", "user", "password"];
        let rest = settings.values.iter();
        let rest = rest.filter(|(keyword, _)| !in_place.contains(*keyword));
        parameters.extend(rest.map(|(keyword, value)| format!("{keyword}={}", encoded(value))));
    }
    if !parameters.is_empty() {
        url.push('?');
        url.push_str(&parameters.join("&"));
    }
    url
}
