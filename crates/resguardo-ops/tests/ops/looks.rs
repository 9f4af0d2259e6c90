//! Whatever changed in a vault, its catalog or whom a host believes: whoever looked before sees what one sees who
//! never did. What nobody had looked at before it was replaced is for `verify` to find, and no change here.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use resguardo_model::SourceName;
use resguardo_model::retention::Policy;
use resguardo_ops::catalog::{self, Catalog};
use resguardo_ops::prune::{self, PruneRequest};
use resguardo_ops::status::{self, Status};
use resguardo_ops::{Context, SourceSpec, exception};
use resguardo_store::{Condition, Key, Store as _};
use rusqlite::Connection;

use crate::world::{World, run_drill, take, watched};

/// What may happen between two looks. Those with a number do it to one of the objects that there are.
#[derive(Clone, Debug)]
enum Change {
    /// Where the look is taken.
    BackedUpHere,
    /// By another process with the same catalog.
    BackedUpBeside,
    /// By another machine, as are those that follow.
    BackedUp,
    OtherSourceBackedUp,
    Drilled,
    Assessed,
    Pruned,
    BackedUpByStranger,
    HeadDeleted(usize),
    HeadForged(usize),
    HeadWrittenAgain(usize),
    HeadSwapped(usize),
    ReceiptDeleted(usize),
    ReceiptForged(usize),
    JunkBesideHeads,
    JunkForAHead,
    PutBack,
    SourceDeleted,
    /// By another process with the same catalog, as are those that follow.
    CatalogEmptied,
    CatalogRebuilt,
    RowDeleted,
    /// The config names the stranger among those who are believed, or does not any more.
    StrangerBelieved,
    ClockSetBack,
    Nothing,
}

use Change::*;

const ALL: [Change; 24] = [
    BackedUpHere,
    BackedUpBeside,
    BackedUp,
    OtherSourceBackedUp,
    Drilled,
    Assessed,
    Pruned,
    BackedUpByStranger,
    HeadDeleted(0),
    HeadForged(0),
    HeadWrittenAgain(0),
    HeadSwapped(2),
    ReceiptDeleted(0),
    ReceiptForged(0),
    JunkBesideHeads,
    JunkForAHead,
    PutBack,
    SourceDeleted,
    CatalogEmptied,
    CatalogRebuilt,
    RowDeleted,
    StrangerBelieved,
    ClockSetBack,
    Nothing,
];

/// A host that looks again and again, a machine that does other things, and a stranger.
struct Hosts {
    world: World,
    here: Context,
    there: Context,
    stranger: Context,
    deleted: Vec<(Key, Bytes)>,
    /// What lay in the vault when it was looked at last.
    seen: Vec<String>,
    forged: BTreeSet<String>,
    believes: bool,
}

impl Hosts {
    fn new() -> Self {
        let world = World::new();
        let with_catalog = |name: &str| Context {
            catalog: Catalog::open(&world.path(name)).unwrap(),
            ..world.context()
        };
        let stranger = Context {
            vault: Some(Arc::new(world.vault_of_a_stranger())),
            ..with_catalog("stranger.db")
        };
        let mut hosts = Self {
            here: with_catalog("here.db"),
            there: with_catalog("there.db"),
            stranger,
            world,
            deleted: Vec::new(),
            seen: Vec::new(),
            forged: BTreeSet::new(),
            believes: false,
        };
        for _ in 0..3 {
            take(&hosts.there, &hosts.world.shop()).unwrap();
            hosts.world.later(1);
        }
        run_drill(&hosts.there, &hosts.world.shop()).unwrap();
        let (known, nothing) = hosts.look();
        assert_eq!(known, nothing, "at first");
        hosts
    }

    fn key(&self, part: &str, number: usize) -> Option<Key> {
        let keys = self.world.keys(part);
        let at = number.checked_rem(keys.len())?;
        Some(key(&keys[at]))
    }

    /// One that was looked at.
    fn seen_key(&self, part: &str, number: usize) -> Option<Key> {
        self.key(part, number)
            .filter(|key| self.seen.contains(&key.to_string()))
    }

    fn put(&self, key: &Key, bytes: Bytes) {
        let store = &self.world.store;
        store.put(key, bytes, Condition::Always).unwrap();
    }

    fn delete(&mut self, key: Option<Key>) {
        if let Some(key) = key {
            let store = &self.world.store;
            if !self.forged.contains(key.as_str()) {
                self.deleted.push((key.clone(), store.get(&key).unwrap()));
            }
            store.delete(&key).unwrap();
        }
    }

