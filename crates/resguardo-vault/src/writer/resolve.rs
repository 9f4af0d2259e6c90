//! Where everything of a finished backup lies, in the numbers of its manifest; from that the manifest's
//! extents, the index objects and the local map are written.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read as _, Write};
use std::iter::Peekable;

use resguardo_model::{Extent, ObjectRef};

use super::file::{WrittenBody, WrittenFile};
use super::gather::At;
use super::packer::FramePlace;
use crate::index::{self, IndexFile, Place};
use crate::manifest::FileToWrite;

/// The packs of a snapshot, numbered: old ones that are still needed first, then the new ones.
pub(super) struct Resolution {
    pub(super) packs: Vec<ObjectRef>,
    old: BTreeMap<u32, u32>,
    new_from: u32,
    places: Vec<Option<FramePlace>>,
}

/// What of the map is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Whole,
    Changed,
}

impl Resolution {
    pub(super) fn new(
        files: &[WrittenFile],
        old_packs: &[ObjectRef],
        new_packs: &[ObjectRef],
        places: Vec<Option<FramePlace>>,
    ) -> Self {
        let mut used: BTreeMap<u32, u32> = BTreeMap::new();
        for file in files {
            match &file.body {
                WrittenBody::Pages { runs, .. } => {
                    used.extend(runs.old_packs().iter().map(|pack| (*pack, 0)));
                }
                WrittenBody::Stream { pieces } => {
                    used.extend(pieces.iter().filter_map(|piece| match piece.at {
                        At::Old { pack, .. } => Some((pack, 0)),
                        At::New { .. } => None,
                    }));
                }
            }
        }
        let mut packs = Vec::new();
        for (old, number) in &mut used {
            *number = u32::try_from(packs.len()).expect("packs are numbered by u32");
            packs.push(old_packs[*old as usize].clone());
        }
        let new_from = u32::try_from(packs.len()).expect("packs are numbered by u32");
        packs.extend_from_slice(new_packs);
        Self {
            packs,
            old: used,
            new_from,
            places,
        }
    }

    /// Where a piece lies, with the pack's number in the manifest.
    fn place(&self, at: At, frame_offset: u32) -> Place {
        match at {
            At::Old {
                pack,
                frame,
                frame_bytes,
            } => Place {
                pack: self.old[&pack],
                frame,
                frame_bytes,
                frame_offset,
            },
            At::New { ticket } => {
                let place = self.places.get(ticket as usize).copied().flatten();
                let place =
                    place.expect("every frame that a piece lies in was handed to the packer");
                Place {
                    pack: self.new_from + place.pack,
                    frame: place.frame,
                    frame_bytes: place.frame_bytes,
                    frame_offset,
                }
            }
        }
    }

    /// A file as the manifest names it.
    pub(super) fn entry<'a>(&'a self, file: &'a WrittenFile) -> FileToWrite<'a> {
        let places: Box<dyn Iterator<Item = io::Result<(u64, Place)>>> = match &file.body {
            WrittenBody::Pages {
                page_bytes, runs, ..
            } => Box::new(runs.iter().map(|run| {
                let run = run?;
                let length = u64::from(run.count) * u64::from(*page_bytes);
                Ok((length, self.place(run.at, run.frame_offset)))
            })),
            WrittenBody::Stream { pieces } => Box::new(pieces.iter().map(|piece| {
                let length = u64::from(piece.length);
                Ok((length, self.place(piece.at, piece.frame_offset)))
            })),
        };
        FileToWrite {
            path: file.path.clone(),
            kind: file.kind(),
            size: file.size,
            sha256: file.sha256,
            extents: Box::new(Extents {
                places: places.peekable(),
                file_offset: 0,
            }),
        }
    }
}

/// Places of a file as extents, those together that lie back to back in one frame.
struct Extents<I: Iterator> {
    places: Peekable<I>,
    file_offset: u64,
}

impl<I: Iterator<Item = io::Result<(u64, Place)>>> Iterator for Extents<I> {
    type Item = io::Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut length, place) = match self.places.next()? {
            Ok(first) => first,
            Err(error) => return Some(Err(error)),
        };
        let goes_on = |length: u64, next: &io::Result<(u64, Place)>| {
            next.as_ref().is_ok_and(|(_, next)| {
                (next.pack, next.frame) == (place.pack, place.frame)
                    && u64::from(place.frame_offset) + length == u64::from(next.frame_offset)
            })
        };
        while let Some(Ok((more, _))) = self.places.next_if(|next| goes_on(length, next)) {
            length += more;
        }
        let file_offset = self.file_offset;
        self.file_offset += length;
        Some(Ok(Extent {
            file_offset,
            length,
            pack: place.pack,
            frame: place.frame,
            frame_offset: place.frame_offset,
        }))
    }
}

