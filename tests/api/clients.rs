//! How clients prove themselves, and tokens for machines.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use josekit::jwk::Jwk;
use josekit::jwk::alg::ec::EcCurve;
use josekit::jwk::alg::ed::EdCurve;
use josekit::jws::{ES256, EdDSA, HS256, JwsHeader, JwsSigner, PS256, RS256};
use postern::flow::core::Caller;
use postern::flow::{access, client_admin};
use postern::storage::grants::GrantFilter;
use postern::types::audit::AuditKind;
use postern::types::id::GrantId;
use postern::types::token::TokenDigest;
use serde_json::{Value, json};

use crate::harness::{Answer, App, Browser, NOTES, Node, claims_of, verified};

pub const NOW: i64 = 1_795_000_000;
pub const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

async fn machine(node: &Node, method: &str) -> App {
    let metadata = json!({
        "client_name": "Nightly",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": method,
    });
    node.add_client(metadata).await
}

const GRANT: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("resource", NOTES)];

async fn with_basic(node: &Node, id: &str, secret: &str) -> Answer {
    let value = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    Answer::of(node.request("POST", "/token").header("authorization", value).form(&GRANT)).await
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |out, byte| out + &format!("%{byte:02X}"))
}

#[tokio::test]
async fn a_machine_gets_a_token_of_its_own() {
    let node = Node::start().await;
    let app = machine(&node, "client_secret_basic").await;
    let secret = app.secret.clone().unwrap();
    assert!(secret.starts_with("pst_cs_"));
    let answer = with_basic(&node, &app.id, &secret).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.body.get("refresh_token").is_none());
    let claims = verified(&node, &answer.text_of("access_token")).await;
    assert_eq!((claims["sub"].as_str(), claims["client_id"].as_str()), (Some(&*app.id), Some(&*app.id)));
    assert_eq!((claims["aud"].as_str(), claims["scope"].as_str()), (Some(NOTES), Some("notes:read")));
    assert!(claims.get("auth_time").is_none(), "nobody signed in: {claims}");
    assert!(node.is_active(&answer.text_of("access_token")).await);
}

#[tokio::test]
async fn secrets_come_raw_or_encoded_in_header_or_form() {
    let node = Node::start().await;
    for method in ["client_secret_basic", "client_secret_post"] {
        let app = machine(&node, method).await;
        let secret = app.secret.clone().unwrap();
        assert_eq!(with_basic(&node, &app.id, &secret).await.status, 200);
        assert_eq!(with_basic(&node, &percent(&app.id), &percent(&secret)).await.status, 200);
        let mut form = GRANT.to_vec();
        form.extend([("client_id", app.id.as_str()), ("client_secret", secret.as_str())]);
        assert_eq!(node.token(&form).await.status, 200);
    }
}

#[tokio::test]
async fn whoever_does_not_prove_itself_is_told_401() {
    let node = Node::start().await;
    let app = machine(&node, "client_secret_basic").await;
    let other = machine(&node, "client_secret_basic").await;
    let (secret, others) = (app.secret.clone().unwrap(), other.secret.clone().unwrap());
    for (id, secret) in [
        (app.id.as_str(), "wrong"),
        (&app.id, &others),
        (&app.id, &secret[..secret.len() - 1]),
        (&app.id, &format!("{secret} ")),
        (&app.id, ""),
        ("", &secret),
        ("nobody", &secret),
    ] {
        with_basic(&node, id, secret).await.is_error(401, "invalid_client");
    }
    let mut named = GRANT.to_vec();
    named.push(("client_id", &app.id));
    node.token(&named).await.is_error(401, "invalid_client");
    node.token(&GRANT).await.is_error(401, "invalid_client");
    for header in ["Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Bearer x", "basic", "Negotiate YII="] {
        let request = node.request("POST", "/token").header("authorization", header).form(&GRANT);
        Answer::of(request).await.is_error(401, "invalid_client");
    }
    let twice = node.request("POST", "/token").basic_auth(&app.id, Some(&secret)).form(&[
        GRANT[0],
        GRANT[1],
        ("client_id", &app.id),
        ("client_secret", &secret),
    ]);
    Answer::of(twice).await.is_error(400, "invalid_request");
    let mixed = node.request("POST", "/token").basic_auth(&app.id, Some(&secret));
    let mixed = Answer::of(mixed.form(&[GRANT[0], GRANT[1], ("client_id", &other.id)])).await;
    assert!([400, 401].contains(&mixed.status), "{}", mixed.text);
}

