//! Logins by another service: whom they let in, and everything that they do not.

mod provider;

use jiff::SignedDuration;
use resguardo_ops::users::SessionSecret;
use serde_json::json;

use super::*;
use crate::oidc::{Provider, Roles, Settings as Asked};
use provider::{CLIENT, Idp, SECRET, Signs};

/// A site that asks a provider.
struct Two {
    site: Site,
    idp: Idp,
}

/// A browser that was sent there.
struct Sent {
    place: String,
    cookie: String,
}

impl Two {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Asked)) -> Self {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let idp = Idp::start(now.as_second()).await;
        let mut asked = Asked {
            issuer: idp.issuer(),
            client_id: CLIENT.to_owned(),
            name: "Acme".to_owned(),
            name_claim: "email".to_owned(),
            groups_claim: "groups".to_owned(),
            scopes: vec!["email".to_owned(), "profile".to_owned()],
            roles: Roles::new(vec![
                (Role::Viewer, "@acme.example".parse().unwrap()),
                (Role::Operator, "group:ops".parse().unwrap()),
            ]),
            authority: None,
        };
        change(&mut asked);
        let mut settings = Settings::on("127.0.0.1:8372".parse().unwrap());
        settings.origin = Some("http://127.0.0.1:8372".parse().unwrap());
        let site = Site::furnished(settings, |house| {
            let secret = Box::new(|| Ok(SecretString::from(SECRET.to_owned())));
            let provider = Provider::new(asked, Some(secret), Arc::clone(&house.clock));
            house.provider = Some(Arc::new(provider.unwrap()));
        });
        Self { site, idp }
    }

    async fn sent(&self) -> Sent {
        let told = self
            .site
            .get("/login/oidc?next=%2Fruns%3Fstate%3Dfailed")
            .await;
        assert_eq!(told.status, StatusCode::SEE_OTHER, "{}", told.text);
        let set = told.header("set-cookie");
        for part in ["HttpOnly", "SameSite=Lax", "Max-Age=600"] {
            assert!(set.contains(part), "{set}");
        }
        Sent {
            place: told.header("location").to_owned(),
            cookie: told.cookie().unwrap(),
        }
    }

    async fn back(&self, cookie: &str, query: &str) -> Told {
        let request = Request::get(format!("/login/oidc/back?{query}"))
            .header("cookie", format!("resguardo-login={cookie}"));
        self.site.send(request.body(Body::empty()).unwrap()).await
    }

    /// A whole login.
    async fn login(&self) -> Told {
        let sent = self.sent().await;
        let (code, state) = self.idp.consents(&sent.place);
        self.back(&sent.cookie, &format!("code={code}&state={state}"))
            .await
    }

    fn last_note(&self) -> String {
        let notes = self.site.desk.notes.lock().unwrap();
        notes.last().cloned().unwrap_or_default()
    }
}

