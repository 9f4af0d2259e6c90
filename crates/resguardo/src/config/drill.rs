//! `[sources.X.drill]` and `[sources.X.restore]`, from what is written to what ops is given.

use std::path::PathBuf;

use resguardo_engine::port::{Allowed, Location};
use resguardo_model::EngineKind;
use resguardo_ops::DrillSpec;
use resguardo_ops::source::{RestoreSpec, SandboxSpec};
use serde_json::Value;

use super::file::{Leaf, SourceDrillFile, SourceRestoreFile};
use super::interpolate::SecretRef;
use super::location::{POSTGRES_HINT, engine_of};
use super::problem::{Problem, nearest};
use super::resolver::Resolver;

/// The kinds of sandbox.
const SANDBOXES: [&str; 2] = ["instance", "database"];

impl Resolver<'_> {
    /// How a source is drilled; what is behind a reference is left in `pending`.
    pub(super) fn drill(
        &mut self,
        prefix: &str,
        engine: EngineKind,
        file: Option<&SourceDrillFile>,
        pending: &mut Option<SecretRef>,
    ) -> DrillSpec {
        let defaults = DrillSpec::default();
        let Some(file) = file else {
            return defaults;
        };
        let prefix = format!("{prefix}.drill");
        let key = |field: &str| format!("{prefix}.{field}");
        let provision = self
            .optional(&key("provision"), file.provision.as_ref())
            .unwrap_or_default();
        let step_timeout = self.length(
            &key("timeout"),
            file.timeout.as_ref(),
            defaults.step_timeout.as_secs(),
        );
        DrillSpec {
            provision: provision.into_iter().map(PathBuf::from).collect(),
            migrate: self.optional(&key("migrate"), file.migrate.as_ref()),
            sandbox: self.sandbox(&prefix, engine, file, pending),
            amcheck: self.amcheck(&prefix, engine, file),
            allowed: self.allowed(&prefix, engine, file),
            keep_failed: self.with_default(&key("keep_failed"), file.keep_failed.as_ref(), false),
            step_timeout,
            ready_timeout: self.length(
                &key("ready_timeout"),
                file.ready_timeout.as_ref(),
                defaults.ready_timeout.as_secs(),
            ),
        }
    }

    fn amcheck(&mut self, prefix: &str, engine: EngineKind, file: &SourceDrillFile) -> bool {
        if let Some(leaf) = &file.amcheck {
            self.belongs_to_postgres(engine, "amcheck", leaf);
        }
        self.with_default(&format!("{prefix}.amcheck"), file.amcheck.as_ref(), false)
    }

    fn allowed(&mut self, prefix: &str, engine: EngineKind, file: &SourceDrillFile) -> Allowed {
        let key = format!("{prefix}.orphans");
        match &file.orphans {
            None if engine != EngineKind::Sqlite => return Allowed::default(),
            Some(leaf) if engine != EngineKind::Sqlite => {
                let message =
                    format!("orphans means nothing for {engine}, which enforces its keys");
                self.problems
                    .push(Problem::at(leaf.span(), message, "belongs to sqlite"));
            }
            _ => {}
        }
        Allowed {
            orphans: self.with_default(&key, file.orphans.as_ref(), 0),
        }
    }

    /// What is done around a restore into a source.
    pub(super) fn restore(
        &mut self,
        prefix: &str,
        engine: EngineKind,
        file: Option<&SourceRestoreFile>,
    ) -> RestoreSpec {
        let defaults = RestoreSpec::default();
        let Some(file) = file else {
            return defaults;
        };
        let key = |field: &str| format!("{prefix}.restore.{field}");
        if let Some(leaf) = &file.maintenance {
            self.belongs_to_postgres(engine, "maintenance", leaf);
        }
        let before = self.optional(&key("before"), file.before.as_ref());
        let maintenance = self.with_default(&key("maintenance"), file.maintenance.as_ref(), false);
        let provision = self.optional(&key("provision"), file.provision.as_ref());
        let provision = provision.unwrap_or_default().into_iter();
        RestoreSpec {
            before: before.unwrap_or_default(),
            maintenance,
            provision: provision.map(PathBuf::from).collect(),
            migrate: self.optional(&key("migrate"), file.migrate.as_ref()),
            checks: self.with_default(&key("checks"), file.checks.as_ref(), false),
            after: self
                .optional(&key("after"), file.after.as_ref())
                .unwrap_or_default(),
            step_timeout: self.length(
                &key("timeout"),
                file.timeout.as_ref(),
                defaults.step_timeout.as_secs(),
            ),
        }
    }

    fn sandbox(
        &mut self,
        prefix: &str,
        engine: EngineKind,
        file: &SourceDrillFile,
        pending: &mut Option<SecretRef>,
    ) -> SandboxSpec {
        if let Some(leaf) = &file.sandbox {
            self.belongs_to_postgres(engine, "sandbox", leaf);
        }
        let word = self.optional(&format!("{prefix}.sandbox"), file.sandbox.as_ref());
        match (word.as_deref(), &file.sandbox) {
            (Some("database"), Some(leaf)) => {
                let same_server = self.with_default(
                    &format!("{prefix}.same_server"),
                    file.same_server.as_ref(),
                    false,
                );
                let Some(server) = &file.server else {
                    let message = "a sandbox that is a database needs a server";
                    self.problems.push(
                        Problem::at(leaf.span(), message, "add server = \"...\"")
                            .with_hint(POSTGRES_HINT),
                    );
                    return SandboxSpec::Private;
                };
                let server = self.drill_server(prefix, server, pending);
                return SandboxSpec::Database {
                    server,
                    same_server,
                };
            }
            (Some("instance") | None, _) => {}
            (Some(word), leaf) => {
                let span = leaf.as_ref().map_or(0..0, Leaf::span);
                let label = match nearest(word, SANDBOXES) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => format!("one of {}", SANDBOXES.join(", ")),
                };
                let message = format!("there is no sandbox {word}");
                self.problems.push(Problem::at(span, message, label));
                return SandboxSpec::Private;
            }
        }
        let strays = [
            ("server", file.server.as_ref().map(Leaf::span)),
            ("same_server", file.same_server.as_ref().map(Leaf::span)),
        ];
        for (key, span) in strays {
            if let Some(span) = span {
                let message = format!("{key} means nothing for a throwaway server");
                self.problems
                    .push(Problem::at(span, message, "add sandbox = \"database\""));
            }
        }
        SandboxSpec::Private
    }

    /// The server of a sandbox. That it is not known keeps nobody from taking backups.
    fn drill_server(
        &mut self,
        prefix: &str,
        leaf: &Leaf<String>,
        pending: &mut Option<SecretRef>,
    ) -> Result<Location, String> {
        let key = format!("{prefix}.server");
        let setting = match self.replaced(leaf) {
            Ok(setting) => setting,
            Err(problem) => {
                self.record_unset(key, leaf);
                return Err(problem.message);
            }
        };
        if ["file:", "cmd:"]
            .iter()
            .any(|kind| setting.value.starts_with(kind))
        {
            let reference = SecretRef::parse(setting.value);
            self.record(key, Value::from(reference.shown()), setting.origin);
            *pending = Some(reference);
            return Err("the server of its drills was not read".to_owned());
        }
        let server = Location::new(setting.value);
        self.record(key, Value::from(server.to_string()), setting.origin);
        if engine_of(server.expose()) != Ok(EngineKind::Postgres) {
            let message = format!("{server} is no server");
            self.problems
                .push(Problem::at(leaf.span(), message, "").with_hint(POSTGRES_HINT));
        }
        Ok(server)
    }
}
