//! The page map of a source: for each page of each page file its id and where it lies, and the known
//! pieces of streams. It is what makes a second backup cheap, and nothing else.
//!
//! It streams from a local file, so that memory does not grow with the source. The file ends with the
//! BLAKE3 hash of all before it: a damaged map must never place a page wrongly. It is used only for the
//! head that its name carries. Lost, it is rebuilt from the index objects that the head names.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use resguardo_model::{FileKind, FilePath, ObjectRef, Sha256Digest};

use crate::index::{self, IndexFile, Place, Record};
use crate::piece::PieceId;

const HASH_BYTES: u64 = 32;

/// A run of pages whose places are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownRun {
    pub(crate) first_page: u64,
    pub(crate) count: u32,
    pub(crate) place: Place,
}

/// A piece of a stream whose place is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownPiece {
    pub(crate) length: u32,
    pub(crate) place: Place,
}

#[derive(Debug)]
struct KnownFile {
    kind: FileKind,
    /// Offset of its first run in the map.
    offset: Option<u64>,
    /// Bytes of its pages, and of the frames that they lie in.
    alive_bytes: u64,
    frame_bytes: u64,
}

/// The map of the snapshot before, ready to be compared with.
#[derive(Debug, Default)]
pub(crate) struct PreviousMap {
    file: Option<File>,
    packs: Vec<ObjectRef>,
    missing: HashSet<u32>,
    files: HashMap<FilePath, KnownFile>,
    pieces: HashMap<PieceId, KnownPiece>,
}

impl PreviousMap {
    /// Opens the map at `path`.
    ///
    /// # Errors
    /// `InvalidData` if it is damaged.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = verify_hash(&file)?;
        (&file).seek(SeekFrom::Start(0))?;
        let mut map = Self::scan(BufReader::with_capacity(1 << 20, (&file).take(length)))?;
        map.file = Some(file);
        map.forget_sparse_pieces();
        Ok(map)
    }

    fn scan(input: impl Read) -> io::Result<Self> {
        let mut reader = index::Reader::new(input)?;
        let mut map = Self::default();
        let mut current: Option<FilePath> = None;
        let mut frames = HashSet::new();
        loop {
            match reader.next()? {
                Record::Pack(pack) => map.packs.push(pack),
                Record::File(file) => {
                    frames.clear();
                    let fresh = KnownFile { kind: file.kind, offset: None, alive_bytes: 0, frame_bytes: 0 };
                    let known = map.files.entry(file.path.clone()).or_insert(fresh);
                    known.offset = Some(reader.bytes);
                    current = Some(file.path);
                }
                Record::Run { count, place, .. } => {
                    let known = current.as_ref().and_then(|path| map.files.get_mut(path));
                    let (Some(known), false) = (known, place.frame_bytes == 0) else {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, "a run of no file"));
                    };
                    let FileKind::Pages { page_bytes } = known.kind else {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, "a run of pages in a stream"));
                    };
                    known.alive_bytes += u64::from(count) * u64::from(page_bytes);
                    if frames.insert((place.pack, place.frame)) {
                        known.frame_bytes += u64::from(place.frame_bytes);
                    }
                    reader.skip_ids()?;
                }
                Record::Piece { id, length, place } => {
                    map.pieces.insert(PieceId(id), KnownPiece { length, place });
                }
                Record::End => return Ok(map),
            }
        }
    }

    /// Forgets the pieces of frames less than half of which is alive, so that they are stored afresh.
    fn forget_sparse_pieces(&mut self) {
        let mut alive: HashMap<(u32, u32), u64> = HashMap::new();
        for piece in self.pieces.values() {
            *alive.entry((piece.place.pack, piece.place.frame)).or_default() += u64::from(piece.length);
        }
        self.pieces.retain(|_, piece| {
            let place = piece.place;
            alive[&(place.pack, place.frame)] * 2 >= u64::from(place.frame_bytes)
        });
    }

    /// Forgets what lies in packs that are not in the store with their size, and tells how many
    /// packs that were.
    pub(crate) fn forget_missing(&mut self, stored: &HashMap<Sha256Digest, u64>) -> usize {
        for (number, pack) in self.packs.iter().enumerate() {
            if stored.get(&pack.sha256) != Some(&pack.bytes) {
                self.missing.insert(u32::try_from(number).expect("packs are numbered by u32"));
            }
        }
        let missing = &self.missing;
        self.pieces.retain(|_, piece| !missing.contains(&piece.place.pack));
        self.missing.len()
    }

    /// The packs by their number in this map.
    pub(crate) fn packs(&self) -> &[ObjectRef] {
        &self.packs
    }

    /// A known piece of a stream.
    pub(crate) fn piece(&self, id: &PieceId) -> Option<KnownPiece> {
        self.pieces.get(id).copied()
    }

    /// The pages of a file from its first on; `None` if the file is new, was cut otherwise, or is to
    /// be stored afresh because less than half of its frames is alive.
    pub(crate) fn pages_of(&self, path: &FilePath, kind: FileKind) -> io::Result<Option<PageCursor>> {
        let (Some(file), Some(known)) = (&self.file, self.files.get(path)) else { return Ok(None) };
        let Some(offset) = known.offset else { return Ok(None) };
        if known.kind != kind || known.alive_bytes * 2 < known.frame_bytes {
            return Ok(None);
        }
        let input = BufReader::with_capacity(64 << 10, MapReader { file: file.try_clone()?, offset });
        let packs = u32::try_from(self.packs.len()).expect("packs are numbered by u32");
        Ok(Some(PageCursor {
            reader: index::Reader::resume(input, packs),
            missing: self.missing.clone(),
            page_bytes: match kind {
                FileKind::Pages { page_bytes } => page_bytes,
                FileKind::Stream => return Ok(None),
            },
            rest: None,
            next_page: 0,
        }))
    }
}

