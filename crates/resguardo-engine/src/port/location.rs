//! Where a source or target is, as it stands in a config, and as it may be shown.

use std::fmt;

/// Where a source or target is: a path or URL. `Display` and `Debug` hide a password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Location(String);

impl Location {
    /// Takes the text as it stands in the config.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text with its secrets: never to be printed.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A text that cannot be read as a URL may be a mistyped one, and any part of it a password: nothing of it
/// is shown but its scheme (`postgresql:…`).
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return match mistyped(&self.0) {
                Some(scheme) => write!(f, "{scheme}…"),
                None => f.write_str(&self.0),
            };
        };
        if scheme.contains([':', '@']) {
            return f.write_str("…");
        }
        let (authority, tail) = rest.split_at(authority_end(rest));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        let is_file = matches!(scheme, "file" | "sqlite" | "sqlite3");
        if !is_file && (!are_hosts(hosts) || is_cut_short(tail)) {
            return write!(f, "{scheme}://…");
        }
        let tail = without_secrets(tail);
        match user {
            Some(user) => {
                let user = user
                    .split_once(':')
                    .map_or(user.to_owned(), |(name, _)| format!("{name}:***"));
                write!(f, "{scheme}://{user}@{hosts}{tail}")
            }
            None => write!(f, "{scheme}://{hosts}{tail}"),
        }
    }
}

/// What may be shown of a text that was meant as a URL and is none: `postgres:/ana:s3cret@db`,
/// `//ana:s3cret@db`, `ana:s3cret@db`, `host=db password=s3cret`. `None` of a path.
fn mistyped(text: &str) -> Option<&str> {
    for scheme in ["postgresql:", "postgres:"] {
        let beginning = text.get(..scheme.len());
        if let Some(beginning) = beginning.filter(|text| text.eq_ignore_ascii_case(scheme)) {
            return Some(beginning);
        }
    }
    if text.starts_with("//") && text.contains('@') {
        return Some("//");
    }
    let is_path = text.starts_with(['/', '.', '~']);
    let names_user = text
        .find(':')
        .is_some_and(|colon| text[colon..].contains('@'));
    let is_file = ["sqlite:", "sqlite3:", "file:"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    let is_url = !is_path && !is_file && names_user;
    (is_url || text.to_lowercase().contains("password=")).then_some("")
}

/// Whether that is what stands where hosts and ports have to.
fn are_hosts(hosts: &str) -> bool {
    hosts.split(',').all(|one| {
        let (name, port) = match one.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((name, "")) => (name, ""),
                Some((name, port)) => match port.strip_prefix(':') {
                    Some(port) => (name, port),
                    None => return false,
                },
                None => return false,
            },
            None => one.split_once(':').unwrap_or((one, "")),
        };
        let is_v6 = one.starts_with('[');
        let of_name = |byte: u8| {
            byte.is_ascii_alphanumeric()
                || !byte.is_ascii()
                || matches!(byte, b'.' | b'-' | b'_' | b'%' | b'$' | b'{' | b'}')
                || is_v6 && byte == b':'
        };
        name.bytes().all(of_name) && (is_port(port) || port.starts_with("${"))
    })
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether an `@` stands behind the hosts, so that those were a part of a password with `/`, `?` or `#`.
fn is_cut_short(tail: &str) -> bool {
    let (path, parameters) = tail.split_once('?').unwrap_or((tail, ""));
    let mut parameters = parameters.split('&');
    let in_name = |one: &str| one.split('=').next().unwrap_or(one).contains('@');
    path.contains('@') || parameters.any(|one| one.contains('#') || in_name(one))
}

/// Where user, password, hosts and ports end. A password with a slash in it, which should have been
/// written as `%2F`, is recognised by what follows the colon being no port.
fn authority_end(rest: &str) -> usize {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let cut = !rest[..end].contains('@')
        && rest[..end]
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.bytes().all(|byte| byte.is_ascii_digit()));
    match rest.rfind('@').filter(|_| cut) {
        Some(at) => rest[at..]
            .find(['/', '?', '#'])
            .map_or(rest.len(), |end| at + end),
        None => end,
    }
}

/// Path and parameters with `***` in the place of a password among them.
fn without_secrets(tail: &str) -> String {
    let Some((path, parameters)) = tail.split_once('?') else {
        return tail.to_owned();
    };
    let shown = parameters.split('&').map(|one| match one.split_once('=') {
        Some((name, _)) if name.to_lowercase().contains("password") => format!("{name}=***"),
        _ => one.to_owned(),
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&"))
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::Location;

    #[test]
    fn a_location_hides_its_password() {
        for (text, shown) in [
            ("shop.sqlite", "shop.sqlite"),
            (
                "postgres://ana:s3cret@db/shop?x=1",
                "postgres://ana:***@db/shop?x=1",
            ),
            ("postgres://ana:a@b@db/shop", "postgres://ana:***@db/shop"),
            ("postgres://db/shop", "postgres://db/shop"),
            (
                "postgres://ana:s3/cret@db:1/shop",
                "postgres://ana:***@db:1/shop",
            ),
            ("postgres://[::1]:5432/shop", "postgres://[::1]:5432/shop"),
            ("postgres://a:1,b:2/shop", "postgres://a:1,b:2/shop"),
            ("postgres:///shop?host=/run", "postgres:///shop?host=/run"),
            ("postgres://${HOST}/shop", "postgres://${HOST}/shop"),
            ("sqlite:a:b@c.db", "sqlite:a:b@c.db"),
            ("/srv/a:b@c.db", "/srv/a:b@c.db"),
            // The mistyped, of which any part may be the password.
            ("postgres://ana:5432/s3cret@db/shop", "postgres://…"),
            ("postgres://ana:12?s3cret@db/shop", "postgres://…"),
            ("postgres://ana:1#s3cret@db/shop", "postgres://…"),
            ("postgres://ana:a@s3cret/b@db/shop", "postgres://…"),
            ("postgres://ana:s3cret127.0.0.1:5/shop", "postgres://…"),
            ("postgres://ana:s3cret", "postgres://…"),
            ("postgres:/ana:s3cret@db/shop", "postgres:…"),
            ("Postgresql:ana:s3cret@db/shop", "Postgresql:…"),
            ("postgresql:ana:s3cret", "postgresql:…"),
            ("//ana:s3cret@db/shop", "//…"),
            ("ana:s3cret@db/shop", "…"),
            ("postgres//ana:s3cret@db/shop", "…"),
            ("ana:s3cret@postgres://db/shop", "…"),
            ("host=db password=s3cret", "…"),
            (
                "postgres:///shop?user=a&password=s3cret&sslpassword=s3cret&x=1",
                "postgres:///shop?user=a&password=***&sslpassword=***&x=1",
            ),
        ] {
            assert_eq!(Location::new(text).to_string(), shown);
            assert!(!format!("{:?}", Location::new(text)).contains("s3cret"));
        }
    }
}
