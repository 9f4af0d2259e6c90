//! E-mail, against a real server.

#![allow(clippy::unwrap_used, reason = "test")]

use resguardo_ops::report::Language;
use resguardo_testkit::{MailServer, MailTls};
use serde_json::Value;

use super::*;
use crate::notify::words::examples::failed_drill;

const TIMEOUT: Duration = Duration::from_secs(20);

fn mail(server: &MailServer, security: Security) -> Mail {
    Mail {
        host: "localhost".to_owned(),
        port: server.address().port(),
        security,
        user: None,
        password: None,
        from: "Resguardo <resguardo@example.org>".to_owned(),
        to: vec![
            "ops@example.org".to_owned(),
            "Ana <ana@example.org>".to_owned(),
        ],
        authority: None,
    }
}

fn with_login(mail: Mail, password: &str) -> Mail {
    Mail {
        user: Some("resguardo".to_owned()),
        password: Some(SecretString::from(password)),
        ..mail
    }
}

fn taken(server: &MailServer) -> Vec<Value> {
    let texts = server.taken();
    texts
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect()
}

#[test]
fn a_message_arrives_over_every_kind_of_connection() {
    for (tls, security) in [
        (MailTls::None, Security::Plain),
        (MailTls::StartTls, Security::StartTls),
        (MailTls::Tls, Security::Tls),
    ] {
        let server = MailServer::start(tls, Some(("resguardo", "s3cret-mail")));
        let mut mail = with_login(mail(&server, security), "s3cret-mail");
        if tls != MailTls::None {
            mail.authority = Some(server.authority().into());
        }
        deliver(&mail, &failed_drill(Language::En), TIMEOUT).unwrap();
        let taken = taken(&server);
        assert_eq!(taken.len(), 1);
        assert_eq!(
            taken[0]["to"],
            serde_json::json!(["ops@example.org", "ana@example.org"])
        );
        assert_eq!(taken[0]["from"], "resguardo@example.org");
        assert_eq!(taken[0]["encrypted"], tls != MailTls::None);
        assert_eq!(taken[0]["user"], "resguardo");
    }
}

#[test]
fn a_server_that_is_not_the_one_it_says_is_told_nothing() {
    for (tls, security) in [
        (MailTls::StartTls, Security::StartTls),
        (MailTls::Tls, Security::Tls),
    ] {
        let server = MailServer::start(tls, None);
        let mut mail = mail(&server, security);
        // Neither the public authorities nor another one vouch for it.
        for authority in [None, Some(server.wrong_authority())] {
            mail.authority = authority.map(Into::into);
            let refused = deliver(&mail, &failed_drill(Language::En), TIMEOUT).unwrap_err();
            assert_eq!(refused.again, Again::Later, "{}", refused.why);
            assert!(refused.why.contains("certificate"), "{}", refused.why);
        }
        // Its certificate is for another name.
        mail.authority = Some(server.authority().into());
        mail.host = "127.0.0.1".to_owned();
        let refused = deliver(&mail, &failed_drill(Language::En), TIMEOUT).unwrap_err();
        assert!(refused.why.contains("certificate"), "{}", refused.why);
        assert_eq!(taken(&server), Vec::<Value>::new());
    }
}

#[test]
fn a_server_without_tls_is_not_told_in_the_clear() {
    let server = MailServer::start(MailTls::None, None);
    for security in [Security::StartTls, Security::Tls] {
        let limit = Duration::from_secs(2);
        let refused =
            deliver(&mail(&server, security), &failed_drill(Language::En), limit).unwrap_err();
        assert_eq!(refused.again, Again::Later, "{security:?}: {}", refused.why);
        assert_eq!(taken(&server), Vec::<Value>::new());
    }
}

#[test]
fn a_wrong_password_is_tried_again_and_never_shown() {
    let server = MailServer::start(MailTls::None, Some(("resguardo", "right")));
    let endpoint = crate::notify::Endpoint {
        name: "mail".to_owned(),
        kind: crate::notify::Kind::Email(Box::new(with_login(
            mail(&server, Security::Plain),
            "wrong-s3cret",
        ))),
        timeout: TIMEOUT,
    };
    let refused = endpoint.deliver(&failed_drill(Language::En)).unwrap_err();
    assert_eq!(refused.again, Again::Later, "{}", refused.why);
    assert!(refused.why.contains("535"), "{}", refused.why);
    assert!(!refused.why.contains("wrong-s3cret"), "{}", refused.why);
    assert!(!format!("{endpoint:?}").contains("wrong-s3cret"));
}

