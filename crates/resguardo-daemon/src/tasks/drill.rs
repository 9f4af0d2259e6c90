//! A drill: of the newest backup, of one by chance, or of the one that somebody named.

use resguardo_model::{CheckOutcome, Verdict};
use resguardo_ops::drill::{self, DrillRequest};
use resguardo_ops::{OpsError, Origin, Reference, list};

use super::choice::{Choice, chosen};
use super::{Of, ended_with};
use crate::driver::Ended;
use crate::poke::Asked;

pub(super) fn run(of: &Of<'_>, asked: Option<&Asked>) -> Ended {
    let (ctx, name) = (of.ctx, of.source);
    let Some(source) = of.sources.anywhere(name, &ctx.cancel) else {
        return Ended::Failed(format!("the source {name} is not configured"));
    };
    let reference = match which(of, asked) {
        Ok(reference) => reference,
        Err(ended) => return ended,
    };
    let request = DrillRequest {
        origin: Origin::Backup(reference),
        sources: &[source],
        keep: asked.is_some_and(|asked| asked.keep),
    };
    let done = match drill::drill(ctx, &request) {
        Ok(done) => done,
        // The first one is still to come.
        Err(error @ OpsError::NoSuchBackup { .. }) => return Ended::Transient(error.to_string()),
        Err(error) => return ended_with(&error),
    };
    of.tell(&done.notes);
    if let Some(folder) = &done.kept_at {
        let line = format!("what was restored is kept at {}", folder.display());
        ctx.progress.note(&line);
    }
    if done.verdict == Verdict::Passed {
        return Ended::Done;
    }
    let bad = done
        .checks
        .iter()
        .filter(|check| matches!(check.outcome, CheckOutcome::Failed | CheckOutcome::Error));
    let names: Vec<&str> = bad.map(|check| check.name.as_str()).collect();
    Ended::Failed(told(done.verdict, &names))
}

/// What is said first of a drill whose checks, or objectives, say that the backup is not good.
pub(crate) const DID_NOT_PASS: &str = "the drill did not pass";

/// What is said of a drill that did not pass.
fn told(verdict: Verdict, names: &[&str]) -> String {
    let begin = match verdict {
        Verdict::Error => "the drill could not be carried out",
        Verdict::Passed | Verdict::Failed => DID_NOT_PASS,
    };
    match names {
        [] => begin.to_owned(),
        names => format!("{begin}: {}", names.join(", ")),
    }
}

/// The backup that is drilled.
fn which(of: &Of<'_>, asked: Option<&Asked>) -> Result<Reference, Ended> {
    let latest = Reference::LatestOf(of.source.clone());
    if let Some(asked) = asked {
        let backup = asked.backup;
        return Ok(backup.map_or(latest, |backup| Reference::Word(backup.to_string())));
    }
    let choice = of.rules()?.choice;
    if choice == Choice::Latest {
        return Ok(latest);
    }
    let listed = list::list(of.ctx, Some(of.source)).map_err(|error| ended_with(&error))?;
    let backup = chosen(&listed.backups, of.source, choice, of.ctx.clock.now());
    Ok(backup.map_or(latest, |backup| Reference::Word(backup.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_that_could_not_be_carried_out_is_none_that_did_not_pass() {
        assert_eq!(
            told(Verdict::Error, &["sandbox"]),
            "the drill could not be carried out: sandbox"
        );
        assert_eq!(told(Verdict::Failed, &[]), "the drill did not pass");
    }
}
