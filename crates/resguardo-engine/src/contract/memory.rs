//! A sink and a backup in memory, for tests of engines and of whoever drives them.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::sync::Mutex;

use resguardo_model::{FileKind, FilePath, Sha256Digest, SourceFacts};

use crate::port::{
    BackupFile, BackupReader, CaptureSink, FileDigest, FileSink, ReadError, Run, SinkError,
};

/// A sink that keeps every file in memory, and can be told to fail.
#[derive(Debug, Default)]
pub struct MemorySink {
    state: Mutex<SinkState>,
    bytes_max: Option<u64>,
}

#[derive(Debug, Default)]
struct SinkState {
    opened: Vec<FilePath>,
    finished: BTreeMap<FilePath, (FileKind, Vec<u8>)>,
    taken_bytes: u64,
    abandoned: bool,
}

/// Why a [`MemorySink`] takes nothing more.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(&'static str);

impl MemorySink {
    /// A sink that takes everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A sink that fails once it was given more than `bytes_max` bytes.
    #[must_use]
    pub fn failing_after(bytes_max: u64) -> Self {
        Self {
            bytes_max: Some(bytes_max),
            ..Self::default()
        }
    }

    /// Whether a file was dropped before its end, or never finished.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        let state = self.lock();
        state.abandoned || state.finished.len() != state.opened.len()
    }

    /// The files that were finished, as a backup with these facts.
    ///
    /// # Panics
    /// If a file was not finished: there is no backup then.
    #[must_use]
    pub fn into_backup(self, facts: Option<SourceFacts>) -> MemoryBackup {
        assert!(!self.is_broken(), "a file was not finished");
        let state = self.state.into_inner().expect("no test holds it");
        MemoryBackup {
            facts,
            files: state.finished,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SinkState> {
        self.state.lock().expect("no test holds it")
    }
}

fn refused(why: &'static str) -> SinkError {
    SinkError(Box::new(Refused(why)))
}

impl CaptureSink for MemorySink {
    fn open_file(
        &self,
        path: &FilePath,
        kind: FileKind,
    ) -> Result<Box<dyn FileSink + '_>, SinkError> {
        let mut state = self.lock();
        if state.abandoned {
            return Err(refused("the backup has failed"));
        }
        if state.opened.contains(path) {
            return Err(refused("the file was opened before"));
        }
        state.opened.push(path.clone());
        Ok(Box::new(MemoryFile {
            sink: self,
            path: path.clone(),
            kind,
            bytes: Vec::new(),
            finished: false,
        }))
    }
}

struct MemoryFile<'a> {
    sink: &'a MemorySink,
    path: FilePath,
    kind: FileKind,
    bytes: Vec<u8>,
    finished: bool,
}

impl FileSink for MemoryFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let mut state = self.sink.lock();
        state.taken_bytes += bytes.len() as u64;
        if self
            .sink
            .bytes_max
            .is_some_and(|max| state.taken_bytes > max)
        {
            return Err(refused("the sink is full"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<FileDigest, SinkError> {
        if let FileKind::Pages { page_bytes } = self.kind
            && !self.bytes.len().is_multiple_of(page_bytes as usize)
        {
            return Err(refused("a page file ends inside a page"));
        }
        self.finished = true;
        let bytes = std::mem::take(&mut self.bytes);
        let digest = FileDigest {
            bytes: bytes.len() as u64,
            sha256: Sha256Digest::of(&bytes),
        };
        let mut state = self.sink.lock();
        state.finished.insert(self.path.clone(), (self.kind, bytes));
        Ok(digest)
    }
}

impl Drop for MemoryFile<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.sink.lock().abandoned = true;
        }
    }
}

/// A backup in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryBackup {
    /// What is known of its data.
    pub facts: Option<SourceFacts>,
    /// Its files; a test may damage them.
    pub files: BTreeMap<FilePath, (FileKind, Vec<u8>)>,
}

impl MemoryBackup {
    /// The bytes of its only file.
    ///
    /// # Panics
    /// If it holds more or fewer.
    #[must_use]
    pub fn only_file(&self) -> &[u8] {
        assert_eq!(self.files.len(), 1, "one file");
        self.files
            .values()
            .next()
            .map_or(&[], |(_, bytes)| bytes.as_slice())
    }

    fn bytes_of(&self, path: &FilePath) -> Result<&[u8], ReadError> {
        match self.files.get(path) {
            Some((_, bytes)) => Ok(bytes),
            None => Err(ReadError::NoSuchFile(path.clone())),
        }
    }
}

impl BackupReader for MemoryBackup {
    fn describe(&self) -> String {
        "a backup in memory".to_owned()
    }

    fn facts(&self) -> Option<&SourceFacts> {
        self.facts.as_ref()
    }

    fn files(&self) -> Vec<BackupFile> {
        let file = |(path, (_, bytes)): (&FilePath, &(FileKind, Vec<u8>))| BackupFile {
            path: path.clone(),
            bytes: bytes.len() as u64,
            sha256: Sha256Digest::of(bytes),
        };
        self.files.iter().map(file).collect()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "for tests: nothing here needs to survive a loss of power"
    )]
    fn write_files(
        &self,
        wanted: &[(FilePath, PathBuf)],
        _durable: bool,
        run: Run<'_>,
    ) -> Result<(), ReadError> {
        for (path, destination) in wanted {
            run.cancel.check()?;
            let bytes = self.bytes_of(path)?;
            std::fs::write(destination, bytes).map_err(|source| ReadError::Write {
                path: destination.clone(),
                source,
            })?;
        }
        Ok(())
    }

    fn open_stream<'a>(&'a self, path: &FilePath) -> Result<Box<dyn Read + Send + 'a>, ReadError> {
        Ok(Box::new(Cursor::new(self.bytes_of(path)?)))
    }
}