#[test]
fn a_mailbox_that_is_refused_keeps_nobody_else_from_being_told() {
    let server = MailServer::start(MailTls::None, None);
    let mut mail = mail(&server, Security::Plain);
    mail.to.insert(0, "nobody@example.org".to_owned());
    let refused = deliver(&mail, &failed_drill(Language::En), TIMEOUT).unwrap_err();
    assert_eq!(refused.again, Again::Never);
    assert!(
        refused.why.contains("nobody@example.org"),
        "{}",
        refused.why
    );
    assert!(refused.why.ends_with("told 2 of 3"), "{}", refused.why);
    assert_eq!(taken(&server).len(), 2);
    mail.to = vec!["later@example.org".to_owned()];
    let refused = deliver(&mail, &failed_drill(Language::En), TIMEOUT).unwrap_err();
    assert_eq!(refused.again, Again::Later, "{}", refused.why);
}

#[test]
fn what_comes_from_outside_adds_no_header_and_no_markup() {
    let mail = Mail {
        host: "localhost".to_owned(),
        port: 25,
        security: Security::Plain,
        user: None,
        password: None,
        from: "resguardo@example.org".to_owned(),
        to: vec!["ops@example.org".to_owned()],
        authority: None,
    };
    let mut letter = failed_drill(Language::En);
    let exception = letter.event.exception.as_mut().unwrap();
    exception.kind = "x\r\nBcc: eve@example.org\r\n\r\n<script>alert(1)</script>".to_owned();
    let message = String::from_utf8(message(&mail, &letter).unwrap().formatted()).unwrap();
    let (headers, _) = message.split_once("\r\n\r\n").unwrap();
    let names: Vec<&str> = headers
        .split("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        [
            "From",
            "Message-ID",
            "Date",
            "Subject",
            "User-Agent",
            "To",
            "MIME-Version",
            "Content-Type"
        ],
        "{headers}"
    );
    let html = html(&Text::of(&letter), "en");
    assert!(
        html.contains("&lt;script&gt;") && !html.contains("<script>"),
        "{html}"
    );
    for text in [
        "ops@example.org\r\nBcc: eve@example.org",
        "ops",
        "",
        "a b@example.org>",
        "ops@example.org, eve@example.org",
    ] {
        assert!(check_address(text).is_err(), "{text:?}");
    }
    assert_eq!(check_address("Operación <ops@example.org>"), Ok(()));
}

#[test]
fn a_message_in_each_language() {
    let mail = Mail {
        host: "mail.example.org".to_owned(),
        port: 587,
        security: Security::StartTls,
        user: None,
        password: None,
        from: "resguardo@example.org".to_owned(),
        to: vec!["ops@example.org".to_owned()],
        authority: None,
    };
    for (language, title) in [
        (
            Language::En,
            "Subject: [Resguardo] shop: the drill failed\r\n",
        ),
        // "falló" as RFC 2047 has it.
        (
            Language::Es,
            "Subject: [Resguardo] shop: el simulacro no se =?utf-8?b?c3VwZXLDsw==?=\r\n",
        ),
    ] {
        let letter = failed_drill(language);
        let message = message(&mail, &letter).unwrap().formatted();
        let message = String::from_utf8(message).unwrap();
        assert!(message.contains(title), "{message}");
        for part in [
            "Message-ID: <0123456789abcdef0123456789abcdef.resguardo@example.org>\r\n",
            "Date: Sun, 22 Nov 2026 09:30:01 +0000\r\n",
            "boundary=\"resguardo-0123456789abcdef0123456789abcdef\"",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: text/html; charset=utf-8\r\n",
        ] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
    let html = html(&Text::of(&failed_drill(Language::Es)), "es");
    assert_eq!(
        html,
        "<!doctype html>
<html lang=\"es\"><body>
<h2>shop: el simulacro no se superó</h2>
<pre>the drill did not pass: &lt;!channel&gt; &amp; &lt;b&gt;active tenants&lt;/b&gt;
Bcc: eve@example.org</pre>
<table>
<tr><th align=\"left\">Fuente</th><td>shop</td></tr>
<tr><th align=\"left\">Entorno</th><td>production</td></tr>
<tr><th align=\"left\">Medido</th><td>1h 10m</td></tr>
<tr><th align=\"left\">Objetivo</th><td>1h</td></tr>
<tr><th align=\"left\">Última prueba</th><td>2026-11-01 04:00 America/Bogota</td></tr>
<tr><th align=\"left\">Abierta desde</th><td>2026-11-22 04:29 America/Bogota</td></tr>
<tr><th align=\"left\">Excepción</th><td>01jd8kq2v3m4n5p6q7r8s9t0vw</td></tr>
<tr><th align=\"left\">Hora</th><td>2026-11-22 04:30 America/Bogota</td></tr>
</table>
<p>Lo que está abierto: resguardo exceptions. Cuando esté atendido: resguardo exceptions resolve 01jd8kq2v3m4n5p6q7r8s9t0vw --note &quot;...&quot;</p>
<p>Resguardo en db1</p>
</body></html>
"
    );
}
