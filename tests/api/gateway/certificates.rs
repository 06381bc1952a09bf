//! Client certificates at the gateway: its own at a server behind it, and those of callers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern::flow::client_certificate;
use postern::flow::resources::{self, GatewayChange, ResourceChange};
use postern::flow::upstream_tls::{self, NewTls};

use super::*;
use crate::harness::{Made, OVER, TlsFront};

/// A server behind TLS, an authority of its own, and one that it lets clients in by.
struct Guarded {
    world: World,
    front: TlsFront,
    servers: Made,
    clients: Made,
    uri: String,
    token: String,
}

async fn guarded(names: &[&str]) -> Guarded {
    let world = world().await;
    let (servers, clients) = (Made::authority("Servers"), Made::authority("Clients"));
    let front = TlsFront::start(&world.mcp.url, &servers.server(names), Some(&clients));
    behind(&world.node, "safe", &front.url).await;
    let uri = format!("{}/mcp/safe", world.node.issuer());
    let browser = Browser::signed_in(&world.node).await;
    let code = browser.approve(&world.ask("notes:read").set("resource", &uri)).await;
    let token = world.app.redeem(&world.node, &code).await.text_of("access_token");
    Guarded { world, front, servers, clients, uri, token }
}

fn identity(of: &Made) -> (String, Secret<String>) {
    (of.pem(), Secret::new(of.key_pem()))
}

impl Guarded {
    async fn keep(
        &self,
        identity: Option<(String, Secret<String>)>,
        ca: Option<&Made>,
    ) -> Result<(), OrderError> {
        let new = NewTls { identity, ca: ca.map(Made::pem) };
        upstream_tls::set(&self.world.node.core, &Caller::command_line(), &self.uri, new).await.map(drop)
    }

    async fn send(&self, body: &Value) -> Answer {
        Answer::of(self.world.node.request("POST", "/mcp/safe").bearer_auth(&self.token).json(body)).await
    }

    async fn list(&self) -> Answer {
        self.send(&message("tools/list", json!({}))).await
    }
}

#[actix_web::test]
async fn a_server_that_wants_a_certificate_is_shown_one() {
    let it = guarded(&["127.0.0.1"]).await;
    // Nobody whom everybody trusts has signed it.
    let answer = it.list().await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    assert!(answer.text.contains("not trusted"), "{}", answer.text);
    it.keep(None, Some(&it.servers)).await.unwrap();
    let answer = it.list().await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    assert!(answer.text.contains("client certificate"), "{}", answer.text);
    assert!(it.front.shown().is_empty(), "nothing went through");
    let first = it.clients.client("gateway one");
    it.keep(Some(identity(&first)), Some(&it.servers)).await.unwrap();
    assert_eq!(it.list().await.status, 200);
    assert_eq!(it.front.shown(), [first.sha256()]);
    // A header goes with it.
    let key = NewCredential::Header("X-Api-Key".to_owned(), Secret::new(SECRET.to_owned()));
    vault::set(&it.world.node.core, &Caller::command_line(), &it.uri, key).await.unwrap();
    assert_eq!(it.send(&call("look")).await.status, 200);
    assert_eq!(it.world.mcp.calls().last().unwrap().header("x-api-key"), Some(SECRET));
    // Another one counts as soon as the node has heard of it, whoever has set it; and so does none.
    let second = it.clients.client("gateway two");
    let elsewhere = it.world.node.second();
    let new = NewTls { identity: Some(identity(&second)), ca: Some(it.servers.pem()) };
    upstream_tls::set(&elsewhere.core, &Caller::command_line(), &it.uri, new).await.unwrap();
    it.world.node.catch_up().await;
    assert_eq!(it.list().await.status, 200);
    assert_eq!(it.front.shown().last(), Some(&second.sha256()));
    let caller = Caller::command_line();
    assert!(upstream_tls::clear(&it.world.node.core, &caller, &it.uri).await.unwrap());
    assert!(!upstream_tls::clear(&it.world.node.core, &caller, &it.uri).await.unwrap());
    assert_eq!(it.list().await.status, 502);
    let set = it.world.records(AuditKind::UpstreamTlsSet).await;
    assert_eq!(set.len(), 3);
    assert!(set.iter().any(|event| event.detail["client"]["sha256"] == first.sha256()));
    assert_eq!(it.world.records(AuditKind::UpstreamTlsCleared).await.len(), 1);
}

