//! The first backup against its peers, then two further ones of ours.

use std::process::Command;

use super::super::contest::{self, Contestant, Step, hold};
use super::super::scratch;
use super::data::DATABASE;
use super::{Stage, Told};
use crate::failure::Failure;
use crate::step;

/// Shares of the first backup that further ones may add.
const RANDOM_MAX: f64 = 0.10;
const NEWEST_MAX: f64 = 0.04;

/// Takes the backups, and leaves the server on the first state.
pub(super) fn run(stage: &Stage<'_>) -> Result<Told, Failure> {
    let mut told = first(stage)?;
    let further = further(stage)?;
    told.goals += &further.goals;
    // Two lines of head; and the first backup is in the table already.
    let rows = further.table.lines().skip(3);
    told.table.extend(rows.map(|line| format!("{line}\n")));
    stage.live.serve(&stage.states.first)?;
    Ok(told)
}

/// The first backup, against its peers.
fn first(stage: &Stage<'_>) -> Result<Told, Failure> {
    let mut contestants = [ours(stage, 1)?, pipeline(stage)?, folder_format(stage)?];
    let steps = [Step {
        name: "first backup",
        reads: stage.states.first.clone(),
        before: &|| stage.live.serve(&stage.states.first),
        after: &|_| Ok(()),
    }];
    let report = stage.folder.join("time");
    let outcome = hold(&mut contestants, &steps, stage.plan.runs, &report)?;
    for contestant in &contestants {
        scratch::remove(&contestant.store)?;
    }
    Ok(Told {
        goals: contest::faster(
            "first backup, against `pg_dump`, `zstd` and `age`",
            1.0,
            outcome.of(0, 0),
            outcome.of(1, 0),
        ),
        table: contest::table(&contestants, &steps, &outcome),
    })
}

/// Backups of ours after a first one, and what they add to it.
fn further(stage: &Stage<'_>) -> Result<Told, Failure> {
    let mut contestants = [ours(stage, 4)?];
    let states = &stage.states;
    let serve = [
        &states.first,
        &states.random,
        &states.few_newest,
        &states.newest,
    ]
    .map(|state| (state, || stage.live.serve(state)));
    let names = [
        "first backup",
        "after random changes",
        "after few changes among the newest",
        "after many changes among the newest",
    ];
    let steps: Vec<Step<'_>> = names
        .into_iter()
        .zip(&serve)
        .map(|(name, (state, before))| Step {
            name,
            reads: (*state).clone(),
            before,
            after: &|_| Ok(()),
        })
        .collect();
    let report = stage.folder.join("time");
    let outcome = hold(&mut contestants, &steps, stage.plan.runs, &report)?;
    let whole = outcome.of(0, 0).added_bytes();
    let mut goals = String::new();
    for (number, what, most) in [
        (1, "0.1 % of all rows changed", RANDOM_MAX),
        (2, "1 % of the newest tenth's rows changed", NEWEST_MAX),
        (
            3,
            "1 % of all rows changed, all among the newest tenth",
            NEWEST_MAX,
        ),
    ] {
        let added = outcome.of(0, number).added_bytes();
        let share = added as f64 / whole as f64;
        goals += &contest::goal(
            &format!("bytes that a backup adds, {what}"),
            &format!("{:.0} % of the first at most", most * 100.0),
            &format!(
                "{:.1} % (+{} MB to {} MB)",
                share * 100.0,
                contest::megabytes(added),
                contest::megabytes(whole)
            ),
            share <= most,
        );
    }
    let table = contest::table(&contestants, &steps, &outcome);
    Ok(Told { goals, table })
}

fn ours(stage: &Stage<'_>, backups: usize) -> Result<Contestant, Failure> {
    let own = stage.folder.join("ours");
    scratch::make(&own)?;
    let place = stage.product.place(&own);
    Ok(Contestant {
        name: "Resguardo",
        store: place.vault(),
        leftovers: place.leftovers(),
        prepare: vec![place.init_for(&stage.live.url(DATABASE))],
        steps: (0..backups)
            .map(|_| place.command(&["backup", "--quiet"]))
            .collect(),
    })
}

fn pipeline(stage: &Stage<'_>) -> Result<Contestant, Failure> {
    let own = stage.folder.join("pipeline");
    scratch::make(&own)?;
    let shell = |script: &str| {
        let mut command = Command::new("bash");
        command
            .current_dir(&own)
            .args(["-euo", "pipefail", "-c", script]);
        command
    };
    let dump = step::shown(stage.live.client("pg_dump", DATABASE).args(["-Fc", "-Z0"]));
    Ok(Contestant {
        name: "`pg_dump -Fc -Z0`, `zstd -3 -T2`, `age`",
        store: own.join("store"),
        leftovers: Vec::new(),
        prepare: vec![shell(
            "mkdir store; rm -f key; age-keygen -o key 2>&1 | sed 's/.*: //' > recipient",
        )],
        steps: vec![shell(&format!(
            "{dump} | zstd -q -3 -T2 | age -R recipient -o store/dump.age"
        ))],
    })
}

/// Neither compressed nor encrypted: nothing that asks the server for rows is faster.
fn folder_format(stage: &Stage<'_>) -> Result<Contestant, Failure> {
    let own = stage.folder.join("folder");
    scratch::make(&own)?;
    let mut dump = stage.live.client("pg_dump", DATABASE);
    dump.args(["-Fd", "-j2", "-Z0", "-f"])
        .arg(own.join("store"));
    Ok(Contestant {
        name: "`pg_dump -Fd -j2 -Z0`, the limit",
        store: own.join("store"),
        leftovers: Vec::new(),
        prepare: Vec::new(),
        steps: vec![dump],
    })
}
