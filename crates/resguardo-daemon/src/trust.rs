//! Which certificates are believed by what asks others by `https`.

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

/// The public authorities, or those of the PEM that is given instead.
///
/// # Errors
/// What is wrong with it, in a line.
pub(crate) fn tls(authority: Option<&str>) -> Result<TlsConfig, String> {
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
