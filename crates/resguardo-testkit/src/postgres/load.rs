//! A client that works on a server meanwhile.

use std::process::{Child, Command, Stdio};

use crate::servers::{dying_with_us, spawn};

/// A running program; killed when it is dropped.
#[derive(Debug)]
pub struct Load {
    child: Option<Child>,
}

impl Load {
    pub(super) fn start(command: &Command) -> Self {
        let mut command = dying_with_us(command, None);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Self {
            child: Some(spawn(command)),
        }
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
