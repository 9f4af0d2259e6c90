//! A server that hears what people would be told, and says that it did.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What was asked of it.
#[derive(Clone)]
pub(crate) struct Ear {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Ear {
    /// One that listens as long as the process lives.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let ear = Self {
            address: listener.local_addr()?,
            heard: Arc::default(),
        };
        let own = ear.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || own.answer(client));
            }
        });
        Ok(ear)
    }

    /// How often something below `path` was asked for.
    pub(crate) fn heard(&self, path: &str) -> usize {
        let heard = self.heard.lock().expect("nobody panics under it");
        heard.iter().filter(|one| one.starts_with(path)).count()
    }

    fn answer(&self, client: TcpStream) {
        // Whoever goes away is asked nothing more.
        let _ = self.answer_whole(client);
    }

    fn answer_whole(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let path = line.split_whitespace().nth(1).unwrap_or("").to_owned();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
                break;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(number) = lower.strip_prefix("content-length:") {
                length = number.trim().parse().unwrap_or(0);
            }
        }
        reader.take(length).read_to_end(&mut Vec::new())?;
        self.heard
            .lock()
            .expect("nobody panics under it")
            .push(path);
        client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
    }
}
