//! Reads a dump as SQL past itself: whether it is whole, which server it is of, and what has to be cut out of
//! it so that it can go into a database of any name, without its owners, without its grants.
//!
//! It goes by the lines that pg_dump writes, and by the comment before each object: what looks like one of
//! these lines inside rows or in an object of another kind is left alone.

use std::collections::BTreeSet;
use std::ops::Range;

/// Longest line that is looked at; rows may be longer.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What was found in a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::postgres) struct Script {
    /// pg_dump's last line is there, and nothing but comments behind it.
    pub(in crate::postgres) is_complete: bool,
    /// It is one of pg_dump's at all.
    pub(in crate::postgres) is_dump: bool,
    /// It is of a whole cluster.
    pub(in crate::postgres) is_cluster: bool,
    /// Databases that it connects to.
    pub(in crate::postgres) connects: usize,
    /// `15.4`: the server that it is of.
    pub(in crate::postgres) server_version: Option<String>,
    /// `16.1`: the program that wrote it.
    pub(in crate::postgres) pg_dump: Option<String>,
    /// Roles that own something or are granted something.
    pub(in crate::postgres) roles: BTreeSet<String>,
    /// Extensions that it makes.
    pub(in crate::postgres) extensions: BTreeSet<String>,
    /// Tables whose rows it holds.
    pub(in crate::postgres) tables: u64,
    /// Bytes of its text.
    pub(in crate::postgres) bytes: u64,
    /// What is only for psql, or makes the database itself.
    pub(super) frame: Vec<Range<u64>>,
    /// What sets owners.
    pub(super) owners: Vec<Range<u64>>,
    /// What grants.
    pub(super) grants: Vec<Range<u64>>,
}

impl Script {
    /// What is left out of it, in order and without overlaps.
    pub(in crate::postgres) fn cuts(&self, no_owner: bool, no_acl: bool) -> Vec<Range<u64>> {
        let mut cuts = self.frame.clone();
        if no_owner {
            cuts.extend(self.owners.iter().cloned());
        }
        if no_acl {
            cuts.extend(self.grants.iter().cloned());
        }
        cuts.sort_by_key(|cut| cut.start);
        let mut merged: Vec<Range<u64>> = Vec::new();
        for cut in cuts {
            match merged.last_mut() {
                Some(last) if cut.start <= last.end => last.end = last.end.max(cut.end),
                _ => merged.push(cut),
            }
        }
        merged
    }
}

/// Takes a dump block by block.
#[derive(Default)]
pub(super) struct Scanner {
    reading: Reading,
    /// The line that has begun, at most [`LINE_BYTES_MAX`] of it.
    line: Vec<u8>,
    from: u64,
}

impl Scanner {
    /// Takes what comes next.
    pub(super) fn push(&mut self, block: &[u8]) {
        let mut rest = block;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end + 1);
            self.keep(line);
            self.end_line();
            rest = after;
        }
        self.keep(rest);
    }

    /// What was found, when all has come.
    pub(super) fn finish(mut self) -> Script {
        self.end_line();
        self.reading.script
    }

    fn keep(&mut self, part: &[u8]) {
        let kept = part
            .len()
            .min(LINE_BYTES_MAX.saturating_sub(self.line.len()));
        self.line.extend_from_slice(&part[..kept]);
        self.reading.script.bytes += part.len() as u64;
    }

    fn end_line(&mut self) {
        let at = self.from..self.reading.script.bytes;
        if !at.is_empty() {
            self.reading.take(&self.line, at);
        }
        self.line.clear();
        self.from = self.reading.script.bytes;
    }
}

/// What the comment before an object says.
#[derive(Default)]
struct Heading {
    kind: String,
    owner: String,
}

#[derive(Default)]
struct Reading {
    script: Script,
    in_rows: bool,
    heading: Heading,
    /// Where the statements that make the database itself begin.
    database_from: Option<u64>,
}

