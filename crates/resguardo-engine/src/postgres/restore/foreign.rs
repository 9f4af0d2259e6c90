//! Brings a dump that somebody else's tools wrote into a database: an archive by `pg_restore`, a plain dump by
//! `psql`, in one transaction.
//!
//! A plain dump is a script, and `psql` runs programs for a script that asks for it: where `psql` knows
//! `\restrict`, it is told to take nothing but SQL.
//!
//! INVARIANT: a plain dump that fails leaves nothing: what ends the transaction is sent after its last byte, by
//! us (`a_plain_dump_that_fails_leaves_nothing_and_runs_nothing`).

use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use super::archive::{command, of_process, said};
use super::load::read_error;
use super::{Site, create, empty, flush, ready};
use crate::port::{BackupReader, EngineError, RestorePart, Restored, TargetState};
use crate::postgres::foreign::{Dump, Format, unpacked};
use crate::postgres::inventory::Role;
use crate::postgres::session::Session;
use crate::postgres::tools::Tools;
use crate::process::{self, Command, Ended, NoLog, StreamError};

/// The last majors and minors of `psql` that do not know `\restrict`.
const UNRESTRICTED: [(u32, u32); 5] = [(13, 21), (14, 18), (15, 13), (16, 9), (17, 5)];
/// Versions of `pg_restore` from this one on say something that older servers do not know.
const TIMEOUT_MAJOR: u32 = 17;
/// The setting that they do not know.
const TIMEOUT_SETTING: &str = "transaction_timeout";
/// Lines of a tool that an error shows.
const LINES_MAX: usize = 5;

/// Restores the dump at `path`.
///
/// # Errors
/// As [`super::restore`].
pub(super) fn restore(
    site: &Site<'_>,
    backup: &dyn BackupReader,
    path: &Path,
) -> Result<Restored, EngineError> {
    refuse_options(site, path)?;
    let dump = Dump::again(&site.target.around, path, backup, site.run)?;
    if !dump.format.is_archive() && site.options.part != RestorePart::All {
        return Err(unsupported(
            path,
            "a plain dump can only be restored as a whole",
            "use a dump of pg_dump -Fc",
        ));
    }
    let state = site.state()?;
    let session = match state {
        TargetState::Missing => site.beside()?,
        TargetState::Empty | TargetState::Occupied { .. } => site.connect(site.run.cancel)?,
    };
    ready::server(&session, dump.server_major())?;
    ready::extensions(&session, dump.script.extensions.iter().map(String::as_str))?;
    roles(site, &session, &dump)?;
    let work = Work {
        site,
        backup,
        tools: tools(site, &session, &dump)?,
        server_major: session.version().major(),
        session: session_options(site),
        dump,
    };
    match state {
        TargetState::Missing => {
            create::create(&session, site.settings().database(), None, None)?;
            work.fill().map_err(|error| site.undo(error))
        }
        TargetState::Empty => work.fill().map_err(|error| work.after(error)),
        TargetState::Occupied { .. } if site.options.part == RestorePart::Data => {
            work.fill().map_err(|error| work.after(error))
        }
        TargetState::Occupied { .. } => {
            empty::empty(&session)?;
            work.fill().map_err(|error| site.touched(error))
        }
    }
}

fn unsupported(path: &Path, why: &str, next: &str) -> EngineError {
    EngineError::Unsupported {
        place: path.display().to_string(),
        why: why.to_owned(),
        next: next.to_owned(),
    }
}

fn refuse_options(site: &Site<'_>, path: &Path) -> Result<(), EngineError> {
    if site.options.only.is_empty() {
        return Ok(());
    }
    Err(unsupported(
        path,
        "single tables come back from a backup of ours alone",
        "restore the whole file into another database, and copy the table from there",
    ))
}

/// The roles that the dump names have to be there: it does not say what they are. In a sandbox, names are
/// enough.
fn roles(site: &Site<'_>, session: &Session, dump: &Dump) -> Result<(), EngineError> {
    if !ready::needs_roles(site.options) {
        return Ok(());
    }
    let role = |name: &String| Role {
        name: name.clone(),
        ..Role::default()
    };
    let named: Vec<Role> = dump.script.roles.iter().map(role).collect();
    let missing = ready::missing_roles(session, &named)?;
    if missing.is_empty() {
        return Ok(());
    }
    if site.target.sandbox {
        return ready::make_roles(site.target, session, &missing);
    }
    let names: Vec<_> = missing.iter().map(|role| role.name.as_str()).collect();
    Err(EngineError::Unsupported {
        place: site.settings().describe(),
        why: format!(
            "the dump needs the roles {}, which the server lacks",
            ready::listed(&names)
        ),
        next: "create them, or restore with --no-owner --no-acl".to_owned(),
    })
}

