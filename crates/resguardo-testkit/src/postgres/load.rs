//! A client that works on a server meanwhile.

use std::process::{Child, Command, Stdio};

/// A running program; killed when it is dropped.
#[derive(Debug)]
pub struct Load {
    child: Option<Child>,
}

impl Load {
    pub(super) fn start(mut command: Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child: Some(child) }
    }

    /// Waits for its end and gives what it said.
    ///
    /// # Panics
    /// If it failed.
    #[must_use]
    pub fn finish(mut self) -> String {
        let child = self.child.take().expect("it is finished once");
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "the load failed: {}",
            output.status
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