#[tokio::test]
async fn only_clients_that_registered_for_it_get_machine_tokens() {
    let node = Node::start().await;
    let web =
        node.add_client(json!({"client_name": "Web", "redirect_uris": ["https://app.example/cb"]})).await;
    with_basic(&node, &web.id, web.secret.as_deref().unwrap()).await.is_error(400, "unauthorized_client");
    let public = node.register("https://app.example/cb").await;
    let mut form = GRANT.to_vec();
    form.push(("client_id", &public.id));
    node.token(&form).await.is_error(400, "unauthorized_client");
}

#[tokio::test]
async fn who_registered_itself_reaches_nothing_alone() {
    let node = Node::start().await;
    let body = json!({"grant_types": ["client_credentials"], "client_name": "Stranger"});
    let answer = node.post_json("/register", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let app = App::from_registration(answer.body);
    with_basic(&node, &app.id, app.secret.as_deref().unwrap()).await.is_error(400, "unauthorized_client");
}

#[tokio::test]
async fn a_machine_that_a_resource_names_stays_registered_while_its_grant_stands() {
    let node = Node::start().await;
    let body = json!({"grant_types": ["client_credentials"], "client_name": "Named"});
    let app = App::from_registration(node.post_json("/register", &body).await.body);
    let vault = "https://vault.example/mcp";
    node.add_resource(vault, |new| {
        new.client_rule =
            postern::types::resource::ClientRule::Only { clients: vec![app.id.clone()], domains: Vec::new() };
    })
    .await;
    let ask = async || {
        let form = [("grant_type", "client_credentials"), ("resource", vault)];
        let request = node.request("POST", "/token").basic_auth(&app.id, app.secret.as_ref()).form(&form);
        Answer::of(request).await
    };
    assert_eq!(ask().await.status, 200);
    node.advance(2 * 86_400).await;
    postern::flow::sweep::sweep(&node.core).await.unwrap();
    assert_eq!(ask().await.status, 200, "a registration with a live grant is never swept");
}

#[tokio::test]
async fn the_first_requests_of_a_machine_may_come_at_once() {
    let node = Node::start().await;
    let app = machine(&node, "client_secret_basic").await;
    let secret = app.secret.clone().unwrap();
    let answers = futures_util::future::join_all((0..16).map(|_| with_basic(&node, &app.id, &secret))).await;
    let mut grants = std::collections::HashSet::new();
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
        grants.insert(claims_of(&answer.text_of("access_token"))["grant_id"].to_string());
    }
    assert_eq!(grants.len(), 1, "one standing approval");
}

#[tokio::test]
async fn a_machine_names_one_resource_and_scopes_within_it() {
    let node = Node::start().await;
    let metadata = json!({
        "client_name": "Limited",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": "notes:read",
    });
    let app = node.add_client(metadata).await;
    let secret = app.secret.clone().unwrap();
    let ask = async |more: &[(&str, &str)]| {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(more);
        Answer::of(node.request("POST", "/token").basic_auth(&app.id, Some(&secret)).form(&form)).await
    };
    ask(&[]).await.is_error(400, "invalid_target");
    ask(&[("resource", "https://unknown.example/")]).await.is_error(400, "invalid_target");
    ask(&[("resource", NOTES), ("resource", "https://unknown.example/")])
        .await
        .is_error(400, "invalid_target");
    ask(&[("resource", NOTES), ("scope", "notes:write")]).await.is_error(400, "invalid_scope");
    let both = ask(&[("resource", NOTES), ("scope", "notes:read notes:write")]).await;
    assert_eq!(both.body["scope"], "notes:read", "what the administrator allowed");
}

