//! References: how a backup is named on a command line.
//!
//! | text | backup |
//! |---|---|
//! | `01jd8kq2v3…` | the one whose id begins so; at least 4 characters |
//! | `latest` | the newest, if the vault holds one source only |
//! | `shop`, `shop:latest` | the newest of `shop` |
//! | `shop@2026-11-20` | the newest of `shop` taken up to the end of that day |
//! | `shop@2026-11-20T14:00` | the newest of `shop` taken up to the end of that minute |
//! | `shop@2026-11-20T14:00:30` | the newest of `shop` taken up to that second |
//! | `shop@2026-11-20T14:00:30Z` | the same, with an offset of its own |
//!
//! The newest is the last that was signed, by the heads' sequence: a writer's clock may be wrong. Only what
//! is named by a moment goes by the clock.
//!
//! Days and times without an offset are read in the zone of [`Context::zone`]. A backup with reason
//! `safety` holds what a restore was about to overwrite; it is never the newest, and is named by its id.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use resguardo_model::{Finding, Head, Reason, SourceName};
use resguardo_vault::{Heads, StoredHead};

use crate::context::{Context, moment};
use crate::error::OpsError;
use crate::history;

/// The fewest characters that name a backup.
const PREFIX_CHARACTERS_MIN: usize = 4;
/// Most backups or sources that an error lists.
const LISTED_MAX: usize = 8;

/// A backup, as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `latest`.
    Latest,
    /// A bare word: a source, or the beginning of an id. The vault decides; a source wins.
    Word(String),
    /// `shop:latest`.
    LatestOf(SourceName),
    /// `shop@...`.
    At {
        /// The source.
        source: SourceName,
        /// The moment.
        moment: Moment,
    },
}

/// A day or time as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A day: its end is meant.
    Day(Date),
    /// A local time to the second.
    Local(DateTime),
    /// A local time without seconds: the end of the minute is meant.
    Minute(DateTime),
    /// A time with its own offset, to the second.
    Exact(Timestamp),
    /// A time with its own offset and without seconds: the end of the minute is meant.
    ExactMinute(Timestamp),
}

/// From the beginning of a minute to its last instant.
const MINUTE_NANOSECONDS: i64 = 60_000_000_000 - 1;

impl Moment {
    /// The last instant that it includes, in `zone`.
    fn last_instant(&self, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Day(day) => {
                let next = day.checked_add(Span::new().days(1)).ok()?;
                let start = next.to_zoned(zone.clone()).ok()?.timestamp();
                start.checked_sub(Span::new().nanoseconds(1)).ok()
            }
            Self::Local(time) => instant_of(*time, zone),
            Self::Minute(time) => end_of_minute(instant_of(*time, zone)?),
            Self::Exact(instant) => Some(*instant),
            Self::ExactMinute(instant) => end_of_minute(*instant),
        }
    }
}

fn instant_of(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let zoned = time.to_zoned(zone.clone()).ok()?;
    Some(zoned.timestamp())
}

fn end_of_minute(start: Timestamp) -> Option<Timestamp> {
    let rest = Span::new().nanoseconds(MINUTE_NANOSECONDS);
    start.checked_add(rest).ok()
}

/// Whether seconds are written: six digits of a time, before any fraction or offset.
fn has_seconds(text: &str) -> bool {
    let (_, time) = text.split_once(['T', 't', ' ']).unwrap_or(("", text));
    let clock = time.split(['.', ',', 'Z', 'z', '+', '-', '[']).next();
    let digits = clock.unwrap_or(time).bytes().filter(u8::is_ascii_digit);
    digits.count() >= 6
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Ok(if has_seconds(text) {
                Self::Exact(instant)
            } else {
                Self::ExactMinute(instant)
            });
        }
        // A date parses as a date and time at midnight too; the day is meant then.
        if let Ok(day) = text.parse::<Date>()
            && !text.contains(['T', 't', ' '])
        {
            return Ok(Self::Day(day));
        }
        let of = if has_seconds(text) {
            Self::Local
        } else {
            Self::Minute
        };
        text.parse::<DateTime>()
            .map(of)
            .map_err(|_| format!("{text:?} is no day or time like 2026-11-20 or 2026-11-20T14:00"))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Local(time) | Self::Minute(time) => time.fmt(f),
            Self::Exact(instant) | Self::ExactMinute(instant) => instant.fmt(f),
        }
    }
}

