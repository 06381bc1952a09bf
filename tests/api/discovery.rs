//! `/.well-known/…`, `/jwks.json`, and what browsers of other origins may read.

use serde_json::{Value, json};

use crate::harness::{Answer, NOTES, Node};

#[tokio::test]
async fn both_documents_say_the_same_with_the_issuer_byte_for_byte() {
    let node = Node::start().await;
    let oauth = node.get("/.well-known/oauth-authorization-server").await;
    let openid = node.get("/.well-known/openid-configuration").await;
    for answer in [&oauth, &openid] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.body["issuer"], node.issuer());
        assert!(!answer.text.contains("null"), "{}", answer.text);
    }
    for (name, value) in oauth.body.as_object().unwrap() {
        assert_eq!(&openid.body[name], value, "{name}");
    }
    let url = |path: &str| json!(format!("{}{path}", node.issuer()));
    for (member, value) in [
        ("authorization_endpoint", url("/authorize")),
        ("token_endpoint", url("/token")),
        ("jwks_uri", url("/jwks.json")),
        ("registration_endpoint", url("/register")),
        ("introspection_endpoint", url("/introspect")),
        ("revocation_endpoint", url("/revoke")),
        ("response_types_supported", json!(["code"])),
        ("grant_types_supported", json!(["authorization_code", "refresh_token", "client_credentials"])),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("authorization_response_iss_parameter_supported", json!(true)),
        ("client_id_metadata_document_supported", json!(true)),
        ("resource_indicators_supported", json!(true)),
    ] {
        assert_eq!(oauth.body[member], value, "{member}");
    }
    let methods = &oauth.body["token_endpoint_auth_methods_supported"];
    for method in ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"] {
        assert!(methods.as_array().unwrap().contains(&json!(method)), "{methods}");
    }
}

#[tokio::test]
async fn receivers_of_signals_are_told_what_is_sent_and_no_more() {
    let node = Node::start().await;
    let answer = node.get("/.well-known/ssf-configuration").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let said = json!({
        "spec_version": "1_0",
        "issuer": node.issuer(),
        "jwks_uri": format!("{}/jwks.json", node.issuer()),
        "delivery_methods_supported": ["urn:ietf:rfc:8935"],
        "default_subjects": "ALL",
    });
    assert_eq!(answer.body, said, "no endpoint is named that is not there");
}

#[tokio::test]
async fn what_openid_clients_require_is_there() {
    let node = Node::start().await;
    let document = node.get("/.well-known/openid-configuration").await.body;
    for member in ["jwks_uri", "subject_types_supported", "id_token_signing_alg_values_supported"] {
        assert!(!document[member].is_null(), "{member}");
    }
}

#[tokio::test]
async fn an_issuer_with_a_path_is_found_in_every_form_and_nowhere_else() {
    let node = Node::bare("/t1", |_| {});
    let origin = node.base.strip_suffix("/t1").unwrap().to_owned();
    let mut documents = Vec::new();
    for path in [
        "/.well-known/oauth-authorization-server/t1",
        "/.well-known/openid-configuration/t1",
        "/t1/.well-known/openid-configuration",
        "/t1/.well-known/oauth-authorization-server",
    ] {
        let answer = node.get(&format!("{origin}{path}")).await;
        assert_eq!((answer.status, answer.body["issuer"].as_str()), (200, Some(node.issuer())), "{path}");
        for member in ["authorization_endpoint", "token_endpoint", "jwks_uri", "registration_endpoint"] {
            assert!(answer.text_of(member).starts_with(&node.base), "{path} {member}");
        }
        documents.push(answer.text);
    }
    assert_eq!(documents[0], documents[3]);
    assert_eq!(documents[1], documents[2]);
    node.add_resource(&format!("{}/mcp/notes", node.base), |new| {
        new.slug = Some("notes".to_owned());
        new.upstream = Some("http://127.0.0.1:9/mcp".to_owned());
    })
    .await;
    for (end, resource) in [("/mcp/notes", "/mcp/notes"), ("/admin/api/v1", "/admin/api/v1")] {
        let both = [
            format!("/.well-known/oauth-protected-resource/t1{end}"),
            format!("/t1/.well-known/oauth-protected-resource{end}"),
        ];
        for path in both {
            let answer = node.get(&format!("{origin}{path}")).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            assert_eq!(answer.body["resource"], format!("{}{resource}", node.base), "{path}");
            assert_eq!(answer.body["authorization_servers"], json!([node.issuer()]), "{path}");
        }
    }
    for path in [
        "/.well-known/oauth-protected-resource/mcp/notes",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/t2",
        "/.well-known/oauth-authorization-server/t1/",
        "/jwks.json",
        "/authorize",
        "/register",
    ] {
        assert_eq!(node.get(&format!("{origin}{path}")).await.status, 404, "{path}");
    }
    assert_eq!(node.get("/jwks.json").await.status, 200);
}

