//! The ids of a file's pages while it is written: in memory as long as they are few, then in a
//! nameless temporary file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::piece::PieceId;

const MEMORY_BYTES: usize = 4 << 20;

pub(super) struct IdSpool {
    folder: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
}

impl IdSpool {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            memory: Vec::new(),
            file: None,
        }
    }

    pub(super) fn push(&mut self, ids: &[PieceId]) -> io::Result<()> {
        self.memory.extend(ids.iter().flat_map(|id| id.0));
        if self.memory.len() >= MEMORY_BYTES {
            if self.file.is_none() {
                std::fs::create_dir_all(&self.folder)?;
                self.file = Some(tempfile::tempfile_in(&self.folder)?);
            }
            let file = self.file.as_mut().expect("made above");
            file.write_all(&self.memory)?;
            self.memory.clear();
        }
        Ok(())
    }

    /// Reads the ids from the first page on.
    pub(super) fn reader(&mut self) -> io::Result<impl Read + '_> {
        let from_file: Box<dyn Read + '_> = match &mut self.file {
            Some(file) => {
                file.seek(SeekFrom::Start(0))?;
                Box::new(io::BufReader::with_capacity(256 << 10, file))
            }
            None => Box::new(io::empty()),
        };
        Ok(from_file.chain(&self.memory[..]))
    }
}
