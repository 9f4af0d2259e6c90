//! Checks that ask an application, from what is written to what ops is given.

use std::collections::BTreeMap;

use resguardo_ops::source::{HttpCheck, HttpStep, JsonPath, names_in, validate_pattern};
use secrecy::SecretString;

use super::file::{CheckFile, Leaf, StepFile};
use super::problem::{Problem, nearest};
use super::resolver::Resolver;

/// What stands before a path of an application that the check serves.
const SERVED: &str = "http://127.0.0.1:${PORT}";

impl Resolver<'_> {
    /// A check of one request.
    pub(super) fn http_check(
        &mut self,
        prefix: &str,
        check: &CheckFile,
        url: &Leaf<String>,
    ) -> Result<HttpCheck, Problem> {
        let step = StepFile {
            url: Some(url.clone()),
            method: check.method.clone(),
            headers: check.headers.clone(),
            body: check.body.clone(),
            status: check.status.clone(),
            matches: check.matches.clone(),
            json: check.json.clone(),
            capture: None,
        };
        let step = self.step(prefix, check, &step, url)?;
        self.asked(prefix, check, vec![step])
    }

    /// A check of several requests.
    pub(super) fn steps_check(
        &mut self,
        prefix: &str,
        check: &CheckFile,
    ) -> Result<HttpCheck, Problem> {
        let mut steps = Vec::new();
        for (position, leaf) in check.steps.iter().enumerate() {
            let prefix = format!("{prefix}.steps[{position}]");
            let Some(url) = leaf.get().url.clone() else {
                let message = "a step asks nothing";
                return Err(Problem::at(leaf.span(), message, "add url = \"...\""));
            };
            self.optional(&format!("{prefix}.url"), Some(&url));
            steps.push(self.step(&prefix, check, leaf.get(), &url)?);
        }
        self.asked(prefix, check, steps)
    }

    fn asked(
        &mut self,
        prefix: &str,
        check: &CheckFile,
        steps: Vec<HttpStep>,
    ) -> Result<HttpCheck, Problem> {
        let variables = self.variables_of(check, &steps)?;
        Ok(HttpCheck {
            serve: self.optional(&format!("{prefix}.serve"), check.serve.as_ref()),
            steps,
            variables,
        })
    }

    fn step(
        &mut self,
        prefix: &str,
        check: &CheckFile,
        step: &StepFile,
        at: &Leaf<String>,
    ) -> Result<HttpStep, Problem> {
        if let Some(pattern) = &step.matches {
            validate_pattern(pattern.get()).map_err(|why| {
                let first = why.lines().last().unwrap_or("not a regular expression");
                Problem::at(pattern.span(), first, "")
            })?;
        }
        let url = address(check, at)?;
        let mut json = Vec::new();
        for (path, leaf) in step.json.iter().flatten() {
            json.push((path_of(path, leaf)?, leaf.get().0.clone()));
        }
        let mut capture = Vec::new();
        for (name, leaf) in step.capture.iter().flatten() {
            if name == "PORT" {
                let message = "PORT is the port of serve, and no name for what is captured";
                return Err(Problem::at(leaf.span(), message, "another name"));
            }
            capture.push((name.clone(), path_of(leaf.get(), leaf)?));
        }
        let headers = step.headers.clone().unwrap_or_default();
        Ok(HttpStep {
            url,
            method: self.with_default(
                &format!("{prefix}.method"),
                step.method.as_ref(),
                "GET".to_owned(),
            ),
            headers: headers.into_iter().collect(),
            body: self.optional(&format!("{prefix}.body"), step.body.as_ref()),
            status: self.with_default(&format!("{prefix}.status"), step.status.as_ref(), 200),
            matches: self.optional(&format!("{prefix}.matches"), step.matches.as_ref()),
            json,
            capture,
        })
    }

    /// What the environment has for the names in the requests. One that is not set keeps nobody from
    /// taking backups: the check says so when it is run.
    fn variables_of(
        &self,
        check: &CheckFile,
        steps: &[HttpStep],
    ) -> Result<BTreeMap<String, SecretString>, Problem> {
        let mut variables = BTreeMap::new();
        let mut captured: Vec<&str> = Vec::new();
        for (position, step) in steps.iter().enumerate() {
            let names = step.texts().flat_map(names_in);
            for name in names.filter(|name| *name != "PORT" && !captured.contains(name)) {
                if let Some(value) = self.ambient.variable(name) {
                    variables.insert(name.to_owned(), SecretString::from(value.to_owned()));
                } else if let Some(meant) = nearest(name, captured.iter().copied()) {
                    let span = check.steps.get(position).map_or(0..0, Leaf::span);
                    let message = format!("${{{name}}} is captured by no earlier step");
                    let label = format!("did you mean ${{{meant}}}?");
                    return Err(Problem::at(span, message, label));
                }
            }
            captured.extend(step.capture.iter().map(|(name, _)| name.as_str()));
        }
        Ok(variables)
    }
}

/// The whole address of a request.
fn address(check: &CheckFile, at: &Leaf<String>) -> Result<String, Problem> {
    let text = at.get();
    let url = if text.starts_with('/') {
        format!("{SERVED}{text}")
    } else {
        text.clone()
    };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        let message = format!("{url} is not an http address");
        return Err(Problem::at(at.span(), message, "http://..."));
    }
    if url.contains("${PORT}") && check.serve.is_none() {
        let message = "${PORT} is the port of serve, and the check has none";
        return Err(Problem::at(at.span(), message, "add serve = \"...\""));
    }
    Ok(url)
}

fn path_of<T>(path: &str, leaf: &Leaf<T>) -> Result<JsonPath, Problem> {
    path.parse::<JsonPath>()
        .map_err(|error| Problem::at(leaf.span(), error.to_string(), "like data.items[0].id"))
}
