//! `[http]`: the pages and the API of `serve`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Leaf;

/// The pages and the API of `serve`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpFile {
    /// Where they are served, as address and port. An address that other machines reach needs `tls` or
    /// `behind_proxy`. Default: 127.0.0.1:8372.
    pub listen: Option<Leaf<String>>,
    /// The address in the browser, like `https://resguardo.example.com`; needed behind a proxy.
    pub url: Option<Leaf<String>>,
    /// A certificate, to serve by TLS.
    pub tls: Option<TlsFile>,
    /// A proxy in front speaks TLS, and names in X-Forwarded-For whom it speaks for. Default: false.
    pub behind_proxy: Option<Leaf<bool>>,
}

/// A certificate and its key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsFile {
    /// File of the certificate and those above it, in PEM.
    pub cert: Leaf<String>,
    /// File of its key, in PEM. Both are read again on SIGHUP.
    pub key: Leaf<String>,
}
