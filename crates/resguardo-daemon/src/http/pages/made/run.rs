//! Runs, of the catalog and of the feed.

use resguardo_ops::catalog::{RunRow, RunState};

use crate::feed;
use crate::web::view;

/// What the page of a run that goes on is called.
pub(in super::super) fn running_id(run: &feed::Running) -> String {
    run.run.map_or_else(|| first_id(run), |id| id.to_string())
}

/// What it is called before it is in the catalog.
pub(in super::super) fn first_id(run: &feed::Running) -> String {
    format!("now-{}", run.key)
}

/// A run that goes on.
pub(in super::super) fn running(run: &feed::Running) -> view::Running {
    view::Running {
        id: running_id(run),
        verb: run.task.word().to_owned(),
        source: run
            .subject
            .source()
            .map_or_else(String::new, ToString::to_string),
        began_at: run.began_at,
        by: run.asked_by.clone().unwrap_or_default(),
        phases: run.phases.iter().cloned().collect(),
        bytes: run.bytes,
        total: run.total,
        lines: run
            .lines
            .iter()
            .map(|line| view::LogLine {
                at: line.at,
                text: line.text.clone(),
            })
            .collect(),
        lines_dropped: run.lines.front().map_or(0, |first| first.number),
    }
}

/// A run that goes on and is not in the catalog yet.
pub(in super::super) fn run_of_live(run: &feed::Running) -> view::Run {
    view::Run {
        id: running_id(run),
        verb: run.task.word().to_owned(),
        source: run
            .subject
            .source()
            .map_or_else(String::new, ToString::to_string),
        backup: String::new(),
        state: RunState::Running,
        started_at: run.began_at,
        finished_at: None,
        host: String::new(),
        operator: run.asked_by.clone().unwrap_or_default(),
        message: String::new(),
        receipt: false,
    }
}

/// A run of the catalog.
pub(in super::super) fn run(row: &RunRow) -> view::Run {
    view::Run {
        id: row.run.to_string(),
        verb: row.verb.word().to_owned(),
        source: row
            .source
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        backup: row.backup.map_or_else(String::new, |id| id.to_string()),
        state: row.state,
        started_at: row.started_at,
        finished_at: row.finished_at,
        host: row.host.clone(),
        operator: row.operator.clone(),
        message: row.message.clone(),
        receipt: row.receipt.is_some(),
    }
}
