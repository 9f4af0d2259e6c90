//! PostgreSQL's files through the vault, against pgBackRest: first, after random updates, and back.
//!
//! The server is stopped on both sides, so that neither waits for a checkpoint or for its log.

mod cluster;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::contest::{self, Contestant, Outcome, Step, hold};
use super::plan::Plan;
use super::product::Product;
use super::scratch::{self, Scratch};
use crate::failure::Failure;

/// What only a running server has, and makes again; the peer does not store it.
const CACHE: &str = "pg_internal.init";
const TRANSIENT: [&str; 2] = ["postmaster.opts", "pg_subtrans"];

/// Measures, and tells the figures as Markdown.
pub(super) fn run(plan: &Plan, product: &Product, scratch: &Scratch) -> Result<String, Failure> {
    let states = cluster::states(scratch, plan.size)?;
    let folder = scratch.fresh("pg")?;
    let live = folder.join("live");
    let mut contestants = [
        ours(product, &folder, &live),
        pgbackrest(&folder, &live, "pgBackRest", "plain", 2, &[])?,
        pgbackrest(
            &folder,
            &live,
            "pgBackRest, bundles and block increments (beta)",
            "block",
            2,
            &BLOCKS,
        )?,
    ];
    let restored: Vec<PathBuf> = ["ours", "plain", "block"]
        .map(|name| folder.join(name).join("out"))
        .into();
    let steps = [
        Step {
            name: "first backup",
            reads: states.first.clone(),
            before: &|| point(&live, &states.first),
            after: &|_| Ok(()),
        },
        Step {
            name: "second backup",
            reads: states.second.clone(),
            before: &|| point(&live, &states.second),
            after: &|_| Ok(()),
        },
        Step {
            name: "restore",
            reads: live.join("PG_VERSION"),
            before: &|| Ok(()),
            after: &|position| {
                same(&states.second, &restored[position])?;
                scratch::remove(&restored[position])?;
                scratch::make(&restored[position])
            },
        },
    ];
    // `stanza-create` looks at the data folder that it is told of.
    point(&live, &states.first)?;
    let outcome = hold(&mut contestants, &steps, plan.runs, &folder.join("time"))?;

    let mut text = goals(&outcome);
    let bytes = scratch::bytes_in(&states.first)?;
    let files = scratch::files(&states.first)?.len();
    text += &format!(
        "\nThe data: {} MB in {files} files; between the backups {} random row updates.\n\n",
        contest::megabytes(bytes),
        cluster::UPDATES,
    );
    text += &contest::table(&contestants, &steps, &outcome);
    Ok(text)
}

fn goals(outcome: &Outcome) -> String {
    let of = |contestant, step| outcome.of(contestant, step);
    let mut text = String::from(contest::GOALS);
    for (peer, name) in [(1, "pgBackRest"), (2, "pgBackRest, bundles and blocks")] {
        text += &contest::faster(
            &format!("first backup, against {name}"),
            1.4,
            of(0, 0),
            of(peer, 0),
        );
        text += &contest::faster(
            &format!("second backup, against {name}"),
            4.0,
            of(0, 1),
            of(peer, 1),
        );
        let (added, theirs) = (of(0, 1).added_bytes(), of(peer, 1).added_bytes());
        text += &contest::goal(
            &format!("bytes that the second backup adds, against {name}"),
            "a tenth",
            &format!(
                "+{} MB to +{} MB",
                contest::megabytes(added),
                contest::megabytes(theirs)
            ),
            added * 10 <= theirs,
        );
        text += &contest::faster(
            &format!("restore, against {name}"),
            1.2,
            of(0, 2),
            of(peer, 2),
        );
    }
    text
}

fn ours(product: &Product, folder: &Path, live: &Path) -> Contestant {
    let (store, keys) = (folder.join("ours/vault"), folder.join("ours/keys"));
    let out = folder.join("ours/out");
    let worker = |verb: &str, last: Option<&Path>| {
        let words = [Some(Path::new(verb)), Some(&*store), Some(&*keys), last];
        product.worker(&words.into_iter().flatten().collect::<Vec<_>>())
    };
    Contestant {
        name: "Resguardo",
        leftovers: vec![keys.clone(), out.clone()],
        prepare: vec![worker("keys", None), folder_for(&out)],
        steps: vec![
            worker("backup", Some(live)),
            worker("backup", Some(live)),
            worker("restore", Some(&out)),
        ],
        store,
    }
}

