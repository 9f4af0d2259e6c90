//! Whoever may read, write, delete, and log in.

use jiff::Timestamp;
use jiff::civil::Date;
use resguardo_model::Role;
use resguardo_ops::access::StoreSays;

/// Who may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPage {
    /// Whoever holds an identity of one of these reads every backup.
    pub recipients: Vec<String>,
    /// Whoever signed something.
    pub writers: Vec<WriterSeen>,
    /// The writer of this host.
    pub own_writer: Option<String>,
    /// This host can read backups.
    pub can_read: bool,
    /// What the store says.
    pub store: Vec<StoreSays>,
    /// The newest review.
    pub review: Option<Review>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Whoever may log in; `None`: only shown to admins.
    pub accounts: Option<Vec<Account>>,
    /// Tokens for programs; `None`: only shown to admins.
    pub tokens: Option<Vec<Token>>,
    /// What was done, by whom, the newest first; `None`: only shown to admins.
    pub audit: Option<Vec<AuditEntry>>,
}

/// A writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterSeen {
    /// Its id.
    pub id: String,
    /// This host believes what it signs.
    pub trusted: bool,
    /// It was retired.
    pub retired: bool,
    /// Backups that it signed.
    pub backups: u64,
    /// Receipts that it signed.
    pub receipts: u64,
    /// Of which sources.
    pub sources: Vec<String>,
    /// When it last signed anything.
    pub last_at: Option<Timestamp>,
}

/// A review of who may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// When the next one is due.
    pub next: Option<Date>,
    /// That day has passed.
    pub overdue: bool,
}

/// Somebody who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was last used.
    pub last_login: Option<Timestamp>,
}

/// A token of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// What it may: `read`, `operate`, `admin`.
    pub scope: String,
    /// Until when it is good.
    pub expires: Option<Timestamp>,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
}

/// Something that somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// From where; may be empty.
    pub origin: String,
    /// What, in a word: `backup`, `login`, `users add`, ...
    pub what: String,
    /// To what; may be empty.
    pub object: String,
    /// How it ended, in a word.
    pub outcome: String,
}

/// The login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginPage {
    /// The name that was typed last.
    pub name: String,
    /// Why the last try was in vain.
    pub trouble: Option<LoginTrouble>,
    /// What another service is called that can log people in, and the page where that begins.
    pub other: Option<(String, String)>,
    /// The page to go to afterwards.
    pub next: String,
    /// Nobody may log in yet: the first user is made on the command line.
    pub nobody: bool,
}

/// Why a login was in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginTrouble {
    /// Name or password is wrong; which of them is not said.
    Wrong,
    /// Too many tries; after so many seconds it can be tried again.
    Wait(u64),
    /// The session is over.
    Ended,
    /// The form came from elsewhere, or is too old.
    Stale,
    /// The other service did not let in.
    Elsewhere,
    /// The other service, of that name, cannot be asked.
    Unreachable(String),
    /// The other service knows whoever that is, and the config gives him no role.
    NoRole(String),
    /// That e-mail of the other service could be anybody's.
    NotVerified(String),
}
