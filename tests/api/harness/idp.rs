//! An identity provider under the test's control: it says whatever the test wants, signed or not.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws::{self, ES256, JwsHeader};
use postern::flow::core::Caller;
use postern::flow::providers::{self, NewProvider};
use postern::types::identity::Rules;
use postern::types::secret::Secret;
use postern::types::time::{Clock as _, ManualClock};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::browser::{Browser, Page};
use super::node::Node;

pub const CLIENT: &str = "postern-at-corp";
pub const SECRET: &str = "a secret with + and %";

/// How it signs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signs {
    Well,
    /// With another key under the same name.
    Badly,
    NotAtAll,
    /// With the client's secret.
    WithSecret,
}

/// How it answers a refresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refreshes {
    Gladly,
    /// `invalid_grant`.
    NoMore,
    /// With this error code.
    Because(&'static str),
    /// 500.
    Broken,
}

struct State {
    claims: Map<String, Value>,
    codes: HashMap<String, (String, String)>,
    given: usize,
    signs: Signs,
    refreshes: Refreshes,
    refresh_token: usize,
    refreshed: usize,
    metadata: Map<String, Value>,
    gives_refresh: bool,
    seen: Vec<String>,
    /// What its userinfo endpoint answers, where it has one.
    userinfo: Option<(u16, Value)>,
}

/// The provider. Its thread ends with the test.
pub struct Idp {
    pub issuer: String,
    state: Arc<Mutex<State>>,
}

impl Idp {
    pub fn start(clock: &ManualClock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            claims: Map::new(),
            codes: HashMap::new(),
            given: 0,
            signs: Signs::Well,
            refreshes: Refreshes::Gladly,
            refresh_token: 0,
            refreshed: 0,
            metadata: Map::new(),
            gives_refresh: true,
            seen: Vec::new(),
            userinfo: None,
        }));
        let keys = Arc::new((key(), key()));
        let (shared, base, clock) = (Arc::clone(&state), issuer.clone(), clock.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &base, &shared, &keys, &clock);
            }
        });
        Self { issuer, state }
    }

    /// What ID tokens say from now on, beside and instead of the usual; null takes a claim away.
    pub fn says(&self, claims: &Value) -> &Self {
        self.state.lock().unwrap().claims.clone_from(claims.as_object().unwrap());
        self
    }

    pub fn signs(&self, how: Signs) -> &Self {
        self.state.lock().unwrap().signs = how;
        self
    }

    pub fn refreshes(&self, how: Refreshes) -> &Self {
        self.state.lock().unwrap().refreshes = how;
        self
    }

    pub fn gives_no_refresh_token(&self) {
        self.state.lock().unwrap().gives_refresh = false;
    }

    /// It has a userinfo endpoint from now on, which answers this.
    pub fn tells(&self, status: u16, claims: &Value) -> &Self {
        self.state.lock().unwrap().userinfo = Some((status, claims.clone()));
        self
    }

    /// What its metadata says beside and instead of the usual.
    pub fn describes_itself(&self, members: &Value) {
        self.state.lock().unwrap().metadata.clone_from(members.as_object().unwrap());
    }

    /// How often it was asked for a refresh.
    pub fn refreshed(&self) -> usize {
        self.state.lock().unwrap().refreshed
    }

    /// How often its token endpoint was asked.
    pub fn asked(&self, path: &str) -> usize {
        self.state.lock().unwrap().seen.iter().filter(|seen| *seen == path).count()
    }

    /// Registers it at a node.
    pub async fn join(&self, node: &Node, id: &str, rules: Rules) {
        let new = NewProvider {
            id: id.to_owned(),
            name: format!("The {id} company"),
            issuer: self.issuer.clone(),
            client_id: CLIENT.to_owned(),
            secret: Secret::new(SECRET.to_owned()),
            rules,
        };
        providers::add(&node.core, &Caller::command_line(), new).await.unwrap();
    }

    /// The person signs in there: the address to which it sends the browser back.
    pub fn sign_in(&self, to: &str) -> String {
        let to = Url::parse(to).unwrap();
        assert!(to.as_str().starts_with(&format!("{}/authorize?", self.issuer)), "{to}");
        let asked: HashMap<String, String> = to.query_pairs().into_owned().collect();
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], CLIENT);
        assert_eq!(asked["code_challenge_method"], "S256");
        let mut state = self.state.lock().unwrap();
        state.given += 1;
        let code = format!("code-{}", state.given);
        state.codes.insert(code.clone(), (asked["nonce"].clone(), asked["code_challenge"].clone()));
        let mut back = Url::parse(&asked["redirect_uri"]).unwrap();
        back.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &asked["state"])
            .append_pair("iss", &self.issuer);
        back.into()
    }
}

impl Browser {
    /// Presses a provider's button; the address to which it leads.
    pub async fn go_to(&self, page: &Page, id: &str) -> String {
        let answer = self.submit(&page.form(&format!("/login/idp/{id}"))).await;
        answer.location().unwrap_or_else(|| panic!("no redirect: {} {}", answer.status, answer.text))
    }