#[actix_web::test]
async fn what_goes_wrong_in_tls_is_on_record() {
    let it = guarded(&["127.0.0.1"]).await;
    let good = it.clients.client("gateway");
    it.keep(Some(identity(&good)), Some(&it.servers)).await.unwrap();
    assert_eq!(it.list().await.status, 200);
    // From another authority.
    it.keep(Some(identity(&it.servers.client("stranger"))), Some(&it.servers)).await.unwrap();
    let answer = it.send(&call("look")).await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    assert_eq!(it.world.ended(1).await[0].detail["outcome"], "certificate_refused");
    it.keep(Some(identity(&good)), Some(&it.clients)).await.unwrap();
    assert_eq!(it.send(&call("look")).await.status, 502);
    assert!(it.world.ended(2).await.iter().any(|event| event.detail["outcome"] == "server_untrusted"));
    // Its time ends while it is in use.
    let soon = it.clients.client_within("soon", (OVER.0, it.world.node.core.now().seconds() + 5));
    it.keep(Some(identity(&soon)), Some(&it.servers)).await.unwrap();
    it.world.node.advance(6).await;
    let answer = it.send(&call("look")).await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    assert!(answer.text.contains("not valid now"), "{}", answer.text);
    let refused = it.world.records(AuditKind::CallRefused).await;
    assert_eq!(refused[0].detail["rule"], "upstream_certificate_expired");
    assert_eq!(it.world.mcp.calls().len(), 0);
}

#[actix_web::test]
async fn only_the_pinned_authority_is_trusted_and_only_for_the_right_name() {
    let it = guarded(&["other.example", "127.0.0.2"]).await;
    let own = it.clients.client("gateway");
    it.keep(Some(identity(&own)), Some(&it.servers)).await.unwrap();
    assert_eq!(it.list().await.status, 502, "for another name");
    // The right name, signed by somebody who calls themselves the same.
    let impostor = Made::authority("Servers");
    let front = TlsFront::start(&it.world.mcp.url, &impostor.server(&["127.0.0.1"]), None);
    behind(&it.world.node, "false", &front.url).await;
    let uri = format!("{}/mcp/false", it.world.node.issuer());
    let new = NewTls { identity: None, ca: Some(it.servers.pem()) };
    upstream_tls::set(&it.world.node.core, &Caller::command_line(), &uri, new).await.unwrap();
    let browser = Browser::signed_in(&it.world.node).await;
    let code = browser.approve(&it.world.ask("notes:read").set("resource", &uri)).await;
    let token = it.world.app.redeem(&it.world.node, &code).await.text_of("access_token");
    let ping =
        it.world.node.request("POST", "/mcp/false").bearer_auth(&token).json(&message("ping", json!({})));
    assert_eq!(Answer::of(ping).await.status, 502);
    assert!(front.shown().is_empty() && it.front.shown().is_empty(), "no request went out");
    assert_eq!(it.world.mcp.seen().len(), 0);
}

#[actix_web::test]
async fn what_cannot_work_is_refused_before_it_is_kept() {
    let it = guarded(&["127.0.0.1"]).await;
    let (one, two) = (it.clients.client("one"), it.clients.client("two"));
    let pair = |cert: &str, key: &str| Some((cert.to_owned(), Secret::new(key.to_owned())));
    let over = it.clients.client_within("over", OVER);
    for (identity, says) in [
        (pair(&one.pem(), &two.key_pem()), "belong together"),
        (pair(&one.pem(), "no key"), "no private key"),
        (pair(&one.pem(), &one.pem()), "no private key"),
        (pair("no certificate", &one.key_pem()), "no certificate"),
        (pair(&one.key_pem(), &one.key_pem()), "no certificate"),
        (pair(&over.pem(), &over.key_pem()), "not now"),
        (None, "client certificate"),
    ] {
        let refused = it.keep(identity, None).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
        assert!(!refused.contains("BEGIN"), "{refused}");
    }
    let caller = Caller::command_line();
    let plain = format!("{}/mcp/notes", it.world.node.issuer());
    let new = || NewTls { identity: Some(identity(&one)), ca: None };
    let refused = upstream_tls::set(&it.world.node.core, &caller, &plain, new()).await;
    assert!(refused.is_err_and(|why| why.to_string().contains("not https")));
    let direct = crate::harness::NOTES;
    assert!(upstream_tls::set(&it.world.node.core, &caller, direct, new()).await.is_err());
}

