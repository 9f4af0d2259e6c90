//! The provider: where its pages are, what its keys are, what a code of its is worth, and who somebody is by it.
//!
//! What it says of itself is asked when somebody first logs in, and anew once an hour. A key that is not known is
//! asked for once, and at most once a minute: keys are rotated, and tokens can be made up.

use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreIdTokenVerifier,
    CoreJsonWebKeySet, CoreJwsSigningAlgorithm, CoreProviderMetadata,
};
use openidconnect::{
    AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    SignatureVerificationError,
};
use resguardo_model::{Clock, Role, UserName};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::error::OidcError;
use super::fetch::{self, FetchError};
use super::is_fit;
use super::knock::Knock;
use super::roles::Roles;

/// How long what it says of itself is believed.
const METADATA_AGE_MAX: SignedDuration = SignedDuration::from_hours(1);
/// How often its keys are asked for at most, when one is not known.
const KEYS_EVERY: SignedDuration = SignedDuration::from_mins(1);
/// By how much its clock may differ from ours.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Reads the secret of the client: each time, for it may be changed. The error is a line.
pub type SecretReader = dyn Fn() -> Result<SecretString, String> + Send + Sync;

/// What is said of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who it says it is, to the letter.
    pub issuer: String,
    /// Who we are to it.
    pub client_id: String,
    /// What it is called on the button.
    pub name: String,
    /// The claim that is the name of a person. `email` has to be verified; others are taken as they are.
    pub name_claim: String,
    /// The claim that lists groups: its own name, or a path of names.
    pub groups_claim: String,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// Who gets which role.
    pub roles: Roles,
    /// Certificates that are believed instead of the public ones, in PEM.
    pub authority: Option<Arc<str>>,
}

/// Somebody whom the provider knows and the config gives a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: UserName,
    /// What he may do.
    pub role: Role,
}

