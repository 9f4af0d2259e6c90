//! `[notify.X]` and what environments and sources say of it, from what is written to who is told what.
//!
//! An address whose variable is not set, or whose file cannot be read, keeps nobody from taking backups: the
//! endpoint cannot be told then, and whoever wants to tell it hears why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use resguardo_daemon::notify::{Endpoint, HttpPlace, Kind, Mail, Security, Topic, check_address};
use resguardo_model::SourceName;
use resguardo_model::duration::Span;
use resguardo_ops::report::Language;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::file::{EnvironmentFile, Leaf, NotifyFile, SourceFile};
use super::interpolate::{InterpolateError, SecretRef, interpolate};
use super::problem::{Problem, nearest};
use super::resolver::Resolver;

const KINDS: [&str; 4] = ["slack", "webhook", "email", "ping"];
const TASKS: [&str; 5] = ["backup", "drill", "verify", "prune", "copy"];
/// Seconds that an answer may take.
const TIMEOUT_SECONDS: u64 = 15;

/// Who is told, and what.
#[derive(Clone, Debug, Default)]
pub struct NotifySettings {
    /// Every endpoint, by name.
    pub endpoints: BTreeMap<String, EndpointSettings>,
    /// The switches of each source, by task.
    pub pings: BTreeMap<SourceName, BTreeMap<&'static str, LateSecret>>,
}

/// What an environment says of it.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentNotify {
    /// The endpoints that are told.
    pub to: Vec<String>,
    /// After how long people are reminded; `None`: never.
    pub remind: Option<Span>,
    /// Its language.
    pub language: Option<Language>,
}

/// A secret that is read when it is used; or why it cannot be.
pub type LateSecret = Result<SecretRef, String>;

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

