//! The structure of a database as text, made comparable: what `pg_dump` prints, in blocks of one object
//! each, without what differs between two dumps of the same thing (versions, settings of the session,
//! `\restrict`, the order of objects and of grants), nor the tablespaces that things lie in: they are folders
//! of their server.

use std::borrow::Cow;
use std::collections::BTreeMap;

use resguardo_model::Sha256Digest;
use sha2::Digest as _;

/// Begins the line that names an object.
const HEADER: &str = "-- Name: ";
/// Sets the access method of the tables after it.
const ACCESS_METHOD: &str = "SET default_table_access_method = ";

/// Before the tablespace, last in the line that names an object.
const TABLESPACE: &str = "; Tablespace: ";
/// Begins the line of a table's parents.
const INHERITS: &str = "INHERITS (";

/// A structure in blocks, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Normal {
    /// By the object's type, schema and name; one object may have several.
    blocks: BTreeMap<String, Vec<String>>,
}

impl Normal {
    /// Reads the text of `pg_dump` or `pg_restore -f -`.
    pub(super) fn parse(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let is_header = |at: usize| {
            lines[at].starts_with(HEADER)
                && at > 0
                && lines[at - 1] == "--"
                && lines.get(at + 1) == Some(&"--")
        };
        let starts: Vec<usize> = (0..lines.len()).filter(|at| is_header(*at)).collect();
        let mut normal = Self::default();
        let mut method = "heap";
        let first = starts.first().copied().unwrap_or(lines.len());
        method = last_method(&lines[..first]).unwrap_or(method);
        for (position, start) in starts.iter().enumerate() {
            // The next block begins one line before its header.
            let end = starts
                .get(position + 1)
                .map_or(lines.len(), |next| next - 1);
            let (body, settings) = body(&lines[start + 2..end]);
            normal.add(lines[*start], body, method);
            method = last_method(settings).unwrap_or(method);
        }
        for texts in normal.blocks.values_mut() {
            texts.sort();
        }
        normal
    }

    fn add(&mut self, header: &str, body: &[&str], method: &str) {
        let fields = Fields::of(header);
        let mut lines = body.to_vec();
        let policy = (fields.kind == "POLICY").then(|| sorted_roles(&body.join("\n")));
        if fields.kind.ends_with("ACL") {
            lines.sort_unstable();
        } else if lines.iter().any(|line| line.starts_with(INHERITS)) {
            // A table that is made anew has its parents' columns first.
            for line in &mut lines {
                *line = line.strip_suffix(',').unwrap_or(line);
            }
            lines.sort_unstable();
        }
        // The owner is the object's, whose own block tells it; the server's own objects and an extension's have
        // none, and belong to whoever made the server or the extension.
        let mut text = if fields.kind.ends_with("ACL") {
            String::new()
        } else {
            fields.rest
        };
        if matches!(fields.kind, "TABLE" | "MATERIALIZED VIEW") && method != "heap" {
            text.push_str("; Method: ");
            text.push_str(method);
        }
        text.push('\n');
        let mut lines: Vec<Cow<'_, str>> = lines.into_iter().map(Cow::Borrowed).collect();
        if fields.kind == "TABLE" {
            for line in &mut lines {
                if let Some(nameless) = without_given_name(line) {
                    *line = Cow::Owned(nameless);
                }
            }
        }
        text.push_str(&policy.unwrap_or_else(|| lines.join("\n")));
        let key = match fields.schema {
            "-" | "" => format!("{} {}", fields.kind, fields.name),
            schema => format!("{} {schema}.{}", fields.kind, fields.name),
        };
        self.blocks.entry(key).or_default().push(text);
    }

    /// SHA-256 over all blocks in their order.
    pub(super) fn digest(&self) -> Sha256Digest {
        let mut hasher = sha2::Sha256::new();
        for (key, texts) in &self.blocks {
            for text in texts {
                for part in [key, text] {
                    hasher.update((part.len() as u64).to_le_bytes());
                    hasher.update(part);
                }
            }
        }
        Sha256Digest::from(hasher)
    }

    /// How many objects it has.
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// The objects that differ from those of `other`: `INDEX public.orders_at is missing`, `… is new`,
    /// `… differs`, in the order of their names. Empty if the two are equal.
    pub(super) fn difference(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (key, texts) in &self.blocks {
            match other.blocks.get(key) {
                None => found.push(format!("{key} is missing")),
                Some(others) if others != texts => found.push(format!("{key} differs")),
                Some(_) => {}
            }
        }
        let new = other
            .blocks
            .keys()
            .filter(|key| !self.blocks.contains_key(*key));
        found.extend(new.map(|key| format!("{key} is new")));
        found
    }

