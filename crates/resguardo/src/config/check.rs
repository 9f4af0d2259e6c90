//! `[[sources.X.checks]]`, from what is written to what ops is given.

use std::ops::Range;

use resguardo_ops::{CheckKind, CheckSpec, Expectation};

use super::file::{CheckFile, Leaf, SourceFile};
use super::problem::Problem;
use super::resolver::Resolver;

/// Seconds a check may take where its config says nothing.
const TIMEOUT_SECONDS: u64 = 30;

impl Resolver<'_> {
    pub(super) fn checks(&mut self, prefix: &str, file: &SourceFile) -> Vec<CheckSpec> {
        let mut names: Vec<String> = Vec::new();
        let mut specs = Vec::new();
        for (position, leaf) in file.checks.iter().enumerate() {
            let check = leaf.get();
            let Some(name) = check.name.as_ref().map(|name| name.get().clone()) else {
                self.problems.push(Problem::at(
                    leaf.span(),
                    "a check has no name",
                    "add name = \"...\"",
                ));
                continue;
            };
            if names.contains(&name) {
                let message = format!("two checks are called {name:?}");
                let span = check.name.as_ref().map_or(leaf.span(), Leaf::span);
                self.problems
                    .push(Problem::at(span, message, "give it a name of its own"));
            }
            names.push(name.clone());
            let prefix = format!("{prefix}.checks[{position}]");
            self.optional(&format!("{prefix}.name"), check.name.as_ref());
            match self.check_kind(&prefix, &name, leaf) {
                Ok(kind) => specs.push(CheckSpec {
                    name,
                    kind,
                    timeout: self.length(
                        &format!("{prefix}.timeout"),
                        check.timeout.as_ref(),
                        TIMEOUT_SECONDS,
                    ),
                }),
                Err(problem) => self.problems.push(problem),
            }
        }
        specs
    }

    fn check_kind(
        &mut self,
        prefix: &str,
        name: &str,
        leaf: &Leaf<CheckFile>,
    ) -> Result<CheckKind, Problem> {
        let check = leaf.get();
        let kinds: Vec<(&str, &Leaf<String>)> = [
            ("sql", &check.sql),
            ("http", &check.http),
            ("command", &check.command),
        ]
        .into_iter()
        .filter_map(|(word, leaf)| leaf.as_ref().map(|leaf| (word, leaf)))
        .collect();
        let steps = check.steps.first().map(Leaf::span);
        let (kind, text) = match (kinds.as_slice(), steps) {
            ([], Some(_)) => {
                foreign_key_of(check, "steps", name)?;
                return self.steps_check(prefix, check).map(CheckKind::Http);
            }
            ([only], None) => *only,
            ([], None) => {
                let message = format!("the check {name:?} checks nothing");
                return Err(Problem::at(
                    leaf.span(),
                    message,
                    "add sql, http, steps or command",
                ));
            }
            ([(first, _), (second, span), ..], _) => {
                return Err(two_kinds(name, first, second, span.span()));
            }
            ([(first, _)], Some(span)) => return Err(two_kinds(name, first, "steps", span)),
        };
        foreign_key_of(check, kind, name)?;
        self.optional(&format!("{prefix}.{kind}"), Some(text));
        match kind {
            "sql" => self.sql_check(prefix, check, text),
            "http" => self.http_check(prefix, check, text).map(CheckKind::Http),
            _ => Ok(CheckKind::Command {
                command: text.get().clone(),
                exit_code: self.with_default(
                    &format!("{prefix}.exit_code"),
                    check.exit_code.as_ref(),
                    0,
                ),
            }),
        }
    }

    fn sql_check(
        &mut self,
        prefix: &str,
        check: &CheckFile,
        text: &Leaf<String>,
    ) -> Result<CheckKind, Problem> {
        let expect = Expectation {
            equals: self
                .optional(&format!("{prefix}.equals"), check.equals.as_ref())
                .map(|scalar| scalar.0),
            min: self.optional(&format!("{prefix}.min"), check.min.as_ref()),
            max: self.optional(&format!("{prefix}.max"), check.max.as_ref()),
            matches: self.optional(&format!("{prefix}.matches"), check.matches.as_ref()),
            rows: self.optional(&format!("{prefix}.rows"), check.rows.as_ref()),
        };
        expect
            .validate()
            .map_err(|why| Problem::at(text.span(), why, ""))?;
        Ok(CheckKind::Sql {
            sql: text.get().clone(),
            expect,
        })
    }
}

fn two_kinds(name: &str, first: &str, second: &str, span: Range<usize>) -> Problem {
    let message = format!("the check {name:?} has both {first} and {second}");
    Problem::at(span, message, "make it a check of its own")
}

/// A key that means nothing for this kind of check would be silently ignored: it is refused.
fn foreign_key_of(check: &CheckFile, kind: &str, name: &str) -> Result<(), Problem> {
    type Key<'a> = (&'a str, Option<Range<usize>>, &'a [&'a str]);
    let at = check.http.as_ref().map(Leaf::span);
    let at = at.or(check.steps.first().map(Leaf::span)).unwrap_or(0..0);
    let keys: [Key<'_>; 12] = [
        ("equals", check.equals.as_ref().map(Leaf::span), &["sql"]),
        ("min", check.min.as_ref().map(Leaf::span), &["sql"]),
        ("max", check.max.as_ref().map(Leaf::span), &["sql"]),
        ("rows", check.rows.as_ref().map(Leaf::span), &["sql"]),
        (
            "matches",
            check.matches.as_ref().map(Leaf::span),
            &["sql", "http"],
        ),
        (
            "serve",
            check.serve.as_ref().map(Leaf::span),
            &["http", "steps"],
        ),
        ("method", check.method.as_ref().map(Leaf::span), &["http"]),
        (
            "headers",
            check.headers.as_ref().map(|_| at.clone()),
            &["http"],
        ),
        ("json", check.json.as_ref().map(|_| at.clone()), &["http"]),
        ("body", check.body.as_ref().map(Leaf::span), &["http"]),
        ("status", check.status.as_ref().map(Leaf::span), &["http"]),
        (
            "exit_code",
            check.exit_code.as_ref().map(Leaf::span),
            &["command"],
        ),
    ];
    for (key, span, kinds) in keys {
        if let Some(span) = span
            && !kinds.contains(&kind)
        {
            let message = format!("the check {name:?} is a check with {kind}, which has no {key}");
            let label = if kind == "steps" && kinds.contains(&"http") {
                "belongs to one of its steps".to_owned()
            } else {
                format!("belongs to {}", kinds.join(" or "))
            };
            return Err(Problem::at(span, message, label));
        }
    }
    Ok(())
}
