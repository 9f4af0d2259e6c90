//! A PostgreSQL data folder at rest, into the vault and back. Relation files go page by page, all else as
//! streams; the largest files first, two at once.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use resguardo_model::{CancelToken, FileKind, FilePath, NoProgress, RunId, SourceName};
use resguardo_vault::{Description, SnapshotWriter, Vault};

use crate::Anything;
use crate::place::{self, THREADS};

const PAGE_BYTES: u32 = 8192;
const READ_BYTES: usize = 1 << 20;

/// Folders whose content belongs to a running server only: the peer leaves it out as well.
const TRANSIENT: [&str; 7] = [
    "pg_dynshmem",
    "pg_notify",
    "pg_replslot",
    "pg_serial",
    "pg_snapshots",
    "pg_stat_tmp",
    "pg_subtrans",
];

struct Found {
    path: FilePath,
    from: PathBuf,
    bytes: u64,
}

impl Found {
    fn kind(&self) -> FileKind {
        let path = self.path.as_str();
        let relation = path.starts_with("base/") || path.starts_with("global/");
        if relation && self.bytes > 0 && self.bytes.is_multiple_of(u64::from(PAGE_BYTES)) {
            FileKind::Pages {
                page_bytes: PAGE_BYTES,
            }
        } else {
            FileKind::Stream
        }
    }
}

pub(crate) fn source() -> Result<SourceName, Anything> {
    Ok("shop".parse()?)
}

pub(crate) fn back_up(
    vault: &Vault,
    data: &Path,
    description: Description,
) -> Result<(), Anything> {
    let mut files = Vec::new();
    walk(data, "", &mut files)?;
    files.sort_by_key(|file| std::cmp::Reverse(file.bytes));
    let lease = vault.acquire_lease(
        &source()?,
        RunId(place::new_id()),
        "bench",
        std::process::id(),
    )?;
    let writer = vault.begin_snapshot(
        lease,
        resguardo_model::BackupId(place::new_id()),
        &CancelToken::new(),
    )?;
    let next = AtomicUsize::new(0);
    let feed = || -> Result<(), Anything> {
        let mut buffer = vec![0; READ_BYTES];
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            write_file(&writer, file, &mut buffer)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(feed)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })?;
    let done = writer.commit(description)?;
    println!(
        "{} files, {} bytes, {} new, {} stored, {} packs",
        files.len(),
        done.raw_bytes,
        done.new_raw_bytes,
        done.stored_bytes,
        done.packs_written
    );
    for note in done.notes {
        println!("note: {note}");
    }
    Ok(())
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<Found>) -> Result<(), Anything> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            if !TRANSIENT.contains(&path.as_str()) {
                walk(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if path != "postmaster.opts" {
            let bytes = entry.metadata()?.len();
            files.push(Found {
                path: path.parse()?,
                from: entry.path(),
                bytes,
            });
        }
    }
    Ok(())
}

fn write_file(writer: &SnapshotWriter, file: &Found, buffer: &mut [u8]) -> Result<(), Anything> {
    let mut from = File::open(&file.from)?;
    let mut to = writer.open_file(&file.path, file.kind())?;
    loop {
        let read = from.read(buffer)?;
        if read == 0 {
            break;
        }
        to.write(&buffer[..read])?;
    }
    let (bytes, _) = to.finish()?;
    if bytes == file.bytes {
        Ok(())
    } else {
        Err(format!("{} changed while it was read", file.path).into())
    }
}

pub(crate) fn restore(vault: &Vault, to: &Path) -> Result<(), Anything> {
    let heads = vault.heads(Some(&source()?))?;
    let head = heads.heads.last().ok_or("there is no backup")?;
    let snapshot = vault.open_snapshot(head)?;
    let mut wanted = Vec::new();
    for file in &snapshot.manifest().files {
        let path = to.join(file.path.as_str());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        wanted.push((file.path.clone(), path));
    }
    snapshot.write_files(&wanted, true, &CancelToken::new(), &NoProgress)?;
    println!(
        "{} files, {} bytes",
        wanted.len(),
        snapshot.manifest().raw_bytes()
    );
    Ok(())
}
