//! A bucket of an S3-compatible service, over the crate `object_store`.
//!
//! Every upload carries its SHA-256, signed, so that a service which checks either refuses bytes that
//! changed on the way.
//!
//! Objects over 64 MiB go up in parts unless they have a condition: S3 cannot complete parts under a
//! condition everywhere, so these take a single request, which S3 allows up to 5 GiB.
//!
//! Where objects can be locked, `delete` asks for the lock first: with versions, S3 would hide a locked
//! object behind a marker and call that a success.

mod facts;
mod lock;

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use secrecy::{ExposeSecret as _, SecretString};

use crate::cloud::answer::{Asked, Refusal};
use crate::cloud::{self, Bucket, Marks, Place};
use crate::location::S3Place;
use crate::port::{
    AccessFact, BoxError, Capabilities, Condition, Key, LockedUntil, ObjectInfo, PlaceFacts, Store,
    StoreError, Version,
};

/// The largest object without condition that goes up in a single request.
const SINGLE_BYTES_MAX: usize = 64 << 20;

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
    /// Whatever role the machine has: a web identity, a container's role, else the instance metadata
    /// service. Renewed before they lapse.
    Machine(MachineRole),
    /// Nobody: requests are not signed.
    Anonymous,
}

/// Where a machine's role is asked for; empty: the instance metadata service at its usual address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineRole {
    /// File with the token of a web identity (Kubernetes), and the role that it stands for.
    pub web_identity: Option<(String, String)>,
    /// The path of a container's credentials (ECS).
    pub container_path: Option<String>,
    /// URL of a pod's credentials (EKS), and the file of the token that it wants.
    pub pod: Option<(String, String)>,
    /// The instance metadata service, if it is not at its usual address.
    pub metadata_endpoint: Option<String>,
}

/// How the service encrypts what it stores. Objects are sealed before they leave this machine in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum S3Encryption {
    /// With keys of the service (SSE-S3).
    Service,
    /// With a key of its key service, by id or ARN (SSE-KMS).
    Kms(String),
}

/// A bucket and how to ask it.
#[derive(Clone, Debug)]
pub struct S3Options {
    /// The bucket.
    pub place: S3Place,
    /// Who asks.
    pub credentials: S3Credentials,
    /// How the service is told to encrypt; `None` leaves it to the bucket.
    pub encryption: Option<S3Encryption>,
    /// The storage class of packs, like `STANDARD_IA`; `None` leaves it to the bucket. Small objects, which
    /// are listed and read often, keep the bucket's.
    pub storage_class: Option<String>,
    /// A request fails if the service says nothing for this long; an upload of n bytes has n / 128 KiB
    /// seconds more.
    pub silence_max: Duration,
    /// Where every host name of the service leads; `None` asks the name service.
    pub address: Option<IpAddr>,
}

impl S3Options {
    /// With a deadline of 60 seconds on silence.
    #[must_use]
    pub fn new(place: S3Place, credentials: S3Credentials) -> Self {
        Self {
            place,
            credentials,
            encryption: None,
            storage_class: None,
            silence_max: Duration::from_secs(60),
            address: None,
        }
    }
}

