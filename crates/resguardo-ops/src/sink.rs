//! What an engine writes to while it captures: a snapshot of the vault behind the engine's port.

use resguardo_engine::port::{CaptureSink, FileDigest, FileSink, SinkError};
use resguardo_model::{FileKind, FilePath};
use resguardo_vault::{FileWriter, SnapshotWriter, VaultError};

pub(crate) struct VaultSink<'a>(pub(crate) &'a SnapshotWriter);

struct VaultFile<'a>(FileWriter<'a>);

fn sink_error(error: VaultError) -> SinkError {
    SinkError(Box::new(error))
}

impl CaptureSink for VaultSink<'_> {
    fn open_file(
        &self,
        path: &FilePath,
        kind: FileKind,
    ) -> Result<Box<dyn FileSink + '_>, SinkError> {
        let file = self.0.open_file(path, kind).map_err(sink_error)?;
        Ok(Box::new(VaultFile(file)))
    }
}

impl FileSink for VaultFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.0.write(bytes).map_err(sink_error)
    }

    fn finish(self: Box<Self>) -> Result<FileDigest, SinkError> {
        let (bytes, sha256) = self.0.finish().map_err(sink_error)?;
        Ok(FileDigest { bytes, sha256 })
    }
}
