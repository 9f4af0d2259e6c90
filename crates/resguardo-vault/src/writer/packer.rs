//! Frames become packs, packs become objects.
//!
//! Frames arrive from the workers in any order, each with a ticket; the packer remembers where each
//! ticket came to lie. Whichever worker fills a pack seals it; threads of their own put it into the
//! store. At most [`PACKS_IN_FLIGHT`] packs are sealed but not stored: that bounds memory.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use resguardo_model::{CancelToken, ObjectRef, SourceName};
use resguardo_store::{Condition, Store};

use super::failure::Failure;
use crate::error::VaultError;
use crate::frame::Frame;
use crate::keys::{Recipients, as_dyn};
use crate::layout;
use crate::pack::{PackBuilder, SealedPack};

const PACKS_IN_FLIGHT: usize = 3;
const UPLOADERS: usize = 2;

/// Where a frame came to lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct FramePlace {
    /// Number of the pack among this backup's new ones.
    pub(super) pack: u32,
    pub(super) frame: u32,
    pub(super) frame_bytes: u32,
}

pub(super) struct Packer {
    recipients: Recipients,
    next_ticket: AtomicU32,
    packing: Mutex<Packing>,
    stored: Arc<Mutex<Vec<Option<ObjectRef>>>>,
    /// Open until the end.
    uploads: Mutex<Option<Sender<(u32, SealedPack)>>>,
    permits: (Sender<()>, Receiver<()>),
    uploaders: Mutex<Vec<JoinHandle<()>>>,
    failure: Arc<Failure>,
}

#[derive(Default)]
struct Packing {
    builder: PackBuilder,
    pack: u32,
    places: Vec<Option<FramePlace>>,
    raw_bytes: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no thread panics while it holds this lock")
}

impl Packer {
    pub(super) fn new(
        store: Arc<dyn Store>,
        source: SourceName,
        recipients: Recipients,
        failure: Arc<Failure>,
        cancel: CancelToken,
    ) -> Self {
        let (uploads, queue) = bounded::<(u32, SealedPack)>(PACKS_IN_FLIGHT);
        let permits = bounded(PACKS_IN_FLIGHT);
        let stored = Arc::new(Mutex::new(Vec::new()));
        let uploader = |_| {
            let uploader = Uploader {
                queue: queue.clone(),
                store: Arc::clone(&store),
                source: source.clone(),
                failure: Arc::clone(&failure),
                cancel: cancel.clone(),
                stored: Arc::clone(&stored),
                release: permits.1.clone(),
            };
            std::thread::spawn(move || uploader.work())
        };
        let uploaders = Mutex::new((0..UPLOADERS).map(uploader).collect());
        Self {
            recipients,
            next_ticket: AtomicU32::new(0),
            packing: Mutex::default(),
            stored,
            uploads: Mutex::new(Some(uploads)),
            permits,
            uploaders,
            failure,
        }
    }

    /// A ticket for a frame that is still to come.
    pub(super) fn ticket(&self) -> u32 {
        self.next_ticket.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes the frame of a ticket.
    pub(super) fn add(&self, ticket: u32, frame: Frame) {
        let full = {
            let mut packing = lock(&self.packing);
            let frame_bytes = frame.raw_bytes;
            packing.raw_bytes += u64::from(frame_bytes);
            let place = FramePlace {
                pack: packing.pack,
                frame: packing.builder.push(frame),
                frame_bytes,
            };
            let at = ticket as usize;
            if packing.places.len() <= at {
                packing.places.resize(at + 1, None);
            }
            packing.places[at] = Some(place);
            packing.builder.is_full()
        };
        if full {
            self.seal_if(PackBuilder::is_full);
        }
    }

    /// Waits until another pack may be sealed, and only then takes the frames: while the store is slow
    /// they stay in the one pack that is filled, to which each worker adds one frame at most.
    fn seal_if(&self, wanted: impl Fn(&PackBuilder) -> bool) {
        self.permits
            .0
            .send(())
            .expect("the receiver lives as long as this");
        let taken = {
            let mut packing = lock(&self.packing);
            wanted(&packing.builder).then(|| packing.take())
        };
        match taken {
            Some((pack, builder)) => self.seal(pack, builder),
            None => drop(self.permits.1.recv()),
        }
    }

    /// Seals a pack; its permit is given back when it is stored.
    fn seal(&self, pack: u32, builder: PackBuilder) {
        match builder.seal(as_dyn(&self.recipients)) {
            Ok(sealed) => {
                let uploads = lock(&self.uploads).clone().expect("open until the end");
                uploads
                    .send((pack, sealed))
                    .expect("uploaders live until the end");
            }
            Err(error) => {
                let _ = self.permits.1.recv();
                self.failure.set(VaultError::Seal {
                    object: "a pack".to_owned(),
                    source: Box::new(error),
                });
            }
        }
    }

    /// Stores what is left, waits for all of it, and tells the packs and the places of all frames.
    /// Only to be called when no more frames come.
    pub(super) fn finish(&self) -> (Vec<ObjectRef>, Vec<Option<FramePlace>>, u64) {
        self.seal_if(|builder| !builder.is_empty());
        self.close();
        let packs = lock(&self.stored).drain(..).flatten().collect();
        let mut packing = lock(&self.packing);
        (
            packs,
            std::mem::take(&mut packing.places),
            packing.raw_bytes,
        )
    }

    /// Waits for the uploads that were begun.
    fn close(&self) {
        drop(lock(&self.uploads).take());
        for uploader in lock(&self.uploaders).drain(..) {
            uploader.join().expect("an uploader does not panic");
        }
    }
}

impl Drop for Packer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Packing {
    fn take(&mut self) -> (u32, PackBuilder) {
        let pack = self.pack;
        self.pack += 1;
        (pack, std::mem::take(&mut self.builder))
    }
}

struct Uploader {
    queue: Receiver<(u32, SealedPack)>,
    store: Arc<dyn Store>,
    source: SourceName,
    failure: Arc<Failure>,
    cancel: CancelToken,
    stored: Arc<Mutex<Vec<Option<ObjectRef>>>>,
    release: Receiver<()>,
}

impl Uploader {
    /// Goes on taking packs after a failure, so that nobody waits for a place in the queue.
    fn work(self) {
        for (number, pack) in &self.queue {
            if !self.failure.is_set()
                && let Err(error) = self.put(number, pack)
            {
                self.failure.set(error);
            }
            let _ = self.release.recv();
        }
    }

    fn put(&self, number: u32, pack: SealedPack) -> Result<(), VaultError> {
        self.cancel.check()?;
        let object = ObjectRef {
            sha256: pack.sha256,
            bytes: pack.bytes.len() as u64,
        };
        let key = layout::pack(&self.source, &pack.sha256);
        self.store
            .put(&key, Bytes::from(pack.bytes), Condition::Always)?;
        let mut stored = lock(&self.stored);
        let at = number as usize;
        if stored.len() <= at {
            stored.resize(at + 1, None);
        }
        stored[at] = Some(object);
        Ok(())
    }
}
