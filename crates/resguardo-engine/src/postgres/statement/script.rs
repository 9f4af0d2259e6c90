//! Cuts a script into its statements as psql does, so that each is run by itself: in one message they would be
//! one transaction, in which `VACUUM` or `CREATE INDEX CONCURRENTLY` cannot be.
//! <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>

/// A statement of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    /// Its text, without the semicolon.
    pub(super) sql: &'a str,
    /// The lines after a `COPY … FROM STDIN`, to the line `\.`.
    pub(super) data: Option<&'a str>,
}

impl Statement<'_> {
    /// Its first word in lower case, without comments before it.
    pub(super) fn verb(&self) -> String {
        let mut scanner = Scanner::new(self.sql);
        while let Some(piece) = scanner.next_piece() {
            if let Piece::Word(word) = piece {
                return word.to_ascii_lowercase();
            }
            if piece == Piece::Other {
                break;
            }
        }
        String::new()
    }
}

/// A line that only psql understands, like `\set`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ForPsql(pub(super) String);

/// The statements in their order; empty ones are left out.
///
/// # Errors
/// [`ForPsql`].
pub(super) fn split(script: &str) -> Result<Vec<Statement<'_>>, ForPsql> {
    let mut statements = Vec::new();
    let mut scanner = Scanner::new(script);
    let mut start = 0;
    let mut nesting = Nesting::default();
    loop {
        let at = scanner.at;
        let piece = scanner.next_piece();
        match piece {
            Some(Piece::Semicolon) if !nesting.is_inside() => {
                let sql = script[start..at].trim();
                let data = nesting.is_copy_in().then(|| scanner.copy_data());
                if nesting.has_begun {
                    statements.push(Statement { sql, data });
                }
                start = scanner.at;
                nesting = Nesting::default();
            }
            Some(Piece::Backslash) if !nesting.has_begun => {
                let line = script[at..].lines().next().unwrap_or_default();
                let command = line.split_whitespace().next().unwrap_or_default();
                return Err(ForPsql(command.to_owned()));
            }
            Some(piece) => nesting.take(&piece),
            None => {
                if nesting.has_begun {
                    let sql = script[start..].trim();
                    statements.push(Statement { sql, data: None });
                }
                return Ok(statements);
            }
        }
    }
}

/// What decides whether a semicolon ends a statement: parentheses, and the body of a function that begins
/// with `BEGIN ATOMIC`.
#[derive(Debug, Default)]
struct Nesting {
    has_begun: bool,
    parentheses: u32,
    /// `BEGIN` and `CASE` that are open in a function's body.
    blocks: u32,
    /// The first words, in lower case.
    words: Vec<String>,
    /// Whether `from stdin` is among the words.
    from_stdin: bool,
}

impl Nesting {
    fn is_inside(&self) -> bool {
        self.parentheses > 0 || self.blocks > 0
    }

    fn is_copy_in(&self) -> bool {
        self.from_stdin && self.words.first().is_some_and(|word| word == "copy")
    }

    fn makes_function(&self) -> bool {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        matches!(
            words[..],
            ["create", "function" | "procedure", ..]
                | ["create", "or", "replace", "function" | "procedure", ..]
        )
    }

    fn take(&mut self, piece: &Piece<'_>) {
        match piece {
            Piece::Blank => return,
            Piece::Open => self.parentheses += 1,
            Piece::Close => self.parentheses = self.parentheses.saturating_sub(1),
            Piece::Word(word) => self.take_word(word),
            Piece::Semicolon | Piece::Backslash | Piece::Other => {}
        }
        self.has_begun = true;
    }

    fn take_word(&mut self, word: &str) {
        let word = word.to_ascii_lowercase();
        if self.parentheses == 0 && self.makes_function() {
            match word.as_str() {
                "begin" => self.blocks += 1,
                "case" if self.blocks > 0 => self.blocks += 1,
                "end" => self.blocks = self.blocks.saturating_sub(1),
                _ => {}
            }
        }
        self.from_stdin |=
            word == "stdin" && self.words.last().is_some_and(|before| before == "from");
        if self.words.len() >= 5 {
            // The last one is enough beyond the first few.
            self.words.truncate(4);
        }
        self.words.push(word);
    }
}

