//! Worker threads for hashing and compressing, behind a bounded queue.

use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads. A full queue makes the submitter wait: that bounds memory.
pub(super) struct Pool {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(super) fn new(threads: usize) -> Self {
        let (jobs, queue) = bounded::<Job>(threads * 2);
        let work = || {
            let queue = queue.clone();
            std::thread::spawn(move || {
                for job in queue {
                    job();
                }
            })
        };
        Self {
            jobs: Some(jobs),
            threads: (0..threads).map(|_| work()).collect(),
        }
    }

    pub(super) fn submit(&self, job: impl FnOnce() + Send + 'static) {
        let jobs = self.jobs.as_ref().expect("open until it is dropped");
        jobs.send(Box::new(job))
            .expect("workers live until the queue is closed");
    }
}

impl Pool {
    /// Waits until all that was submitted is done. Nothing can be submitted afterwards.
    pub(super) fn drain(&mut self) {
        drop(self.jobs.take());
        for thread in self.threads.drain(..) {
            thread.join().expect("a job does not panic");
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.drain();
    }
}
