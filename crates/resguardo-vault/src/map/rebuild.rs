//! Rebuilding a map from index objects: what is known of pages goes through a table in a temporary file
//! ([`super::page_table`]), so that only files, packs and the pieces of streams are held in memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use resguardo_model::{FileKind, FilePath, ObjectRef, Sha256Digest};

use super::KnownPiece;
use super::file::MapFile;
use super::page_table::{PageTable, Parts};
use crate::index::{self, IndexFile, Place, Record};
use crate::piece::PieceId;

/// Puts a map together again from the index objects of a head, oldest first.
pub(crate) struct Rebuilder {
    table: PageTable,
    packs: Vec<ObjectRef>,
    numbers: HashMap<Sha256Digest, u32>,
    files: BTreeMap<FilePath, RebuiltFile>,
    pieces: BTreeMap<PieceId, KnownPiece>,
}

/// Why an index object could not be applied.
#[derive(Debug)]
pub(crate) enum ApplyError {
    /// It is not what a writer wrote.
    Object(io::Error),
    /// The table on this machine failed: a disk that is full says nothing about the object.
    Table(io::Error),
}

impl From<io::Error> for ApplyError {
    fn from(error: io::Error) -> Self {
        Self::Object(error)
    }
}

/// A page file: its pages lie in the table. They leave no gap from its first one on.
struct RebuiltFile {
    kind: FileKind,
    size: u64,
    /// Pages known so far.
    pages: u64,
    parts: Parts,
}

impl Rebuilder {
    /// Begins; `folder` is where the temporary file goes.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            table: PageTable::new(folder),
            packs: Vec::new(),
            numbers: HashMap::new(),
            files: BTreeMap::new(),
            pieces: BTreeMap::new(),
        }
    }

    /// Applies one object; `first` of its backup, which names every file.
    pub(crate) fn apply(&mut self, input: impl Read, first: bool) -> Result<(), ApplyError> {
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
                    let file = file.filter(|file| file.takes(first_page, count));
                    let beyond =
                        || io::Error::new(io::ErrorKind::InvalidData, "a run beyond its file");
                    file.ok_or_else(beyond)?
                        .set(first_page, place, &ids, &mut self.table)
                        .map_err(ApplyError::Table)?;
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
        let known = self
            .files
            .entry(file.path)
            .or_insert_with(|| RebuiltFile::new(file.kind));
        if known.kind != file.kind {
            *known = RebuiltFile::new(file.kind);
        }
        known.size = file.size;
        if let FileKind::Pages { page_bytes } = file.kind {
            known.pages = known.pages.min(file.size / u64::from(page_bytes));
        }
    }

    /// Writes the map.
    ///
    /// # Errors
    /// `InvalidData` if a page is missing: objects of one head were lost or mixed.
    pub(crate) fn finish(mut self, map: &MapFile) -> io::Result<()> {
        let mut writer = map.writer()?;
        for pack in &self.packs {
            writer.pack(pack)?;
        }
        for (path, file) in self.files {
            writer.file(&IndexFile {
                path,
                kind: file.kind,
                size: file.size,
            })?;
            file.write_runs(&mut writer, &mut self.table)?;
        }
        for (id, piece) in &self.pieces {
            writer.piece(*id, piece.length, piece.place)?;
        }
        MapFile::close(writer.finish()?)
    }
}

impl RebuiltFile {
    fn new(kind: FileKind) -> Self {
        Self {
            kind,
            size: 0,
            pages: 0,
            parts: Parts::default(),
        }
    }

    fn page_bytes(&self) -> u32 {
        match self.kind {
            FileKind::Pages { page_bytes } => page_bytes,
            FileKind::Stream => 0,
        }
    }

    /// Whether a run can be one of this file. Runs come in the order of the file: one that leaves a gap
    /// would have room made for all of it.
    fn takes(&self, first_page: u64, count: u32) -> bool {
        let page_bytes = u64::from(self.page_bytes());
        let end = first_page.checked_add(u64::from(count));
        page_bytes != 0
            && first_page <= self.pages
            && end.is_some_and(|end| end <= self.size / page_bytes)
    }

