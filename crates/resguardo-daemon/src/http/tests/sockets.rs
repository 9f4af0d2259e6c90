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
