//! SHA-256 of a file while it is written: on a thread of its own once the file is more than small.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};
use resguardo_model::Sha256Digest;
use sha2::{Digest as _, Sha256};

/// Blocks that are hashed in place before a thread is worth its start.
const BLOCKS_IN_PLACE: u32 = 2;
const QUEUE: usize = 8;

pub(super) enum FileHasher {
    InPlace {
        sha256: Sha256,
        blocks: u32,
    },
    Threaded {
        blocks: Sender<Arc<Vec<u8>>>,
        thread: JoinHandle<Sha256>,
    },
}

impl FileHasher {
    pub(super) fn new() -> Self {
        Self::InPlace {
            sha256: Sha256::new(),
            blocks: 0,
        }
    }

    pub(super) fn update(&mut self, block: &Arc<Vec<u8>>) {
        match self {
            Self::InPlace { sha256, blocks } if *blocks < BLOCKS_IN_PLACE => {
                sha256.update(&**block);
                *blocks += 1;
            }
            Self::InPlace { sha256, .. } => {
                let mut sha256 = std::mem::take(sha256);
                let (blocks, queue) = bounded::<Arc<Vec<u8>>>(QUEUE);
                let thread = std::thread::spawn(move || {
                    for block in queue {
                        sha256.update(&*block);
                    }
                    sha256
                });
                *self = Self::Threaded { blocks, thread };
                self.update(block);
            }
            Self::Threaded { blocks, .. } => {
                blocks
                    .send(Arc::clone(block))
                    .expect("the thread lives until the queue is closed");
            }
        }
    }

    pub(super) fn finish(self) -> Sha256Digest {
        match self {
            Self::InPlace { sha256, .. } => sha256.into(),
            Self::Threaded { blocks, thread } => {
                drop(blocks);
                thread.join().expect("hashing does not panic").into()
            }
        }
    }
}
