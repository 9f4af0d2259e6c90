//! Logins by another service: OpenID Connect, authorization code with PKCE.
//!
//! What is asked of the provider, and which of what it says is believed, is here; cookies, pages and sessions are
//! [`crate::http`]'s. Discovery, keys, signatures and claims are the library's (`docs/decisions/0015-oidc.md`).
//!
//! Invariants:
//!
//! - Nothing is asked of, and nobody sent to, an address that is neither `https` nor on this machine.
//! - A token is believed if RS256 or ES256 signs it with a key of the provider, for this client alone, at this
//!   time, and for this very login: its nonce comes from the cookie of the browser that began it.
//! - Whoever the config gives no role is refused; an e-mail counts where the provider says that it is verified.

mod error;
mod fetch;
mod knock;
mod provider;
mod roles;

pub use error::OidcError;
pub use knock::{Key, Knock, TIME_MAX};
pub use provider::{Person, Provider, SecretReader, Settings};
pub use roles::{NotWhom, Roles, Whom};

/// Whether an address may be asked: `https`, or on this machine.
#[must_use]
pub fn is_fit(address: &str) -> bool {
    use openidconnect::url::{Host, Url};

    let Ok(url) = Url::parse(address) else {
        return false;
    };
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    let has_user = !url.username().is_empty() || url.password().is_some();
    !has_user && (url.scheme() == "https" || (url.scheme() == "http" && is_here))
}

#[cfg(test)]
mod tests {
    use super::is_fit;

    #[test]
    fn only_tls_or_this_machine_is_asked() {
        for good in [
            "https://accounts.example.com",
            "https://login.example.com/realms/acme",
            "http://127.0.0.1:8080",
            "http://[::1]:8080/x",
            "http://localhost/realms/acme",
        ] {
            assert!(is_fit(good), "{good}");
        }
        for bad in [
            "",
            "accounts.example.com",
            "http://accounts.example.com",
            "http://10.0.0.1/",
            "http://localhost.evil.example/",
            "http://127.0.0.1.evil.example/",
            "https://ana:secret@example.com/",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "https://",
        ] {
            assert!(!is_fit(bad), "{bad}");
        }
    }
}
