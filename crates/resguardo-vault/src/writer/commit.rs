//! The end of a backup: index, manifest, lease, head. The head is the commit.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::SignedDuration;
use resguardo_model::head::IndexRef;
use resguardo_model::{Head, ManifestHeader, ObjectRef, Reason, Sha256Digest};
use resguardo_store::{Condition, Key};

use super::file::WrittenFile;
use super::resolve::{self, MapRecords, Resolution, Scope};
use super::{Committed, Description, SnapshotWriter, is_full, map_name};
use crate::error::VaultError;
use crate::heads::{HEAD_BYTES_MAX, StoredHead};
use crate::keys;
use crate::layout;
use crate::manifest;
use crate::map::MapFile;
use crate::reader::SEALED_BYTES_MAX;
use crate::seal;

/// Backups whose index objects a head names before the next one writes the whole map again.
const INDEX_BACKUPS_MAX: usize = 16;
/// Records of one index object, before compression.
const INDEX_OBJECT_BYTES: u64 = 16 << 20;
/// A head that takes longer to write than this is looked at once more.
const COMMIT_AT_ONCE: Duration = Duration::from_secs(300);
/// Index records hardly compress: ids are hashes.
const INDEX_LEVEL: i32 = 1;
const MANIFEST_LEVEL: i32 = 3;

impl SnapshotWriter {
    /// Stores what is left and commits the snapshot by writing its head.
    ///
    /// # Errors
    /// Any; there is no snapshot then. [`VaultError::Unfinished`] if a file was left before its end,
    /// [`VaultError::LeaseLost`] if another run took the source over.
    pub fn commit(mut self, description: Description) -> Result<Committed, VaultError> {
        self.pipeline.check()?;
        let mut files =
            std::mem::take(&mut *self.written.lock().expect("nothing panics under this lock"));
        self.refuse_unfinished(&files)?;
        files.sort_by(|a, b| a.path.as_str().as_bytes().cmp(b.path.as_str().as_bytes()));
        let (new_packs, places, new_raw_bytes) = self.drain()?;
        let resolution = Resolution::new(
            &files,
            self.pipeline.work.previous.packs(),
            &new_packs,
            places,
        );

        let mut stored_bytes: u64 = new_packs.iter().map(|pack| pack.bytes).sum();
        let index = self.store_index(&files, &resolution, &mut stored_bytes)?;
        let manifest = self.store_manifest(&files, &resolution, &description)?;
        stored_bytes += manifest.bytes;
        // Whatever could fail for the cache's sake fails before the commit. For want of room, nothing does.
        let map = match self.write_map(&files, &resolution) {
            Err(VaultError::File { source, .. }) if is_full(&source) => Err(source),
            other => Ok(other?),
        };

        let raw_bytes = files.iter().map(|file| file.size).sum();
        let head = Head {
            format: 1,
            vault: self.vault.id(),
            source: self.source().clone(),
            backup: self.backup,
            engine: description.engine,
            reason: description.reason,
            taken_at: description.taken_at,
            started_at: description.started_at,
            finished_at: self.vault.settings().clock.now(),
            raw_bytes,
            stored_bytes,
            writer: self.vault.write_key()?.writer(),
            sequence: self.last.map_or(0, |(number, _)| number) + 1,
            previous: self.last.map(|(_, sha256)| sha256),
            manifest,
            index,
            packs: resolution.packs,
        };
        self.refuse_replaced_writer()?;
        let head = self.store_head(head)?;
        self.keep_map(map, &head);
        Ok(Committed {
            raw_bytes,
            stored_bytes,
            new_raw_bytes,
            packs_written: new_packs.len() as u64,
            notes: std::mem::take(&mut self.notes),
            head,
        })
    }

    fn refuse_unfinished(&self, files: &[WrittenFile]) -> Result<(), VaultError> {
        let opened = self.opened.lock().expect("nothing panics under this lock");
        match opened
            .iter()
            .find(|path| !files.iter().any(|file| file.path == **path))
        {
            Some(path) => Err(VaultError::Unfinished(path.to_string())),
            None => Ok(()),
        }
    }

