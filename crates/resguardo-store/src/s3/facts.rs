//! Questions to the bucket that `object_store` does not ask: versioning, object lock, and whether an
//! upload with a wrong checksum is refused. Each is one presigned request; what the service does not
//! answer is not known.

use std::time::Duration;

use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};

use super::S3Store;
use super::answer::{Asked, element};
use crate::port::{BoxError, DefaultRetention, Key, LockMode, PlaceFacts, StoreError};

/// SHA-256 of no bytes at all, base64: wrong for any body that has some.
const WRONG_CHECKSUM: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const SIGNED_FOR: Duration = Duration::from_secs(300);

/// The rule in a bucket's lock configuration.
fn default_retention(body: &str) -> Option<DefaultRetention> {
    let number = |name| element(body, name)?.parse::<u32>().ok();
    let days = number("Days").or_else(|| number("Years").map(|years| years.saturating_mul(365)))?;
    let mode = match element(body, "Mode")?.as_str() {
        "GOVERNANCE" => Some(LockMode::Governance),
        "COMPLIANCE" => Some(LockMode::Compliance),
        _ => None,
    };
    Some(DefaultRetention { mode, days })
}

/// Status and body of an answer.
struct Answer {
    status: u16,
    body: String,
}

impl S3Store {
    pub(super) async fn ask_facts(&self, probe: &Key) -> Result<PlaceFacts, StoreError> {
        let asked = self.asked("ask", probe.as_str());
        let versioning = self.question(&asked, "versioning").await?;
        let lock = self.question(&asked, "object-lock").await?;
        Ok(PlaceFacts {
            free_bytes: None,
            versioning: match versioning.status {
                // Without a status, versioning was never switched on.
                200 if versioning.body.contains("Versioning") => {
                    Some(element(&versioning.body, "Status").as_deref() == Some("Enabled"))
                }
                _ => None,
            },
            object_lock: match lock.status {
                200 => element(&lock.body, "ObjectLockEnabled").map(|text| text == "Enabled"),
                404 if lock.body.contains("ObjectLockConfigurationNotFoundError") => Some(false),
                _ => None,
            },
            default_retention: (lock.status == 200)
                .then(|| default_retention(&lock.body))
                .flatten(),
            refuses_wrong_checksum: self.try_wrong_checksum(&asked, probe).await?,
        })
    }

    /// Asks the bucket itself.
    async fn question(&self, asked: &Asked<'_>, what: &str) -> Result<Answer, StoreError> {
        let options = SignedUrlOptions::new().with_query([(what, "")]);
        self.send(asked, "GET", &Path::default(), options, None)
            .await
    }

    /// Uploads a body under the checksum of another.
    async fn try_wrong_checksum(
        &self,
        asked: &Asked<'_>,
        probe: &Key,
    ) -> Result<Option<bool>, StoreError> {
        let path = self.path(probe.as_str());
        let body = HttpRequestBody::from("x".to_owned());
        let answer = self
            .send(asked, "PUT", &path, SignedUrlOptions::new(), Some(body))
            .await?;
        // Also after a refusal: some services refuse only after they have kept the bytes.
        let deleting = self.asked("delete", probe.as_str());
        let gone = object_store::ObjectStoreExt::delete(&*self.bucket, &path);
        match deleting.within(self.silence_max, gone).await {
            // Whoever may not delete will hear of it from the probe's own objects.
            Ok(()) | Err(StoreError::NotFound { .. } | StoreError::Denied { .. }) => {}
            Err(error) => return Err(error),
        }
        let names_it = answer.body.contains("Digest") || answer.body.contains("hecksum");
        Ok(match answer.status {
            200 => Some(false),
            400 if names_it => Some(true),
            _ => None,
        })
    }

    async fn send(
        &self,
        asked: &Asked<'_>,
        method: &str,
        path: &Path,
        mut options: SignedUrlOptions,
        body: Option<HttpRequestBody>,
    ) -> Result<Answer, StoreError> {
        let method = method
            .parse()
            .map_err(|_| asked.other("not a method".into()))?;
        if body.is_some() {
            let checksum = WRONG_CHECKSUM
                .parse()
                .map_err(|_| asked.other("not a header".into()))?;
            options
                .signed_headers
                .insert("x-amz-checksum-sha256", checksum);
        }
        let headers = options.signed_headers.clone();
        let (deadline, mut request) = (
            self.silence_max,
            HttpRequest::new(body.unwrap_or_else(HttpRequestBody::empty)),
        );
        let signing =
            self.bucket
                .signed_url_opts(Clone::clone(&method), path, SIGNED_FOR, &options);
        let url = asked.within(deadline, signing).await?;
        *request.method_mut() = method;
        *request.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|_| asked.other("not a URL".into()))?;
        *request.headers_mut() = headers;
        let exchange = async {
            let answer = self.http.execute(request).await?;
            let status = answer.status().as_u16();
            let bytes = answer.into_body().bytes().await?;
            Ok(Answer {
                status,
                body: String::from_utf8_lossy(&bytes).into_owned(),
            })
        };
        match tokio::time::timeout(deadline, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let error: object_store::client::HttpError = error;
                Err(asked.interrupted(BoxError::from(error)))
            }
            Err(elapsed) => Err(asked.interrupted(elapsed.into())),
        }
    }
}
