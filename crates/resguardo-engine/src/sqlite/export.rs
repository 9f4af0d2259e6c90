//! Captures a database into a file that opens without Resguardo, `X.sqlite` or `X.sqlite.gz`, and
//! writes `X.sqlite.gz.meta.json` beside `X.sqlite.gz`.
//!
//! Write order: both files are written and flushed in a private folder beside; then the meta file gets
//! its name, then the database, then the folder is flushed. Whoever sees the database finds its hash
//! beside it. Nothing is ever overwritten; on an error nothing is left behind.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use flate2::Compression;
use flate2::write::GzEncoder;
use resguardo_model::{FileKind, FilePath, Sha256Digest};
use sha2::Digest as _;

use super::capture;
use super::failure::place;
use super::names::{KNOWN, Names};
use super::restore::folder_beside;
use crate::durable;
use crate::exported;
use crate::meta::{Inside, Meta};
use crate::port::{CaptureRequest, CaptureSink, EngineError, FileDigest, FileSink, Run, SinkError};
use crate::system::of_system;

/// Exports the database of `request` to `out`; returns the paths written, the database first.
///
/// # Errors
/// [`EngineError::UnknownFormat`], [`EngineError::Occupied`] if a file has the name, or why the
/// database could not be captured.
pub(super) fn export(
    scratch: &Path,
    request: &CaptureRequest,
    out: &Path,
    run: Run<'_>,
) -> Result<Vec<PathBuf>, EngineError> {
    let names = Names::of(out).ok_or_else(|| EngineError::UnknownFormat {
        file: place(out),
        known: KNOWN,
    })?;
    let meta_path = out.with_file_name(names.meta());
    exported::refuse_taken([out, &meta_path])?;
    let folder = folder_beside(out)?;
    let outlet = Outlet {
        path: folder.file("database"),
        gzip: names.gzip,
        written: Mutex::new(None),
    };
    let captured =
        capture::capture(scratch, request, &outlet, run).map_err(|error| match error {
            // The sink is our own file: its error is the system's.
            EngineError::Sink(SinkError(source)) => match source.downcast::<io::Error>() {
                Ok(error) => of_system("writing", out, *error),
                Err(source) => EngineError::Sink(SinkError(source)),
            },
            other => other,
        })?;
    let written = outlet.written();
    let meta = Meta {
        database: Some(Inside {
            sha256: written.database.sha256,
            bytes: written.database.bytes,
        }),
        ..Meta::of(out, written.file, captured)
    };
    exported::publish(&folder, &outlet.path, (out, &meta_path), &meta, run)?;
    Ok(vec![out.to_owned(), meta_path])
}

/// What was written.
#[derive(Clone, Copy, Debug)]
struct Written {
    file: FileDigest,
    database: FileDigest,
}

/// A sink whose one file is a file.
struct Outlet {
    path: PathBuf,
    gzip: bool,
    written: Mutex<Option<Written>>,
}

impl Outlet {
    fn written(&self) -> Written {
        let written = self.written.lock().expect("no holder of it panics");
        written.expect("a capture that succeeds has finished its file")
    }
}

impl CaptureSink for Outlet {
    fn open_file(
        &self,
        _path: &FilePath,
        _kind: FileKind,
    ) -> Result<Box<dyn FileSink + '_>, SinkError> {
        let file = durable::create_private(&self.path).map_err(failed)?;
        let file = Hashed::new(BufWriter::with_capacity(1 << 20, file));
        let output = if self.gzip {
            Output::Gzip(GzEncoder::new(file, Compression::default()))
        } else {
            Output::Plain(file)
        };
        Ok(Box::new(OutletFile {
            outlet: self,
            database: Hashed::new(output),
        }))
    }
}

fn failed(error: io::Error) -> SinkError {
    SinkError(Box::new(error))
}

/// Plain or compressed bytes on their way into the file.
enum Output {
    Plain(Hashed<BufWriter<File>>),
    Gzip(GzEncoder<Hashed<BufWriter<File>>>),
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(file) => file.flush(),
        }
    }
}

struct OutletFile<'a> {
    outlet: &'a Outlet,
    database: Hashed<Output>,
}

impl FileSink for OutletFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.database.write_all(bytes).map_err(failed)
    }

    fn finish(self: Box<Self>) -> Result<FileDigest, SinkError> {
        let (output, database) = self.database.finish();
        let file = match output {
            Output::Plain(file) => file,
            Output::Gzip(encoder) => encoder.finish().map_err(failed)?,
        };
        let (buffer, digest) = file.finish();
        let file = buffer
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        *self.outlet.written.lock().expect("no holder of it panics") = Some(Written {
            file: digest,
            database,
        });
        Ok(database)
    }
}

/// Counts and hashes what goes through.
struct Hashed<W> {
    inner: W,
    hasher: sha2::Sha256,
    bytes: u64,
}

impl<W> Hashed<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: sha2::Sha256::new(),
            bytes: 0,
        }
    }

    fn finish(self) -> (W, FileDigest) {
        let digest = FileDigest {
            bytes: self.bytes,
            sha256: Sha256Digest::from(self.hasher),
        };
        (self.inner, digest)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..taken]);
        self.bytes += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