async fn me(site: &Site, cookie: &str) -> Told {
    let request = Request::get("/api/v1/me").header("cookie", format!("resguardo={cookie}"));
    site.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn whoever_has_a_role_is_let_in_and_goes_out_again() {
    let two = Two::new().await;
    let page = two.site.get("/login?next=%2Fruns").await.text;
    assert!(
        page.contains("/login/oidc?next=%2Fruns") && page.contains("Acme"),
        "{page}"
    );
    for (signs, groups, role) in [
        (Signs::Rsa, json!(["staff"]), "viewer"),
        (Signs::Ec, json!(["staff", "ops"]), "operator"),
    ] {
        two.idp.acts().signs = signs;
        two.idp.acts().claims = json!({ "groups": groups });
        let told = two.login().await;
        assert_eq!(told.status, StatusCode::SEE_OTHER, "{}", two.last_note());
        assert_eq!(told.header("location"), "/runs?state=failed");
        let cookie = told.cookie().unwrap();
        let who = me(&two.site, &cookie).await.json();
        assert_eq!(who["name"], "maria@acme.example");
        assert_eq!(who["role"], role);
        // What was done is signed with who vouches: a user of ours may be called the same.
        let operator = format!("maria@acme.example ({})", two.idp.issuer());
        assert_eq!(
            two.last_note(),
            format!("{operator} logged in from 127.0.0.1")
        );
        let token = two.site.token(&format!("t-{role}"), Role::Admin);
        let audit = two.site.get_by(&token, "/api/v1/audit").await.json();
        assert_eq!(audit["audit"][0]["who"], operator);
        assert_eq!(audit["audit"][0]["what"], "login");
        let csrf = SessionSecret::parse(&cookie).unwrap().form_token();
        let out = form("/logout", &[("csrf", &csrf)], Some(&cookie));
        assert_eq!(two.site.send(out).await.status, StatusCode::SEE_OTHER);
        assert_eq!(
            me(&two.site, &cookie).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
}

#[tokio::test]
async fn a_token_that_is_not_to_be_believed_lets_nobody_in() {
    let two = Two::new().await;
    let now = two.idp.acts().now;
    let cases = [
        (Signs::Nothing, json!({}), "No signature found"),
        (Signs::PublicKeyAsSecret, json!({}), "HS256"),
        (Signs::ClientSecret, json!({}), "HS256"),
        (Signs::Stranger, json!({}), "Crypto error"),
        (
            Signs::Rsa,
            json!({"nonce": "of another login"}),
            "nonce mismatch",
        ),
        (Signs::Rsa, json!({"nonce": null}), "missing nonce"),
        (Signs::Rsa, json!({"exp": now - 61}), "xpired"),
        (Signs::Rsa, json!({"exp": null}), "cannot be read"),
        (Signs::Rsa, json!({"iat": now + 90}), "in the future"),
        (Signs::Rsa, json!({"aud": "another"}), "audience"),
        (Signs::Rsa, json!({"aud": ["another"]}), "audience"),
        (
            Signs::Rsa,
            json!({"aud": [CLIENT, "another"]}),
            "not a trusted audience",
        ),
        (Signs::Rsa, json!({"aud": null}), "audience"),
        (
            Signs::Rsa,
            json!({"azp": "another"}),
            "was made for another",
        ),
        (Signs::Rsa, json!({"iss": "https://evil.example"}), "issuer"),
        (Signs::Rsa, json!({"email": null}), "is no name"),
        (
            Signs::Rsa,
            json!({"email": "<script>@acme.example"}),
            "is no name",
        ),
    ];
    for (signs, claims, why) in cases {
        two.idp.acts().signs = signs;
        two.idp.acts().claims = claims.clone();
        let told = two.login().await;
        let note = two.last_note();
        assert!(note.contains(why), "{claims} {signs:?}: {note}");
        assert!(
            told.status.is_client_error() || told.status == StatusCode::BAD_GATEWAY,
            "{claims}"
        );
        assert_eq!(told.cookie(), None, "{claims} {signs:?}");
        assert!(told.text.contains("role=\"alert\"") && !told.text.contains("<script>"));
        assert!(!note.contains("eyJ"), "a token is told to nobody: {note}");
    }
    // By so much the clocks may differ.
    two.idp.acts().signs = Signs::Rsa;
    two.idp.acts().claims = json!({"exp": now - 30, "iat": now + 30, "azp": CLIENT});
    assert!(two.login().await.cookie().is_some(), "{}", two.last_note());
}

#[tokio::test]
async fn whoever_has_no_role_is_refused_by_name() {
    let two = Two::new().await;
    for (claims, told_of) in [
        (
            json!({"email": "ana@other.example", "groups": ["staff"]}),
            "ana@other.example",
        ),
        (json!({"email": "ana@other.example"}), "ana@other.example"),
        (json!({"email_verified": false}), "Maria@acme.example"),
        (json!({"email_verified": null}), "Maria@acme.example"),
        // Nor does a group help whose e-mail could be anybody's: receipts are signed with it.
        (
            json!({"email_verified": "false", "groups": ["ops"]}),
            "Maria@acme.example",
        ),
    ] {
        two.idp.acts().claims = claims.clone();
        let told = two.login().await;
        assert_eq!(told.status, StatusCode::FORBIDDEN, "{claims}");
        assert!(told.text.contains(told_of), "{claims}");
        assert_eq!(told.cookie(), None);
    }
}

#[tokio::test]
async fn another_claim_may_be_the_name_and_then_an_e_mail_counts_only_if_verified() {
    let two = Two::with(|asked| asked.name_claim = "preferred_username".to_owned()).await;
    let claims = |verified: bool, groups: &[&str]| json!({"preferred_username": "maria", "email_verified": verified, "groups": groups});
    for (claims, role) in [
        (claims(false, &["ops"]), Some("operator")),
        (claims(true, &[]), Some("viewer")),
        (claims(false, &[]), None),
    ] {
        two.idp.acts().claims = claims;
        let told = two.login().await;
        match (role, told.cookie()) {
            (Some(role), Some(cookie)) => {
                let who = me(&two.site, &cookie).await.json();
                assert_eq!(
                    (who["name"].as_str(), who["role"].as_str()),
                    (Some("maria"), Some(role))
                );
            }
            (None, None) => assert_eq!(told.status, StatusCode::FORBIDDEN),
            (role, _) => panic!("{role:?}: {}", told.text),
        }
    }
}

#[tokio::test]
async fn only_the_browser_that_was_sent_comes_back_and_once() {
    let two = Two::new().await;
    let sent = two.sent().await;
    let (code, state) = two.idp.consents(&sent.place);
    let good = format!("code={code}&state={state}");
    let other = two.sent().await;
    let wrong = [
        (
            sent.cookie.as_str(),
            format!("code={code}&state={}", "0".repeat(64)),
        ),
        (&sent.cookie, format!("code={code}")),
        (&sent.cookie, format!("code={code}&state=")),
        (
            &sent.cookie,
            format!("{good}&iss=https%3A%2F%2Fevil.example"),
        ),
        (&sent.cookie, format!("{good}&state={state}")),
        // Whoever has only the address that leads back.
        ("", good.clone()),
        ("forged", good.clone()),
        (&other.cookie, good.clone()),
    ];
    for (cookie, query) in wrong {
        let told = two.back(cookie, &query).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(told.cookie(), None);
    }
    let told = two.back(&sent.cookie, &good).await;
    assert!(told.cookie().is_some(), "{}", two.last_note());
    let sets = told.headers.get_all("set-cookie").iter();
    let gone = sets.filter(|set| {
        let set = set.to_str().unwrap();
        set.starts_with("resguardo-login=;") && set.contains("Max-Age=0")
    });
    assert_eq!(gone.count(), 1);
    // The same again, with the cookie that a browser has no more.
    let told = two.back(&sent.cookie, &good).await;
    assert_eq!(
        (told.status, told.cookie()),
        (StatusCode::BAD_REQUEST, None)
    );
    // The code in another login: the provider knows it no more, and its verifier is another.
    let (_, state) = two.idp.consents(&other.place);
    let told = two
        .back(&other.cookie, &format!("code={code}&state={state}"))
        .await;
    assert_eq!(
        (told.status, told.cookie()),
        (StatusCode::UNAUTHORIZED, None)
    );
    assert!(
        two.last_note().contains("invalid_grant"),
        "{}",
        two.last_note()
    );
    // A code that another browser was given.
    let (mine, theirs) = (two.sent().await, two.sent().await);
    let (_, state) = two.idp.consents(&mine.place);
    let (code, _) = two.idp.consents(&theirs.place);
    let told = two
        .back(&mine.cookie, &format!("code={code}&state={state}"))
        .await;
    assert_eq!(
        (told.status, told.cookie()),
        (StatusCode::UNAUTHORIZED, None)
    );
    // Too late.
    let late = two.sent().await;
    let (code, state) = two.idp.consents(&late.place);
    two.site.hands.forward(SignedDuration::from_mins(11));
    let told = two
        .back(&late.cookie, &format!("code={code}&state={state}"))
        .await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn whoever_says_no_there_is_not_let_in_here() {
    let two = Two::new().await;
    let sent = two.sent().await;
    let (_, state) = two.idp.consents(&sent.place);
    let query = format!("error=access_denied&error_description=%3Cscript%3E%0Ax&state={state}");
    let told = two.back(&sent.cookie, &query).await;
    assert_eq!(
        (told.status, told.cookie()),
        (StatusCode::UNAUTHORIZED, None)
    );
    assert!(told.text.contains("did not let you in") && !told.text.contains("<script>"));
    // Its answer is not linked to again: the address may hold what it said.
    assert!(!told.text.contains(&state));
    assert!(two.last_note().ends_with("access_denied"));
}

#[tokio::test]
async fn a_key_that_is_not_known_is_asked_for_once_a_minute() {
    let two = Two::new().await;
    assert!(two.login().await.cookie().is_some());
    assert_eq!(two.idp.acts().key_asks, 1);
    // Of the first minute the keys are those that were just seen.
    two.idp.rotates("two");
    assert_eq!(two.login().await.cookie(), None);
    assert!(
        two.last_note().contains("No matching key"),
        "{}",
        two.last_note()
    );
    assert_eq!(two.idp.acts().key_asks, 1);
    let minute = |two: &Two| {
        two.site.hands.forward(SignedDuration::from_secs(61));
        two.idp.acts().now += 61;
    };
    minute(&two);
    assert!(two.login().await.cookie().is_some(), "{}", two.last_note());
    assert_eq!(two.idp.acts().key_asks, 2);
    // Keys that are made up make nobody ask and ask.
    minute(&two);
    two.idp.acts().kid = "made up".to_owned();
    for _ in 0..3 {
        assert_eq!(two.login().await.cookie(), None);
    }
    assert_eq!(two.idp.acts().key_asks, 3);
}

#[tokio::test]
async fn with_a_provider_that_is_down_the_login_by_password_still_works() {
    let two = Two::new().await;
    two.site.user("ana", Role::Viewer);
    two.idp.acts().broken = Some(StatusCode::BAD_GATEWAY);
    let told = two.site.get("/login/oidc").await;
    assert_eq!(told.status, StatusCode::BAD_GATEWAY);
    assert!(told.text.contains("Acme cannot be asked"), "{}", told.text);
    assert!(told.text.contains("name=\"password\""));
    assert!(two.last_note().contains("502"), "{}", two.last_note());
    let told = two.site.login("ana", PASSWORD).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER);
    assert!(told.cookie().is_some());
    // Nor is anybody sent where a password would go over the network as it is.
    two.idp.acts().broken = None;
    two.idp.acts().login_page = "http://login.evil.example/".to_owned();
    let told = two.site.get("/login/oidc").await;
    assert_eq!(told.status, StatusCode::BAD_GATEWAY);
    assert!(
        two.last_note().contains("neither https"),
        "{}",
        two.last_note()
    );
}

#[tokio::test]
async fn a_login_leads_nowhere_else_and_begins_at_one_address() {
    let two = Two::new().await;
    for next in [
        "https%3A%2F%2Fevil.example",
        "%2F%2Fevil.example",
        "%2Flogout",
    ] {
        let told = two.site.get(&format!("/login/oidc?next={next}")).await;
        let sent = told.cookie().unwrap();
        let (code, state) = two.idp.consents(told.header("location"));
        let told = two.back(&sent, &format!("code={code}&state={state}")).await;
        assert_eq!(told.header("location"), "/", "{next}");
    }
    // The cookie would stay with the other name.
    let request = Request::get("/login/oidc?next=%2Fruns").header("host", "localhost:8372");
    let told = two.site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        told.header("location"),
        "http://127.0.0.1:8372/login/oidc?next=%2Fruns"
    );
    assert_eq!(told.cookie(), None);
    // Without a provider there is nothing of it.
    let site = Site::new();
    assert!(!site.get("/login").await.text.contains("/login/oidc"));
    for path in ["/login/oidc", "/login/oidc/back?code=x&state=y"] {
        assert_eq!(site.get(path).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_session_of_a_service_that_is_asked_no_more_is_none() {
    let two = Two::new().await;
    let accounts = &two.site.house.accounts;
    let begin = |issuer: &str| {
        let (name, now) = ("maria".parse().unwrap(), two.site.hands.now());
        let issuer = Some((issuer, Role::Admin));
        let begun = resguardo_ops::users::session::begin(&accounts.write, &name, issuer, now);
        begun.unwrap().expose()
    };
    let (ours, other) = (begin(&two.idp.issuer()), begin("https://before.example"));
    assert_eq!(me(&two.site, &ours).await.status, StatusCode::OK);
    assert_eq!(me(&two.site, &other).await.status, StatusCode::UNAUTHORIZED);
    // The role is that of the login; it ends the sooner.
    two.site.hands.forward(SignedDuration::from_hours(12));
    assert_eq!(me(&two.site, &ours).await.status, StatusCode::UNAUTHORIZED);
}