    /// Without the objects that `keep` refuses by type, schema and name: `EXTENSION vector`.
    #[must_use]
    pub(super) fn filtered(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.blocks.retain(|key, _| keep(key));
        self
    }
}

/// The lines of a block that belong to its object, and those after it that set the session for the next.
fn body<'a, 'b>(lines: &'b [&'a str]) -> (&'b [&'a str], &'b [&'a str]) {
    let is_session = |line: &str| {
        line.is_empty()
            || line == "--"
            || line.starts_with("-- PostgreSQL database dump")
            || line.starts_with("\\unrestrict ")
            || (line.starts_with("SET ") && line.ends_with(';'))
    };
    let mut end = lines.len();
    while end > 0 && is_session(lines[end - 1]) {
        end -= 1;
    }
    let start = lines[..end].iter().position(|line| !line.is_empty());
    (&lines[start.unwrap_or(end)..end], &lines[end..])
}

/// The line of a column without the name that PostgreSQL itself gave to its `NOT NULL`: which number makes it
/// unique depends on what was made before. `a integer CONSTRAINT t_a_not_null1 NOT NULL`
fn without_given_name(line: &str) -> Option<String> {
    let (before, after) = line.rsplit_once(" CONSTRAINT ")?;
    let (name, rest) = after.split_once(" NOT NULL")?;
    let name = name.trim_matches('"');
    let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let is_given = stem.ends_with("_not_null") && !name.contains(' ');
    is_given.then(|| format!("{before} NOT NULL{rest}"))
}

/// A policy's text with its roles in order: the catalog lists them as they happen to be numbered.
fn sorted_roles(text: &str) -> String {
    let outside = outside_quotes(text);
    let find = |word: &str, from: usize| {
        let mut found = text[from..].match_indices(word).map(|(at, _)| from + at);
        found.find(|at| outside[*at])
    };
    let Some(start) = find(" TO ", 0).map(|at| at + " TO ".len()) else {
        return text.to_owned();
    };
    let ends = [" USING (", " WITH CHECK (", ";"];
    let end = ends.iter().filter_map(|word| find(word, start)).min();
    let end = end.unwrap_or(text.len());
    let mut roles = Vec::new();
    let mut from = start;
    while let Some(comma) = find(", ", from).filter(|comma| *comma < end) {
        roles.push(&text[from..comma]);
        from = comma + ", ".len();
    }
    roles.push(&text[from..end]);
    roles.sort_unstable();
    format!("{}{}{}", &text[..start], roles.join(", "), &text[end..])
}

/// Of each byte whether it is outside of a quoted name or text.
fn outside_quotes(text: &str) -> Vec<bool> {
    let mut quote = None;
    let mut outside = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        outside.push(quote.is_none());
        match quote {
            None if matches!(byte, b'"' | b'\'') => quote = Some(byte),
            Some(open) if open == byte => quote = None,
            _ => {}
        }
    }
    outside
}

fn last_method<'a>(lines: &[&'a str]) -> Option<&'a str> {
    let mut methods = lines
        .iter()
        .rev()
        .filter_map(|line| line.strip_prefix(ACCESS_METHOD));
    methods.next().map(|method| method.trim_end_matches(';'))
}

/// What a header tells: `-- Name: orders; Type: TABLE; Schema: public; Owner: app; Tablespace: fast`. A name
/// may hold what separates the fields; they are therefore looked for from the end.
struct Fields<'a> {
    name: &'a str,
    kind: &'a str,
    schema: &'a str,
    /// Owner.
    rest: String,
}

impl<'a> Fields<'a> {
    fn of(header: &'a str) -> Self {
        let text = header.strip_prefix(HEADER).unwrap_or(header);
        let (text, rest) = split(text, "; Owner: ");
        let (text, schema) = split(text, "; Schema: ");
        let (name, kind) = split(text, "; Type: ");
        // Another server has none of that name, or its own.
        let (owner, _) = split(rest, TABLESPACE);
        Self {
            name,
            kind,
            schema,
            rest: format!("Owner: {owner}"),
        }
    }
}

