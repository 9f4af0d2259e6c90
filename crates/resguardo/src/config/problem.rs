//! What is wrong with a config: each problem points at its place in the file and suggests what to write.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource};
use resguardo_engine::port::Location;

/// One thing that is wrong, somewhere in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong; names the thing.
    pub message: String,
    /// Where it stands, in bytes.
    pub span: Option<Range<usize>>,
    /// What to write there.
    pub label: String,
    /// A sentence that helps further.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem at `span`.
    pub fn at(span: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span: Some(span),
            label: label.into(),
            hint: None,
        }
    }

    /// A reference that could not be read, wherever it stands.
    #[must_use]
    pub fn of_reference(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span: None,
            label: String::new(),
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Everything that is wrong with one config file; at least one problem.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.first_line())]
pub struct InvalidConfig {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl InvalidConfig {
    fn first_line(&self) -> String {
        match self.problems.as_slice() {
            [only] => format!("{}: {}", self.path.display(), only.message),
            [first, rest @ ..] => format!(
                "{}: {} (and {} more)",
                self.path.display(),
                first.message,
                rest.len()
            ),
            [] => unreachable!("an invalid config has a problem"),
        }
    }

    /// Every problem in a line of its own, with the number of the file's line and what to do.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |problem: &Problem| {
            let at = problem.span.as_ref();
            let at = at.map(|span| format!(":{}", line_of(&self.text, span.start)));
            let place = format!("{}{}", self.path.display(), at.unwrap_or_default());
            let rest = [Some(problem.label.clone()), problem.hint.clone()];
            let rest = rest.into_iter().flatten().filter(|text| !text.is_empty());
            let words = std::iter::once(problem.message.clone()).chain(rest);
            format!("{place}: {}", words.collect::<Vec<_>>().join("; "))
        };
        self.problems.iter().map(line).collect()
    }

    /// Every problem with the lines it stands in, for people.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let theme = if color {
            miette::GraphicalTheme::unicode()
        } else {
            miette::GraphicalTheme::unicode_nocolor()
        };
        let mut theme = theme;
        "error:".clone_into(&mut theme.characters.error);
        let handler = miette::GraphicalReportHandler::new_themed(theme)
            .with_links(false)
            .with_context_lines(1)
            .with_width(100);
        let shown: Arc<str> = without_passwords(&self.text).into();
        let mut out = String::new();
        for problem in &self.problems {
            let one = Rendered {
                problem,
                source: NamedSource::new(self.path.display().to_string(), Arc::clone(&shown)),
            };
            let mut text = String::new();
            if handler.render_report(&mut text, &one).is_err() {
                text = format!("error: {}\n", problem.message);
            }
            out.push_str(text.trim_start());
            if let Some(hint) = &problem.hint {
                out.push_str(&format!("hint: {hint}\n"));
            }
        }
        out
    }
}

/// One problem in miette's shape.
#[derive(Debug)]
struct Rendered<'a> {
    problem: &'a Problem,
    source: NamedSource<Arc<str>>,
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Rendered<'_> {}

impl Diagnostic for Rendered<'_> {
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.problem.span.clone()?;
        let label = Some(self.problem.label.clone()).filter(|label| !label.is_empty());
        Some(Box::new(std::iter::once(LabeledSpan::new(
            label,
            span.start,
            span.len(),
        ))))
    }
}

