//! Makes further headers for the objects of backups that stand. Needs an identity that opens them.
//!
//! Write order: bundles only, each whole by itself. Stopped anywhere, the objects of the bundles that were
//! written are readable to the new recipients, and the next run does the rest.

use std::collections::BTreeMap;

use bytes::Bytes;
use resguardo_model::{CancelToken, Finding, FindingKind, Progress, Sha256Digest, SourceName};
use resguardo_store::{Condition, Key, StoreError};

use super::bundle::{self, Further, Place};
use super::wrap::{self, OpenedHeader};
use crate::error::VaultError;
use crate::keys::{self, Recipients};
use crate::layout;
use crate::seal;
use crate::vault::{Vault, new_ulid};

/// Enough for the headers of hundreds of recipients.
pub(super) const START_BYTES: u64 = 64 << 10;
/// Objects in one bundle.
const OBJECTS_MAX: usize = 4096;

/// What was made readable.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Objects that the recipients can open now.
    pub objects: u64,
    /// Objects that they could open before.
    pub already: u64,
    /// Objects that could not be opened here, and stay closed to them.
    pub findings: Vec<Finding>,
}

impl Vault {
    /// Lets `recipients` open the backups of a source that stand now.
    ///
    /// # Errors
    /// [`VaultError::NoWriteKey`]; [`VaultError::NoIdentity`], [`VaultError::WrongIdentity`] if no object can be opened here; the keys';
    /// the store's own. An object that is damaged is a finding.
    pub fn give_old_backups(
        &self,
        source: &SourceName,
        recipients: &[String],
        cancel: &CancelToken,
        progress: &dyn Progress,
    ) -> Result<Given, VaultError> {
        let signing = self.write_key()?;
        let sealing = keys::resolve(recipients)?;
        let heads = self.heads(Some(source))?;
        let bundles = self.bundles(source)?;
        let mut wanted: BTreeMap<Key, (Sha256Digest, u64)> = BTreeMap::new();
        for stored in heads.heads.iter().filter(|stored| stored.trusted) {
            let head = &stored.head;
            let manifest = layout::manifest(source, head.backup);
            wanted.insert(manifest, (head.manifest.sha256, head.manifest.bytes));
            for pack in &head.packs {
                wanted.insert(
                    layout::pack(source, &pack.sha256),
                    (pack.sha256, pack.bytes),
                );
            }
        }
        let mut given = Given::default();
        let wanted: Vec<_> = wanted.into_iter().collect();
        for some in wanted.chunks(OBJECTS_MAX) {
            cancel.check()?;
            let looked_at = given.objects + given.already;
            progress.bytes(looked_at, Some(wanted.len() as u64));
            let made = self.in_parallel(some, |(key, (sha256, bytes))| {
                cancel.check()?;
                let is_given = |opened: &OpenedHeader| {
                    let mut each = recipients.iter();
                    each.all(|one| {
                        let mut headers = bundles.headers_for(sha256, one);
                        headers.any(|further| is_right(further, opened))
                    })
                };
                match self.further(key, *bytes, &sealing, is_given) {
                    Ok(further) => Ok(Ok(
                        further.map(|further| (below(source, key), *sha256, further))
                    )),
                    Err(VaultError::Damaged(finding)) => Ok(Err(*finding)),
                    Err(other) => Err(other),
                }
            })?;
            let mut headers = Vec::with_capacity(made.len());
            for one in made {
                match one {
                    Ok(Some(header)) => headers.push(header),
                    Ok(None) => given.already += 1,
                    Err(finding) => given.findings.push(finding),
                }
            }
            if headers.is_empty() {
                continue;
            }
            let now = self.settings().clock.now();
            let place = Place {
                vault: self.id(),
                source,
                created_at: now,
                recipients,
            };
            let key = layout::header_bundle(source, new_ulid(now)?);
            let body = Bytes::from(bundle::write(&place, &headers, signing));
            self.store().put(&key, body, Condition::Always)?;
            given.objects += headers.len() as u64;
        }
        self.forget_bundles(source);
        Ok(given)
    }

    /// A further header of one object; `None` if it has been given already.
    fn further(
        &self,
        key: &Key,
        bytes: u64,
        sealing: &Recipients,
        is_given: impl Fn(&OpenedHeader) -> bool,
    ) -> Result<Option<Further>, VaultError> {
        let identities = self.identities(key)?;
        let damaged =
            |what: &dyn std::fmt::Display| seal::damaged(key, FindingKind::PackDamaged, what);
        let start = match self.store().get_range(key, 0..bytes.min(START_BYTES)) {
            Ok(start) => start,
            Err(error @ (StoreError::NotFound { .. } | StoreError::OutOfRange { .. })) => {
                return Err(damaged(&error));
            }
            Err(error) => return Err(error.into()),
        };
        let opened = wrap::open_header(&start, identities.iter()).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys => VaultError::WrongIdentity {
                object: key.to_string(),
            },
            other => damaged(&format!("it is no readable age file: {other}")),
        })?;
        if is_given(&opened) {
            return Ok(None);
        }
        let sealed = |source: Box<dyn std::error::Error + Send + Sync>| VaultError::Seal {
            object: key.to_string(),
            source,
        };
        let header =
            wrap::header_for(&opened.file_key, sealing).map_err(|error| sealed(Box::new(error)))?;
        if !wrap::is_sound(&header, &opened.file_key) {
            return Err(sealed("the header that was made cannot be read".into()));
        }
        Ok(Some(Further {
            header_bytes: opened.header_bytes,
            header,
        }))
    }
}

/// Whether a header holds the file key of the object, whoever signed for it.
pub(super) fn is_right(further: &Further, opened: &OpenedHeader) -> bool {
    further.header_bytes == opened.header_bytes && wrap::is_sound(&further.header, &opened.file_key)
}

/// An object's name below its source.
fn below(source: &SourceName, key: &Key) -> String {
    let key = key.as_str();
    key.strip_prefix(source.as_str())
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(key)
        .to_owned()
}
