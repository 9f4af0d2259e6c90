//! What buckets and containers of every service have in common, over the crate `object_store`.
//!
//! The port is synchronous: calls block their thread on one small runtime that all buckets share, and
//! so must not be made on a thread that runs asynchronous tasks (`spawn_blocking` threads are fine).
//!
//! `object_store`'s own retries are off: `wrap::Retry` is the one that tries again. Each request has a
//! deadline on silence, and an upload one that grows with its size.

pub(crate) mod advice;
pub(crate) mod answer;
mod question;
mod transfer;

use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use object_store::client::{
    DnsFuture, DnsResolver, HttpClient, HttpConnector as _, ReqwestConnector,
};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, GetOptions, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutOptions, RetryConfig, UpdateVersion,
};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::port::{
    BoxError, Condition, Key, ObjectInfo, StoreError, Version, checked_prefix, checked_range,
};
use answer::Asked;
pub(crate) use question::Reply;

/// Smaller objects stay in the bucket's own storage class: the cheaper ones bill for 128 KiB at least.
pub(crate) const CLASS_BYTES_MIN: usize = 128 << 10;

/// A bucket or container, for its errors and keys.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// As a URL.
    pub(crate) url: String,
    /// `bucket acme`, `container acme`.
    pub(crate) words: String,
    /// Where it is asked, if that is not the service's usual place.
    pub(crate) endpoint: Option<String>,
    /// What every key begins with.
    pub(crate) prefix: Option<Key>,
}

/// Which of a service's marks is an object's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    /// The entity tag: S3, Azure.
    Etag,
    /// The generation: Google.
    Generation,
}

/// A bucket of any service.
pub(crate) struct Bucket {
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// For the questions that `object_store` does not ask.
    pub(crate) http: HttpClient,
    pub(crate) place: Place,
    pub(crate) silence_max: Duration,
    pub(crate) runtime: Handle,
    pub(crate) marks: Marks,
    /// A listing has the same marks as a `stat`. Azure's lack their quotes.
    pub(crate) lists_marks: bool,
    /// Objects without condition that are larger go up in parts.
    pub(crate) single_bytes_max: usize,
}

/// Names that all lead to one address.
#[derive(Debug)]
struct OneAddress(IpAddr);

impl DnsResolver for OneAddress {
    fn resolve(&self, _host: &str) -> DnsFuture {
        Box::pin(std::future::ready(Ok(vec![self.0])))
    }
}

/// How every service is connected to. `endpoint`: `http` (not `https`) is taken as consent to it.
pub(crate) fn client_options(
    endpoint: Option<&str>,
    silence_max: Duration,
    address: Option<IpAddr>,
) -> ClientOptions {
    let client = ClientOptions::new()
        .with_allow_http(endpoint.is_some_and(|url| url.starts_with("http:")))
        .with_connect_timeout(silence_max.min(Duration::from_secs(10)))
        // Deadlines are set around each request: they depend on its size.
        .with_timeout_disabled()
        // Services close idle connections after 20 to 60 seconds.
        .with_pool_idle_timeout(Duration::from_secs(15));
    match address {
        Some(address) => client.with_dns_resolver(Arc::new(OneAddress(address))),
        None => client,
    }
}

/// None: `wrap::Retry` is the one that tries again.
pub(crate) fn no_retries() -> RetryConfig {
    RetryConfig {
        max_retries: 0,
        retry_timeout: Duration::ZERO,
        backoff: BackoffConfig::default(),
    }
}

/// A client for the questions that `object_store` does not ask.
pub(crate) fn http_client(options: &ClientOptions) -> Result<HttpClient, BoxError> {
    Ok(ReqwestConnector::default().connect(options)?)
}

/// The runtime of all buckets; it lives as long as the process.
pub(crate) fn runtime() -> Result<Handle, std::io::Error> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle().clone());
    }
    let made = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("cloud")
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