impl FromStr for Reference {
    type Err = OpsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = |why: String| OpsError::NotAReference {
            text: text.to_owned(),
            why,
        };
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Some((source, moment)) = text.split_once('@') {
            let source = source
                .parse()
                .map_err(|error| refused(format!("{error}")))?;
            let moment = moment.parse().map_err(refused)?;
            return Ok(Self::At { source, moment });
        }
        if let Some((source, word)) = text.split_once(':') {
            if word != "latest" {
                return Err(refused(format!(
                    "after the colon only latest is known, not {word:?}"
                )));
            }
            let source = source
                .parse()
                .map_err(|error| refused(format!("{error}")))?;
            return Ok(Self::LatestOf(source));
        }
        // Whatever can be an id can be a source's name too, so one rule is enough.
        text.parse::<SourceName>()
            .map(|_| Self::Word(text.to_owned()))
            .map_err(|error| refused(format!("{error}")))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Word(word) => f.write_str(word),
            Self::LatestOf(source) => write!(f, "{source}:latest"),
            Self::At { source, moment } => write!(f, "{source}@{moment}"),
        }
    }
}

/// Finds the backup that is meant.
///
/// # Errors
/// [`OpsError::NoSuchBackup`], [`OpsError::NoSuchSource`] and [`OpsError::Ambiguous`] say what there
/// is; [`OpsError::OnlyUntrusted`]; [`OpsError::Vault`].
pub fn resolve(ctx: &Context, reference: &Reference) -> Result<StoredHead, OpsError> {
    resolve_with_findings(ctx, reference).map(|(stored, _)| stored)
}

/// As [`resolve`]; also tells what is wrong with other heads of that source, where the backup was not
/// named by its id: one of them may be what was meant.
pub(crate) fn resolve_with_findings(
    ctx: &Context,
    reference: &Reference,
) -> Result<(StoredHead, Vec<Finding>), OpsError> {
    let Heads {
        heads,
        mut findings,
    } = history::heads(ctx, None)?;
    let chosen = choose(&heads, reference, &ctx.zone);
    let stored = chosen
        .map_err(|error| with_retirement(ctx, &heads, error))?
        .clone();
    let by_id = match reference {
        Reference::Word(word) => stored.head.source.as_str() != word,
        Reference::Latest | Reference::LatestOf(_) | Reference::At { .. } => false,
    };
    findings.retain(|finding| !by_id && finding.source.as_ref() == Some(&stored.head.source));
    Ok((stored, findings))
}

/// Adds whether one of the writers that are not believed was retired here.
fn with_retirement(ctx: &Context, heads: &[StoredHead], mut error: OpsError) -> OpsError {
    if let OpsError::OnlyUntrusted {
        source_name,
        retired,
        ..
    } = &mut error
        && let Ok(vault) = ctx.vault()
    {
        *retired = heads
            .iter()
            .filter(|stored| stored.head.source == *source_name)
            .any(|stored| vault.retired(stored.head.writer).is_some());
    }
    error
}

/// Chooses among all heads of a vault.
fn choose<'a>(
    heads: &'a [StoredHead],
    reference: &Reference,
    zone: &TimeZone,
) -> Result<&'a StoredHead, OpsError> {
    match reference {
        Reference::Latest => {
            let sources = sources_of(heads);
            if sources.len() > 1 {
                return Err(OpsError::Ambiguous {
                    reference: "latest".to_owned(),
                    candidates: shortened(
                        sources
                            .iter()
                            .map(|source| format!("{source}:latest"))
                            .collect(),
                    ),
                });
            }
            let newest = sources
                .first()
                .and_then(|source| newest(heads, source, None));
            newest.ok_or_else(|| none(reference, heads, sources.first().copied(), zone))
        }
        Reference::LatestOf(source) => newest_of(heads, source, reference, None, zone),
        Reference::At { source, moment } => {
            let until = moment
                .last_instant(zone)
                .ok_or_else(|| OpsError::NotAReference {
                    text: reference.to_string(),
                    why: format!("{moment} does not exist in this time zone"),
                })?;
            newest_of(heads, source, reference, Some(until), zone)
        }
        Reference::Word(word) => {
            let source = sources_of(heads)
                .into_iter()
                .find(|source| source.as_str() == word);
            match source {
                Some(source) => newest_of(heads, source, reference, None, zone),
                None => by_prefix(heads, word, reference, zone),
            }
        }
    }
}