impl Reading {
    fn take(&mut self, line: &[u8], at: Range<u64>) {
        if self.in_rows {
            self.in_rows = line != b"\\.\n" && line != b"\\.\r\n";
            return;
        }
        let Ok(text) = std::str::from_utf8(line) else {
            self.script.is_complete = false;
            return;
        };
        let text = text.trim_end();
        if let Some(comment) = text.strip_prefix("--") {
            self.comment(comment.trim_start());
        } else if let Some(command) = text.strip_prefix('\\') {
            self.command(command, at);
        } else if !text.is_empty() {
            self.script.is_complete = false;
            self.statement(text, at);
        }
    }

    fn comment(&mut self, comment: &str) {
        let script = &mut self.script;
        match comment {
            "PostgreSQL database dump" => script.is_dump = true,
            "PostgreSQL database cluster dump" => script.is_cluster = true,
            "PostgreSQL database dump complete" => script.is_complete = true,
            _ => {}
        }
        let word = |text: &str| text.split_whitespace().next().map(str::to_owned);
        if let Some(version) = comment.strip_prefix("Dumped from database version ") {
            script.server_version = word(version);
        } else if let Some(version) = comment.strip_prefix("Dumped by pg_dump version ") {
            script.pg_dump = word(version);
        } else if let Some(names) = comment.strip_prefix("Name: ") {
            self.heading = heading(names);
        } else if let Some(names) = comment.strip_prefix("Data for Name: ") {
            self.heading = heading(names);
        }
    }

    fn command(&mut self, command: &str, at: Range<u64>) {
        let name = command.split_whitespace().next().unwrap_or_default();
        match name {
            "restrict" | "unrestrict" => self.script.frame.push(at),
            "connect" | "c" => {
                self.script.connects += 1;
                let from = self.database_from.take().unwrap_or(at.start);
                self.script.frame.push(from..at.end);
            }
            _ => self.script.is_complete = false,
        }
    }

    fn statement(&mut self, text: &str, at: Range<u64>) {
        let is_database = self.heading.kind.starts_with("DATABASE");
        if is_database || text.starts_with("DROP DATABASE ") {
            self.database_from.get_or_insert(at.start);
        } else if text.starts_with("COPY ") && text.ends_with(" FROM stdin;") {
            self.in_rows = true;
            self.script.tables += 1;
        } else if let Some(rest) = text.strip_prefix("CREATE EXTENSION IF NOT EXISTS ") {
            self.script.extensions.insert(first_name(rest));
        } else if matches!(self.heading.kind.as_str(), "ACL" | "DEFAULT ACL") {
            self.grant(text, at);
        } else if text.starts_with("ALTER ") && !self.heading.owner.is_empty() {
            self.owner(text, at);
        }
    }

    fn owner(&mut self, text: &str, at: Range<u64>) {
        let owner = &self.heading.owner;
        let set = text.rsplit_once(" OWNER TO ");
        if set.is_some_and(|(_, role)| unquoted(role.trim_end_matches(';')) == *owner) {
            self.script.roles.insert(owner.clone());
            self.script.owners.push(at);
        }
    }

    fn grant(&mut self, text: &str, at: Range<u64>) {
        let rest = text.strip_suffix(';').unwrap_or(text);
        let rest = rest.strip_suffix(" WITH GRANT OPTION").unwrap_or(rest);
        for mark in [" TO ", " FROM "] {
            if let Some((_, role)) = rest.rsplit_once(mark)
                && role != "PUBLIC"
                && is_name(role)
            {
                self.script.roles.insert(unquoted(role));
            }
        }
        if let Some((_, rest)) = rest.split_once("DEFAULT PRIVILEGES FOR ROLE ") {
            self.script.roles.insert(first_name(rest));
        }
        self.script.grants.push(at);
    }
}

/// `orders; Type: TABLE; Schema: public; Owner: app`, perhaps with a tablespace behind it.
fn heading(names: &str) -> Heading {
    let Some((_, rest)) = names.rsplit_once("; Type: ") else {
        return Heading::default();
    };
    let (kind, rest) = rest.split_once("; Schema: ").unwrap_or((rest, ""));
    let owner = rest.rsplit_once("; Owner: ").map_or("", |(_, owner)| owner);
    let owner = owner.split("; Tablespace: ").next().unwrap_or(owner);
    Heading {
        kind: kind.to_owned(),
        owner: owner.to_owned(),
    }
}