/// The programs of the server's major, if they read what a newer one may have written.
fn tools(site: &Site<'_>, session: &Session, dump: &Dump) -> Result<Tools, EngineError> {
    let server = session.version().major();
    let needed = match dump.format {
        Format::Plain(_) => server,
        Format::Custom | Format::Tar | Format::Folder => {
            server.max(dump.dumped_by().unwrap_or(server))
        }
    };
    Tools::clients(needed, &site.target.around.tool_folders)
}

/// What the tools' sessions are told, on top of what the settings say: as our own that load.
fn session_options(site: &Site<'_>) -> String {
    let mut options = site
        .settings()
        .get("options")
        .unwrap_or_default()
        .to_owned();
    options.push_str(" -c synchronous_commit=off -c statement_timeout=0");
    options
}

/// One restore of a dump.
struct Work<'a> {
    site: &'a Site<'a>,
    backup: &'a dyn BackupReader,
    dump: Dump,
    tools: Tools,
    server_major: u32,
    /// `PGOPTIONS` of the tools.
    session: String,
}

impl Work<'_> {
    /// The target, which was empty or took more rows, after `error`.
    fn after(&self, error: EngineError) -> EngineError {
        match self.dump.format {
            Format::Plain(_) => error,
            Format::Custom | Format::Tar | Format::Folder => self.site.touched(error),
        }
    }

    fn fill(&self) -> Result<Restored, EngineError> {
        match self.dump.format {
            Format::Plain(packing) => {
                let text = unpacked(&self.dump.path, packing);
                let text = text.map_err(|error| EngineError::Read(read_error(error)))?;
                self.psql(text)?;
            }
            Format::Custom | Format::Tar | Format::Folder => self.pg_restore()?,
        }
        if self.site.options.durable {
            flush(&self.site.connect(self.site.run.cancel)?)?;
        }
        Ok(Restored {
            tables: self.dump.script.tables,
            bytes: self.backup.files().iter().map(|file| file.bytes).sum(),
            notes: Vec::new(),
        })
    }

    /// A program that connects to the target.
    fn command(&self, program: &str, words: Vec<String>) -> Command {
        command(&self.tools.program(program), words, Path::new("/"))
            .with_variables(self.site.settings().variables())
            .with_variables([("PGOPTIONS".to_owned(), self.session.clone())])
    }

    fn pg_restore(&self) -> Result<(), EngineError> {
        let options = self.site.options;
        let is_known = self.server_major >= TIMEOUT_MAJOR || self.tools.major() < TIMEOUT_MAJOR;
        let mut words = vec!["--dbname=".to_owned(), "--no-password".to_owned()];
        let wanted = [
            (is_known, "--exit-on-error"),
            (options.no_owner, "--no-owner"),
            (options.no_acl, "--no-privileges"),
            (options.part == RestorePart::Structure, "--schema-only"),
            (options.part == RestorePart::Data, "--data-only"),
        ];
        let wanted = wanted.iter().filter(|(is_wanted, _)| *is_wanted);
        words.extend(wanted.map(|(_, word)| (*word).to_owned()));
        if self.dump.format != Format::Tar {
            words.push(format!("--jobs={}", self.site.jobs()));
        }
        let path = std::path::absolute(&self.dump.path);
        let path = path.map_err(|error| EngineError::Read(read_error(error)))?;
        words.push(path.display().to_string());
        let command = self.command("pg_restore", words);
        let ended = process::run(&command, Duration::MAX, self.site.run.cancel, &NoLog);
        let ended = ended.map_err(|error| of_process(&self.place(), error))?;
        if ended.status.success() || !is_known && is_about_the_setting_alone(&ended) {
            return Ok(());
        }
        Err(self.failed("pg_restore", &ended))
    }

    fn psql(&self, text: Box<dyn Read + Send>) -> Result<(), EngineError> {
        let options = self.site.options;
        let cuts = self.dump.script.cuts(options.no_owner, options.no_acl);
        let (before, after) = frame(knows_restrict(self.tools.version()));
        let mut script = Cursor::new(before)
            .chain(Cut::new(text, cuts))
            .chain(Cursor::new(after));
        let words = [
            "--no-psqlrc",
            "--quiet",
            "--no-password",
            "--set=ON_ERROR_STOP=1",
            // What is in a row is nobody's business who reads an error.
            "--set=VERBOSITY=terse",
            "--file=-",
        ];
        let words = words.map(str::to_owned).to_vec();
        let command = self.command("psql", words);
        let ended = process::write_to(
            &command,
            Duration::MAX,
            self.site.run.cancel,
            &NoLog,
            &mut script,
        );
        let ended = ended.map_err(|error| match error {
            StreamError::Process(error) => of_process(&self.place(), error),
            StreamError::Data(error) => EngineError::Read(read_error(error)),
        })?;
        if ended.status.success() {
            return Ok(());
        }
        Err(self.failed("psql", &ended))
    }

    fn place(&self) -> String {
        self.site.settings().describe()
    }

    fn failed(&self, program: &str, ended: &Ended) -> EngineError {
        let full = said(ended);
        let errors = full.lines().filter(|line| is_error(line));
        let errors: Vec<_> = errors.take(LINES_MAX).collect();
        let words = if errors.is_empty() {
            full.lines().take(LINES_MAX).collect::<Vec<_>>().join("\n")
        } else {
            errors.join("\n")
        };
        if words.contains("No space left on device") {
            return EngineError::Full {
                operation: "restoring to",
                place: self.place(),
            };
        }
        EngineError::Other {
            operation: "restoring to",
            place: self.place(),
            source: format!("{program} ended with {}: {words}", ended.describe()).into(),
        }
    }
}

