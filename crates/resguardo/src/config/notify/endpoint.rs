//! One endpoint: what it is, what it is told, where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use resguardo_daemon::notify::{Endpoint, HttpPlace, Kind, Mail, Topic};
use resguardo_model::SourceName;
use resguardo_ops::report::Language;
use secrecy::{ExposeSecret as _, SecretString};

use super::super::file::{Leaf, NotifyFile};
use super::super::interpolate::SecretRef;
use super::super::late::{LateSecret, at_hand};
use super::super::problem::{Problem, nearest};
use super::super::resolver::Resolver;
use super::unknown_word;

const KINDS: [&str; 4] = ["slack", "webhook", "email", "ping"];
const TASKS: [&str; 5] = ["backup", "drill", "verify", "prune", "copy"];
/// Seconds that an answer may take.
const TIMEOUT_SECONDS: u64 = 15;

/// One endpoint as it is configured.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: KindSettings,
    /// What it is told.
    pub on: BTreeSet<Topic>,
    /// Of which tasks' runs; empty: of all.
    pub tasks: BTreeSet<String>,
    /// Its language; `None`: that of the environment.
    pub language: Option<Language>,
    /// How long its answer may take.
    pub timeout: Duration,
    /// Certificates that are believed instead of the public ones, in PEM.
    pub ca: Option<PathBuf>,
}

/// What an endpoint is, with what has to be read yet.
#[derive(Clone, Debug)]
pub enum KindSettings {
    /// Slack.
    Slack(LateSecret),
    /// A webhook, and what signs its bodies.
    Webhook(LateSecret, Option<LateSecret>),
    /// Mailboxes; and the password.
    Email(Box<Mail>, Option<LateSecret>),
    /// A dead man's switch.
    Ping(LateSecret),
}

impl EndpointSettings {
    /// The switch of a source.
    pub fn ping(name: String, url: LateSecret) -> Self {
        Self {
            name,
            kind: KindSettings::Ping(url),
            on: Topic::of_pings(),
            tasks: BTreeSet::new(),
            language: None,
            timeout: Duration::from_secs(TIMEOUT_SECONDS),
            ca: None,
        }
    }

    /// Its kind, in a word.
    pub fn kind_word(&self) -> &'static str {
        match self.kind {
            KindSettings::Slack(_) => "slack",
            KindSettings::Webhook(..) => "webhook",
            KindSettings::Email(..) => "email",
            KindSettings::Ping(_) => "ping",
        }
    }

    /// The endpoint, with its secrets.
    ///
    /// # Errors
    /// What cannot be read, or makes no sense, in a line.
    pub fn ready(
        &self,
        read: impl Fn(&SecretRef) -> Result<SecretString, String>,
        read_file: impl Fn(&std::path::Path) -> Result<String, String>,
    ) -> Result<Endpoint, String> {
        let read = |secret: &LateSecret| match secret {
            Ok(reference) => read(reference),
            Err(why) => Err(why.clone()),
        };
        let authority: Option<Arc<str>> = match &self.ca {
            Some(path) => Some(read_file(path)?.into()),
            None => None,
        };
        let place = |url: &LateSecret| {
            let url = read(url)?;
            check_url(url.expose_secret())?;
            let authority = authority.clone();
            Ok::<HttpPlace, String>(HttpPlace { url, authority })
        };
        let kind = match &self.kind {
            KindSettings::Slack(url) => Kind::Slack(place(url)?),
            KindSettings::Ping(url) => Kind::Ping(place(url)?),
            KindSettings::Webhook(url, secret) => Kind::Webhook {
                place: place(url)?,
                secret: secret.as_ref().map(read).transpose()?,
            },
            KindSettings::Email(mail, password) => Kind::Email(Box::new(Mail {
                password: password.as_ref().map(read).transpose()?,
                authority,
                ..(**mail).clone()
            })),
        };
        Ok(Endpoint {
            name: self.name.clone(),
            kind,
            timeout: self.timeout,
        })
    }

    /// Secrets that are known without reading anything.
    pub fn secrets_at_hand(&self) -> impl Iterator<Item = SecretString> {
        let secrets: [Option<&LateSecret>; 2] = match &self.kind {
            KindSettings::Slack(url) | KindSettings::Ping(url) => [Some(url), None],
            KindSettings::Webhook(url, secret) => [Some(url), secret.as_ref()],
            KindSettings::Email(_, password) => [password.as_ref(), None],
        };
        let at_hand: Vec<SecretString> =
            secrets.into_iter().flatten().filter_map(at_hand).collect();
        at_hand.into_iter()
    }
}

fn check_url(url: &str) -> Result<(), String> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    match rest {
        Some(rest)
            if !rest.is_empty() && !url.contains(|c: char| c.is_whitespace() || c.is_control()) =>
        {
            Ok(())
        }
        _ => Err("the url is no https:// or http:// address".to_owned()),
    }
}

