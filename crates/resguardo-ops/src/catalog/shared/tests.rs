//! Two machines at one real server: their runs, the lead, and whose turn it is to send.

#![allow(clippy::unwrap_used, reason = "test")]

use resguardo_model::RunId;
use resguardo_model::receipt::Verb;
use resguardo_testkit::{PgServer, PgVersion};

use super::*;
use crate::catalog::{Catalog, RunRow, RunState};
use resguardo_engine::process::ProcessMark;

const LEASE: Duration = Duration::from_secs(600);

struct Machine {
    shared: SharedCatalog,
    own: Catalog,
    exchange: Exchange,
}

impl Machine {
    fn new(server: &PgServer, host: &str) -> Self {
        let location = Location::new(server.url("postgres"));
        let vault = "01arz3ndektsv4rrffq69g5fav".parse().unwrap();
        let around = LibpqEnvironment::default();
        let shared = SharedCatalog::at(&location, &around, vault, host, LEASE).unwrap();
        shared.prepare().unwrap();
        Self {
            shared,
            own: Catalog::in_memory().unwrap(),
            exchange: Exchange::default(),
        }
    }

    fn exchange(&mut self) -> bool {
        self.exchange.exchange(&self.own, &self.shared).unwrap()
    }

    fn put(&self, number: u32, state: RunState, message: &str) {
        self.own.put_run(&run(number, state, message)).unwrap();
    }

    fn run(&self, number: u32) -> Option<RunRow> {
        let id = run(number, RunState::Running, "").run;
        let runs = self.own.runs(100).unwrap();
        runs.into_iter().find(|run| run.run == id)
    }

    fn state(&self, number: u32) -> Option<RunState> {
        self.run(number).map(|run| run.state)
    }
}

fn run(number: u32, state: RunState, message: &str) -> RunRow {
    RunRow {
        run: RunId(ulid::Ulid::from_parts(u64::from(number), 0)),
        vault: None,
        verb: Verb::Backup,
        source: Some("shop".parse().unwrap()),
        backup: None,
        state,
        started_at: Timestamp::from_second(i64::from(number)).unwrap(),
        finished_at: None,
        host: "a".to_owned(),
        operator: "ana's \\ 'own'".to_owned(),
        process: Some(ProcessMark::own()),
        message: message.to_owned(),
        receipt: None,
        changes: None,
    }
}

fn expire(server: &PgServer, what: &str) {
    server.psql("postgres", &format!("update resguardo.{what}"));
}

#[test]
fn machines_know_of_each_other() {
    let server = PgServer::start(PgVersion::V15);
    runs_are_everybodys(&server);
    one_leads(&server);
    a_message_is_sent_by_one(&server);
}

fn runs_are_everybodys(server: &PgServer) {
    let (mut a, mut b) = (Machine::new(server, "a"), Machine::new(server, "b"));
    a.put(1, RunState::Running, "");
    assert!(!a.exchange());
    assert!(b.exchange(), "it is news");
    assert!(!b.exchange(), "and is so once");
    let taken = b.run(1).unwrap();
    assert_eq!(taken.state, RunState::Running);
    assert_eq!(taken.process, None, "another machine's number");
    assert_eq!(taken.operator, "ana's \\ 'own'");
    a.put(1, RunState::Failed, "no space left");
    assert!(!a.exchange());
    // Started anew, it has what was before, and tells nobody that it goes on.
    b.exchange = Exchange::default();
    assert!(b.exchange());
    assert_eq!(b.run(1).unwrap().message, "no space left");
    b.put(1, RunState::Running, "");
    b.exchange = Exchange::default();
    b.exchange();
    a.exchange();
    assert_eq!(a.state(1), Some(RunState::Failed));
    assert_eq!(b.state(1), Some(RunState::Failed));

    // The one is not heard of any more, and comes back.
    a.put(2, RunState::Running, "");
    a.exchange();
    b.exchange();
    expire(
        server,
        "machines set heard_at = heard_at - interval '1 day' where host = 'a'",
    );
    b.exchange();
    b.exchange();
    let died = b.run(2).unwrap();
    assert_eq!(died.state, RunState::Died);
    assert_eq!(died.message, "a, which ran it, was not heard of for long");
    assert!(died.finished_at.is_some());
    a.put(2, RunState::Interrupted, "it was told to stop");
    a.exchange();
    assert_eq!(a.state(2), Some(RunState::Interrupted));
    b.exchange();
    assert_eq!(b.state(2), Some(RunState::Interrupted));
}

fn one_leads(server: &PgServer) {
    let (a, b) = (Machine::new(server, "a"), Machine::new(server, "b"));
    let leads = |machine: &Machine| machine.shared.leads(LEASE).unwrap();
    assert!(leads(&a) && leads(&a) && !leads(&b));
    expire(
        server,
        "leases set until = clock_timestamp() where source = ''",
    );
    assert!(leads(&b) && !leads(&a));
    a.shared.leads_no_more().unwrap();
    assert!(!leads(&a));
    b.shared.leads_no_more().unwrap();
    assert!(leads(&a) && !leads(&b));
    assert!(a.shared.look().unwrap().jobs.is_empty(), "it is no job");
}

fn a_message_is_sent_by_one(server: &PgServer) {
    let (a, b) = (Machine::new(server, "a"), Machine::new(server, "b"));
    let turn = |machine: &Machine, what| machine.shared.turn_to_send(what, LEASE).unwrap();
    assert_eq!(turn(&a, "one"), Turn::Ours);
    assert_eq!(turn(&b, "one"), Turn::Others);
    assert_eq!(turn(&a, "one"), Turn::Ours, "it is tried again");
    assert_eq!(turn(&b, "other"), Turn::Ours);
    b.shared.was_sent("one").unwrap();
    assert_eq!(turn(&b, "one"), Turn::Others, "it was not b that sent it");
    a.shared.was_sent("one").unwrap();
    assert_eq!(turn(&a, "one"), Turn::Sent);
    assert_eq!(turn(&b, "one"), Turn::Sent);
    // Who was about to send it has died.
    expire(
        server,
        "messages set until = clock_timestamp() where delivery = 'other'",
    );
    assert_eq!(turn(&a, "other"), Turn::Ours);
    assert_eq!(turn(&b, "other"), Turn::Others);
}