/// A key pair: its public key for the registration, and a signer.
pub fn key(alg: &str) -> (Value, Box<dyn JwsSigner>) {
    let mut jwk = match alg {
        "ES256" => Jwk::generate_ec_key(EcCurve::P256).unwrap(),
        "EdDSA" => Jwk::generate_ed_key(EdCurve::Ed25519).unwrap(),
        _ => Jwk::generate_rsa_key(2048).unwrap(),
    };
    jwk.set_key_id("k1");
    let signer: Box<dyn JwsSigner> = match alg {
        "ES256" => Box::new(ES256.signer_from_jwk(&jwk).unwrap()),
        "EdDSA" => Box::new(EdDSA.signer_from_jwk(&jwk).unwrap()),
        "RS256" => Box::new(RS256.signer_from_jwk(&jwk).unwrap()),
        _ => Box::new(PS256.signer_from_jwk(&jwk).unwrap()),
    };
    let public = serde_json::to_value(jwk.to_public_key().unwrap().as_ref()).unwrap();
    (public, signer)
}

async fn keyed(node: &Node, public: &Value) -> App {
    let metadata = json!({
        "client_name": "Keyed",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [public]},
    });
    node.add_client(metadata).await
}

fn claims(node: &Node, app: &App, jti: &str) -> Value {
    json!({
        "iss": app.id, "sub": app.id, "aud": node.issuer(), "exp": NOW + 60, "iat": NOW, "jti": jti,
    })
}

pub fn signed(claims: &Value, signer: &dyn JwsSigner) -> String {
    let mut header = JwsHeader::new();
    header.set_token_type("JWT");
    header.set_key_id("k1");
    josekit::jws::serialize_compact(claims.to_string().as_bytes(), &header, signer).unwrap()
}

async fn assert_with(node: &Node, jwt: &str) -> Answer {
    let mut form = GRANT.to_vec();
    form.extend([("client_assertion_type", BEARER), ("client_assertion", jwt)]);
    node.token(&form).await
}

#[tokio::test]
async fn keys_of_every_kind_prove_a_client() {
    let node = Node::start().await;
    for alg in ["ES256", "RS256", "PS256", "EdDSA"] {
        let (public, signer) = key(alg);
        let app = keyed(&node, &public).await;
        assert!(app.secret.is_none(), "no secret for a key");
        let to_issuer = claims(&node, &app, "one");
        let answer = assert_with(&node, &signed(&to_issuer, signer.as_ref())).await;
        assert_eq!(answer.status, 200, "{alg}: {}", answer.text);
        assert_eq!(claims_of(&answer.text_of("access_token"))["sub"], app.id);
        let mut to_endpoint = claims(&node, &app, "two");
        to_endpoint["aud"] = json!(format!("{}/token", node.issuer()));
        assert_eq!(assert_with(&node, &signed(&to_endpoint, signer.as_ref())).await.status, 200, "{alg}");
    }
}

#[tokio::test]
async fn an_assertion_counts_once_on_every_node_and_after_a_restart() {
    let node = Node::start().await;
    let (public, signer) = key("ES256");
    let app = keyed(&node, &public).await;
    let jwt = signed(&claims(&node, &app, "once"), signer.as_ref());
    assert_eq!(assert_with(&node, &jwt).await.status, 200);
    assert_with(&node, &jwt).await.is_error(401, "invalid_client");
    let other = node.second();
    assert_with(&other, &jwt).await.is_error(401, "invalid_client");
    let mut longer = claims(&node, &app, "once");
    longer["exp"] = json!(NOW + 3_000);
    assert_with(&other, &signed(&longer, signer.as_ref())).await.is_error(401, "invalid_client");
    let jwt = signed(&claims(&node, &app, "race"), signer.as_ref());
    let answers = futures_util::future::join_all((0..16).map(|n| {
        let at = if n % 2 == 0 { &node } else { &other };
        assert_with(at, &jwt)
    }))
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
}