/// The one of `known` that is nearest to `word`, if any is near enough to be what was meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Turns an error of the TOML reader into a problem. An unknown key gets a suggestion.
#[must_use]
pub fn from_toml(error: &toml::de::Error, text: &str) -> Problem {
    let message = error.message().trim();
    let span = error.span();
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return Problem {
            message: message.lines().next().unwrap_or(message).to_owned(),
            hint: span.as_ref().and_then(|span| {
                let before = text.get(..span.start)?;
                count_wanted(message, before).or_else(|| quotes_missing(text, span.start))
            }),
            span,
            label: String::new(),
        };
    };
    // serde's words: unknown field `a`, expected `b` / expected `b` or `c` / expected one of `b`, `c`
    let key = rest.split('`').next().unwrap_or(rest);
    let known: Vec<&str> = message.split('`').skip(1).step_by(2).skip(1).collect();
    let label = match nearest(key, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "not known here".to_owned(),
    };
    let span = span.map(|span| key_span(text, span, key));
    Problem {
        message: format!("unknown key {key}"),
        span,
        label,
        hint: Some(format!("known here: {}", known.join(", "))),
    }
}

/// What is accepted where a count was wanted: the TOML reader says it in the words of the language it is
/// written in. `before` is the text before the value.
fn count_wanted(message: &str, before: &str) -> Option<String> {
    if !message.lines().next()?.ends_with("expected u32") {
        return None;
    }
    let key = before.trim_end().strip_suffix('=')?.trim_end();
    let begins = key.rfind(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let key = &key[begins.map_or(0, |at| at + 1)..];
    Some(format!(
        "write a whole number, 0 or more, without quotes, like {key} = 14"
    ))
}

/// What keys of secrets end with.
const SECRETS: [&str; 6] = [
    "secret",
    "secret_key",
    "account_key",
    "password",
    "passphrase",
    "token",
];

/// The text, byte for byte as long, with asterisks for every value that is a secret, or a URL which holds a
/// password, or may hold one.
fn without_passwords(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| {
            let Some((key, value)) = line.split_once('=') else {
                return line.to_owned();
            };
            let url = value.trim().trim_matches(['"', '\'']);
            let is_command = ["cmd:", "file:"].iter().any(|kind| url.starts_with(kind));
            let is_secret = SECRETS.iter().any(|end| key.trim_end().ends_with(end));
            if is_secret && !is_command && !url.is_empty() && !url.contains("${") {
                let hidden = url.bytes().map(|_| '*').collect::<String>();
                return format!("{key}={}", value.replacen(url, &hidden, 1));
            }
            let is_url = url.contains("://") || key.trim_end().ends_with("url");
            if is_command || !(is_url || url.starts_with("postgres")) || is_shown(url) {
                return line.to_owned();
            }
            let hidden = url.bytes().map(|_| '*').collect::<String>();
            line.replacen(url, &hidden, 1)
        })
        .collect()
}

fn is_shown(url: &str) -> bool {
    Location::new(url).to_string() == url
}

/// The hint for a line `key = value` whose value would be right between quotes and is nothing without.
fn quotes_missing(text: &str, offset: usize) -> Option<String> {
    let start = text.get(..offset)?.rfind('\n').map_or(0, |end| end + 1);
    let line = text[start..].lines().next()?;
    let (key, value) = line.split_once('=')?;
    let value = value.split(" #").next().unwrap_or(value).trim();
    let is_text = !value.is_empty() && !value.contains(['"', '\'', '[', '{', '=']);
    let is_value = toml::from_str::<toml::Table>(&format!("x = {value}")).is_ok();
    let shown = Location::new(value);
    (is_text && !is_value).then(|| format!("a text needs quotes: {} = \"{shown}\"", key.trim()))
}

/// The reader's span may cover more than the key.
fn key_span(text: &str, span: Range<usize>, key: &str) -> Range<usize> {
    match text.get(span.clone()).and_then(|within| within.find(key)) {
        Some(offset) => span.start + offset..span.start + offset + key.len(),
        None => span,
    }
}

/// The number of the line that holds byte `offset`, from 1.
#[must_use]
pub fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