/// Pages of all files, and how many of them are new.
pub(super) fn page_counts(files: &[WrittenFile]) -> (u64, u64) {
    let counts = files.iter().filter_map(|file| match &file.body {
        WrittenBody::Pages {
            page_bytes, runs, ..
        } => Some((file.size / u64::from(*page_bytes), runs.new_pages())),
        WrittenBody::Stream { .. } => None,
    });
    counts.fold((0, 0), |(all, new), of| (all + of.0, new + of.1))
}

/// Writes the records of a map into as many objects as it takes.
pub(super) struct MapRecords<'a, W: Write, E> {
    pub(super) resolution: &'a Resolution,
    pub(super) scope: Scope,
    /// Bytes after which another object is begun.
    pub(super) object_bytes: u64,
    pub(super) open: &'a mut dyn FnMut() -> Result<index::Writer<W>, E>,
    pub(super) close: &'a mut dyn FnMut(W) -> Result<(), E>,
}

impl<W: Write, E: From<io::Error>> MapRecords<'_, W, E> {
    pub(super) fn write(mut self, files: &[WrittenFile]) -> Result<(), E> {
        let mut object = Object {
            writer: (self.open)()?,
            numbers: HashMap::new(),
            current: None,
        };
        for file in files {
            object.writer.file(&index_file(file))?;
        }
        let mut pieces_seen = HashSet::new();
        for (number, file) in files.iter().enumerate() {
            let name = index_file(file);
            match &file.body {
                WrittenBody::Pages {
                    page_bytes: _,
                    runs,
                    ids,
                } => {
                    let mut ids = ids.reader();
                    let mut buffer = Vec::new();
                    let mut next_page = 0;
                    for run in runs.iter() {
                        let run = run?;
                        let first_page = next_page;
                        next_page += u64::from(run.count);
                        buffer.resize(run.count as usize * 16, 0);
                        ids.read_exact(&mut buffer)?;
                        if !self.includes(run.at) {
                            continue;
                        }
                        object = self.make_room(object)?;
                        let place = object.numbered(
                            self.resolution.place(run.at, run.frame_offset),
                            self.resolution,
                        )?;
                        object.begin_file(number, &name)?;
                        object.writer.run(first_page, place, &buffer)?;
                    }
                }
                WrittenBody::Stream { pieces } => {
                    for piece in pieces {
                        if !self.includes(piece.at) || !pieces_seen.insert(piece.id) {
                            continue;
                        }
                        object = self.make_room(object)?;
                        let place = self.resolution.place(piece.at, piece.frame_offset);
                        let place = object.numbered(place, self.resolution)?;
                        object.writer.piece(piece.id, piece.length, place)?;
                    }
                }
            }
        }
        (self.close)(object.writer.finish()?)
    }

    fn includes(&self, at: At) -> bool {
        self.scope == Scope::Whole || matches!(at, At::New { .. })
    }

    /// Begins another object if this one is large enough.
    fn make_room(&mut self, object: Object<W>) -> Result<Object<W>, E> {
        if object.writer.bytes < self.object_bytes {
            return Ok(object);
        }
        (self.close)(object.writer.finish()?)?;
        Ok(Object {
            writer: (self.open)()?,
            numbers: HashMap::new(),
            current: None,
        })
    }
}

/// One object of records in the making; packs are numbered in each by themselves.
struct Object<W: Write> {
    writer: index::Writer<W>,
    numbers: HashMap<u32, u32>,
    current: Option<usize>,
}

impl<W: Write> Object<W> {
    fn numbered(&mut self, place: Place, resolution: &Resolution) -> io::Result<Place> {
        let next = u32::try_from(self.numbers.len()).expect("packs are numbered by u32");
        if let Some(number) = self.numbers.get(&place.pack) {
            return Ok(Place {
                pack: *number,
                ..place
            });
        }
        self.numbers.insert(place.pack, next);
        self.writer.pack(&resolution.packs[place.pack as usize])?;
        Ok(Place {
            pack: next,
            ..place
        })
    }

    fn begin_file(&mut self, number: usize, name: &IndexFile) -> io::Result<()> {
        if self.current != Some(number) {
            self.writer.file(name)?;
            self.current = Some(number);
        }
        Ok(())
    }
}

fn index_file(file: &WrittenFile) -> IndexFile {
    IndexFile {
        path: file.path.clone(),
        kind: file.kind(),
        size: file.size,
    }
}
