//! `users`, `tokens`, and the pages of `serve`: the program as a whole, over its own port.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};

use crate::world::{World, finish, send};

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) fn with_user(world: &World, name: &str, role: &str) {
    world.write("password.txt", &format!("{PASSWORD}\n"));
    world
        .run(&[
            "users",
            "add",
            name,
            "--role",
            role,
            "--password-file",
            "password.txt",
        ])
        .exits(0)
        .prints(&["may log in as"]);
}

#[test]
fn users_are_made_changed_and_removed() {
    let world = World::new();
    world
        .run(&["users", "list"])
        .exits(0)
        .prints(&["nobody may log in"]);
    with_user(&world, "ana", "admin");
    world.write("short.txt", "short\n");
    world
        .run(&[
            "users",
            "add",
            "bea",
            "--role",
            "viewer",
            "--password-file",
            "short.txt",
        ])
        .exits(1)
        .complains(&["12 characters"]);
    world
        .run(&[
            "users",
            "add",
            "ana",
            "--role",
            "viewer",
            "--password-file",
            "password.txt",
        ])
        .exits(1)
        .complains(&["there is a user ana already", "users passwd ana"]);
    world
        .run(&["users", "add", "x y", "--role", "viewer"])
        .exits(2);
    world
        .run(&["users", "add", "bea", "--role", "root"])
        .exits(2);
    world.run(&["users", "role", "ana", "viewer"]).exits(0);
    let listed = world.run(&["users", "list", "--json"]).exits(0).json();
    assert_eq!(listed["users"][0]["role"], "viewer");
    assert!(!listed.to_string().contains("argon2"));
    world.run(&["users", "remove", "ana"]).exits(0);
    world
        .run(&["users", "passwd", "ana", "--password-file", "password.txt"])
        .exits(1)
        .complains(&["there is no user ana"]);
}

#[test]
fn a_token_is_printed_once() {
    let world = World::new();
    let made = world
        .run(&[
            "tokens",
            "add",
            "ci",
            "--scope",
            "read",
            "--expires",
            "90d",
            "--json",
        ])
        .exits(0)
        .json();
    let token = made["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("rsg_"));
    let listed = world.run(&["tokens", "list", "--json"]).exits(0).json();
    assert_eq!(listed["tokens"][0]["scope"], "read");
    assert!(!listed.to_string().contains(&token));
    let stored = std::fs::read(world.home().join("catalog.db")).unwrap();
    let held = |needle: &[u8]| stored.windows(needle.len()).any(|window| window == needle);
    assert!(!held(token.as_bytes()));
    world.run(&["tokens", "remove", "ci"]).exits(0);
    world
        .run(&["tokens", "remove", "ci"])
        .exits(1)
        .complains(&["there is no token ci"]);
}

#[test]
fn a_public_address_is_refused_before_anything_else() {
    let world = World::with_shop();
    world
        .run(&["serve", "--listen", "0.0.0.0:0"])
        .exits(2)
        .complains(&["there is no TLS", "behind_proxy"]);
}

/// `serve` on a port that is free, and where it listens.
pub(crate) fn serve(world: &World) -> (Child, SocketAddr) {
    let mut command = world.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = lines
        .find_map(|line| {
            line.unwrap()
                .split("pages at http://")
                .nth(1)?
                .trim()
                .parse()
                .ok()
        })
        .unwrap();
    // What it says from now on is read by nobody, and must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (child, address)
}

fn talk(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = request.replace(
        "\r\n\r\n",
        "\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    told
}

#[test]
fn the_pages_are_served_and_a_backup_is_taken_by_the_api() {
    let world = World::with_shop();
    let token = world
        .run(&["tokens", "add", "ci", "--scope", "operate", "--json"])
        .exits(0)
        .json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let (child, address) = serve(&world);
    let by = |line: &str| {
        talk(
            address,
            &format!("{line} HTTP/1.1\r\nauthorization: Bearer {token}\r\n\r\n"),
        )
    };
    assert!(talk(address, "GET /healthz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
    assert!(talk(address, "GET / HTTP/1.1\r\n\r\n").contains("location: /login?next=%2F"));
    assert!(by("POST /api/v1/sources/shop/backup").contains("\"answer\":\"begun\""));
    crate::world::wait_for("the backup is there", || {
        by("GET /api/v1/backups").contains("\"in_all\":1")
    });
    let ran = by("GET /api/v1/runs");
    assert!(ran.contains("\"operator\":\"token ci\""), "{ran}");
    let page = by("GET /");
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("shop"),
        "{page}"
    );
    for path in [
        "/sources/shop",
        "/runs",
        "/exceptions",
        "/policy",
        "/access",
    ] {
        let page = by(&format!("GET {path}"));
        assert!(page.starts_with("HTTP/1.1 200"), "{path}: {page}");
    }
    let metrics = talk(address, "GET /metrics HTTP/1.1\r\n\r\n");
    assert!(metrics.contains("source=\"shop\""), "{metrics}");
    send("TERM", &child);
    finish(child).exits(0);
}

#[test]
fn what_people_do_is_signed_and_survives_the_catalog() {
    let world = World::with_shop();
    // Before there is a backup it waits.
    with_user(&world, "ana", "admin");
    world.backup();
    world
        .run(&["tokens", "add", "ci", "--scope", "read"])
        .exits(0);
    let audits = || -> Vec<serde_json::Value> {
        let listed = world.run(&["receipts", "list", "--json"]).exits(0).json();
        let all = listed["receipts"].as_array().unwrap().clone();
        let mine = all.into_iter().filter(|one| one["verb"] == "audit");
        mine.collect()
    };
    let signed = audits();
    assert_eq!(signed.len(), 2, "{signed:?}");
    assert!(signed.iter().all(|one| one["outcome"] == "done"));
    let run = signed[0]["run"].as_str().unwrap();
    let shown = world.run(&["receipts", "show", run, "--json"]).exits(0);
    assert!(shown.stdout.contains("users add") && shown.stdout.contains("\"ana\""));
    assert!(!shown.stdout.contains(PASSWORD));
    world.run(&["receipts", "verify"]).exits(0);

    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let path = world.home().join(name);
        if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
    let token = world
        .run(&["tokens", "add", "all", "--scope", "admin", "--json"])
        .exits(0)
        .json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let (child, address) = serve(&world);
    let by = |line: &str| {
        talk(
            address,
            &format!("{line} HTTP/1.1\r\nauthorization: Bearer {token}\r\n\r\n"),
        )
    };
    crate::world::wait_for("what was done before is known again", || {
        let told = by("GET /api/v1/audit");
        told.contains("users add") && told.contains("\"object\":\"ci\"")
    });
    assert!(by("POST /api/v1/sources/shop/verify").contains("\"answer\":"));
    let told = by("GET /api/v1/audit");
    for part in [
        "\"who\":\"token all\"",
        "\"origin\":\"127.0.0.1\"",
        "\"what\":\"verify\"",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    crate::world::wait_for("it is signed", || audits().len() == 4);
    assert!(by("GET /access").contains("127.0.0.1"));
    send("TERM", &child);
    finish(child).exits(0);
}
