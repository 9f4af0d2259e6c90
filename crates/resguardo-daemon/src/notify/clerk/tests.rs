//! Everybody who wants to hear it is told, once, whatever the others do.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: runs the guide's lines"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use jiff::tz::TimeZone;
use resguardo_model::{SourceName, SystemClock};
use resguardo_ops::catalog::Catalog;
use resguardo_ops::report::Language;
use secrecy::SecretString;
use serde_json::Value;

use super::*;
use crate::notify::endpoint::{Endpoint, HttpPlace, Kind};
use crate::notify::event::{ExceptionFacts, FactName};
use crate::notify::rules::Topic;

/// What a server does with a connection; the number counts requests from 0.
type Odd = fn(usize, &mut TcpStream);

/// A server that answers oddly, and what it was asked.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone, Debug)]
struct Asked {
    target: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Server {
    fn start(odd: Odd) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || {
                    let mut client = client.unwrap();
                    let Some(request) = read(&client) else { return };
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request);
                        seen.len() - 1
                    };
                    odd(number, &mut client);
                });
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until it was asked so often; panics after a minute.
    fn wait_for(&self, count: usize) -> Vec<Asked> {
        wait_for("the server is asked", || self.asked().len() >= count);
        self.asked()
    }
}

fn wait_for(what: &str, mut seen: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !seen() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{what}: not within a minute"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn read(client: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let target = line.split_whitespace().nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        target,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}

fn answer(client: &mut TcpStream, status: &str) {
    let _ = write!(client, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
}

fn fine(_: usize, client: &mut TcpStream) {
    answer(client, "200 OK");
}

/// Never answers; lets go once the other side does.
fn silent(_: usize, client: &mut TcpStream) {
    let _ = client.read(&mut [0]);
}

/// Everybody is an endpoint of its server's place, in one environment.
struct Town {
    endpoints: Mutex<BTreeMap<String, Endpoint>>,
    secrets: Vec<SecretString>,
    remind: Option<resguardo_model::duration::Span>,
}

impl Directory for Town {
    fn rules(&self, source: &SourceName) -> Option<Rules> {
        let endpoints = self.endpoints.lock().unwrap();
        let routes = endpoints.values().map(|endpoint| Route {
            endpoint: endpoint.name.clone(),
            topics: match endpoint.kind {
                Kind::Ping(_) => Topic::of_pings(),
                _ => Topic::usual(),
            },
            tasks: std::collections::BTreeSet::new(),
            language: Language::En,
            is_ping: matches!(endpoint.kind, Kind::Ping(_)),
        });
        (source.as_str() == "shop").then(|| Rules {
            environment: "production".to_owned(),
            zone: TimeZone::UTC,
            remind: self.remind,
            routes: routes.collect(),
        })
    }

    fn endpoint(&self, name: &str) -> Result<Option<Endpoint>, String> {
        Ok(self.endpoints.lock().unwrap().get(name).cloned())
    }

    fn secrets(&self) -> Vec<SecretString> {
        self.secrets.clone()
    }
}

/// A notifier with its surroundings; what it notes is kept.
struct World {
    notifier: Arc<Notifier>,
    town: Arc<Town>,
    notes: Arc<Mutex<Vec<String>>>,
    catalog: Catalog,
}

fn place(server: &Server) -> HttpPlace {
    HttpPlace {
        url: SecretString::from(format!("http://{}/t0ken-in-the-path", server.address)),
        authority: None,
    }
}

fn webhook(name: &str, server: &Server) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        kind: Kind::Webhook {
            place: place(server),
            secret: Some(SecretString::from("s3cret-webhook")),
        },
        timeout: Duration::from_secs(20),
    }
}

fn ping(name: &str, server: &Server) -> Endpoint {
    Endpoint {
        kind: Kind::Ping(place(server)),
        ..webhook(name, server)
    }
}

fn hasty() -> Pace {
    Pace {
        waits: vec![Duration::from_millis(10)],
        pause_max: Duration::from_millis(10),
        asked_max: Duration::from_secs(3600),
        try_max: Duration::from_secs(60),
    }
}