#[actix_web::test]
async fn the_key_is_sealed_and_opens_in_its_own_place_only() {
    let it = guarded(&["127.0.0.1"]).await;
    let own = it.clients.client("gateway");
    it.keep(Some(identity(&own)), Some(&it.servers)).await.unwrap();
    let pem = own.key_pem();
    let database = it.world.node.database();
    assert!(database.holds(&own.sha256()), "the fingerprint is for everybody");
    for line in pem.lines().chain(["PRIVATE KEY"]) {
        assert!(!database.holds(line), "{line}");
    }
    // Whoever can write to the database gives one server's entry to another.
    let front = TlsFront::start(&it.world.mcp.url, &it.servers.server(&["127.0.0.1"]), Some(&it.clients));
    behind(&it.world.node, "other", &front.url).await;
    let uri = format!("{}/mcp/other", it.world.node.issuer());
    let new = NewTls { identity: None, ca: Some(it.servers.pem()) };
    upstream_tls::set(&it.world.node.core, &Caller::command_line(), &uri, new).await.unwrap();
    let taken =
        |column: &str| format!("{column} = (SELECT {column} FROM upstream_tls WHERE about LIKE '%gateway%')");
    it.world.node.database().tamper(&format!(
        "UPDATE upstream_tls SET {}, {}, {} WHERE about NOT LIKE '%gateway%'",
        taken("sealed_key"),
        taken("sealed_value"),
        taken("about")
    ));
    let fresh = it.world.node.second();
    let browser = Browser::signed_in(&it.world.node).await;
    let code = browser.approve(&it.world.ask("notes:read").set("resource", &uri)).await;
    let token = it.world.app.redeem(&it.world.node, &code).await.text_of("access_token");
    let url = format!("{}/mcp/other", fresh.base);
    let answer =
        Answer::of(fresh.request("POST", &url).bearer_auth(&token).json(&message("ping", json!({})))).await;
    assert_eq!(answer.status, 500, "{}", answer.text);
    assert!(front.shown().is_empty());
}

/// As RFC 9440 writes it.
fn header(of: &Made) -> String {
    format!(":{}:", STANDARD.encode(of.der()))
}

impl World {
    /// A server wants these certificates.
    async fn wants(&self, uri: &str, sha256: &[String], ca: Option<&Made>) {
        let core = &self.node.core;
        let rule = client_certificate::rule(sha256, ca.map(Made::pem).as_deref(), core.now()).unwrap();
        let gateway = GatewayChange { client_certificate: Some(rule), ..GatewayChange::default() };
        let change = ResourceChange { gateway, ..ResourceChange::default() };
        resources::set(core, &Caller::command_line(), uri, change).await.unwrap();
    }

    /// A message with these headers for a certificate.
    async fn shows(&self, token: &str, headers: &[&str]) -> Answer {
        let mut request = self.request(token, &call("look"));
        for header in headers {
            request = request.header("client-cert", *header);
        }
        Answer::of(request).await
    }
}

#[track_caller]
fn is_refused(answer: &Answer, rule: &str) {
    assert_eq!((answer.status, answer.body["error"].as_str()), (403, Some(rule)), "{}", answer.text);
}

