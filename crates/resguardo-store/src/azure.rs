//! A container of Azure Blob Storage, over the crate `object_store`.
//!
//! Uploads carry no checksum of their own: TLS is what keeps bytes whole on the way, and `verify --depth
//! bytes` what shows it. Objects over 64 MiB go up in blocks unless they have a condition.
//!
//! `delete` is one request of its own for one object: `object_store` would send a batch, which asks for more
//! permissions and hides why a single object was kept.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use object_store::azure::{AzureAuthorizer, AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::client::{HttpRequest, HttpRequestBody};
use secrecy::{ExposeSecret as _, SecretString};

use crate::cloud::{self, Bucket, Marks, Place, Reply};
use crate::location::AzurePlace;
use crate::port::{
    AccessFact, BoxError, Capabilities, Condition, Key, LockMode, LockedUntil, ObjectInfo,
    PlaceFacts, Store, StoreError, Version,
};

/// The largest object without condition that goes up in a single request.
const SINGLE_BYTES_MAX: usize = 64 << 20;

/// Who asks.
#[derive(Clone, Debug)]
pub enum AzureCredentials {
    /// The account's key.
    AccessKey(SecretString),
    /// A shared access signature, with or without its `?`.
    SasToken(SecretString),
    /// An application of the directory.
    ClientSecret {
        /// The directory.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Its secret.
        secret: SecretString,
    },
    /// A workload of Kubernetes, by the token in a file.
    WorkloadIdentity {
        /// The directory.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// The file.
        token_file: String,
    },
    /// Whatever identity the machine has; the one of this client id, if it has several.
    Machine(Option<String>),
    /// Nobody: requests are not signed.
    Anonymous,
}

/// A container and how to ask it.
#[derive(Clone, Debug)]
pub struct AzureOptions {
    /// The container. Its account must be known: in the place, or [`AzureStore::open`] refuses it.
    pub place: AzurePlace,
    /// Who asks.
    pub credentials: AzureCredentials,
    /// The access tier of packs, like `Cool`; `None` leaves it to the account.
    pub storage_class: Option<String>,
    /// A request fails if the service says nothing for this long; an upload of n bytes has n / 128 KiB
    /// seconds more.
    pub silence_max: Duration,
}

impl AzureOptions {
    /// With a deadline of 60 seconds on silence.
    #[must_use]
    pub fn new(place: AzurePlace, credentials: AzureCredentials) -> Self {
        Self {
            place,
            credentials,
            storage_class: None,
            silence_max: Duration::from_secs(60),
        }
    }
}

/// A store in a container.
pub struct AzureStore {
    azure: Arc<MicrosoftAzure>,
    bucket: Bucket,
    account: String,
    /// URL of the container.
    container: String,
    signs: bool,
    storage_class: Option<String>,
}

impl fmt::Debug for AzureStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureStore")
            .field("place", &self.bucket.place.url)
            .finish_non_exhaustive()
    }
}

impl AzureStore {
    /// Opens the container; asks it nothing yet.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the options make no container (no account, a key that is none), or the
    /// system gives no threads.
    pub fn open(options: AzureOptions) -> Result<Self, StoreError> {
        let AzureOptions {
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
        let Some(account) = place.account.clone() else {
            return Err(not_opened("the storage account is not named".into()));
        };
        let client = cloud::client_options(place.endpoint.as_deref(), silence_max, None);
        let http = cloud::http_client(&client).map_err(not_opened)?;
        let endpoint = place
            .endpoint
            .clone()
            .unwrap_or_else(|| format!("https://{account}.blob.core.windows.net"));
        let builder = MicrosoftAzureBuilder::new()
            .with_account(&account)
            .with_container_name(&place.container)
            .with_endpoint(endpoint.clone())
            .with_retry(cloud::no_retries())
            .with_client_options(client);
        let signs = !matches!(credentials, AzureCredentials::Anonymous);
        let builder = with_credentials(builder, &credentials).map_err(not_opened)?;
        let azure = Arc::new(builder.build().map_err(|error| not_opened(error.into()))?);
        let runtime = cloud::runtime().map_err(|error| not_opened(error.into()))?;
        let container = format!("{endpoint}/{}", place.container);
        let place = Place {
            url: place.to_string(),
            words: format!("container {}", place.container),
            endpoint: place.endpoint,
            prefix: place.prefix,
        };
        Ok(Self {
            bucket: Bucket {
                objects: azure.clone(),
                http,
                place,
                silence_max,
                runtime,
                marks: Marks::Etag,
                lists_marks: false,
                single_bytes_max: SINGLE_BYTES_MAX,
            },
            azure,
            account,
            container,
            signs,
            storage_class,
        })
    }

    /// One signed request about the container or an object in it.
    fn request(
        &self,
        operation: &'static str,
        key: &str,
        method: &str,
        below: &str,
    ) -> Result<Reply, StoreError> {
        let asked = self.bucket.asked(operation, key);
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method
            .parse()
            .map_err(|_| asked.other("not a method".into()))?;
        *request.uri_mut() = format!("{}{below}", self.container)
            .parse()
            .map_err(|_| asked.other("not a URL".into()))?;
        self.bucket.runtime.block_on(async {
            if self.signs {
                let credential = asked
                    .within(
                        self.bucket.silence_max,
                        self.azure.credentials().get_credential(),
                    )
                    .await?;
                AzureAuthorizer::new(&credential, &self.account)
                    .try_authorize(&mut request)
                    .map_err(|error| asked.other(error.into()))?;
            }
            self.bucket.execute(&asked, request).await
        })
    }

    fn request_of(
        &self,
        operation: &'static str,
        method: &str,
        key: &Key,
    ) -> Result<Reply, StoreError> {
        let path = self.bucket.path(key.as_str());
        self.request(operation, key.as_str(), method, &format!("/{path}"))
    }
}

fn with_credentials(
    builder: MicrosoftAzureBuilder,
    credentials: &AzureCredentials,
) -> Result<MicrosoftAzureBuilder, BoxError> {
    Ok(match credentials {
        AzureCredentials::AccessKey(key) => builder.with_access_key(key.expose_secret()),
        AzureCredentials::SasToken(token) => {
            let token = token.expose_secret().trim_start_matches('?');
            builder.with_config(AzureConfigKey::SasKey, token)
        }
        AzureCredentials::ClientSecret {
            tenant_id,
            client_id,
            secret,
        } => builder.with_client_secret_authorization(client_id, secret.expose_secret(), tenant_id),
        AzureCredentials::WorkloadIdentity {
            tenant_id,
            client_id,
            token_file,
        } => builder
            .with_tenant_id(tenant_id)
            .with_client_id(client_id)
            .with_federated_token_file(token_file),
        AzureCredentials::Machine(client_id) => {
            let builder = builder.with_credential_type("managed_identity");
            match client_id {
                Some(client_id) => builder.with_client_id(client_id),
                None => builder,
            }
        }
        AzureCredentials::Anonymous => builder.with_skip_signature(true),
    })
}

impl Store for AzureStore {
    fn describe(&self) -> String {
        self.bucket.place.url.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            conditional_put: true,
        }
    }

