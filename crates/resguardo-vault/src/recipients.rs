//! Who a vault is sealed to, changed: `vault.json`, then the write key of each host.
//!
//! Write order: `vault.json`, then the pin in the write key (the caller stores that). Stopped in between,
//! nothing is written to anybody (the two differ, which is an alarm), and the same change made again mends it.
//! On other hosts the same change finds `vault.json` changed already, and only pins.
//!
//! INVARIANT: a host never pins what it was not told: where `vault.json` differs from the pin by anything
//! but the change itself, nothing is written (`tests/recipients.rs`).

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::Timestamp;
use resguardo_model::Head;
use resguardo_store::{Condition, Store};
use serde::{Deserialize, Serialize};

use crate::error::VaultError;
use crate::keys::{self, WriteKey};
use crate::layout;
use crate::vault::{Vault, VaultConfig};

/// What is done to a vault's recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientChange {
    /// What is sealed from now on is sealed to this one as well.
    Add(String),
    /// What is sealed from now on is not sealed to this one.
    Retire(String),
    /// Both at once: the first takes the second's place.
    Replace(String, String),
}

impl RecipientChange {
    /// The recipients after it.
    fn applied(&self, recipients: &[String]) -> Vec<String> {
        let add = |mut all: Vec<String>, one: &String| {
            if !all.contains(one) {
                all.push(one.clone());
            }
            all
        };
        let retire = |mut all: Vec<String>, one: &String| {
            all.retain(|there| there != one);
            all
        };
        let all = recipients.to_vec();
        match self {
            Self::Add(one) => add(all, one),
            Self::Retire(one) => retire(all, one),
            Self::Replace(new, old) => add(retire(all, old), new),
        }
    }

    fn touched(&self) -> Vec<(&String, RecipientState)> {
        match self {
            Self::Add(one) => vec![(one, RecipientState::Added)],
            Self::Retire(one) => vec![(one, RecipientState::Retired)],
            Self::Replace(new, old) => {
                vec![(new, RecipientState::Added), (old, RecipientState::Retired)]
            }
        }
    }
}

/// What became of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipientState {
    /// It was added.
    Added,
    /// It was retired.
    Retired,
}

/// A line of the history of a vault's recipients, in `vault.json`. It informs; nobody relies on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientEvent {
    /// Who.
    pub recipient: String,
    /// What became of it.
    pub state: RecipientState,
    /// When.
    pub at: Timestamp,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientsChanged {
    /// The recipients now.
    pub recipients: Vec<String>,
    /// `vault.json` was written; if not, it was so already.
    pub stored: bool,
    /// The write key pins others than before: its caller stores it.
    pub pinned: bool,
}

/// Changes the recipients of the vault in `store`, and of `key`, which the caller stores afterwards.
///
/// # Errors
/// [`VaultError::ConfigChanged`] if `vault.json` differs from the pin by more than the change;
/// [`VaultError::Key`] for what is no recipient, or if none is left; the store's own, among
/// them a precondition that failed because somebody else changed `vault.json` meanwhile.
pub fn change_recipients(
    store: &dyn Store,
    key: &mut WriteKey,
    change: &RecipientChange,
    now: Timestamp,
) -> Result<RecipientsChanged, VaultError> {
    let place = layout::key(layout::VAULT);
    let conditional = store.capabilities().conditional_put;
    let version = match conditional {
        true => store.stat(&place).ok().and_then(|info| info.version),
        false => None,
    };
    let config = Vault::read_config(store)?;
    if config.vault != key.vault() {
        let what = format!("vault {} instead of {}", config.vault, key.vault());
        return Err(VaultError::ConfigChanged { what });
    }
    let wanted = change.applied(key.recipients());
    let trial = keys::resolve(&wanted)?;
    // All kinds of recipients go together, and every plugin answers.
    crate::seal::begin(Vec::new(), keys::as_dyn(&trial)).map_err(|source| VaultError::Seal {
        object: "a trial object to the new recipients".to_owned(),
        source: Box::new(source),
    })?;
    let there = set(&config.recipients);
    let stored = there != set(&wanted);
    if stored && there != set(key.recipients()) {
        return Err(VaultError::ConfigChanged {
            what: format!(
                "recipients {} instead of {}",
                config.recipients.join(", "),
                key.recipients().join(", ")
            ),
        });
    }
    if stored {
        // Of a replacement, one half may be so already: nothing became of it.
        let events = change.touched().into_iter().filter(|(recipient, state)| {
            let is_there = config.recipients.contains(recipient);
            is_there == (*state == RecipientState::Retired)
        });
        let events: Vec<RecipientEvent> = events
            .map(|(recipient, state)| RecipientEvent {
                recipient: recipient.clone(),
                state,
                at: now,
            })
            .collect();
        let mut next = VaultConfig {
            recipients: wanted.clone(),
            ..config
        };
        next.recipients_changed.extend(events);
        let condition = version.map_or(Condition::Always, Condition::Matches);
        store.put(&place, as_file(&next), condition)?;
    }
    let pinned = set(key.recipients()) != set(&wanted);
    key.pin_recipients(wanted.clone(), now)?;
    Ok(RecipientsChanged {
        recipients: wanted,
        stored,
        pinned,
    })
}