    /// Signs in at a provider from the sign-in page; the answer is not followed.
    pub async fn sign_in_at(&self, idp: &Idp, id: &str) -> Page {
        let page = self.get("/login").await;
        let to = self.go_to(&page, id).await;
        self.get(&idp.sign_in(&to)).await
    }
}

fn key() -> Jwk {
    Jwk::generate_ec_key(josekit::jwk::alg::ec::EcCurve::P256).unwrap()
}

fn published(key: &Jwk) -> Value {
    let mut public = Value::Object(key.to_public_key().unwrap().as_ref().clone());
    public.as_object_mut().unwrap().extend([
        ("kid".to_owned(), json!("one")),
        ("use".to_owned(), json!("sig")),
        ("alg".to_owned(), json!("ES256")),
    ]);
    public
}

fn answer(mut stream: TcpStream, issuer: &str, state: &Mutex<State>, keys: &(Jwk, Jwk), clock: &ManualClock) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap_or(0) <= 2 {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or_default();
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "authorization" => value.trim().clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut state = state.lock().unwrap();
    state.seen.push(path.clone());
    let (status, answer) = match path.as_str() {
        "/.well-known/openid-configuration" => {
            let mut metadata = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/jwks"),
                "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
                "scopes_supported": ["openid", "email", "offline_access"],
                "authorization_response_iss_parameter_supported": true,
            });
            if state.userinfo.is_some() {
                metadata["userinfo_endpoint"] = json!(format!("{issuer}/userinfo"));
            }
            metadata.as_object_mut().unwrap().extend(state.metadata.clone());
            (200, metadata)
        }
        "/jwks" => (200, json!({ "keys": [published(&keys.0)] })),
        "/userinfo" if authorization == "Bearer at" => state.userinfo.clone().unwrap(),
        "/token" => token(&mut state, &body, &authorization, issuer, keys, clock),
        _ => (404, Value::Null),
    };
    let text = answer.to_string();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
}

fn token(
    state: &mut State,
    body: &[u8],
    authorization: &str,
    issuer: &str,
    keys: &(Jwk, Jwk),
    clock: &ManualClock,
) -> (u16, Value) {
    let form: HashMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
    let error = |code: &str| (400, json!({ "error": code }));
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let expected = base64::engine::general_purpose::STANDARD.encode(format!("{CLIENT}:{}", encoded(SECRET)));
    if authorization != format!("Basic {expected}") {
        return error("invalid_client");
    }
    if form["grant_type"] == "refresh_token" {
        state.refreshed += 1;
        match state.refreshes {
            Refreshes::Gladly if form["refresh_token"] == format!("rt-{}", state.refresh_token) => {}
            // A token that was rotated away is a stolen one.
            Refreshes::Gladly | Refreshes::NoMore => return error("invalid_grant"),
            Refreshes::Because(code) => return error(code),
            Refreshes::Broken => return (500, Value::Null),
        }
        state.refresh_token += 1;
        let token = format!("rt-{}", state.refresh_token);
        return (200, json!({ "access_token": "at", "token_type": "Bearer", "refresh_token": token }));
    }
    if let Refreshes::Because(code) = state.refreshes
        && !state.codes.contains_key(&form["code"])
    {
        return error(code);
    }
    let Some((nonce, challenge)) = state.codes.remove(&form["code"]) else { return error("invalid_grant") };
    if URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"])) != challenge {
        return error("invalid_grant");
    }
    let now = clock.now().seconds();
    let mut claims = json!({
        "iss": issuer, "aud": CLIENT, "sub": "ana-there", "nonce": nonce, "iat": now, "exp": now + 300,
        "auth_time": now, "email": "ana@example.com", "email_verified": true, "name": "Ana There",
    });
    claims.as_object_mut().unwrap().extend(state.claims.clone());
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let id_token = sign(&claims, state.signs, keys);
    let mut given = json!({ "access_token": "at", "token_type": "Bearer", "id_token": id_token });
    if state.gives_refresh {
        state.refresh_token += 1;
        given["refresh_token"] = json!(format!("rt-{}", state.refresh_token));
    }
    (200, given)
}

fn sign(claims: &Value, signs: Signs, keys: &(Jwk, Jwk)) -> String {
    let mut header = JwsHeader::new();
    header.set_key_id("one");
    // As bytes: what tests say need not be what a library would sign.
    let payload = claims.to_string().into_bytes();
    match signs {
        Signs::Well => {
            jws::serialize_compact(&payload, &header, &ES256.signer_from_jwk(&keys.0).unwrap()).unwrap()
        }
        Signs::Badly => {
            jws::serialize_compact(&payload, &header, &ES256.signer_from_jwk(&keys.1).unwrap()).unwrap()
        }
        Signs::WithSecret => hs256(claims, SECRET.as_bytes()),
        Signs::NotAtAll => {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.", part(&json!({ "alg": "none", "kid": "one" })), part(claims))
        }
    }
}

/// By hand: the library refuses short secrets.
fn hs256(claims: &Value, secret: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(claims));
    let mut block = [0u8; 64];
    block[..secret.len()].copy_from_slice(secret);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([pad(0x36), message.as_bytes().to_vec()].concat());
    let mac = Sha256::digest([pad(0x5c), inner.to_vec()].concat());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac))
}
