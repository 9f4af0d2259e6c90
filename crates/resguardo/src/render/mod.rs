//! What the user sees. Answers go to standard output, everything else to standard error.

pub mod probing;
pub mod progress;
pub mod table;
pub mod time;

use std::io::Write as _;

use resguardo_model::Finding;
use serde_json::Value;

use crate::ambient::Ambient;
use crate::cli::{ColorChoice, Global};

/// Where and how to print.
#[derive(Clone, Debug)]
pub struct Output {
    /// Answers and errors are JSON, and nothing else is printed.
    pub json: bool,
    /// Only what was asked for, and errors.
    pub quiet: bool,
    /// Nothing at all but errors: somebody else tells what was done.
    pub silent: bool,
    /// Standard output may be coloured.
    pub color_stdout: bool,
    /// Standard error may be coloured.
    pub color_stderr: bool,
}

impl Output {
    /// As flags and surroundings say.
    #[must_use]
    pub fn new(ambient: &Ambient, global: &Global) -> Self {
        let allowed = |terminal: bool| match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal
                    && ambient.variable("NO_COLOR").is_none()
                    && ambient.variable("TERM") != Some("dumb")
            }
        };
        Self {
            json: global.json,
            quiet: global.quiet,
            silent: false,
            color_stdout: allowed(ambient.stdout_terminal),
            color_stderr: allowed(ambient.stderr_terminal),
        }
    }

    /// A line of the answer itself; not with `--json`.
    pub fn print(&self, line: &str) {
        if !self.json && !self.silent {
            write_stdout(line);
        }
    }

    /// A line that tells how it went; not with `--json` or `--quiet`.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.print(line);
        }
    }

    /// The answer as JSON; only with `--json`.
    pub fn json(&self, answer: &Value) {
        if self.json {
            write_stdout(&answer.to_string());
        }
    }

    /// Something that a person should know beside the answer; not with `--json` or `--quiet`.
    pub fn note(&self, line: &str) {
        if !self.json && !self.quiet && !self.silent {
            self.error_line(&format!("note: {line}"));
        }
    }

    /// Something that a person must know; said with `--quiet` as well, and not with `--json`, whose
    /// answer carries it.
    pub fn warn(&self, line: &str) {
        if !self.json && !self.silent {
            let word = painted(self.color_stderr, "33;1", "warning:");
            self.error_line(&format!("{word} {line}"));
        }
    }

    /// A line on standard error.
    #[expect(clippy::unused_self, reason = "the one way to standard error")]
    pub fn error_line(&self, line: &str) {
        // Nobody is left to be told if standard error is gone.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// In the colour of errors.
    #[must_use]
    pub fn paint_error(&self, text: &str) -> String {
        painted(self.color_stderr, "31;1", text)
    }

    /// In bold, on standard output.
    #[must_use]
    pub fn bold(&self, text: &str) -> String {
        painted(self.color_stdout, "1", text)
    }

    /// In green, on standard output.
    #[must_use]
    pub fn good(&self, text: &str) -> String {
        painted(self.color_stdout, "32", text)
    }

    /// In red, on standard output.
    #[must_use]
    pub fn bad(&self, text: &str) -> String {
        painted(self.color_stdout, "31;1", text)
    }

    /// In yellow, on standard output.
    #[must_use]
    pub fn dubious(&self, text: &str) -> String {
        painted(self.color_stdout, "33", text)
    }

    /// Paler, on standard output.
    #[must_use]
    pub fn pale(&self, text: &str) -> String {
        painted(self.color_stdout, "2", text)
    }
}

fn painted(color: bool, code: &str, text: &str) -> String {
    if color {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

fn write_stdout(line: &str) {
    // A reader that went away (`| head`) wants no more: that is no failure of the work.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A finding in a line: its object once, and what is wrong with it.
#[must_use]
pub fn finding_line(finding: &Finding) -> String {
    format!("{}: {}", finding.object, about_object(finding))
}

/// What a finding says, without the object where it begins with it.
#[must_use]
pub fn about_object(finding: &Finding) -> &str {
    finding
        .message
        .strip_prefix(finding.object.as_str())
        .and_then(|rest| rest.strip_prefix(':'))
        .map_or(finding.message.as_str(), str::trim_start)
}

/// `1 table`, `3 tables`.
#[must_use]
pub fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {many}")
    }
}