impl World {
    fn of(endpoints: Vec<Endpoint>) -> Self {
        Self::with(endpoints, Catalog::in_memory().unwrap(), hasty())
    }

    fn with(endpoints: Vec<Endpoint>, catalog: Catalog, pace: Pace) -> Self {
        let named = endpoints.into_iter().map(|one| (one.name.clone(), one));
        let town = Arc::new(Town {
            endpoints: Mutex::new(named.collect()),
            secrets: vec![SecretString::from("s3cret-webhook")],
            remind: Some("1h".parse().unwrap()),
        });
        let notes: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&notes);
        let notifier = Notifier::start(Office {
            turns: None,
            directory: Arc::clone(&town) as Arc<dyn Directory>,
            outbox: Outbox::of(catalog.clone()),
            clock: Arc::new(SystemClock),
            pace,
            host: "db1".to_owned(),
            note: Arc::new(move |line| noted.lock().unwrap().push(line.to_owned())),
        });
        Self {
            notifier: notifier.unwrap(),
            town,
            notes,
            catalog,
        }
    }

    fn tell(&self, id: &str, what: What) {
        self.notifier.tell(exception(id, what));
    }

    fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }

    fn waiting(&self) -> u32 {
        let all = self.catalog.outbox_waiting().unwrap();
        all.iter().map(|one| one.waiting).sum()
    }

    fn given_up(&self) -> u32 {
        let all = self.catalog.outbox_waiting().unwrap();
        all.iter().map(|one| one.given_up).sum()
    }
}

fn exception(id: &str, what: What) -> Event {
    let mut event = Event::new(what, "2026-11-22T09:30:00Z".parse().unwrap()).with(
        FactName::Message,
        "postgresql://ana:hunter2@db/shop: key s3cret-webhook",
    );
    event.source = Some("shop".parse().unwrap());
    event.exception = Some(ExceptionFacts {
        id: id.to_owned(),
        kind: "drill_failed".to_owned(),
        opened_at: "2026-11-22T08:00:00Z".parse().unwrap(),
    });
    event
}

fn run(what: What) -> Event {
    let mut event = Event::new(what, "2026-11-22T09:30:00Z".parse().unwrap());
    event.source = Some("shop".parse().unwrap());
    event.task = Some("backup".to_owned());
    event.began_at = Some("2026-11-22T09:00:00Z".parse().unwrap());
    event
}

fn event_of(asked: &Asked) -> String {
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    body["event"].as_str().unwrap().to_owned()
}

