//! What the catalogs tell: sequences, large objects, extensions, roles, indexes and constraints,
//! materialized views, the application's migrations, and the order of texts.

use std::collections::{BTreeMap, BTreeSet};

use resguardo_model::{CheckOutcome, CheckResult, counted};

use super::differ::{self, Named};
use super::{Asked, skipped, timed, unknown};
use crate::port::EngineError;
use crate::postgres::catalog;
use crate::postgres::inventory::{Inventory, Migration, Role, Sequence};
use crate::postgres::name;
use crate::postgres::properties;
use crate::postgres::sandbox;
use crate::postgres::session::Session;

/// A check: what was known, and whom to ask.
type Ask = fn(&Inventory, &Session) -> Result<CheckResult, EngineError>;

const CHECKS: [(&str, Ask); 8] = [
    (SEQUENCES, sequences),
    (LARGE_OBJECTS, large_objects),
    (EXTENSIONS, extensions),
    (ROLES, roles),
    (PROPERTIES, properties),
    (MATVIEWS, matviews),
    (MIGRATION, migration),
    (LOCALE, locale),
];

const SEQUENCES: &str = "sequences";
const LARGE_OBJECTS: &str = "large objects";
const EXTENSIONS: &str = "extensions";
const ROLES: &str = "roles";
const PROPERTIES: &str = "database settings and grants";
/// What `pg_dump` leaves to whoever sets up the server.
const OF_THE_SERVER: [&str; 2] = [ROLES, PROPERTIES];
const VALID: &str = "indexes and constraints";
const MATVIEWS: &str = "materialized views";
const MIGRATION: &str = "migration version";
const LOCALE: &str = "encoding and order of texts";

/// All of them, one after the other in one session.
pub(super) fn all(asked: &Asked<'_>) -> Vec<CheckResult> {
    let clock = asked.run.clock;
    let session = match asked.session() {
        Ok(session) => session,
        Err(error) => {
            let names = CHECKS.iter().map(|(name, _)| *name).chain([VALID]);
            return names
                .map(|name| CheckResult::error(name, "", error.in_full()))
                .collect();
        }
    };
    let mut results: Vec<CheckResult> = CHECKS
        .iter()
        .map(|(name, ask)| {
            timed(clock, || match asked.inventory {
                None => unknown(name),
                Some(_) if asked.is_dump() && OF_THE_SERVER.contains(name) => {
                    skipped(name, "a dump does not hold them")
                }
                Some(inventory) => ask(inventory, &session)
                    .unwrap_or_else(|error| CheckResult::error(name, "", error.in_full())),
            })
        })
        .collect();
    results.push(timed(clock, || {
        valid(asked.inventory, &session)
            .unwrap_or_else(|error| CheckResult::error(VALID, "", error.in_full()))
    }));
    results
}

fn sequences(inventory: &Inventory, session: &Session) -> Result<CheckResult, EngineError> {
    let named = |sequences: &[Sequence]| -> Named {
        let named = sequences.iter().map(|sequence| {
            let given = if sequence.is_called {
                ""
            } else {
                " not given out"
            };
            let value = format!("{}{given}", sequence.last_value);
            (sequence.quoted(), value)
        });
        named.collect()
    };
    let summary = counted(inventory.sequences.len() as u64, "sequence");
    Ok(differ::compare(
        SEQUENCES,
        &summary,
        &named(&inventory.sequences),
        &named(&known(inventory, session)?),
    ))
}

/// The sequences that are there, but for those that could not be read at the source and have come back at
/// their start.
fn known(inventory: &Inventory, session: &Session) -> Result<Vec<Sequence>, EngineError> {
    let mut there = catalog::sequences(session)?;
    if inventory.unread.is_empty() {
        return Ok(there);
    }
    let rows = session.rows("select seqrelid, seqstart from pg_sequence")?;
    let starts: BTreeMap<u32, i64> = rows
        .iter()
        .map(|row| (row.number(0), row.number(1)))
        .collect();
    there.retain(|sequence| {
        let quoted = sequence.quoted();
        let is_unread = inventory
            .unread
            .iter()
            .any(|unread| unread.quoted() == quoted);
        let is_at_start =
            !sequence.is_called && starts.get(&sequence.oid) == Some(&sequence.last_value);
        !(is_unread && is_at_start)
    });
    Ok(there)
}

