//! What a backup holds of each page file while it is written, the ids of its pages and where they lie: a few
//! bytes in memory, the rest in one nameless temporary file for all files of the backup, so that neither memory
//! nor open files grow with the source.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What one file keeps in memory while it is written.
const MEMORY_BYTES: usize = 256 << 10;
/// What it keeps afterwards: a hundred thousand small files need no disk.
const SETTLED_BYTES: usize = 1 << 10;

/// The temporary file.
pub(super) struct Spool {
    folder: PathBuf,
    file: Mutex<Option<Appended>>,
}

struct Appended {
    file: Arc<File>,
    end: u64,
}

impl Spool {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            file: Mutex::new(None),
        }
    }

    /// Appends bytes and tells where they lie.
    fn append(&self, bytes: &[u8]) -> io::Result<Part> {
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let appended = match &mut *slot {
            Some(appended) => appended,
            empty => {
                std::fs::create_dir_all(&self.folder)?;
                empty.insert(Appended {
                    file: Arc::new(tempfile::tempfile_in(&self.folder)?),
                    end: 0,
                })
            }
        };
        appended.file.write_all_at(bytes, appended.end)?;
        let offset = appended.end;
        appended.end += bytes.len() as u64;
        Ok(Part {
            file: Arc::clone(&appended.file),
            offset,
            bytes: bytes.len() as u64,
        })
    }
}

/// A part of the temporary file.
struct Part {
    file: Arc<File>,
    offset: u64,
    bytes: u64,
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
        part.file
            .read_exact_at(&mut buffer[..wanted], part.offset + self.read)?;
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
