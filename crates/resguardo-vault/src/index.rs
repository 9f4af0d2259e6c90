//! Index records: where the pages and pieces of a source lie. `docs/format.md`, "Index objects".
//!
//! The same records make the sealed index objects and the local map. Parsing checks counts and ranges
//! but trusts no number for an allocation.

use std::io::{self, Read, Write};

use resguardo_model::{FileKind, FilePath, ObjectRef, Sha256Digest};

use crate::frame::FRAME_BYTES_MAX;
use crate::piece::PieceId;

const MAGIC: &[u8; 8] = b"RSGIDX1\n";
const PAGE_BYTES_MIN: u64 = 512;

/// A file of the snapshot, as the index names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// Its path.
    pub path: FilePath,
    /// How it was cut.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size: u64,
}

/// Where something begins in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the pack among those named before in the same object.
    pub pack: u32,
    /// Number of the frame in the pack.
    pub frame: u32,
    /// Size of the frame's content.
    pub frame_bytes: u32,
    /// Offset in the frame's content.
    pub frame_offset: u32,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A pack; numbered from 0.
    Pack(ObjectRef),
    /// A file begins.
    File(IndexFile),
    /// `count` pages of the current file lie back to back; that many ids follow (see [`Reader::ids`]).
    Run {
        /// The first page.
        first_page: u64,
        /// How many.
        count: u32,
        /// Where the first one lies.
        place: Place,
    },
    /// A piece of streams.
    Piece {
        /// Its id.
        id: [u8; 16],
        /// Its length.
        length: u32,
        /// Where it lies.
        place: Place,
    },
    /// The end.
    End,
}

/// Writes records.
pub(crate) struct Writer<W: Write> {
    out: W,
    records: u64,
    /// Bytes written so far.
    pub(crate) bytes: u64,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Self {
            out,
            records: 0,
            bytes: MAGIC.len() as u64,
        })
    }

    fn put(&mut self, record: &[u8]) -> io::Result<()> {
        self.records += 1;
        self.bytes += record.len() as u64;
        self.out.write_all(record)
    }

    pub(crate) fn pack(&mut self, pack: &ObjectRef) -> io::Result<()> {
        let mut record = vec![b'P'];
        record.extend_from_slice(&pack.sha256.0);
        record.extend_from_slice(&pack.bytes.to_le_bytes());
        self.put(&record)
    }

    pub(crate) fn file(&mut self, file: &IndexFile) -> io::Result<()> {
        let (kind, page_bytes) = match file.kind {
            FileKind::Pages { page_bytes } => (0, page_bytes),
            FileKind::Stream => (1, 0),
        };
        let path = file.path.as_str().as_bytes();
        let path_bytes = u16::try_from(path.len()).expect("a path has at most 1024 bytes");
        let mut record = vec![b'F', kind];
        record.extend_from_slice(&page_bytes.to_le_bytes());
        record.extend_from_slice(&file.size.to_le_bytes());
        record.extend_from_slice(&path_bytes.to_le_bytes());
        record.extend_from_slice(path);
        self.put(&record)
    }

    /// A run; `ids` are 16 bytes for each of its pages.
    pub(crate) fn run(&mut self, first_page: u64, place: Place, ids: &[u8]) -> io::Result<()> {
        let count = u32::try_from(ids.len() / 16).expect("a run lies in one frame");
        let mut record = vec![b'R'];
        record.extend_from_slice(&first_page.to_le_bytes());
        record.extend_from_slice(&count.to_le_bytes());
        write_place(&mut record, place);
        self.put(&record)?;
        self.bytes += ids.len() as u64;
        self.out.write_all(ids)
    }

    pub(crate) fn piece(&mut self, id: PieceId, length: u32, place: Place) -> io::Result<()> {
        let mut record = vec![b'C'];
        record.extend_from_slice(&id.0);
        record.extend_from_slice(&length.to_le_bytes());
        write_place(&mut record, place);
        self.put(&record)
    }

    /// Writes the closing record and hands the output back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(b"E")?;
        self.out.write_all(&self.records.to_le_bytes())?;
        Ok(self.out)
    }
}

fn write_place(record: &mut Vec<u8>, place: Place) {
    for number in [
        place.pack,
        place.frame,
        place.frame_bytes,
        place.frame_offset,
    ] {
        record.extend_from_slice(&number.to_le_bytes());
    }
}

/// Reads records.
pub(crate) struct Reader<R: Read> {
    input: R,
    /// Records read so far; unknown to a reader that began in the midst.
    records: Option<u64>,
    packs: u32,
    /// Ids of the last run that were not read yet, in bytes.
    ids_left: u64,
    /// Bytes read so far.
    pub(crate) bytes: u64,
}