#[tokio::test]
async fn assertions_that_prove_nothing() {
    let node = Node::start().await;
    let (public, signer) = key("ES256");
    let app = keyed(&node, &public).await;
    let good = claims(&node, &app, "x");
    for (what, change) in [
        ("expired", json!({"exp": NOW - 31})),
        ("no end", json!({"exp": null})),
        ("too long", json!({"exp": NOW + 7_200})),
        ("an absurd end", json!({"exp": 1e30})),
        ("an end that overflows", json!({"exp": u64::MAX})),
        ("a text for an end", json!({"exp": "soon"})),
        ("from the future", json!({"iat": NOW + 3_600})),
        ("not yet", json!({"nbf": NOW + 3_600})),
        ("another's", json!({"iss": "somebody"})),
        ("about another", json!({"sub": "somebody"})),
        ("for another", json!({"aud": "https://elsewhere.example"})),
        ("for another, too", json!({"aud": [node.issuer(), "https://elsewhere.example"]})),
        ("for nobody", json!({"aud": null})),
        ("for a longer issuer", json!({"aud": format!("{}/", node.issuer())})),
        ("no jti", json!({"jti": null})),
        ("an empty jti", json!({"jti": ""})),
    ] {
        let mut bad = good.clone();
        for (name, value) in change.as_object().unwrap() {
            if value.is_null() {
                bad.as_object_mut().unwrap().remove(name);
            } else {
                bad[name] = value.clone();
            }
        }
        let answer = assert_with(&node, &signed(&bad, signer.as_ref())).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        answer.is_error(401, "invalid_client");
    }
    let (_, stranger) = key("ES256");
    assert_with(&node, &signed(&good, stranger.as_ref())).await.is_error(401, "invalid_client");
    let jwt = signed(&good, signer.as_ref());
    let (head, signature) = jwt.rsplit_once('.').unwrap();
    assert_with(&node, &format!("{head}.")).await.is_error(401, "invalid_client");
    assert_with(&node, &format!("{head}.{}", &signature[..20])).await.is_error(401, "invalid_client");
    for garbage in ["not.a.jwt", "x", "e30.e30.x"] {
        let answer = assert_with(&node, garbage).await;
        answer.is_error(401, "invalid_client");
        let said = answer.text_of("error_description");
        assert!(said.contains("assertion") && !said.contains("registered"), "{said}");
    }
    let mut form = GRANT.to_vec();
    form.extend([("client_assertion_type", "other"), ("client_assertion", &jwt)]);
    node.token(&form).await.is_error(400, "invalid_request");
    assert_eq!(assert_with(&node, &jwt).await.status, 200, "none of it spent the jti");
}

#[tokio::test]
async fn the_header_does_not_choose_how_a_signature_is_checked() {
    let node = Node::start().await;
    let (public, signer) = key("RS256");
    let app = keyed(&node, &public).await;
    let payload = URL_SAFE_NO_PAD.encode(claims(&node, &app, "x").to_string());
    for alg in ["none", "None", "NONE", ""] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT"}).to_string());
        assert_with(&node, &format!("{header}.{payload}.")).await.is_error(401, "invalid_client");
    }
    for secret in [public.to_string(), public["n"].as_str().unwrap().to_owned()] {
        let hmac = HS256.signer_from_bytes(secret.as_bytes()).unwrap();
        let jwt = signed(&claims(&node, &app, "x"), &hmac);
        assert_with(&node, &jwt).await.is_error(401, "invalid_client");
    }
    // A key of the attacker's in the header itself.
    let (evil, thief) = key("RS256");
    let mut header = JwsHeader::new();
    header.set_claim("jwk", Some(evil)).unwrap();
    let jwt = josekit::jws::serialize_compact(
        claims(&node, &app, "x").to_string().as_bytes(),
        &header,
        thief.as_ref(),
    );
    assert_with(&node, &jwt.unwrap()).await.is_error(401, "invalid_client");
    assert_eq!(assert_with(&node, &signed(&claims(&node, &app, "x"), signer.as_ref())).await.status, 200);
}

#[tokio::test]
async fn a_client_with_a_key_cannot_do_without_it() {
    let node = Node::start().await;
    let (public, signer) = key("ES256");
    let metadata = json!({
        "client_name": "Keyed",
        "redirect_uris": ["https://app.example/cb"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [public]},
    });
    let app = node.add_client(metadata).await;
    let code = app.code(&Browser::new(&node)).await;
    app.redeem(&node, &code).await.is_error(401, "invalid_client");
    let with = async |jti: &str, form: &[(&str, &str)]| {
        let jwt = signed(&claims(&node, &app, jti), signer.as_ref());
        let mut form = form.to_vec();
        form.extend([("client_assertion_type", BEARER), ("client_assertion", &jwt)]);
        node.token(&form).await
    };
    let redemption = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("code_verifier", crate::harness::VERIFIER),
    ];
    let answer = with("a", &redemption).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let refresh = answer.text_of("refresh_token");
    app.refresh(&node, &refresh).await.is_error(401, "invalid_client");
    assert_eq!(with("b", &[("grant_type", "refresh_token"), ("refresh_token", &refresh)]).await.status, 200);
}

