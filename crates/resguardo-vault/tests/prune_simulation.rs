//! Backups, prunes, crashes and clocks in random order against a model of what must be there.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes files and starts tools directly"
)]

mod rig;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use resguardo_store::Store;
use resguardo_store::wrap::Faulty;
use resguardo_store::wrap::faulty::{Fault, Rule};
use resguardo_vault::{PruneOptions, Vault, VaultError};
use rig::pruning::{Pruning, prune_with};
use rig::{back_up, backup_id};

/// A small generator of its own, so that a seed means the same for ever.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }
}

struct Simulation {
    all: Pruning,
    dice: Dice,
    next: u64,
    /// Backups that must be there.
    must: BTreeSet<u64>,
    /// Backups that may be there: a backup or a prune was stopped, and nobody heard how far it came.
    may: BTreeSet<u64>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        Self {
            all: Pruning::with(0),
            dice: Dice(seed),
            next: 1,
            must: BTreeSet::new(),
            may: BTreeSet::new(),
        }
    }

    /// A vault over the store, or over one that goes wrong somewhere.
    fn vault(&mut self) -> Vault {
        let store = self.all.rig.store.clone() as Arc<dyn Store>;
        let at = 1 + self.dice.roll(60);
        let rule = match self.dice.roll(6) {
            0 => Rule::from(at, Fault::Dead),
            1 => Rule::nth(at, Fault::Fail),
            2 => Rule::nth(at, Fault::LostAnswer),
            _ => return self.all.rig.vault(),
        };
        let faulty = Arc::new(Faulty::new(store).with(rule));
        let (access, settings) = (self.all.rig.access(true, true), self.all.rig.settings());
        Vault::open(faulty, access, settings).unwrap_or_else(|_| self.all.rig.vault())
    }

    fn step(&mut self) {
        match self.dice.roll(10) {
            0..=3 => self.back_up(),
            4..=6 => self.prune(),
            7 => self
                .all
                .hours_pass(1 + i64::try_from(self.dice.roll(40)).unwrap()),
            8 => {
                // This machine's clock is nobody's business; a lost cache only costs space.
                let hours = i64::try_from(self.dice.roll(20_000)).unwrap() - 10_000;
                self.all
                    .rig
                    .clock
                    .advance(SignedDuration::from_hours(hours));
                if self.dice.roll(3) == 0 {
                    self.all.rig.lose_cache();
                }
            }
            _ => self.all.rig = self.all.rig.sharing(),
        }
        self.check();
    }

    fn back_up(&mut self) {
        let number = self.next;
        self.next += 1;
        let files = self.all.change(number);
        self.all.contents.insert(number, files.clone());
        match back_up(&self.vault(), number, &files) {
            Ok(_) => self.must.insert(number),
            Err(_) => self.may.insert(number),
        };
        self.all.drop_lease();
    }

    fn prune(&mut self) {
        let alive: Vec<u64> = self.must.union(&self.may).copied().collect();
        let doomed: Vec<u64> = alive
            .into_iter()
            .filter(|_| self.dice.roll(3) == 0)
            .collect();
        let outcome = prune_with(&self.vault(), &doomed, PruneOptions::default());
        self.all.drop_lease();
        for number in &doomed {
            self.must.remove(number);
            self.may.remove(number);
            if outcome.is_err() {
                self.may.insert(*number);
            }
        }
        if let Ok(outcome) = outcome {
            assert_eq!(outcome.unswept, []);
            assert_eq!(outcome.kept, []);
        }
    }

    fn check(&self) {
        let heads = self.all.heads();
        let is_there = |number: &u64| {
            let id = backup_id(*number);
            heads.iter().any(|stored| stored.head.backup == id)
        };
        let there: Vec<u64> = (1..self.next).filter(is_there).collect();
        assert!(
            self.must.iter().all(|number| there.contains(number)),
            "{:?} of {there:?}",
            self.must
        );
        let allowed = |number: &u64| self.must.contains(number) || self.may.contains(number);
        assert!(there.iter().all(allowed), "{there:?}");
        self.all.assert_holds(&there);
    }

    fn settle(&mut self) -> Result<(), VaultError> {
        for _ in 0..3 {
            self.all.hours_pass(25);
            prune_with(&self.all.rig.vault(), &[], PruneOptions::default())?;
        }
        self.check();
        self.all.assert_nothing_dead();
        Ok(())
    }
}

fn simulate(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let told = std::panic::catch_unwind(|| {
            let mut simulation = Simulation::new(seed);
            (0..25).for_each(|_| simulation.step());
            simulation.settle().unwrap();
        });
        assert!(told.is_ok(), "seed {seed} fails");
    }
}

#[test]
fn schedules_of_seeds_0_to_5() {
    simulate(0..6);
}

#[test]
fn schedules_of_seeds_6_to_11() {
    simulate(6..12);
}
