//! `[http]`: where the pages of `serve` are, and how they are reached.

use std::net::SocketAddr;

use resguardo_daemon::http::{Certificate, HttpError, Origin, Settings};

use super::file::HttpFile;
use super::problem::Problem;
use super::resolver::Resolver;

/// Where they are where nothing is said.
const LISTEN: &str = "127.0.0.1:8372";

/// What an address looks like.
const LIKE: &str = "like 127.0.0.1:8372 or [::1]:8372";

/// An address and a port; `localhost` is this machine alone.
///
/// # Errors
/// What one looks like.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let parsed = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse(),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("it is an address and a port, {LIKE}"))
}

impl Resolver<'_> {
    /// What `[http]` says.
    pub(super) fn http(&mut self, file: &HttpFile) -> Settings {
        let default: SocketAddr = LISTEN.parse().expect("it is an address");
        let text = self.with_default("http.listen", file.listen.as_ref(), LISTEN.to_owned());
        let listen = address(&text).ok();
        if let (None, Some(leaf)) = (listen, &file.listen) {
            let message = format!("{text} is no address and port");
            let label = LIKE;
            self.problems.push(Problem::at(leaf.span(), message, label));
        }
        let url = self.optional("http.url", file.url.as_ref());
        let origin = url.and_then(|url| match url.parse::<Origin>() {
            Ok(origin) => Some(origin),
            Err(error) => {
                let leaf = file.url.as_ref().expect("it has a value");
                let message = error.to_string();
                self.problems.push(Problem::at(
                    leaf.span(),
                    message,
                    "scheme and host, and nothing after them",
                ));
                None
            }
        });
        let certificate = file.tls.as_ref().map(|tls| {
            let cert = self.optional("http.tls.cert", Some(&tls.cert));
            let key = self.optional("http.tls.key", Some(&tls.key));
            Certificate {
                cert: self.folder.join(cert.unwrap_or_default()),
                key: self.folder.join(key.unwrap_or_default()),
            }
        });
        let behind_proxy =
            self.with_default("http.behind_proxy", file.behind_proxy.as_ref(), false);
        let settings = Settings {
            listen: listen.unwrap_or(default),
            certificate,
            behind_proxy,
            origin,
        };
        self.public(file, &settings);
        settings
    }

    /// What is not to be served as it is.
    fn public(&mut self, file: &HttpFile, settings: &Settings) {
        let (span, label) = match settings.check() {
            Ok(()) => return,
            Err(HttpError::NoOrigin) if file.url.is_none() => (
                file.behind_proxy.as_ref().map(super::file::Leaf::span),
                "set url = \"https://...\", the address in the browser",
            ),
            // That it makes no sense was said.
            Err(HttpError::NoOrigin) => return,
            Err(_) => (
                file.listen.as_ref().map(super::file::Leaf::span),
                "add tls = { cert = \"...\", key = \"...\" }, or behind_proxy = true where a proxy speaks TLS",
            ),
        };
        let Err(error) = settings.check() else { return };
        if let Some(span) = span {
            self.problems
                .push(Problem::at(span, error.to_string(), label));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_localhost_and_what_is_none_is_told_what_one_looks_like() {
        for (text, means) in [
            ("localhost:18372", "127.0.0.1:18372"),
            ("127.0.0.1:8372", "127.0.0.1:8372"),
            ("[::1]:8372", "[::1]:8372"),
        ] {
            assert_eq!(address(text).map(|at| at.to_string()), Ok(means.to_owned()));
        }
        for text in ["18372", "localhost", "localhost:", "localhost:99999", ""] {
            let why = address(text).expect_err(text);
            assert!(why.contains("127.0.0.1:8372"), "{why}");
        }
    }
}
