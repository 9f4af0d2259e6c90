//! Children that data flows from or to. The data's own deadline is one on silence: a dump may take hours,
//! but never minutes without a byte.

use std::io::{self, Read};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use resguardo_model::CancelToken;

use super::tail::Tail;
use super::{Command, Ended, GroupLog, POLL, Process, ProcessError};

/// Bytes that are read or written at once.
const BLOCK_BYTES: usize = 64 << 10;
/// Blocks that may wait between a child and us.
const BLOCKS_MAX: usize = 8;

/// A child through which data flowed did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum StreamError<E: std::error::Error + 'static> {
    /// The child's own fault, or its deadline, or the caller's wish.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// What came could not be taken, or what was to be fed could not be read.
    #[error(transparent)]
    Data(E),
}

/// Runs a command to its end and hands its standard output to `take`, block by block. An output that ends
/// is not yet a success: the exit status is in the answer.
///
/// # Errors
/// [`StreamError`]; whichever it is, nothing of the group runs any more.
pub fn read_from<E: std::error::Error + 'static>(
    command: &Command,
    silence: Duration,
    cancel: &CancelToken,
    log: &dyn GroupLog,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<Ended, StreamError<E>> {
    let (mut process, pipes) = Process::start_piped(command, Stdio::null(), log)?;
    let (sender, blocks) = sync_channel(BLOCKS_MAX);
    let mut stdout = pipes.stdout.expect("it was asked to be piped");
    let reader = std::thread::spawn(move || pump(&mut stdout, &sender));
    let result = drain(&process, &blocks, silence, cancel, take);
    // A reader that waits to hand a block over would wait for ever.
    drop(blocks);
    match result {
        Ok(()) => {
            let ended = finish(process, silence, cancel)?;
            let _ = reader.join();
            Ok(ended)
        }
        Err(error) => {
            process.end();
            let _ = reader.join();
            Err(error)
        }
    }
}

/// Reads blocks until the end; a read that fails ends the output as its closing does, and the exit status
/// tells.
fn pump(stdout: &mut impl Read, sender: &SyncSender<Vec<u8>>) {
    loop {
        let mut block = vec![0; BLOCK_BYTES];
        match stdout.read(&mut block) {
            Ok(0) | Err(_) => return,
            Ok(read) => {
                block.truncate(read);
                if sender.send(block).is_err() {
                    return;
                }
            }
        }
    }
}