/// A store in a bucket.
pub struct S3Store {
    s3: Arc<AmazonS3>,
    bucket: Bucket,
    storage_class: Option<String>,
    region: String,
    /// Whether objects may be locked here; asked once.
    locks: OnceLock<bool>,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("place", &self.bucket.place.url)
            .finish_non_exhaustive()
    }
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
            encryption,
            storage_class,
            silence_max,
            address,
        } = options;
        let not_opened = |source: BoxError| StoreError::Other {
            operation: "open",
            key: place.to_string(),
            source,
        };
        let client = cloud::client_options(place.endpoint.as_deref(), silence_max, address);
        let http = cloud::http_client(&client).map_err(not_opened)?;
        let region = place
            .region
            .clone()
            .unwrap_or_else(|| "us-east-1".to_owned());
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&place.bucket)
            .with_region(&region)
            .with_virtual_hosted_style_request(!place.path_style)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_disable_bulk_delete(true)
            .with_retry(cloud::no_retries())
            .with_client_options(client);
        if let Some(endpoint) = &place.endpoint {
            builder = builder.with_endpoint(endpoint_of(endpoint, &place));
        }
        builder = with_credentials(builder, &credentials);
        builder = match &encryption {
            Some(S3Encryption::Service) => builder.with_config(server_side_encryption(), "AES256"),
            Some(S3Encryption::Kms(key)) => builder.with_sse_kms_encryption(key),
            None => builder,
        };
        let s3 = Arc::new(builder.build().map_err(|error| not_opened(error.into()))?);
        let runtime = cloud::runtime().map_err(|error| not_opened(error.into()))?;
        let place = Place {
            url: place.to_string(),
            words: format!("bucket {}", place.bucket),
            endpoint: place.endpoint,
            prefix: place.prefix,
        };
        Ok(Self {
            bucket: Bucket {
                objects: s3.clone(),
                http,
                place,
                silence_max,
                runtime,
                marks: Marks::Etag,
                lists_marks: true,
                single_bytes_max: SINGLE_BYTES_MAX,
            },
            s3,
            storage_class,
            region,
            locks: OnceLock::new(),
        })
    }

    fn asked<'a>(&'a self, operation: &'static str, key: &'a str) -> Asked<'a> {
        self.bucket.asked(operation, key)
    }

    /// An answer that says only that the region is wrong, with the region that the bucket itself names.
    fn placed<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        let (operation, key, source) = match result {
            Err(StoreError::Other {
                operation,
                key,
                source,
            }) => (operation, key, source),
            other => return other,
        };
        let source = match source.downcast::<Refusal>() {
            Ok(mut refusal) if refusal.region.as_deref() == Some("") => {
                refusal.region = self.ask_region().or_else(|| Some(String::new()));
                let right = match refusal.region.as_deref() {
                    Some("") | None => "in another region".to_owned(),
                    Some(region) => format!("in {region}"),
                };
                refusal.message = format!("the bucket lies {right}, not in {}", self.region);
                refusal as BoxError
            }
            Ok(refusal) => refusal as BoxError,
            Err(source) => source,
        };
        Err(StoreError::Other {
            operation,
            key,
            source,
        })
    }
}

/// The key under which `object_store` takes the kind of encryption.
fn server_side_encryption() -> AmazonS3ConfigKey {
    "aws_server_side_encryption"
        .parse()
        .expect("object_store documents this key")
}

fn with_credentials(builder: AmazonS3Builder, credentials: &S3Credentials) -> AmazonS3Builder {
    match credentials {
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
        S3Credentials::Machine(role) => {
            use AmazonS3ConfigKey as K;
            let mut settings = Vec::new();
            if let Some((file, arn)) = &role.web_identity {
                settings.extend([(K::WebIdentityTokenFile, file), (K::RoleArn, arn)]);
            }
            if let Some(path) = &role.container_path {
                settings.push((K::ContainerCredentialsRelativeUri, path));
            }
            if let Some((url, file)) = &role.pod {
                settings.extend([
                    (K::ContainerCredentialsFullUri, url),
                    (K::ContainerAuthorizationTokenFile, file),
                ]);
            }
            if let Some(endpoint) = &role.metadata_endpoint {
                settings.push((K::MetadataEndpoint, endpoint));
            }
            settings.into_iter().fold(builder, |builder, (key, value)| {
                builder.with_config(key, value)
            })
        }
        S3Credentials::Anonymous => builder.with_skip_signature(true),
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
        self.bucket.place.url.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            conditional_put: true,
        }
    }

    fn place_facts(&self, probe: &Key) -> Result<PlaceFacts, StoreError> {
        self.placed(self.bucket.runtime.block_on(self.ask_facts(probe)))
    }

    fn access(&self) -> Result<Vec<AccessFact>, StoreError> {
        self.placed(self.bucket.runtime.block_on(self.ask_access()))
    }

    fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> Result<Option<Version>, StoreError> {
        let class = self.storage_class.as_deref();
        let class = class.filter(|_| body.len() >= cloud::CLASS_BYTES_MIN);
        self.placed(self.bucket.put(key, body, condition, class))
    }

    fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        self.placed(self.bucket.get(key))
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.placed(self.bucket.get_range(key, range))
    }

    fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.placed(self.bucket.stat(key))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.placed(self.bucket.list(prefix))
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.placed(self.refuse_locked(key))?;
        self.placed(self.bucket.delete(key))
    }

    fn retention(&self, key: &Key) -> Result<Option<LockedUntil>, StoreError> {
        self.placed(self.ask_retention(key))
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
        let path = store.bucket.path("a/b");
        let signed = store.s3.signed_url(method, &path, Duration::from_secs(60));
        let url = store.bucket.runtime.block_on(signed).unwrap().to_string();
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
