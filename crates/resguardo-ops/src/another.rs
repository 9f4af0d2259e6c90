//! Whether two backups of one source are of one database: a URL that was changed by mistake, or whose
//! variable holds another project's, would else put strangers' data among a source's backups unseen.

use std::collections::BTreeMap;

use resguardo_model::{BackupId, Reason, SourceName};
use resguardo_vault::StoredHead;
use serde_json::Value;

use crate::backup::{DATABASE, SYSTEM_IDENTIFIER};
use crate::context::Context;
use crate::error::OpsError;
use crate::history::{self, Told};
use crate::source::SourceSpec;

/// A database among all: its name, and its cluster where that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Identity {
    database: String,
    cluster: String,
}

impl Identity {
    fn of_told(told: &Told) -> Self {
        Self {
            database: told.database.clone(),
            cluster: told.system_identifier.clone(),
        }
    }

    fn of_details(details: &BTreeMap<String, Value>) -> Self {
        let text = |name: &str| {
            let value = details.get(name).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        Self {
            database: text(DATABASE),
            cluster: text(SYSTEM_IDENTIFIER),
        }
    }

    /// How the later of two differs; nothing is said of what one of them does not tell.
    fn difference(&self, earlier: &Self) -> Option<String> {
        let differ = |a: &str, b: &str| !a.is_empty() && !b.is_empty() && a != b;
        if differ(&self.database, &earlier.database) {
            return Some(format!(
                "is of the database {}, and the one before it, {{}}, is of {}",
                self.database, earlier.database
            ));
        }
        differ(&self.cluster, &earlier.cluster).then(|| {
            format!(
                "is of the database {} on another server than the one before it, {{}}, or on one that was made anew",
                self.database
            )
        })
    }
}

/// What a backup that is being taken has to be told of the one before it.
pub(crate) fn note(
    ctx: &Context,
    source: &SourceSpec,
    reason: &Reason,
    details: &BTreeMap<String, Value>,
) -> Option<String> {
    let this = Identity::of_details(details);
    // A safety backup may be of any database. What cannot be read now, `doctor` tells.
    if *reason == Reason::safety() || this == Identity::default() {
        return None;
    }
    let (backup, earlier) = known(ctx, &source.name).ok()?.into_iter().next()?;
    let words = this.difference(&earlier)?;
    Some(format!(
        "this backup {}; {}",
        named(&words, backup),
        advice(&source.name)
    ))
}

/// What `doctor` says of the newest backup of a source: that it is of another database than the one before.
///
/// # Errors
/// If the vault cannot be read.
pub(crate) fn of_newest(
    ctx: &Context,
    source: &SourceName,
) -> Result<Option<(String, String)>, OpsError> {
    let known = known(ctx, source)?;
    let [(_, newest), (backup, earlier), ..] = known.as_slice() else {
        return Ok(None);
    };
    let words = newest.difference(earlier);
    Ok(words.map(|words| {
        let message = format!("the newest {}", named(&words, *backup));
        (message, advice(source))
    }))
}

fn named(words: &str, backup: BackupId) -> String {
    words.replacen("{}", &backup.to_string()[..10], 1)
}

fn advice(source: &SourceName) -> String {
    format!(
        "if that was not meant, put the url of the source {source} right and take another backup"
    )
}

/// Which databases a source's backups are of, the newest first; those for safety are left out.
fn known(ctx: &Context, source: &SourceName) -> Result<Vec<(BackupId, Identity)>, OpsError> {
    let heads = history::heads(ctx, Some(source))?;
    let drills = history::drills(ctx, &history::sources_of(&heads.heads))?;
    let is_own = |stored: &&StoredHead| {
        stored.trusted && stored.head.source == *source && stored.head.reason != Reason::safety()
    };
    let mut own: Vec<_> = heads.heads.iter().filter(is_own).collect();
    own.sort_by_key(|stored| std::cmp::Reverse((stored.head.taken_at, stored.head.backup)));
    let told = own.into_iter().filter_map(|stored| {
        let backup = stored.head.backup;
        let told = drills.get(&backup)?.told.as_ref()?;
        Some((backup, Identity::of_told(told)))
    });
    Ok(told
        .filter(|(_, identity)| *identity != Identity::default())
        .collect())
}