impl Bucket {
    /// Where the key lies in the bucket.
    pub(crate) fn path(&self, key: &str) -> Path {
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

    pub(crate) fn asked<'a>(&'a self, operation: &'static str, key: &'a str) -> Asked<'a> {
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

    fn version(&self, etag: Option<String>, generation: Option<String>) -> Option<Version> {
        match self.marks {
            Marks::Etag => etag,
            Marks::Generation => generation,
        }
        .map(Version)
    }

    fn info(&self, key: Key, meta: ObjectMeta) -> Result<ObjectInfo, StoreError> {
        let modified_at = Timestamp::from_millisecond(meta.last_modified.timestamp_millis());
        Ok(ObjectInfo {
            bytes: meta.size,
            modified_at: modified_at
                .map_err(|error| self.asked("stat", key.as_str()).other(error.into()))?,
            version: self.version(meta.e_tag, meta.version),
            key,
        })
    }

    /// Puts an object, into a storage class of the service where one is given.
    pub(crate) fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
        class: Option<&str>,
    ) -> Result<Option<Version>, StoreError> {
        let attributes: Attributes = class
            .map(|class| (Attribute::StorageClass, class.to_owned()))
            .into_iter()
            .collect();
        let asked = self.asked("put", key.as_str());
        let mode = match condition {
            Condition::Always if body.len() > self.single_bytes_max => {
                return self
                    .runtime
                    .block_on(self.put_parts(&asked, body, attributes));
            }
            Condition::Always => PutMode::Overwrite,
            Condition::Absent => PutMode::Create,
            Condition::Matches(Version(mark)) => PutMode::Update(match self.marks {
                Marks::Etag => UpdateVersion {
                    e_tag: Some(mark),
                    version: None,
                },
                Marks::Generation => UpdateVersion {
                    e_tag: None,
                    version: Some(mark),
                },
            }),
        };
        let deadline = self.silence_max + transfer::time_for(body.len());
        let path = self.path(key.as_str());
        let options = PutOptions {
            mode,
            attributes,
            ..PutOptions::default()
        };
        let request = self.objects.put_opts(&path, body.into(), options);
        let result = self.runtime.block_on(asked.within(deadline, request))?;
        Ok(self.version(result.e_tag, result.version))
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        let asked = self.asked("get", key.as_str());
        let (_, body) = self
            .runtime
            .block_on(self.fetch(&asked, GetOptions::default()))?;
        Ok(body)
    }

    pub(crate) fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
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
            Err(
                error @ (StoreError::NotFound { .. }
                | StoreError::Interrupted { .. }
                | StoreError::Unreachable { .. }),
            ) => Err(error),
            other => {
                checked_range(key, self.stat(key)?.bytes, &range)?;
                let (got, _) = other?;
                let what = format!("the service sent the bytes {got:?} of the {range:?} asked for");
                Err(asked.interrupted(what.into()))
            }
        }
    }

    pub(crate) fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        let asked = self.asked("stat", key.as_str());
        let path = self.path(key.as_str());
        let meta = self.ask(&asked, self.objects.head(&path))?;
        self.info(key.clone(), meta)
    }

    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        checked_prefix(prefix)?;
        let asked = self.asked("list", prefix);
        let path = self.path(prefix);
        let mut objects = self.objects.list(Some(&path));
        let mut found = Vec::new();
        loop {
            match self.ask(&asked, objects.try_next()) {
                Ok(Some(meta)) => {
                    if let Some(key) = self.key(&meta.location) {
                        let info = self.info(key, meta)?;
                        let version = info.version.filter(|_| self.lists_marks);
                        found.push(ObjectInfo { version, ..info });
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

    pub(crate) fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let asked = self.asked("delete", key.as_str());
        let path = self.path(key.as_str());
        match self.ask(&asked, self.objects.delete(&path)) {
            Err(StoreError::NotFound { .. } | StoreError::NoSuchPlace { .. }) => Ok(()),
            other => other,
        }
    }
}