/// Checks the hash at the end of a map and tells the length of what it covers.
fn verify_hash(mut file: &File) -> io::Result<u64> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the map is damaged");
    let length = file.metadata()?.len().checked_sub(HASH_BYTES).ok_or_else(damaged)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.take(length))?;
    let mut hash = [0; 32];
    file.read_exact(&mut hash)?;
    if hasher.finalize() == hash { Ok(length) } else { Err(damaged()) }
}

/// Reads a shared file from a position of its own.
struct MapReader {
    file: File,
    offset: u64,
}

impl Read for MapReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Walks the pages of one file in the map before.
pub(crate) struct PageCursor {
    reader: index::Reader<BufReader<MapReader>>,
    missing: HashSet<u32>,
    page_bytes: u32,
    /// What is left of a run: its ids are still unread.
    rest: Option<KnownRun>,
    next_page: u64,
}

/// Known pages, back to back from the page that was asked for.
#[derive(Debug, Default)]
pub(crate) struct KnownPages {
    pub(crate) ids: Vec<PieceId>,
    pub(crate) runs: Vec<KnownRun>,
}

impl PageCursor {
    /// The next `count` pages, or as many as there are. A page whose pack is missing has an id that
    /// matches nothing.
    pub(crate) fn next(&mut self, count: u32) -> io::Result<KnownPages> {
        let mut pages = KnownPages::default();
        let mut wanted = count;
        while wanted > 0 {
            let Some(run) = self.next_run()? else { break };
            let taken = run.count.min(wanted);
            let mut ids = vec![0; taken as usize * 16];
            self.reader.ids(&mut ids)?;
            if self.missing.contains(&run.place.pack) {
                ids.fill(0);
            }
            pages.ids.extend(ids.chunks_exact(16).map(|id| PieceId(id.try_into().expect("16 bytes"))));
            pages.runs.push(KnownRun { count: taken, ..run });
            self.next_page += u64::from(taken);
            wanted -= taken;
            if taken < run.count {
                let frame_offset = run.place.frame_offset + taken * self.page_bytes;
                self.rest = Some(KnownRun {
                    first_page: run.first_page + u64::from(taken),
                    count: run.count - taken,
                    place: Place { frame_offset, ..run.place },
                });
            }
        }
        Ok(pages)
    }

    fn next_run(&mut self) -> io::Result<Option<KnownRun>> {
        if let Some(rest) = self.rest.take() {
            return Ok(Some(rest));
        }
        loop {
            match self.reader.next()? {
                Record::Pack(_) => {}
                Record::Run { first_page, count, place } if first_page == self.next_page => {
                    return Ok(Some(KnownRun { first_page, count, place }));
                }
                Record::Run { .. } => return Err(io::Error::new(io::ErrorKind::InvalidData, "a gap in the map")),
                Record::File(_) | Record::Piece { .. } | Record::End => return Ok(None),
            }
        }
    }
}

