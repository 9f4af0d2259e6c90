//! What surrounds the program: environment variables, folders, user, host, terminal.
//!
//! The one module that asks the system for them; everybody else is handed an [`Ambient`]. It is read
//! once, at the start, and never changed.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use resguardo_engine::process::User;

/// Everything the program is told by its surroundings.
#[derive(Clone, Debug)]
pub struct Ambient {
    /// Environment variables whose name and value are UTF-8.
    pub variables: BTreeMap<String, String>,
    /// The folder the program was started in.
    pub folder: PathBuf,
    /// The machine's time zone.
    pub zone: TimeZone,
    /// The machine's name.
    pub host: String,
    /// The user's name.
    pub operator: String,
    /// The name of the account that the program runs as, where the machine lists it.
    pub account: Option<String>,
    /// Whoever runs servers that refuse root, if the program runs as root and there is somebody.
    pub server_user: Option<User>,
    /// Standard input is a terminal, so that questions can be asked.
    pub asks: bool,
    /// Standard output is a terminal.
    pub stdout_terminal: bool,
    /// Standard error is a terminal, so that progress can be drawn.
    pub stderr_terminal: bool,
}

impl Default for Ambient {
    /// Nothing at all: no variables, no terminal, UTC.
    fn default() -> Self {
        Self {
            variables: BTreeMap::new(),
            folder: PathBuf::new(),
            zone: TimeZone::UTC,
            host: String::new(),
            operator: String::new(),
            account: None,
            server_user: None,
            asks: false,
            stdout_terminal: false,
            stderr_terminal: false,
        }
    }
}

impl Ambient {
    /// Looks around.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn capture() -> Self {
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let uid = own_uid();
        let account = uid.and_then(|uid| account_of(&accounts, uid));
        let operator = ["USER", "LOGNAME", "USERNAME"]
            .iter()
            .find_map(|name| variables.get(*name).filter(|value| !value.is_empty()))
            .cloned()
            .or_else(|| account.clone())
            .unwrap_or_else(|| "unknown".to_owned());
        Self {
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            zone: TimeZone::system(),
            host: gethostname::gethostname().to_string_lossy().into_owned(),
            operator,
            account,
            server_user: uid
                .filter(|uid| *uid == 0)
                .and_then(|_| server_user(&accounts)),
            asks: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            stdout_terminal: std::io::stdout().is_terminal(),
            stderr_terminal: std::io::stderr().is_terminal(),
            variables,
        }
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The first of `names` that is set and not empty, with its name.
    #[must_use]
    pub fn first_of(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        names
            .iter()
            .find_map(|name| self.variable(name).map(|value| (*name, value)))
    }

    /// `path` as seen from the folder the program was started in; a leading `~/` is the home folder.
    #[must_use]
    pub fn absolute(&self, path: &Path) -> PathBuf {
        if let (Ok(rest), Some(home)) = (path.strip_prefix("~"), self.variable("HOME")) {
            return Path::new(home).join(rest);
        }
        self.folder.join(path)
    }
}

fn own_uid() -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;

    std::fs::metadata("/proc/self").ok().map(|own| own.uid())
}

/// The account's name in the machine's list: cron and containers often set no variable for it.
fn account_of(list: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

/// Accounts that may run a throwaway server in root's stead; the first that there is.
const SERVER_ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

fn server_user(list: &str) -> Option<User> {
    SERVER_ACCOUNTS.iter().find_map(|account| {
        list.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_it = fields.next()? == *account;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            is_it.then_some(User { uid, gid })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let mut ambient = Ambient::default();
        ambient.variables.insert("A".to_owned(), String::new());
        ambient.variables.insert("B".to_owned(), "b".to_owned());
        assert_eq!(ambient.variable("A"), None);
        assert_eq!(ambient.first_of(&["A", "B"]), Some(("B", "b")));
    }

    #[test]
    fn accounts_are_found_in_the_machines_list() {
        let list = "root:x:0:0:root:/root:/bin/sh\nbroken\nnobody:x:65534:65533::/:/bin/false\n";
        assert_eq!(account_of(list, 0).as_deref(), Some("root"));
        assert_eq!(account_of(list, 7), None);
        let nobody = User {
            uid: 65_534,
            gid: 65_533,
        };
        assert_eq!(server_user(list), Some(nobody));
        let list = format!("{list}postgres:x:101:102:PostgreSQL:/var/lib/postgresql:/bin/bash\n");
        assert_eq!(server_user(&list), Some(User { uid: 101, gid: 102 }));
        assert_eq!(server_user(""), None);
    }

    #[test]
    fn paths_are_seen_from_the_starting_folder() {
        let mut ambient = Ambient {
            folder: "/srv".into(),
            ..Ambient::default()
        };
        ambient
            .variables
            .insert("HOME".to_owned(), "/home/ana".to_owned());
        for (given, seen) in [
            ("vault", "/srv/vault"),
            ("/mnt/vault", "/mnt/vault"),
            ("~/vault", "/home/ana/vault"),
        ] {
            assert_eq!(ambient.absolute(Path::new(given)), Path::new(seen));
        }
    }
}