/// A machine that asks again is kept in memory; whatever has changed meanwhile, on whichever node, holds at once.
#[tokio::test]
async fn what_changes_about_a_machine_that_is_kept_holds_at_once() {
    let node = Node::start().await;
    let other = node.second();
    let (mut apps, mut grants) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let app = machine(&node, "client_secret_basic").await;
        let first = with_basic(&node, &app.id, app.secret.as_deref().unwrap()).await;
        grants.push(claims_of(&first.text_of("access_token"))["grant_id"].as_str().unwrap().to_owned());
        apps.push(app);
    }
    node.advance(10).await;
    for app in &apps {
        assert_eq!(with_basic(&node, &app.id, app.secret.as_deref().unwrap()).await.status, 200);
    }
    assert_eq!(node.core.machines.iter().count(), 5, "they are kept");
    let failures = node.audited(AuditKind::ClientAuthenticationFailed).await;
    for app in &apps {
        let again = with_basic(&node, &app.id, app.secret.as_deref().unwrap()).await;
        assert_eq!(again.status, 200, "{}", again.text);
        with_basic(&node, &app.id, "pst_cs_wrong").await.is_error(401, "invalid_client");
    }
    assert_eq!(node.audited(AuditKind::ClientAuthenticationFailed).await, failures + 5, "each is on record");

    let [rotated, off, removed, ended, narrowed] = apps.try_into().unwrap();
    let secret = |app: &App| app.secret.clone().unwrap();
    // Another secret in its place.
    let digest = node.database.literal(&TokenDigest::of("pst_cs_another").bytes()[..]);
    node.database.tamper(&format!(
        "UPDATE client SET secret_digest = {digest}, updated_at = updated_at + 1 WHERE id = '{}'",
        rotated.id
    ));
    with_basic(&node, &rotated.id, &secret(&rotated)).await.is_error(401, "invalid_client");
    assert_eq!(with_basic(&node, &rotated.id, "pst_cs_another").await.status, 200);
    with_basic(&node, &rotated.id, &secret(&rotated)).await.is_error(401, "invalid_client");
    // Switched off, and removed, by another node.
    let caller = Caller::command_line();
    client_admin::disable(&other.core, &caller, &off.id).await.unwrap();
    with_basic(&node, &off.id, &secret(&off)).await.is_error(401, "invalid_client");
    client_admin::enable(&other.core, &caller, &off.id).await.unwrap();
    assert_eq!(with_basic(&node, &off.id, &secret(&off)).await.status, 200);
    client_admin::remove(&other.core, &caller, &removed.id).await.unwrap();
    with_basic(&node, &removed.id, &secret(&removed)).await.is_error(401, "invalid_client");
    // An approval that has ended is not gone on with.
    let filter = GrantFilter { id: GrantId::parse(&grants[3]), ..GrantFilter::default() };
    access::revoke(&other.core, &caller, filter, "a test").await.unwrap();
    let anew = with_basic(&node, &ended.id, &secret(&ended)).await;
    assert_ne!(claims_of(&anew.text_of("access_token"))["grant_id"].as_str(), Some(&*grants[3]));
    // Nor is one that says less gone on with as it was.
    node.database.tamper(&format!("UPDATE access_grant SET scopes = '' WHERE id = '{}'", grants[4]));
    let wider = with_basic(&node, &narrowed.id, &secret(&narrowed)).await;
    assert_eq!(claims_of(&wider.text_of("access_token"))["scope"], "notes:read");
    let filter = GrantFilter { id: GrantId::parse(&grants[4]), ..GrantFilter::default() };
    let now = access::list(&node.core, filter).await.unwrap().remove(0).grant;
    assert_eq!(now.scopes.to_string(), "notes:read", "the approval says what the token says");
}