/// A part of SQL that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// Space or a comment.
    Blank,
    Word(&'a str),
    Open,
    Close,
    Semicolon,
    Backslash,
    /// A text, a quoted name, a number, an operator.
    Other,
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn next_piece(&mut self) -> Option<Piece<'a>> {
        let rest = self.rest();
        let first = rest.chars().next()?;
        let (piece, length) = match first {
            _ if first.is_whitespace() => (Piece::Blank, first.len_utf8()),
            '-' if rest.starts_with("--") => (Piece::Blank, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (Piece::Blank, comment(rest)),
            '\'' => (Piece::Other, quoted(rest, '\'', self.is_escape_string())),
            '"' => (Piece::Other, quoted(rest, '"', false)),
            '$' => (Piece::Other, dollar_quoted(rest).unwrap_or(1)),
            '(' => (Piece::Open, 1),
            ')' => (Piece::Close, 1),
            ';' => (Piece::Semicolon, 1),
            '\\' => (Piece::Backslash, 1),
            _ if is_word_start(first) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (Piece::Word(&rest[..end]), end)
            }
            _ if first.is_ascii_digit() => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
                (Piece::Other, end.unwrap_or(rest.len()))
            }
            _ => (Piece::Other, first.len_utf8()),
        };
        self.at += length;
        Some(piece)
    }

    /// Whether the quote that follows belongs to an `E` before it.
    fn is_escape_string(&self) -> bool {
        let mut before = self.text[..self.at].chars().rev();
        matches!(before.next(), Some('e' | 'E')) && !before.next().is_some_and(is_word)
    }

    /// Takes the lines of a `COPY` after its semicolon, to the line `\.`.
    fn copy_data(&mut self) -> &'a str {
        let rest = self.rest();
        let start = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let mut end = start;
        for line in rest[start..].split_inclusive('\n') {
            if line.trim_end() == "\\." {
                self.at += end + line.len();
                return &rest[start..end];
            }
            end += line.len();
        }
        self.at = self.text.len();
        &rest[start..]
    }
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_word(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit() || c == '$'
}

/// Length of a comment, which may hold others.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of a text in quotes; a doubled quote in it is seen as the beginning of another.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if escapes && character == '\\' {
            characters.next();
        } else if character == quote {
            return at + 1;
        }
    }
    text.len()
}

/// Length of a text between `$tag$`s; `None` if no such thing begins here.
fn dollar_quoted(text: &str) -> Option<usize> {
    let end = text[1..].find('$')? + 2;
    let tag = &text[..end];
    let name = &tag[1..end - 1];
    let is_tag = name.chars().all(|c| c != '$' && is_word(c))
        && name.chars().next().is_none_or(is_word_start);
    if !is_tag {
        return None;
    }
    let close = text[end..].find(tag);
    Some(close.map_or(text.len(), |at| end + at + tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(script: &str) -> Vec<&str> {
        let found = split(script).expect("nothing for psql");
        found.into_iter().map(|statement| statement.sql).collect()
    }

    #[test]
    fn semicolons_in_texts_names_and_comments_end_nothing() {
        let script = "select ';', E'\\';', 'it''s;', \"a;\"\"b\" -- c;\n /* ; /* ; */ ; */ ; select $1;; ; select 2";
        assert_eq!(
            statements(script),
            [
                "select ';', E'\\';', 'it''s;', \"a;\"\"b\" -- c;\n /* ; /* ; */ ; */",
                "select $1",
                "select 2"
            ]
        );
        assert_eq!(statements("-- nothing\n ; /* at all */"), [""; 0]);
        assert_eq!(statements("select 'unended; x"), ["select 'unended; x"]);
    }

    #[test]
    fn bodies_of_functions_stay_whole() {
        for whole in [
            "do $$ begin perform 1; end $$",
            "create function f() returns int as $a$ select $$;$$; $a$ language sql",
            "create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end",
            "CREATE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC insert into t values (1); END",
            "create rule r as on insert to t do instead (select 1; select 2)",
            "select a$b$, c from t where d = $tag$;$tag$",
        ] {
            let script = format!("{whole};\nselect 1");
            assert_eq!(statements(&script), [whole, "select 1"]);
        }
        // A transaction is none.
        assert_eq!(
            statements("begin; select 1; end"),
            ["begin", "select 1", "end"]
        );
    }

    #[test]
    fn lines_of_a_copy_belong_to_it() {
        let script = "copy t (a, b) from stdin with (format text);\n1\tx;y\n2\t\\N\n\\.\nselect 1;";
        let found = split(script).unwrap();
        assert_eq!(found[0].data, Some("1\tx;y\n2\t\\N\n"));
        assert_eq!(found[1].sql, "select 1");
        assert_eq!(found[1].data, None);
        assert_eq!(
            split("copy t from stdin;\n\\.\n").unwrap()[0].data,
            Some("")
        );
    }

    #[test]
    fn what_only_psql_understands_is_named() {
        assert_eq!(
            split("select 1;\n\\set a 1\n"),
            Err(ForPsql("\\set".to_owned()))
        );
        assert_eq!(
            split("\\connect other"),
            Err(ForPsql("\\connect".to_owned()))
        );
    }

    #[test]
    fn the_first_word_tells_what_it_does() {
        for (sql, verb) in [
            ("/* a */ -- b\n  COMMIT", "commit"),
            ("(select 1)", "select"),
            ("select 1", "select"),
            ("", ""),
        ] {
            assert_eq!(Statement { sql, data: None }.verb(), verb);
        }
    }
}
