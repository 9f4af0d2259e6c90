//! The first backup against its peers, then two further ones of ours.

use std::path::Path;
use std::process::Command;

use super::super::contest::{self, Contestant, Step, hold};
use super::super::plan::Plan;
use super::super::product::Product;
use super::super::scratch;
use super::super::server::Server;
use super::data::{DATABASE, States};
use crate::failure::Failure;
use crate::step;

/// Shares of the first backup that further ones may add.
const RANDOM_MAX: f64 = 0.10;
const NEWEST_MAX: f64 = 0.04;

/// What came of it, as Markdown.
pub(super) struct Told {
    pub(super) data: String,
    pub(super) goals: String,
    pub(super) table: String,
}

/// Takes the backups, and leaves the server on the first state.
pub(super) fn run(
    plan: &Plan,
    product: &Product,
    folder: &Path,
    live: &Server,
    states: &States,
) -> Result<Told, Failure> {
    live.serve(&states.first)?;
    let report = folder.join("time");
    let mut first = [
        ours(product, folder, live, 1)?,
        pipeline(folder, live)?,
        folder_format(folder, live)?,
    ];
    let nothing = |_| Ok(());
    let begin = [Step {
        name: "first backup",
        reads: states.first.clone(),
        before: &|| Ok(()),
        after: &nothing,
    }];
    let outcome = hold(&mut first, &begin, plan.runs, &report)?;
    let mut goals = contest::faster(
        "first backup, against `pg_dump`, `zstd` and `age`",
        1.0,
        outcome.of(0, 0),
        outcome.of(1, 0),
    );
    let mut table = contest::table(&first, &begin, &outcome);
    for contestant in &first {
        scratch::remove(&contestant.store)?;
    }

    let mut further = [ours(product, folder, live, 3)?];
    let serve =
        [&states.first, &states.random, &states.newest].map(|state| (state, || live.serve(state)));
    let names = [
        "first backup",
        "after random changes",
        "after changes among the newest",
    ];
    let steps: Vec<Step<'_>> = names
        .into_iter()
        .zip(&serve)
        .map(|(name, (state, before))| Step {
            name,
            reads: (*state).clone(),
            before,
            after: &nothing,
        })
        .collect();
    let outcome = hold(&mut further, &steps, plan.runs, &report)?;
    let whole = outcome.of(0, 0).added_bytes();
    for (number, what, most) in [
        (1, "0.1 % of all rows changed", RANDOM_MAX),
        (2, "1 % changed, all among the newest tenth", NEWEST_MAX),
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
    // The first backup is in the table already.
    let rows = contest::table(&further, &steps, &outcome);
    table.extend(rows.lines().skip(3).map(|line| format!("{line}\n")));
    live.serve(&states.first)?;
    Ok(Told {
        data: describe(live)?,
        goals,
        table,
    })
}

fn ours(
    product: &Product,
    folder: &Path,
    live: &Server,
    backups: usize,
) -> Result<Contestant, Failure> {
    let own = folder.join("ours");
    scratch::make(&own)?;
    let place = product.place(&own);
    Ok(Contestant {
        name: "Resguardo",
        store: place.vault(),
        leftovers: place.leftovers(),
        prepare: vec![place.init_for(&live.url(DATABASE))],
        steps: (0..backups)
            .map(|_| place.command(&["backup", "--quiet"]))
            .collect(),
    })
}

fn pipeline(folder: &Path, live: &Server) -> Result<Contestant, Failure> {
    let own = folder.join("pipeline");
    scratch::make(&own)?;
    let shell = |script: &str| {
        let mut command = Command::new("bash");
        command
            .current_dir(&own)
            .args(["-euo", "pipefail", "-c", script]);
        command
    };
    let dump = step::shown(live.client("pg_dump", DATABASE).args(["-Fc", "-Z0"]));
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
fn folder_format(folder: &Path, live: &Server) -> Result<Contestant, Failure> {
    let own = folder.join("folder");
    scratch::make(&own)?;
    let mut dump = live.client("pg_dump", DATABASE);
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

/// The data in words and numbers.
fn describe(live: &Server) -> Result<String, Failure> {
    let question = "select round(pg_database_size(current_database()) / 1e6) || ' MB, of which ' || \
        round(sum(pg_table_size(oid)) / 1e6) || ' MB are tables and ' || \
        round(sum(pg_indexes_size(oid)) / 1e6) || ' MB indexes; ' || \
        round(sum(reltuples)::numeric / 1e6, 1) || ' million rows' \
        from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace";
    let answer = step::output(&mut live.psql(DATABASE, &[question]))?;
    Ok(answer.trim().to_owned())
}