#[tokio::test]
async fn every_advertised_endpoint_exists() {
    let node = Node::start().await;
    let document = node.get("/.well-known/openid-configuration").await.body;
    let mut seen = 0;
    for (name, value) in document.as_object().unwrap() {
        if !name.ends_with("_endpoint") && name != "jwks_uri" {
            continue;
        }
        seen += 1;
        let url = value.as_str().unwrap();
        assert!(url.starts_with(node.issuer()), "{name}");
        for method in ["GET", "POST"] {
            let answer = Answer::of(node.request(method, url)).await;
            assert_ne!(answer.status, 404, "{method} {name}");
            assert!(answer.status < 500, "{method} {name}");
        }
    }
    assert!(seen >= 7, "{document}");
}

#[tokio::test]
async fn registration_is_not_advertised_when_closed_and_documents_not_when_off() {
    let node = Node::with(|policy| {
        policy.registration_mode = postern::types::policy::RegistrationMode::Closed;
        policy.client_id_metadata_documents = false;
    })
    .await;
    let document = node.get("/.well-known/oauth-authorization-server").await.body;
    assert!(document.get("registration_endpoint").is_none());
    assert_eq!(document["client_id_metadata_document_supported"], false);
}

#[tokio::test]
async fn scopes_and_resources_follow_the_resources() {
    let node = Node::bare("", |_| {});
    let document = async || node.get("/.well-known/oauth-authorization-server").await.body;
    assert_eq!(document().await["scopes_supported"], json!(["offline_access"]));
    node.add_resource(NOTES, |_| {}).await;
    let after = document().await;
    for scope in ["offline_access", "notes:read", "notes:write"] {
        assert!(after["scopes_supported"].as_array().unwrap().contains(&Value::from(scope)), "{after}");
    }
    assert_eq!(after["protected_resources"], json!([NOTES]));
}

#[tokio::test]
async fn browsers_of_any_origin_may_read_what_they_need_and_no_page() {
    let node = Node::start().await;
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/jwks.json",
        "/token",
        "/register",
        "/revoke",
    ] {
        let preflight = node
            .request("OPTIONS", path)
            .header("origin", "https://inspector.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "mcp-protocol-version,authorization,content-type");
        let preflight = Answer::of(preflight).await;
        assert!((200..300).contains(&preflight.status), "{path}: {}", preflight.status);
        assert_eq!(preflight.header("access-control-allow-origin"), "*", "{path}");
        let allowed = preflight.header("access-control-allow-headers").to_ascii_lowercase();
        for header in ["mcp-protocol-version", "authorization", "content-type"] {
            assert!(allowed.contains(header), "{path}: {allowed}");
        }
        assert!(preflight.header("access-control-allow-methods").contains("POST"), "{path}");
        let method = if path.starts_with("/.") || path == "/jwks.json" { "GET" } else { "POST" };
        let answer = Answer::of(
            node.request(method, path)
                .header("origin", "https://inspector.example")
                .header("mcp-protocol-version", "2025-11-25"),
        )
        .await;
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"), "{path}");
    }
    for path in ["/authorize", "/login", "/account", "/introspect", "/consent", "/logout"] {
        for method in ["GET", "POST", "OPTIONS"] {
            let request = node.request(method, path).header("origin", "https://evil.example");
            let answer = Answer::of(request.header("access-control-request-method", "POST")).await;
            assert!(!answer.headers.contains_key("access-control-allow-origin"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_host_header_changes_nothing() {
    let node = Node::start().await;
    let request = node
        .request("GET", "/.well-known/oauth-authorization-server")
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "host=evil.example");
    let answer = Answer::of(request).await;
    assert!(!answer.text.contains("evil"), "{}", answer.text);
}

#[tokio::test]
async fn the_key_set_may_be_kept_and_holds_no_private_key() {
    let node = Node::start().await;
    let answer = node.get("/jwks.json").await;
    assert!(answer.header("cache-control").contains("max-age="));
    let keys = answer.body["keys"].as_array().unwrap();
    assert!(keys.len() >= 2, "the next key is published before it signs");
    for key in keys {
        for member in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key.get(member).is_none(), "{member}");
        }
    }
}

#[tokio::test]
async fn an_ordinary_relying_party_discovers_us() {
    use openidconnect::core::CoreProviderMetadata;
    use openidconnect::http::{Response, StatusCode};
    let node = Node::start().await;
    let fetch = |request: openidconnect::HttpRequest| {
        let request = node.request(request.method().as_str(), &request.uri().to_string());
        async move {
            let answer = Answer::of(request).await;
            let mut response = Response::new(answer.text.into_bytes());
            *response.status_mut() = StatusCode::from_u16(answer.status).unwrap();
            let kind = answer.headers["content-type"].to_str().unwrap().parse().unwrap();
            response.headers_mut().insert("content-type", kind);
            Ok::<_, std::io::Error>(response)
        }
    };
    let issuer = openidconnect::IssuerUrl::new(node.issuer().to_owned()).unwrap();
    let metadata = CoreProviderMetadata::discover_async(issuer.clone(), &fetch).await.unwrap();
    assert_eq!(metadata.issuer(), &issuer);
    assert!(metadata.jwks().keys().len() >= 2);
}
