//! Questions to the bucket that `object_store` does not ask: versioning, object lock, and whether an
//! upload with a wrong checksum is refused. Each is one presigned request; what the service does not
//! answer is not known.

use std::time::Duration;

use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};

use super::S3Store;
use crate::cloud::Reply;
use crate::cloud::answer::{Asked, element};
use crate::port::{DefaultRetention, Key, LockMode, PlaceFacts, StoreError};

/// SHA-256 of no bytes at all, base64: wrong for any body that has some.
const WRONG_CHECKSUM: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const SIGNED_FOR: Duration = Duration::from_secs(300);

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
            object_lock: has_object_lock(&lock),
            default_retention: (lock.status == 200)
                .then(|| default_retention(&lock.body))
                .flatten(),
            refuses_wrong_checksum: self.try_wrong_checksum(&asked, probe).await?,
        })
    }

    /// Asks the bucket itself.
    pub(super) async fn question(
        &self,
        asked: &Asked<'_>,
        what: &str,
    ) -> Result<Reply, StoreError> {
        let options = SignedUrlOptions::new().with_query([(what, "")]);
        let url = self
            .signed_url(asked, "GET", &Path::default(), &options)
            .await?;
        self.bucket.send(asked, "GET", &url, &[], "").await
    }

    /// A URL with which one request can be made, by whoever has it.
    pub(super) async fn signed_url(
        &self,
        asked: &Asked<'_>,
        method: &str,
        path: &Path,
        options: &SignedUrlOptions,
    ) -> Result<String, StoreError> {
        let method = method
            .parse()
            .map_err(|_| asked.other("not a method".into()))?;
        let signing = self.s3.signed_url_opts(method, path, SIGNED_FOR, options);
        let url = asked.within(self.bucket.silence_max, signing).await?;
        Ok(url.to_string())
    }

    /// Uploads a body under the checksum of another.
    async fn try_wrong_checksum(
        &self,
        asked: &Asked<'_>,
        probe: &Key,
    ) -> Result<Option<bool>, StoreError> {
        let path = self.bucket.path(probe.as_str());
        let mut options = SignedUrlOptions::new();
        let checksum = WRONG_CHECKSUM
            .parse()
            .map_err(|_| asked.other("not a header".into()))?;
        options
            .signed_headers
            .insert("x-amz-checksum-sha256", checksum);
        let url = self.signed_url(asked, "PUT", &path, &options).await?;
        let headers = [("x-amz-checksum-sha256", WRONG_CHECKSUM.to_owned())];
        let answer = self.bucket.send(asked, "PUT", &url, &headers, "x").await?;
        // Also after a refusal: some services refuse only after they have kept the bytes.
        let deleting = self.asked("delete", probe.as_str());
        let gone = object_store::ObjectStoreExt::delete(&*self.s3, &path);
        match deleting.within(self.bucket.silence_max, gone).await {
            // Whoever may not delete will hear of it from the probe's own objects.
            Ok(())
            | Err(
                StoreError::NotFound { .. } | StoreError::Denied { .. } | StoreError::Locked { .. },
            ) => {}
            Err(error) => return Err(error),
        }
        let names_it = answer.body.contains("Digest") || answer.body.contains("hecksum");
        Ok(match answer.status {
            200 => Some(false),
            400 if names_it => Some(true),
            _ => None,
        })
    }
}

/// Whether objects can be locked in the bucket; `None`: it does not tell.
pub(super) fn has_object_lock(answer: &Reply) -> Option<bool> {
    match answer.status {
        200 => element(&answer.body, "ObjectLockEnabled").map(|text| text == "Enabled"),
        404 if answer.body.contains("ObjectLockConfigurationNotFoundError") => Some(false),
        _ => None,
    }
}

pub(super) fn mode_of(text: &str) -> Option<LockMode> {
    match text {
        "GOVERNANCE" => Some(LockMode::Governance),
        "COMPLIANCE" => Some(LockMode::Compliance),
        _ => None,
    }
}

/// The rule in a bucket's lock configuration.
fn default_retention(body: &str) -> Option<DefaultRetention> {
    let number = |name| element(body, name)?.parse::<u32>().ok();
    let days = number("Days").or_else(|| number("Years").map(|years| years.saturating_mul(365)))?;
    let mode = mode_of(&element(body, "Mode")?);
    Some(DefaultRetention { mode, days })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_of_years_counts_365_days_each() {
        let rule =
            |inner: &str| format!("<Rule><DefaultRetention>{inner}</DefaultRetention></Rule>");
        let body = rule("<Mode>COMPLIANCE</Mode><Years>2</Years>");
        let expected = DefaultRetention {
            mode: Some(LockMode::Compliance),
            days: 730,
        };
        assert_eq!(default_retention(&body), Some(expected));
        assert_eq!(default_retention(&rule("<Mode>GOVERNANCE</Mode>")), None);
        assert_eq!(
            default_retention("<ObjectLockEnabled>Enabled</ObjectLockEnabled>"),
            None
        );
    }
}