    fn set(
        &mut self,
        first: u64,
        place: Place,
        ids: &[u8],
        table: &mut PageTable,
    ) -> io::Result<()> {
        let page_bytes = self.page_bytes();
        table.set(&mut self.parts, first, ids, page_bytes, place)?;
        self.pages = self.pages.max(first + ids.len() as u64 / 16);
        Ok(())
    }

    /// Writes the file's pages, those together that lie back to back in one frame.
    fn write_runs<W: Write>(
        mut self,
        writer: &mut index::Writer<W>,
        table: &mut PageTable,
    ) -> io::Result<()> {
        let page_bytes = self.page_bytes();
        if page_bytes == 0 {
            return Ok(());
        }
        if self.pages != self.size / u64::from(page_bytes) {
            let what = "the index objects leave a page out";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let mut ids = Vec::new();
        let mut run: Option<(u64, Place)> = None;
        let mut follows: Option<Place> = None;
        for page in 0..self.pages {
            let (id, place) = table.get(&mut self.parts, page)?;
            if follows != Some(place) {
                if let Some((first, begin)) = run.replace((page, place)) {
                    writer.run(first, begin, &ids)?;
                }
                ids.clear();
            }
            ids.extend_from_slice(&id);
            follows = Some(Place {
                frame_offset: place.frame_offset + page_bytes,
                ..place
            });
        }
        match run {
            Some((first, begin)) => writer.run(first, begin, &ids),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(pack: u32, frame: u32, page: u32) -> Place {
        Place {
            pack,
            frame,
            frame_bytes: 1 << 20,
            frame_offset: page * 512,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        /// Against a naive model: one entry for each page.
        #[test]
        fn runs_over_runs_leave_what_was_set_last(
            steps in prop::collection::vec((0_u64..120, 1_u32..60, any::<bool>()), 1..40),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut table = PageTable::new(folder.path().to_owned());
            let mut file = RebuiltFile::new(FileKind::Pages { page_bytes: 512 });
            let mut model: Vec<([u8; 16], Place)> = Vec::new();
            for (frame, (first, count, cuts)) in (0_u32..).zip(steps) {
                if cuts {
                    file.pages = file.pages.min(first);
                    model.truncate(usize::try_from(first).unwrap());
                }
                file.size = 1 << 30;
                let first = first.min(file.pages);
                prop_assert!(file.takes(first, count));
                prop_assert!(!file.takes(file.pages + 1, count));
                let id = |page: u32| {
                    let mut id = [u8::try_from(frame).unwrap(); 16];
                    id[..4].copy_from_slice(&page.to_le_bytes());
                    id
                };
                let ids: Vec<u8> = (0..count).flat_map(id).collect();
                file.set(first, place(1, frame, 0), &ids, &mut table).unwrap();
                for page in 0..count {
                    let at = usize::try_from(first).unwrap() + page as usize;
                    let set = (id(page), place(1, frame, page));
                    if at < model.len() { model[at] = set } else { model.push(set) }
                }
            }
            file.size = file.pages * 512;
            let mut writer = index::Writer::new(Vec::new()).unwrap();
            let object = ObjectRef { sha256: Sha256Digest::of(b"x"), bytes: 1 };
            for _ in 0..2 {
                writer.pack(&object).unwrap();
            }
            file.write_runs(&mut writer, &mut table).unwrap();
            let bytes = writer.finish().unwrap();
            let mut reader = index::Reader::new(&bytes[..]).unwrap();
            let mut read = Vec::new();
            loop {
                match reader.next().unwrap() {
                    Record::Run { first_page, count, place: begin } => {
                        prop_assert_eq!(first_page, read.len() as u64);
                        let mut ids = vec![0; count as usize * 16];
                        reader.ids(&mut ids).unwrap();
                        for (page, id) in (0_u32..).zip(ids.chunks_exact(16)) {
                            let frame_offset = begin.frame_offset + page * 512;
                            read.push((id.try_into().unwrap(), Place { frame_offset, ..begin }));
                        }
                    }
                    Record::End => break,
                    _ => {}
                }
            }
            prop_assert_eq!(read, model);
        }
    }
}
