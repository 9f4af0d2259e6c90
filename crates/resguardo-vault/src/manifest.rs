//! Manifests on the wire: JSON Lines. `docs/format.md`, "Manifests".

use std::io::{self, BufRead, Read as _, Write};

use resguardo_model::{
    Extent, FileEntry, FileKind, FilePath, Manifest, ManifestHeader, Sha256Digest,
};
use serde::{Deserialize, Serialize};

/// Extents on one line at most.
const EXTENTS_PER_LINE: usize = 4096;
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Extents of all files: a terabyte in which no two pages of 8 KiB lie side by side.
const EXTENTS_MAX: u64 = 1 << 27;
const FILES_MAX: usize = 1 << 24;

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is of a newer Resguardo.
    #[error("the manifest has format {0}, this version of Resguardo reads format 1")]
    NewerFormat(u32),
    /// A line breaks the format.
    #[error("line {line} of the manifest: {what}")]
    Malformed {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// It could not be read to its end.
    #[error("reading the manifest")]
    Read(#[source] io::Error),
}

#[derive(Serialize, Deserialize)]
struct FileLine {
    path: FilePath,
    kind: FileKind,
    size: u64,
    sha256: Sha256Digest,
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct EndLine {
    files: u64,
    extents: u64,
}

type ExtentTuple = (u64, u64, u32, u32, u32);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Line {
    File(FileLine),
    Extents(Vec<ExtentTuple>),
    End(EndLine),
}

/// A file whose extents come one by one: all of them at once may be hundreds of megabytes.
pub(crate) struct FileToWrite<'a> {
    pub(crate) path: FilePath,
    pub(crate) kind: FileKind,
    pub(crate) size: u64,
    pub(crate) sha256: Sha256Digest,
    pub(crate) extents: Box<dyn Iterator<Item = io::Result<Extent>> + 'a>,
}

/// Writes a manifest; its files must come in the order of their paths.
pub(crate) fn write<'a>(
    header: &ManifestHeader,
    files: impl Iterator<Item = FileToWrite<'a>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    if header.len() as u64 >= LINE_BYTES_MAX {
        let what = "so many packs do not fit into one manifest";
        return Err(io::Error::other(what));
    }
    out.write_all(&header)?;
    out.write_all(b"\n")?;
    let mut line = |value: &dyn erased::Json| -> io::Result<()> {
        value.write_to(out)?;
        out.write_all(b"\n")
    };
    let (mut count, mut extents) = (0, 0);
    for mut file in files {
        count += 1;
        line(&Line::File(FileLine {
            path: file.path,
            kind: file.kind,
            size: file.size,
            sha256: file.sha256,
        }))?;
        loop {
            let some = file.extents.by_ref().take(EXTENTS_PER_LINE);
            let tuple = |e: Extent| (e.file_offset, e.length, e.pack, e.frame, e.frame_offset);
            let some: Vec<ExtentTuple> = some.map(|e| e.map(tuple)).collect::<io::Result<_>>()?;
            if some.is_empty() {
                break;
            }
            extents += some.len() as u64;
            line(&Line::Extents(some))?;
        }
    }
    line(&Line::End(EndLine {
        files: count,
        extents,
    }))
}

mod erased {
    use std::io::{self, Write};

    /// A value of any line, so that one closure can write them all.
    pub(super) trait Json {
        fn write_to(&self, out: &mut dyn Write) -> io::Result<()>;
    }

    impl<T: serde::Serialize> Json for T {
        fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
            serde_json::to_writer(out, self).map_err(io::Error::from)
        }
    }
}

