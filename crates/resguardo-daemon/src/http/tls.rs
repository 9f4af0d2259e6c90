//! TLS: a certificate and its key, read from files, and read again when they have changed.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};

use super::server::HttpError;

/// Where a certificate and its key lie, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, and those above it.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The certificate that is shown now.
#[derive(Debug)]
pub(super) struct Shown {
    files: Certificate,
    now: RwLock<Arc<CertifiedKey>>,
}

impl Shown {
    pub(super) fn read(files: Certificate) -> Result<Arc<Self>, HttpError> {
        let now = RwLock::new(Arc::new(load(&files)?));
        Ok(Arc::new(Self { files, now }))
    }

    /// Reads the files again. What cannot be read leaves what was read before.
    pub(super) fn reload(&self) -> Result<(), HttpError> {
        let read = Arc::new(load(&self.files)?);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    pub(super) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, HttpError> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(HttpError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&now))
    }
}

fn load(files: &Certificate) -> Result<CertifiedKey, HttpError> {
    let unread = |path: &PathBuf| {
        let path = path.clone();
        move |source: rustls::pki_types::pem::Error| HttpError::Pem { path, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
        .map_err(unread(&files.cert))?
        .collect::<Result<_, _>>()
        .map_err(unread(&files.cert))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(unread(&files.key))?;
    let provider = ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(|source| HttpError::Certificate {
        path: files.cert.clone(),
        source,
    })
}
