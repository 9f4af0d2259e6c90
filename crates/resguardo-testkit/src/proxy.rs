//! A TCP proxy that spoils connections, in front of a real server.
//!
//! Faults are chosen a connection at a time, in the order in which connections arrive: the queue of
//! [`Proxy::next`] first, then whatever [`Proxy::always`] says. Changing either ends the connections
//! that are open, so that no pooled one slips past the fault.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFault {
    /// Nothing.
    None,
    /// It is closed as soon as it is made.
    Close,
    /// It is taken, and nothing ever comes back.
    Silence,
    /// It is closed after the client has sent this many bytes, headers included; none after them reach
    /// the server.
    CutUpload(u64),
    /// It is closed after the server has answered this many bytes, headers included.
    CutDownload(u64),
    /// The last bit of the byte at this offset of what the client sends, headers included, is flipped.
    FlipUpload(u64),
    /// The client's request reaches the server, which answers into the void: the answer is lost.
    LoseAnswer,
    /// One request is read whole and answered with 503 SlowDown; the server sees nothing of it.
    SlowDown,
}

#[derive(Debug, Default)]
struct Plan {
    next: VecDeque<ProxyFault>,
    always: Option<ProxyFault>,
    open: Vec<TcpStream>,
}

#[derive(Debug)]
struct Shared {
    plan: Mutex<Plan>,
    connections: AtomicU64,
    stopped: AtomicBool,
    target: SocketAddr,
}

/// A proxy that listens on a free port until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Proxy {
    /// A proxy in front of `target`, without faults yet.
    #[must_use]
    pub fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            plan: Mutex::default(),
            connections: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            target,
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(client) = client {
                    accepting.connections.fetch_add(1, Ordering::SeqCst);
                    let shared = Arc::clone(&accepting);
                    thread::spawn(move || shared.serve(client));
                }
            }
        });
        Self { shared, address }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Spoils the next `count` connections.
    pub fn next(&self, count: usize, fault: ProxyFault) {
        let mut plan = self.shared.plan.lock().unwrap();
        plan.next.extend(std::iter::repeat_n(fault, count));
        plan.end_open_connections();
    }

    /// Spoils every connection from now on; [`ProxyFault::None`] heals the line.
    pub fn always(&self, fault: ProxyFault) {
        let mut plan = self.shared.plan.lock().unwrap();
        plan.next.clear();
        plan.always = Some(fault);
        plan.end_open_connections();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.plan.lock().unwrap().end_open_connections();
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

impl Plan {
    fn end_open_connections(&mut self) {
        for stream in self.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    /// The fault of a new connection; enters it among the open ones.
    fn enter(&self, client: &TcpStream) -> ProxyFault {
        let mut plan = self.plan.lock().unwrap();
        plan.open.push(client.try_clone().unwrap());
        plan.next
            .pop_front()
            .or(plan.always)
            .unwrap_or(ProxyFault::None)
    }

    fn serve(&self, client: TcpStream) {
        match self.enter(&client) {
            ProxyFault::Close => drop(client.shutdown(Shutdown::Both)),
            ProxyFault::Silence => {
                let _ = std::io::copy(&mut &client, &mut std::io::sink());
            }
            ProxyFault::SlowDown => {
                let _ = slow_down(&client);
            }
            fault => {
                if let Ok(server) = TcpStream::connect(self.target) {
                    relay(&client, &server, fault);
                }
            }
        }
        // The plan keeps a handle of its own.
        let _ = client.shutdown(Shutdown::Both);
    }
}

/// Passes bytes in both directions until one of the two ends.
fn relay(client: &TcpStream, server: &TcpStream, fault: ProxyFault) {
    let up_limit = if let ProxyFault::CutUpload(bytes) = fault {
        bytes
    } else {
        u64::MAX
    };
    let down_limit = match fault {
        ProxyFault::CutDownload(bytes) => bytes,
        ProxyFault::LoseAnswer => 0,
        _ => u64::MAX,
    };
    let flip = if let ProxyFault::FlipUpload(at) = fault {
        Some(at)
    } else {
        None
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let whole = pass(client, server, up_limit, flip);
            let _ = server.shutdown(if whole {
                Shutdown::Write
            } else {
                Shutdown::Both
            });
            if !whole {
                let _ = client.shutdown(Shutdown::Both);
            }
        });
        // Where the answer is to be lost, the server must have answered before the line goes dead.
        let answered = fault != ProxyFault::LoseAnswer || server.peek(&mut [0]).is_ok();
        if answered {
            pass(server, client, down_limit, None);
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    });
}

/// Passes at most `limit` bytes on; whether the end came before the limit.
fn pass(mut from: &TcpStream, mut to: &TcpStream, limit: u64, flip: Option<u64>) -> bool {
    let (mut buffer, mut passed) = (vec![0; 64 * 1024], 0_u64);
    loop {
        let room = usize::try_from(limit - passed)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if room == 0 {
            return false;
        }
        let Ok(count) = from.read(&mut buffer[..room]) else {
            return true;
        };
        if count == 0 {
            return true;
        }
        if let Some(at) = flip.and_then(|at| at.checked_sub(passed))
            && let Some(byte) = usize::try_from(at)
                .ok()
                .and_then(|at| buffer[..count].get_mut(at))
        {
            *byte ^= 1;
        }
        if to.write_all(&buffer[..count]).is_err() {
            return true;
        }
        passed += count as u64;
    }
}

/// Reads one request with its body, and answers like a service that has too much to do.
fn slow_down(client: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    write!(
        &mut &*client,
        "HTTP/1.1 503 Slow Down\r\ncontent-type: application/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
