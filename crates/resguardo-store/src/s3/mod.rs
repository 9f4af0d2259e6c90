//! A bucket of an S3-compatible service, over the crate `object_store`.
//!
//! The port is synchronous: calls block their thread on one small runtime that all buckets share, and
//! so must not be made on a thread that runs asynchronous tasks (`spawn_blocking` threads are fine).
//!
//! Every upload carries its SHA-256, signed, so that a service which checks either refuses bytes that
//! changed on the way. `object_store`'s own retries are off: `wrap::Retry` is the one that tries again.
//! Each request has a deadline on silence, and an upload one that grows with its size.
//!
//! Objects over 64 MiB go up in parts unless they have a condition: S3 cannot complete parts under a
//! condition everywhere, so these take a single request, which S3 allows up to 5 GiB.

mod answer;
mod facts;
mod transfer;

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum, S3ConditionalPut};
use object_store::client::{
    DnsFuture, DnsResolver, HttpClient, HttpConnector as _, ReqwestConnector,
};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, ObjectMeta, ObjectStore as _, ObjectStoreExt as _,
    PutMode, RetryConfig, UpdateVersion,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::location::S3Place;
use crate::port::{
    Capabilities, Condition, Key, ObjectInfo, PlaceFacts, Store, StoreError, Version,
    checked_prefix, checked_range,
};
use answer::Asked;

/// Who asks.
#[derive(Clone, Debug)]
pub enum S3Credentials {
    /// An access key.
    Keys {
        /// Its public half.
        access_key_id: String,
        /// Its secret half.
        secret_access_key: SecretString,
        /// The token of a temporary key.
        session_token: Option<SecretString>,
    },
    /// Whatever role the machine has (the instance metadata service).
    Machine,
    /// Nobody: requests are not signed.
    Anonymous,
}

/// A bucket and how to ask it.
#[derive(Clone, Debug)]
pub struct S3Options {
    /// The bucket.
    pub place: S3Place,
    /// Who asks.
    pub credentials: S3Credentials,
    /// A request fails if the service says nothing for this long; an upload of n bytes has n / 128 KiB
    /// seconds more.
    pub silence_max: Duration,
    /// Where every host name of the service leads; `None` asks the name service.
    pub address: Option<IpAddr>,
}

/// Names that all lead to one address.
#[derive(Debug)]
struct OneAddress(IpAddr);

impl DnsResolver for OneAddress {
    fn resolve(&self, _host: &str) -> DnsFuture {
        Box::pin(std::future::ready(Ok(vec![self.0])))
    }
}

impl S3Options {
    /// With a deadline of 60 seconds on silence.
    #[must_use]
    pub fn new(place: S3Place, credentials: S3Credentials) -> Self {
        Self {
            place,
            credentials,
            silence_max: Duration::from_secs(60),
            address: None,
        }
    }
}

/// A store in a bucket.
pub struct S3Store {
    bucket: Arc<AmazonS3>,
    /// For the questions that `object_store` does not ask.
    http: HttpClient,
    place: S3Place,
    silence_max: Duration,
    runtime: Handle,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// The runtime of all buckets; it lives as long as the process.
fn runtime() -> Result<Handle, std::io::Error> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle().clone());
    }
    let made = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("s3")
        .enable_all()
        .build()?;
    match RUNTIME.set(made) {
        Ok(()) => {}
        // Another thread was faster; a runtime that never ran anything ends at once.
        Err(unused) => unused.shutdown_background(),
    }
    Ok(RUNTIME
        .get()
        .expect("it was set a line above")
        .handle()
        .clone())
}