    fn place_facts(&self, probe: &Key) -> Result<PlaceFacts, StoreError> {
        let answer = self.request("ask", probe.as_str(), "GET", "?restype=container")?;
        Ok(facts_in(&answer))
    }

    fn access(&self) -> Result<Vec<AccessFact>, StoreError> {
        Ok(access_in(&self.request(
            "ask",
            "",
            "GET",
            "?restype=container",
        )?))
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
        let answer = self.request_of("delete", "DELETE", key)?;
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        let error = answer.into_error(&self.bucket.asked("delete", key.as_str()));
        match error {
            StoreError::NotFound { .. } | StoreError::NoSuchPlace { .. } => Ok(()),
            // Azure says that it is kept, and not until when.
            StoreError::Locked {
                key: name, source, ..
            } => {
                let until = self.retention(key).ok().flatten();
                Err(StoreError::Locked {
                    key: name,
                    until: until.and_then(|locked| locked.until),
                    source,
                })
            }
            other => Err(other),
        }
    }

    fn retention(&self, key: &Key) -> Result<Option<LockedUntil>, StoreError> {
        let answer = self.request_of("stat", "HEAD", key)?;
        if answer.status != 200 {
            return Err(answer.into_error(&self.bucket.asked("stat", key.as_str())));
        }
        Ok(lock_in(&answer))
    }
}

/// A lock that has not lapsed by the service's own clock.
fn lock_in(answer: &Reply) -> Option<LockedUntil> {
    if answer.header("x-ms-legal-hold") == Some("true") {
        return Some(LockedUntil {
            until: None,
            mode: None,
        });
    }
    let text = answer.header("x-ms-immutability-policy-until-date")?;
    let until: Timestamp = rfc2822::parse(text).ok()?.timestamp();
    let lapsed = answer.date().is_some_and(|now| until <= now);
    (!lapsed).then(|| LockedUntil {
        until: Some(until),
        mode: match answer.header("x-ms-immutability-policy-mode") {
            Some(mode) if mode.eq_ignore_ascii_case("locked") => Some(LockMode::Compliance),
            Some(_) => Some(LockMode::Governance),
            None => None,
        },
    })
}

fn facts_in(answer: &Reply) -> PlaceFacts {
    let says = |name: &str| answer.header(name).map(|text| text == "true");
    PlaceFacts {
        object_lock: says("x-ms-immutable-storage-with-versioning-enabled")
            .or_else(|| says("x-ms-has-immutability-policy")),
        ..PlaceFacts::default()
    }
}

fn access_in(answer: &Reply) -> Vec<AccessFact> {
    let fact = |subject: &str, says: &str, concern| AccessFact {
        subject: subject.to_owned(),
        says: says.to_owned(),
        concern,
    };
    if answer.status != 200 {
        let says = "not told to these credentials";
        return vec![fact("container", says, false)];
    }
    let mut facts = vec![match answer.header("x-ms-blob-public-access") {
        Some(level) => fact("public access", &format!("on, for every {level}"), true),
        None => fact("public access", "off", false),
    }];
    for (name, subject) in [
        ("x-ms-has-immutability-policy", "immutability policy"),
        ("x-ms-has-legal-hold", "legal hold"),
    ] {
        if let Some(text) = answer.header(name) {
            facts.push(fact(
                subject,
                if text == "true" { "on" } else { "off" },
                false,
            ));
        }
    }
    facts
}