    /// Other bytes of the same size.
    fn forge(&mut self, key: Option<Key>) {
        if let Some(key) = key {
            let bytes = self.world.store.get(&key).unwrap();
            let mut text = String::from_utf8(bytes.to_vec()).unwrap();
            let Some(at) = text.rfind(|digit: char| digit.is_ascii_hexdigit()) else {
                return;
            };
            let other = if &text[at..=at] == "a" { "b" } else { "a" };
            text.replace_range(at..=at, other);
            self.put(&key, Bytes::from(text));
            self.forged.insert(key.to_string());
        }
    }

    /// What an operation refuses is no change.
    fn change(&mut self, change: &Change) {
        let shop = self.world.shop();
        match *change {
            BackedUpHere => drop(take(&self.here, &shop)),
            BackedUpBeside => drop(take(&self.beside(), &shop)),
            BackedUp => drop(take(&self.there, &shop)),
            OtherSourceBackedUp => drop(take(&self.there, &self.books())),
            Drilled => drop(run_drill(&self.there, &shop)),
            Assessed => drop(exception::look(&self.there, &[watched()])),
            Pruned => self.prune(),
            BackedUpByStranger => drop(take(&self.stranger, &shop)),
            HeadDeleted(number) => self.delete(self.key(".head.json", number)),
            HeadForged(number) => self.forge(self.seen_key(".head.json", number)),
            HeadWrittenAgain(number) => {
                if let Some(key) = self.key(".head.json", number) {
                    self.put(&key, self.world.store.get(&key).unwrap());
                }
            }
            HeadSwapped(number) => self.swap(number),
            ReceiptDeleted(number) => self.delete(self.key("/receipts/", number)),
            ReceiptForged(number) => self.forge(self.seen_key("/receipts/", number)),
            JunkBesideHeads => self.put(&key("shop/snapshots/notes.txt"), Bytes::from("hello")),
            JunkForAHead => self.put(&key("shop/snapshots/no.head.json"), Bytes::from("{}")),
            PutBack => {
                if let Some((key, bytes)) = self.deleted.pop()
                    && !self.forged.contains(key.as_str())
                {
                    self.put(&key, bytes);
                }
            }
            SourceDeleted => {
                while let Some(key) = self.key("shop/", 0) {
                    self.delete(Some(key));
                }
            }
            CatalogEmptied => sql(&self.world.path("here.db"), "delete from heads"),
            CatalogRebuilt => drop(catalog::rebuild(&self.beside())),
            RowDeleted => sql(
                &self.world.path("here.db"),
                "delete from heads where key = (select max(key) from heads)",
            ),
            StrangerBelieved => self.believe(),
            ClockSetBack => self.world.clock.advance(SignedDuration::from_hours(-1)),
            Nothing => {}
        }
    }

    /// One head lies under the name of another.
    fn swap(&mut self, number: usize) {
        let one = self.seen_key("/snapshots/", number);
        if let (Some(one), Some(other)) = (one, self.key(".head.json", 0)) {
            let bytes = self.world.store.get(&other).unwrap();
            self.put(&one, bytes);
            self.forged.insert(one.to_string());
        }
    }

    fn prune(&self) {
        let source: SourceName = "shop".parse().unwrap();
        let policy = Policy {
            last: Some(1),
            keep_successful: 1,
            ..Policy::floor(TimeZone::UTC)
        };
        let request = PruneRequest {
            source: &source,
            environment: "production",
            policy: Some(&policy),
            accept_missing_heads: true,
            dry_run: false,
            copies: &[],
        };
        let vault = self.there.vault().unwrap();
        drop(prune::prune_in(&self.there, vault, &request));
    }

    fn believe(&mut self) {
        self.believes = !self.believes;
        let mut access = self.world.vault_access(true, true);
        if self.believes {
            let stranger = self.stranger.vault().unwrap().own_key().unwrap();
            access.trusted_writers.push(stranger.writer());
        }
        self.here.vault = Some(Arc::new(self.world.open(access)));
    }

    fn books(&self) -> SourceSpec {
        SourceSpec {
            name: "books".parse().unwrap(),
            ..self.world.shop()
        }
    }

    /// Another process on this host.
    fn beside(&self) -> Context {
        Context {
            catalog: Catalog::open(&self.world.path("here.db")).unwrap(),
            ..self.here.clone()
        }
    }

