//! A SQLite database by the released command, against what people do today: `sqlite3 .backup` with zstd and
//! age, and with restic.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::contest::{self, Contestant, Step, hold};
use super::plan::Plan;
use super::product::Product;
use super::scratch::{self, Scratch};
use super::shop;
use crate::failure::Failure;
use crate::step;

/// What a second backup may add at most.
const ADDED_BYTES_MAX: u64 = 8_000_000;

/// Measures, and tells the figures as Markdown.
pub(super) fn run(plan: &Plan, product: &Product, scratch: &Scratch) -> Result<String, Failure> {
    let states = shop::states(scratch, plan.size)?;
    let folder = scratch.fresh("sqlite")?;
    let live = folder.join("shop.db");
    let mut contestants = [
        ours(product, &folder, &live)?,
        pipeline(&folder, &live)?,
        restic(&folder, &live)?,
    ];
    let steps = [
        Step {
            name: "first backup",
            reads: live.clone(),
            before: &|| copy(&states.first, &live),
            after: &|_| Ok(()),
        },
        Step {
            name: "second backup",
            reads: live.clone(),
            before: &|| copy(&states.second, &live),
            after: &|_| Ok(()),
        },
    ];
    // `init` looks at the database that it is told of.
    copy(&states.first, &live)?;
    let outcome = hold(&mut contestants, &steps, plan.runs, &folder.join("time"))?;

    let of = |contestant, step| outcome.of(contestant, step);
    let mut text = String::from(contest::GOALS);
    for (peer, name) in [(1, "`.backup` + zstd + age"), (2, "`.backup` + restic")] {
        text += &contest::faster(
            &format!("first backup, against {name}"),
            1.2,
            of(0, 0),
            of(peer, 0),
        );
        text += &contest::faster(
            &format!("second backup, against {name}"),
            4.0,
            of(0, 1),
            of(peer, 1),
        );
    }
    let added = of(0, 1).added_bytes();
    let added_text = format!("+{} MB", contest::megabytes(added));
    text += &contest::goal(
        "bytes that the second backup adds",
        "+8 MB at most",
        &added_text,
        added <= ADDED_BYTES_MAX,
    );
    let bytes = std::fs::metadata(&live).map_or(0, |metadata| metadata.len());
    text += &format!(
        "\nThe data: {} MB; between the backups {} random rows were changed.\n\n",
        contest::megabytes(bytes),
        shop::CHANGED,
    );
    text += &contest::table(&contestants, &steps, &outcome);
    Ok(text)
}

/// Brings the database into a state, as the same file.
pub(super) fn copy(state: &Path, live: &Path) -> Result<(), Failure> {
    for ending in ["-wal", "-shm"] {
        scratch::remove(&PathBuf::from(format!("{}{ending}", live.display())))?;
    }
    step::output(Command::new("cp").arg(state).arg(live)).map(drop)
}

fn ours(product: &Product, folder: &Path, live: &Path) -> Result<Contestant, Failure> {
    let own = folder.join("ours");
    scratch::make(&own)?;
    let place = product.place(&own);
    Ok(Contestant {
        name: "Resguardo",
        store: place.vault(),
        leftovers: vec![
            place.home(),
            own.join("resguardo.toml"),
            own.join("recovery-kit.md"),
        ],
        prepare: vec![place.init(live)],
        steps: vec![
            place.command(&["backup", "--quiet"]),
            place.command(&["backup", "--quiet"]),
        ],
    })
}

/// A shell that ends with the first command that fails.
fn shell(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("bash");
    command
        .current_dir(folder)
        .args(["-euo", "pipefail", "-c", script]);
    command
}

fn pipeline(folder: &Path, live: &Path) -> Result<Contestant, Failure> {
    let own = folder.join("pipeline");
    scratch::make(&own)?;
    let script = |number: u32| {
        format!(
            "rm -f copy.db; sqlite3 '{}' '.backup copy.db'; \
             zstd -q -T2 -3 -c copy.db | age -R recipient -o store/{number}.age; rm copy.db",
            live.display()
        )
    };
    Ok(Contestant {
        name: "`sqlite3 .backup`, `zstd -T2 -3`, `age`",
        store: own.join("store"),
        leftovers: Vec::new(),
        prepare: vec![shell(
            &own,
            "mkdir store; rm -f key; age-keygen -o key 2>&1 | sed 's/.*: //' > recipient",
        )],
        steps: vec![shell(&own, &script(1)), shell(&own, &script(2))],
    })
}

fn restic(folder: &Path, live: &Path) -> Result<Contestant, Failure> {
    let own = folder.join("restic");
    scratch::make(&own)?;
    let restic = |script: &str| {
        let mut command = shell(&own, script);
        command.env("RESTIC_PASSWORD", "resguardo-bench");
        command.env("RESTIC_REPOSITORY", own.join("store"));
        command.env("RESTIC_CACHE_DIR", own.join("cache"));
        command
    };
    let script = format!(
        "rm -f copy.db; sqlite3 '{}' '.backup copy.db'; restic backup --quiet copy.db; rm copy.db",
        live.display()
    );
    Ok(Contestant {
        name: "`sqlite3 .backup`, `restic backup`",
        store: own.join("store"),
        leftovers: vec![own.join("cache")],
        prepare: vec![restic("restic init --quiet")],
        steps: vec![restic(&script), restic(&script)],
    })
}
