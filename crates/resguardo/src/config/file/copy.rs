//! One of `[vault] copies`, as it is written: a URL, or a table.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Leaf, RetentionFile};

/// A further vault that holds the same backups.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum CopyFile {
    /// Where it is.
    Url(String),
    /// Where it is, and how it is reached and kept.
    Table(Box<CopyTable>),
}

/// A further vault that holds the same backups.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyTable {
    /// A folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix. A relative folder is seen
    /// from this file.
    pub url: Option<Leaf<String>>,
    /// What it is called, 1 to 63 of a-z, 0-9, _ and -. Default: its bucket or folder.
    pub name: Option<Leaf<String>>,
    /// Most bytes per second on average, like 10MB/s. Default: no limit.
    pub bandwidth: Option<Leaf<String>>,
    /// How long backups are kept there. Default: as in the vault, by the environment of each source.
    pub retention: Option<Leaf<RetentionFile>>,
    /// URL of a server that is not the service's own, like http://127.0.0.1:9000.
    pub endpoint: Option<Leaf<String>>,
    /// S3: region.
    pub region: Option<Leaf<String>>,
    /// S3: the bucket is part of the path, not of the host name. Many own servers need it.
    pub path_style: Option<Leaf<bool>>,
    /// S3: access key. `${VAR}`, `file:PATH` or `cmd:COMMAND` keep it out of this file.
    pub access_key: Option<Leaf<String>>,
    /// S3: secret key. `${VAR}`, `file:PATH` or `cmd:COMMAND` keep it out of this file.
    pub secret_key: Option<Leaf<String>>,
    /// S3: profile of ~/.aws/credentials and ~/.aws/config that has the keys.
    pub profile: Option<Leaf<String>>,
    /// S3: how the service encrypts what it stores: "s3" (its own keys) or "kms:KEY-ID".
    pub sse: Option<Leaf<String>>,
    /// Storage class (S3, Google) or access tier (Azure) of packs. It must answer at once.
    pub storage_class: Option<Leaf<String>>,
    /// Google: file of a service account's key, or of application default credentials.
    pub credentials_file: Option<Leaf<String>>,
    /// Azure: storage account.
    pub account: Option<Leaf<String>>,
    /// Azure: the account's key. `${VAR}`, `file:PATH` or `cmd:COMMAND` keep it out of this file.
    pub account_key: Option<Leaf<String>>,
    /// Azure: shared access signature. `${VAR}`, `file:PATH` or `cmd:COMMAND` keep it out of this file.
    pub sas_token: Option<Leaf<String>>,
}

impl<'de> Deserialize<'de> for CopyFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CopyVisitor)
    }
}

struct CopyVisitor;

impl<'de> Visitor<'de> for CopyVisitor {
    type Value = CopyFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a URL like \"s3://bucket/prefix\", or a table like { url = \"...\", name = \"offsite\" }")
    }

    fn visit_str<E: Error>(self, url: &str) -> Result<CopyFile, E> {
        Ok(CopyFile::Url(url.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CopyFile, A::Error> {
        let table = CopyTable::deserialize(MapAccessDeserializer::new(map))?;
        Ok(CopyFile::Table(Box::new(table)))
    }
}