fn is_error(line: &str) -> bool {
    line.contains("error:") || line.contains("ERROR:") || line.contains("FATAL:")
}

/// Whether every error is that of a setting which an older server does not know.
pub(super) fn is_about_the_setting_alone(ended: &Ended) -> bool {
    let errors: Vec<_> = ended
        .output
        .stderr
        .lines()
        .filter(|line| is_error(line))
        .collect();
    let all_known = errors.iter().all(|line| line.contains(TIMEOUT_SETTING));
    let counted = ended.output.stderr.lines().rev().find_map(|line| {
        let (_, count) = line.split_once("errors ignored on restore: ")?;
        count.trim().parse::<usize>().ok()
    });
    all_known && counted == Some(errors.len())
}

/// Whether this `psql` knows `\restrict`.
fn knows_restrict(version: &str) -> bool {
    let mut numbers = version
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse::<u32>().ok());
    let major = numbers.next().unwrap_or(0);
    let minor = numbers.next().unwrap_or(0);
    match UNRESTRICTED.iter().find(|(old, _)| *old == major) {
        Some((_, last)) => minor > *last,
        None => major >= 18,
    }
}

/// What is sent before and after a plain dump.
fn frame(is_restricted: bool) -> (String, String) {
    if !is_restricted {
        return ("begin;\n".to_owned(), "\n;commit;\n".to_owned());
    }
    let key = format!("{:016x}", RandomState::new().hash_one("key"));
    (
        format!("begin;\n\\restrict {key}\n"),
        format!("\n\\unrestrict {key}\n;commit;\n"),
    )
}

/// A stream without some of its ranges.
struct Cut<R> {
    inner: R,
    at: u64,
    cuts: std::vec::IntoIter<Range<u64>>,
    next: Option<Range<u64>>,
}

impl<R: Read> Cut<R> {
    fn new(inner: R, cuts: Vec<Range<u64>>) -> Self {
        let mut cuts = cuts.into_iter();
        let next = cuts.next();
        Self {
            inner,
            at: 0,
            cuts,
            next,
        }
    }

    /// Reads past what is left out.
    fn skip(&mut self) -> io::Result<()> {
        while let Some(cut) = self.next.clone().filter(|cut| cut.start <= self.at) {
            let missing = cut.end.saturating_sub(self.at);
            let skipped = io::copy(&mut (&mut self.inner).take(missing), &mut io::sink())?;
            if skipped < missing {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.at += skipped;
            self.next = self.cuts.next();
        }
        Ok(())
    }
}

impl<R: Read> Read for Cut<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.skip()?;
        let until = self
            .next
            .as_ref()
            .map_or(u64::MAX, |cut| cut.start - self.at);
        let wanted = buffer
            .len()
            .min(usize::try_from(until).unwrap_or(usize::MAX));
        let read = self.inner.read(&mut buffer[..wanted])?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_without_some_ranges() {
        let cut = |cuts: Vec<Range<u64>>| {
            let mut text = String::new();
            let mut stream = Cut::new(&b"0123456789"[..], cuts);
            stream.read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(cut(vec![]).unwrap(), "0123456789");
        assert_eq!(cut(vec![0..2, 4..5, 8..10]).unwrap(), "23567");
        assert!(cut(vec![0..1, 8..12]).is_err());
    }

    #[test]
    fn versions_that_know_restrict() {
        for (version, knows) in [
            ("15.18", true),
            ("15.13", false),
            ("16.10", true),
            ("17.5", false),
            ("18.0", true),
            ("12.22", false),
        ] {
            assert_eq!(knows_restrict(version), knows, "{version}");
        }
    }
}
