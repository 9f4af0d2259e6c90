//! E-mail: a text and the same as simple HTML, over SMTP.
//!
//! The connection is encrypted, by STARTTLS or from the start; without it only where the config says so. What
//! comes from outside stands in the body, and in the subject as one line: it can add no header. The
//! `Message-ID` is the same at every try, so that a message that arrived twice is shown once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{
    Certificate, CertificateStore, Tls, TlsParameters, TlsParametersBuilder,
};
use lettre::{Address, Message, SmtpTransport, Transport as _};
use secrecy::{ExposeSecret as _, SecretString};

use super::endpoint::{Again, Refused};
use super::letter::Letter;
use super::redact::shortened;
use super::words::Text;

/// Characters of a subject.
const SUBJECT_CHARS_MAX: usize = 200;

/// How the connection is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// It begins in the clear and is encrypted before anything is said (port 587).
    StartTls,
    /// It is encrypted from the start (port 465).
    Tls,
    /// Not at all.
    Plain,
}

/// Mailboxes, and the server that takes messages for them.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from others.
    pub security: Security,
    /// Whom the server knows; `None`: it is told no name.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretString>,
    /// Who writes.
    pub from: String,
    /// Who is written to.
    pub to: Vec<String>,
    /// Certificates, in PEM, of the authority that is believed instead of the public ones.
    pub authority: Option<Arc<str>>,
}

impl Mail {
    /// What may be shown of it.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{} by {}:{}", self.to.join(", "), self.host, self.port)
    }

    fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Whether a mailbox can be written to: `ops@example.org`, or `Operators <ops@example.org>`.
///
/// # Errors
/// Why not, in a line.
pub fn check_address(text: &str) -> Result<(), String> {
    mailbox(text).map(|_| ())
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    if text.chars().any(char::is_control) {
        return Err("an address is one line".to_owned());
    }
    text.parse::<Mailbox>()
        .map_err(|_| format!("{text:?} is no e-mail address"))
}

pub(super) fn deliver(mail: &Mail, letter: &Letter, timeout: Duration) -> Result<(), Refused> {
    let message = message(mail, letter).map_err(Refused::never)?;
    let transport = transport(mail, timeout)?;
    let refused = match transport.send(&message) {
        Ok(_) => return Ok(()),
        Err(error) => refusal(mail, &error, timeout),
    };
    if refused.again != Again::Never || mail.to.len() < 2 {
        return Err(refused);
    }
    // One mailbox that is refused keeps nobody else from being told.
    let mut told = 0;
    let mut refusals = Vec::new();
    for to in &mail.to {
        let alone = Address::try_from(address_of(to)?).map_err(|_| refused.clone())?;
        let from = message.envelope().from().cloned();
        let envelope =
            lettre::address::Envelope::new(from, vec![alone]).map_err(|_| refused.clone())?;
        match transport.send_raw(&envelope, &message.formatted()) {
            Ok(_) => told += 1,
            Err(error) => refusals.push(format!("{to}: {error}")),
        }
    }
    if refusals.is_empty() {
        return Ok(());
    }
    Err(Refused::never(format!(
        "{}: {}; told {told} of {}",
        mail.server(),
        refusals.join("; "),
        mail.to.len()
    )))
}

fn address_of(to: &str) -> Result<String, Refused> {
    let mailbox = mailbox(to).map_err(Refused::never)?;
    Ok(mailbox.email.to_string())
}

fn transport(mail: &Mail, timeout: Duration) -> Result<SmtpTransport, Refused> {
    let tls = match mail.security {
        Security::Plain => Tls::None,
        Security::StartTls => Tls::Required(tls(mail)?),
        Security::Tls => Tls::Wrapper(tls(mail)?),
    };
    let mut builder = SmtpTransport::builder_dangerous(&mail.host)
        .port(mail.port)
        .tls(tls)
        .timeout(Some(timeout));
    if let (Some(user), Some(password)) = (&mail.user, &mail.password) {
        let password = password.expose_secret().to_owned();
        builder = builder.credentials(Credentials::new(user.clone(), password));
    }
    Ok(builder.build())
}

fn tls(mail: &Mail) -> Result<TlsParameters, Refused> {
    let mut builder = TlsParametersBuilder::new(mail.host.clone());
    if let Some(pem) = &mail.authority {
        let authority = Certificate::from_pem(pem.as_bytes())
            .map_err(|_| Refused::later("the authority's file is no PEM"))?;
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(authority);
    }
    builder
        .build_rustls()
        .map_err(|error| Refused::later(format!("{}: {error}", mail.server())))
}

fn refusal(mail: &Mail, error: &lettre::transport::smtp::Error, timeout: Duration) -> Refused {
    if is_timeout(error) {
        let seconds = timeout.as_secs();
        return Refused::later(format!("{}: no answer after {seconds} s", mail.server()));
    }
    let why = format!("{}: {error}", mail.server());
    // A password that is wrong (RFC 4954: 530 to 538) is put right by somebody.
    let is_of_login = error
        .status()
        .is_some_and(|code| (530..=538).contains(&u16::from(code)));
    if error.is_permanent() && !is_of_login {
        Refused::never(why)
    } else {
        Refused::later(why)
    }
}

/// A socket whose time is up says that it would block.
fn is_timeout(error: &lettre::transport::smtp::Error) -> bool {
    let source = std::error::Error::source(error);
    let cause = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    error.is_timeout() || cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::WouldBlock)
}

fn message(mail: &Mail, letter: &Letter) -> Result<Message, String> {
    let text = Text::of(letter);
    let from = mailbox(&mail.from)?;
    let domain = from.email.domain().to_owned();
    let mut builder = Message::builder()
        .from(from)
        .message_id(Some(format!("<{}.resguardo@{domain}>", letter.delivery)))
        .date(SystemTime::from(letter.written_at))
        .subject(subject(&text.title))
        .user_agent(concat!("Resguardo/", env!("CARGO_PKG_VERSION")).to_owned());
    for to in &mail.to {
        builder = builder.to(mailbox(to)?);
    }
    let part = |kind: ContentType, body: String| SinglePart::builder().header(kind).body(body);
    let both = MultiPart::builder()
        .kind(lettre::message::MultiPartKind::Alternative)
        .boundary(format!("resguardo-{}", letter.delivery))
        .singlepart(part(ContentType::TEXT_PLAIN, text.plain()))
        .singlepart(part(ContentType::TEXT_HTML, html(&text, letter.tag())));
    builder
        .multipart(both)
        .map_err(|error| format!("the message: {error}"))
}

/// One line.
fn subject(title: &str) -> String {
    let line: String = title
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    shortened(&format!("[Resguardo] {line}"), SUBJECT_CHARS_MAX)
}

fn html(text: &Text, tag: &str) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"{tag}\"><body>\n<h2>{}</h2>\n",
        escaped(&text.title)
    );
    if !text.message.is_empty() {
        out.push_str(&format!("<pre>{}</pre>\n", escaped(&text.message)));
    }
    out.push_str("<table>\n");
    for (label, value) in &text.facts {
        out.push_str(&format!(
            "<tr><th align=\"left\">{}</th><td>{}</td></tr>\n",
            escaped(label),
            escaped(value)
        ));
    }
    out.push_str("</table>\n");
    for words in [&text.next, &text.foot] {
        if !words.is_empty() {
            out.push_str(&format!("<p>{}</p>\n", escaped(words)));
        }
    }
    out.push_str("</body></html>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
