//! `metrics`: how everything stands, for Prometheus, on hosts where no daemon runs.

use std::path::PathBuf;

use resguardo_daemon::metrics;
use resguardo_ops::exception;
use resguardo_store::durable::{self, Mode};
use serde_json::json;

use super::status::watched;
use super::{no_source, plan};
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Reading};

const AFTER_HELP: &str = "\
Prints what `resguardo serve` answers at /metrics: OpenMetrics text, also read
by the textfile collector of node_exporter. Needs no key. Alert rules and a
dashboard for Grafana are in contrib/.

Examples:
  resguardo metrics
  resguardo metrics --out /var/lib/node_exporter/resguardo.prom    from cron";

/// Print how everything stands, for Prometheus
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Write it to this file, which is whole at every moment
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs `metrics`.
///
/// # Errors
/// If there is no vault or no source, the catalog cannot be read, or the file not be written.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let config = invocation.config()?;
    if config.sources.is_empty() {
        return Err(no_source(&config));
    }
    let jobs = plan::jobs(&config);
    let opened = invocation.open_with(config, Reading::Nothing)?;
    let watched = watched(&opened.config, &jobs, &opened.context);
    // A host without the daemon opens exceptions here.
    let (status, _) = exception::look(&opened.context, &watched)?;
    let text = metrics::text(&status, &opened.context.version);
    match &args.out {
        Some(out) => {
            let path = invocation.ambient.absolute(out);
            durable::write(&path, text.as_bytes(), Mode::READABLE)?;
            invocation.out.say(&format!("wrote {}", path.display()));
            invocation.out.json(&json!({ "file": path }));
        }
        None => {
            invocation.out.print(text.trim_end());
            invocation.out.json(&json!({ "text": text }));
        }
    }
    Ok(Exit::Done)
}
