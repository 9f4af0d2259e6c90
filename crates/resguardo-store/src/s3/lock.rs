//! What the service says of locks on single objects, of the bucket's region, and of who may do what.

use jiff::Timestamp;
use object_store::path::Path;
use object_store::signer::SignedUrlOptions;

use super::S3Store;
use super::facts::{has_object_lock, mode_of};
use crate::cloud::Reply;
use crate::cloud::answer::element;
use crate::port::{AccessFact, Key, LockedUntil, StoreError};

impl S3Store {
    /// The lock on an object, if the bucket has locks at all.
    pub(super) fn ask_retention(&self, key: &Key) -> Result<Option<LockedUntil>, StoreError> {
        if self.has_locks()? {
            self.bucket.runtime.block_on(self.lock_on(key))
        } else {
            Ok(None)
        }
    }

    /// Refuses to delete what is locked.
    pub(super) fn refuse_locked(&self, key: &Key) -> Result<(), StoreError> {
        match self.ask_retention(key) {
            Ok(Some(locked)) => Err(StoreError::Locked {
                key: key.to_string(),
                until: locked.until,
                source: locked.mode.map_or_else(
                    || "legal hold".into(),
                    |mode| format!("{} mode", mode.name()).into(),
                ),
            }),
            Ok(None) | Err(StoreError::NotFound { .. } | StoreError::NoSuchPlace { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether objects may be locked here. A bucket that does not tell may have locks.
    fn has_locks(&self) -> Result<bool, StoreError> {
        if let Some(known) = self.locks.get() {
            return Ok(*known);
        }
        let asked = self.asked("ask", "");
        let answer = self
            .bucket
            .runtime
            .block_on(self.question(&asked, "object-lock"))?;
        let locks = match (answer.status, has_object_lock(&answer)) {
            (_, Some(told)) => told,
            (401 | 403, None) => true,
            (429 | 500 | 502.., None) => return Err(answer.into_error(&asked)),
            // A service that does not know the question has no locks.
            (_, None) => false,
        };
        Ok(*self.locks.get_or_init(|| locks))
    }

    async fn lock_on(&self, key: &Key) -> Result<Option<LockedUntil>, StoreError> {
        let asked = self.asked("stat", key.as_str());
        let path = self.bucket.path(key.as_str());
        let url = self
            .signed_url(&asked, "HEAD", &path, &SignedUrlOptions::new())
            .await?;
        let answer = self.bucket.send(&asked, "HEAD", &url, &[], "").await?;
        if answer.status != 200 {
            return Err(answer.into_error(&asked));
        }
        Ok(lock_in(&answer))
    }

    /// The region that the bucket names, also to strangers.
    pub(super) fn ask_region(&self) -> Option<String> {
        let asked = self.asked("ask", "");
        let answer = self.bucket.runtime.block_on(async {
            let options = SignedUrlOptions::new();
            let url = self
                .signed_url(&asked, "HEAD", &Path::default(), &options)
                .await?;
            let unsigned = url.split('?').next().unwrap_or(&url).to_owned();
            self.bucket.send(&asked, "HEAD", &unsigned, &[], "").await
        });
        let answer = answer.ok()?;
        answer.header("x-amz-bucket-region").map(ToOwned::to_owned)
    }

    pub(super) async fn ask_access(&self) -> Result<Vec<AccessFact>, StoreError> {
        let asked = self.asked("ask", "");
        let mut facts = Vec::new();
        for (question, subject, read) in QUESTIONS {
            let answer = self.question(&asked, question).await?;
            let told = match answer.status {
                401 | 403 => Some(("not told to these credentials".to_owned(), false)),
                _ => read(&answer),
            };
            facts.extend(told.map(|(says, concern)| AccessFact {
                subject: subject.to_owned(),
                says,
                concern,
            }));
        }
        Ok(facts)
    }
}

/// A lock that has not lapsed by the service's own clock.
fn lock_in(answer: &Reply) -> Option<LockedUntil> {
    if answer.header("x-amz-object-lock-legal-hold") == Some("ON") {
        return Some(LockedUntil {
            until: None,
            mode: None,
        });
    }
    let until: Timestamp = answer
        .header("x-amz-object-lock-retain-until-date")?
        .parse()
        .ok()?;
    let lapsed = answer.date().is_some_and(|now| until <= now);
    (!lapsed).then(|| LockedUntil {
        until: Some(until),
        mode: answer.header("x-amz-object-lock-mode").and_then(mode_of),
    })
}

/// What an answer says in words, and whether it is a cause for concern; `None` where it says nothing.
type Read = fn(&Reply) -> Option<(String, bool)>;

const QUESTIONS: [(&str, &str, Read); 6] = [
    ("acl", "access control list", acl),
    (
        "publicAccessBlock",
        "public access block",
        public_access_block,
    ),
    ("policyStatus", "bucket policy", policy_status),
    ("versioning", "versioning", versioning),
    ("object-lock", "object lock", object_lock),
    ("encryption", "encryption at rest", encryption),
];

fn acl(answer: &Reply) -> Option<(String, bool)> {
    if answer.status != 200 {
        return None;
    }
    let everybody = ["global/AllUsers", "global/AuthenticatedUsers"]
        .iter()
        .any(|group| answer.body.contains(group));
    let grants = answer.body.matches("<Permission>").count();
    Some(if everybody {
        ("grants rights to everybody".to_owned(), true)
    } else if grants <= 1 {
        ("the owner alone".to_owned(), false)
    } else {
        (format!("{grants} grants, none to everybody"), false)
    })
}

fn public_access_block(answer: &Reply) -> Option<(String, bool)> {
    const FLAGS: [&str; 4] = [
        "BlockPublicAcls",
        "IgnorePublicAcls",
        "BlockPublicPolicy",
        "RestrictPublicBuckets",
    ];
    match answer.status {
        200 => {
            let off: Vec<&str> = FLAGS
                .into_iter()
                .filter(|flag| element(&answer.body, flag).as_deref() != Some("true"))
                .collect();
            Some(if off.is_empty() {
                ("on".to_owned(), false)
            } else {
                (format!("off: {}", off.join(", ")), true)
            })
        }
        404 if answer.body.contains("NoSuchPublicAccessBlockConfiguration") => {
            Some(("not set on the bucket".to_owned(), true))
        }
        _ => None,
    }
}

fn policy_status(answer: &Reply) -> Option<(String, bool)> {
    match answer.status {
        200 => match element(&answer.body, "IsPublic")?.as_str() {
            "true" | "TRUE" => Some(("lets everybody in".to_owned(), true)),
            _ => Some(("lets nobody in from outside".to_owned(), false)),
        },
        404 if answer.body.contains("NoSuchBucketPolicy") => Some(("none".to_owned(), false)),
        _ => None,
    }
}

fn versioning(answer: &Reply) -> Option<(String, bool)> {
    if answer.status != 200 || !answer.body.contains("Versioning") {
        return None;
    }
    let says = match element(&answer.body, "Status").as_deref() {
        Some("Enabled") => "on: what is deleted or replaced is kept as an older version",
        _ => "off: what is deleted is gone",
    };
    Some((says.to_owned(), false))
}

fn object_lock(answer: &Reply) -> Option<(String, bool)> {
    if !has_object_lock(answer)? {
        return Some((
            "off: whoever may delete can delete backups".to_owned(),
            false,
        ));
    }
    let rule = element(&answer.body, "DefaultRetention");
    let says = match rule {
        Some(rule) => {
            let field = |name| element(&rule, name).map(|text| text.to_lowercase());
            let length = field("Days")
                .map(|days| format!("{days} days"))
                .or_else(|| field("Years").map(|years| format!("{years} years")));
            format!(
                "on, every new object for {} ({})",
                length.unwrap_or_else(|| "a time".to_owned()),
                field("Mode").unwrap_or_default()
            )
        }
        None => "on, without a default retention".to_owned(),
    };
    Some((says, false))
}

fn encryption(answer: &Reply) -> Option<(String, bool)> {
    if answer.status != 200 {
        return None;
    }
    element(&answer.body, "SSEAlgorithm").map(|algorithm| (algorithm, false))
}
