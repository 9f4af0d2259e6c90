//! An endpoint of kind `email`.

use resguardo_daemon::notify::{Mail, Security, check_address};

use super::super::file::NotifyFile;
use super::super::problem::Problem;
use super::super::resolver::Resolver;
use super::endpoint::KindSettings;
use super::unknown_word;

impl Resolver<'_> {
    pub(super) fn email(
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
}