/// Reads a manifest and checks everything about it that can be checked without a pack: order of the
/// files, extents without gap or overlap up to the file's size, pack numbers, the closing line.
///
/// # Errors
/// Its own error, with the line.
pub fn parse(mut input: impl BufRead) -> Result<Manifest, ManifestError> {
    let mut lines = Lines {
        input: &mut input,
        number: 0,
        buffer: Vec::new(),
    };
    let header = parse_header(&mut lines)?;
    let mut files: Vec<FileEntry> = Vec::new();
    let mut extents = 0;
    loop {
        let Some(bytes) = lines.next()? else {
            return Err(lines.bad("the closing line is missing"));
        };
        let line: Line = serde_json::from_slice(bytes).map_err(|error| lines.bad(error))?;
        match line {
            Line::File(file) => {
                ended(files.last()).map_err(|what| lines.bad(what))?;
                if files.last().is_some_and(|last| {
                    last.path.as_str().as_bytes() >= file.path.as_str().as_bytes()
                }) {
                    return Err(lines.bad(format!("{} is out of order", file.path)));
                }
                if files.len() >= FILES_MAX {
                    return Err(lines.bad("more files than the format allows"));
                }
                let FileLine {
                    path,
                    kind,
                    size,
                    sha256,
                } = file;
                files.push(FileEntry {
                    path,
                    kind,
                    size,
                    sha256,
                    extents: Vec::new(),
                });
            }
            Line::Extents(tuples) => {
                let Some(file) = files.last_mut() else {
                    return Err(lines.bad("extents before any file"));
                };
                extents += tuples.len() as u64;
                if tuples.len() > EXTENTS_PER_LINE || extents > EXTENTS_MAX {
                    return Err(lines.bad("more extents than the format allows"));
                }
                for tuple in tuples {
                    let extent =
                        checked(tuple, file, header.packs.len()).map_err(|what| lines.bad(what))?;
                    file.extents.push(extent);
                }
            }
            Line::End(end) => {
                ended(files.last()).map_err(|what| lines.bad(what))?;
                if end
                    != (EndLine {
                        files: files.len() as u64,
                        extents,
                    })
                    || lines.next()?.is_some()
                {
                    return Err(lines.bad("the closing line does not match what came before it"));
                }
                return Ok(Manifest { header, files });
            }
        }
    }
}

fn parse_header(lines: &mut Lines<'_>) -> Result<ManifestHeader, ManifestError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let bytes = lines.next()?.unwrap_or_default().to_vec();
    let Format { format } = serde_json::from_slice(&bytes).map_err(|error| lines.bad(error))?;
    if format > 1 {
        return Err(ManifestError::NewerFormat(format));
    }
    serde_json::from_slice(&bytes).map_err(|error| lines.bad(error))
}

fn checked(tuple: ExtentTuple, file: &FileEntry, packs: usize) -> Result<Extent, String> {
    let (file_offset, length, pack, frame, frame_offset) = tuple;
    let expected = file
        .extents
        .last()
        .map_or(0, |last| last.file_offset + last.length);
    let end = file_offset.checked_add(length);
    let fits = length > 0
        && file_offset == expected
        && end.is_some_and(|end| end <= file.size)
        && u64::from(frame_offset)
            .checked_add(length)
            .is_some_and(|end| end <= crate::frame::FRAME_BYTES_MAX as u64);
    if !fits {
        return Err(format!(
            "{}: the extent at {file_offset} of {length} bytes does not fit",
            file.path
        ));
    }
    if pack as usize >= packs {
        return Err(format!(
            "{}: the extent at {file_offset} names pack {pack} of {packs}",
            file.path
        ));
    }
    Ok(Extent {
        file_offset,
        length,
        pack,
        frame,
        frame_offset,
    })
}

fn ended(file: Option<&FileEntry>) -> Result<(), String> {
    let Some(file) = file else { return Ok(()) };
    let end = file
        .extents
        .last()
        .map_or(0, |last| last.file_offset + last.length);
    if end == file.size {
        Ok(())
    } else {
        Err(format!(
            "{}: its extents end at {end} of {}",
            file.path, file.size
        ))
    }
}

