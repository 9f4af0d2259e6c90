//! Where the pages of one file lie, while a backup is written: runs in the order of the file, a few in memory
//! and the rest in the backup's temporary file, so that memory does not grow with how the pages lie apart.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;

use super::gather::{At, Leftover};
use super::ids::{Spool, Spooled};

/// Consecutive pages that lie back to back in one frame. The runs of a file follow one another without a
/// gap from its first page on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageRun {
    pub(super) count: u32,
    pub(super) at: At,
    pub(super) frame_offset: u32,
}

/// Five numbers; those of a new frame have its ticket, and 0 where old ones have their frame's size.
const RUN_BYTES: usize = 20;

/// The runs of one file.
pub(super) struct Runs {
    page_bytes: u32,
    stored: Spooled,
    /// The last one, which the next pages may lengthen.
    last: Option<PageRun>,
    /// The frame whose pages went into one that is shared with other files.
    moved: Option<Moved>,
    new_pages: u64,
    old_packs: BTreeSet<u32>,
}

#[derive(Clone, Copy)]
struct Moved {
    from: u32,
    to: u32,
    base: u32,
}

impl Runs {
    pub(super) fn new(spool: Arc<Spool>, page_bytes: u32) -> Self {
        Self {
            page_bytes,
            stored: Spooled::new(spool),
            last: None,
            moved: None,
            new_pages: 0,
            old_packs: BTreeSet::new(),
        }
    }

    /// Adds the run of the next pages, or lengthens the last one if it goes on there.
    pub(super) fn push(&mut self, run: PageRun) -> io::Result<()> {
        match run.at {
            At::New { .. } => self.new_pages += u64::from(run.count),
            At::Old { pack, .. } => {
                self.old_packs.insert(pack);
            }
        }
        let goes_on = |last: &PageRun| {
            last.at == run.at
                && last.frame_offset + last.count * self.page_bytes == run.frame_offset
        };
        if let Some(last) = self.last.as_mut().filter(|last| goes_on(last)) {
            last.count += run.count;
            return Ok(());
        }
        match self.last.replace(run) {
            Some(before) => self.stored.push(&encode(before)),
            None => Ok(()),
        }
    }

    /// Follows the last frame's pages to where they went.
    pub(super) fn moved(&mut self, leftover: &Leftover, ticket: u32, base: u32) {
        self.moved = Some(Moved {
            from: leftover.ticket,
            to: ticket,
            base,
        });
    }

    /// Lets go of memory: the file is written to its end.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if let Some(last) = self.last.take() {
            self.stored.push(&encode(last))?;
        }
        self.stored.settle()
    }

    /// Pages that lie in frames of this backup.
    pub(super) fn new_pages(&self) -> u64 {
        self.new_pages
    }

    /// The packs of earlier backups that hold some of its pages, by their numbers in the map before.
    pub(super) fn old_packs(&self) -> &BTreeSet<u32> {
        &self.old_packs
    }

    /// All runs, once they are settled.
    pub(super) fn iter(&self) -> impl Iterator<Item = io::Result<PageRun>> + '_ {
        let mut left = self.stored.bytes() / RUN_BYTES as u64;
        let mut reader = self.stored.reader();
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let mut bytes = [0; RUN_BYTES];
            let read = reader.read_exact(&mut bytes);
            Some(read.map(|()| self.follow(decode(bytes))))
        })
    }

    fn follow(&self, run: PageRun) -> PageRun {
        match self.moved {
            Some(Moved { from, to, base }) if run.at == (At::New { ticket: from }) => PageRun {
                at: At::New { ticket: to },
                frame_offset: run.frame_offset + base,
                ..run
            },
            _ => run,
        }
    }
}

fn encode(run: PageRun) -> [u8; RUN_BYTES] {
    let (pack, frame, frame_bytes) = match run.at {
        At::Old {
            pack,
            frame,
            frame_bytes,
        } => (pack, frame, frame_bytes),
        At::New { ticket } => (0, ticket, 0),
    };
    let numbers = [run.count, pack, frame, frame_bytes, run.frame_offset];
    let mut bytes = [0; RUN_BYTES];
    bytes.copy_from_slice(numbers.map(u32::to_le_bytes).as_flattened());
    bytes
}

fn decode(bytes: [u8; RUN_BYTES]) -> PageRun {
    let number = |at: usize| {
        let bytes = &bytes[at * 4..at * 4 + 4];
        u32::from_le_bytes(bytes.try_into().expect("4 bytes"))
    };
    // No frame of an earlier backup that a page lies in is empty: its map would have been refused.
    let at = match number(3) {
        0 => At::New { ticket: number(2) },
        frame_bytes => At::Old {
            pack: number(1),
            frame: number(2),
            frame_bytes,
        },
    };
    PageRun {
        count: number(0),
        at,
        frame_offset: number(4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_come_back_in_order_lengthened_and_moved_and_few_are_held() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::new(folder.path().join("cache")));
        let mut runs = Runs::new(spool, 512);
        let old = |page: u32| At::Old {
            pack: page % 3,
            frame: page,
            frame_bytes: 1 << 20,
        };
        let run = |count: u32, at: At, frame_offset: u32| PageRun {
            count,
            at,
            frame_offset,
        };
        let mut wanted = Vec::new();
        for page in 0..100_000 {
            runs.push(run(1, old(page), 512)).unwrap();
            runs.push(run(2, old(page), 1024)).unwrap();
            wanted.push(run(3, old(page), 512));
        }
        for ticket in [7, 8] {
            runs.push(run(1, At::New { ticket }, 0)).unwrap();
            runs.push(run(1, At::New { ticket }, 512)).unwrap();
        }
        runs.moved(&Leftover::of_ticket(8), 40, 100);
        runs.settle().unwrap();
        wanted.push(run(2, At::New { ticket: 7 }, 0));
        wanted.push(run(2, At::New { ticket: 40 }, 100));
        let read: Vec<PageRun> = runs.iter().collect::<io::Result<_>>().unwrap();
        assert!(read == wanted);
        assert_eq!(runs.new_pages(), 4);
        assert_eq!(runs.old_packs(), &BTreeSet::from([0, 1, 2]));
        assert!(runs.stored.held() <= 1 << 10, "{}", runs.stored.held());
    }
}
