//! The structure of a backup as single statements: what `pg_restore` prints of an archive, taken apart at the
//! marks it prints before each entry, so that each can be run when what it needs is there.
//!
//! INVARIANT: nothing is cut off and nothing twice: the entries are those of the archive's own list, each
//! once (`every_entry_of_the_list_is_found`); a mark inside a function's body is not taken for one.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use resguardo_model::CancelToken;

use crate::port::EngineError;
use crate::postgres::settings::Settings;
use crate::postgres::tools::Tools;
use crate::process::{self, Command, Ended, NoLog, StreamError};

/// Begins the comment before each entry, with its numbers behind it.
const MARK: &str = "\n--\n-- TOC entry ";
/// What holds for the entries after it, until it is said anew.
const STANDING: [&str; 2] = [
    "SET default_tablespace = ",
    "SET default_table_access_method = ",
];
/// Longest output that is taken for the structure of a database.
const TEXT_BYTES_MAX: usize = 1 << 30;

/// Before or after the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Before,
    After,
}

/// Number, catalog and oid of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) id: u32,
    pub(super) class: u32,
    pub(super) oid: u32,
}

/// One object of the structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its numbers.
    pub(super) key: Key,
    /// Numbers of the entries that it needs; of some that are not in the archive too.
    pub(super) needs: Vec<u32>,
    /// `TABLE`, `FK CONSTRAINT`, ...
    pub(super) kind: String,
    /// Its schema; `-` if it has none.
    pub(super) schema: String,
    /// Its name as pg_dump prints it: `orders orders_pkey`.
    pub(super) name: String,
    /// When it comes.
    pub(super) section: Section,
    /// The statements that make it.
    pub(super) sql: String,
}

impl Entry {
    /// The object for people: `INDEX public.orders_idx`.
    pub(super) fn shown(&self) -> String {
        match self.schema.as_str() {
            "-" | "" => format!("{} {}", self.kind, self.name),
            schema => format!("{} {schema}.{}", self.kind, self.name),
        }
    }

    /// Whether it makes a large object or speaks of one.
    pub(super) fn is_of_large_object(&self) -> bool {
        let speaks_of_one = self.name.starts_with("LARGE OBJECT");
        match self.kind.as_str() {
            "BLOB" | "BLOB METADATA" | "BLOBS" => true,
            "COMMENT" | "ACL" | "SECURITY LABEL" => speaks_of_one,
            _ => false,
        }
    }

    /// Whether nothing is lost without it where this role may not make it: words about an extension, which
    /// only its owner may say.
    pub(super) fn may_be_left_out(&self) -> bool {
        self.kind == "COMMENT" && self.name.starts_with("EXTENSION ")
    }

    /// Takes the tablespace out of the statements if it is not `there`, and tells its name.
    pub(super) fn without_missing_tablespace(
        &mut self,
        there: &BTreeSet<String>,
    ) -> Option<String> {
        let (line, rest) = self.sql.split_once('\n')?;
        let quoted = line.strip_prefix(STANDING[0])?.strip_suffix(';')?;
        let unquoted = quoted
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'));
        let name = unquoted.map_or(quoted.to_owned(), |name| name.replace("\"\"", "\""));
        if name == "''" || there.contains(&name) {
            return None;
        }
        self.sql = format!("{}'';\n{rest}", STANDING[0]);
        Some(name)
    }

    /// Whether it is run after everything else: grants, then what is filled from tables or fires on changes.
    pub(super) fn pass(&self) -> Pass {
        let of_event_trigger = self.name.starts_with("EVENT TRIGGER ");
        match self.kind.as_str() {
            "ACL" | "ACL LANGUAGE" | "DEFAULT ACL" => Pass::Grants,
            "MATERIALIZED VIEW DATA" => Pass::Views,
            "EVENT TRIGGER" => Pass::Last,
            "COMMENT" | "SECURITY LABEL" if of_event_trigger => Pass::Last,
            _ => Pass::Main,
        }
    }
}

/// The passes of a restore, as `pg_restore` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pass {
    Main,
    Grants,
    Views,
    Last,
}

/// Runs `pg_restore` on files, without a database.
pub(super) struct PgRestore<'a> {
    pub(super) tools: &'a Tools,
    pub(super) folder: &'a Path,
    pub(super) silence: Duration,
    pub(super) cancel: &'a CancelToken,
}