struct Lines<'a> {
    input: &'a mut dyn BufRead,
    number: u64,
    buffer: Vec<u8>,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<&[u8]>, ManifestError> {
        self.buffer.clear();
        self.number += 1;
        let read = (&mut *self.input)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut self.buffer)
            .map_err(ManifestError::Read)?;
        if read == 0 {
            return Ok(None);
        }
        if self.buffer.pop() != Some(b'\n') {
            return Err(self.bad("it is cut off, or too long"));
        }
        Ok(Some(&self.buffer))
    }

    fn bad(&self, what: impl std::fmt::Display) -> ManifestError {
        ManifestError::Malformed {
            line: self.number,
            what: what.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use proptest::prelude::*;
    use resguardo_model::{EngineKind, ObjectRef, Reason, SourceFacts};

    use super::*;

    fn example(sizes: &[u64]) -> Manifest {
        let files = sizes.iter().enumerate().map(|(number, size)| {
            let extents = (0..*size).step_by(1000).map(|offset| Extent {
                file_offset: offset,
                length: 1000.min(size - offset),
                pack: u32::try_from(offset % 2).unwrap(),
                frame: 3,
                frame_offset: 17,
            });
            FileEntry {
                path: format!("file{number:04}").parse().unwrap(),
                kind: FileKind::Pages { page_bytes: 512 },
                size: *size,
                sha256: Sha256Digest::of(b"a file"),
                extents: extents.collect(),
            }
        });
        let pack = |text: &[u8]| ObjectRef {
            sha256: Sha256Digest::of(text),
            bytes: 100,
        };
        let header = ManifestHeader {
            format: 1,
            vault: "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap(),
            source: "shop".parse().unwrap(),
            backup: "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap(),
            reason: Reason::manual(),
            note: String::new(),
            taken_at: Timestamp::UNIX_EPOCH,
            host: "host".into(),
            operator: "ana".into(),
            resguardo: "0.1.0".into(),
            facts: SourceFacts {
                engine: EngineKind::Sqlite,
                server_version: "3".into(),
                schema_sha256: Sha256Digest::of(b"schema"),
                tables: vec![],
                details: BTreeMap::new(),
            },
            packs: vec![pack(b"0"), pack(b"1")],
        };
        Manifest {
            header,
            files: files.collect(),
        }
    }

    fn text(manifest: &Manifest) -> String {
        let mut out = Vec::new();
        let files = manifest.files.iter().map(|file| FileToWrite {
            path: file.path.clone(),
            kind: file.kind,
            size: file.size,
            sha256: file.sha256,
            extents: Box::new(file.extents.iter().copied().map(Ok)),
        });
        write(&manifest.header, files, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn round_trips(sizes in prop::collection::vec(0_u64..9_000_000, 0..5)) {
            let manifest = example(&sizes);
            prop_assert_eq!(parse(text(&manifest).as_bytes()).unwrap(), manifest);
        }

        #[test]
        fn a_cut_manifest_is_refused(cut in 1_usize..2000) {
            let text = text(&example(&[5000, 0, 2500]));
            let cut = cut.min(text.len());
            prop_assert!(parse(&text.as_bytes()[..text.len() - cut]).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(parse(&bytes[..]).is_err());
        }
    }

    #[test]
    fn names_what_breaks_the_format() {
        let good = text(&example(&[2500, 10]));
        for (from, to, what) in [
            ("[1000,1000,", "[1001,1000,", "does not fit"),
            ("[1000,1000,", "[999,1000,", "does not fit"),
            ("[2000,500,", "[2000,501,", "does not fit"),
            ("[2000,500,", "[2000,499,", "extents end at 2499 of 2500"),
            ("[2000,500,", "[2000,0,", "does not fit"),
            ("[0,1000,0,", "[0,1000,2,", "names pack 2 of 2"),
            ("3,17]", "3,4294967295]", "does not fit"),
            ("file0000", "file0009", "out of order"),
            ("file0000", "../file", "not a path"),
            ("\"extents\":4", "\"extents\":5", "closing line"),
            ("{\"end\"", "{\"ende\"", "unknown variant"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = parse(good.replacen(from, to, 1).as_bytes())
                .unwrap_err()
                .to_string();
            assert!(error.contains(what), "{from} -> {to}: {error}");
        }
        let newer = good.replacen("{\"format\":1", "{\"format\":2", 1);
        assert!(matches!(
            parse(newer.as_bytes()),
            Err(ManifestError::NewerFormat(2))
        ));
    }
}
