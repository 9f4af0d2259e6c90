//! The exit codes, a contract with scripts: `docs/exit-codes.md`. A code never changes its meaning.

use resguardo_ops::ErrorKind;

/// How a run of the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for was done, and nothing was found wrong.
    Done = 0,
    /// The user, the config or this machine has to be put right first.
    User = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The command ran to its end and found data that is bad, or a check that failed.
    Findings = 3,
    /// The source, the target or the store of the vault cannot be reached.
    Unreachable = 4,
    /// The vault or a key is missing, foreign, damaged or of a newer format.
    Vault = 5,
    /// Somebody else is at work on the same source.
    Locked = 6,
    /// Refused, because data could have been lost.
    Refused = 7,
    /// Stopped by SIGINT or SIGTERM.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The word that `--json` gives for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::User => "user",
            Self::Usage => "usage",
            Self::Findings => "findings",
            Self::Unreachable => "unreachable",
            Self::Vault => "vault",
            Self::Locked => "locked",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::User => Self::User,
            ErrorKind::Usage => Self::Usage,
            ErrorKind::Findings => Self::Findings,
            ErrorKind::Unreachable => Self::Unreachable,
            ErrorKind::Vault => Self::Vault,
            ErrorKind::Locked => Self::Locked,
            ErrorKind::Refused => Self::Refused,
            ErrorKind::Interrupted => Self::Interrupted,
        }
    }
}
