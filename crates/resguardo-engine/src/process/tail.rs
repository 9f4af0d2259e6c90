//! The end of what a process says.

use std::io::Read;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::{DRAIN, TAIL_BYTES_MAX};

/// The end of an output, kept by a thread of its own so that the process never waits for us.
pub(super) struct Tail {
    kept: Arc<Mutex<Vec<u8>>>,
    closed: Receiver<()>,
}

impl Tail {
    pub(super) fn of(output: Option<impl Read + Send + 'static>) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (sender, closed) = channel();
        if let Some(mut output) = output {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || {
                let mut block = [0; 4096];
                while let Ok(read) = output.read(&mut block) {
                    if read == 0 {
                        break;
                    }
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.extend_from_slice(&block[..read]);
                    let excess = kept.len().saturating_sub(TAIL_BYTES_MAX);
                    kept.drain(..excess);
                }
                // Nobody may be waiting any more.
                let _ = sender.send(());
            });
        }
        Self { kept, closed }
    }

    /// Waits until the output is closed, or is evidently held open by somebody else.
    pub(super) fn drain(&self) {
        let _ = self.closed.recv_timeout(DRAIN);
    }

    pub(super) fn text(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}
