//! SIGINT and SIGTERM raise the cancel token; the work then ends itself: no head is written, children
//! are ended, sandbox and lease are removed. A second signal ends the process at once; what is then
//! left behind is swept at the next start.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use resguardo_model::CancelToken;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::exit::Exit;

/// Listens from now on. Called when there is something to be ended in order; before that, and while
/// a question is asked, a signal ends the process as usual.
pub fn watch(cancel: &CancelToken) {
    let seen = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the first signal must find `seen` still lowered.
        let registered = signal_hook::flag::register_conditional_shutdown(
            signal,
            i32::from(Exit::Interrupted.code()),
            Arc::clone(&seen),
        )
        .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&seen)))
        .and_then(|_| signal_hook::flag::register(signal, cancel.flag()));
        registered.expect("SIGINT and SIGTERM can be handled");
    }
}