    /// Waits until every frame lies in a stored pack.
    #[expect(
        clippy::type_complexity,
        reason = "what the packer tells at its end, used once"
    )]
    fn drain(
        &mut self,
    ) -> Result<(Vec<ObjectRef>, Vec<Option<super::packer::FramePlace>>, u64), VaultError> {
        self.common
            .lock()
            .expect("nothing panics under this lock")
            .flush(&self.pipeline);
        self.pipeline.pool.drain();
        let drained = self.pipeline.work.packer.finish();
        self.pipeline.check()?;
        Ok(drained)
    }

    /// Stores the new part of the index, or all of it when the parts have become many or large.
    fn store_index(
        &self,
        files: &[WrittenFile],
        resolution: &Resolution,
        stored_bytes: &mut u64,
    ) -> Result<Vec<IndexRef>, VaultError> {
        let (pages, new_pages) = resolve::page_counts(files);
        let before = self.base.as_ref().map_or(&[][..], |base| &base.head.index);
        let backups: HashSet<&str> = before
            .iter()
            .filter_map(|part| Some(part.name.split_once('-')?.0))
            .collect();
        let whole =
            before.is_empty() || backups.len() >= INDEX_BACKUPS_MAX || new_pages * 2 > pages;
        let mut index = if whole { Vec::new() } else { before.to_vec() };
        let (mut stored, mut number) = (Vec::new(), 0);
        let records = MapRecords {
            resolution,
            scope: if whole { Scope::Whole } else { Scope::Changed },
            object_bytes: INDEX_OBJECT_BYTES,
            open: &mut || crate::index::Writer::new(Vec::new()).map_err(index_error),
            close: &mut |records: Vec<u8>| {
                stored.push(self.store_index_object(number, &records)?);
                number += 1;
                Ok::<(), IndexError>(())
            },
        };
        records.write(files).map_err(|IndexError(error)| error)?;
        *stored_bytes += stored.iter().map(|part| part.bytes).sum::<u64>();
        index.extend(stored);
        Ok(index)
    }

    fn store_index_object(&self, number: u32, records: &[u8]) -> Result<IndexRef, VaultError> {
        self.pipeline.check()?;
        let name = format!("{}-{number}", self.backup);
        let key = layout::index(self.source(), &name).expect("an id and a number make a key");
        let write_key = self.vault.write_key()?;
        let own = write_key.index_identity().to_public();
        let recipients = write_key.age_recipients()?;
        let own = std::iter::once(&own as &dyn age::Recipient);
        let all = keys::as_dyn(&recipients).chain(own);
        let sealed = seal::compress_and_seal(INDEX_LEVEL, all, |out| out.write_all(records))
            .map_err(|error| VaultError::Seal {
                object: key.to_string(),
                source: Box::new(error),
            })?;
        fits(&key, sealed.len(), SEALED_BYTES_MAX)?;
        let ObjectRef { sha256, bytes } = self.put(&key, sealed)?;
        Ok(IndexRef {
            name,
            sha256,
            bytes,
        })
    }

    fn store_manifest(
        &self,
        files: &[WrittenFile],
        resolution: &Resolution,
        description: &Description,
    ) -> Result<ObjectRef, VaultError> {
        let header = ManifestHeader {
            format: 1,
            vault: self.vault.id(),
            source: self.source().clone(),
            backup: self.backup,
            reason: description.reason.clone(),
            note: description.note.clone(),
            taken_at: description.taken_at,
            host: description.host.clone(),
            operator: description.operator.clone(),
            resguardo: description.resguardo.clone(),
            facts: description.facts.clone(),
            packs: resolution.packs.clone(),
        };
        let files = files.iter().map(|file| resolution.entry(file));
        let recipients = self.vault.write_key()?.age_recipients()?;
        let recipients = keys::as_dyn(&recipients);
        let key = layout::manifest(self.source(), self.backup);
        let sealed = seal::compress_and_seal(MANIFEST_LEVEL, recipients, |out| {
            manifest::write(&header, files, out)
        })
        .map_err(|error| VaultError::Seal {
            object: key.to_string(),
            source: Box::new(error),
        })?;
        fits(&key, sealed.len(), SEALED_BYTES_MAX)?;
        self.put(&key, sealed)
    }

    fn put(&self, key: &Key, body: Vec<u8>) -> Result<ObjectRef, VaultError> {
        self.pipeline.check()?;
        let object = ObjectRef {
            sha256: Sha256Digest::of(&body),
            bytes: body.len() as u64,
        };
        self.vault
            .store()
            .put(key, Bytes::from(body), Condition::Always)?;
        Ok(object)
    }

    fn write_map(
        &self,
        files: &[WrittenFile],
        resolution: &Resolution,
    ) -> Result<MapFile, VaultError> {
        let write = || -> io::Result<MapFile> {
            let map = MapFile::create(&self.cache)?;
            let records = MapRecords {
                resolution,
                scope: Scope::Whole,
                object_bytes: u64::MAX,
                open: &mut || map.writer(),
                close: &mut |out| MapFile::close(out),
            };
            records.write(files)?;
            Ok(map)
        };
        write().map_err(|error| VaultError::file("writing the page map in", &self.cache, error))
    }

    /// Nobody believes a head of the old writer once the writer was rotated. A rotation holds the leases of the
    /// sources that it knows; a source's first backup may be none of them.
    fn refuse_replaced_writer(&mut self) -> Result<(), VaultError> {
        let began = self.vault.write_key()?.writer();
        match self.vault.key_now() {
            Ok(Some(now)) if now.writer() != began => Err(VaultError::WriterReplaced {
                source_name: self.source().clone(),
                began,
                now: now.writer(),
            }),
            Ok(_) => Ok(()),
            Err(error) => {
                let why = std::error::Error::source(&error)
                    .map_or_else(String::new, |why| format!(" ({why})"));
                self.notes.push(format!(
                    "the write key cannot be read again{why}: this backup is signed with the one that its run \
                     began with; if that was rotated meanwhile, take another"
                ));
                Ok(())
            }
        }
    }

    /// Commits: only while the lease is ours, and within the grace of pruned objects. What a prune that
    /// began while this process was frozen took for dead is still there then.
    fn store_head(&self, head: Head) -> Result<StoredHead, VaultError> {
        let bytes = super::signed(&head, &self.vault)?;
        let key = layout::head(self.source(), self.backup);
        fits(&key, bytes.len(), HEAD_BYTES_MAX)?;
        let sha256 = Sha256Digest::of(&bytes);
        self.pipeline.check()?;
        if self.lease.age()? > self.grace() {
            return Err(self.ran_too_long());
        }
        let steady = Instant::now();
        self.lease.confirm()?;
        let conditional = self.vault.store().capabilities().conditional_put;
        let condition = if conditional {
            Condition::Absent
        } else {
            Condition::Always
        };
        let bytes = Bytes::from(bytes);
        if let Err(error) = self.vault.store().put(&key, bytes.clone(), condition) {
            // The answer may have been lost after the head was written: then the backup stands.
            let stands = self
                .vault
                .store()
                .get(&key)
                .is_ok_and(|there| there == bytes);
            if !stands {
                return Err(error.into());
            }
        }
        self.refuse_late(&key, steady)?;
        Ok(StoredHead {
            head,
            sha256,
            key: key.to_string(),
            trusted: true,
        })
    }

    /// Takes a head back that came to stand only after the grace: the process was frozen while it wrote it.
    fn refuse_late(&self, head: &Key, since: Instant) -> Result<(), VaultError> {
        let stood_at = match self.vault.store().stat(head) {
            Ok(info) => info.modified_at,
            // It was written in a moment, as this machine's clock has it: nothing asks for more.
            Err(_) if since.elapsed() < COMMIT_AT_ONCE => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if stood_at.duration_since(self.lease.began_at()) <= self.grace() {
            return Ok(());
        }
        self.vault.store().delete(head)?;
        Err(self.ran_too_long())
    }

    fn grace(&self) -> SignedDuration {
        self.vault.settings().prune_grace
    }

    fn ran_too_long(&self) -> VaultError {
        VaultError::RanTooLong {
            source_name: self.source().clone(),
            grace: self.grace(),
        }
    }

    /// The backup stands already: a cache that cannot be kept makes the next one slower, no more.
    fn keep_map(&mut self, map: io::Result<MapFile>, head: &StoredHead) {
        let path = self.cache.join(map_name(head));
        self.vault.remember_head(head, &self.gone, &self.cache);
        match map.and_then(|map| map.keep(&path)) {
            Ok(()) => {
                // A safety backup may be of another file: the next backup compares with the one before.
                if head.head.reason != Reason::safety() {
                    crate::map::remove_others(&self.cache, &path);
                }
            }
            Err(error) => self.notes.push(format!(
                "the page map could not be kept in {}, and the next backup takes longer: {error}",
                self.cache.display()
            )),
        }
    }
}

/// That readers will accept an object of that size: a backup that nobody can read must not be called one.
fn fits(key: &Key, bytes: usize, bytes_max: u64) -> Result<(), VaultError> {
    if bytes as u64 <= bytes_max {
        return Ok(());
    }
    Err(VaultError::TooLarge {
        object: key.to_string(),
        bytes: bytes as u64,
        bytes_max,
    })
}

/// Either side's error while index objects are written.
struct IndexError(VaultError);

impl From<io::Error> for IndexError {
    fn from(error: io::Error) -> Self {
        index_error(error)
    }
}

impl From<VaultError> for IndexError {
    fn from(error: VaultError) -> Self {
        Self(error)
    }
}

fn index_error(error: io::Error) -> IndexError {
    IndexError(VaultError::Seal {
        object: "an index object".to_owned(),
        source: Box::new(error),
    })
}
