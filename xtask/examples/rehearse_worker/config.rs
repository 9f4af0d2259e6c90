//! A config whose every schedule comes each minute or two.

/// The environment that is served.
const SECTION: &str = "[environments.production]";

/// How often a task is due; also the fewest minutes between two runs of it.
pub(crate) fn every_minutes(task: &str) -> u64 {
    match task {
        "backup" | "copy" => 1,
        _ => 2,
    }
}

/// The same config with everything of `production` due each minute or two, at no time put off, and made to the
/// minute.
pub(crate) fn hurried(config: &str) -> String {
    let mut is_ours = false;
    let mut text = String::new();
    for line in config.lines() {
        if line.starts_with('[') {
            is_ours = line == SECTION;
        }
        let key = line.split_once('=').map_or("", |(key, _)| key.trim());
        match (is_ours, key) {
            (true, "quiet" | "jitter") => continue,
            (true, "schedule") => text.push_str(&with_schedule(line, every_minutes("backup"))),
            (true, "drill" | "verify" | "prune" | "copy") => {
                text.push_str(&with_schedule(line, every_minutes(key)));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// The tasks of `production` that are done by schedule.
pub(crate) fn tasks(config: &str) -> Vec<&'static str> {
    let ours = config.split_once(SECTION).map_or("", |(_, rest)| rest);
    let ours = ours.split_once("\n[").map_or(ours, |(ours, _)| ours);
    let has = |key: &str| {
        ours.lines()
            .any(|line| line.starts_with(&format!("{key} =")))
    };
    let all = [
        ("backup", "schedule"),
        ("copy", "copy"),
        ("verify", "verify"),
        ("drill", "drill"),
        ("prune", "prune"),
    ];
    let done = all.into_iter().filter(|(_, key)| has(key));
    done.map(|(task, _)| task).collect()
}

/// The line with the first text in quotes replaced.
fn with_schedule(line: &str, minutes: u64) -> String {
    let mut parts = line.splitn(3, '"');
    let (begin, _, end) = (parts.next(), parts.next(), parts.next());
    let (begin, end) = (begin.unwrap_or_default(), end.unwrap_or_default());
    format!("{begin}\"every {minutes}m\"{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_production_is_in_a_hurry() {
        let config = "[environments.staging]\nschedule = \"daily 03:00\"\n\n[environments.production]\nschedule = \"daily 02:00\"\njitter = \"5m\"\n\
                      verify = { schedule = \"monthly 15 05:00\", depth = \"bytes\" }\nrpo = \"24h\"\n\n[sources.x]\nurl = \"a\"\n";
        let hurried = hurried(config);
        assert_eq!(
            hurried,
            "[environments.staging]\nschedule = \"daily 03:00\"\n\n[environments.production]\nschedule = \"every 1m\"\n\
             verify = { schedule = \"every 2m\", depth = \"bytes\" }\nrpo = \"24h\"\n\n[sources.x]\nurl = \"a\"\n"
        );
        assert_eq!(tasks(config), ["backup", "verify"]);
    }
}
