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
    /// A service that lets people in as well, by OpenID Connect; needs `url`.
    pub oidc: Option<Leaf<OidcFile>>,
    /// A proxy in front speaks TLS, and names in X-Forwarded-For whom it speaks for. Default: false.
    pub behind_proxy: Option<Leaf<bool>>,
}

/// A service that lets people in, by OpenID Connect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcFile {
    /// Who it says it is, to the letter, like `https://login.example.com/realms/acme`.
    pub issuer: Leaf<String>,
    /// Who Resguardo is to it.
    pub client_id: Leaf<String>,
    /// The secret of that client; without it, the client is a public one. `${VAR}`, `file:PATH` or `cmd:COMMAND` keep
    /// it out of this file.
    pub client_secret: Option<Leaf<String>>,
    /// What it is called on the button. Default: the host of the issuer.
    pub name: Option<Leaf<String>>,
    /// The claim that names people in receipts. An `email` has to be verified; another claim is taken as it is.
    /// Default: email.
    pub name_claim: Option<Leaf<String>>,
    /// The claim that lists groups: its name, or a path like `realm_access.roles`. Default: groups.
    pub groups_claim: Option<Leaf<String>>,
    /// What is asked for besides `openid`. Default: email and profile.
    pub scopes: Option<Leaf<Vec<String>>>,
    /// A file of certificates, in PEM, of the authority that is believed instead of the public ones.
    pub ca: Option<Leaf<String>>,
    /// Who gets which role; whoever is not in it is refused.
    #[serde(default)]
    pub roles: OidcRolesFile,
}

/// Who gets which role, each as `group:NAME`, an e-mail, or `@DOMAIN`. The highest counts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcRolesFile {
    /// Who may look.
    pub viewer: Option<Leaf<Vec<String>>>,
    /// Who may back up, drill, verify, pin and resolve as well.
    pub operator: Option<Leaf<Vec<String>>>,
    /// Who may do everything that the pages can.
    pub admin: Option<Leaf<Vec<String>>>,
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