impl S3Store {
    /// Opens the bucket; asks it nothing yet.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the options make no bucket (an endpoint that is no URL), or the system
    /// gives no threads.
    pub fn open(options: S3Options) -> Result<Self, StoreError> {
        let S3Options {
            place,
            credentials,
            silence_max,
            address,
        } = options;
        let not_opened = |source: crate::port::BoxError| StoreError::Other {
            operation: "open",
            key: place.to_string(),
            source,
        };
        let mut client = ClientOptions::new()
            .with_allow_http(place.endpoint.as_deref().is_some_and(|url| url.starts_with("http:")))
            .with_connect_timeout(silence_max.min(Duration::from_secs(10)))
            // Deadlines are set around each request: they depend on its size.
            .with_timeout_disabled()
            // Services close idle connections after 20 to 60 seconds.
            .with_pool_idle_timeout(Duration::from_secs(15));
        if let Some(address) = address {
            client = client.with_dns_resolver(Arc::new(OneAddress(address)));
        }
        let http = ReqwestConnector::default()
            .connect(&client)
            .map_err(|error| not_opened(error.into()))?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&place.bucket)
            .with_region(place.region.as_deref().unwrap_or("us-east-1"))
            .with_virtual_hosted_style_request(!place.path_style)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig {
                max_retries: 0,
                retry_timeout: Duration::ZERO,
                backoff: BackoffConfig::default(),
            })
            .with_client_options(client);
        if let Some(endpoint) = &place.endpoint {
            builder = builder.with_endpoint(endpoint_of(endpoint, &place));
        }
        builder = match &credentials {
            S3Credentials::Keys {
                access_key_id,
                secret_access_key,
                session_token,
            } => {
                let keys = builder
                    .with_access_key_id(access_key_id)
                    .with_secret_access_key(secret_access_key.expose_secret());
                match session_token {
                    Some(token) => keys.with_token(token.expose_secret()),
                    None => keys,
                }
            }
            S3Credentials::Machine => builder,
            S3Credentials::Anonymous => builder.with_skip_signature(true),
        };
        let bucket = Arc::new(builder.build().map_err(|error| not_opened(error.into()))?);
        let runtime = runtime().map_err(|error| not_opened(error.into()))?;
        Ok(Self {
            bucket,
            http,
            place,
            silence_max,
            runtime,
        })
    }

    /// Where the key lies in the bucket.
    fn path(&self, key: &str) -> Path {
        match &self.place.prefix {
            Some(prefix) if key.is_empty() => Path::from(prefix.as_str()),
            Some(prefix) => Path::from(format!("{prefix}/{key}")),
            None => Path::from(key),
        }
    }

    /// The key at `path`; `None` for an object of somebody else, whose name is no key.
    fn key(&self, path: &Path) -> Option<Key> {
        let text = path.as_ref();
        let below = match &self.place.prefix {
            Some(prefix) => text.strip_prefix(prefix.as_str())?.strip_prefix('/')?,
            None => text,
        };
        below.parse().ok()
    }

    fn asked<'a>(&'a self, operation: &'static str, key: &'a str) -> Asked<'a> {
        Asked {
            operation,
            key,
            place: &self.place,
        }
    }

    /// Runs a request that moves no large body.
    fn ask<T>(
        &self,
        asked: &Asked<'_>,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        self.runtime
            .block_on(asked.within(self.silence_max, request))
    }

    fn info(&self, key: Key, meta: &ObjectMeta) -> Result<ObjectInfo, StoreError> {
        let modified_at = Timestamp::from_millisecond(meta.last_modified.timestamp_millis());
        Ok(ObjectInfo {
            bytes: meta.size,
            modified_at: modified_at
                .map_err(|error| self.asked("stat", key.as_str()).other(error.into()))?,
            version: meta.e_tag.clone().map(Version),
            key,
        })
    }
}

/// With virtual hosts, `object_store` wants the bucket's own endpoint.
fn endpoint_of(endpoint: &str, place: &S3Place) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) if !place.path_style => format!("{scheme}://{}.{host}", place.bucket),
        _ => endpoint.to_owned(),
    }
}