/// An older `vault.json`, brought to the recipients that `key` pins.
pub(crate) fn with_pinned(older: &VaultConfig, key: &WriteKey, now: Timestamp) -> Bytes {
    let (there, pinned) = (set(&older.recipients), set(key.recipients()));
    let event = |recipient: &&String, state, at| RecipientEvent {
        recipient: (*recipient).clone(),
        state,
        at,
    };
    let added = pinned.difference(&there).map(|one| {
        let at = key.recipient_added_at(one).unwrap_or(now);
        event(one, RecipientState::Added, at)
    });
    let gone = there.difference(&pinned);
    let gone = gone.map(|one| event(one, RecipientState::Retired, now));
    let mut next = VaultConfig {
        recipients: key.recipients().to_vec(),
        ..older.clone()
    };
    next.recipients_changed.extend(added.chain(gone));
    as_file(&next)
}

fn as_file(config: &VaultConfig) -> Bytes {
    let mut json = serde_json::to_vec_pretty(config).expect("strings always serialise");
    json.push(b'\n');
    json.into()
}

/// Recipients have no order.
pub(crate) fn set(recipients: &[String]) -> BTreeSet<&String> {
    recipients.iter().collect()
}

/// A time during which what a vault seals was sealed to a recipient: since when (without it: since the vault
/// was made) and until when (without it: it still is).
pub type RecipientSpan = (Option<Timestamp>, Option<Timestamp>);

/// The last span of a recipient. [`spans_of`] has those before it.
#[must_use]
pub fn span_of(config: &VaultConfig, recipient: &str) -> RecipientSpan {
    spans_of(config, recipient)
        .pop()
        .expect("a recipient has one span at least")
}

/// Since when, and until when, what a vault seals was sealed to a recipient, as `vault.json` tells it, in
/// the order of time: whoever was retired and added again has more than one. There is always one.
#[must_use]
pub fn spans_of(config: &VaultConfig, recipient: &str) -> Vec<RecipientSpan> {
    spans(&config.recipients_changed, recipient)
}

fn spans(events: &[RecipientEvent], recipient: &str) -> Vec<RecipientSpan> {
    let events = events.iter();
    let mut events = events
        .filter(|event| event.recipient == recipient)
        .peekable();
    let is_later = events
        .peek()
        .is_some_and(|first| first.state == RecipientState::Added);
    let mut spans = Vec::new();
    if !is_later {
        spans.push((None, None));
    }
    for event in events {
        match (event.state, spans.last_mut()) {
            // It was one already.
            (RecipientState::Added, Some((_, None))) => {}
            (RecipientState::Added, _) => spans.push((Some(event.at), None)),
            (RecipientState::Retired, Some((_, until @ None))) => *until = Some(event.at),
            (RecipientState::Retired, _) => {}
        }
    }
    spans
}

/// Whether a backup that began at `began` was sealed to every recipient that this host pins. A backup that
/// is built upon another shares its packs: where the answer is no, the next one has to be a whole one.
///
/// Times are the host's own, and its clock may have been wrong: that is why pieces get other ids as well, so that a
/// wrong answer costs space and closes nothing ([`WriteKey::pin_recipients`]). The pins alone answer. Only whoever holds an identity can tell whether a further header opens: one bundle with another
/// file key, from a host whose key was stolen, would close all later backups to the new recipient.
pub(crate) fn sealed_to_all(key: &WriteKey, began: Timestamp) -> bool {
    key.recipients()
        .iter()
        .all(|one| key.recipient_added_at(one).is_none_or(|at| at < began))
}

impl Vault {
    /// Whether a recipient should be able to open a backup: it was one when the backup began, as
    /// `vault.json` tells, or has further headers of all of it. Only trying proves it (`keys rehearse`).
    ///
    /// # Errors
    /// The store's own.
    pub fn should_open(&self, recipient: &str, head: &Head) -> Result<bool, VaultError> {
        let was_there = spans_of(self.config(), recipient)
            .iter()
            .any(|(since, until)| {
                since.is_none_or(|since| since < head.started_at)
                    && until.is_none_or(|until| head.started_at < until)
            });
        Ok(was_there || self.bundles(&head.source)?.cover(head, recipient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::constant(second, 0)
    }

    fn event((recipient, state, second): (&str, RecipientState, i64)) -> RecipientEvent {
        RecipientEvent {
            recipient: recipient.to_owned(),
            state,
            at: at(second),
        }
    }

    #[test]
    fn a_recipient_that_came_back_has_a_span_for_each_time() {
        use RecipientState::{Added, Retired};
        let events = [
            ("a", Retired, 10),
            ("b", Added, 10),
            ("a", Added, 20),
            ("b", Added, 30),
            ("b", Retired, 40),
            ("b", Added, 50),
        ]
        .map(event);
        assert_eq!(
            spans(&events, "a"),
            [(None, Some(at(10))), (Some(at(20)), None)]
        );
        assert_eq!(
            spans(&events, "b"),
            [(Some(at(10)), Some(at(40))), (Some(at(50)), None)],
            "added twice is added at first"
        );
        assert_eq!(spans(&events, "c"), [(None, None)]);
    }
}
