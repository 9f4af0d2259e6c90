//! The first backup against its peers, then two further ones of ours.

use std::process::Command;

use super::super::contest::{self, Contestant, Step, hold};
use super::super::scratch;
use super::data::{DATABASE, States};
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
    told.table += &further.table;
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

/// Second backups of ours, each after a first one, and what they add to it.
fn further(stage: &Stage<'_>) -> Result<Told, Failure> {
    let States {
        first,
        random,
        few_newest,
        newest,
    } = &stage.states;
    let mut told = Told {
        goals: String::new(),
        table: String::new(),
    };
    for (name, state, what, most) in [
        (
            "after random changes",
            random,
            "0.1 % of all rows changed",
            RANDOM_MAX,
        ),
        (
            "after few changes among the newest",
            few_newest,
            "1 % of the newest tenth's rows changed",
            NEWEST_MAX,
        ),
        (
            "after many changes among the newest",
            newest,
            "1 % of all rows changed, all among the newest tenth",
            NEWEST_MAX,
        ),
    ] {
        let mut contestants = [ours(stage, 2)?];
        let steps = [("first backup", first), (name, state)];
        let serve = steps.map(|(_, state)| || stage.live.serve(state));
        let steps: Vec<Step<'_>> = steps
            .iter()
            .zip(&serve)
            .map(|((name, state), before)| Step {
                name,
                reads: (*state).clone(),
                before,
                after: &|_| Ok(()),
            })
            .collect();
        let report = stage.folder.join("time");
        let outcome = hold(&mut contestants, &steps, stage.plan.runs, &report)?;
        let [whole, added] = [0, 1].map(|step| outcome.of(0, step).added_bytes());
        let share = added as f64 / whole as f64;
        told.goals += &contest::goal(
            &format!("bytes that a second backup adds, {what}"),
            &format!("{:.0} % of the first at most", most * 100.0),
            &format!(
                "{:.1} % (+{} MB to {} MB)",
                share * 100.0,
                contest::megabytes(added),
                contest::megabytes(whole)
            ),
            share <= most,
        );
        // Two lines of head; and the first backup is in the table already.
        let table = contest::table(&contestants, &steps, &outcome);
        let rows = table.lines().skip(3);
        told.table.extend(rows.map(|line| format!("{line}\n")));
    }
    Ok(told)
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