fn newest_of<'a>(
    heads: &'a [StoredHead],
    source: &SourceName,
    reference: &Reference,
    until: Option<Timestamp>,
    zone: &TimeZone,
) -> Result<&'a StoredHead, OpsError> {
    if !sources_of(heads).contains(&source) {
        return Err(OpsError::NoSuchBackup {
            reference: reference.to_string(),
            there_is: what_there_is(heads),
        });
    }
    newest(heads, source, until).ok_or_else(|| none(reference, heads, Some(source), zone))
}

fn newest<'a>(
    heads: &'a [StoredHead],
    source: &SourceName,
    until: Option<Timestamp>,
) -> Option<&'a StoredHead> {
    heads
        .iter()
        // Whoever can write to the store can sign with a key of his own, and date it as he likes.
        .filter(|stored| stored.trusted)
        .filter(|stored| stored.head.source == *source && stored.head.reason != Reason::safety())
        .filter(|stored| until.is_none_or(|until| stored.head.taken_at <= until))
        .max_by_key(|stored| {
            let Head {
                taken_at, sequence, ..
            } = stored.head;
            // What is equal in the one order is told apart by the other.
            match until {
                Some(_) => (taken_at.as_nanosecond(), i128::from(sequence)),
                None => (i128::from(sequence), taken_at.as_nanosecond()),
            }
        })
}

fn by_prefix<'a>(
    heads: &'a [StoredHead],
    word: &str,
    reference: &Reference,
    zone: &TimeZone,
) -> Result<&'a StoredHead, OpsError> {
    let fits = |stored: &&StoredHead| stored.head.backup.to_string().starts_with(word);
    if word.len() < PREFIX_CHARACTERS_MIN {
        return Err(none(reference, heads, None, zone));
    }
    let found: Vec<_> = heads.iter().filter(fits).collect();
    match found.as_slice() {
        [] => Err(none(reference, heads, None, zone)),
        [only] => Ok(only),
        many => Err(OpsError::Ambiguous {
            reference: reference.to_string(),
            candidates: shortened(many.iter().map(|stored| named(stored, zone)).collect()),
        }),
    }
}

fn none(
    reference: &Reference,
    heads: &[StoredHead],
    source: Option<&SourceName>,
    zone: &TimeZone,
) -> OpsError {
    let there_is = match source {
        None => what_there_is(heads),
        Some(source) => {
            let of_source = || heads.iter().filter(|stored| stored.head.source == *source);
            let trusted = of_source().filter(|stored| stored.trusted);
            match trusted.min_by_key(|stored| stored.head.taken_at) {
                Some(oldest) => format!("the oldest of {source} is {}", named(oldest, zone)),
                None => {
                    let writers: BTreeSet<_> = of_source()
                        .map(|stored| stored.head.writer.to_string())
                        .collect();
                    return OpsError::OnlyUntrusted {
                        source_name: source.clone(),
                        writers: shortened(writers.into_iter().collect()),
                        retired: false,
                    };
                }
            }
        }
    };
    OpsError::NoSuchBackup {
        reference: reference.to_string(),
        there_is,
    }
}

fn what_there_is(heads: &[StoredHead]) -> String {
    let sources = sources_of(heads);
    if sources.is_empty() {
        return "the vault holds no backup yet".to_owned();
    }
    let names = shortened(sources.iter().map(ToString::to_string).collect());
    format!("the vault holds backups of {}", names.join(", "))
}

fn named(stored: &StoredHead, zone: &TimeZone) -> String {
    let head = &stored.head;
    let at = moment(head.taken_at, zone);
    format!("{} ({} of {at})", head.backup, head.source)
}

fn sources_of(heads: &[StoredHead]) -> Vec<&SourceName> {
    let names: BTreeSet<_> = heads.iter().map(|stored| &stored.head.source).collect();
    names.into_iter().collect()
}

fn shortened(mut names: Vec<String>) -> Vec<String> {
    if names.len() > LISTED_MAX {
        let more = names.len() - LISTED_MAX;
        names.truncate(LISTED_MAX);
        names.push(format!("{more} more"));
    }
    names
}
