//! The page map of a source: for each page of each page file its id and where it lies, and the known
//! pieces of streams. It is what makes a second backup cheap, and nothing else.
//!
//! It streams from a local file, so that memory does not grow with the source. The file ends with the
//! BLAKE3 hash of all before it: a damaged map must never place a page wrongly. It is used only for the
//! head that its name carries. Lost, it is rebuilt from the index objects that the head names.

mod file;
mod page_table;
mod rebuild;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use resguardo_model::{FileKind, FilePath, ObjectRef, Sha256Digest};

pub(crate) use self::file::{MapFile, remove_others};
pub(crate) use self::rebuild::{ApplyError, Rebuilder};
use crate::index::{self, Place, Record};
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
    /// The frames that its pages lie in.
    frames: HashSet<(u32, u32)>,
    /// Less than half of what those frames hold is still alive.
    is_sparse: bool,
}

/// What is alive of a frame, by all files together.
#[derive(Clone, Copy, Debug, Default)]
struct FrameUse {
    alive_bytes: u64,
    frame_bytes: u64,
}

type FrameUses = HashMap<(u32, u32), FrameUse>;

fn count_alive(uses: &mut FrameUses, place: Place, bytes: u64) {
    let of_frame = uses.entry((place.pack, place.frame)).or_default();
    of_frame.alive_bytes += bytes;
    of_frame.frame_bytes = u64::from(place.frame_bytes);
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
        let mut uses = FrameUses::new();
        let mut map = Self::scan(
            BufReader::with_capacity(1 << 20, (&file).take(length)),
            &mut uses,
        )?;
        map.file = Some(file);
        map.forget_sparse(&uses);
        Ok(map)
    }

    fn scan(input: impl Read, uses: &mut FrameUses) -> io::Result<Self> {
        let mut reader = index::Reader::new(input)?;
        let mut map = Self::default();
        let mut current: Option<FilePath> = None;
        loop {
            match reader.next()? {
                Record::Pack(pack) => map.packs.push(pack),
                Record::File(file) => {
                    let fresh = KnownFile {
                        kind: file.kind,
                        offset: None,
                        frames: HashSet::new(),
                        is_sparse: false,
                    };
                    let known = map.files.entry(file.path.clone()).or_insert(fresh);
                    known.offset = Some(reader.bytes);
                    current = Some(file.path);
                }
                Record::Run { count, place, .. } => {
                    let known = current.as_ref().and_then(|path| map.files.get_mut(path));
                    let (Some(known), false) = (known, place.frame_bytes == 0) else {
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "a run of no file",
                        ));
                    };
                    let FileKind::Pages { page_bytes } = known.kind else {
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "a run of pages in a stream",
                        ));
                    };
                    known.frames.insert((place.pack, place.frame));
                    count_alive(uses, place, u64::from(count) * u64::from(page_bytes));
                    reader.skip_ids()?;
                }
                Record::Piece { id, length, place } => {
                    count_alive(uses, place, u64::from(length));
                    map.pieces.insert(PieceId(id), KnownPiece { length, place });
                }
                Record::End => return Ok(map),
            }
        }
    }

    /// Forgets where less than half is alive, so that it is stored afresh: page files by all of their
    /// frames together, pieces of streams frame by frame.
    fn forget_sparse(&mut self, uses: &FrameUses) {
        for file in self.files.values_mut() {
            let (alive, held) =
                file.frames
                    .drain()
                    .map(|frame| uses[&frame])
                    .fold((0, 0), |sum, of| {
                        (
                            sum.0 + of.alive_bytes.min(of.frame_bytes),
                            sum.1 + of.frame_bytes,
                        )
                    });
            file.is_sparse = alive * 2 < held;
        }
        self.pieces.retain(|_, piece| {
            let of_frame = uses[&(piece.place.pack, piece.place.frame)];
            of_frame.alive_bytes * 2 >= of_frame.frame_bytes
        });
    }

    /// Forgets what lies in packs that are not among `stored` with their size, and tells those packs.
    pub(crate) fn forget_missing(
        &mut self,
        stored: &HashMap<Sha256Digest, u64>,
    ) -> Vec<Sha256Digest> {
        for (number, pack) in self.packs.iter().enumerate() {
            if stored.get(&pack.sha256) != Some(&pack.bytes) {
                self.missing
                    .insert(u32::try_from(number).expect("packs are numbered by u32"));
            }
        }
        let missing = &self.missing;
        self.pieces
            .retain(|_, piece| !missing.contains(&piece.place.pack));
        let sha256 = |number: &u32| self.packs[*number as usize].sha256;
        missing.iter().map(sha256).collect()
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
    pub(crate) fn pages_of(
        &self,
        path: &FilePath,
        kind: FileKind,
    ) -> io::Result<Option<PageCursor>> {
        let (Some(file), Some(known)) = (&self.file, self.files.get(path)) else {
            return Ok(None);
        };
        let Some(offset) = known.offset else {
            return Ok(None);
        };
        if known.kind != kind || known.is_sparse {
            return Ok(None);
        }
        let input = BufReader::with_capacity(
            64 << 10,
            MapReader {
                file: file.try_clone()?,
                offset,
            },
        );
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
            ended: false,
        }))
    }
}

/// Checks the hash at the end of a map and tells the length of what it covers.
fn verify_hash(mut file: &File) -> io::Result<u64> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the map is damaged");
    let length = file
        .metadata()?
        .len()
        .checked_sub(HASH_BYTES)
        .ok_or_else(damaged)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.take(length))?;
    let mut hash = [0; 32];
    file.read_exact(&mut hash)?;
    if hasher.finalize() == hash {
        Ok(length)
    } else {
        Err(damaged())
    }
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
    /// The file's last run is behind: what follows belongs to another file.
    ended: bool,
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
            pages.ids.extend(
                ids.chunks_exact(16)
                    .map(|id| PieceId(id.try_into().expect("16 bytes"))),
            );
            pages.runs.push(KnownRun {
                count: taken,
                ..run
            });
            self.next_page += u64::from(taken);
            wanted -= taken;
            if taken < run.count {
                let frame_offset = run.place.frame_offset + taken * self.page_bytes;
                self.rest = Some(KnownRun {
                    first_page: run.first_page + u64::from(taken),
                    count: run.count - taken,
                    place: Place {
                        frame_offset,
                        ..run.place
                    },
                });
            }
        }
        Ok(pages)
    }

    fn next_run(&mut self) -> io::Result<Option<KnownRun>> {
        if let Some(rest) = self.rest.take() {
            return Ok(Some(rest));
        }
        while !self.ended {
            match self.reader.next()? {
                Record::Pack(_) => {}
                Record::Run {
                    first_page,
                    count,
                    place,
                } if first_page == self.next_page => {
                    return Ok(Some(KnownRun {
                        first_page,
                        count,
                        place,
                    }));
                }
                Record::Run { .. } => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a gap in the map",
                    ));
                }
                Record::File(_) | Record::Piece { .. } | Record::End => self.ended = true,
            }
        }
        Ok(None)
    }
}
