//! One drill, of its receipt.

use resguardo_model::{Measure, Sha256Digest, Standing};
use resguardo_ops::drill::DrillDone;

use crate::web::view;

/// One drill.
pub(in super::super) fn drill(
    done: &DrillDone,
    key: &str,
    sha256: Sha256Digest,
    trusted: bool,
) -> view::DrillPage {
    let measure = |seconds: Option<f64>, target: Option<u64>| Measure {
        seconds,
        target_seconds: target,
        standing: match (seconds, target) {
            #[expect(
                clippy::cast_precision_loss,
                reason = "targets are far below 2^52 seconds"
            )]
            (Some(seconds), Some(target)) if seconds > target as f64 => Standing::Breached,
            _ => Standing::Ok,
        },
    };
    let target = |span: Option<resguardo_model::duration::Span>| {
        span.map(resguardo_model::duration::Span::seconds)
    };
    view::DrillPage {
        run: done.run.to_string(),
        verdict: done.verdict,
        source: done
            .source
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        environment: done.environment.clone().unwrap_or_default(),
        engine: done.engine.to_string(),
        backup: done.backup.map_or_else(String::new, |id| id.to_string()),
        taken_at: done.taken_at,
        started_at: done.started_at,
        finished_at: done.finished_at,
        rto: measure(done.rto_seconds, target(done.objectives.rto)),
        rpo: measure(done.rpo_seconds, target(done.objectives.rpo)),
        phases: done
            .phases
            .iter()
            .map(|phase| view::Phase {
                name: phase.name.clone(),
                seconds: phase.seconds,
            })
            .collect(),
        checks: done
            .checks
            .iter()
            .map(|check| view::Check {
                name: check.name.clone(),
                outcome: check.outcome,
                expected: check.expected.clone(),
                actual: check.actual.clone(),
                detail: check.detail.clone(),
                milliseconds: check.milliseconds,
            })
            .collect(),
        kept_at: done.kept_at.as_ref().map(|path| path.display().to_string()),
        receipt: Some(key.to_owned()),
        receipt_sha256: Some(sha256.to_string()),
        trusted,
        host: done.host.clone(),
        operator: done.operator.clone(),
        tools: done.tools.clone().into_iter().collect(),
        notes: done.notes.clone(),
        log: None,
    }
}
