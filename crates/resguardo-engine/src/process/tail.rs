//! The end of what a process says, and each line of it as it comes for whoever listens.

use std::io::Read;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::{DRAIN, Listener, TAIL_BYTES_MAX};

/// Bytes of a line after which the rest of it is another one.
const LINE_BYTES_MAX: usize = 4096;

/// The end of an output, kept by a thread of its own so that the process never waits for us.
pub(super) struct Tail {
    kept: Arc<Mutex<Vec<u8>>>,
    closed: Receiver<()>,
}

impl Tail {
    pub(super) fn of(
        output: Option<impl Read + Send + 'static>,
        listener: Option<Listener>,
    ) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (sender, closed) = channel();
        if let Some(mut output) = output {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || {
                let mut lines = listener.map(Lines::new);
                let mut block = [0; 4096];
                while let Ok(read) = output.read(&mut block) {
                    if read == 0 {
                        break;
                    }
                    if let Some(lines) = &mut lines {
                        lines.take(&block[..read]);
                    }
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.extend_from_slice(&block[..read]);
                    let excess = kept.len().saturating_sub(TAIL_BYTES_MAX);
                    kept.drain(..excess);
                }
                if let Some(lines) = &mut lines {
                    lines.end();
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

/// Cuts what comes into lines. A bar of progress that overwrites itself is many of them.
struct Lines {
    listener: Listener,
    begun: Vec<u8>,
}

impl Lines {
    fn new(listener: Listener) -> Self {
        let begun = Vec::new();
        Self { listener, begun }
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if matches!(byte, b'\n' | b'\r') {
                self.end();
            } else {
                self.begun.push(*byte);
            }
            if self.begun.len() >= LINE_BYTES_MAX {
                self.end();
            }
        }
    }

    fn end(&mut self) {
        let text = String::from_utf8_lossy(&self.begun);
        if !text.trim().is_empty() {
            self.listener.hear(text.trim_end());
        }
        self.begun.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    fn heard(blocks: &[&[u8]]) -> Vec<String> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&heard);
        let listener = Listener::new(move |line: &str| ears.lock().unwrap().push(line.to_owned()));
        let mut lines = Lines::new(listener);
        blocks.iter().for_each(|block| lines.take(block));
        lines.end();
        heard.lock().unwrap().clone()
    }

    #[test]
    fn lines_come_whole_and_are_bounded() {
        assert_eq!(
            heard(&[b"one\ntw", b"o\r\n\n10 %\r20 %", b"\nlast"]),
            ["one", "two", "10 %", "20 %", "last"]
        );
        assert_eq!(heard(&[b"\xff\n"]), ["\u{fffd}"]);
        let long = vec![b'x'; 2 * LINE_BYTES_MAX + 1];
        let lengths: Vec<usize> = heard(&[&long]).iter().map(String::len).collect();
        assert_eq!(lengths, [LINE_BYTES_MAX, LINE_BYTES_MAX, 1]);
        assert_eq!(heard(&[]), [""; 0]);
    }
}
