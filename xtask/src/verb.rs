//! The verbs: which word calls which file.

use crate::failure::Failure;
use crate::{bench, check, fuzz, generate, rehearse, test, tidy, torture};

type Run = fn(&[String]) -> Result<(), Failure>;

const VERBS: [(&str, &str, Run); 8] = [
    ("test", test::USAGE, test::run),
    ("check", check::USAGE, check::run),
    ("tidy", tidy::USAGE, tidy::run),
    ("generate", generate::USAGE, generate::run),
    ("bench", bench::USAGE, bench::run),
    ("torture", torture::USAGE, torture::run),
    ("fuzz", fuzz::USAGE, fuzz::run),
    ("rehearse", rehearse::USAGE, rehearse::run),
];

/// Runs the verb that the first word names with the words after it.
///
/// # Errors
/// As the verb; and if there is no such verb.
pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let Some((name, rest)) = words.split_first() else {
        println!("{}", usage());
        return Ok(());
    };
    if ["help", "-h", "--help"].contains(&name.as_str()) {
        println!("{}", usage());
        return Ok(());
    }
    match VERBS.iter().find(|(verb, _, _)| verb == name) {
        Some((_, _, run)) => run(rest),
        None => Err(Failure::UnknownVerb {
            verb: name.clone(),
            usage: usage(),
        }),
    }
}

fn usage() -> String {
    let mut text = String::from("cargo xtask <verb>\n");
    for (_, line, _) in VERBS {
        text.push_str("\n  ");
        text.push_str(line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_verb_is_refused_with_the_known_ones() {
        let failure = run(&["tset".to_owned()]).expect_err("no such verb");
        let text = failure.with_causes();
        assert!(text.contains("no verb \"tset\""), "{text}");
        assert!(text.contains("test [--no-install]"), "{text}");
    }
}
