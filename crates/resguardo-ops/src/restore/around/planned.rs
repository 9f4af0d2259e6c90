//! What is to be done around a restore, by its names.

use resguardo_engine::process::Command;

use crate::source::SourceSpec;

/// The names of all steps in their order. Of commands no more than the program: what follows it may hold a
/// secret.
pub(super) fn planned(source: &SourceSpec, safety: bool, closes: bool) -> Vec<String> {
    let spec = &source.restore;
    let command = |when: &str, line: &String| {
        let program = Command::shell(line, &source.folder).name();
        format!("{when} {program}")
    };
    let closes = closes && spec.maintenance;
    let mut names: Vec<String> = Vec::new();
    names.extend(spec.before.iter().map(|line| command("before", line)));
    // What is written after the safety backup would be in neither.
    names.extend(closes.then(|| "maintenance".to_owned()));
    names.extend(safety.then(|| "safety backup".to_owned()));
    names.push("restore".to_owned());
    let scripts = spec.provision.iter();
    names.extend(scripts.map(|script| format!("provision {}", script.display())));
    names.extend(spec.migrate.as_ref().map(|_| "migrate".to_owned()));
    let checks = spec.checks && !source.checks.is_empty();
    names.extend(checks.then(|| "checks".to_owned()));
    names.extend(closes.then(|| "end of maintenance".to_owned()));
    names.extend(spec.after.iter().map(|line| command("after", line)));
    names
}
