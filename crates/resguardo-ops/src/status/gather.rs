//! Gathers what standings are made of, and reads only what changed since the last look.
//!
//! The vault is listed once. A source is read if anything else is listed of it than the last time, if the catalog
//! does not hold exactly the heads that are listed, if other writers are believed, or if something was wrong with
//! it. What lies under the name of a head or receipt that was read before, but is of another size or was written
//! at another time, is read again; what was replaced while nobody looked is for `verify` to find.
//!
//! INVARIANT: a look equals a look from nothing (`tests/ops/looks.rs`).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use resguardo_model::{Finding, FindingKind, SourceName};
use resguardo_vault::Vault;

use super::facts::{Facts, Stated, VerifyFact, standing_finding};
use super::listing::Listed;
use super::seen::{HeadFact, SourceHeads, Sources};
use super::{DrillFact, Watched, WatchedCopy};
use crate::context::Context;
use crate::copy::{KnownCopies, behind_of};
use crate::error::OpsError;
use crate::history;

/// What the vault's list and the catalog tell of the watched sources, and what is wrong with heads.
pub(super) fn gather(
    ctx: &Context,
    watched: &[Watched],
) -> Result<(BTreeMap<SourceName, Facts>, Vec<Finding>), OpsError> {
    let vault = ctx.vault()?;
    let pace = ctx.catalog.pace();
    if let Some(findings) = pace.rests(vault.id(), ctx.clock.now()) {
        let mut all = known(ctx, watched)?;
        add_findings(&findings, &mut all);
        return Ok((all, findings));
    }
    let begun = Instant::now();
    let listing = vault
        .store()
        .list("")
        .map_err(|error| OpsError::vault("reading the heads of the vault")(error.into()))?;
    let before = pace.last(vault.id());
    let mut now = Listed::of(&listing, pace.stamps());
    if let Some(before) = &before {
        forget_replaced(ctx, &now, before)?;
    }
    let there = super::listing::receipts_of(&listing);
    drop(listing);
    let seen = read_changed(ctx, watched, before.as_deref(), &mut now)?;
    history::read_unknown(ctx, &there)?;
    let copies = KnownCopies::read(ctx, &there)?;
    let mut all = put_together(vault, &seen, &copies, watched);
    let findings = now.findings();
    add_findings(&findings, &mut all);
    add_stated(ctx, Some(&there), None, &mut all)?;
    pace.listed(vault.id(), ctx.clock.now(), begun.elapsed(), now);
    Ok((all, findings))
}

/// What the catalog holds is not what lies in the vault by now.
fn forget_replaced(ctx: &Context, now: &Listed, before: &Listed) -> Result<(), OpsError> {
    let vault = ctx.vault()?.id();
    let (heads, receipts) = now.replaced(before);
    if !heads.is_empty() {
        let keys = heads.iter().map(String::as_str);
        ctx.catalog.forget_heads(vault, keys)?;
    }
    if !receipts.is_empty() {
        let keys = receipts.iter().map(String::as_str);
        ctx.catalog.forget_receipts(vault, keys)?;
    }
    Ok(())
}

/// The heads of all sources; those of which there is news are read.
fn read_changed(
    ctx: &Context,
    watched: &[Watched],
    before: Option<&Listed>,
    now: &mut Listed,
) -> Result<Sources, OpsError> {
    let vault = ctx.vault()?;
    // All are read now if they never were: what the catalog holds would be read twice.
    let mut seen = match before {
        Some(_) => ctx.catalog.seen_heads(vault.id())?,
        None => Sources::new(),
    };
    // Of a source that is gone from the list the catalog, or the cache of this host, may still know.
    let mut names: BTreeSet<SourceName> = vault.remembered_sources();
    names.extend(now.sources.keys().chain(seen.keys()).cloned());
    names.extend(watched.iter().map(|one| one.source.clone()));
    if before.is_none() {
        names.extend(ctx.catalog.sources_of_heads(vault.id())?);
    }
    let nothing = Arc::new(SourceHeads::default());
    for source in names {
        let known = seen.get(&source).unwrap_or(&nothing);
        let list = now.sources.entry(source.clone()).or_default();
        list.believe(vault, known);
        let same = before.and_then(|before| before.sources.get(&source));
        let same = same.filter(|same| list.is_as(same) && list.is_all_of(known));
        if same.is_some_and(|same| same.findings.is_empty()) {
            continue;
        }
        let heads = history::heads(ctx, Some(&source))?;
        let read = SourceHeads::of(&heads.heads);
        list.believe(vault, &read);
        list.findings = heads.findings;
        seen.insert(source, Arc::new(read));
    }
    Ok(seen)
}

