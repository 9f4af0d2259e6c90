//! What these tests share: an engine that finds the programs of one major, and places for sandboxes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use resguardo_engine::contract::{MemoryBackup, MemorySink, with_run};
use resguardo_engine::port::{
    Allowed, CaptureRequest, Engine as _, Location, RestoreOptions, SandboxSite, Target,
};
use resguardo_engine::postgres::{LibpqEnvironment, PostgresEngine, Surroundings};
use resguardo_engine::process::{GroupLog, ProcessMark, User};
use resguardo_model::{CheckOutcome, CheckResult};
use resguardo_testkit::{PgServer, PgVersion};
use tempfile::TempDir;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Whom servers run as where we are root.
pub(crate) fn server_user() -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let line = line.expect("there is a user postgres: install Debian's postgresql-15");
    let mut fields = line.split(':').skip(2);
    Some(User {
        uid: fields.next().unwrap().parse().unwrap(),
        gid: fields.next().unwrap().parse().unwrap(),
    })
}

/// An engine that finds the programs of `version` first.
pub(crate) fn engine(version: PgVersion) -> PostgresEngine {
    engine_with(vec![version.bin_dir()])
}

pub(crate) fn engine_with(tool_folders: Vec<PathBuf>) -> PostgresEngine {
    PostgresEngine::new(Surroundings {
        scratch: std::env::temp_dir().join(format!(
            "resguardo-engine-tests-{}",
            rustix::process::geteuid().as_raw()
        )),
        libpq: LibpqEnvironment {
            user: Some("postgres".to_owned()),
            ..LibpqEnvironment::default()
        },
        tool_folders,
        server_user: server_user(),
    })
}

/// The place of one sandbox, removed with the value. It keeps account of what is started for it.
pub(crate) struct Site {
    folder: TempDir,
    pub(crate) server: Option<Location>,
    pub(crate) groups: Mutex<Vec<ProcessMark>>,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    pub(crate) fn below(folder: &Path) -> Self {
        // Whoever runs servers has to get through.
        let folder = tempfile::Builder::new()
            .prefix("rgsite-")
            .permissions(std::fs::Permissions::from_mode(0o711))
            .tempdir_in(folder)
            .unwrap();
        Self {
            folder,
            server: None,
            groups: Mutex::default(),
        }
    }

    pub(crate) fn on(server: &str) -> Self {
        Self {
            server: Some(Location::new(server)),
            ..Self::new()
        }
    }

    /// Whether anything that was started still runs.
    pub(crate) fn is_alive(&self) -> bool {
        self.groups
            .lock()
            .unwrap()
            .iter()
            .any(ProcessMark::is_alive)
    }
}

impl GroupLog for Site {
    fn started(&self, group: &ProcessMark) -> std::io::Result<()> {
        self.groups.lock().unwrap().push(group.clone());
        Ok(())
    }
}

impl SandboxSite for Site {
    fn name(&self) -> String {
        let name = self.folder.path().file_name().unwrap().to_string_lossy();
        name.to_lowercase()
            .replace(|c: char| !c.is_ascii_alphanumeric(), "")
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn folder_of(&self, user: User) -> std::io::Result<PathBuf> {
        let folder = self.folder.path().join("theirs");
        std::fs::create_dir(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        std::os::unix::fs::chown(&folder, Some(user.uid), Some(user.gid))?;
        Ok(folder)
    }

    fn server(&self) -> Option<Location> {
        self.server.clone()
    }
}

/// The first column of the first row.
pub(crate) fn ask(target: &dyn Target, sql: &str) -> String {
    let rows = with_run(|run| target.query(sql, 10, TIMEOUT, run));
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {}", described(&error)));
    rows.rows[0][0].clone().unwrap_or_default()
}

/// Runs a script in a target.
pub(crate) fn execute(target: &dyn Target, script: &str) {
    with_run(|run| target.execute(script, TIMEOUT, run))
        .unwrap_or_else(|error| panic!("{script}: {}", described(&error)));
}

/// An error with its causes.
pub(crate) fn described(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words
}

/// A backup of a database, in memory.
pub(crate) fn captured(server: &PgServer, database: &str) -> MemoryBackup {
    let sink = MemorySink::new();
    let request = CaptureRequest::new(Location::new(server.url(database)));
    let captured = with_run(|run| engine(server.version()).capture(&request, &sink, run));
    let captured = captured.unwrap_or_else(|error| panic!("{}", described(&error)));
    sink.into_backup(Some(captured.facts))
}

/// A backup, restored into a throwaway server.
pub(crate) fn drilled(version: PgVersion, site: &Site, backup: &MemoryBackup) -> Box<dyn Target> {
    let facts = backup.facts.as_ref();
    let target = with_run(|run| engine(version).open_sandbox(site, facts, run));
    let target = target.unwrap_or_else(|error| panic!("{version}: {}", described(&error)));
    with_run(|run| target.restore(backup, &RestoreOptions::default(), run))
        .unwrap_or_else(|error| panic!("{version}: {}", described(&error)));
    target
}

pub(crate) fn checked(target: &dyn Target, backup: &MemoryBackup) -> Vec<CheckResult> {
    with_run(|run| target.check(backup, Allowed::default(), run))
}

pub(crate) fn not_passed(results: &[CheckResult]) -> Vec<&CheckResult> {
    let results = results.iter();
    results
        .filter(|result| result.outcome != CheckOutcome::Passed)
        .collect()
}

/// Every check passes.
pub(crate) fn assert_all_pass(target: &dyn Target, backup: &MemoryBackup, what: &str) {
    let results = checked(target, backup);
    assert!(results.len() >= 10, "{results:#?}");
    assert!(
        not_passed(&results).is_empty(),
        "{what}: {:#?}",
        not_passed(&results)
    );
}

/// Make the database first.
pub(crate) fn create() -> RestoreOptions {
    RestoreOptions {
        create: true,
        ..RestoreOptions::default()
    }
}

/// Replace what is there.
pub(crate) fn clean() -> RestoreOptions {
    RestoreOptions {
        clean: true,
        ..RestoreOptions::default()
    }
}
