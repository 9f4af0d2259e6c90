//! Further headers for sealed objects: how somebody who becomes a recipient later opens what is there already.
//!
//! No object is ever written anew: packs are named by their digests, and heads are signed. A *bundle* holds,
//! for each object, another age header with the same file key, sealed to the new recipients;
//! `header || object[header_bytes..]` is a standard age file. `docs/format.md`, "Further headers".
//!
//! INVARIANT: a bundle can make an object readable to a recipient, and never unreadable to another: an
//! object's own header is tried first. Whoever signed a bundle, its headers are tried: one that was tampered with opens
//! nothing, because its MAC is made with the file key; one that somebody made with a file key of his own opens, and the
//! object behind it does not, so that the next header is tried (`tests/recipients.rs`). What is said of a bundle, and
//! where it is copied, depends on its signature.

mod bundle;
mod give;
mod judge;
mod splice;
mod wrap;

pub use give::Given;

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek};
use std::sync::{Arc, Mutex, PoisonError};

use age::DecryptError;
use age::stream::StreamReader;
use resguardo_model::{Finding, FindingKind, Head, Sha256Digest, SourceName, VaultId, WriterId};
use resguardo_store::{Key, StoreError};

use self::bundle::{Bundle, Further};
pub(crate) use self::splice::Spliced;
use crate::error::VaultError;
use crate::layout;
use crate::seal;
use crate::vault::Vault;

/// Size beyond which a bundle is not read.
const BUNDLE_BYTES_MAX: u64 = 64 << 20;

/// The bundles of a source, and whether each is of a writer who is trusted here.
#[derive(Debug, Default)]
pub(crate) struct Bundles(Vec<(Bundle, bool)>);

/// What a bundle is worth.
pub(crate) enum BundleStanding {
    /// It is whole, and of a writer who is trusted here.
    Good,
    /// It is well signed, by this writer, who is not trusted here.
    Stranger(WriterId),
    /// It is none, or was changed; why.
    Bad(&'static str),
}

/// Bundles that were read, by source.
#[derive(Debug, Default)]
pub(crate) struct ReadBundles(Mutex<HashMap<SourceName, Arc<Bundles>>>);

impl Bundles {
    /// Headers of the object in bundles of trusted writers that say to be for `recipient`.
    fn headers_for<'a>(
        &'a self,
        sha256: &'a Sha256Digest,
        recipient: &'a str,
    ) -> impl Iterator<Item = &'a Further> {
        let for_him = self.0.iter().filter(move |(bundle, trusted)| {
            let mut recipients = bundle.recipients.iter();
            *trusted && recipients.any(|one| one == recipient)
        });
        for_him.filter_map(|(bundle, _)| bundle.headers.get(sha256))
    }

    /// Whether `recipient` has a further header of the object, as bundles say.
    fn covers(&self, sha256: &Sha256Digest, recipient: &str) -> bool {
        self.headers_for(sha256, recipient).next().is_some()
    }

    /// Whether `recipient` has further headers of everything that a backup needs.
    pub(crate) fn cover(&self, head: &Head, recipient: &str) -> bool {
        let packs = head.packs.iter().map(|pack| &pack.sha256);
        let mut needed = packs.chain(std::iter::once(&head.manifest.sha256));
        needed.all(|sha256| self.covers(sha256, recipient))
    }
}

