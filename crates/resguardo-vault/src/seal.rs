//! Sealing and opening: every sealed object is one standard age file.

use std::io::{self, Read, Write};

use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient};
use resguardo_model::{Finding, FindingKind};
use resguardo_store::{Key, StoreError};

use crate::error::VaultError;

/// Opens a sealed object's bytes as they stream in.
pub(crate) fn open<'a, R: Read>(
    key: &Key,
    kind: FindingKind,
    input: R,
    identities: impl Iterator<Item = &'a dyn Identity>,
) -> Result<StreamReader<R>, VaultError> {
    try_open(input, identities).map_err(|error| refused(key, kind, error))
}

/// As [`open`], with age's own error.
pub(crate) fn try_open<'a, R: Read>(
    input: R,
    identities: impl Iterator<Item = &'a dyn Identity>,
) -> Result<StreamReader<R>, DecryptError> {
    Decryptor::new(input).and_then(|decryptor| decryptor.decrypt(identities))
}

/// What it says of an object that age does not open it.
pub(crate) fn refused(key: &Key, kind: FindingKind, error: DecryptError) -> VaultError {
    match error {
        // A pack is opened after its manifest, with the same identity: there it is the pack's fault.
        DecryptError::NoMatchingKeys if kind == FindingKind::PackDamaged => {
            let what = "its header is damaged, or it is sealed to somebody else";
            damaged(key, kind, what)
        }
        DecryptError::NoMatchingKeys => VaultError::WrongIdentity {
            object: key.to_string(),
        },
        // Bytes that did not arrive say nothing about those that are stored.
        DecryptError::Io(error) => match error.downcast::<StoreError>() {
            Ok(error) => error.into(),
            Err(error) => damaged(key, kind, format!("it is no readable age file: {error}")),
        },
        other => damaged(key, kind, format!("it is no readable age file: {other}")),
    }
}

/// The finding that `key` is damaged, as an error; whoever knows the backups hit fills them in.
pub(crate) fn damaged(key: &Key, kind: FindingKind, what: impl std::fmt::Display) -> VaultError {
    VaultError::Damaged(Box::new(Finding {
        kind,
        source: key
            .as_str()
            .split('/')
            .next()
            .and_then(|source| source.parse().ok()),
        object: key.to_string(),
        message: format!("{key}: {what}"),
        backups_hit: Vec::new(),
    }))
}

/// Begins a sealed object that is written to `output`.
pub(crate) fn begin<'a, W: Write>(
    output: W,
    recipients: impl Iterator<Item = &'a dyn Recipient>,
) -> io::Result<StreamWriter<W>> {
    Encryptor::with_recipients(recipients)
        .map_err(io::Error::other)?
        .wrap_output(output)
}

/// Seals `bytes` after compressing them: manifests and index objects.
pub(crate) fn compress_and_seal<'a>(
    level: i32,
    recipients: impl Iterator<Item = &'a dyn Recipient>,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let sealed = begin(Vec::new(), recipients)?;
    let mut encoder = zstd::Encoder::new(sealed, level)?;
    encoder.include_checksum(true)?;
    let mut buffered = io::BufWriter::with_capacity(64 << 10, encoder);
    fill(&mut buffered)?;
    let encoder = buffered
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    encoder.finish()?.finish()
}

/// Decodes what [`compress_and_seal`] compressed, as it streams in.
pub(crate) fn decompress<R: Read>(
    opened: R,
) -> io::Result<zstd::Decoder<'static, io::BufReader<R>>> {
    let mut decoder = zstd::Decoder::new(opened)?;
    // docs/format.md, "Limits": 128 MiB.
    decoder.window_log_max(27)?;
    Ok(decoder)
}
