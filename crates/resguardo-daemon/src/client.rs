//! How the daemon asks others by HTTP: by no proxy, following no redirect, with everything bounded, and believing the
//! certificates that the config names.

use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

/// Asks for so long, and reads so many bytes of headers. `authority` (PEM) is believed instead of the public ones.
///
/// # Errors
/// What is wrong with the PEM, in a line.
pub(crate) fn agent(
    authority: Option<&str>,
    timeout: Duration,
    headers_bytes_max: usize,
) -> Result<Agent, String> {
    let config = Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(headers_bytes_max)
        .timeout_global(Some(timeout))
        .user_agent(concat!("resguardo/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls(authority)?)
        .build();
    Ok(config.new_agent())
}

fn tls(authority: Option<&str>) -> Result<TlsConfig, String> {
    let Some(pem) = authority else {
        return Ok(TlsConfig::default());
    };
    let mut believed: Vec<Certificate<'static>> = Vec::new();
    for item in ureq::tls::parse_pem(pem.as_bytes()) {
        match item {
            Ok(PemItem::Certificate(certificate)) => believed.push(certificate),
            Ok(_) => {}
            Err(_) => return Err("the authority's file is no PEM".to_owned()),
        }
    }
    if believed.is_empty() {
        return Err("the authority's file has no certificate".to_owned());
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&believed))
        .build())
}
