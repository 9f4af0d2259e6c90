//! Rebuilding a map from index objects. All of it is held in memory: 40 bytes for each page.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read, Write};

use resguardo_model::{FileKind, FilePath, ObjectRef, Sha256Digest};

use super::KnownPiece;
use super::file::MapFile;
use crate::index::{self, IndexFile, Place, Record};
use crate::piece::PieceId;

/// Puts a map together again from the index objects of a head, oldest first.
#[derive(Default)]
pub(crate) struct Rebuilder {
    packs: Vec<ObjectRef>,
    numbers: HashMap<Sha256Digest, u32>,
    files: BTreeMap<FilePath, RebuiltFile>,
    pieces: BTreeMap<PieceId, KnownPiece>,
}

struct RebuiltFile {
    kind: FileKind,
    size: u64,
    pages: Vec<Option<(PieceId, Place)>>,
}

impl Rebuilder {
    /// Applies one object; `first` of its backup, which names every file.
    pub(crate) fn apply(&mut self, input: impl Read, first: bool) -> io::Result<()> {
        let mut reader = index::Reader::new(input)?;
        let mut numbers = Vec::new();
        let mut named = HashSet::new();
        let mut current: Option<FilePath> = None;
        loop {
            match reader.next()? {
                Record::Pack(pack) => numbers.push(self.number(pack)),
                Record::File(file) => {
                    named.insert(file.path.clone());
                    current = Some(file.path.clone());
                    self.file(file);
                }
                Record::Run {
                    first_page,
                    count,
                    place,
                } => {
                    let mut ids = vec![0; count as usize * 16];
                    reader.ids(&mut ids)?;
                    let place = Place {
                        pack: numbers[place.pack as usize],
                        ..place
                    };
                    let file = current.as_ref().and_then(|path| self.files.get_mut(path));
                    file.and_then(|file| file.set(first_page, place, &ids))
                        .ok_or_else(|| {
                            io::Error::new(io::ErrorKind::InvalidData, "a run beyond its file")
                        })?;
                }
                Record::Piece { id, length, place } => {
                    let place = Place {
                        pack: numbers[place.pack as usize],
                        ..place
                    };
                    self.pieces
                        .insert(PieceId(id), KnownPiece { length, place });
                }
                Record::End => break,
            }
        }
        if first {
            self.files.retain(|path, _| named.contains(path));
        }
        Ok(())
    }

    fn number(&mut self, pack: ObjectRef) -> u32 {
        let next = u32::try_from(self.packs.len()).expect("packs are numbered by u32");
        *self.numbers.entry(pack.sha256).or_insert_with(|| {
            self.packs.push(pack);
            next
        })
    }

    fn file(&mut self, file: IndexFile) {
        let fresh = RebuiltFile {
            kind: file.kind,
            size: file.size,
            pages: Vec::new(),
        };
        let known = self.files.entry(file.path).or_insert(fresh);
        if known.kind != file.kind {
            *known = RebuiltFile {
                kind: file.kind,
                size: file.size,
                pages: Vec::new(),
            };
        }
        known.size = file.size;
        if let FileKind::Pages { page_bytes } = file.kind {
            let pages = usize::try_from(file.size / u64::from(page_bytes)).unwrap_or(usize::MAX);
            known.pages.truncate(pages);
        }
    }

    /// Writes the map.
    ///
    /// # Errors
    /// `InvalidData` if a page is missing: objects of one head were lost or mixed.
    pub(crate) fn finish(self, map: &MapFile) -> io::Result<()> {
        let mut writer = map.writer()?;
        for pack in &self.packs {
            writer.pack(pack)?;
        }
        for (path, file) in &self.files {
            writer.file(&IndexFile {
                path: path.clone(),
                kind: file.kind,
                size: file.size,
            })?;
            file.write_runs(&mut writer)?;
        }
        for (id, piece) in &self.pieces {
            writer.piece(*id, piece.length, piece.place)?;
        }
        MapFile::close(writer.finish()?)
    }
}

impl RebuiltFile {
    fn page_bytes(&self) -> u32 {
        match self.kind {
            FileKind::Pages { page_bytes } => page_bytes,
            FileKind::Stream => 0,
        }
    }

    fn set(&mut self, first_page: u64, place: Place, ids: &[u8]) -> Option<()> {
        let page_bytes = self.page_bytes();
        let first = usize::try_from(first_page).ok()?;
        let end = first.checked_add(ids.len() / 16)?;
        // Runs come in the order of the file: one that leaves a gap would have room made for all of it.
        let leaves_a_gap = first > self.pages.len();
        if page_bytes == 0 || leaves_a_gap || end as u64 > self.size / u64::from(page_bytes) {
            return None;
        }
        if self.pages.len() < end {
            self.pages.resize(end, None);
        }
        for (page, id) in ids.chunks_exact(16).enumerate() {
            let offset = u32::try_from(page).ok()?.checked_mul(page_bytes)?;
            let frame_offset = place.frame_offset.checked_add(offset)?;
            self.pages[first + page] = Some((
                PieceId(id.try_into().ok()?),
                Place {
                    frame_offset,
                    ..place
                },
            ));
        }
        Some(())
    }

    fn write_runs<W: Write>(&self, writer: &mut index::Writer<W>) -> io::Result<()> {
        let page_bytes = self.page_bytes();
        if page_bytes == 0 {
            return Ok(());
        }
        let gap = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the index objects leave a page out",
            )
        };
        if self.pages.len() as u64 != self.size / u64::from(page_bytes) {
            return Err(gap());
        }
        let mut run: Option<(u64, Place, Vec<u8>)> = None;
        for (number, page) in self.pages.iter().enumerate() {
            let (id, place) = page.ok_or_else(gap)?;
            if let Some((_, first, ids)) = &mut run {
                let next = first.frame_offset
                    + u32::try_from(ids.len() / 16).map_err(io::Error::other)? * page_bytes;
                if (Place {
                    frame_offset: next,
                    ..*first
                }) == place
                {
                    ids.extend_from_slice(&id.0);
                    continue;
                }
            }
            if let Some((first_page, place, ids)) = run.take() {
                writer.run(first_page, place, &ids)?;
            }
            run = Some((number as u64, place, id.0.to_vec()));
        }
        run.map_or(Ok(()), |(first_page, place, ids)| {
            writer.run(first_page, place, &ids)
        })
    }
}