impl PgRestore<'_> {
    /// The entries of the archive at `file`, in the order in which they are to be run.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] if it is damaged; why it cannot be read.
    pub(super) fn entries(
        &self,
        file: &Path,
        place: &str,
        no_owner: bool,
        no_acl: bool,
    ) -> Result<Vec<Entry>, EngineError> {
        let mut listed = BTreeMap::new();
        for (section, name) in [(Section::Before, "pre-data"), (Section::After, "post-data")] {
            let words = ["--list".to_owned(), format!("--section={name}")];
            let text = self.text(file, place, &words)?;
            listed.extend(keys(&text).map(|key| (key, section)));
        }
        let mut words = vec!["--verbose".to_owned(), "--file=-".to_owned()];
        words.extend(no_owner.then(|| "--no-owner".to_owned()));
        words.extend(no_acl.then(|| "--no-privileges".to_owned()));
        let text = self.text(file, place, &words)?;
        if no_acl {
            // What is not printed is not missed.
            let printed: BTreeSet<_> = marks(&text, &listed).map(|(key, _)| key).collect();
            listed.retain(|key, _| printed.contains(key));
        }
        entries(&text, &listed).map_err(|why| EngineError::Corrupt {
            place: place.to_owned(),
            why,
        })
    }

    /// What it prints when it is given `file`.
    fn text(&self, file: &Path, place: &str, words: &[String]) -> Result<String, EngineError> {
        let mut words = words.to_vec();
        words.push(file.display().to_string());
        let command = command(&self.tools.program("pg_restore"), words, self.folder);
        let mut text = Vec::new();
        let mut is_too_long = false;
        let ended = process::read_from::<Infallible>(
            &command,
            self.silence,
            self.cancel,
            &NoLog,
            &mut |block| {
                is_too_long |= text.len() + block.len() > TEXT_BYTES_MAX;
                if !is_too_long {
                    text.extend_from_slice(block);
                }
                Ok(())
            },
        );
        let ended = ended.map_err(|error| match error {
            StreamError::Process(error) => of_process(place, error),
            StreamError::Data(never) => match never {},
        })?;
        let corrupt = |why: String| EngineError::Corrupt {
            place: place.to_owned(),
            why,
        };
        if !ended.status.success() {
            return Err(corrupt(said(&ended)));
        }
        if is_too_long {
            return Err(corrupt(format!(
                "its structure is longer than {TEXT_BYTES_MAX} bytes"
            )));
        }
        String::from_utf8(text).map_err(|_| EngineError::Unsupported {
            place: place.to_owned(),
            why: "a name or definition in it is not UTF-8".to_owned(),
            next: "restore it with psql, as docs/format.md says".to_owned(),
        })
    }
}

/// A program of PostgreSQL's that finds nothing in our environment.
pub(in crate::postgres) fn command(file: &Path, words: Vec<String>, folder: &Path) -> Command {
    Command::program(PathBuf::from(file), words, folder)
        .without_variables(Settings::foreign_variables())
        .with_variables([("LC_ALL".to_owned(), "C".to_owned())])
}

/// The end of a tool's words, with how it ended.
pub(in crate::postgres) fn said(ended: &Ended) -> String {
    let said = ended.output.said();
    if said.is_empty() {
        ended.describe()
    } else {
        format!("{} ({})", said, ended.describe())
    }
}

pub(in crate::postgres) fn of_process(place: &str, error: process::ProcessError) -> EngineError {
    match error {
        process::ProcessError::Cancelled(cancelled) => cancelled.into(),
        process::ProcessError::Silent { name, seconds, .. }
        | process::ProcessError::Timeout { name, seconds, .. } => EngineError::Timeout {
            what: format!("{name} of {place}"),
            seconds,
        },
        other => EngineError::Other {
            operation: "running a tool for",
            place: place.to_owned(),
            source: Box::new(other),
        },
    }
}

/// The keys of a list: `3228; 2606 16430 CONSTRAINT app p p_pkey postgres`.
fn keys(list: &str) -> impl Iterator<Item = Key> {
    list.lines().filter_map(|line| {
        let (id, rest) = line.split_once("; ")?;
        let mut words = rest.split(' ');
        Some(Key {
            id: id.parse().ok()?,
            class: words.next()?.parse().ok()?,
            oid: words.next()?.parse().ok()?,
        })
    })
}