impl Store for S3Store {
    fn describe(&self) -> String {
        self.place.to_string()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            conditional_put: true,
        }
    }

    fn place_facts(&self, probe: &Key) -> Result<PlaceFacts, StoreError> {
        self.runtime.block_on(self.ask_facts(probe))
    }

    fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> Result<Option<Version>, StoreError> {
        let asked = self.asked("put", key.as_str());
        let mode = match condition {
            Condition::Always if body.len() > transfer::SINGLE_BYTES_MAX => {
                return self.runtime.block_on(self.put_parts(&asked, body));
            }
            Condition::Always => PutMode::Overwrite,
            Condition::Absent => PutMode::Create,
            Condition::Matches(Version(etag)) => PutMode::Update(UpdateVersion {
                e_tag: Some(etag),
                version: None,
            }),
        };
        let deadline = self.silence_max + transfer::time_for(body.len());
        let path = self.path(key.as_str());
        let request = self.bucket.put_opts(&path, body.into(), mode.into());
        let result = self.runtime.block_on(asked.within(deadline, request))?;
        Ok(result.e_tag.map(Version))
    }

    fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        let asked = self.asked("get", key.as_str());
        let (_, body) = self
            .runtime
            .block_on(self.fetch(&asked, GetOptions::default()))?;
        Ok(body)
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        let asked = self.asked("get", key.as_str());
        if range.is_empty() {
            // HTTP knows no empty range.
            checked_range(key, self.stat(key)?.bytes, &range)?;
            return Ok(Bytes::new());
        }
        let options = GetOptions::default().with_range(Some(range.clone()));
        match self.runtime.block_on(self.fetch(&asked, options)) {
            Ok((got, body)) if got == range => Ok(body),
            // Beyond the end, services answer with what there is, or with one of two errors.
            Err(error @ (StoreError::NotFound { .. } | StoreError::Interrupted { .. })) => {
                Err(error)
            }
            other => {
                checked_range(key, self.stat(key)?.bytes, &range)?;
                let (got, _) = other?;
                let what = format!("the service sent the bytes {got:?} of the {range:?} asked for");
                Err(asked.interrupted(what.into()))
            }
        }
    }

    fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        let asked = self.asked("stat", key.as_str());
        let path = self.path(key.as_str());
        let meta = self.ask(&asked, self.bucket.head(&path))?;
        self.info(key.clone(), &meta)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        checked_prefix(prefix)?;
        let asked = self.asked("list", prefix);
        let path = self.path(prefix);
        let mut objects = self.bucket.list(Some(&path));
        let mut found = Vec::new();
        loop {
            match self.ask(&asked, objects.try_next()) {
                Ok(Some(meta)) => {
                    if let Some(key) = self.key(&meta.location) {
                        found.push(self.info(key, &meta)?);
                    }
                }
                Ok(None) => break,
                // A bucket that does not exist yet has no objects.
                Err(StoreError::NoSuchPlace { .. }) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        found.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(found)
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let asked = self.asked("delete", key.as_str());
        let path = self.path(key.as_str());
        match self.ask(&asked, self.bucket.delete(&path)) {
            Err(StoreError::NotFound { .. } | StoreError::NoSuchPlace { .. }) => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::signer::Signer as _;

    /// The URL of the object `a/b`.
    fn url(location: &str) -> String {
        let Ok(crate::Location::S3(place)) = location.parse() else {
            panic!("{location} is a bucket")
        };
        let credentials = S3Credentials::Keys {
            access_key_id: "AKIA".to_owned(),
            secret_access_key: "geheim".to_owned().into(),
            session_token: None,
        };
        let store = S3Store::open(S3Options::new(place, credentials)).unwrap();
        let method = "GET".parse().unwrap();
        let path = store.path("a/b");
        let signed = store
            .bucket
            .signed_url(method, &path, Duration::from_secs(60));
        let url = store.runtime.block_on(signed).unwrap().to_string();
        url.split('?').next().unwrap().to_owned()
    }

    #[test]
    fn requests_go_where_the_location_says() {
        for (location, expected) in [
            (
                "s3://acme?region=sa-east-1",
                "https://acme.s3.sa-east-1.amazonaws.com/a/b",
            ),
            (
                "s3://acme/v",
                "https://acme.s3.us-east-1.amazonaws.com/v/a/b",
            ),
            (
                "s3://acme/v?region=sa-east-1&path_style=true",
                "https://s3.sa-east-1.amazonaws.com/acme/v/a/b",
            ),
            (
                "s3://acme/v?endpoint=http://127.0.0.1:9000",
                "http://127.0.0.1:9000/acme/v/a/b",
            ),
            (
                "s3://acme/v?endpoint=https://s3.example.com:9000&path_style=false",
                "https://acme.s3.example.com:9000/v/a/b",
            ),
        ] {
            assert_eq!(url(location), expected, "{location}");
        }
    }
}