/// A secret that is known without reading anything.
pub fn at_hand(secret: &LateSecret) -> Option<SecretString> {
    match secret {
        Ok(SecretRef::Value(secret)) => Some(secret.clone()),
        _ => None,
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
    pub(super) fn endpoints(
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

    /// A secret whose variable may be missing: that is no problem of the file.
    fn late_secret(&mut self, key: &str, leaf: &Leaf<String>) -> Result<LateSecret, Problem> {
        let replaced = interpolate(leaf.get(), |name| self.ambient.variable(name));
        match replaced {
            Ok((value, variables)) => {
                let secret = SecretRef::parse(value);
                let origin = self.origin(leaf, variables);
                self.record(key, Value::from(secret.shown()), origin);
                Ok(Ok(secret))
            }
            Err(InterpolateError::Unset(name)) => {
                let why = format!("the environment variable {name} is not set");
                let origin = self.origin(leaf, vec![name]);
                self.record(key, Value::from("(not set)"), origin);
                Ok(Err(why))
            }
            Err(error) => Err(Problem::at(leaf.span(), error.to_string(), "")),
        }
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

    fn language(
        &mut self,
        key: &str,
        leaf: Option<&Leaf<String>>,
    ) -> Result<Option<Language>, Problem> {
        let Some(leaf) = leaf else { return Ok(None) };
        self.optional(key, Some(leaf));
        match leaf.get().as_str() {
            "en" => Ok(Some(Language::En)),
            "es" => Ok(Some(Language::Es)),
            other => {
                let message = format!("there is no language {other}");
                Err(Problem::at(leaf.span(), message, "en or es"))
            }
        }
    }

    /// What an environment says; every endpoint that it names must be there.
    pub(super) fn environment_notify(
        &mut self,
        name: &str,
        file: &EnvironmentFile,
        endpoints: &BTreeMap<String, EndpointSettings>,
    ) -> EnvironmentNotify {
        let key = |field: &str| format!("environments.{name}.{field}");
        let to = self.optional(&key("notify"), file.notify.as_ref());
        let to = to.unwrap_or_default();
        for word in to.iter().filter(|word| !endpoints.contains_key(*word)) {
            let Some(leaf) = &file.notify else { continue };
            let names = endpoints.keys().map(String::as_str);
            let label = match nearest(word, names) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("add [notify.{word}]"),
            };
            let message = format!("there is no endpoint {word}");
            self.problems.push(Problem::at(leaf.span(), message, label));
        }
        let remind = self.optional(&key("remind"), file.remind.as_ref());
        let language = self.language(&key("language"), file.language.as_ref());
        let language = language.unwrap_or_else(|problem| {
            self.problems.push(problem);
            None
        });
        EnvironmentNotify {
            to,
            remind: remind.map(|length| length.span),
            language,
        }
    }

    /// The switches of the sources.
    pub(super) fn pings(
        &mut self,
        files: &BTreeMap<toml::Spanned<String>, SourceFile>,
    ) -> BTreeMap<SourceName, BTreeMap<&'static str, LateSecret>> {
        let mut pings = BTreeMap::new();
        for (key, file) in files {
            let (Ok(name), Some(ping)) = (key.get_ref().parse::<SourceName>(), &file.ping) else {
                continue;
            };
            let mut own = BTreeMap::new();
            for (task, leaf) in ping.set() {
                match self.late_secret(&format!("sources.{name}.ping.{task}"), leaf) {
                    Ok(secret) => {
                        own.insert(task, secret);
                    }
                    Err(problem) => self.problems.push(problem),
                }
            }
            pings.insert(name, own);
        }
        pings
    }

    fn email(
        &mut self,
        name: &str,
        at: &toml::Spanned<String>,
        file: &NotifyFile,
    ) -> Result<KindSettings, Problem> {
        let key = |field: &str| format!("notify.{name}.{field}");
        let lacks = |field: &str, like: &str| {
            let message = format!("[notify.{name}] has no {field}");
            Problem::at(at.span(), message, format!("add {field} = {like}"))
        };
        let (Some(server), Some(from), Some(to)) = (&file.server, &file.from, &file.to) else {
            return Err(match (&file.server, &file.from) {
                (None, _) => lacks("server", "\"mail.example.org\""),
                (_, None) => lacks("from", "\"resguardo@example.org\""),
                _ => lacks("to", "[\"ops@example.org\"]"),
            });
        };
        let text = self.text_setting(&key("server"), Some(server));
        let text = text.map(|setting| setting.value).unwrap_or_default();
        let place = host_and_port(&text).ok_or_else(|| {
            let message = format!("{text:?} is no server");
            Problem::at(server.span(), message, "like mail.example.org:587")
        })?;
        let (host, port) = place;
        let security = self.security(&key("security"), file, &host, port)?;
        self.optional(&key("from"), Some(from));
        check_address(from.get()).map_err(|why| Problem::at(from.span(), why, ""))?;
        let to_all = self.optional(&key("to"), Some(to)).unwrap_or_default();
        for one in &to_all {
            check_address(one).map_err(|why| Problem::at(to.span(), why, ""))?;
        }
        if to_all.is_empty() {
            return Err(lacks("to", "[\"ops@example.org\"]"));
        }
        let user = self.text_setting(&key("user"), file.user.as_ref());
        let password = file.password.as_ref();
        let password = password.map(|leaf| self.late_secret(&key("password"), leaf));
        let password = password.transpose()?;
        if let (Some(leaf), Security::Plain) = (&file.password, security)
            && !is_loopback(&host)
        {
            let message = "a password would go over the network in the clear";
            return Err(Problem::at(leaf.span(), message, "security = \"starttls\""));
        }
        let usual = match security {
            Security::Tls => 465,
            Security::StartTls => 587,
            Security::Plain => 25,
        };
        let mail = Mail {
            host,
            port: port.unwrap_or(usual),
            security,
            user: user.map(|setting| setting.value),
            password: None,
            from: from.get().clone(),
            to: to_all,
            authority: None,
        };
        Ok(KindSettings::Email(Box::new(mail), password))
    }

    fn security(
        &mut self,
        key: &str,
        file: &NotifyFile,
        host: &str,
        port: Option<u16>,
    ) -> Result<Security, Problem> {
        let Some(leaf) = &file.security else {
            return Ok(match port {
                Some(465) => Security::Tls,
                _ if is_loopback(host) => Security::Plain,
                _ => Security::StartTls,
            });
        };
        self.optional(key, Some(leaf));
        match leaf.get().as_str() {
            "starttls" => Ok(Security::StartTls),
            "tls" => Ok(Security::Tls),
            "plain" => Ok(Security::Plain),
            other => {
                let known = ["starttls", "tls", "plain"];
                Err(unknown_word(leaf, "there is no security", other, &known))
            }
        }
    }
}

fn unknown_word<T>(leaf: &Leaf<T>, what: &str, word: &str, known: &[&str]) -> Problem {
    let label = match nearest(word, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => known.join(", "),
    };
    Problem::at(leaf.span(), format!("{what} {word}"), label)
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, Some(port.parse().ok()?))
        }
        _ => (text, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    (!host.is_empty() && host.chars().all(is_fit)).then(|| (host.to_owned(), port))
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
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
    fn a_server_is_a_host_and_perhaps_a_port() {
        for (text, expected) in [
            ("mail.example.org", Some(("mail.example.org", None))),
            (
                "mail.example.org:465",
                Some(("mail.example.org", Some(465))),
            ),
            ("[::1]:25", Some(("::1", Some(25)))),
            ("::1", Some(("::1", None))),
            ("mail:smtp", None),
            ("smtp://mail", None),
            ("mail\r\nx", None),
            ("", None),
        ] {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(host_and_port(text), expected, "{text}");
        }
    }

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
