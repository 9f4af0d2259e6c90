//! A bucket of Google Cloud Storage, over the crate `object_store`.
//!
//! An object's version is its generation, which Google's conditional writes name. Uploads carry no checksum
//! of their own: TLS is what keeps bytes whole on the way, and `verify --depth bytes` what shows it.
//!
//! Every upload is a single request, which Google allows up to 5 TiB.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use secrecy::{ExposeSecret as _, SecretString};

use crate::cloud::{self, Bucket, Marks, Place, Reply};
use crate::location::GcsPlace;
use crate::port::{
    AccessFact, BoxError, Capabilities, Condition, DefaultRetention, Key, LockMode, LockedUntil,
    ObjectInfo, PlaceFacts, Store, StoreError, Version,
};

const ENDPOINT: &str = "https://storage.googleapis.com";
const SECONDS_PER_DAY: u64 = 86_400;

/// Who asks.
#[derive(Clone, Debug)]
pub enum GcsCredentials {
    /// The key of a service account, as JSON.
    ServiceAccountKey(SecretString),
    /// The file of such a key, or of what `gcloud auth application-default login` keeps.
    File(PathBuf),
    /// An access token, which is not renewed.
    Token(SecretString),
    /// The application default credentials: the user's own, else the machine's (its metadata service).
    Machine,
    /// Nobody: requests are not signed.
    Anonymous,
}

/// A bucket and how to ask it.
#[derive(Clone, Debug)]
pub struct GcsOptions {
    /// The bucket.
    pub place: GcsPlace,
    /// Who asks.
    pub credentials: GcsCredentials,
    /// The storage class of packs, like `NEARLINE`; `None` leaves it to the bucket.
    pub storage_class: Option<String>,
    /// A request fails if the service says nothing for this long; an upload of n bytes has n / 128 KiB
    /// seconds more.
    pub silence_max: Duration,
}

impl GcsOptions {
    /// With a deadline of 60 seconds on silence.
    #[must_use]
    pub fn new(place: GcsPlace, credentials: GcsCredentials) -> Self {
        Self {
            place,
            credentials,
            storage_class: None,
            silence_max: Duration::from_secs(60),
        }
    }
}

/// A store in a bucket.
pub struct GcsStore {
    gcs: Arc<GoogleCloudStorage>,
    bucket: Bucket,
    name: String,
    signs: bool,
    storage_class: Option<String>,
}

impl fmt::Debug for GcsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcsStore")
            .field("place", &self.bucket.place.url)
            .finish_non_exhaustive()
    }
}

impl GcsStore {
    /// Opens the bucket; asks it nothing yet.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the options make no bucket (a key that is none), or the system gives no
    /// threads.
    pub fn open(options: GcsOptions) -> Result<Self, StoreError> {
        let GcsOptions {
            place,
            credentials,
            storage_class,
            silence_max,
        } = options;
        let not_opened = |source: BoxError| StoreError::Other {
            operation: "open",
            key: place.to_string(),
            source,
        };
        let client = cloud::client_options(place.endpoint.as_deref(), silence_max, None);
        let http = cloud::http_client(&client).map_err(not_opened)?;
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&place.bucket)
            .with_retry(cloud::no_retries())
            .with_client_options(client);
        if let Some(endpoint) = &place.endpoint {
            builder = builder.with_base_url(endpoint);
        }
        let signs = !matches!(credentials, GcsCredentials::Anonymous);
        builder = match credentials {
            GcsCredentials::ServiceAccountKey(key) => {
                builder.with_service_account_key(key.expose_secret())
            }
            GcsCredentials::File(path) => {
                builder.with_application_credentials(path.to_string_lossy())
            }
            GcsCredentials::Token(token) => builder.with_bearer_token(token.expose_secret()),
            GcsCredentials::Machine => builder,
            // Without any token, `object_store` would look for a user's own.
            GcsCredentials::Anonymous => builder.with_bearer_token("").with_skip_signature(true),
        };
        let gcs = Arc::new(builder.build().map_err(|error| not_opened(error.into()))?);
        let runtime = cloud::runtime().map_err(|error| not_opened(error.into()))?;
        let name = place.bucket.clone();
        let place = Place {
            url: place.to_string(),
            words: format!("bucket {}", place.bucket),
            endpoint: place.endpoint,
            prefix: place.prefix,
        };
        Ok(Self {
            bucket: Bucket {
                objects: gcs.clone(),
                http,
                place,
                silence_max,
                runtime,
                marks: Marks::Generation,
                lists_marks: true,
                single_bytes_max: usize::MAX,
            },
            gcs,
            name,
            signs,
            storage_class,
        })
    }

    /// Asks Google's JSON interface for what lies at `path` below the bucket's own resource.
    fn resource(
        &self,
        operation: &'static str,
        key: &str,
        path: &str,
    ) -> Result<Reply, StoreError> {
        let asked = self.bucket.asked(operation, key);
        let base = self.bucket.place.endpoint.as_deref().unwrap_or(ENDPOINT);
        let url = format!("{base}/storage/v1/b/{}{path}", self.name);
        self.bucket.runtime.block_on(async {
            let mut headers = Vec::new();
            if self.signs {
                let credentials = self.gcs.credentials();
                let token = asked
                    .within(self.bucket.silence_max, credentials.get_credential())
                    .await?;
                headers.push(("authorization", format!("Bearer {}", token.bearer)));
            }
            self.bucket.send(&asked, "GET", &url, &headers, "").await
        })
    }
}

