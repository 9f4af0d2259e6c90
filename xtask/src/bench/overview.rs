//! The dashboard's first page over 200 sources with a year of daily backups, and the daemon that serves it.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::contest;
use super::listing::{self, forget_catalog};
use super::measure::measure;
use super::plan::{Plan, Size};
use super::product::{Place, Product};
use super::scratch::{self, Scratch};
use crate::failure::Failure;
use crate::step;

const ADDRESS: &str = "127.0.0.1:18372";
/// Pages that are asked for one after the other.
const PAGES: usize = 50;

/// Measures, and tells the figures as Markdown.
pub(super) fn run(plan: &Plan, product: &Product, scratch: &Scratch) -> Result<String, Failure> {
    let (sources, days, idle) = match plan.size {
        Size::Full => (200, 365, 60),
        Size::Small => (5, 40, 2),
    };
    // The newest backups are of today: what is older is breached, and weighs more.
    let mut date = Command::new("date");
    let today = step::output(date.args(["-u", "+%F"]))?;
    let recipe = format!("{sources} sources, {days} days until {}, 1", today.trim());
    let folder = scratch.once("overview", &recipe, |folder| {
        fill(product, folder, sources, days)
    })?;
    let place = product.place(&folder);
    let report = folder.join("time");
    forget_catalog(&place.home())?;
    let first = measure(&place.command(&["status", "--json"]), &report)?;
    let again = measure(&place.command(&["status", "--json"]), &report)?;
    let token = token(&place)?;
    let daemon = Daemon::start(&place)?;
    let last = format!("shop-{:03}", sources - 1);
    let begun = Instant::now();
    // Until it has looked for the first time it answers that it is starting.
    while !ask(&token)?.contains(&last) {
        if begun.elapsed() > Duration::from_secs(120) {
            return Err(answer(
                "GET /",
                "the page never showed all sources".to_owned(),
            ));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let page_seconds = begun.elapsed().as_secs_f64();
    let mut took = Vec::new();
    let mut weight = 0;
    for _ in 0..PAGES {
        let begun = Instant::now();
        let page = get(&token)?;
        took.push(begun.elapsed().as_secs_f64() * 1000.0);
        weight = page
            .split_once("\r\n\r\n")
            .map_or(0, |(_, body)| body.len());
    }
    took.sort_by(f64::total_cmp);
    let a_second = wrk(&token)?;
    // What comes each minute comes within the time.
    std::thread::sleep(Duration::from_secs(5));
    let before = daemon.processor_ticks()?;
    std::thread::sleep(Duration::from_secs(idle));
    let ticks = daemon.processor_ticks()? - before;
    let resident = daemon.resident_bytes()?;
    drop(daemon);

    let mut text = String::from(contest::GOALS);
    let median = took[took.len() / 2];
    text += &contest::goal(
        "`/`, from request to the end of the answer",
        "under 50 ms",
        &format!(
            "{median:.1} ms ({:.1} - {:.1})",
            took[0],
            took[took.len() - 1]
        ),
        median < 50.0,
    );
    let kilobytes = format!("{} kB", weight / 1000);
    text += &contest::goal("its weight", "under 100 kB", &kilobytes, weight < 100_000);
    text += &contest::goal(
        "requests of it a second, 16 connections",
        "over 1,000",
        &format!("{a_second:.0}"),
        a_second > 1000.0,
    );
    let megabytes = format!("{} MB", contest::megabytes(resident));
    let fits = resident < 80_000_000;
    text += &contest::goal(
        "idle daemon, resident memory",
        "under 80 MB",
        &megabytes,
        fits,
    );
    text += &contest::goal(
        &format!("idle daemon, processor time in {idle} s"),
        "none that can be measured (under 0.5 %)",
        &format!("{:.2} s", f64::from(ticks) / 100.0),
        u64::from(ticks) * 2 < idle,
    );
    let _ = writeln!(
        text,
        "\n`status --json` takes {:.2} s without a catalog and {:.2} s with one ({} and {} MB at most); the daemon shows all sources {page_seconds:.1} s after it \
         serves. The data: {sources} sources of {days} daily backups each, with a receipt for each and a drill a month, without the packs.",
        first.seconds,
        again.seconds,
        contest::megabytes(first.peak_bytes),
        contest::megabytes(again.peak_bytes),
    );
    Ok(text)
}

fn fill(product: &Product, folder: &Path, sources: usize, days: usize) -> Result<(), Failure> {
    let (place, database) = listing::begun(product, folder)?;
    let mut config = String::from(
        "[vault]\nurl = \"./vault\"\n\n[environments.production]\nrpo = \"24h\"\nrto = \"4h\"\nschedule = \"daily 02:00\"\ndrill = { schedule = \"monthly 1 04:00\" }\n",
    );
    for number in 0..sources {
        let _ = write!(
            config,
            "\n[sources.shop-{number:03}]\nurl = \"sqlite:{}\"\nenvironment = \"production\"\n",
            database.display()
        );
    }
    scratch::write(&folder.join("resguardo.toml"), &config)?;
    let (vault, keys) = (place.vault(), place.keys()?);
    let (sources, days) = (sources.to_string(), days.to_string());
    let words = [
        Path::new("history"),
        &vault,
        &keys,
        Path::new(&sources),
        Path::new(&days),
    ];
    step::run(&mut product.worker(&words))
}

fn answer(command: &str, answer: String) -> Failure {
    Failure::Answer {
        command: command.to_owned(),
        answer,
    }
}

fn token(place: &Place) -> Result<String, Failure> {
    // There is none the first time.
    step::succeeds(&mut place.command(&["tokens", "remove", "bench"]));
    let add = ["tokens", "add", "bench", "--scope", "read", "--json"];
    let told = step::output(&mut place.command(&add))?;
    let token = told
        .split("\"token\":")
        .nth(1)
        .and_then(|rest| rest.split('"').nth(1));
    token
        .map(str::to_owned)
        .ok_or_else(|| answer("tokens add", told.clone()))
}

/// The first page, with its headers.
/// The page.
fn get(token: &str) -> Result<String, Failure> {
    let text = ask(token)?;
    match text.starts_with("HTTP/1.1 200") {
        true => Ok(text),
        false => Err(answer(
            "GET /",
            text.lines().next().unwrap_or_default().to_owned(),
        )),
    }
}

/// Whatever it answers.
fn ask(token: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| answer("GET /", error.to_string());
    let begun = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(ADDRESS) {
            Ok(stream) => break stream,
            Err(error) if begun.elapsed() > Duration::from_secs(30) => return Err(failed(error)),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {ADDRESS}\r\nAuthorization: Bearer {token}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

fn wrk(token: &str) -> Result<f64, Failure> {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t2", "-c16", "-d10s", "-H"])
        .arg(format!("Authorization: Bearer {token}"))
        .arg(format!("http://{ADDRESS}/"));
    let told = step::output(&mut wrk)?;
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"));
    let number = line.and_then(|number| number.trim().parse().ok());
    match number {
        Some(number) if !told.contains("Non-2xx") => Ok(number),
        _ => Err(answer("wrk", told)),
    }
}

/// `resguardo serve`, until it is dropped.
struct Daemon(Child);

impl Daemon {
    fn start(place: &Place) -> Result<Self, Failure> {
        let mut command = place.command(&["serve", "--listen", ADDRESS]);
        let text = step::shown(&command);
        let quiet = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = quiet.spawn();
        child.map(Self).map_err(|source| Failure::Start {
            command: text,
            source,
        })
    }

    fn told(&self, file: &str) -> Result<String, Failure> {
        let path = Path::new("/proc").join(self.0.id().to_string()).join(file);
        std::fs::read_to_string(&path).map_err(|source| Failure::Read { path, source })
    }

    /// Hundredths of a second, in user and system mode.
    fn processor_ticks(&self) -> Result<u32, Failure> {
        let told = self.told("stat")?;
        let words = told
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace();
        Ok(words
            .skip(11)
            .take(2)
            .filter_map(|word| word.parse::<u32>().ok())
            .sum())
    }

    fn resident_bytes(&self) -> Result<u64, Failure> {
        let told = self.told("status")?;
        let line = told.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024)
            .ok_or_else(|| answer("VmRSS", told.clone()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let mut kill = Command::new("kill");
        step::succeeds(kill.arg(self.0.id().to_string()));
        let _ = self.0.wait();
    }
}
