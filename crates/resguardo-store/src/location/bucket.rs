//! Buckets and containers in a location: how they are written, and how they are shown.

use std::fmt;

use super::{LocationError, unescaped};
use crate::port::Key;

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

/// A bucket of Google Cloud Storage, without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcsPlace {
    /// The bucket's name.
    pub bucket: String,
    /// What every key begins with, without a `/` at its end; `None` for the whole bucket.
    pub prefix: Option<Key>,
    /// `None` for Google's own. `http` (not `https`) is taken as consent to it.
    pub endpoint: Option<String>,
}

/// A container of Azure Blob Storage, without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzurePlace {
    /// The container's name.
    pub container: String,
    /// What every key begins with, without a `/` at its end; `None` for the whole container.
    pub prefix: Option<Key>,
    /// The storage account; `None` where the config or the environment says.
    pub account: Option<String>,
    /// URL of the account; `None` for `https://ACCOUNT.blob.core.windows.net`. `http` (not `https`) is
    /// taken as consent to it.
    pub endpoint: Option<String>,
}

/// What stands after the scheme: a name, a prefix, and settings.
struct Parts<'a> {
    name: &'a str,
    prefix: Option<Key>,
    settings: Vec<(&'a str, String)>,
}

fn parts<'a>(
    rest: &'a str,
    malformed: &dyn Fn(&str) -> LocationError,
) -> Result<Parts<'a>, LocationError> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.contains('@') {
        return Err(LocationError::HoldsCredentials);
    }
    let (name, prefix) = path.split_once('/').unwrap_or((path, ""));
    let prefix = prefix.trim_end_matches('/');
    let prefix = if prefix.is_empty() {
        None
    } else {
        let rule = "a prefix is made of A-Z, a-z, 0-9, ., _ and -, joined by /";
        Some(prefix.parse().map_err(|_| malformed(rule))?)
    };
    let mut settings = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_secret = ["key", "secret", "token", "sas", "sig"];
        if is_secret.iter().any(|word| name.contains(word)) {
            return Err(LocationError::HoldsCredentials);
        }
        let value = unescaped(value)
            .ok_or_else(|| malformed("a % is followed by two hexadecimal digits"))?;
        settings.push((name, value));
    }
    Ok(Parts {
        name,
        prefix,
        settings,
    })
}

pub(super) fn gcs_place(
    rest: &str,
    malformed: &dyn Fn(&str) -> LocationError,
) -> Result<GcsPlace, LocationError> {
    let parts = parts(rest, malformed)?;
    let fits = (3..=222).contains(&parts.name.len())
        && parts.name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
        });
    if !fits {
        return Err(malformed(
            "a bucket's name has 3 to 222 of a-z, 0-9, -, _ and .",
        ));
    }
    let mut endpoint = None;
    for (name, value) in parts.settings {
        match name {
            "endpoint" => endpoint = Some(endpoint_url(&value, malformed)?),
            _ => return Err(malformed("after ? comes only endpoint")),
        }
    }
    Ok(GcsPlace {
        bucket: parts.name.to_owned(),
        prefix: parts.prefix,
        endpoint,
    })
}

pub(super) fn azure_place(
    rest: &str,
    malformed: &dyn Fn(&str) -> LocationError,
) -> Result<AzurePlace, LocationError> {
    let parts = parts(rest, malformed)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = (3..=63).contains(&parts.name.len())
        && parts.name.bytes().all(|byte| plain(byte) || byte == b'-');
    if !fits {
        return Err(malformed(
            "a container's name has 3 to 63 of a-z, 0-9 and -",
        ));
    }
    let (mut account, mut endpoint) = (None, None);
    for (name, value) in parts.settings {
        match name {
            "account" if (3..=24).contains(&value.len()) && value.bytes().all(plain) => {
                account = Some(value);
            }
            "account" => {
                return Err(malformed("an account's name has 3 to 24 of a-z and 0-9"));
            }
            "endpoint" => endpoint = Some(endpoint_url(&value, malformed)?),
            _ => return Err(malformed("after ? come account and endpoint, nothing else")),
        }
    }
    Ok(AzurePlace {
        container: parts.name.to_owned(),
        prefix: parts.prefix,
        account,
        endpoint,
    })
}

pub(super) fn s3_place(
    rest: &str,
    malformed: &dyn Fn(&str) -> LocationError,
) -> Result<S3Place, LocationError> {
    let parts = parts(rest, malformed)?;
    let fits = (3..=63).contains(&parts.name.len())
        && parts.name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
        });
    if !fits {
        return Err(malformed(
            "a bucket's name has 3 to 63 of a-z, 0-9, - and .",
        ));
    }
    let (mut endpoint, mut region, mut path_style) = (None, None, None);
    for (name, value) in parts.settings {
        match name {
            "endpoint" => endpoint = Some(endpoint_url(&value, malformed)?),
            "region" if !value.is_empty() => region = Some(value),
            "path_style" if value == "true" => path_style = Some(true),
            "path_style" if value == "false" => path_style = Some(false),
            "region" | "path_style" => {
                return Err(malformed("region has a name, path_style is true or false"));
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
        bucket: parts.name.to_owned(),
        prefix: parts.prefix,
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

/// `scheme://name/prefix?settings`; reads back as the same place.
fn show(
    f: &mut fmt::Formatter<'_>,
    scheme: &str,
    name: &str,
    prefix: Option<&Key>,
    settings: &[(&str, Option<&str>)],
) -> fmt::Result {
    write!(f, "{scheme}://{name}")?;
    if let Some(prefix) = prefix {
        write!(f, "/{prefix}")?;
    }
    let mut separator = '?';
    for (name, value) in settings {
        if let Some(value) = value {
            write!(f, "{separator}{name}={}", escaped(value))?;
            separator = '&';
        }
    }
    Ok(())
}

impl fmt::Display for S3Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = if self.path_style { "true" } else { "false" };
        let is_default = self.path_style == self.endpoint.is_some();
        let settings = [
            ("endpoint", self.endpoint.as_deref()),
            ("region", self.region.as_deref()),
            ("path_style", (!is_default).then_some(style)),
        ];
        show(f, "s3", &self.bucket, self.prefix.as_ref(), &settings)
    }
}

impl fmt::Display for GcsPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = [("endpoint", self.endpoint.as_deref())];
        show(f, "gs", &self.bucket, self.prefix.as_ref(), &settings)
    }
}

impl fmt::Display for AzurePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = [
            ("account", self.account.as_deref()),
            ("endpoint", self.endpoint.as_deref()),
        ];
        show(f, "az", &self.container, self.prefix.as_ref(), &settings)
    }
}

fn escaped(value: &str) -> String {
    value.replace('%', "%25").replace('&', "%26")
}
