//! What the config says of every source that its standing is judged by.

use resguardo_daemon::{CatalogMemory, Job, timing};
use resguardo_ops::Context;
use resguardo_ops::status::{Watched, WatchedCopy};

use crate::config::Config;

/// Every configured source, with the times of its `jobs` as they are now.
#[must_use]
pub fn watched(config: &Config, jobs: &[Job], context: &Context) -> Vec<Watched> {
    let copies: Vec<WatchedCopy> = config
        .copies
        .iter()
        .map(|copy| WatchedCopy {
            name: copy.name.clone(),
            place: copy.url.clone(),
        })
        .collect();
    let mut all: Vec<Watched> = config
        .sources
        .iter()
        .map(|source| {
            let spec = &source.elsewhere;
            Watched {
                source: source.name.clone(),
                engine: spec.engine,
                environment: spec.environment.clone(),
                objectives: spec.objectives,
                backup: None,
                drill: None,
                retried: Vec::new(),
                copies: copies.clone(),
            }
        })
        .collect();
    let memory = CatalogMemory {
        catalog: context.catalog.clone(),
        clock: context.clock.clone(),
    };
    timing::fill(&mut all, jobs, &memory, context.clock.now());
    all
}