#[test]
fn a_change_is_told_once_and_has_no_secret_in_it() {
    let server = Server::start(fine);
    let world = World::of(vec![webhook("team", &server)]);
    world.tell("e1", What::Opened);
    world.tell("e1", What::Opened);
    world.tell("e1", What::Good);
    let asked = server.wait_for(2);
    wait_for("all is sent", || world.waiting() == 0);
    let events: Vec<String> = asked.iter().map(event_of).collect();
    assert_eq!(events, ["opened", "good"]);
    let shown = format!("{asked:?}{:?}", world.notes());
    for secret in ["hunter2", "s3cret-webhook"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(asked[0].headers["resguardo-signature"].starts_with("t="));
    assert_eq!(asked[0].headers["resguardo-delivery"].len(), 32);
    assert_eq!(world.notes(), Vec::<String>::new());
}

/// The guide's own lines say of what was sent whether it is genuine.
#[test]
fn the_guides_lines_of_python_know_what_is_genuine() {
    let server = Server::start(fine);
    let world = World::of(vec![webhook("team", &server)]);
    world.tell("e1", What::Opened);
    let asked = server.wait_for(1).remove(0);
    let signature = &asked.headers["resguardo-signature"];
    for guide in [
        include_str!("../../../../../docs/guide/telling.md"),
        include_str!("../../../../../docs/es/avisar.md"),
    ] {
        let (_, rest) = guide.split_once("```python\n").unwrap();
        let (lines, _) = rest.split_once("```").unwrap();
        let genuine = |secret: &str, header: &str, body: &str| {
            let last = "import sys\nsys.exit(0 if is_genuine(sys.argv[1], sys.argv[2], sys.argv[3].encode()) else 9)";
            let status = std::process::Command::new("python3")
                .args(["-c", &format!("{lines}\n{last}"), secret, header, body])
                .status()
                .expect("python3 is there: the package python3-venv brings it");
            assert!(matches!(status.code(), Some(0 | 9)), "{status}");
            status.success()
        };
        assert!(genuine("s3cret-webhook", signature, &asked.body));
        assert!(!genuine("another", signature, &asked.body));
        assert!(!genuine(
            "s3cret-webhook",
            signature,
            &format!("{} ", asked.body)
        ));
        let (_, digest) = signature.split_once(",v1=").unwrap();
        let old = format!("t=1,v1={digest}");
        assert!(!genuine("s3cret-webhook", &old, &asked.body));
    }
}

#[test]
fn what_is_refused_for_now_is_tried_again_with_the_same_delivery() {
    let server = Server::start(|number, client| match number {
        0 => answer(client, "500 Internal Server Error"),
        1 => drop(client.write_all(b"HTTP/1.1 200 O")),
        2 => answer(client, "408 Request Timeout"),
        3 => answer(client, "429 Too Many Requests\r\nretry-after: 0"),
        4 => {}
        _ => answer(client, "204 No Content"),
    });
    let world = World::of(vec![webhook("team", &server)]);
    world.tell("e1", What::Opened);
    let asked = server.wait_for(6);
    wait_for("all is sent", || world.waiting() == 0);
    let deliveries = asked.iter().map(|one| &one.headers["resguardo-delivery"]);
    assert!(
        deliveries
            .clone()
            .all(|one| *one == asked[0].headers["resguardo-delivery"])
    );
    wait_for("it is noted", || world.notes().len() == 2);
    let notes = world.notes();
    assert!(
        notes[0].contains("team cannot be told: http://127.0.0.1"),
        "{notes:?}"
    );
    assert!(notes[0].contains("answered 500"), "{notes:?}");
    assert!(!notes[0].contains("t0ken"), "{notes:?}");
    assert_eq!(notes[1], "team is told again");
    assert_eq!(asked.len(), 6);
}

#[test]
fn what_an_answer_asks_for_is_waited_for() {
    let server = Server::start(|_, client| {
        answer(client, "429 Too Many Requests\r\nretry-after: 1800");
    });
    let world = World::of(vec![webhook("team", &server)]);
    let before = Timestamp::from_second(SystemClock.now().as_second()).unwrap();
    world.tell("e1", What::Opened);
    server.wait_for(1);
    let due = || world.catalog.outbox_next("team").unwrap().unwrap();
    wait_for("it waits", || {
        due().duration_since(before) >= jiff::SignedDuration::from_mins(30)
            && world.catalog.outbox_waiting().unwrap()[0]
                .said
                .contains("429")
    });
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn what_is_refused_for_good_is_not_tried_again() {
    for odd in [
        (|_, client: &mut TcpStream| answer(client, "404 Not Found")) as Odd,
        |_, client| {
            answer(
                client,
                "302 Found\r\nlocation: http://127.0.0.1:1/elsewhere",
            )
        },
        |_, client| {
            // A body without an end: enough of it is read to say why, and no more.
            let _ = client.write_all(b"HTTP/1.1 410 Gone\r\n\r\nno_service\n");
            while client.write_all(&[b'x'; 65536]).is_ok() {}
        },
    ] {
        let server = Server::start(odd);
        let world = World::of(vec![webhook("team", &server)]);
        world.tell("e1", What::Opened);
        wait_for("it is given up", || world.given_up() == 1);
        world.tell("e2", What::Opened);
        wait_for("the next is, too", || world.given_up() == 2);
        assert_eq!(server.asked().len(), 2);
        wait_for("it is noted", || world.notes().len() == 2);
        let note = &world.notes()[0];
        assert!(
            note.starts_with("a message to team is given up at try 1: http://"),
            "{note}"
        );
        assert!(note.len() < 500, "{note}");
    }
}

#[test]
fn one_that_never_answers_delays_no_other() {
    let (hangs, works) = (Server::start(silent), Server::start(fine));
    let world = World::of(vec![webhook("hangs", &hangs), webhook("works", &works)]);
    for number in 0..20 {
        world.tell(&format!("e{number}"), What::Opened);
    }
    works.wait_for(20);
    // The other one still waits for its first answer.
    assert_eq!(hangs.asked().len(), 1);
    wait_for("they are written down", || world.waiting() == 20);
}

#[test]
fn what_was_not_sent_is_sent_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    let down = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Server {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
        }
    };
    let world = World::with(
        vec![webhook("team", &down)],
        Catalog::open(&path).unwrap(),
        hasty(),
    );
    for number in 0..50 {
        world.tell(&format!("e{number}"), What::Opened);
    }
    world.notifier.stop(Duration::from_secs(60));
    assert_eq!(world.waiting(), 50);
    drop(world);
    let up = Server::start(fine);
    let world = World::with(
        vec![webhook("team", &up)],
        Catalog::open(&path).unwrap(),
        hasty(),
    );
    up.wait_for(50);
    wait_for("all is sent", || world.waiting() == 0);
    assert_eq!(up.asked().len(), 50);
}

