//! What a backup holds of each page file while it is written, the ids of its pages and where they lie: a few
//! bytes in memory, the rest in one nameless temporary file for all files of the backup, so that neither memory
//! nor open files grow with the source. What does not fit on the disk any more is kept in memory, up to
//! [`UNSPOOLED_BYTES_MAX`]: a backup does not fail for want of room beside the vault.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::is_full;

/// What one file keeps in memory while it is written.
const MEMORY_BYTES: usize = 256 << 10;
/// What all of them keep that the disk has no room for: the ids of some 30 GB of pages.
const UNSPOOLED_BYTES_MAX: usize = 64 << 20;
/// What it keeps afterwards: a hundred thousand small files need no disk.
const SETTLED_BYTES: usize = 1 << 10;

/// The temporary file.
pub(super) struct Spool {
    folder: PathBuf,
    appended: Mutex<Appended>,
}

#[derive(Default)]
struct Appended {
    file: Option<Arc<File>>,
    end: u64,
    /// Bytes in memory, for want of room.
    unspooled: usize,
}

impl Appended {
    fn write(&mut self, folder: &Path, bytes: &[u8]) -> io::Result<Arc<File>> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                std::fs::create_dir_all(folder)?;
                let file = Arc::new(tempfile::tempfile_in(folder)?);
                Arc::clone(self.file.insert(file))
            }
        };
        file.write_all_at(bytes, self.end)?;
        Ok(file)
    }
}

impl Spool {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            appended: Mutex::default(),
        }
    }

    /// Appends bytes and tells where they lie.
    fn append(&self, bytes: &[u8]) -> io::Result<Part> {
        let mut appended = self.appended.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match appended.write(&self.folder, bytes) {
            Ok(file) => {
                let offset = appended.end;
                appended.end += bytes.len() as u64;
                Place::File { file, offset }
            }
            Err(error)
                if is_full(&error) && appended.unspooled + bytes.len() <= UNSPOOLED_BYTES_MAX =>
            {
                appended.unspooled += bytes.len();
                Place::Memory(bytes.into())
            }
            Err(error) => return Err(error),
        };
        Ok(Part {
            place,
            bytes: bytes.len() as u64,
        })
    }
}

/// Bytes that were appended at once.
struct Part {
    place: Place,
    bytes: u64,
}

enum Place {
    File { file: Arc<File>, offset: u64 },
    Memory(Box<[u8]>),
}

impl Part {
    fn read_exact_at(&self, buffer: &mut [u8], from: u64) -> io::Result<()> {
        match &self.place {
            Place::File { file, offset } => file.read_exact_at(buffer, offset + from),
            Place::Memory(bytes) => {
                let from = usize::try_from(from).expect("it is in memory");
                buffer.copy_from_slice(&bytes[from..from + buffer.len()]);
                Ok(())
            }
        }
    }
}

/// Bytes of one file, in the order in which they were pushed.
pub(super) struct Spooled {
    spool: Arc<Spool>,
    parts: Vec<Part>,
    memory: Vec<u8>,
}

impl Spooled {
    pub(super) fn new(spool: Arc<Spool>) -> Self {
        Self {
            spool,
            parts: Vec::new(),
            memory: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.memory.extend_from_slice(bytes);
        if self.memory.len() >= MEMORY_BYTES {
            self.parts.push(self.spool.append(&self.memory)?);
            self.memory.clear();
        }
        Ok(())
    }

    /// Lets go of memory: the file is written to its end.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if self.memory.len() > SETTLED_BYTES {
            self.parts.push(self.spool.append(&self.memory)?);
            self.memory = Vec::new();
        }
        self.memory.shrink_to_fit();
        Ok(())
    }

    /// How many bytes there are.
    pub(super) fn bytes(&self) -> u64 {
        let stored: u64 = self.parts.iter().map(|part| part.bytes).sum();
        stored + self.memory.len() as u64
    }

    /// How many of them memory is kept for.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.memory.capacity()
    }

    /// Reads them from the first on.
    pub(super) fn reader(&self) -> impl Read + '_ {
        let from_file = SpoolReader {
            parts: &self.parts,
            read: 0,
        };
        io::BufReader::with_capacity(256 << 10, from_file).chain(&self.memory[..])
    }
}

struct SpoolReader<'a> {
    parts: &'a [Part],
    /// Bytes of the first part that were read.
    read: u64,
}

impl Read for SpoolReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((part, rest)) = self.parts.split_first() else {
            return Ok(0);
        };
        let left = usize::try_from(part.bytes - self.read).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        part.read_exact_at(&mut buffer[..wanted], self.read)?;
        self.read += wanted as u64;
        if self.read == part.bytes {
            (self.parts, self.read) = (rest, 0);
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_files_that_are_written_in_turns_come_back_each_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::new(folder.path().join("cache")));
        let id = |file: u8, page: u32| {
            let mut id = [file; 16];
            id[..4].copy_from_slice(&page.to_le_bytes());
            id
        };
        let counts = [40_000_u32, 7, 0, 16_384];
        let mut files: Vec<Spooled> = counts.map(|_| Spooled::new(Arc::clone(&spool))).into();
        for page in 0..40_000 {
            for (number, file) in (0_u8..).zip(&mut files) {
                if page < counts[usize::from(number)] {
                    file.push(&id(number, page)).unwrap();
                }
            }
        }
        for (number, file) in (0_u8..).zip(&mut files) {
            file.settle().unwrap();
            assert!(file.held() <= SETTLED_BYTES);
            let mut read = Vec::new();
            file.reader().read_to_end(&mut read).unwrap();
            let wanted: Vec<u8> = (0..counts[usize::from(number)])
                .flat_map(|page| id(number, page))
                .collect();
            assert!(read == wanted, "file {number}");
        }
    }
}
