//! The address under which browsers know the server: scheme, host and port.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An origin, as browsers write it: `https://resguardo.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    /// Host and port, the port left out where it is the scheme's own.
    authority: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// A text that is no origin.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no address of a server, like https://resguardo.example.com")]
pub struct NotAnOrigin(pub String);

impl Origin {
    /// Whether it is reached by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Whether a `Host` header names it.
    #[must_use]
    pub fn is_host(&self, host: &str) -> bool {
        let own = match self.scheme {
            Scheme::Http => ":80",
            Scheme::Https => ":443",
        };
        let host = host.strip_suffix(own).unwrap_or(host);
        self.authority.eq_ignore_ascii_case(host)
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NotAnOrigin(text.to_owned());
        let (scheme, rest, own) = if let Some(rest) = text.strip_prefix("https://") {
            (Scheme::Https, rest, ":443")
        } else if let Some(rest) = text.strip_prefix("http://") {
            (Scheme::Http, rest, ":80")
        } else {
            return Err(refused());
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let authority = rest.strip_suffix(own).unwrap_or(rest);
        let may = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if authority.is_empty() || !authority.chars().all(may) {
            return Err(refused());
        }
        Ok(Self {
            scheme,
            authority: authority.to_ascii_lowercase(),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.authority)
    }
}

/// Whether a `Host` names this machine by a number or as itself. A name that somebody else's DNS could point
/// here does not: a page of his would be of our origin then.
pub(super) fn is_own(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        let origin: Origin = "https://Resguardo.example.com:443/".parse().unwrap();
        assert_eq!(origin.to_string(), "https://resguardo.example.com");
        assert!(origin.is_secure());
        assert!(origin.is_host("resguardo.example.com"));
        assert!(origin.is_host("RESGUARDO.example.com:443"));
        assert!(!origin.is_host("resguardo.example.com:80"));
        assert!(!origin.is_host("resguardo.example.com.evil.example"));
        for odd in [
            "",
            "resguardo",
            "ftp://x",
            "https://",
            "https://x/y",
            "https://a@b",
            "https://x?y",
            "null",
        ] {
            assert!(odd.parse::<Origin>().is_err(), "{odd}");
        }
    }

    #[test]
    fn only_numbers_and_localhost_are_ours() {
        for own in [
            "127.0.0.1",
            "127.0.0.1:8372",
            "localhost:8372",
            "[::1]:8372",
            "[::1]",
            "10.0.0.4",
        ] {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "evil.example",
            "localhost.evil.example:8372",
            "",
            "127.0.0.1.evil.example",
            "x:y",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }
}
