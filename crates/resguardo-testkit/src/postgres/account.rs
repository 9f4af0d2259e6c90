//! Who runs a server: ourselves, or the user `postgres` where we are root.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// A user and its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

/// Whom to become for a server; `None` if we are not root and it can run as ourselves.
pub(crate) fn unprivileged() -> Option<Account> {
    static FOUND: OnceLock<Option<Account>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap();
        let found = users.lines().find_map(account_of);
        assert!(
            found.is_some(),
            "there is no user postgres, and PostgreSQL refuses root: install Debian's postgresql-15"
        );
        found
    })
}

fn account_of(line: &str) -> Option<Account> {
    let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
    Some(Account {
        uid: fields.next()?.parse().ok()?,
        gid: fields.next()?.parse().ok()?,
    })
}

/// Words before a command that make it run as this user.
pub(crate) fn become_words(account: Option<Account>) -> Vec<String> {
    account.map_or_else(Vec::new, |account| {
        vec![
            format!("--reuid={}", account.uid),
            format!("--regid={}", account.gid),
            "--clear-groups".to_owned(),
        ]
    })
}

/// A short-lived program, run as whoever runs servers.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(become_words(unprivileged()));
    command.arg("--").arg(program);
    command
}

/// Gives a file or folder to whoever runs servers.
pub(crate) fn give(path: &Path) {
    if let Some(account) = unprivileged() {
        std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid)).unwrap();
    }
}

/// Runs a command to its end.
///
/// # Panics
/// If it fails; the message holds what it said.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8(output.stdout).unwrap()
}