fn bad(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the index {what}"))
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(mut input: R) -> io::Result<Self> {
        let mut magic = [0; 8];
        input.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(bad("does not begin as one of format 1"));
        }
        Ok(Self {
            input,
            records: Some(0),
            packs: 0,
            ids_left: 0,
            bytes: 8,
        })
    }

    /// Goes on in the midst of an index that was read to its end before; `packs` were named in it.
    pub(crate) fn resume(input: R, packs: u32) -> Self {
        Self {
            input,
            records: None,
            packs,
            ids_left: 0,
            bytes: 0,
        }
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.bytes += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// The next record; ids of the last run that were not asked for must have been skipped.
    pub(crate) fn next(&mut self) -> io::Result<Record> {
        debug_assert_eq!(
            self.ids_left, 0,
            "the ids of a run are read or skipped before the next record"
        );
        let [kind] = self.take()?;
        let record = match kind {
            b'P' => {
                self.packs += 1;
                Record::Pack(ObjectRef {
                    sha256: Sha256Digest(self.take()?),
                    bytes: self.u64()?,
                })
            }
            b'F' => self.file()?,
            b'R' => {
                let (first_page, count, place) = (self.u64()?, self.u32()?, self.place()?);
                // A run lies in one frame: its count is no number to allocate by before that is sure.
                let end = u64::from(count) * PAGE_BYTES_MIN + u64::from(place.frame_offset);
                if count == 0
                    || end > FRAME_BYTES_MAX as u64
                    || first_page.checked_add(u64::from(count)).is_none()
                {
                    return Err(bad("has an empty or overlong run"));
                }
                self.ids_left = u64::from(count) * 16;
                Record::Run {
                    first_page,
                    count,
                    place,
                }
            }
            b'C' => Record::Piece {
                id: self.take()?,
                length: self.u32()?,
                place: self.place()?,
            },
            b'E' => {
                let said = self.u64()?;
                if let Some(read) = self.records.filter(|read| *read != said) {
                    return Err(bad(format!("says {said} records where there are {read}")));
                }
                return Ok(Record::End);
            }
            other => return Err(bad(format!("has a record of unknown kind {other}"))),
        };
        self.records = self.records.map(|records| records + 1);
        Ok(record)
    }

    fn file(&mut self) -> io::Result<Record> {
        let [kind] = self.take()?;
        let (page_bytes, size) = (self.u32()?, self.u64()?);
        let path_bytes = u16::from_le_bytes(self.take()?);
        let mut path = vec![0; usize::from(path_bytes)];
        self.input.read_exact(&mut path)?;
        self.bytes += u64::from(path_bytes);
        let path: FilePath = std::str::from_utf8(&path)
            .ok()
            .and_then(|path| path.parse().ok())
            .ok_or_else(|| bad("names a file by an invalid path"))?;
        let kind = match (kind, page_bytes) {
            (0, 512..=65536) if page_bytes.is_power_of_two() => FileKind::Pages { page_bytes },
            (1, 0) => FileKind::Stream,
            _ => return Err(bad(format!("has {path} with an unknown kind or page size"))),
        };
        Ok(Record::File(IndexFile { path, kind, size }))
    }

    fn place(&mut self) -> io::Result<Place> {
        let place = Place {
            pack: self.u32()?,
            frame: self.u32()?,
            frame_bytes: self.u32()?,
            frame_offset: self.u32()?,
        };
        if place.pack >= self.packs {
            return Err(bad(format!("names pack {} of {}", place.pack, self.packs)));
        }
        Ok(place)
    }

    /// Reads up to `ids.len()` bytes of the last run's ids; a multiple of 16.
    pub(crate) fn ids(&mut self, ids: &mut [u8]) -> io::Result<()> {
        if ids.len() as u64 > self.ids_left {
            return Err(bad("has fewer ids than were asked for"));
        }
        self.input.read_exact(ids)?;
        self.ids_left -= ids.len() as u64;
        self.bytes += ids.len() as u64;
        Ok(())
    }

    /// Skips what is left of the last run's ids and tells how many bytes that were.
    pub(crate) fn skip_ids(&mut self) -> io::Result<u64> {
        let left = std::mem::take(&mut self.ids_left);
        let skipped = io::copy(&mut (&mut self.input).take(left), &mut io::sink())?;
        self.bytes += skipped;
        if skipped == left {
            Ok(left)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

/// Reads a whole index, for the fuzz target and the tests: its records without the ids.
///
/// # Errors
/// `InvalidData` or `UnexpectedEof`.
pub fn parse(input: impl Read) -> io::Result<Vec<Record>> {
    let mut reader = Reader::new(input)?;
    let mut records = Vec::new();
    loop {
        let record = reader.next()?;
        reader.skip_ids()?;
        if record == Record::End {
            return Ok(records);
        }
        records.push(record);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        let place = Place {
            pack: 0,
            frame: 2,
            frame_bytes: 1 << 20,
            frame_offset: 8192,
        };
        writer
            .pack(&ObjectRef {
                sha256: Sha256Digest::of(b"pack"),
                bytes: 77,
            })
            .unwrap();
        let kind = FileKind::Pages { page_bytes: 4096 };
        writer
            .file(&IndexFile {
                path: "shop.sqlite".parse().unwrap(),
                kind,
                size: 8192,
            })
            .unwrap();
        writer.run(0, place, &[7; 32]).unwrap();
        writer
            .file(&IndexFile {
                path: "t/1".parse().unwrap(),
                kind: FileKind::Stream,
                size: 9,
            })
            .unwrap();
        writer.piece(PieceId([9; 16]), 9, place).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn round_trips() {
        let records = parse(&example()[..]).unwrap();
        assert_eq!(records.len(), 5);
        assert!(matches!(
            records[2],
            Record::Run {
                first_page: 0,
                count: 2,
                ..
            }
        ));
    }

    proptest! {
        #[test]
        fn a_cut_index_is_refused(cut in 1_usize..190) {
            let bytes = example();
            prop_assert!(parse(&bytes[..bytes.len() - cut.min(bytes.len())]).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), good in 0_usize..190) {
            let mut mixed = example();
            mixed.truncate(good);
            mixed.extend(bytes);
            let _ = parse(&mixed[..]);
        }
    }
}
