//! A provider for tests: it offers, signs and refuses what a test wants.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use resguardo_model::Sha256Digest;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

use crate::http::ask::Fields;

pub(super) const CLIENT: &str = "resguardo";
pub(super) const SECRET: &str = "a secret: 100% of it";

/// What signs a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signs {
    Rsa,
    Ec,
    /// Nothing: `alg` is `none`.
    Nothing,
    /// The public key of [`Signs::Rsa`], taken for a secret.
    PublicKeyAsSecret,
    /// The secret of the client.
    ClientSecret,
    /// Another key, under the name of [`Signs::Rsa`].
    Stranger,
}

/// A login that a browser was sent for.
struct Begun {
    nonce: String,
    challenge: String,
    back: String,
}

/// How it behaves.
pub(super) struct Acts {
    pub(super) signs: Signs,
    /// What the key is called that signs.
    pub(super) kid: String,
    /// What the keys are called that it shows.
    pub(super) shown_kid: String,
    /// The claims of the next token; `null` takes one away.
    pub(super) claims: Value,
    pub(super) now: i64,
    /// It answers so to everything.
    pub(super) broken: Option<StatusCode>,
    /// Where it sends people.
    pub(super) login_page: String,
    /// How often it was asked for its keys.
    pub(super) key_asks: usize,
    begun: HashMap<String, Begun>,
}

pub(super) struct Idp {
    pub(super) address: SocketAddr,
    acts: Arc<Mutex<Acts>>,
}

struct Keys {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
}

#[derive(Clone)]
struct Desk {
    issuer: String,
    acts: Arc<Mutex<Acts>>,
    keys: Arc<Keys>,
}

impl Keys {
    fn new() -> Self {
        let text: String = include_str!("rsa-key-of-tests.b64")
            .split_whitespace()
            .collect();
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random);
        Self {
            rsa: RsaKeyPair::from_der(&BASE64.decode(text.as_bytes()).unwrap()).unwrap(),
            ec: ec.unwrap(),
        }
    }

    fn shown(&self, kid: &str) -> Value {
        let rsa: ring::rsa::PublicKeyComponents<Vec<u8>> = self.rsa.public().into();
        let (x, y) = self.ec.public_key().as_ref()[1..].split_at(32);
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        json!({"keys": [
            {"kty": "RSA", "use": "sig", "kid": kid, "n": text(&rsa.n), "e": text(&rsa.e)},
            {"kty": "EC", "use": "sig", "crv": "P-256", "kid": format!("{kid}-ec"), "x": text(x), "y": text(y)},
            // Of a kind that nobody knows: no reason not to use the others.
            {"kty": "FUTURE", "kid": "f"},
        ]})
    }

    fn token(&self, signs: Signs, kid: &str, claims: &Value) -> String {
        let (alg, kid) = match signs {
            Signs::Rsa | Signs::Stranger => ("RS256", kid.to_owned()),
            Signs::Ec => ("ES256", format!("{kid}-ec")),
            Signs::Nothing => ("none", kid.to_owned()),
            Signs::PublicKeyAsSecret | Signs::ClientSecret => ("HS256", kid.to_owned()),
        };
        let text = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let head = json!({"alg": alg, "kid": kid, "typ": "JWT"});
        let signed = format!("{}.{}", text(&head), text(claims));
        let bytes = signed.as_bytes();
        let random = SystemRandom::new();
        let mac = |key: &[u8]| {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
            ring::hmac::sign(&key, bytes).as_ref().to_vec()
        };
        let signature = match signs {
            Signs::Rsa => {
                let mut out = vec![0; self.rsa.public().modulus_len()];
                self.rsa
                    .sign(&RSA_PKCS1_SHA256, &random, bytes, &mut out)
                    .unwrap();
                out
            }
            Signs::Ec => self.ec.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Signs::Nothing => Vec::new(),
            Signs::PublicKeyAsSecret => mac(self.rsa.public().as_ref()),
            Signs::ClientSecret => mac(SECRET.as_bytes()),
            Signs::Stranger => vec![7; self.rsa.public().modulus_len()],
        };
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }
}

