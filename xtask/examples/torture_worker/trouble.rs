//! What goes wrong with the store during one step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use resguardo_store::wrap::{Fault, Faulty, Operation, Pacing, Retry, RetryPolicy, Rule};
use resguardo_store::{MemoryStore, Store};

use crate::chance::Chance;
use crate::time::Clocks;

/// The faults of one step.
pub(crate) struct Trouble {
    rules: Vec<Rule>,
    /// Whether calls are tried again, as the product does.
    retried: bool,
    /// In words, for the journal.
    pub(crate) word: String,
    /// The process dies in the midst, so that it cannot let go of its lease either.
    pub(crate) kills: bool,
    /// The process is frozen in the midst for longer than a lease lasts.
    pub(crate) freezes: bool,
    /// The store breaks its contract: a read that differs from what is stored, or a listing of yesterday.
    pub(crate) lies: bool,
    /// Calls that something went wrong with.
    struck: Arc<AtomicU64>,
}

/// What a step may meet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Anything but lies of the store.
    Honest,
    /// Lies as well.
    Anything,
}

impl Trouble {
    pub(crate) fn none() -> Self {
        Self {
            rules: Vec::new(),
            retried: false,
            word: "a sound store".to_owned(),
            kills: false,
            freezes: false,
            lies: false,
            struck: Arc::default(),
        }
    }

    /// How many calls something went wrong with, once all is over.
    pub(crate) fn struck(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.struck)
    }

    /// A process that dies at one of its first calls, or a sound store.
    pub(crate) fn draw_death(chance: &mut Chance) -> Self {
        let mut trouble = Self::none();
        if chance.one_in(3) {
            let call = 1 + chance.below(60);
            trouble.kills = true;
            trouble.add(
                format!("dies at call {call}"),
                Rule::from(call, Fault::Dead),
            );
        }
        trouble
    }

    pub(crate) fn draw(chance: &mut Chance, reach: Reach) -> Self {
        let mut trouble = Self {
            retried: !chance.one_in(3),
            ..Self::none()
        };
        let kinds = if reach == Reach::Anything { 16 } else { 13 };
        match chance.below(kinds) {
            0..=4 => return trouble,
            5..=7 => {
                let call = 1 + chance.below(40);
                trouble.kills = true;
                trouble.add(
                    format!("dies at call {call}"),
                    Rule::from(call, Fault::Dead),
                );
            }
            8 => trouble.some(chance, "loses answers", |_| Fault::LostAnswer),
            9 => trouble.some(chance, "fails", |_| Fault::Fail),
            10 => {
                let call = 1 + chance.below(12);
                let word = format!("is full from put {call} on");
                trouble.add(word, Rule::from(call, Fault::Full).on(Operation::Put));
            }
            11 => {
                let part = *chance.pick(&["/packs/", "/index/", "manifest"]);
                let torn = Fault::TornUpload {
                    acknowledged: false,
                };
                trouble.add(format!("tears {part}"), Rule::nth(1, torn).key(part));
            }
            12 => trouble.slow(chance),
            13 => {
                let bit = chance.index(1 << 20);
                let call = 1 + chance.below(25);
                trouble.lies = true;
                trouble.add(
                    format!("flips a bit of read {call}"),
                    Rule::nth(call, Fault::BitFlip { bit }).on(Operation::GetRange),
                );
            }
            14 => {
                let call = 1 + chance.below(25);
                trouble.lies = true;
                trouble.add(
                    format!("cuts read {call} short"),
                    Rule::nth(call, Fault::ShortRead).on(Operation::GetRange),
                );
            }
            _ => {
                let youngest = 1 + chance.index(4);
                trouble.lies = true;
                trouble.add(
                    format!("lists without the youngest {youngest}"),
                    Rule::from(1, Fault::StaleList { youngest }),
                );
            }
        }
        trouble
    }

    fn add(&mut self, word: String, rule: Rule) {
        self.word = word;
        self.rules.push(rule);
    }

    /// One to three calls of the first thirty.
    fn some(&mut self, chance: &mut Chance, word: &str, fault: impl Fn(u64) -> Fault) {
        for _ in 0..=chance.below(3) {
            let call = 1 + chance.below(30);
            self.rules.push(Rule::nth(call, fault(call)));
        }
        self.word = word.to_owned();
    }

    /// Minutes or days pass during one call: leases lapse, graces end, others are at work meanwhile.
    fn slow(&mut self, chance: &mut Chance) {
        let minutes = *chance.pick(&[3, 16, 90, 23 * 60, 25 * 60, 60 * 60]);
        let after = Duration::from_secs(minutes * 60);
        let fault = match chance.below(4) {
            0 => Fault::Timeout {
                after,
                takes_place: false,
            },
            1 => Fault::Timeout {
                after,
                takes_place: true,
            },
            _ => Fault::Slow(after),
        };
        self.freezes = minutes > 15;
        if chance.one_in(2) {
            let call = 1 + chance.below(30);
            let word = format!("takes {minutes} minutes for call {call}");
            self.add(word, Rule::nth(call, fault));
        } else {
            let part = *chance.pick(&["/packs/", "/index/", "manifest", "head.json"]);
            let word = format!("takes {minutes} minutes to put {part}");
            self.add(word, Rule::nth(1, fault).on(Operation::Put).key(part));
        }
    }

    /// The store as this step meets it.
    pub(crate) fn around(self, store: &MemoryStore, clocks: &Clocks) -> Arc<dyn Store> {
        self.around_while(store, clocks, || {})
    }

    /// As [`Trouble::around`]; `meanwhile` happens in the midst of a call that takes long.
    pub(crate) fn around_while(
        self,
        store: &MemoryStore,
        clocks: &Clocks,
        meanwhile: impl Fn() + Send + Sync + 'static,
    ) -> Arc<dyn Store> {
        let clocks = clocks.clone();
        let faulty = self
            .rules
            .into_iter()
            .fold(Faulty::new(store.clone()), Faulty::with)
            .with_counter(self.struck)
            .with_sleeper(move |pause| {
                clocks.pass(pause.as_secs() / 2);
                meanwhile();
                clocks.pass(pause.as_secs() / 2);
            });
        if !self.retried {
            return Arc::new(faulty);
        }
        let pacing = Arc::new(Counted::default());
        Arc::new(Retry::new(faulty, RetryPolicy::default(), pacing))
    }
}

/// Pauses that take no time.
#[derive(Default)]
struct Counted(AtomicU64);

impl Pacing for Counted {
    fn sleep(&self, pause: Duration) {
        let milliseconds = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn fraction(&self) -> f64 {
        0.5
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}
