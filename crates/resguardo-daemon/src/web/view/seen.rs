//! Views made of what the use cases tell.

use resguardo_model::Concern;
use resguardo_ops::status::{self, SourceStatus, Status};
use resguardo_ops::{exception, receipts};

use super::{Copy, Exception, Forecast, Overview, Receipt, Resolved, Row, Running};

impl Overview {
    /// All sources, and what runs at this moment.
    #[must_use]
    pub fn of(status: &Status, running: Vec<Running>) -> Self {
        Self {
            at: status.at,
            sources: status.sources.iter().map(Row::from).collect(),
            running,
            exceptions: status.exceptions.len() as u64,
            findings: status
                .findings
                .iter()
                .map(|finding| finding.message.clone())
                .collect(),
        }
    }
}

impl From<&SourceStatus> for Row {
    fn from(seen: &SourceStatus) -> Self {
        Self {
            name: seen.source.to_string(),
            engine: seen.engine.to_string(),
            environment: seen.environment.clone(),
            standing: seen.standing,
            concerns: told(&seen.concerns),
            rpo: seen.rpo,
            rto: seen.rto,
            proven_at: seen.proven.as_ref().map(|proven| proven.at),
            last_drill: seen.last_drill.as_ref().map(|drill| drill.at),
            forecast: seen.forecast.map(Forecast::from),
            copies: seen
                .copies
                .iter()
                .map(|copy| Copy {
                    name: copy.name.clone(),
                    place: copy.place.clone(),
                    behind: copy.behind,
                    newest: copy.newest_there,
                })
                .collect(),
            next_drill: seen.next_drill,
            exceptions: seen.exceptions,
        }
    }
}

impl From<status::Forecast> for Forecast {
    fn from(seen: status::Forecast) -> Self {
        Self {
            crosses_at: seen.crosses_at,
            earliest: seen.earliest,
            latest: seen.latest,
        }
    }
}

impl From<&exception::Exception> for Exception {
    fn from(seen: &exception::Exception) -> Self {
        Self {
            id: seen.id.to_string(),
            source: seen.source.to_string(),
            what: seen.what.clone(),
            times: seen.times,
            opened_at: seen.opened_at,
            good_at: seen.good_at,
            resolved: seen.resolved.as_ref().map(|resolved| Resolved {
                at: resolved.at,
                by: resolved.by.clone(),
                note: resolved.note.clone(),
            }),
        }
    }
}

impl From<&receipts::ReceiptSummary> for Receipt {
    fn from(seen: &receipts::ReceiptSummary) -> Self {
        Self {
            run: seen.run.to_string(),
            verb: seen.verb.word().to_owned(),
            outcome: seen.outcome.clone(),
            at: seen.finished_at,
            trusted: seen.trusted,
        }
    }
}

/// The concerns that are told: of a source without any backup the further ones say the same again.
fn told(concerns: &[Concern]) -> Vec<Concern> {
    let has_none = concerns.contains(&Concern::NoBackup);
    let again = |one: &Concern| matches!(one, Concern::RpoPassed | Concern::NeverProven);
    concerns
        .iter()
        .copied()
        .filter(|one| !has_none || !again(one))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_source_without_backups_one_thing_is_told() {
        let none = [Concern::RpoPassed, Concern::NoBackup, Concern::NeverProven];
        assert_eq!(told(&none), [Concern::NoBackup]);
        let old = [Concern::RpoPassed, Concern::NeverProven];
        assert_eq!(told(&old), old);
    }
}