impl Resolver<'_> {
    /// Every endpoint.
    pub(in super::super) fn endpoints(
        &mut self,
        files: &BTreeMap<toml::Spanned<String>, NotifyFile>,
    ) -> BTreeMap<String, EndpointSettings> {
        let mut endpoints = BTreeMap::new();
        for (key, file) in files {
            let name = key.get_ref();
            if name.parse::<SourceName>().is_err() {
                let message = format!("{name:?} is no name of an endpoint");
                let problem = Problem::at(key.span(), message, "1 to 63 of a-z, 0-9, _ and -");
                self.problems.push(problem);
                continue;
            }
            match self.endpoint(name, key, file) {
                Ok(endpoint) => {
                    endpoints.insert(name.clone(), endpoint);
                }
                Err(problem) => self.problems.push(problem),
            }
        }
        endpoints
    }

    fn endpoint(
        &mut self,
        name: &str,
        at: &toml::Spanned<String>,
        file: &NotifyFile,
    ) -> Result<EndpointSettings, Problem> {
        let key = |field: &str| format!("notify.{name}.{field}");
        let Some(kind) = &file.kind else {
            let message = format!("[notify.{name}] has no kind");
            let label = format!("add kind = \"...\": {}", KINDS.join(", "));
            return Err(Problem::at(at.span(), message, label));
        };
        self.optional(&key("kind"), Some(kind));
        let word = kind.get().as_str();
        if !KINDS.contains(&word) {
            let label = match nearest(word, KINDS) {
                Some(meant) => format!("did you mean {meant}?"),
                None => KINDS.join(", "),
            };
            let message = format!("there is no kind of endpoint {word}");
            return Err(Problem::at(kind.span(), message, label));
        }
        foreign_key(name, word, file)?;
        let is_ping = word == "ping";
        let kind = match word {
            "email" => self.email(name, at, file)?,
            _ => {
                let Some(url) = &file.url else {
                    let message = format!("[notify.{name}] has no url");
                    return Err(Problem::at(at.span(), message, "add url = \"https://...\""));
                };
                let url = self.late_secret(&key("url"), url)?;
                match word {
                    "slack" => KindSettings::Slack(url),
                    "ping" => KindSettings::Ping(url),
                    _ => {
                        let secret = file.secret.as_ref();
                        let secret = secret.map(|leaf| self.late_secret(&key("secret"), leaf));
                        KindSettings::Webhook(url, secret.transpose()?)
                    }
                }
            }
        };
        let ca = self.optional(&key("ca"), file.ca.as_ref());
        Ok(EndpointSettings {
            name: name.to_owned(),
            kind,
            on: self.topics(&key("on"), file, is_ping)?,
            tasks: self.tasks(&key("tasks"), file, is_ping)?,
            language: self.language(&key("language"), file.language.as_ref())?,
            timeout: self.length(&key("timeout"), file.timeout.as_ref(), TIMEOUT_SECONDS),
            ca: ca.map(|path| self.folder.join(path)),
        })
    }

    fn topics(
        &mut self,
        key: &str,
        file: &NotifyFile,
        is_ping: bool,
    ) -> Result<BTreeSet<Topic>, Problem> {
        if is_ping {
            return Ok(Topic::of_pings());
        }
        let (Some(leaf), Some(words)) = (&file.on, self.optional(key, file.on.as_ref())) else {
            return Ok(Topic::usual());
        };
        let known = Topic::OF_MESSAGES.map(Topic::word);
        let topics = words.iter().map(|word| {
            let found = Topic::OF_MESSAGES
                .into_iter()
                .find(|one| one.word() == word);
            found.ok_or_else(|| unknown_word(leaf, "nobody is told of", word, &known))
        });
        topics.collect()
    }

    fn tasks(
        &mut self,
        key: &str,
        file: &NotifyFile,
        is_ping: bool,
    ) -> Result<BTreeSet<String>, Problem> {
        let (Some(leaf), Some(words)) = (&file.tasks, self.optional(key, file.tasks.as_ref()))
        else {
            let backup = is_ping.then(|| TASKS[0].to_owned());
            return Ok(backup.into_iter().collect());
        };
        if let Some(word) = words.iter().find(|word| !TASKS.contains(&word.as_str())) {
            return Err(unknown_word(leaf, "there is no task", word, &TASKS));
        }
        Ok(words.into_iter().collect())
    }
}

/// A key that means nothing for this kind of endpoint would be silently ignored: it is refused.
fn foreign_key(name: &str, kind: &str, file: &NotifyFile) -> Result<(), Problem> {
    let span = |leaf: &Option<Leaf<String>>| leaf.as_ref().map(Leaf::span);
    let words = |leaf: &Option<Leaf<Vec<String>>>| leaf.as_ref().map(Leaf::span);
    let keys: [(&str, _, &[&str]); 9] = [
        ("url", span(&file.url), &["slack", "webhook", "ping"]),
        ("secret", span(&file.secret), &["webhook"]),
        ("server", span(&file.server), &["email"]),
        ("security", span(&file.security), &["email"]),
        ("user", span(&file.user), &["email"]),
        ("password", span(&file.password), &["email"]),
        ("from", span(&file.from), &["email"]),
        ("to", words(&file.to), &["email"]),
        ("on", words(&file.on), &["slack", "webhook", "email"]),
    ];
    for (key, span, kinds) in keys {
        if let Some(span) = span
            && !kinds.contains(&kind)
        {
            let message = format!("[notify.{name}] is of kind {kind}, which has no {key}");
            let label = format!("belongs to {}", kinds.join(", "));
            return Err(Problem::at(span, message, label));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_or_http() {
        assert_eq!(check_url("https://hooks.slack.com/x"), Ok(()));
        assert!(check_url("https://").is_err());
        for url in [
            "ftp://x",
            "https://a b",
            "hooks.slack.com",
            "https://x\r\ny",
        ] {
            let why = check_url(url).unwrap_err();
            assert!(!why.contains(url), "an address is a secret");
        }
    }
}
