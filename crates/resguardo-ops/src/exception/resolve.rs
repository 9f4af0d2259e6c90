//! Closes an exception with a note.

use resguardo_model::RunId;

use super::{Exception, Resolved, sign};
use crate::context::Context;
use crate::error::OpsError;

/// Longest note, in characters.
const NOTE_CHARACTERS_MAX: usize = 2000;
/// The fewest characters of an id that name one.
const PREFIX_CHARACTERS_MIN: usize = 4;
/// How many are looked at for a name.
const EXCEPTIONS_MAX: u32 = 10_000;

/// An exception that is resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolveDone {
    /// As it stands now.
    pub exception: Exception,
    /// It was resolved before, and nothing was done.
    pub was_resolved: bool,
}

/// Resolves the exception of that id, or that begins with it, and signs that into the vault. What another
/// machine opened of the same at the same time is resolved with it. One that was resolved before is returned
/// as it was resolved then.
///
/// # Errors
/// [`OpsError::BadNote`], [`OpsError::NoSuchException`], [`OpsError::AmbiguousException`],
/// [`OpsError::Catalog`].
pub fn resolve(ctx: &Context, id: &str, note: &str) -> Result<ResolveDone, OpsError> {
    let note = checked(note)?;
    let vault = ctx.vault()?.id();
    let found = find(ctx, id)?;
    if found.resolved.is_some() {
        return Ok(ResolveDone {
            exception: found,
            was_resolved: true,
        });
    }
    let now = ctx.clock.now();
    let alike = super::open(ctx)?;
    let alike: Vec<RunId> = alike
        .iter()
        .filter(|one| (&one.source, one.kind) == (&found.source, found.kind))
        .map(|one| one.id)
        .collect();
    let mut runs = Vec::with_capacity(alike.len());
    for _ in &alike {
        runs.push(ctx.new_run_id()?);
    }
    ctx.catalog.with_exceptions(vault, |exceptions| {
        for one in exceptions.open()? {
            let Some(at) = alike.iter().position(|id| *id == one.id) else {
                continue;
            };
            exceptions.put(&Exception {
                resolved: Some(Resolved {
                    at: now,
                    by: ctx.operator.clone(),
                    note: note.clone(),
                    run: runs[at],
                    receipt: None,
                }),
                ..one
            })?;
        }
        Ok(())
    })?;
    sign::sign(ctx, vault)?;
    Ok(ResolveDone {
        exception: find(ctx, &found.id.to_string())?,
        was_resolved: false,
    })
}

fn checked(note: &str) -> Result<String, OpsError> {
    // Forms and files of some systems end lines with both.
    let note = note.replace("\r\n", "\n");
    let note = note.trim();
    let bad = |why: String| Err(OpsError::BadNote { why });
    let is_odd = |one: char| one.is_control() && !matches!(one, '\n' | '\t');
    if note.is_empty() {
        return bad("an exception is resolved with a note, and this one is empty".to_owned());
    }
    if note.chars().count() > NOTE_CHARACTERS_MAX {
        return bad(format!(
            "a note has {NOTE_CHARACTERS_MAX} characters at most"
        ));
    }
    if note.contains(is_odd) {
        return bad("a note holds no control characters".to_owned());
    }
    Ok(note.to_owned())
}

fn find(ctx: &Context, name: &str) -> Result<Exception, OpsError> {
    let none = || OpsError::NoSuchException {
        name: name.to_owned(),
    };
    if name.len() < PREFIX_CHARACTERS_MIN {
        return Err(none());
    }
    let mut found = super::all(ctx, EXCEPTIONS_MAX)?;
    found.retain(|one| one.id.to_string().starts_with(name));
    match found.len() {
        0 => Err(none()),
        1 => Ok(found.remove(0)),
        _ => Err(OpsError::AmbiguousException {
            name: name.to_owned(),
            candidates: found.iter().take(8).map(|one| one.id.to_string()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    #[test]
    fn a_note_may_have_lines_and_no_other_control_characters() {
        assert_eq!(
            checked(" disk full\r\nfreed\n").unwrap(),
            "disk full\nfreed"
        );
        for bad in ["", " \r\n ", "a\rb", "a\u{1b}[31mb", "a\0b"] {
            assert!(
                matches!(checked(bad), Err(OpsError::BadNote { .. })),
                "{bad:?}"
            );
        }
        let long = "x".repeat(NOTE_CHARACTERS_MAX + 1);
        assert!(matches!(checked(&long), Err(OpsError::BadNote { .. })));
    }
}