const BLOCKS: [&str; 2] = ["repo1-bundle=y", "repo1-block=y"];

/// pgBackRest with a repository of its own, in which it keeps so many full backups and what hangs on them.
pub(super) fn pgbackrest(
    folder: &Path,
    live: &Path,
    name: &'static str,
    short: &str,
    fulls: u32,
    more: &[&str],
) -> Result<Contestant, Failure> {
    let own = folder.join(short);
    scratch::make(&own)?;
    let (store, out, config) = (
        own.join("repo"),
        own.join("out"),
        own.join("pgbackrest.conf"),
    );
    let at = own.display();
    let settings = format!(
        "[global]\nrepo1-path={}\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=resguardo-bench\n\
         repo1-retention-full={fulls}\ncompress-type=zst\ncompress-level=3\nprocess-max=2\n\
         log-level-file=off\nlog-level-console=warn\nlock-path={at}/lock\nlog-path={at}/log\n\
         spool-path={at}/spool\n{}\n\n[shop]\npg1-path={}\n",
        store.display(),
        more.join("\n"),
        live.display(),
    );
    scratch::write(&config, &settings)?;
    let command = |words: &[&str]| {
        let mut command = Command::new("pgbackrest");
        command
            .arg(format!("--config={}", config.display()))
            .arg("--stanza=shop");
        if !more.is_empty() {
            command.arg("--beta");
        }
        command.args(words);
        command
    };
    let mut restore = command(&["--type=none"]);
    restore
        .arg(format!("--pg1-path={}", out.display()))
        .arg("restore");
    Ok(Contestant {
        name,
        leftovers: vec![out.clone()],
        prepare: vec![command(&["--no-online", "stanza-create"]), folder_for(&out)],
        steps: vec![
            command(&["--no-online", "--type=full", "backup"]),
            command(&["--no-online", "--type=incr", "backup"]),
            restore,
        ],
        store,
    })
}

fn folder_for(out: &Path) -> Command {
    let mut command = Command::new("mkdir");
    command.arg("-p").arg(out);
    command
}

/// Lets the path that is backed up lead to this state.
fn point(live: &Path, state: &Path) -> Result<(), Failure> {
    scratch::remove(live)?;
    std::os::unix::fs::symlink(state, live).map_err(|source| Failure::Write {
        path: live.to_owned(),
        source,
    })
}

/// That every file came back with every byte.
pub(super) fn same(wanted: &Path, restored: &Path) -> Result<(), Failure> {
    for (path, _) in scratch::files(wanted)? {
        let transient = TRANSIENT.iter().any(|name| path.starts_with(name));
        if transient || path.ends_with(CACHE) {
            continue;
        }
        if !equal(&wanted.join(&path), &restored.join(&path))? {
            return Err(Failure::Differs {
                path: restored.join(&path),
            });
        }
    }
    Ok(())
}

fn equal(one: &Path, other: &Path) -> Result<bool, Failure> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Failure::Read { path, source }
    };
    let mut first = std::fs::File::open(one).map_err(failed(one))?;
    let mut second = std::fs::File::open(other).map_err(failed(other))?;
    let lengths = (
        first.metadata().map_err(failed(one))?,
        second.metadata().map_err(failed(other))?,
    );
    if lengths.0.len() != lengths.1.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = first.read(&mut a).map_err(failed(one))?;
        if read == 0 {
            return Ok(true);
        }
        second.read_exact(&mut b[..read]).map_err(failed(other))?;
        if a[..read] != b[..read] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_or_missing_file_is_noticed_and_a_transient_one_is_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        for (root, path, text) in [
            (&one, "base/1", "page"),
            (&other, "base/1", "page"),
            (&one, "pg_subtrans/0", "x"),
        ] {
            let path = root.join(path);
            scratch::make(path.parent().expect("a folder")).expect("made");
            scratch::write(&path, text).expect("written");
        }
        same(&one, &other).expect("the same");
        scratch::write(&other.join("base/1"), "pagf").expect("written");
        assert!(same(&one, &other).is_err());
        scratch::remove(&other.join("base/1")).expect("removed");
        assert!(same(&one, &other).is_err());
    }
}
