//! Where a vault lies: the text in the config, as a kind of store and its settings.
//!
//! Pure: nothing is opened here, and no secret is part of a location.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::port::Key;

/// A place that can hold a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder: `./vault`, `/srv/vault`, `file:///srv/vault`.
    Folder(PathBuf),
    /// A bucket: `s3://bucket/prefix?endpoint=...`.
    S3(S3Place),
    /// `memory:`, gone with the process.
    Memory,
}

/// A bucket of an S3-compatible service, without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Place {
    /// The bucket's name.
    pub bucket: String,
    /// What every key begins with, without a `/` at its end; `None` for the whole bucket.
    pub prefix: Option<Key>,
    /// `http://127.0.0.1:9000`; `None` for AWS. `http` (not `https`) is taken as consent to it.
    pub endpoint: Option<String>,
    /// The region; `None` where the service does not care, or the environment says.
    pub region: Option<String>,
    /// Requests go to `endpoint/bucket`, not to `bucket.endpoint`. The default with an endpoint.
    pub path_style: bool,
}

/// The text is no location.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LocationError {
    /// Nothing, or only spaces.
    #[error("the vault's location is empty")]
    Empty,
    /// A scheme that means nothing here.
    #[error(
        "{location:?}: the scheme {scheme}:// is not known; write a folder's path, file:///folder or s3://bucket/prefix"
    )]
    UnknownScheme {
        /// The text.
        location: String,
        /// Its scheme.
        scheme: String,
    },
    /// A store that has no adapter yet.
    #[error(
        "{location:?}: {scheme}:// is not yet supported; write a folder's path, file:///folder or s3://bucket/prefix"
    )]
    NotYet {
        /// The text.
        location: String,
        /// Its scheme.
        scheme: String,
    },
    /// A part that breaks its rule.
    #[error("{location:?}: {rule}")]
    Malformed {
        /// The text.
        location: String,
        /// The rule.
        rule: String,
    },
    /// A user name or password. The text is not repeated here, for it holds a secret.
    #[error(
        "the vault's location holds credentials, which do not belong there; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
    )]
    HoldsCredentials,
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = |rule: &str| LocationError::Malformed {
            location: text.to_owned(),
            rule: rule.to_owned(),
        };
        if text.trim().is_empty() {
            return Err(LocationError::Empty);
        }
        if text.contains('\0') {
            return Err(malformed("a path has no NUL"));
        }
        if text == "memory:" {
            return Ok(Self::Memory);
        }
        if text == "~" || text.starts_with("~/") {
            return Err(malformed("~ is not expanded here; write the path in full"));
        }
        let Some((scheme, rest)) = text
            .split_once("://")
            .filter(|(scheme, _)| is_scheme(scheme))
        else {
            return Ok(Self::Folder(PathBuf::from(text)));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "file" => {
                let path = rest.strip_prefix("localhost").unwrap_or(rest);
                if !path.starts_with('/') {
                    return Err(malformed(
                        "a file:// location is absolute, like file:///srv/vault",
                    ));
                }
                let path = unescaped(path)
                    .ok_or_else(|| malformed("a % is followed by two hexadecimal digits"))?;
                Ok(Self::Folder(PathBuf::from(path)))
            }
            "s3" => s3_place(rest, &malformed).map(Self::S3),
            scheme @ ("gs" | "az" | "azure" | "sftp" | "rest") => Err(LocationError::NotYet {
                location: text.to_owned(),
                scheme: scheme.to_owned(),
            }),
            scheme => Err(LocationError::UnknownScheme {
                location: text.to_owned(),
                scheme: scheme.to_owned(),
            }),
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn s3_place(
    rest: &str,
    malformed: &dyn Fn(&str) -> LocationError,
) -> Result<S3Place, LocationError> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.contains('@') {
        return Err(LocationError::HoldsCredentials);
    }
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    let bucket_fits = (3..=63).contains(&bucket.len())
        && bucket.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
        });
    if !bucket_fits {
        return Err(malformed(
            "a bucket's name has 3 to 63 of a-z, 0-9, - and .",
        ));
    }
    let prefix = prefix.trim_end_matches('/');
    let prefix = if prefix.is_empty() {
        None
    } else {
        let rule = "a prefix is made of A-Z, a-z, 0-9, ., _ and -, joined by /";
        Some(prefix.parse().map_err(|_| malformed(rule))?)
    };
    let (mut endpoint, mut region, mut path_style) = (None, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = unescaped(value)
            .ok_or_else(|| malformed("a % is followed by two hexadecimal digits"))?;
        match name {
            "endpoint" => endpoint = Some(endpoint_url(&value, malformed)?),
            "region" if !value.is_empty() => region = Some(value),
            "path_style" if value == "true" => path_style = Some(true),
            "path_style" if value == "false" => path_style = Some(false),
            "region" | "path_style" => {
                return Err(malformed("region has a name, path_style is true or false"));
            }
            _ if name.contains("key") || name.contains("secret") || name.contains("token") => {
                return Err(LocationError::HoldsCredentials);
            }
            _ => {
                return Err(malformed(
                    "after ? come endpoint, region and path_style, nothing else",
                ));
            }
        }
    }
    let path_style = path_style.unwrap_or(endpoint.is_some());
    Ok(S3Place {
        bucket: bucket.to_owned(),
        prefix,
        endpoint,
        region,
        path_style,
    })
}

fn endpoint_url(
    value: &str,
    malformed: &dyn Fn(&str) -> LocationError,
) -> Result<String, LocationError> {
    let host = value
        .strip_prefix("https://")
        .or_else(|| value.strip_prefix("http://"));
    let host = host.map(|host| host.trim_end_matches('/'));
    match host {
        Some(host) if host.contains('@') => Err(LocationError::HoldsCredentials),
        Some(host) if !host.is_empty() && !host.contains(['?', '#', ' ']) => {
            Ok(value.trim_end_matches('/').to_owned())
        }
        _ => Err(malformed(
            "an endpoint is a URL, like https://s3.example.com",
        )),
    }
}

