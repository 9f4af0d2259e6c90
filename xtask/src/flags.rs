//! The few flags of the verbs.

use crate::failure::Failure;

/// What stood behind a verb.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// The flags given, each one of those allowed.
    given: Vec<String>,
    /// Everything behind `--`.
    pub(crate) rest: Vec<String>,
}

impl Flags {
    /// Takes the words behind `verb`; words behind `--` go to another tool, if `takes_rest`.
    ///
    /// # Errors
    /// If a word is none of `allowed`, or there is a `--` that nobody takes.
    pub(crate) fn parse(
        verb: &'static str,
        words: &[String],
        allowed: &[&str],
        takes_rest: bool,
    ) -> Result<Self, Failure> {
        let mut flags = Self::default();
        for (position, word) in words.iter().enumerate() {
            if word == "--" && takes_rest {
                flags.rest = words[position + 1..].to_vec();
                break;
            }
            if !allowed.contains(&word.as_str()) {
                return Err(Failure::UnknownFlag {
                    verb,
                    flag: word.clone(),
                });
            }
            flags.given.push(word.clone());
        }
        Ok(flags)
    }

    /// Was this flag given?
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.given.iter().any(|given| given == flag)
    }
}

/// The words of a command line in a test.
#[cfg(test)]
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_end_at_two_dashes() {
        let flags = Flags::parse(
            "test",
            &words("--no-install -- -E all --x"),
            &["--no-install"],
            true,
        )
        .expect("allowed flags");
        assert!(flags.has("--no-install"));
        assert_eq!(flags.rest, words("-E all --x"));
    }

    #[test]
    fn an_unknown_flag_is_refused() {
        assert!(Flags::parse("tidy", &words("--fast"), &[], false).is_err());
        assert!(Flags::parse("tidy", &words("-- x"), &[], false).is_err());
    }
}