/// Whether it is one name, in quotes or not.
fn is_name(text: &str) -> bool {
    match text.strip_prefix('"') {
        Some(rest) => rest.ends_with('"'),
        None => !text.contains(' '),
    }
}

/// The name with which the text begins.
fn first_name(text: &str) -> String {
    match text.strip_prefix('"') {
        Some(rest) => {
            let end = rest.replace("\"\"", "  ").find('"').unwrap_or(rest.len());
            rest[..end].replace("\"\"", "\"")
        }
        None => {
            let end = text.find([' ', ';']).unwrap_or(text.len());
            text[..end].to_owned()
        }
    }
}

/// A name as it is.
fn unquoted(text: &str) -> String {
    let inside = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inside.map_or(text.to_owned(), |name| name.replace("\"\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = r#"--
-- PostgreSQL database dump
--

\restrict abc

-- Dumped from database version 15.4 (Debian)
-- Dumped by pg_dump version 16.1

SET statement_timeout = 0;

--
-- Name: shop; Type: DATABASE; Schema: -; Owner: app
--

CREATE DATABASE shop WITH TEMPLATE = template0;


ALTER DATABASE shop OWNER TO app;

\unrestrict abc
\connect shop
\restrict abc

--
-- Name: pg_trgm; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;

--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: app
--

CREATE FUNCTION f() AS $$
GRANT SELECT ON x TO y;
ALTER TABLE x OWNER TO somebody;
$$;


ALTER FUNCTION public.f() OWNER TO app;

--
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: app
--

COPY public.t (id) FROM stdin;
\connect other
-- PostgreSQL database dump complete
\.


--
-- Name: TABLE t; Type: ACL; Schema: public; Owner: app
--

GRANT SELECT ON TABLE public.t TO "the ""reader""" WITH GRANT OPTION;
GRANT SELECT ON TABLE public.t TO PUBLIC;


--
-- PostgreSQL database dump complete
--

\unrestrict abc

"#;

    fn read(text: &str) -> Script {
        let mut scanner = Scanner::default();
        for block in text.as_bytes().chunks(7) {
            scanner.push(block);
        }
        scanner.finish()
    }

    fn cut(script: &Script, no_owner: bool, no_acl: bool) -> String {
        let mut text = String::new();
        let mut from = 0;
        for cut in script.cuts(no_owner, no_acl) {
            text.push_str(&DUMP[from..cut.start as usize]);
            from = cut.end as usize;
        }
        text + &DUMP[from..]
    }

    #[test]
    fn a_dump_tells_what_it_is_of() {
        let script = read(DUMP);
        assert!(script.is_complete && script.is_dump && !script.is_cluster);
        assert_eq!(script.connects, 1);
        assert_eq!(script.server_version.as_deref(), Some("15.4"));
        assert_eq!(script.pg_dump.as_deref(), Some("16.1"));
        let roles: Vec<_> = script.roles.iter().map(String::as_str).collect();
        assert_eq!(roles, ["app", "the \"reader\""]);
        assert!(script.extensions.contains("uuid-ossp"));
        assert_eq!(script.tables, 1);
        assert_eq!(script.bytes, DUMP.len() as u64);
    }

    #[test]
    fn what_is_cut_is_the_frame_and_what_was_not_asked_for() {
        let script = read(DUMP);
        let plain = cut(&script, false, false);
        assert!(!plain.contains("restrict") && !plain.contains("DATABASE shop"));
        assert!(plain.contains("\\connect other\n"), "rows are left alone");
        assert!(plain.contains("SET statement_timeout") && plain.contains("OWNER TO app"));
        let bare = cut(&script, true, true);
        assert!(bare.contains("GRANT SELECT ON x TO y") && bare.contains("OWNER TO somebody"));
        assert!(!bare.contains("OWNER TO app") && !bare.contains("GRANT SELECT ON TABLE"));
    }

    #[test]
    fn a_dump_cut_short_is_not_complete() {
        for end in [10, 100, DUMP.len() / 2, DUMP.len() - 70] {
            assert!(!read(&DUMP[..end]).is_complete, "{end}");
        }
        let more = format!("{DUMP}\nselect 1;\n");
        assert!(!read(&more).is_complete);
    }
}