/// `%41` becomes `A`; `None` for an incomplete escape, or bytes that are no UTF-8.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}

/// As a URL; reads back as the same location.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::S3(place) => place.fmt(f),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

impl fmt::Display for S3Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if let Some(prefix) = &self.prefix {
            write!(f, "/{prefix}")?;
        }
        let mut separator = '?';
        let mut add = |f: &mut fmt::Formatter<'_>, name: &str, value: &str| {
            write!(f, "{separator}{name}={}", escaped(value))?;
            separator = '&';
            Ok(())
        };
        if let Some(endpoint) = &self.endpoint {
            add(f, "endpoint", endpoint)?;
        }
        if let Some(region) = &self.region {
            add(f, "region", region)?;
        }
        if self.path_style != self.endpoint.is_some() {
            add(
                f,
                "path_style",
                if self.path_style { "true" } else { "false" },
            )?;
        }
        Ok(())
    }
}

fn escaped(value: &str) -> String {
    value.replace('%', "%25").replace('&', "%26")
}

impl Location {
    /// The folder, if it is one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            Self::S3(_) | Self::Memory => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Location {
        text.parse().unwrap()
    }

    fn refusal(text: &str) -> String {
        text.parse::<Location>().unwrap_err().to_string()
    }

    #[test]
    fn folders() {
        for (text, path) in [
            ("./vault", "./vault"),
            ("vault", "vault"),
            ("/srv/a vault", "/srv/a vault"),
            ("file:///srv/a%20vault", "/srv/a vault"),
            ("file://localhost/srv", "/srv"),
            ("C:odd", "C:odd"),
            ("/srv/odd://name", "/srv/odd://name"),
        ] {
            assert_eq!(read(text), Location::Folder(PathBuf::from(path)), "{text}");
            assert_eq!(read(text).folder(), Some(Path::new(path)));
        }
        assert_eq!(read("memory:"), Location::Memory);
    }

    #[test]
    fn buckets() {
        let place = S3Place {
            bucket: "acme-backups".to_owned(),
            prefix: Some("shop/a".parse().unwrap()),
            endpoint: None,
            region: None,
            path_style: false,
        };
        assert_eq!(
            read("s3://acme-backups/shop/a"),
            Location::S3(place.clone())
        );
        assert_eq!(
            read("S3://acme-backups/shop/a/?"),
            Location::S3(place.clone())
        );
        let whole = S3Place {
            prefix: None,
            ..place
        };
        assert_eq!(read("s3://acme-backups"), Location::S3(whole.clone()));
        assert_eq!(read("s3://acme-backups/"), Location::S3(whole.clone()));
        let local = S3Place {
            endpoint: Some("http://127.0.0.1:9000".to_owned()),
            region: Some("sa-east-1".to_owned()),
            path_style: true,
            ..whole
        };
        let text = "s3://acme-backups?endpoint=http://127.0.0.1:9000&region=sa-east-1";
        assert_eq!(read(text), Location::S3(local.clone()));
        assert_eq!(
            read(&format!("{text}&path_style=true")),
            Location::S3(local.clone())
        );
        assert_eq!(
            read(&format!("{text}&path_style=false")),
            Location::S3(S3Place {
                path_style: false,
                ..local
            })
        );
    }

    #[test]
    fn refusals_name_what_is_known() {
        for (text, says) in [
            ("", "empty"),
            ("  ", "empty"),
            (
                "ftp://host/x",
                "ftp:// is not known; write a folder's path, file:///folder or s3://bucket/prefix",
            ),
            ("gs://bucket", "gs:// is not yet supported"),
            ("az://container", "az:// is not yet supported"),
            ("file://vault", "absolute"),
            ("file:///a%2", "two hexadecimal digits"),
            ("~/vault", "write the path in full"),
            ("s3://", "3 to 63"),
            ("s3://Acme", "3 to 63"),
            ("s3://acme/a b", "a prefix is made of"),
            ("s3://acme/../x", "a prefix is made of"),
            ("s3://acme?endpoint=minio:9000", "an endpoint is a URL"),
            (
                "s3://acme?endpont=http://x",
                "endpoint, region and path_style",
            ),
            ("s3://acme?path_style=yes", "true or false"),
        ] {
            assert!(refusal(text).contains(says), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn credentials_are_refused_and_not_repeated() {
        for text in [
            "s3://AKIA:geheim@acme/x",
            "s3://acme?endpoint=http://AKIA:geheim@127.0.0.1",
            "s3://acme?secret_access_key=geheim",
        ] {
            assert_eq!(
                text.parse::<Location>(),
                Err(LocationError::HoldsCredentials)
            );
            assert!(!refusal(text).contains("geheim"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = text.parse::<Location>();
        }

        #[test]
        fn buckets_read_back(
            bucket in "[a-z0-9][a-z0-9.-]{2,40}",
            prefix in proptest::option::of("[a-z0-9]{1,8}(/[A-Za-z0-9_-]{1,8}){0,3}"),
            endpoint in proptest::option::of("https?://[a-z0-9.]{1,12}(:[0-9]{2,4})?"),
            region in proptest::option::of("[a-z0-9%&-]{1,12}"),
            path_style: bool,
        ) {
            let prefix = prefix.map(|prefix| prefix.parse().unwrap());
            let place = Location::S3(S3Place { bucket, prefix, endpoint, region, path_style });
            prop_assert_eq!(place.to_string().parse::<Location>(), Ok(place));
        }
    }
}
