//! Over real connections: what hyper and the system do is part of what is promised.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::*;
use crate::http::Server;

fn server(site: &Site) -> Server {
    let settings = Settings::on("127.0.0.1:0".parse().unwrap());
    Server::start(settings, site.house.clone()).unwrap()
}

fn talk(address: SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    // The other end may have closed already.
    let _ = stream.write_all(sent);
    let mut told = Vec::new();
    let _ = stream.read_to_end(&mut told);
    String::from_utf8_lossy(&told).into_owned()
}

#[test]
fn what_is_no_request_is_refused_and_closed() {
    let site = Site::new();
    let server = server(&site);
    let address = server.address();
    let status = |sent: &str| {
        let told = talk(address, sent.as_bytes());
        told.split(' ').nth(1).unwrap_or("closed").to_owned()
    };
    let with = |line: &str| format!("{line}\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert_eq!(status(&with("GET /healthz HTTP/1.1")), "200");
    assert_eq!(
        status("GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n"),
        "400"
    );
    for odd in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /\0 HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = status(odd);
        assert!(
            ["400", "closed"].contains(&answer.as_str()),
            "{odd:?}: {answer}"
        );
    }
    assert_eq!(status(&with("GET /../../etc/passwd HTTP/1.1")), "400");
    assert_eq!(status(&with("GET /%2e%2e/x HTTP/1.1")), "400");
    assert_eq!(
        status(&with(&format!("GET /{} HTTP/1.1", "a".repeat(9_000)))),
        "414"
    );
    let large = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "a".repeat(40_000)
    );
    assert_eq!(status(&large), "431");
    let many = "x: y\r\n".repeat(200);
    assert_eq!(
        status(&format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n")),
        "431"
    );
    // A gigabyte is refused before a byte of it comes.
    let post = "POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    assert_eq!(
        status(&format!("{post}content-length: 1073741824\r\n\r\n")),
        "413"
    );
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    let chunked = format!(
        "{post}transfer-encoding: chunked\r\n\r\n{}",
        chunk.repeat(3)
    );
    assert_eq!(status(&chunked), "413");
    // Two lengths are how one request is smuggled into another.
    let two = format!("{post}content-length: 4\r\ncontent-length: 5\r\n\r\naaaaa");
    assert_eq!(status(&two), "400");
    server.stop();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn connections_that_say_nothing_keep_nobody_out() {
    let site = Site::new();
    let server = server(&site);
    let address = server.address();
    let mut silent: Vec<TcpStream> = Vec::new();
    for number in 0..600 {
        let Ok(mut stream) = TcpStream::connect(address) else {
            break;
        };
        // Half of them begin a request and never end it.
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: ");
        }
        silent.push(stream);
    }
    // Whoever comes now is told that it is too much, and closed at once.
    let told = talk(
        address,
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    );
    assert!(
        told.is_empty() || told.starts_with("HTTP/1.1 503"),
        "{told}"
    );
    for stream in &silent {
        let _ = stream.shutdown(Shutdown::Both);
    }
    drop(silent);
    // As soon as they are gone there is room again.
    let is_served = || {
        let told = talk(
            address,
            b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        );
        told.starts_with("HTTP/1.1 200")
    };
    let mut tries = 0;
    while !is_served() {
        tries += 1;
        assert!(tries < 1_000);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An event stream that somebody asks for, and the headers of the answer.
fn open_events(address: SocketAddr, token: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let minute = Some(Duration::from_secs(60));
    stream.set_read_timeout(minute).unwrap();
    let asked =
        format!("GET /events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(asked.as_bytes()).unwrap();
    let headers = read_to(&mut stream, "\r\n\r\n");
    (stream, headers)
}

/// What comes until `end` has come.
fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut told = Vec::new();
    let mut byte = [0];
    while !told.ends_with(end.as_bytes()) {
        stream.read_exact(&mut byte).unwrap();
        told.extend(byte);
    }
    String::from_utf8(told).unwrap()
}

#[test]
fn of_a_thousand_event_streams_some_are_open_and_the_others_are_told_to_wait() {
    let site = Site::new();
    let server = server(&site);
    let address = server.address();
    let tokens: Vec<String> = (0..63)
        .map(|number| site.token(&format!("reader-{number}"), Role::Viewer))
        .collect();
    let mut open: Vec<TcpStream> = Vec::new();
    for number in 0..1_000 {
        // The seventeenth of one who may have sixteen is refused while there is room for others.
        let token = &tokens[number / 17];
        let (stream, headers) = open_events(address, token);
        if headers.starts_with("HTTP/1.1 200") {
            assert!(headers.contains("text/event-stream"), "{headers}");
            open.push(stream);
            continue;
        }
        assert!(headers.starts_with("HTTP/1.1 503"), "{headers}");
        assert!(headers.contains("\r\nretry-after: 1\r\n"), "{headers}");
        assert!(number % 17 == 16 || open.len() == 256, "{number}");
    }
    assert_eq!(open.len(), 256);
    // Whoever has one hears what happens, and others are answered.
    let now = site.hands.now();
    site.house.board.put(now, Ok(seen(now)));
    for stream in &mut open {
        let told = read_to(stream, "event: status\n");
        assert!(told.contains("id: "), "{told}");
    }
    let alive = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert!(talk(address, alive).starts_with("HTTP/1.1 200"));
    // Whoever goes makes room.
    open.truncate(200);
    let fits = |token: &String| open_events(address, token).1.starts_with("HTTP/1.1 200");
    let mut tries = 0;
    while !fits(&tokens[62]) {
        tries += 1;
        assert!(tries < 1_000);
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(open);
}

#[test]
fn whoever_sends_a_header_byte_by_byte_is_dropped() {
    let site = Site::new();
    let settings = Settings::on("127.0.0.1:0".parse().unwrap());
    let house = site.house.clone();
    let server = Server::patient(settings, house, Duration::from_millis(200)).unwrap();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(10)))
        .unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ")
        .unwrap();
    let is_closed = |stream: &mut TcpStream| {
        let sent = stream.write_all(b"a");
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => {
                let waits = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
                sent.is_err() || !waits.contains(&error.kind())
            }
        }
    };
    let mut sent = 0;
    while !is_closed(&mut stream) {
        sent += 1;
        assert!(sent < 6_000, "a header of {sent} bytes is still waited for");
    }
}