fn drain<E: std::error::Error + 'static>(
    process: &Process,
    blocks: &Receiver<Vec<u8>>,
    silence: Duration,
    cancel: &CancelToken,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), StreamError<E>> {
    let mut last = Instant::now();
    loop {
        cancel.check().map_err(ProcessError::from)?;
        match blocks.recv_timeout(POLL) {
            Ok(block) => {
                take(&block).map_err(StreamError::Data)?;
                last = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) if last.elapsed() >= silence => {
                return Err(silent(process, silence).into());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Runs a command to its end and feeds its standard input from `source`. A child that ends before it has
/// taken everything is no error here: its exit status tells.
///
/// # Errors
/// [`StreamError`]; whichever it is, nothing of the group runs any more.
pub fn write_to(
    command: &Command,
    silence: Duration,
    cancel: &CancelToken,
    log: &dyn GroupLog,
    source: &mut (dyn Read + Send),
) -> Result<Ended, StreamError<io::Error>> {
    let (mut process, pipes) = Process::start_piped(command, Stdio::piped(), log)?;
    process.stdout = Tail::of(pipes.stdout, None);
    let mut stdin = pipes.stdin.expect("it was asked to be piped");
    let progress = Mutex::new(Instant::now());
    let (done, fed) = sync_channel(1);
    std::thread::scope(|scope| {
        let progress = &progress;
        scope.spawn(move || {
            let result = feed(source, &mut stdin, progress);
            // Its end is the end of the input.
            drop(stdin);
            let _ = done.send(result);
        });
        let result = watch(&process, &fed, progress, silence, cancel);
        if result.is_err() {
            // The child's end closes the pipe, on which the feeding thread may be waiting.
            process.end();
        }
        result
    })?;
    Ok(finish(process, silence, cancel)?)
}

fn feed(
    source: &mut dyn Read,
    stdin: &mut impl io::Write,
    progress: &Mutex<Instant>,
) -> io::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let read = source.read(&mut block)?;
        if read == 0 {
            return Ok(());
        }
        match stdin.write_all(&block[..read]) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
        *progress.lock().expect("nothing panics under this lock") = Instant::now();
    }
}

fn watch(
    process: &Process,
    fed: &Receiver<io::Result<()>>,
    progress: &Mutex<Instant>,
    silence: Duration,
    cancel: &CancelToken,
) -> Result<(), StreamError<io::Error>> {
    loop {
        match fed.try_recv() {
            Ok(result) => return result.map_err(StreamError::Data),
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => {}
        }
        cancel.check().map_err(ProcessError::from)?;
        let last = *progress.lock().expect("nothing panics under this lock");
        if last.elapsed() >= silence {
            return Err(silent(process, silence).into());
        }
        std::thread::sleep(POLL);
    }
}

/// Waits for the end of a child whose data has flowed.
fn finish(
    mut process: Process,
    silence: Duration,
    cancel: &CancelToken,
) -> Result<Ended, ProcessError> {
    let last = Instant::now();
    while !process.has_exited()? {
        if let Err(cancelled) = cancel.check() {
            process.end();
            return Err(cancelled.into());
        }
        if last.elapsed() >= silence {
            let error = silent(&process, silence);
            process.end();
            return Err(error);
        }
        std::thread::sleep(POLL);
    }
    process.reap()
}

fn silent(process: &Process, silence: Duration) -> ProcessError {
    ProcessError::Silent {
        name: process.name.clone(),
        seconds: silence.as_secs(),
        output: process.output(),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::process::NoLog;

    const LONG: Duration = Duration::from_secs(60);

    fn read(line: &str, silence: Duration) -> (Vec<u8>, Result<Ended, StreamError<Infallible>>) {
        let mut taken = Vec::new();
        let command = Command::shell(line, "/");
        let ended = read_from(
            &command,
            silence,
            &CancelToken::new(),
            &NoLog,
            &mut |block| {
                taken.extend_from_slice(block);
                Ok(())
            },
        );
        (taken, ended)
    }

    #[test]
    fn takes_the_output_and_the_exit_code() {
        let (taken, ended) = read("seq 1 200000; echo no >&2; exit 3", LONG);
        assert!(taken.starts_with(b"1\n2\n") && taken.ends_with(b"\n200000\n"));
        let ended = ended.expect("it ends by itself");
        assert_eq!(ended.describe(), "exit code 3");
        assert_eq!(ended.output.said(), "no");
    }

    #[test]
    fn a_silent_child_is_ended() {
        let (taken, ended) = read(
            "echo a; echo why >&2; sleep 1000",
            Duration::from_millis(300),
        );
        assert_eq!(taken, b"a\n");
        match ended {
            Err(StreamError::Process(ProcessError::Silent { output, .. })) => {
                assert_eq!(output.said(), "why");
            }
            other => panic!("not silent: {other:?}"),
        }
        // One that closes its output and does not end is silent too.
        let (_, ended) = read("exec >&-; sleep 1000", Duration::from_millis(300));
        assert!(
            matches!(
                ended,
                Err(StreamError::Process(ProcessError::Silent { .. }))
            ),
            "{ended:?}"
        );
    }

    #[test]
    fn what_cannot_be_taken_ends_the_child() {
        let command = Command::shell("yes", "/");
        let ended = read_from(&command, LONG, &CancelToken::new(), &NoLog, &mut |_| {
            Err(io::Error::other("full"))
        });
        assert!(matches!(ended, Err(StreamError::Data(_))), "{ended:?}");
    }

    fn write(line: &str, silence: Duration, bytes: &[u8]) -> Result<Ended, StreamError<io::Error>> {
        let command = Command::shell(line, "/");
        write_to(
            &command,
            silence,
            &CancelToken::new(),
            &NoLog,
            &mut &bytes[..],
        )
    }

    #[test]
    fn feeds_the_input_and_closes_it() {
        let ended = write("wc -c", LONG, &vec![b'x'; 300_000]).expect("it ends");
        assert_eq!(ended.output.stdout.trim(), "300000");
        let ended = write("exit 7", LONG, &vec![b'x'; 300_000]).expect("its exit code tells");
        assert_eq!(ended.describe(), "exit code 7");
    }

    #[test]
    fn a_child_that_takes_nothing_is_ended_and_one_whose_food_is_bad_too() {
        let ended = write(
            "sleep 1000",
            Duration::from_millis(300),
            &vec![b'x'; 300_000],
        );
        assert!(
            matches!(
                ended,
                Err(StreamError::Process(ProcessError::Silent { .. }))
            ),
            "{ended:?}"
        );

        struct Bad;
        impl Read for Bad {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("damaged"))
            }
        }
        let command = Command::shell("cat", "/");
        let ended = write_to(&command, LONG, &CancelToken::new(), &NoLog, &mut Bad);
        assert!(matches!(ended, Err(StreamError::Data(_))), "{ended:?}");
    }
}