fn add_findings(findings: &[Finding], all: &mut BTreeMap<SourceName, Facts>) {
    for finding in findings {
        let strangers = [FindingKind::WriterUnknown, FindingKind::WriterRetired];
        if let Some(source) = finding.source.as_ref()
            && !strangers.contains(&finding.kind)
        {
            let facts = all.entry(source.clone()).or_default();
            facts.findings.push(finding.message.clone());
        }
    }
}

/// What the catalog alone tells: the vault as it was seen last.
pub(super) fn known(
    ctx: &Context,
    watched: &[Watched],
) -> Result<BTreeMap<SourceName, Facts>, OpsError> {
    let vault = ctx.vault()?;
    let seen = ctx.catalog.seen_heads(vault.id())?;
    let copies = KnownCopies::read(ctx, &ctx.catalog.receipt_keys(vault.id())?)?;
    let mut all = put_together(vault, &seen, &copies, watched);
    add_stated(ctx, None, None, &mut all)?;
    Ok(all)
}

/// What the catalog alone tells of one source. Copies are not looked at.
pub(crate) fn known_of(ctx: &Context, source: &SourceName) -> Result<Facts, OpsError> {
    let vault = ctx.vault()?;
    let mut seen = ctx.catalog.seen_heads(vault.id())?;
    seen.retain(|name, _| name == source);
    let mut all = put_together(vault, &seen, &KnownCopies::default(), &[]);
    add_stated(ctx, None, Some(source), &mut all)?;
    Ok(all.remove(source).unwrap_or_default())
}

fn put_together(
    vault: &Vault,
    seen: &Sources,
    copies: &KnownCopies,
    watched: &[Watched],
) -> BTreeMap<SourceName, Facts> {
    let nothing = SourceHeads::default();
    let mut sources: BTreeMap<&SourceName, (&SourceHeads, &[WatchedCopy])> = BTreeMap::new();
    for (source, heads) in seen {
        sources.insert(source, (heads, &[]));
    }
    for one in watched {
        sources.entry(&one.source).or_insert((&nothing, &[])).1 = &one.copies;
    }
    let facts = sources.into_iter().map(|(source, (heads, places))| {
        let trusted = |head: &&HeadFact| vault.trusts(head.writer, &head.sha256);
        let trusted: Vec<&HeadFact> = heads.heads.iter().filter(trusted).collect();
        let behind = places.iter().map(|copy| {
            let known = copies.named(source, &copy.name, &copy.place);
            let backups = trusted.iter();
            let backups = backups.map(|head| (head.numbered(), head.backup.taken_at));
            (copy.place.clone(), behind_of(source, backups, known))
        });
        let facts = Facts {
            untrusted: (heads.heads.len() - trusted.len()) as u64,
            stored_bytes: heads.stored_bytes,
            copies: behind.collect(),
            drills: Vec::new(),
            verified: None,
            findings: Vec::new(),
            backups: trusted.iter().map(|head| head.backup).collect(),
        };
        (source.clone(), facts)
    });
    facts.collect()
}

/// What receipts state that are `there`, or that the catalog knows at all.
fn add_stated(
    ctx: &Context,
    there: Option<&HashSet<String>>,
    only: Option<&SourceName>,
    all: &mut BTreeMap<SourceName, Facts>,
) -> Result<(), OpsError> {
    let vault = ctx.vault()?;
    let mut verified: BTreeMap<SourceName, Vec<VerifyFact>> = BTreeMap::new();
    for (key, writer, sha256, stated) in ctx.catalog.stated(vault.id(), only)? {
        if there.is_some_and(|there| !there.contains(&key)) || !vault.trusts(writer, &sha256) {
            continue;
        }
        match stated {
            Stated::Drill(drill) => {
                let facts = all.entry(drill.source.clone()).or_default();
                facts.drills.push(DrillFact {
                    receipt: key,
                    ..drill
                });
            }
            Stated::Verify(verify) => {
                let source = verify.source.clone();
                verified.entry(source).or_default().push(verify);
            }
        }
    }
    for (source, facts) in all {
        if let Some(found) = verified.remove(source) {
            facts.verified = standing_finding(found, &facts.backups);
        }
        facts
            .drills
            .sort_by(|a, b| (a.at, &a.receipt).cmp(&(b.at, &b.receipt)));
    }
    Ok(())
}
