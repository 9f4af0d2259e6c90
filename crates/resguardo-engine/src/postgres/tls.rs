//! TLS as libpq's `sslmode` asks for it: from "if the server has it" to "its certificate is ours and names
//! this very host".

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::{Settings, SslMode};
use crate::port::EngineError;

/// What connections of these settings are encrypted with.
///
/// # Errors
/// If a file of certificates or keys is missing or makes no sense.
pub(super) fn connector(settings: &Settings) -> Result<MakeRustlsConnect, EngineError> {
    let refused = |why: String| EngineError::Unsupported {
        place: settings.describe(),
        why,
        next: "see sslmode, sslrootcert, sslcert and sslkey of the connection".to_owned(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mode = settings.ssl_mode().map_err(refused)?;
    let verifier = verifier(settings, mode, &provider).map_err(refused)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match client_certificate(settings).map_err(refused)? {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| refused(format!("the client's certificate: {error}")))?,
    };
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

fn verifier(
    settings: &Settings,
    mode: SslMode,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<Verifier>, String> {
    let file = match settings.get("sslrootcert") {
        Some("system") => None,
        Some(file) => Some(PathBuf::from(file)),
        None => settings.own_file("root.crt"),
    };
    let is_system = settings.get("sslrootcert") == Some("system");
    // With a root certificate at hand, `require` means `verify-ca`, as in libpq.
    let mode = match mode {
        SslMode::Require if file.is_some() => SslMode::VerifyCa,
        other => other,
    };
    if mode < SslMode::VerifyCa {
        return Ok(Arc::new(Verifier::Nothing(Arc::clone(provider))));
    }
    let mut store = RootCertStore::empty();
    let mut trusted = Vec::new();
    match &file {
        Some(file) => {
            trusted = certificates(file)?;
            for certificate in &trusted {
                let added = store.add(certificate.clone());
                added.map_err(|error| format!("sslrootcert {}: {error}", file.display()))?;
            }
        }
        None if is_system => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        None => {
            let why = "its sslmode checks the server's certificate, and there is no sslrootcert; for a certificate of a public authority it is sslrootcert=system";
            return Err(why.to_owned());
        }
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
        .build()
        .map_err(|error| format!("sslrootcert: {error}"))?;
    Ok(Arc::new(Verifier::Chain {
        inner,
        trusted,
        by_name: mode == SslMode::VerifyFull,
    }))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(format!("{} holds no certificate", file.display())),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("reading {}: {error}", file.display())),
    }
}

type ClientCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_certificate(settings: &Settings) -> Result<Option<ClientCertificate>, String> {
    let file = |keyword: &str, own: &str| match settings.get(keyword) {
        Some(file) => Some(PathBuf::from(file)),
        None => settings.own_file(own),
    };
    let Some(certificate) = file("sslcert", "postgresql.crt") else {
        return Ok(None);
    };
    let chain = certificates(&certificate)?;
    let key = file("sslkey", "postgresql.key")
        .ok_or_else(|| format!("{} has no sslkey", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(&key)
        .map_err(|error| format!("reading {}: {error}", key.display()))?;
    Ok(Some((chain, key)))
}

/// How much of a server's certificate is checked.
#[derive(Debug)]
enum Verifier {
    Nothing(Arc<CryptoProvider>),
    Chain {
        inner: Arc<WebPkiServerVerifier>,
        /// A server's own certificate may be trusted by itself.
        trusted: Vec<CertificateDer<'static>>,
        by_name: bool,
    },
}

impl Verifier {
    fn provider_schemes(&self) -> Vec<SignatureScheme> {
        match self {
            Self::Nothing(provider) => provider
                .signature_verification_algorithms
                .supported_schemes(),
            Self::Chain { inner, .. } => inner.supported_verify_schemes(),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Self::Chain {
            inner,
            trusted,
            by_name,
        } = self
        else {
            return Ok(ServerCertVerified::assertion());
        };
        if trusted.iter().any(|own| own == end_entity) {
            if *by_name {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        let verified =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !by_name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self {
            Self::Nothing(provider) => rustls::crypto::verify_tls12_signature(
                message,
                certificate,
                signature,
                &provider.signature_verification_algorithms,
            ),
            Self::Chain { inner, .. } => {
                inner.verify_tls12_signature(message, certificate, signature)
            }
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self {
            Self::Nothing(provider) => rustls::crypto::verify_tls13_signature(
                message,
                certificate,
                signature,
                &provider.signature_verification_algorithms,
            ),
            Self::Chain { inner, .. } => {
                inner.verify_tls13_signature(message, certificate, signature)
            }
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider_schemes()
    }
}
