//! What is stored of a source is compared with what was promised.

use resguardo_ops::verify::{self, Scope, VerifyRequest};

use super::{Of, ended_with};
use crate::driver::Ended;

/// Findings that are told in the line of a run; its receipt has all of them.
const TOLD_MAX: usize = 3;

pub(super) fn run(of: &Of<'_>) -> Ended {
    let rules = match of.rules() {
        Ok(rules) => rules,
        Err(ended) => return ended,
    };
    let request = VerifyRequest {
        scope: Scope::Source(of.source.clone()),
        depth: rules.depth,
    };
    let done = match verify::verify(of.ctx, &request) {
        Ok(done) => done,
        Err(error) => return ended_with(&error),
    };
    of.tell(&done.notes);
    let findings = &done.findings.findings;
    if findings.is_empty() {
        return Ended::Done;
    }
    let told = findings.iter().take(TOLD_MAX);
    let told: Vec<&str> = told.map(|finding| finding.message.as_str()).collect();
    let more = match findings.len() - told.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Ended::Failed(format!(
        "something is wrong with what is stored: {}{more}; see it with `resguardo verify --source {}`",
        told.join("; "),
        of.source
    ))
}