#[test]
fn a_switch_hears_begin_and_end_and_no_exception() {
    let server = Server::start(fine);
    let world = World::of(vec![ping("hc", &server)]);
    world.notifier.tell(run(What::RunBegan));
    server.wait_for(1);
    world.tell("e1", What::Opened);
    world.notifier.tell(run(What::RunFailed));
    let asked = server.wait_for(2);
    let targets: Vec<&str> = asked.iter().map(|one| one.target.as_str()).collect();
    assert_eq!(
        targets,
        ["/t0ken-in-the-path/start", "/t0ken-in-the-path/fail"]
    );
}

#[test]
fn people_are_reminded_once_a_turn() {
    let server = Server::start(fine);
    let world = World::of(vec![webhook("team", &server)]);
    // Opened at 08:00, reminded each hour.
    let remind = |at: &str| {
        let mut event = exception("e1", What::Reminder);
        event.at = format!("2026-11-22T{at}Z").parse().unwrap();
        world.notifier.order(Order::News(vec![event]));
    };
    ["08:59:59", "09:00:00", "09:00:30"]
        .into_iter()
        .for_each(remind);
    server.wait_for(1);
    wait_for("it is sent", || world.waiting() == 0);
    ["09:59:59", "11:10:00"].into_iter().for_each(remind);
    let asked = server.wait_for(2);
    world.notifier.stop(Duration::from_secs(60));
    assert!(asked.iter().all(|one| event_of(one) == "reminder"));
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn one_that_is_not_configured_any_more_is_told_nothing() {
    let server = Server::start(|_, client| answer(client, "500 Oops"));
    let world = World::of(vec![webhook("team", &server)]);
    world.tell("e1", What::Opened);
    server.wait_for(1);
    world.town.endpoints.lock().unwrap().clear();
    wait_for("it is given up", || world.given_up() == 1);
    let mut stranger = exception("e2", What::Opened);
    stranger.source = Some("other".parse().unwrap());
    world.notifier.tell(stranger);
    world.notifier.stop(Duration::from_secs(60));
    assert_eq!(world.waiting(), 0);
}

#[test]
fn an_outbox_that_cannot_be_written_keeps_nobody_from_being_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    let catalog = Catalog::open(&path).unwrap();
    let broken = rusqlite::Connection::open(&path).unwrap();
    broken.execute_batch("drop table outbox").unwrap();
    let server = Server::start(fine);
    let world = World::with(vec![webhook("team", &server)], catalog, hasty());
    world.tell("e1", What::Opened);
    world.tell("e1", What::Good);
    let asked = server.wait_for(2);
    assert_eq!(event_of(&asked[0]), "opened");
    wait_for("it is noted", || {
        let notes = world.notes();
        notes
            .iter()
            .any(|note| note.contains("is sent all the same"))
    });
}
