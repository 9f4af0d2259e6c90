//! Id and place of each page while a map is put together again: a table in a nameless temporary file, so
//! that neither the number of pages nor how they lie apart is held in memory.
//!
//! The table is cut into parts of 128 pages. A file of the source has a list of its parts, 4 bytes for each;
//! one part is in memory and is written back when another is wanted. Pages come in the order of their files,
//! so a part is read and written once for each index object that touches it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::index::Place;

/// An id, and the four numbers of a place.
const ENTRY_BYTES: usize = 32;
const PART_PAGES: u64 = 128;
/// A block of most file systems: a file of one page takes no more.
const PART_BYTES: usize = PART_PAGES as usize * ENTRY_BYTES;

/// The parts of one file of the source, in its order.
#[derive(Debug, Default)]
pub(super) struct Parts(Vec<u32>);

/// The table of all files.
pub(super) struct PageTable {
    folder: PathBuf,
    file: Option<File>,
    /// Parts that were given out.
    count: u32,
    open: Box<[u8; PART_BYTES]>,
    /// Number of the part that is open.
    number: Option<u32>,
    changed: bool,
}

impl PageTable {
    /// Begins; `folder` is where the temporary file goes once something is written.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            file: None,
            count: 0,
            open: Box::new([0; PART_BYTES]),
            number: None,
            changed: false,
        }
    }

    /// Sets pages that lie back to back from `first` on, whatever was known of them: `ids` are 16 bytes for
    /// each. They must leave no gap behind the pages that were set before.
    pub(super) fn set(
        &mut self,
        parts: &mut Parts,
        first: u64,
        ids: &[u8],
        page_bytes: u32,
        mut place: Place,
    ) -> io::Result<()> {
        for (page, id) in (first..).zip(ids.chunks_exact(16)) {
            let entry = self.entry(parts, page)?;
            entry[..16].copy_from_slice(id);
            let Place {
                pack,
                frame,
                frame_bytes,
                frame_offset,
            } = place;
            let numbers = [pack, frame, frame_bytes, frame_offset].map(u32::to_le_bytes);
            entry[16..].copy_from_slice(numbers.as_flattened());
            self.changed = true;
            place.frame_offset += page_bytes;
        }
        Ok(())
    }

    /// Id and place of a page that was set.
    pub(super) fn get(&mut self, parts: &mut Parts, page: u64) -> io::Result<([u8; 16], Place)> {
        let entry = self.entry(parts, page)?;
        let (id, numbers) = entry.split_at(16);
        let number = |at: usize| {
            let bytes = &numbers[at * 4..at * 4 + 4];
            u32::from_le_bytes(bytes.try_into().expect("4 bytes"))
        };
        let place = Place {
            pack: number(0),
            frame: number(1),
            frame_bytes: number(2),
            frame_offset: number(3),
        };
        Ok((id.try_into().expect("16 bytes"), place))
    }

    fn entry(&mut self, parts: &mut Parts, page: u64) -> io::Result<&mut [u8]> {
        let at = usize::try_from(page / PART_PAGES).map_err(io::Error::other)?;
        match parts.0.get(at) {
            Some(&number) if self.number == Some(number) => {}
            Some(&number) => self.turn_to(number)?,
            None => {
                debug_assert_eq!(at, parts.0.len(), "pages leave no gap");
                parts.0.push(self.begin()?);
            }
        }
        let within = usize::try_from(page % PART_PAGES).expect("less than 128") * ENTRY_BYTES;
        Ok(&mut self.open[within..within + ENTRY_BYTES])
    }

    /// Opens a new part.
    fn begin(&mut self) -> io::Result<u32> {
        self.put_away()?;
        let number = self.count;
        let next = number.checked_add(1);
        self.count = next.ok_or_else(|| io::Error::other("more pages than a map can hold"))?;
        self.open.fill(0);
        self.number = Some(number);
        Ok(number)
    }

    fn turn_to(&mut self, number: u32) -> io::Result<()> {
        self.put_away()?;
        let file = self.file.as_ref().expect("every other part was put away");
        file.read_exact_at(&mut self.open[..], offset(number))?;
        self.number = Some(number);
        Ok(())
    }

    /// Writes the open part back; none is open then.
    fn put_away(&mut self) -> io::Result<()> {
        let Some(number) = self.number.take() else {
            return Ok(());
        };
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            empty => {
                std::fs::create_dir_all(&self.folder)?;
                empty.insert(tempfile::tempfile_in(&self.folder)?)
            }
        };
        file.write_all_at(&self.open[..], offset(number))
    }
}

fn offset(number: u32) -> u64 {
    u64::from(number) * PART_BYTES as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_for_a_file_grows_with_its_pages_by_four_bytes_for_each_128() {
        let folder = tempfile::tempdir().unwrap();
        let mut table = PageTable::new(folder.path().join("cache"));
        let (mut odd, mut even) = (Parts::default(), Parts::default());
        let place = |page: u64| Place {
            pack: 3,
            frame: u32::try_from(page).unwrap(),
            frame_bytes: 1 << 20,
            frame_offset: 512,
        };
        let id = |page: u64, of: u8| {
            let mut id = [of; 16];
            id[..8].copy_from_slice(&page.to_le_bytes());
            id
        };
        for page in 0..1_000 {
            for (of, parts) in [(1, &mut odd), (2, &mut even)] {
                table
                    .set(parts, page, &id(page, of), 512, place(page))
                    .unwrap();
            }
        }
        for page in (0..1_000).rev() {
            for (of, parts) in [(1, &mut odd), (2, &mut even)] {
                let got = table.get(parts, page).unwrap();
                assert_eq!(got, (id(page, of), place(page)), "page {page} of {of}");
            }
        }
        assert_eq!((odd.0.len(), even.0.len()), (8, 8));
    }
}
