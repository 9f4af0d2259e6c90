//! Rebuilding a map from index objects: ids of pages go through a temporary file, so that only their runs and
//! the pieces of streams are held in memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use resguardo_model::{FileKind, FilePath, ObjectRef, Sha256Digest};

use super::KnownPiece;
use super::file::MapFile;
use crate::index::{self, IndexFile, Place, Record};
use crate::piece::PieceId;

/// Puts a map together again from the index objects of a head, oldest first.
pub(crate) struct Rebuilder {
    spool: Spool,
    packs: Vec<ObjectRef>,
    numbers: HashMap<Sha256Digest, u32>,
    files: BTreeMap<FilePath, RebuiltFile>,
    pieces: BTreeMap<PieceId, KnownPiece>,
}

/// A page file: its ids lie in the spool, its runs here. They leave no gap from its first page on.
struct RebuiltFile {
    kind: FileKind,
    size: u64,
    /// First page to how many lie back to back, and where.
    runs: BTreeMap<u64, (u32, Place)>,
    /// Pages known so far.
    pages: u64,
    region: Region,
}

impl Rebuilder {
    /// Begins; `folder` is where the temporary file goes.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            spool: Spool::new(folder),
            packs: Vec::new(),
            numbers: HashMap::new(),
            files: BTreeMap::new(),
            pieces: BTreeMap::new(),
        }
    }

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
                    let file = file.filter(|file| file.takes(first_page, count));
                    let beyond =
                        || io::Error::new(io::ErrorKind::InvalidData, "a run beyond its file");
                    file.ok_or_else(beyond)?
                        .set(first_page, place, &ids, &mut self.spool)?;
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
            known.truncate(file.size / u64::from(page_bytes));
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
            file.write_runs(&mut writer, &self.spool)?;
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
            runs: BTreeMap::new(),
            pages: 0,
            region: Region::default(),
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

    fn set(&mut self, first: u64, place: Place, ids: &[u8], spool: &mut Spool) -> io::Result<()> {
        let count = u32::try_from(ids.len() / 16).map_err(io::Error::other)?;
        let end = first + u64::from(count);
        spool.write(&mut self.region, first, ids)?;
        self.cut_out(first, end);
        self.runs.insert(first, (count, place));
        self.pages = self.pages.max(end);
        Ok(())
    }

    /// Forgets the runs from `first` on to before `end`; what they reach beyond it stays.
    fn cut_out(&mut self, first: u64, end: u64) {
        while let Some((&begin, &(count, place))) = self.runs.range(..end).next_back() {
            let run_end = begin + u64::from(count);
            if run_end <= first {
                return;
            }
            self.runs.remove(&begin);
            if begin < first {
                self.runs
                    .insert(begin, (pages_between(begin, first), place));
            }
            if run_end > end {
                let skipped = pages_between(begin, end) * self.page_bytes();
                let frame_offset = place.frame_offset + skipped;
                let rest = Place {
                    frame_offset,
                    ..place
                };
                self.runs.insert(end, (pages_between(end, run_end), rest));
            }
        }
    }

    fn truncate(&mut self, pages: u64) {
        if pages < self.pages {
            self.cut_out(pages, self.pages);
            self.pages = pages;
        }
    }

    fn write_runs<W: Write>(&self, writer: &mut index::Writer<W>, spool: &Spool) -> io::Result<()> {
        let page_bytes = self.page_bytes();
        if page_bytes == 0 {
            return Ok(());
        }
        if self.pages != self.size / u64::from(page_bytes) {
            let what = "the index objects leave a page out";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let mut ids = Vec::new();
        let mut runs = self.runs.iter().peekable();
        while let Some((&first, &(mut count, place))) = runs.next() {
            let goes_on = |count: u32, next: &Place| {
                let frame_offset = place.frame_offset + count * page_bytes;
                *next
                    == Place {
                        frame_offset,
                        ..place
                    }
            };
            while let Some((_, (more, _))) = runs.next_if(|(_, (_, next))| goes_on(count, next)) {
                count += more;
            }
            ids.resize(count as usize * 16, 0);
            spool.read(self.region, first, &mut ids)?;
            writer.run(first, place, &ids)?;
        }
        Ok(())
    }
}

/// Pages of a run, which lie in one frame.
fn pages_between(from: u64, to: u64) -> u32 {
    u32::try_from(to - from).expect("the reader of records holds every run to a frame")
}

/// Where the ids of one file lie in the spool.
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    offset: u64,
    /// Bytes that it may have before it has to move.
    room: u64,
    used: u64,
}

/// A temporary file with the ids of all files.
struct Spool {
    folder: PathBuf,
    file: Option<File>,
    end: u64,
}

/// The least room that is made for a file's ids.
const ROOM_LEAST: u64 = 4 << 10;

impl Spool {
    fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            file: None,
            end: 0,
        }
    }

    fn write(&mut self, region: &mut Region, page: u64, ids: &[u8]) -> io::Result<()> {
        let end = page * 16 + ids.len() as u64;
        if end > region.room {
            self.enlarge(region, end)?;
        }
        let file = self.file.as_ref().expect("a region with room lies in it");
        file.write_all_at(ids, region.offset + page * 16)?;
        region.used = region.used.max(end);
        Ok(())
    }

    /// Moves a region to the end of the file, with twice the room.
    fn enlarge(&mut self, region: &mut Region, wanted: u64) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            empty => {
                std::fs::create_dir_all(&self.folder)?;
                empty.insert(tempfile::tempfile_in(&self.folder)?)
            }
        };
        let moved = Region {
            offset: self.end,
            room: (wanted * 2).max(ROOM_LEAST),
            used: region.used,
        };
        let mut buffer = vec![0; 64 << 10];
        let mut at = 0;
        while at < region.used {
            let length = usize::try_from(region.used - at)
                .map_or(buffer.len(), |left| left.min(buffer.len()));
            file.read_exact_at(&mut buffer[..length], region.offset + at)?;
            file.write_all_at(&buffer[..length], moved.offset + at)?;
            at += length as u64;
        }
        self.end += moved.room;
        *region = moved;
        Ok(())
    }

    fn read(&self, region: Region, page: u64, ids: &mut [u8]) -> io::Result<()> {
        let file = self.file.as_ref().expect("runs were written to it");
        file.read_exact_at(ids, region.offset + page * 16)
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
            let mut spool = Spool::new(folder.path().to_owned());
            let mut file = RebuiltFile::new(FileKind::Pages { page_bytes: 512 });
            let mut model: Vec<([u8; 16], Place)> = Vec::new();
            for (frame, (first, count, cuts)) in (0_u32..).zip(steps) {
                if cuts {
                    file.size = first * 512;
                    file.truncate(first);
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
                file.set(first, place(1, frame, 0), &ids, &mut spool).unwrap();
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
            file.write_runs(&mut writer, &spool).unwrap();
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
