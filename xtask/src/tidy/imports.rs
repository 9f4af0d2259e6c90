//! Which crate may depend on which: the floor plan's arrows, read from the manifests.

use super::remark::Remark;

/// A crate, and those of ours that its product may depend on.
const FLOOR_PLAN: [(&str, &[&str]); 9] = [
    ("resguardo-model", &[]),
    ("resguardo-store", &["resguardo-model"]),
    ("resguardo-vault", &["resguardo-model", "resguardo-store"]),
    ("resguardo-engine", &["resguardo-model"]),
    (
        "resguardo-ops",
        &["resguardo-model", "resguardo-vault", "resguardo-engine"],
    ),
    ("resguardo-daemon", &["resguardo-model", "resguardo-ops"]),
    (
        "resguardo",
        &[
            "resguardo-model",
            "resguardo-store",
            "resguardo-vault",
            "resguardo-engine",
            "resguardo-ops",
            "resguardo-daemon",
        ],
    ),
    (
        "resguardo-testkit",
        &[
            "resguardo-model",
            "resguardo-store",
            "resguardo-vault",
            "resguardo-engine",
            "resguardo-ops",
        ],
    ),
    ("xtask", &[]),
];

/// Checks one manifest; other files have nothing to say here. What tests depend on is free.
pub(super) fn check(path: &str, text: &str) -> Vec<Remark> {
    let Some(name) = crate_of(path) else {
        return Vec::new();
    };
    let Some((_, allowed)) = FLOOR_PLAN.iter().find(|(row, _)| *row == name) else {
        let why = format!("crate {name} is not in the floor plan");
        return vec![Remark::violation(path, 1, why)];
    };
    dependencies(text)
        .into_iter()
        .filter(|(_, wanted)| is_ours(wanted) && !allowed.contains(wanted))
        .map(|(line, wanted)| {
            let may = if allowed.is_empty() {
                "none of ours".to_owned()
            } else {
                allowed.join(", ")
            };
            Remark::violation(path, line, format!("{name} may import {may}; not {wanted}"))
        })
        .collect()
}

fn crate_of(path: &str) -> Option<&str> {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["crates", name, "Cargo.toml"] => Some(name),
        ["xtask", "Cargo.toml"] => Some("xtask"),
        _ => None,
    }
}

fn is_ours(name: &str) -> bool {
    FLOOR_PLAN.iter().any(|(row, _)| *row == name) || name.starts_with("resguardo-")
}

/// Names under `[dependencies]`, `[build-dependencies]` and their `target` forms, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            inside = is_product_table(header);
            if let Some((table, name)) = header.rsplit_once('.')
                && is_product_table(table)
            {
                found.push((index + 1, name));
            }
        } else if inside && !line.starts_with('#') {
            let end = line.find(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'));
            found.push((index + 1, &line[..end.unwrap_or(line.len())]));
        }
    }
    found
}

fn is_product_table(header: &str) -> bool {
    ["dependencies", "build-dependencies"]
        .iter()
        .any(|table| header == *table || header.ends_with(&format!(".{table}")))
        && !header.starts_with("workspace")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(path: &str, text: &str) -> Vec<(usize, String)> {
        check(path, text)
            .into_iter()
            .map(|remark| (remark.line, remark.why))
            .collect()
    }

    #[test]
    fn an_arrow_against_the_floor_plan_is_named() {
        assert_eq!(
            why(
                "crates/resguardo-engine/Cargo.toml",
                "[dependencies]\nresguardo-model.workspace = true\nresguardo-vault = { path = \"x\" }\n"
            ),
            [(
                3,
                "resguardo-engine may import resguardo-model; not resguardo-vault".to_owned()
            )]
        );
        assert_eq!(
            why(
                "crates/resguardo-model/Cargo.toml",
                "[dependencies.resguardo-store]\n"
            ),
            [(
                1,
                "resguardo-model may import none of ours; not resguardo-store".to_owned()
            )]
        );
        assert_eq!(
            why(
                "crates/resguardo-store/Cargo.toml",
                "[target.'cfg(unix)'.dependencies]\nresguardo-testkit.workspace = true\n"
            )
            .len(),
            1
        );
    }

    #[test]
    fn tests_may_depend_on_anything() {
        assert!(
            why(
                "crates/resguardo-vault/Cargo.toml",
                "[dependencies]\nage = \"1\"\n# resguardo-ops\n[dev-dependencies]\nresguardo-testkit.workspace = true\n"
            )
            .is_empty()
        );
    }

    #[test]
    fn a_crate_outside_the_floor_plan_is_named() {
        assert_eq!(why("crates/extra/Cargo.toml", "").len(), 1);
        assert!(
            why(
                "Cargo.toml",
                "[workspace.dependencies]\nresguardo-ops = 1\n"
            )
            .is_empty()
        );
    }
}