fn split<'a>(text: &'a str, at: &str) -> (&'a str, &'a str) {
    text.rsplit_once(at).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "\
--
-- PostgreSQL database dump
--

\\restrict abc
-- Dumped from database version 15.4

SET statement_timeout = 0;
SET default_table_access_method = heap;

--
-- Name: orders; Type: TABLE; Schema: public; Owner: app
--

CREATE TABLE public.orders (
    id integer
);


ALTER TABLE public.orders OWNER TO app;

SET default_tablespace = '';

--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: app
--

CREATE FUNCTION public.f() RETURNS void AS $$
-- a comment
SET x = 1;
$$;


--
-- Name: TABLE orders; Type: ACL; Schema: public; Owner: app
--

GRANT SELECT ON TABLE public.orders TO a;
GRANT SELECT ON TABLE public.orders TO b;


--
-- PostgreSQL database dump complete
--

\\unrestrict abc
";

    #[test]
    fn what_two_dumps_of_one_thing_differ_in_does_not_matter() {
        let right = Normal::parse(DUMP);
        assert_eq!(right.blocks.len(), 3);
        let same = DUMP
            .replace("restrict abc", "restrict xyz")
            .replace("15.4", "15.5")
            .replace("SET statement_timeout = 0;\n", "")
            .replace("TO a;", "TO c;")
            .replace("TO b;", "TO a;")
            .replace("TO c;", "TO b;");
        assert_eq!(right.digest(), Normal::parse(&same).digest());
        let (head, tail) = DUMP.split_once("--\n-- Name: TABLE orders").unwrap();
        let (start, middle) = head.split_once("--\n-- Name: orders").unwrap();
        let (grants, end) = tail.split_once("\n\n\n").unwrap();
        let turned = format!(
            "{start}--\n-- Name: TABLE orders{grants}\n\n\n--\n-- Name: orders{middle}{end}"
        );
        assert_eq!(right, Normal::parse(&turned));
    }

    #[test]
    fn where_a_table_lies_does_not_matter() {
        let header = "Type: TABLE; Schema: public; Owner: app";
        let elsewhere = DUMP
            .replace(header, &format!("{header}; Tablespace: fast"))
            .replace("default_tablespace = ''", "default_tablespace = fast");
        assert_ne!(elsewhere, DUMP);
        assert_eq!(Normal::parse(DUMP), Normal::parse(&elsewhere));
    }

    #[test]
    fn the_order_of_a_policys_roles_does_not_matter() {
        let policy = |roles: &str| {
            format!("CREATE POLICY \"p TO q\" ON a.t TO {roles} USING ((a = 'x, y'));")
        };
        let one = sorted_roles(&policy("z, \"a, b\", m"));
        assert_eq!(one, policy("\"a, b\", m, z"));
        assert_eq!(sorted_roles(&policy("m, z, \"a, b\"")), one);
        assert_eq!(
            sorted_roles("CREATE POLICY p ON t;"),
            "CREATE POLICY p ON t;"
        );
    }

    #[test]
    fn the_name_that_postgresql_gave_a_not_null_does_not_matter() {
        let told = |line: &str| without_given_name(line).unwrap_or_else(|| line.to_owned());
        assert_eq!(
            told("    a integer CONSTRAINT t_a_not_null1 NOT NULL,"),
            "    a integer NOT NULL,"
        );
        let own = "    a integer CONSTRAINT mine NOT NULL,";
        assert_eq!(told(own), own);
    }

    #[test]
    fn objects_that_differ_are_named() {
        let right = Normal::parse(DUMP);
        for (from, to, told) in [
            ("id integer", "id bigint", "TABLE public.orders differs"),
            ("-- a comment", "-- another", "FUNCTION public.f() differs"),
            ("SET x = 1;\n", "", "FUNCTION public.f() differs"),
            (
                "Type: TABLE; Schema: public; Owner: app",
                "Type: TABLE; Schema: public; Owner: ana",
                "TABLE public.orders differs",
            ),
            (
                "method = heap",
                "method = zheap",
                "TABLE public.orders differs",
            ),
        ] {
            let other = Normal::parse(&DUMP.replace(from, to));
            assert_eq!(right.difference(&other), [told], "{from}");
            assert_ne!(right.digest(), other.digest());
        }
        let without = right.clone().filtered(|key| !key.starts_with("ACL"));
        let gone = ["ACL public.TABLE orders is missing"];
        assert_eq!(right.difference(&without), gone);
        assert_eq!(
            without.difference(&right),
            ["ACL public.TABLE orders is new"]
        );
        assert!(right.difference(&right).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_in_is_equal_to_itself(text in "(?s)(--\n|-- Name: |; Type: (ACL|TABLE)|; Schema: |; Owner: |\n|SET [a-z]+ = [a-z]+;|[^\u{0}]){0,60}") {
            let normal = Normal::parse(&text);
            proptest::prop_assert_eq!(normal.difference(&normal), Vec::<String>::new());
            proptest::prop_assert_eq!(normal.digest(), Normal::parse(&text).digest());
        }
    }
}