/// Where each listed entry's comment begins in what was printed.
fn marks<'a>(
    text: &'a str,
    listed: &'a BTreeMap<Key, Section>,
) -> impl Iterator<Item = (Key, usize)> + 'a {
    let mut seen = BTreeSet::new();
    text.match_indices(MARK).filter_map(move |(at, _)| {
        let key = key_of(&text[at + MARK.len()..])?;
        (listed.contains_key(&key) && seen.insert(key)).then_some((key, at + 1))
    })
}

/// `3228 (class 2606 OID 16430)`.
fn key_of(text: &str) -> Option<Key> {
    let line = text.lines().next()?;
    let (id, rest) = line.split_once(" (class ")?;
    let (class, rest) = rest.split_once(" OID ")?;
    Some(Key {
        id: id.parse().ok()?,
        class: class.parse().ok()?,
        oid: rest.strip_suffix(')')?.parse().ok()?,
    })
}

/// Takes what `pg_restore --verbose --file=-` printed apart.
fn entries(text: &str, listed: &BTreeMap<Key, Section>) -> Result<Vec<Entry>, String> {
    let found: Vec<_> = marks(text, listed).collect();
    let printed: BTreeSet<_> = found.iter().map(|(key, _)| key).collect();
    if let Some(key) = listed.keys().find(|key| !printed.contains(key)) {
        return Err(format!("entry {} is listed and not printed", key.id));
    }
    let end = text.rfind("\n\\unrestrict ").unwrap_or(text.len());
    let first = found.first().map_or(end, |(_, at)| *at);
    let mut standing = Standing::default();
    standing.take(&text[..first]);
    let mut entries = Vec::with_capacity(found.len());
    for (index, (key, at)) in found.iter().enumerate() {
        let next = found.get(index + 1).map_or(end, |(_, at)| *at);
        let (head, body) = heading(&text[*at..next])?;
        let (body, after) = Standing::split(body);
        entries.push(Entry {
            key: *key,
            needs: head.needs,
            kind: head.kind,
            schema: head.schema,
            name: head.name,
            section: listed[key],
            sql: format!("{}{}", standing.sql(), body.trim()),
        });
        standing.take(after);
    }
    Ok(entries)
}

/// What the comment before an entry says.
struct Heading {
    needs: Vec<u32>,
    kind: String,
    schema: String,
    name: String,
}

/// Splits the comment of an entry from its statements.
fn heading(text: &str) -> Result<(Heading, &str), String> {
    let broken = || {
        format!(
            "an entry's comment is not understood: {}",
            first_lines(text)
        )
    };
    // Both lines that close a comment are `--`; the first one opens it.
    let opened = text.strip_prefix("--\n").ok_or_else(broken)?;
    let close = opened.find("\n--\n").ok_or_else(broken)?;
    let (comment, body) = (&opened[..close], &opened[close + "\n--\n".len()..]);
    let mut needs = Vec::new();
    let mut names = None;
    for line in comment.lines() {
        if let Some(ids) = line.strip_prefix("-- Dependencies:") {
            needs.extend(ids.split(' ').filter_map(|id| id.parse::<u32>().ok()));
        } else if let Some(line) = line.strip_prefix("-- Name: ") {
            names = Some(names_of(line).ok_or_else(broken)?);
        }
    }
    let (name, kind, schema) = names.ok_or_else(broken)?;
    let heading = Heading {
        needs,
        kind,
        schema,
        name,
    };
    Ok((heading, body))
}

/// `t_pkey; Type: CONSTRAINT; Schema: app; Owner: postgres`: a name may hold anything, a type capital letters
/// only.
fn names_of(line: &str) -> Option<(String, String, String)> {
    let (at, kind, schema) = line.rmatch_indices("; Type: ").find_map(|(at, mark)| {
        let (kind, rest) = line[at + mark.len()..].split_once("; Schema: ")?;
        let is_kind = kind
            .chars()
            .all(|letter| letter.is_ascii_uppercase() || letter == ' ');
        let schema = rest.rsplit_once("; Owner: ").map_or(rest, |(name, _)| name);
        is_kind.then_some((at, kind, schema))
    })?;
    Some((line[..at].to_owned(), kind.to_owned(), schema.to_owned()))
}

