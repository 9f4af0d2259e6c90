//! Why somebody whom another service sends is not let in.

use openidconnect::ClaimsVerificationError;
use resguardo_model::UserName;

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// Its address may not be asked.
    #[error("the issuer {0} is neither https nor on this machine")]
    Issuer(String),
    /// The secret cannot be read.
    #[error("reading client_secret of [http.oidc]: {0}")]
    Secret(String),
    /// It does not answer, or nothing that can be read.
    #[error("asking {issuer} what it offers")]
    Unreachable {
        /// Who.
        issuer: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What it says of itself makes no sense.
    #[error("{issuer} offers no login by code: {why}")]
    Odd {
        /// Who.
        issuer: String,
        /// What is wrong.
        why: String,
    },
    /// The code is worth nothing, or nothing any more.
    #[error("{issuer} takes the code for nothing: {why}")]
    Code {
        /// Who.
        issuer: String,
        /// What it said.
        why: String,
    },
    /// It gave no token that can be believed.
    #[error("a token of {issuer} is not valid")]
    Token {
        /// Who.
        issuer: String,
        /// What is wrong.
        #[source]
        source: ClaimsVerificationError,
    },
    /// The token is for another client.
    #[error("a token of {issuer} was made for {party}")]
    Party {
        /// Who.
        issuer: String,
        /// For whom.
        party: String,
    },
    /// The person has no name that can be one here.
    #[error("the claim {claim} of the token is no name: {value}")]
    NoName {
        /// The claim.
        claim: String,
        /// What it holds.
        value: String,
    },
    /// Anybody could have that e-mail.
    #[error("the e-mail {0} is not verified")]
    NotVerified(String),
    /// The config gives the person no role.
    #[error("{0} has no role")]
    NoRole(UserName),
}

impl OidcError {
    /// Whether the provider is to blame and not the person: it may be otherwise in a moment.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Odd { .. } | Self::Secret(_) | Self::Issuer(_)
        )
    }
}
