//! Clients that are known by the URL of their metadata document.

use postern::storage::clients::{DocumentVersion, documents};
use postern::types::audit::AuditKind;
use postern::types::client::ClientId;
use serde_json::{Value, json};

use crate::clients::{BEARER, NOW, key, signed};
use crate::harness::{App, Browser, Host, Node, Served, VERIFIER, claims_of};

const WEB: &str = "https://app.example/cb";
const PATH: &str = "/client.json";

struct World {
    node: Node,
    host: Host,
    app: App,
    browser: Browser,
}

impl World {
    fn document(&self, extra: &Value) -> Value {
        let mut document = json!({
            "client_id": self.app.id,
            "client_name": "Desk",
            "redirect_uris": [WEB],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        for (name, value) in extra.as_object().unwrap() {
            document[name] = value.clone();
        }
        document
    }

    fn publish(&self, extra: &Value) {
        self.host.put(PATH, Served::json(&self.document(extra)));
    }

    async fn versions(&self) -> Vec<DocumentVersion> {
        let id = ClientId::parse(&self.app.id).unwrap();
        self.node.core.store.read(move |tx| documents(tx, &id, 10)).await.unwrap()
    }

    async fn refused(&self, what: &str) {
        let page = self.browser.get(&self.app.ask().path()).await;
        assert_eq!(page.status, 400, "{what}: {}", page.text);
        assert!(page.location().is_none(), "{what}");
        let id = ClientId::parse(&self.app.id).unwrap();
        let kept =
            self.node.core.store.read(move |tx| postern::storage::clients::find(tx, &id)).await.unwrap();
        assert!(kept.is_none(), "{what}: nothing is kept");
    }
}

async fn world() -> World {
    let node = Node::with(|policy| policy.allow_private_networks = true).await;
    let host = Host::start();
    let app = App::documented(&host.url(PATH), WEB);
    let browser = Browser::signed_in(&node).await;
    let world = World { node, host, app, browser };
    world.publish(&json!({}));
    world
}

#[tokio::test]
async fn an_app_needs_no_registration_but_its_document() {
    let world = world().await;
    let page = world.browser.get(&world.app.ask().path()).await;
    let words = page.words();
    assert!(words.contains("Desk") && words.contains("Identity confirmed by 127.0.0.1"), "{words}");
    let answer = world.app.tokens(&world.node, &world.browser).await;
    assert_eq!(claims_of(&answer.text_of("access_token"))["client_id"], world.app.id);
    assert_eq!(world.app.refresh(&world.node, &answer.text_of("refresh_token")).await.status, 200);
    assert_eq!(world.host.hits(PATH), 1, "one fetch serves them all");
}

#[tokio::test]
async fn a_document_with_more_than_we_have_is_no_reason_to_refuse() {
    let world = world().await;
    world.publish(&json!({
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
        "response_types": ["code"],
        "scope": "claudeai",
        "unheard_of": {"a": [1]},
        "logo_uri": "https://127.0.0.1/logo.png",
        "tos_uri": null,
    }));
    assert_eq!(world.app.tokens(&world.node, &world.browser).await.status, 200);
}

#[tokio::test]
async fn documents_that_are_refused() {
    let world = world().await;
    let target = world.host.url("/elsewhere");
    world.host.put("/elsewhere", Served::json(&world.document(&json!({}))));
    let large = world.document(&json!({"padding": "x".repeat(70_000)}));
    for (what, served) in [
        (
            "another client_id",
            Served::json(&world.document(&json!({"client_id": format!("{}x", world.app.id)}))),
        ),
        (
            "the client_id in another case",
            Served::json(&world.document(&json!({"client_id": world.app.id.to_uppercase()}))),
        ),
        ("no client_id", Served::json(&world.document(&json!({"client_id": null})))),
        ("no name", Served::json(&world.document(&json!({"client_name": null})))),
        ("no addresses", Served::json(&world.document(&json!({"redirect_uris": []})))),
        ("a secret", Served::json(&world.document(&json!({"client_secret": "x"})))),
        (
            "a symmetric method",
            Served::json(&world.document(&json!({"token_endpoint_auth_method": "client_secret_basic"}))),
        ),
        ("a redirect", Served::status(302).header("location", &target)),
        ("a permanent redirect", Served::status(301).header("location", &target)),
        ("not found", Served::status(404)),
        ("an error", Served::status(500)),
        ("no content", Served::status(204)),
        ("too large", Served::json(&large)),
        ("a page", Served::json(&world.document(&json!({}))).header("content-type", "text/html")),
        ("no type", Served { headers: Vec::new(), ..Served::json(&world.document(&json!({}))) }),
        ("an array", Served::json(&json!([]))),
    ] {
        world.host.put(PATH, served);
        world.refused(what).await;
    }
    assert_eq!(world.host.hits("/elsewhere"), 0, "no redirect is followed");
    let form = [("grant_type", "authorization_code"), ("code", "x"), ("client_id", &*world.app.id)];
    world.node.token(&form).await.is_error(401, "invalid_client");
    world.publish(&json!({}));
    assert!(world.browser.get(&world.app.ask().path()).await.has_form("/consent"), "no error is kept");
}

#[tokio::test]
async fn a_document_of_sixty_kilobytes_is_read() {
    let world = world().await;
    world.publish(&json!({"padding": "x".repeat(60_000)}));
    assert!(world.browser.get(&world.app.ask().path()).await.has_form("/consent"));
}

#[tokio::test]
async fn addresses_that_are_no_documents_are_not_fetched() {
    let world = world().await;
    for id in [
        world.host.url(""),
        world.host.url("/"),
        world.host.url("/client.json#f"),
        world.host.url("/a/../client.json"),
        world.host.url("/%2e%2e/client.json"),
        world.host.url("/client.json").replace("://", "://user@"),
        world.host.url("/client.json").to_uppercase(),
    ] {
        let page = world.browser.get(&world.app.ask().set("client_id", &id).path()).await;
        assert_eq!(page.status, 400, "{id}");
    }
    assert_eq!(world.host.connections(), 0);
}

#[tokio::test]
async fn private_addresses_are_out_of_reach_by_default() {
    let node = Node::start().await;
    let host = Host::start();
    let browser = Browser::signed_in(&node).await;
    let port = host.origin.rsplit(':').next().unwrap();
    for id in [
        host.url(PATH),
        format!("https://127.0.0.1:{port}{PATH}"),
        format!("https://localhost:{port}{PATH}"),
        format!("https://[::1]:{port}{PATH}"),
        format!("https://[::ffff:127.0.0.1]:{port}{PATH}"),
        format!("https://2130706433:{port}{PATH}"),
        format!("https://0x7f.1:{port}{PATH}"),
        format!("https://169.254.169.254{PATH}"),
        format!("https://10.0.0.1{PATH}"),
    ] {
        let app = App::documented(&id, WEB);
        let page = browser.get(&app.ask().path()).await;
        assert_eq!(page.status, 400, "{id}");
    }
    assert_eq!(host.connections(), 0, "nothing left the machine");
}

#[tokio::test]
async fn when_documents_are_off_no_address_is_a_client() {
    let node = Node::with(|policy| {
        policy.allow_private_networks = true;
        policy.client_id_metadata_documents = false;
    })
    .await;
    let host = Host::start();
    let app = App::documented(&host.url(PATH), WEB);
    assert_eq!(Browser::new(&node).get(&app.ask().path()).await.status, 400);
    assert_eq!(host.connections(), 0);
}

#[tokio::test]
async fn a_copy_serves_as_long_as_its_server_says() {
    let world = world().await;
    let open = async || {
        let page = world.browser.get(&world.app.ask().path()).await;
        assert!(page.has_form("/consent"), "{}", page.text);
    };
    let cached = |control: &str| {
        let served = Served::json(&world.document(&json!({}))).header("cache-control", control);
        world.host.put(PATH, served.header("etag", "\"v1\""));
    };
    cached("max-age=1000");
    open().await;
    world.node.advance(999).await;
    open().await;
    assert_eq!(world.host.hits(PATH), 1);
    world.node.advance(1).await;
    cached("no-store");
    open().await;
    assert_eq!(world.host.hits(PATH), 2);
    open().await;
    assert_eq!(
        world.host.hits(PATH),
        2,
        "no-store is a minute, or everybody's every request would be a fetch"
    );
    world.node.advance(61).await;
    cached("max-age=99999999");
    open().await;
    world.node.advance(86_401).await;
    let again = Browser::signed_in(&world.node).await;
    assert!(again.get(&world.app.ask().path()).await.has_form("/consent"));
    assert_eq!(world.host.hits(PATH), 4, "a day is the longest");
    assert_eq!(world.versions().await.len(), 1, "the same document is no new version");
}

#[tokio::test]
async fn while_its_host_is_down_the_last_good_copy_serves() {
    let world = world().await;
    let tokens = world.app.tokens(&world.node, &world.browser).await;
    for broken in [Served::status(500), Served::status(404), Served::json(&json!({"client_id": "other"}))] {
        world.host.put(PATH, broken);
        world.node.advance(3_600).await;
        let silent = world.browser.get(&world.app.ask().path()).await;
        assert!(silent.callback().contains_key("code"), "{}", silent.text);
    }
    assert_eq!(world.app.refresh(&world.node, &tokens.text_of("refresh_token")).await.status, 200);
    assert_eq!(world.versions().await.len(), 1);
}

#[tokio::test]
async fn every_version_is_kept_with_what_changed() {
    let world = world().await;
    world.browser.approve(&world.app.ask()).await;
    world.node.advance(601).await;
    world.publish(&json!({"client_name": "Desk Two"}));
    let renamed = world.browser.get(&world.app.ask().path()).await;
    assert!(renamed.callback().contains_key("code"), "a new name is not asked about again");
    world.node.advance(601).await;
    world.publish(&json!({"client_name": "Desk Two", "redirect_uris": [WEB, "https://evil.example/cb"]}));
    let page = world.browser.get(&world.app.ask().path()).await;
    assert!(page.has_form("/consent"), "new addresses are");
    assert!(page.words().contains("This app has changed"), "{}", page.words());
    let mut versions = world.versions().await;
    versions.sort_by_key(|version| version.version);
    assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [1, 2, 3]);
    let difference: Value = serde_json::from_str(&versions[1].difference).unwrap();
    assert_eq!(difference, json!([{"member": "client_name", "before": "Desk", "after": "Desk Two"}]));
    assert!(versions[2].difference.contains("https://evil.example/cb"));
    assert!(versions[2].body.contains("https://evil.example/cb"));
    assert_eq!(world.node.audited(AuditKind::ClientDocumentChanged).await, 3);
    assert!(
        world.browser.submit(&page.form("/consent").decide("allow")).await.callback().contains_key("code")
    );
}

#[tokio::test]
async fn an_address_that_left_the_document_gets_nothing() {
    let world = world().await;
    world.browser.approve(&world.app.ask()).await;
    world.node.advance(601).await;
    world.publish(&json!({"redirect_uris": ["https://app.example/new"]}));
    assert_eq!(world.browser.get(&world.app.ask().path()).await.status, 400);
}

#[tokio::test]
async fn an_app_with_keys_at_an_address_proves_itself_by_them() {
    let world = world().await;
    let (public, signer) = key("RS256");
    world.publish(&json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "RS256",
        "jwks_uri": world.host.url("/jwks.json"),
    }));
    world.host.put("/jwks.json", Served::json(&json!({"keys": [public]})));
    let code = world.app.code(&world.browser).await;
    world.app.redeem(&world.node, &code).await.is_error(401, "invalid_client");
    let assertion = |jti: &str, exp: i64| {
        json!({
            "iss": world.app.id, "sub": world.app.id, "aud": world.node.issuer(),
            "exp": exp, "iat": exp - 60, "jti": jti,
        })
    };
    let send = async |jwt: &str, form: &[(&str, &str)]| {
        let mut form = form.to_vec();
        form.extend([("client_assertion_type", BEARER), ("client_assertion", jwt)]);
        world.node.token(&form).await
    };
    let redemption =
        [("grant_type", "authorization_code"), ("code", code.as_str()), ("code_verifier", VERIFIER)];
    // While the keys cannot be had this is our trouble and not the client's.
    world.host.put("/jwks.json", Served::status(503));
    let down = send(&signed(&assertion("a", NOW + 60), signer.as_ref()), &redemption).await;
    assert_eq!(
        (down.status, down.body["error"].as_str()),
        (503, Some("temporarily_unavailable")),
        "{}",
        down.text
    );
    world.host.put("/jwks.json", Served::json(&json!({"keys": [public]})));
    let answer = send(&signed(&assertion("b", NOW + 60), signer.as_ref()), &redemption).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let refresh = answer.text_of("refresh_token");
    // The client rotates its key: the new one is found without waiting for the copy to grow old.
    let mut other = josekit::jwk::Jwk::generate_rsa_key(2048).unwrap();
    other.set_key_id("k2");
    let second = serde_json::to_value(other.to_public_key().unwrap().as_ref()).unwrap();
    world.host.put("/jwks.json", Served::json(&json!({"keys": [second]})));
    world.node.advance(20).await;
    let mut header = josekit::jws::JwsHeader::new();
    header.set_key_id("k2");
    let new = josekit::jws::RS256.signer_from_jwk(&other).unwrap();
    let jwt = josekit::jws::serialize_compact(assertion("c", NOW + 80).to_string().as_bytes(), &header, &new)
        .unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let rotated = send(&jwt, &form).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let stale = signed(&assertion("d", NOW + 80), signer.as_ref());
    send(&stale, &form).await.is_error(401, "invalid_client");
}