fn first_lines(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Settings that stand until they are changed.
#[derive(Default)]
struct Standing {
    lines: [Option<String>; STANDING.len()],
}

impl Standing {
    /// Remembers the settings among the lines of `text`.
    fn take(&mut self, text: &str) {
        for line in text.lines() {
            for (kept, beginning) in self.lines.iter_mut().zip(STANDING) {
                if line.starts_with(beginning) {
                    *kept = Some(line.to_owned());
                }
            }
        }
    }

    fn sql(&self) -> String {
        let lines = self.lines.iter().flatten();
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// Cuts the settings for what follows off the end of an entry's statements.
    fn split(body: &str) -> (&str, &str) {
        let mut end = body.len();
        loop {
            let head = body[..end].trim_end();
            let line = head.rfind('\n').map_or(0, |at| at + 1);
            let is_setting = STANDING
                .iter()
                .any(|beginning| head[line..].starts_with(beginning));
            if !is_setting {
                return (&body[..end], &body[end..]);
            }
            end = line;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "--
-- PostgreSQL database dump
--

\\restrict abc

SET client_encoding = 'UTF8';

--
-- TOC entry 6 (class 2615 OID 16385)
-- Name: odd; Type: INDEX; Schema: x; Type: SCHEMA; Schema: -; Owner: postgres
-- Data Pos: 0
--

CREATE SCHEMA app;


SET default_tablespace = fast;

SET default_table_access_method = heap;

--
-- TOC entry 216 (class 1255 OID 16417)
-- Dependencies: 844 6
-- Name: f(); Type: FUNCTION; Schema: app; Owner: postgres
-- Data Pos: 0
--

CREATE FUNCTION app.f() AS $$
--
-- TOC entry 999 (class 1255 OID 1)
-- Name: x; Type: TABLE; Schema: y; Owner: z
--
SET default_tablespace = inside;
$$;


SET default_tablespace = '';

--
-- TOC entry 217 (class 1259 OID 16418)
-- Name: TABLE t; Type: ACL; Schema: app; Owner: postgres
-- Data Pos: 0
--

GRANT SELECT ON TABLE app.t TO PUBLIC;


-- Completed on 2026-11-22 11:48:28 UTC

--
-- PostgreSQL database dump complete
--

\\unrestrict abc

";

    fn listed() -> BTreeMap<Key, Section> {
        let list = "; Archive\n;\n6; 2615 16385 SCHEMA - app postgres\n\
                    216; 1255 16417 FUNCTION app f() postgres\n\
                    217; 1259 16418 ACL app TABLE t postgres\n";
        keys(list).map(|key| (key, Section::Before)).collect()
    }

    #[test]
    fn every_entry_of_the_list_is_found() {
        let entries = entries(TEXT, &listed()).unwrap();
        let ids: Vec<_> = entries.iter().map(|entry| entry.key.id).collect();
        assert_eq!(ids, [6, 216, 217]);
        assert_eq!(entries[0].name, "odd; Type: INDEX; Schema: x");
        assert_eq!(entries[0].shown(), "SCHEMA odd; Type: INDEX; Schema: x");
        assert_eq!(entries[0].sql, "CREATE SCHEMA app;");
        assert_eq!(entries[1].needs, [844, 6]);
        assert_eq!(entries[1].shown(), "FUNCTION app.f()");
        assert!(
            entries[1]
                .sql
                .starts_with("SET default_tablespace = fast;\nSET default_table_access_method = heap;\nCREATE FUNCTION")
                && entries[1].sql.ends_with("$$;"),
            "{}",
            entries[1].sql
        );
        assert!(entries[2].sql.contains("SET default_tablespace = '';"));
        assert_eq!(entries[2].pass(), Pass::Grants);
        assert!(!entries[2].sql.contains("\\unrestrict"));
    }

    #[test]
    fn an_entry_that_is_not_printed_is_missed() {
        let mut listed = listed();
        listed.insert(
            Key {
                id: 300,
                class: 1,
                oid: 2,
            },
            Section::After,
        );
        let error = entries(TEXT, &listed).unwrap_err();
        assert!(error.contains("entry 300"), "{error}");
    }
}