/// A path as it reads best: relative to `folder` where it lies below it.
#[must_use]
pub fn shown_path(path: &Path, folder: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::super::file::ConfigFile;
    use super::*;

    fn problem(text: &str) -> Problem {
        let error = toml::from_str::<ConfigFile>(text).unwrap_err();
        from_toml(&error, text)
    }

    #[test]
    fn an_unknown_key_is_pointed_at_with_a_suggestion() {
        for (text, key, label) in [
            ("[vault]\nulr = \"x\"\n", "ulr", "did you mean url?"),
            (
                "[source.shop]\nurl = \"x\"\n",
                "source",
                "did you mean sources?",
            ),
            (
                "[sources.shop]\nenviroment = \"x\"\n",
                "enviroment",
                "did you mean environment?",
            ),
            (
                "[[sources.shop.checks]]\nname = \"a\"\nsqll = \"x\"\n",
                "sqll",
                "did you mean sql?",
            ),
            (
                "[environments.x]\nretention = { dayly = 3 }\n",
                "dayly",
                "did you mean daily?",
            ),
            ("[vault]\nxyzzy = 1\n", "xyzzy", "not known here"),
        ] {
            let problem = problem(text);
            assert_eq!(problem.message, format!("unknown key {key}"), "{text}");
            let span = problem.span.expect(text);
            assert_eq!(&text[span], key, "{text}");
            assert_eq!(problem.label, label, "{text}");
        }
    }

    #[test]
    fn a_bad_value_is_pointed_at() {
        for (text, at, says) in [
            (
                "[environments.x]\nrpo = \"4 h\"\n",
                "\"4 h\"",
                "is not a duration",
            ),
            (
                "[vault]\ncompression_level = \"x\"\n",
                "\"x\"",
                "expected i32",
            ),
            (
                "[[sources.shop.checks]]\nstatus = -1\n",
                "-1",
                "invalid value",
            ),
        ] {
            let problem = problem(text);
            assert_eq!(&text[problem.span.expect(text)], at, "{text}");
            assert!(problem.message.contains(says), "{}", problem.message);
        }
    }

    #[test]
    fn a_text_without_quotes_is_told_to_need_them() {
        for (text, hint) in [
            ("[vault]\nurl = ./vault\n", "url = \"./vault\""),
            ("[vault]\nurl = ./vault # here\n", "url = \"./vault\""),
            ("[vault]\nurl = vault\n", "url = \"vault\""),
            ("[vault]\nurl = s3://b/p\n[sources]\n", "url = \"s3://b/p\""),
            ("[environments.x]\nrpo = 24h\n", "rpo = \"24h\""),
        ] {
            let expected = format!("a text needs quotes: {hint}");
            assert_eq!(problem(text).hint.as_deref(), Some(&*expected), "{text}");
        }
        for text in [
            "[vault]\nurl = \"./vault\n",
            "[vault\nurl = \"x\"\n",
            "[vault]\ncompression_level = 1.5\n",
        ] {
            assert_eq!(problem(text).hint, None, "{text}");
        }
    }

    #[test]
    fn rendered_with_its_line() {
        let text = "[vault]\nulr = \"x\"\n";
        let invalid = InvalidConfig {
            path: "resguardo.toml".into(),
            text: text.into(),
            problems: vec![problem(text)],
        };
        let rendered = invalid.render(false);
        assert!(
            rendered.starts_with("error: unknown key ulr\n"),
            "{rendered}"
        );
        assert!(rendered.contains("[resguardo.toml:2:1]"), "{rendered}");
        assert!(rendered.contains("did you mean url?"), "{rendered}");
        assert!(
            rendered.contains("hint: known here: url, copies"),
            "{rendered}"
        );
    }

    #[test]
    fn a_count_that_is_none_is_told_what_is_accepted() {
        for value in ["-1", "\"14\"", "1.5", "4294967296"] {
            let text = format!("[environments.x]\nretention = {{ weekly = {value} }}\n");
            let problem = problem(&text);
            let hint = problem.hint.as_deref().unwrap_or_default();
            assert!(hint.contains("like weekly = 14"), "{value}: {problem:?}");
        }
    }
}