impl Idp {
    pub(super) async fn start(now: i64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let issuer = format!("http://{address}");
        let acts = Arc::new(Mutex::new(Acts {
            signs: Signs::Rsa,
            kid: "one".to_owned(),
            shown_kid: "one".to_owned(),
            claims: json!({}),
            now,
            broken: None,
            login_page: format!("{issuer}/login"),
            key_asks: 0,
            begun: HashMap::new(),
        }));
        let desk = Desk {
            issuer,
            acts: Arc::clone(&acts),
            keys: Arc::new(Keys::new()),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(offers))
            .route("/keys", get(shows_keys))
            .route("/token", post(takes_code))
            .with_state(desk);
        tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { address, acts }
    }

    pub(super) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn acts(&self) -> MutexGuard<'_, Acts> {
        self.acts.lock().unwrap()
    }

    /// Somebody logs in where a browser was sent to: the code and the state that go back.
    pub(super) fn consents(&self, place: &str) -> (String, String) {
        let (page, query) = place.split_once('?').unwrap();
        assert_eq!(page, format!("{}/login", self.issuer()));
        let asked = Fields::of_form(query.as_bytes()).unwrap();
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(asked.get(name), Some(value));
        }
        assert!(asked.get("scope").unwrap().starts_with("openid email"));
        let said = |name: &str| asked.get(name).unwrap().to_owned();
        let code = format!("code-{}", said("nonce"));
        let begun = Begun {
            nonce: said("nonce"),
            challenge: said("code_challenge"),
            back: said("redirect_uri"),
        };
        self.acts().begun.insert(code.clone(), begun);
        (code, said("state"))
    }

    /// A key that nobody has seen yet.
    pub(super) fn rotates(&self, kid: &str) {
        let mut acts = self.acts();
        kid.clone_into(&mut acts.kid);
        kid.clone_into(&mut acts.shown_kid);
    }
}

fn answer(status: StatusCode, value: &Value) -> Response<Body> {
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    response.body(Body::from(value.to_string())).unwrap()
}

async fn offers(State(desk): State<Desk>) -> Response<Body> {
    let acts = desk.acts.lock().unwrap();
    if let Some(status) = acts.broken {
        return answer(status, &json!({}));
    }
    let issuer = &desk.issuer;
    answer(
        StatusCode::OK,
        &json!({
            "issuer": issuer,
            "authorization_endpoint": acts.login_page,
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
        }),
    )
}

async fn shows_keys(State(desk): State<Desk>) -> Response<Body> {
    let mut acts = desk.acts.lock().unwrap();
    acts.key_asks += 1;
    let kid = acts.shown_kid.clone();
    answer(StatusCode::OK, &desk.keys.shown(&kid))
}

async fn takes_code(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let refused = |why: &str| answer(StatusCode::BAD_REQUEST, &json!({ "error": why }));
    // RFC 6749, 2.3.1: both are encoded as a form is.
    let known = format!("{CLIENT}:a+secret%3A+100%25+of+it");
    let known = format!("Basic {}", BASE64.encode(known.as_bytes()));
    if headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        != Some(&known)
    {
        return refused("invalid_client");
    }
    let form = Fields::of_form(&body).unwrap();
    let mut acts = desk.acts.lock().unwrap();
    let begun = acts.begun.remove(form.get("code").unwrap_or_default());
    let Some(begun) = begun else {
        return refused("invalid_grant");
    };
    let digest = Sha256Digest::of(form.get("code_verifier").unwrap_or_default().as_bytes());
    if BASE64URL_NOPAD.encode(&digest.0) != begun.challenge
        || form.get("redirect_uri") != Some(&begun.back)
        || form.get("grant_type") != Some("authorization_code")
    {
        return refused("invalid_grant");
    }
    let mut claims = json!({
        "iss": desk.issuer,
        "aud": CLIENT,
        "sub": "248289761001",
        "iat": acts.now,
        "exp": acts.now + 300,
        "nonce": begun.nonce,
        "email": "Maria@acme.example",
        "email_verified": true,
    });
    let all = claims.as_object_mut().unwrap();
    for (name, value) in acts.claims.as_object().unwrap() {
        all.insert(name.clone(), value.clone());
    }
    all.retain(|_, value| !value.is_null());
    let token = desk.keys.token(acts.signs, &acts.kid, &claims);
    let said = json!({"access_token": "x", "token_type": "Bearer", "id_token": token});
    answer(StatusCode::OK, &said)
}