/// Begins a map file.
pub(crate) struct MapFile {
    file: tempfile::NamedTempFile,
}

impl MapFile {
    /// A new file in `folder`, which is made if it is missing.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { file: tempfile::Builder::new().prefix(".map-").tempfile_in(folder)? })
    }

    /// Where the records go.
    pub(crate) fn writer(&self) -> io::Result<index::Writer<HashingWriter<BufWriter<File>>>> {
        let out = BufWriter::with_capacity(1 << 20, self.file.reopen()?);
        index::Writer::new(HashingWriter { out, hasher: blake3::Hasher::new() })
    }

    /// Closes the records with their hash.
    pub(crate) fn close(writer: HashingWriter<BufWriter<File>>) -> io::Result<()> {
        let HashingWriter { mut out, hasher } = writer;
        out.write_all(hasher.finalize().as_bytes())?;
        out.flush()
    }

    /// Gives the file its name. It is a cache: a loss of power may lose it.
    pub(crate) fn keep(self, path: &Path) -> io::Result<()> {
        self.file.persist(path).map(|_| ()).map_err(|error| error.error)
    }
}

/// Removes the maps of earlier heads, and what runs that died left behind. A cache: errors are ignored.
pub(crate) fn remove_others(folder: &Path, keep: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path != keep) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".map") || name.starts_with(".map-") {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Hashes what passes through.
pub(crate) struct HashingWriter<W> {
    out: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

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
                Record::Run { first_page, count, place } => {
                    let mut ids = vec![0; count as usize * 16];
                    reader.ids(&mut ids)?;
                    let place = Place { pack: numbers[place.pack as usize], ..place };
                    let file = current.as_ref().and_then(|path| self.files.get_mut(path));
                    file.and_then(|file| file.set(first_page, place, &ids))
                        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a run beyond its file"))?;
                }
                Record::Piece { id, length, place } => {
                    let place = Place { pack: numbers[place.pack as usize], ..place };
                    self.pieces.insert(PieceId(id), KnownPiece { length, place });
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
        let fresh = RebuiltFile { kind: file.kind, size: file.size, pages: Vec::new() };
        let known = self.files.entry(file.path).or_insert(fresh);
        if known.kind != file.kind {
            *known = RebuiltFile { kind: file.kind, size: file.size, pages: Vec::new() };
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
            writer.file(&IndexFile { path: path.clone(), kind: file.kind, size: file.size })?;
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
        if page_bytes == 0 || end as u64 > self.size / u64::from(page_bytes) {
            return None;
        }
        if self.pages.len() < end {
            self.pages.resize(end, None);
        }
        for (page, id) in ids.chunks_exact(16).enumerate() {
            let offset = u32::try_from(page).ok()?.checked_mul(page_bytes)?;
            let frame_offset = place.frame_offset.checked_add(offset)?;
            self.pages[first + page] = Some((PieceId(id.try_into().ok()?), Place { frame_offset, ..place }));
        }
        Some(())
    }

    fn write_runs<W: Write>(&self, writer: &mut index::Writer<W>) -> io::Result<()> {
        let page_bytes = self.page_bytes();
        if page_bytes == 0 {
            return Ok(());
        }
        let gap = || io::Error::new(io::ErrorKind::InvalidData, "the index objects leave a page out");
        if self.pages.len() as u64 != self.size / u64::from(page_bytes) {
            return Err(gap());
        }
        let mut run: Option<(u64, Place, Vec<u8>)> = None;
        for (number, page) in self.pages.iter().enumerate() {
            let (id, place) = page.ok_or_else(gap)?;
            if let Some((_, first, ids)) = &mut run {
                let next = first.frame_offset + u32::try_from(ids.len() / 16).map_err(io::Error::other)? * page_bytes;
                if (Place { frame_offset: next, ..*first }) == place {
                    ids.extend_from_slice(&id.0);
                    continue;
                }
            }
            if let Some((first_page, place, ids)) = run.take() {
                writer.run(first_page, place, &ids)?;
            }
            run = Some((number as u64, place, id.0.to_vec()));
        }
        run.map_or(Ok(()), |(first_page, place, ids)| writer.run(first_page, place, &ids))
    }
}