/// What the provider says of itself.
#[derive(Clone)]
struct Known {
    metadata: CoreProviderMetadata,
    at: Timestamp,
    keys_at: Timestamp,
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider.
pub struct Provider {
    settings: Settings,
    secret: Option<Box<SecretReader>>,
    clock: Arc<dyn Clock>,
    known: Mutex<Option<Known>>,
}

impl Provider {
    /// One that nothing was asked of yet. Without a secret the verifier alone says who shows a code.
    ///
    /// # Errors
    /// [`OidcError::Issuer`].
    pub fn new(
        settings: Settings,
        secret: Option<Box<SecretReader>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OidcError> {
        if !is_fit(&settings.issuer) {
            return Err(OidcError::Issuer(settings.issuer));
        }
        Ok(Self {
            settings,
            secret,
            clock,
            known: Mutex::new(None),
        })
    }

    /// What is said of it.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where the browser is sent to log in. Blocking.
    ///
    /// # Errors
    /// If the provider cannot be asked.
    pub fn begin(&self, knock: &Knock, back: &str) -> Result<String, OidcError> {
        let client = self.client(&self.known()?, None, back)?;
        let (state, nonce) = (knock.state(), knock.nonce());
        let verifier = PkceCodeVerifier::new(knock.verifier());
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let (url, _, _) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .add_scopes(scopes)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        if is_fit(url.as_str()) {
            Ok(url.to_string())
        } else {
            Err(self.odd("its login page is neither https nor on this machine"))
        }
    }

    /// Who came back with that code. Blocking.
    ///
    /// # Errors
    /// If the provider cannot be asked, what it says is not to be believed, or the person has no role.
    pub fn finish(&self, code: &str, knock: &Knock, back: &str) -> Result<Person, OidcError> {
        let known = self.known()?;
        let token = self.exchange(&known, code, knock, back)?;
        let nonce = Nonce::new(knock.nonce());
        let checked = match self.check(&known, &token, &nonce) {
            Err(OidcError::Token { source, .. }) if is_unknown_key(&source) => {
                self.check(&self.with_new_keys(known)?, &token, &nonce)
            }
            checked => checked,
        };
        checked?;
        self.person(&payload(&token).ok_or_else(|| self.odd("its token has no claims"))?)
    }

    /// What the provider says of itself, asked at most once an hour.
    fn known(&self) -> Result<Known, OidcError> {
        let now = self.clock.now();
        // Whoever comes meanwhile waits for the answer: a provider is not asked twice for the same.
        let mut held = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of_late = |known: &&Known| now.duration_since(known.at).abs() < METADATA_AGE_MAX;
        if let Some(known) = held.as_ref().filter(is_of_late) {
            return Ok(known.clone());
        }
        let issuer = IssuerUrl::new(self.settings.issuer.clone())
            .map_err(|_| OidcError::Issuer(self.settings.issuer.clone()))?;
        let metadata = CoreProviderMetadata::discover(&issuer, &|request| self.ask(request))
            .map_err(|error| self.unreachable(error))?;
        let known = Known {
            metadata,
            at: now,
            keys_at: now,
        };
        *held = Some(known.clone());
        Ok(known)
    }

    /// The same with the keys that it has now; as it was, if they were asked for a moment ago.
    fn with_new_keys(&self, seen: Known) -> Result<Known, OidcError> {
        let now = self.clock.now();
        let mut held = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = held.clone().unwrap_or(seen);
        if now.duration_since(known.keys_at).abs() < KEYS_EVERY {
            return Ok(known);
        }
        let address = known.metadata.jwks_uri().clone();
        let keys = CoreJsonWebKeySet::fetch(&address, &|request| self.ask(request))
            .map_err(|error| self.unreachable(error))?;
        known.metadata = known.metadata.set_jwks(keys);
        known.keys_at = now;
        *held = Some(known.clone());
        Ok(known)
    }

    fn ask(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        fetch::ask(request, self.settings.authority.as_deref())
    }

    fn secret(&self) -> Result<Option<ClientSecret>, OidcError> {
        let Some(read) = &self.secret else {
            return Ok(None);
        };
        let secret = read().map_err(OidcError::Secret)?;
        Ok(Some(ClientSecret::new(secret.expose_secret().to_owned())))
    }

    fn client(
        &self,
        known: &Known,
        secret: Option<ClientSecret>,
        back: &str,
    ) -> Result<Client, OidcError> {
        let back =
            RedirectUrl::new(back.to_owned()).map_err(|error| self.odd(&error.to_string()))?;
        let metadata = known.metadata.clone();
        let ways = metadata.token_endpoint_auth_methods_supported();
        let by_header =
            ways.is_none_or(|ways| ways.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let way = if by_header {
            AuthType::BasicAuth
        } else {
            AuthType::RequestBody
        };
        let id = ClientId::new(self.settings.client_id.clone());
        Ok(CoreClient::from_provider_metadata(metadata, id, secret)
            .set_redirect_uri(back)
            .set_auth_type(way))
    }

    fn exchange(
        &self,
        known: &Known,
        code: &str,
        knock: &Knock,
        back: &str,
    ) -> Result<CoreIdToken, OidcError> {
        let issuer = || self.settings.issuer.clone();
        let answer = self
            .client(known, self.secret()?, back)?
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| self.odd(&error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(knock.verifier()))
            .request(&|request| self.ask(request));
        let answer = answer.map_err(|error| match error {
            RequestTokenError::Request(error) => self.unreachable(error),
            // What it answered may hold a token, and is told to nobody.
            RequestTokenError::Parse(..) => self.odd("its answer to a code cannot be read"),
            RequestTokenError::ServerResponse(said) => OidcError::Code {
                issuer: issuer(),
                why: said.error().to_string(),
            },
            RequestTokenError::Other(why) => self.odd(&why),
        })?;
        let token = answer.extra_fields().id_token().cloned();
        token.ok_or_else(|| self.odd("it gives no token that says who somebody is"))
    }

    /// Whether the token is to be believed.
    fn check(&self, known: &Known, token: &CoreIdToken, nonce: &Nonce) -> Result<(), OidcError> {
        let issuer = || self.settings.issuer.clone();
        let now = self.clock.now();
        let early = now.saturating_sub(SKEW).unwrap_or(now);
        let late = now.saturating_add(SKEW).unwrap_or(now);
        let (us, metadata) = (
            ClientId::new(self.settings.client_id.clone()),
            &known.metadata,
        );
        let (them, keys) = (metadata.issuer().clone(), metadata.jwks().clone());
        // As one without a secret: nothing that the secret signs is ever believed.
        let verifier = CoreIdTokenVerifier::new_public_client(us, them, keys)
            .set_allowed_algs([
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
                CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            ])
            .set_time_fn(move || std::time::SystemTime::from(early).into())
            .set_issue_time_verifier_fn(move |at| {
                if at.timestamp() <= late.as_second() {
                    Ok(())
                } else {
                    Err("it was made in the future".to_owned())
                }
            });
        let claims = token.claims(&verifier, nonce);
        let claims = claims.map_err(|source| OidcError::Token {
            issuer: issuer(),
            source,
        })?;
        match claims.authorized_party() {
            Some(party) if party.as_str() != self.settings.client_id => Err(OidcError::Party {
                issuer: issuer(),
                party: party.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Who it is, by claims that are believed.
    fn person(&self, claims: &Value) -> Result<Person, OidcError> {
        let said = |name: &str| claims.get(name).and_then(Value::as_str);
        let is_verified = match claims.get("email_verified") {
            Some(Value::Bool(is_so)) => *is_so,
            // Some providers write it as a text.
            Some(Value::String(text)) => text == "true",
            _ => false,
        };
        let email = said("email").filter(|_| is_verified);
        let claim = &self.settings.name_claim;
        let shown = said(claim).unwrap_or_default();
        if claim == "email" && email.is_none() && !shown.is_empty() {
            return Err(OidcError::NotVerified(shown.to_owned()));
        }
        let name: UserName = shown.parse().map_err(|_| OidcError::NoName {
            claim: claim.clone(),
            value: format!("{shown:?}"),
        })?;
        let groups = groups(claims, &self.settings.groups_claim);
        match self.settings.roles.of(email, &groups) {
            Some(role) => Ok(Person { name, role }),
            None => Err(OidcError::NoRole(name)),
        }
    }

    fn odd(&self, why: &str) -> OidcError {
        OidcError::Odd {
            issuer: self.settings.issuer.clone(),
            why: why.to_owned(),
        }
    }

    fn unreachable(&self, source: impl std::error::Error + Send + Sync + 'static) -> OidcError {
        OidcError::Unreachable {
            issuer: self.settings.issuer.clone(),
            source: Box::new(source),
        }
    }
}

fn is_unknown_key(error: &ClaimsVerificationError) -> bool {
    matches!(
        error,
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)
    )
}

/// Every claim of a token whose signature was checked.
fn payload(token: &CoreIdToken) -> Option<Value> {
    let text = token.to_string();
    let bytes = BASE64URL_NOPAD
        .decode(text.split('.').nth(1)?.as_bytes())
        .ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The groups of a claim: one that is called so, or what a path of names leads to.
fn groups(claims: &Value, claim: &str) -> Vec<String> {
    let at_path = || {
        let mut names = claim.split('.');
        names.try_fold(claims, |value, name| value.get(name))
    };
    match claims.get(claim).or_else(at_path) {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => {
            let texts = all.iter().filter_map(Value::as_str);
            texts.map(ToOwned::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::groups;

    #[test]
    fn groups_are_found_by_name_or_path() {
        let claims = json!({
            "groups": ["dba", 7, "staff"],
            "one": "dba",
            "https://acme.example/groups": ["url"],
            "realm_access": {"roles": ["deep"]},
        });
        assert_eq!(groups(&claims, "groups"), ["dba", "staff"]);
        assert_eq!(groups(&claims, "one"), ["dba"]);
        assert_eq!(groups(&claims, "https://acme.example/groups"), ["url"]);
        assert_eq!(groups(&claims, "realm_access.roles"), ["deep"]);
        for none in ["", "realm_access", "realm_access.roles.0", "gone"] {
            assert_eq!(groups(&claims, none), [""; 0], "{none}");
        }
    }
}
