//! A message as it is written down and sent: what happened, for whom, and in which language.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_ops::report::Language;
use serde::{Deserialize, Serialize};

use super::event::Event;
use super::redact::Redactor;

/// Characters of a fact that are sent.
const FACT_CHARS_MAX: usize = 1500;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// What its receiver knows it by, the same at every try.
    #[serde(skip)]
    pub delivery: String,
    /// When it is sent, this time.
    #[serde(skip)]
    pub sent_at: Timestamp,
    /// When it was written: that of a message which waited lies back.
    pub written_at: Timestamp,
    /// `en` or `es`.
    language: String,
    /// The zone of its times; UTC where it has no name.
    zone: String,
    /// The source's environment.
    pub environment: String,
    /// The machine that tells.
    pub host: String,
    /// What happened.
    pub event: Event,
}

impl Letter {
    /// A message about `event`, without anything that `redactor` knows to be secret.
    #[must_use]
    pub fn new(
        event: &Event,
        language: Language,
        zone: &TimeZone,
        redactor: &Redactor,
        written_at: Timestamp,
    ) -> Self {
        let mut event = event.clone();
        for fact in &mut event.facts {
            fact.value = redactor.text(&fact.value, FACT_CHARS_MAX);
        }
        Self {
            delivery: String::new(),
            sent_at: written_at,
            written_at,
            language: match language {
                Language::En => "en",
                Language::Es => "es",
            }
            .to_owned(),
            zone: zone.iana_name().unwrap_or("UTC").to_owned(),
            environment: String::new(),
            host: String::new(),
            event,
        }
    }

    /// The language of its texts.
    #[must_use]
    pub fn language(&self) -> Language {
        if self.language == "es" {
            Language::Es
        } else {
            Language::En
        }
    }

    /// `en` or `es`.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.language
    }

    /// A time as its reader's clock shows it.
    pub(super) fn moment(&self, at: Timestamp) -> String {
        let zone = TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC);
        let at = at.to_zoned(zone);
        format!("{} {}", at.strftime("%Y-%m-%d %H:%M"), self.zone)
    }
}
