//! A service that answers as the test says: for what no server at hand does, like another region, a clock
//! that is off, or a machine's metadata.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it came, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `GET`, ...
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, with their values.
    pub headers: Vec<(String, String)>,
}

impl Asked {
    /// A header; its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// An answer: its status line after `HTTP/1.1 `, lines of headers, and a body.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// `200 OK`
    pub status: String,
    /// `etag: "1"`
    pub headers: Vec<String>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// An answer without headers of its own.
    #[must_use]
    pub fn new(status: &str, body: &str) -> Self {
        Self {
            status: status.to_owned(),
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    /// S3's XML for a refusal.
    #[must_use]
    pub fn refusal(status: &str, code: &str, message: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        );
        Self::new(status, &body)
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, header: &str) -> Self {
        self.headers.push(header.to_owned());
        self
    }
}

/// Such a service, until the process ends.
#[derive(Clone, Debug)]
pub struct Answering {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Answering {
    /// Answers every request with what `answer` makes of it.
    #[must_use]
    pub fn with(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, asked) = (Arc::new(answer), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                thread::spawn(move || {
                    if let Some(request) = read(&client) {
                        seen.lock().unwrap().push(request.clone());
                        // A client that goes away is no matter of the service.
                        let _ = write(&client, &request, &answer(&request));
                    }
                });
            }
        });
        Self { address, asked }
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read(client: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let asked = Asked {
        method,
        target,
        headers,
    };
    let length = asked
        .header("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).ok()?;
    Some(asked)
}

fn write(mut client: &TcpStream, request: &Asked, answer: &Answer) -> std::io::Result<()> {
    let Answer {
        status,
        headers,
        body,
    } = answer;
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let body = if request.method == "HEAD" { "" } else { body };
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}