    /// A process that begins with a catalog that knows nothing of the vault.
    fn new_process(&self) -> Context {
        let folder = tempfile::tempdir_in(self.world.folder.path()).unwrap();
        let path = folder.keep().join("new.db");
        let copied = format!("vacuum into '{}'", path.to_str().unwrap());
        sql(&self.world.path("here.db"), &copied);
        sql(&path, "delete from heads; delete from receipts");
        Context {
            catalog: Catalog::open(&path).unwrap(),
            ..self.here.clone()
        }
    }

    /// Looks, and looks from nothing.
    fn look(&mut self) -> (Status, Status) {
        // However long the last look took: by now the vault is listed again.
        self.world.clock.advance(SignedDuration::from_mins(11));
        self.seen = self.world.keys("");
        let look = |ctx: &Context| status::look(ctx, &[watched()]).unwrap();
        (look(&self.here), look(&self.new_process()))
    }
}

fn key(name: &str) -> Key {
    name.parse().unwrap()
}

fn sql(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

/// What does not change with the time.
fn gist(status: &Status) -> String {
    let shop = &status.sources[0];
    let backup = shop.last_backup.as_ref().map(|last| last.id);
    let proof = shop.proven.as_ref().map(|proven| &proven.receipt);
    let counts = (shop.backups, shop.untrusted, status.exceptions.len());
    format!("{counts:?} {backup:?} {proof:?} {:?}", status.findings)
}

#[test]
fn each_change_is_seen() {
    for change in ALL {
        let mut hosts = Hosts::new();
        match change {
            PutBack => hosts.change(&HeadDeleted(1)),
            StrangerBelieved => hosts.change(&BackedUpByStranger),
            Assessed => hosts.world.later(30),
            _ => {}
        }
        let (before, nothing) = hosts.look();
        assert_eq!(before, nothing, "at first, {change:?}");
        hosts.change(&change);
        let (after, nothing) = hosts.look();
        assert_eq!(after, nothing, "{change:?}");
        let is_no_news = matches!(
            change,
            OtherSourceBackedUp
                | HeadWrittenAgain(_)
                | ReceiptDeleted(0)
                | ReceiptForged(0)
                | CatalogEmptied
                | CatalogRebuilt
                | RowDeleted
                | JunkBesideHeads
                | ClockSetBack
                | Nothing
        );
        assert_eq!(gist(&before) == gist(&after), is_no_news, "{change:?}");
        let (again, nothing) = hosts.look();
        assert_eq!(again, nothing, "a second time, {change:?}");
    }
}

#[test]
fn a_catalog_that_takes_no_heads_hides_none() {
    let mut hosts = Hosts::new();
    let full = "create trigger full before insert on heads begin select raise(fail, 'full'); end";
    sql(&hosts.world.path("here.db"), full);
    hosts.change(&BackedUp);
    for _ in 0..2 {
        let (known, nothing) = hosts.look();
        assert_eq!(known.sources[0].backups, 4);
        assert_eq!(known, nothing);
    }
}

#[test]
fn one_catalog_tells_vaults_apart() {
    let (one, other) = (World::new(), World::new());
    let in_one = one.context();
    let in_other = Context {
        catalog: in_one.catalog.clone(),
        ..other.context()
    };
    one.back_up_in(&in_one);
    for count in 0..3 {
        for (world, ctx, backups) in [(&one, &in_one, 1), (&other, &in_other, count)] {
            let status = status::look(ctx, &[watched()]).unwrap();
            assert_eq!(status.sources[0].backups, backups);
            world.later(1);
        }
        other.back_up_in(&in_other);
    }
}

fn any_change() -> impl Strategy<Value = Change> {
    (0..ALL.len(), 0..20_usize).prop_map(|(kind, number)| match ALL[kind].clone() {
        HeadDeleted(_) => HeadDeleted(number),
        HeadForged(_) => HeadForged(number),
        HeadWrittenAgain(_) => HeadWrittenAgain(number),
        HeadSwapped(_) => HeadSwapped(number),
        ReceiptDeleted(_) => ReceiptDeleted(number),
        ReceiptForged(_) => ReceiptForged(number),
        other => other,
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        max_shrink_iters: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_look_equals_a_look_from_nothing(
        changes in proptest::collection::vec(proptest::collection::vec(any_change(), 1..4), 1..7)
    ) {
        let mut hosts = Hosts::new();
        for between in &changes {
            for change in between {
                hosts.change(change);
            }
            let (known, nothing) = hosts.look();
            prop_assert_eq!(known, nothing);
        }
    }
}
