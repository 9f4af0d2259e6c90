//! Judges a bundle by what it says: whether its objects are those that heads name, and its headers theirs.

use std::collections::HashMap;

use age::DecryptError;
use resguardo_model::{Sha256Digest, SourceName};
use resguardo_store::{Key, StoreError};

use super::bundle::{Bundle, Further};
use super::give::{START_BYTES, is_right};
use super::wrap;
use crate::bounded;
use crate::copy::at_copy;
use crate::error::VaultError;
use crate::layout;
use crate::vault::Vault;

/// Size of the largest object that has further headers: `docs/format.md`, "Limits".
const OBJECT_BYTES_MAX: u64 = 1 << 30;

/// What became of one line of a bundle.
enum Line {
    Right,
    /// What it says is not so.
    Wrong(String),
    Unjudged(Why),
}

/// Why nobody here can tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The object is at neither side, or no head names it.
    Gone,
    /// No identity at hand opens it.
    Closed,
}

impl Vault {
    /// What could not be judged of a bundle of this source, a sentence each; or why it is none. Objects and heads are
    /// looked for here and at `copy`, and headers compared with the file keys that the identities at hand open.
    ///
    /// # Errors
    /// The stores' own.
    pub(crate) fn judge_bundle(
        &self,
        copy: &Self,
        source: &SourceName,
        bytes: &[u8],
    ) -> Result<Result<Vec<String>, String>, VaultError> {
        let Some(bundle) = Bundle::parse(bytes, self.id(), source) else {
            return Ok(Err("it is not whole, or belongs elsewhere".to_owned()));
        };
        let mut manifests: HashMap<String, Sha256Digest> = HashMap::new();
        let place = copy.store().describe();
        for (vault, is_copy) in [(self, false), (copy, true)] {
            let heads = vault.heads(Some(source));
            let heads = heads.map_err(|error| told(error, is_copy, &place))?;
            for stored in heads.heads {
                if stored.trusted {
                    let key = layout::manifest(source, stored.head.backup);
                    manifests.insert(key.to_string(), stored.head.manifest.sha256);
                }
            }
        }
        let judged = self.in_parallel(&bundle.objects, |(name, sha256)| {
            let further = &bundle.headers[sha256];
            self.judge_line(copy, (source, name, sha256), further, &manifests)
        })?;
        let count = |why| {
            let of_why = |line: &&Line| matches!(line, Line::Unjudged(one) if *one == why);
            judged.iter().filter(of_why).count()
        };
        let (gone, closed) = (count(Why::Gone), count(Why::Closed));
        for line in &judged {
            if let Line::Wrong(why) = line {
                return Ok(Err(why.clone()));
            }
        }
        let total = judged.len();
        let mut unjudged = vec![format!(
            "whether its headers open for {} is seen only with the keys of those",
            bundle.recipients.join(", ")
        )];
        if gone > 0 {
            unjudged.push(format!(
                "{gone} of {total} objects are at neither side or named by no head: their headers are not judged"
            ));
        }
        if closed > 0 {
            unjudged.push(format!(
                "{closed} of {total} objects do not open with an identity at hand: whether their headers are theirs is not judged"
            ));
        }
        Ok(Ok(unjudged))
    }

    fn judge_line(
        &self,
        copy: &Self,
        (source, name, sha256): (&SourceName, &str, &Sha256Digest),
        further: &Further,
        manifests: &HashMap<String, Sha256Digest>,
    ) -> Result<Line, VaultError> {
        let wrong = |what: &str| Ok(Line::Wrong(format!("{name}: {what}")));
        let full = format!("{source}/{name}");
        let Ok(key) = full.parse() else {
            return wrong("it is no object's name");
        };
        let promised = match layout::pack_digest(&key) {
            Some(digest) if name.starts_with("packs/") => Some(digest),
            _ if layout::is_kept_by_heads(&key) && name.starts_with("snapshots/") => {
                manifests.get(&full).copied()
            }
            _ => return wrong("no object of that name has further headers"),
        };
        if promised.is_some_and(|promised| promised != *sha256) {
            return wrong("it has another digest");
        }
        if !wrap::is_header(&further.header) {
            return wrong("its header is none of an age file");
        }
        if promised.is_none() {
            return Ok(Line::Unjudged(Why::Gone));
        }
        let Some(identities) = self.access().identities.as_ref() else {
            return Ok(Line::Unjudged(Why::Closed));
        };
        let place = copy.store().describe();
        for (vault, is_copy) in [(self, false), (copy, true)] {
            let start = match vault.store().stat(&key) {
                Ok(info) => vault
                    .store()
                    .get_range(&key, 0..info.bytes.min(START_BYTES)),
                Err(error) => Err(error),
            };
            let start = match start {
                Ok(start) => start,
                Err(StoreError::NotFound { .. } | StoreError::OutOfRange { .. }) => continue,
                Err(error) => return Err(told(error.into(), is_copy, &place)),
            };
            match wrap::open_header(&start, identities.iter()) {
                Ok(opened) if is_right(further, &opened) => return Ok(Line::Right),
                // Of an object that somebody put in its place nobody has to be the header.
                Ok(_)
                    if !is_it(vault, &key, sha256)
                        .map_err(|error| told(error.into(), is_copy, &place))? => {}
                Ok(_) => {
                    return wrong("its header was made with another file key: it opens nothing");
                }
                Err(DecryptError::NoMatchingKeys) => return Ok(Line::Unjudged(Why::Closed)),
                // Damaged here; the other side may have it whole.
                Err(_) => {}
            }
        }
        Ok(Line::Unjudged(Why::Gone))
    }
}

/// Whether the object that lies here is the one of that digest.
fn is_it(vault: &Vault, key: &Key, sha256: &Sha256Digest) -> Result<bool, StoreError> {
    match bounded::get(&**vault.store(), key, OBJECT_BYTES_MAX) {
        Ok(whole) => Ok(Sha256Digest::of(&whole) == *sha256),
        Err(StoreError::NotFound { .. } | StoreError::OutOfRange { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn told(error: VaultError, is_copy: bool, place: &str) -> VaultError {
    match is_copy {
        true => at_copy(error, place),
        false => error,
    }
}