fn large_objects(inventory: &Inventory, session: &Session) -> Result<CheckResult, EngineError> {
    let told = |objects: Option<&crate::postgres::inventory::LargeObjects>| match objects {
        None => "none".to_owned(),
        Some(objects) => format!(
            "{}, {} bytes, {}",
            counted(objects.count, "object"),
            objects.bytes,
            objects.digest
        ),
    };
    let actual = catalog::large_objects(session)?;
    Ok(CheckResult::compare(
        LARGE_OBJECTS,
        told(inventory.large_objects.as_ref()),
        told(actual.as_ref()),
    ))
}

/// Names and, on the source's own major, versions.
fn extensions(inventory: &Inventory, session: &Session) -> Result<CheckResult, EngineError> {
    let same_major = session.version().major() == inventory.server_version / 10_000;
    let named = |extensions: &[crate::postgres::inventory::Extension]| -> Named {
        let named = extensions.iter().map(|extension| {
            let version = if same_major { &*extension.version } else { "" };
            (extension.name.clone(), version.to_owned())
        });
        named.collect()
    };
    let expected = named(&inventory.extensions);
    let summary = if expected.is_empty() {
        "none".to_owned()
    } else {
        let each = expected
            .iter()
            .map(|(name, version)| format!("{name} {version}"));
        each.map(|each| each.trim_end().to_owned())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let actual = named(&catalog::extensions(session)?);
    let mut result = differ::compare(EXTENSIONS, &summary, &expected, &actual);
    if !same_major {
        result
            .detail
            .push_str("versions are not compared: the server is of another major");
    }
    Ok(result)
}

/// Roles and who is a member of which. Attributes, settings and the options of memberships are compared on a
/// throwaway server, where the restore made every role; on another, they are that server's matter, and so is
/// what else a role is a member of.
fn roles(inventory: &Inventory, session: &Session) -> Result<CheckResult, EngineError> {
    let is_ours = session.settings().user() == sandbox::SUPERUSER;
    let told = |role: &Role| {
        let mut words = vec![if is_ours { &*role.attributes } else { "there" }.to_owned()];
        let member_of: BTreeSet<&String> = role.member_of.iter().collect();
        words.extend(member_of.into_iter().map(|group| {
            let options = role.member_options.get(group).filter(|_| is_ours);
            let options = options.map(|words| format!(" with {words}"));
            format!("in {group}{}", options.unwrap_or_default())
        }));
        let settings: BTreeSet<&String> = role.settings.iter().filter(|_| is_ours).collect();
        words.extend(settings.into_iter().map(|setting| format!("set {setting}")));
        (role.name.clone(), words.join(" "))
    };
    let names: Vec<&str> = inventory.roles.iter().map(|role| &*role.name).collect();
    let summary = counted(names.len() as u64, "role");
    let mut there = catalog::roles_of(session, &names)?;
    if !is_ours {
        for role in &mut there {
            let known = inventory.roles.iter().find(|known| known.name == role.name);
            role.member_of
                .retain(|group| known.is_some_and(|known| known.member_of.contains(group)));
        }
    }
    let expected: Named = inventory.roles.iter().map(told).collect();
    let actual: Named = there.iter().map(told).collect();
    Ok(differ::compare(ROLES, &summary, &expected, &actual))
}

/// What the database has beside its objects: all of it on a throwaway server of the source's major. Another
/// server may not take all of it, or not from this role; what a restore could not set there is its note.
fn properties(inventory: &Inventory, session: &Session) -> Result<CheckResult, EngineError> {
    let Some(source) = &inventory.properties else {
        return Ok(skipped(
            PROPERTIES,
            "the backup does not say what they were",
        ));
    };
    let is_ours = session.settings().user() == sandbox::SUPERUSER;
    let is_same_major = session.version().major() == inventory.server_version / 10_000;
    let (mut expected, mut actual) = (source.named(), properties::of(session)?.named());
    if !is_ours {
        // That of a temporary database says what it is.
        expected.remove("comment");
        actual.remove("comment");
    }
    let summary = match expected.len() {
        1 => "1 setting or grant".to_owned(),
        more => format!("{more} settings and grants"),
    };
    let result = differ::compare(PROPERTIES, &summary, &expected, &actual);
    if result.outcome == CheckOutcome::Passed || is_ours && is_same_major {
        return Ok(result);
    }
    let why = format!(
        "not to be had on this server: the source has {}; this has {}",
        result.expected, result.actual
    );
    Ok(skipped(PROPERTIES, why))
}

/// Whether every index is valid and every constraint was checked that was so at the source.
fn valid(inventory: Option<&Inventory>, session: &Session) -> Result<CheckResult, EngineError> {
    let found = catalog::invalid(session)?;
    let (expected, new): (_, Vec<String>) = match inventory {
        // Of a stranger's dump nobody knows which constraints were ever checked.
        None => {
            let indexes = found.into_iter().filter(|told| told.starts_with("index "));
            ("every index is valid", indexes.collect())
        }
        Some(inventory) => {
            let new = found
                .into_iter()
                .filter(|told| !inventory.invalid.contains(told));
            ("as valid as at the source", new.collect())
        }
    };
    let mut result = differ::none(VALID, expected, &new);
    if let Some(inventory) = inventory
        && !inventory.invalid.is_empty()
    {
        result.detail = format!("not valid at the source: {}", inventory.invalid.join(", "));
    }
    Ok(result)
}

fn matviews(inventory: &Inventory, session: &Session) -> Result<CheckResult, EngineError> {
    let named = |matviews: &[crate::postgres::inventory::Matview]| -> Named {
        let named = matviews.iter().map(|matview| {
            let state = if matview.populated {
                "populated"
            } else {
                "not populated"
            };
            (
                name::qualified(&matview.schema, &matview.name),
                state.to_owned(),
            )
        });
        named.collect()
    };
    let summary = counted(inventory.matviews.len() as u64, "view");
    Ok(differ::compare(
        MATVIEWS,
        &summary,
        &named(&inventory.matviews),
        &named(&catalog::matviews(session)?),
    ))
}

fn migration(inventory: &Inventory, session: &Session) -> Result<CheckResult, EngineError> {
    let told = |migration: Option<&Migration>| match migration {
        None => "none".to_owned(),
        Some(migration) => format!(
            "{} of {}, {} applied",
            migration.version, migration.table, migration.applied
        ),
    };
    let actual = catalog::migration(session)?;
    Ok(CheckResult::compare(
        MIGRATION,
        told(inventory.migration.as_ref()),
        told(actual.as_ref()),
    ))
}

/// The encoding must be the source's. An order of texts that this machine does not have is said to be
/// unproven: what is sorted, or unique, by it may be otherwise here.
fn locale(inventory: &Inventory, session: &Session) -> Result<CheckResult, EngineError> {
    let there = catalog::database(session)?;
    let order = |provider: &str, collate: &str, ctype: &str, own: Option<&str>| {
        let provider = match provider {
            "i" => "ICU",
            "b" => "builtin",
            _ => "libc",
        };
        let own = own.map(|own| format!(" {own}")).unwrap_or_default();
        format!("{provider}{own}, collate {collate}, ctype {ctype}")
    };
    let expected = order(
        &inventory.locale_provider,
        &inventory.collate,
        &inventory.ctype,
        inventory.locale.as_deref(),
    );
    let actual = order(
        &there.locale_provider,
        &there.collate,
        &there.ctype,
        there.locale.as_deref(),
    );
    if inventory.encoding == there.encoding && expected != actual {
        return Ok(skipped(
            LOCALE,
            format!("the source has {expected}, which is not to be had here; this has {actual}"),
        ));
    }
    Ok(CheckResult::compare(
        LOCALE,
        format!("{}, {expected}", inventory.encoding),
        format!("{}, {actual}", there.encoding),
    ))
}