impl Vault {
    /// The bundles of a source, read once. What cannot be parsed is as good as absent.
    pub(crate) fn bundles(&self, source: &SourceName) -> Result<Arc<Bundles>, VaultError> {
        let read = &self.read_bundles().0;
        let known = read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bundles) = known.get(source) {
            return Ok(Arc::clone(bundles));
        }
        drop(known);
        let listed = self.store().list(&layout::headers(source))?;
        let found = self.in_parallel(&listed, |info| {
            if info.bytes > BUNDLE_BYTES_MAX {
                return Ok(None);
            }
            match self.store().get(&info.key) {
                Ok(bytes) => Ok(Bundle::parse(&bytes, self.id(), source).map(|bundle| {
                    let signer = bundle.signer;
                    let trusted =
                        signer.is_some_and(|by| self.trusts(by, &Sha256Digest::of(&bytes)));
                    (bundle, trusted)
                })),
                // A prune took it away since it was listed.
                Err(StoreError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })?;
        let bundles = Arc::new(Bundles(found.into_iter().flatten().collect()));
        let mut known = read.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(source.clone(), Arc::clone(&bundles));
        Ok(bundles)
    }

    /// What the bytes are worth as a bundle of `source`.
    pub(crate) fn bundle_standing(&self, source: &SourceName, bytes: &[u8]) -> BundleStanding {
        let Some(bundle) = Bundle::parse(bytes, self.id(), source) else {
            return BundleStanding::Bad("it is no whole bundle of further headers of this source");
        };
        match bundle.signer {
            None => BundleStanding::Bad("it is not signed by the writer that it names"),
            Some(writer) if self.trusts(writer, &Sha256Digest::of(bytes)) => BundleStanding::Good,
            Some(writer) => BundleStanding::Stranger(writer),
        }
    }

    /// What is wrong with the bundles of a source: those that are none, or of a writer who is not trusted here. No backup is hit by it; whoever became a
    /// recipient later may be unable to open some.
    pub(crate) fn malformed_bundles(
        &self,
        source: &SourceName,
    ) -> Result<Vec<Finding>, VaultError> {
        let listed = self.store().list(&layout::headers(source))?;
        let found = self.in_parallel(&listed, |info| {
            let (kind, what) = if info.bytes > BUNDLE_BYTES_MAX {
                let what = format!("it has {} bytes, too many to be read", info.bytes);
                (FindingKind::HeadersMalformed, what)
            } else {
                // What is deleted meanwhile is as good as never listed.
                let bytes = match self.store().get(&info.key) {
                    Err(StoreError::NotFound { .. }) => return Ok(None),
                    read => read?,
                };
                match self.bundle_standing(source, &bytes) {
                    BundleStanding::Good => return Ok(None),
                    BundleStanding::Bad(why) => (FindingKind::HeadersMalformed, why.to_owned()),
                    BundleStanding::Stranger(writer) => {
                        let (kind, why) = self.why_not_trusted(writer);
                        (kind, format!("it is signed by {writer}, {why}"))
                    }
                }
            };
            Ok(Some(Finding {
                kind,
                source: Some(source.clone()),
                object: info.key.to_string(),
                message: format!("{}: {what}", info.key),
                backups_hit: Vec::new(),
            }))
        })?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The bundles of a source of whose objects none is in the store any more, nor named by a head (`alive`):
    /// a listing that lacks an object must not take what opens it. What they opened is gone.
    pub(crate) fn orphaned_bundles(
        &self,
        source: &SourceName,
        alive: &HashSet<Key>,
    ) -> Result<Vec<Key>, VaultError> {
        let listed = self.store().list(source.as_str())?;
        let listed_keys = listed.iter().map(|info| &info.key);
        let there: HashSet<&str> = listed_keys.chain(alive).map(Key::as_str).collect();
        let folder = format!("{}/", layout::headers(source));
        let mut orphaned = Vec::new();
        for info in &listed {
            let is_bundle =
                info.key.as_str().starts_with(&folder) && info.bytes <= BUNDLE_BYTES_MAX;
            if !is_bundle {
                continue;
            }
            let bytes = match self.store().get(&info.key) {
                Ok(bytes) => bytes,
                Err(StoreError::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(bundle) = Bundle::parse(&bytes, self.id(), source) else {
                continue;
            };
            let objects = bundle.objects.iter();
            let mut objects = objects.map(|(name, _)| format!("{source}/{name}"));
            if !objects.any(|key| there.contains(key.as_str())) {
                orphaned.push(info.key.clone());
            }
        }
        Ok(orphaned)
    }

    fn forget_bundles(&self, source: &SourceName) {
        let read = &self.read_bundles().0;
        let mut known = read.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(source);
    }
}

/// How many further headers a bundle of `source` holds, if it is one, for the fuzz targets.
#[doc(hidden)]
#[must_use]
pub fn bundle_objects(bytes: &[u8], vault: VaultId, source: &SourceName) -> Option<usize> {
    Bundle::parse(bytes, vault, source).map(|bundle| bundle.headers.len())
}

/// Whether a header that opened holds the file key of the object behind it. Whoever knows a recipient can make a
/// header that opens, with a file key of his own: the body does not, and a good header may come after it.
fn is_of_object<R: Read + Seek>(opened: &mut StreamReader<R>) -> bool {
    use std::io::{ErrorKind, SeekFrom};
    match opened.read(&mut [0]) {
        Ok(_) => {}
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof
            ) =>
        {
            return false;
        }
        // The store failed: whoever reads on is told.
        Err(_) => return true,
    }
    opened.seek(SeekFrom::Start(0)).is_ok()
}

/// Opens a sealed object by its own header, and else by a further one.
pub(crate) fn open<R: Read + Seek>(
    vault: &Vault,
    (source, key, sha256): (&SourceName, &Key, &Sha256Digest),
    kind: FindingKind,
    input: impl Fn() -> R,
) -> Result<StreamReader<Spliced<R>>, VaultError> {
    let identities = vault.identities(key)?;
    let own = seal::try_open(Spliced::whole(input()), identities.iter());
    let error = match own {
        Ok(opened) => return Ok(opened),
        Err(error) => error,
    };
    if matches!(error, DecryptError::NoMatchingKeys) {
        let bundles = vault.bundles(source)?;
        let each = bundles.0.iter();
        let further = each.filter_map(|(one, _)| one.headers.get(sha256));
        for one in further {
            let spliced = Spliced::new(one.header.clone(), one.header_bytes, input());
            if let Ok(mut opened) = seal::try_open(spliced, identities.iter())
                && is_of_object(&mut opened)
            {
                return Ok(opened);
            }
        }
    }
    Err(seal::refused(key, kind, error))
}
