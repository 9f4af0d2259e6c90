//! Where a vault lies: the text in the config, as a kind of store and its settings.
//!
//! Pure: nothing is opened here, and no secret is part of a location.

mod bucket;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use bucket::{AzurePlace, GcsPlace, S3Place};

/// A place that can hold a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder: `./vault`, `/srv/vault`, `file:///srv/vault`.
    Folder(PathBuf),
    /// A bucket: `s3://bucket/prefix?endpoint=...`.
    S3(S3Place),
    /// A bucket of Google Cloud Storage: `gs://bucket/prefix`.
    Gcs(GcsPlace),
    /// A container of Azure Blob Storage: `az://container/prefix?account=...`.
    Azure(AzurePlace),
    /// `memory:`, gone with the process.
    Memory,
}

/// The text is no location.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LocationError {
    /// Nothing, or only spaces.
    #[error("the vault's location is empty")]
    Empty,
    /// A scheme that means nothing here.
    #[error(
        "{location:?}: the scheme {scheme}:// is not known; write a folder's path, file:///folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
    )]
    UnknownScheme {
        /// The text.
        location: String,
        /// Its scheme.
        scheme: String,
    },
    /// A store that has no adapter yet.
    #[error(
        "{location:?}: {scheme}:// is not yet supported; write a folder's path, file:///folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
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
        "the vault's location holds credentials, which do not belong there; set them in the environment, or below [vault] as ${{VARIABLE}}, file: or cmd:"
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
            "s3" => bucket::s3_place(rest, &malformed).map(Self::S3),
            "gs" => bucket::gcs_place(rest, &malformed).map(Self::Gcs),
            "az" | "azure" => bucket::azure_place(rest, &malformed).map(Self::Azure),
            scheme @ ("sftp" | "rest") => Err(LocationError::NotYet {
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
            Self::Gcs(place) => place.fmt(f),
            Self::Azure(place) => place.fmt(f),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

impl Location {
    /// The folder, if it is one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            Self::S3(_) | Self::Gcs(_) | Self::Azure(_) | Self::Memory => None,
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
    fn buckets_of_google_and_containers_of_azure() {
        let acme = GcsPlace {
            bucket: "acme_backups.example".to_owned(),
            prefix: Some("shop/a".parse().unwrap()),
            endpoint: None,
        };
        assert_eq!(
            read("gs://acme_backups.example/shop/a/"),
            Location::Gcs(acme)
        );
        let backups = AzurePlace {
            container: "backups".to_owned(),
            prefix: None,
            account: Some("acme1".to_owned()),
            endpoint: Some("http://127.0.0.1:10000/acme1".to_owned()),
        };
        let text = "az://backups?account=acme1&endpoint=http://127.0.0.1:10000/acme1";
        assert_eq!(read(text), Location::Azure(backups.clone()));
        assert_eq!(Location::Azure(backups).to_string(), text);
    }

    #[test]
    fn refusals_name_what_is_known() {
        for (text, says) in [
            ("", "empty"),
            ("  ", "empty"),
            (
                "ftp://host/x",
                "ftp:// is not known; write a folder's path, file:///folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix",
            ),
            ("sftp://host/x", "sftp:// is not yet supported"),
            ("gs://Acme", "3 to 222"),
            ("gs://acme?region=x", "only endpoint"),
            ("az://a_b", "3 to 63"),
            ("az://backups?account=Acme", "3 to 24"),
            ("az://backups?endpont=x", "account and endpoint"),
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
            "gs://acme?token=geheim",
            "az://backups?account=acme&sas_token=geheim",
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
            let google = GcsPlace {
                bucket: bucket.clone(),
                prefix: prefix.clone(),
                endpoint: endpoint.clone(),
            };
            let s3 = S3Place { bucket, prefix, endpoint, region, path_style };
            for place in [Location::Gcs(google), Location::S3(s3)] {
                prop_assert_eq!(place.to_string().parse::<Location>(), Ok(place));
            }
        }
    }
}
