//! What a check knows by now: its port, variables, captured values and cookies. All but the port are
//! secrets, which are masked in whatever a result shows.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::send::Answer;
use crate::source::{HttpCheck, HttpStep, names_in};

pub(super) struct Known {
    values: BTreeMap<String, String>,
    cookies: BTreeMap<String, String>,
    secrets: Vec<String>,
}

impl Known {
    pub(super) fn new(check: &HttpCheck, port: Option<u16>) -> Self {
        let variables = check.variables.iter();
        let mut values: BTreeMap<String, String> = variables
            .map(|(name, value)| (name.clone(), value.expose_secret().to_owned()))
            .collect();
        let secrets = values.values().cloned().collect();
        if let Some(port) = port {
            values.insert("PORT".to_owned(), port.to_string());
        }
        Self {
            values,
            cookies: BTreeMap::new(),
            secrets,
        }
    }

    /// The text with every `${NAME}` replaced.
    ///
    /// # Errors
    /// A sentence that names the one that is not known.
    pub(super) fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        for name in names_in(text) {
            let written = format!("${{{name}}}");
            let (before, after) = rest
                .split_once(&written)
                .expect("the name was found in the text");
            let value = self.values.get(name).ok_or_else(|| match name {
                "PORT" => "the address needs ${PORT}, and the check has no serve".to_owned(),
                _ => format!("{written} is neither set nor captured by an earlier step"),
            })?;
            filled.push_str(before);
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// The header of all cookies, if there are any.
    pub(super) fn cookies(&self) -> Option<String> {
        let cookies = self.cookies.iter();
        let cookies: Vec<_> = cookies
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!cookies.is_empty()).then(|| cookies.join("; "))
    }

    /// Takes what the answer is captured for, and its cookies.
    pub(super) fn learn(&mut self, step: &HttpStep, answer: &Answer) {
        for cookie in &answer.cookies {
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.hide(value.trim());
                let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
                self.cookies.insert(name, value);
            }
        }
        if step.capture.is_empty() {
            return;
        }
        let document: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        for (name, path) in &step.capture {
            let value = match path.find(&document) {
                None => continue,
                Some(Value::String(text)) => text,
                Some(other) => other.to_string(),
            };
            self.hide(&value);
            self.values.insert(name.clone(), value);
        }
    }

    fn hide(&mut self, secret: &str) {
        // In JSON, as an application may print it, it is written otherwise.
        let in_json = Value::from(secret).to_string();
        for written in [secret, in_json.trim_matches('"')] {
            if !written.is_empty() && !self.secrets.iter().any(|known| known == written) {
                self.secrets.push(written.to_owned());
            }
        }
        // The longest first: one may be a part of another.
        self.secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// The text with `***` in the place of every secret.
    pub(super) fn masked(&self, text: &str) -> String {
        let secrets = self.secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}