impl Store for GcsStore {
    fn describe(&self) -> String {
        self.bucket.place.url.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            conditional_put: true,
        }
    }

    fn place_facts(&self, probe: &Key) -> Result<PlaceFacts, StoreError> {
        let answer = self.resource("ask", probe.as_str(), "")?;
        Ok(facts_in(&answer))
    }

    fn access(&self) -> Result<Vec<AccessFact>, StoreError> {
        Ok(access_in(&self.resource("ask", "", "")?))
    }

    fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> Result<Option<Version>, StoreError> {
        let class = self.storage_class.as_deref();
        let class = class.filter(|_| body.len() >= cloud::CLASS_BYTES_MIN);
        self.bucket.put(key, body, condition, class)
    }

    fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        self.bucket.get(key)
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.bucket.get_range(key, range)
    }

    fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.bucket.stat(key)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.bucket.list(prefix)
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        match self.bucket.delete(key) {
            // Google says that it is kept, and not until when.
            Err(StoreError::Locked {
                key: name, source, ..
            }) => {
                let until = self.retention(key).ok().flatten();
                Err(StoreError::Locked {
                    key: name,
                    until: until.and_then(|locked| locked.until),
                    source,
                })
            }
            other => other,
        }
    }

    fn retention(&self, key: &Key) -> Result<Option<LockedUntil>, StoreError> {
        let path = self
            .bucket
            .path(key.as_str())
            .to_string()
            .replace('/', "%2F");
        let answer = self.resource("stat", key.as_str(), &format!("/o/{path}"))?;
        if answer.status != 200 {
            return Err(answer.into_error(&self.bucket.asked("stat", key.as_str())));
        }
        Ok(lock_in(&answer))
    }
}

/// A lock that has not lapsed by the service's own clock.
fn lock_in(answer: &Reply) -> Option<LockedUntil> {
    if [answer.json("temporaryHold"), answer.json("eventBasedHold")].contains(&Some("true")) {
        return Some(LockedUntil {
            until: None,
            mode: None,
        });
    }
    let mode = match answer.json("mode") {
        Some("Locked") => Some(LockMode::Compliance),
        Some("Unlocked") => Some(LockMode::Governance),
        _ => None,
    };
    let until = [
        answer.json("retainUntilTime"),
        answer.json("retentionExpirationTime"),
    ]
    .into_iter()
    .flatten()
    .filter_map(|text| text.parse::<Timestamp>().ok())
    .max()?;
    let lapsed = answer.date().is_some_and(|now| until <= now);
    (!lapsed).then_some(LockedUntil {
        until: Some(until),
        mode,
    })
}

fn facts_in(answer: &Reply) -> PlaceFacts {
    if answer.status != 200 {
        return PlaceFacts::default();
    }
    let has = |name: &str| answer.body.contains(&format!("\"{name}\""));
    let seconds: Option<u64> = answer
        .json("retentionPeriod")
        .and_then(|text| text.parse().ok());
    PlaceFacts {
        free_bytes: None,
        versioning: Some(has("versioning") && answer.json("enabled") == Some("true")),
        object_lock: Some(has("retentionPolicy") || has("objectRetention")),
        default_retention: seconds.map(|seconds| DefaultRetention {
            mode: match answer.json("isLocked") {
                Some("true") => Some(LockMode::Compliance),
                _ => Some(LockMode::Governance),
            },
            days: u32::try_from(seconds.div_ceil(SECONDS_PER_DAY)).unwrap_or(u32::MAX),
        }),
        refuses_wrong_checksum: None,
    }
}

fn access_in(answer: &Reply) -> Vec<AccessFact> {
    let fact = |subject: &str, says: String, concern| AccessFact {
        subject: subject.to_owned(),
        says,
        concern,
    };
    if answer.status != 200 {
        let says = "not told to these credentials (storage.buckets.get)".to_owned();
        return vec![fact("bucket", says, false)];
    }
    let mut facts = Vec::new();
    let prevented = answer.json("publicAccessPrevention");
    facts.push(match prevented {
        Some("enforced") => fact("public access prevention", "enforced".to_owned(), false),
        other => fact(
            "public access prevention",
            other.unwrap_or("not set on the bucket").to_owned(),
            true,
        ),
    });
    let seen = facts_in(answer);
    let on = |known: Option<bool>| if known == Some(true) { "on" } else { "off" }.to_owned();
    facts.push(fact("versioning", on(seen.versioning), false));
    facts.push(match seen.default_retention {
        Some(rule) => fact(
            "retention policy",
            format!("every object for {} days", rule.days),
            false,
        ),
        None => fact("retention policy", "none".to_owned(), false),
    });
    facts
}