#[actix_web::test]
async fn a_server_may_want_a_certificate_of_its_callers() {
    let world = world_on(Node::behind_proxy().await).await;
    let (ours, theirs) = (Made::authority("Clients"), Made::authority("Clients"));
    let token = world.token("notes:read").await;
    let good = ours.client("laptop");
    world.wants(&world.uri, &[], Some(&ours)).await;
    let (required, refused) = ("client_certificate_required", "client_certificate_refused");
    for nothing in [&[][..], &[""], &["-"]] {
        is_refused(&world.shows(&token, nothing).await, required);
    }
    let whole = header(&good);
    let (half, twice) = (&whole[..whole.len() / 2], format!("{whole}, {whole}"));
    for headers in [
        &[whole.as_str(), whole.as_str()][..],
        &[whole.as_str(), ""],
        &[twice.as_str()],
        &[half],
        &["garbage"],
        &[":AQIDBA==:"],
        &[header(&theirs.client("laptop")).as_str()],
        &[header(&theirs).as_str()],
        &[header(&ours.client_within("laptop", OVER)).as_str()],
        // Of a server, signed by the same authority.
        &[header(&ours.server(&["127.0.0.1"])).as_str()],
        // And what it signs itself.
        &[header(&good.client("laptop")).as_str()],
    ] {
        is_refused(&world.shows(&token, headers).await, refused);
    }
    for method in ["GET", "DELETE"] {
        is_refused(&Answer::of(world.node.request(method, "/mcp/notes").bearer_auth(&token)).await, required);
    }
    assert_eq!(world.mcp.seen().len(), 0, "nothing of it reached the server");
    // One record a minute.
    assert_eq!(world.records(AuditKind::CallRefused).await.len(), 1);
    world.node.advance(60).await;
    is_refused(&world.shows(&token, &[header(&theirs.client("laptop")).as_str()]).await, refused);
    let records = world.records(AuditKind::CallRefused).await;
    assert_eq!(records.len(), 2);
    let second = records.iter().find(|event| event.detail["rule"] == refused).unwrap();
    assert_eq!(second.detail["certificate"]["subject"], "CN=laptop");
    assert!(records.iter().any(|event| event.detail["rule"] == required));
    // Whoever has no token is told nothing about certificates.
    assert_eq!(world.shows("nonsense", &[]).await.status, 401);
    let pem: String = url::form_urlencoded::byte_serialize(good.pem().as_bytes()).collect();
    let pem = pem.replace('+', "%20");
    for right in [whole.as_str(), whole.trim_matches(':'), pem.as_str()] {
        assert_eq!(world.shows(&token, &[right]).await.status, 200);
    }
    assert!(world.ended(3).await.iter().all(|event| event.detail["certificate"] == good.sha256()));
    assert!(world.mcp.seen().iter().all(|seen| seen.header("client-cert").is_none()), "it stays here");
    // No more once nobody wants it.
    world.wants(&world.uri, &[], None).await;
    assert_eq!(world.shows(&token, &["garbage"]).await.status, 200);
}

#[actix_web::test]
async fn a_certificate_counts_where_it_is_named_and_nowhere_else() {
    let world = world_on(Node::behind_proxy().await).await;
    let ca = Made::authority("Clients");
    let (one, two) = (ca.client("one"), ca.client("two"));
    let over = ca.client_within("over", OVER);
    behind(&world.node, "second", &world.mcp.url).await;
    let second = format!("{}/mcp/second", world.node.issuer());
    world.wants(&world.uri, &[one.sha256().to_uppercase(), over.sha256()], None).await;
    world.wants(&second, &[two.sha256()], None).await;
    let token = world.token("notes:read").await;
    assert_eq!(world.shows(&token, &[&header(&one)]).await.status, 200);
    is_refused(&world.shows(&token, &[&header(&two)]).await, "client_certificate_refused");
    is_refused(&world.shows(&token, &[&header(&over)]).await, "client_certificate_refused");
    let browser = Browser::signed_in(&world.node).await;
    let code = browser.approve(&world.ask("notes:read").set("resource", &second)).await;
    let token = world.app.redeem(&world.node, &code).await.text_of("access_token");
    for (shown, status) in [(&one, 403), (&two, 200)] {
        let request =
            world.node.request("POST", "/mcp/second").bearer_auth(&token).json(&message("ping", json!({})));
        assert_eq!(Answer::of(request.header("client-cert", header(shown))).await.status, status);
    }
    // A rule that cannot be is refused.
    let now = world.node.core.now();
    for (sha256, ca, says) in [
        (vec!["abc".to_owned()], None, "fingerprint"),
        (vec![], Some(one.pem()), "no certificate authority"),
        (vec![], Some("words".to_owned()), "no certificate"),
    ] {
        let refused = client_certificate::rule(&sha256, ca.as_deref(), now).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
}

#[actix_web::test]
async fn nobody_but_a_trusted_proxy_says_which_certificate_was_shown() {
    let world = world().await;
    let ca = Made::authority("Clients");
    let good = ca.client("laptop");
    world.wants(&world.uri, &[good.sha256()], Some(&ca)).await;
    let token = world.token("notes:read").await;
    is_refused(&world.shows(&token, &[&header(&good)]).await, "client_certificate_required");
    assert_eq!(world.mcp.seen().len(), 0);
}
