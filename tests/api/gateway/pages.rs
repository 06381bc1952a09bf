//! Pages in browsers that call a server behind the gateway.

use postern::flow::resources::{self, GatewayChange, ResourceChange};

use super::*;

const PAGE: &str = "https://app.example";

async fn let_in(world: &World, origins: &[&str]) {
    let texts: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
    let gateway =
        GatewayChange { origins: Some(resources::origins(&texts).unwrap()), ..GatewayChange::default() };
    let change = ResourceChange { gateway, ..ResourceChange::default() };
    resources::set(&world.node.core, &Caller::command_line(), &world.uri, change).await.unwrap();
}

fn preflight(world: &World, origin: &str, headers: &str) -> RequestBuilder {
    let request = world.node.request("OPTIONS", "/mcp/notes").header("origin", origin);
    request.header("access-control-request-method", "POST").header("access-control-request-headers", headers)
}

#[actix_web::test]
async fn a_page_of_a_named_origin_may_ask_call_and_read_what_it_needs() {
    let world = world().await;
    let_in(&world, &["https://App.example:443"]).await;
    let asked = preflight(&world, PAGE, "authorization, content-type, mcp-param-region, x-other, bad name");
    let asked = Answer::of(asked).await;
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (204, PAGE), "{}", asked.text);
    assert_eq!(asked.header("access-control-allow-methods"), "GET, POST, DELETE");
    assert!(
        asked.headers.get("access-control-allow-credentials").is_none(),
        "no cookie of ours is sent along"
    );
    let welcome: Vec<&str> = asked.header("access-control-allow-headers").split(", ").collect();
    for name in [
        "authorization",
        "content-type",
        "accept",
        "last-event-id",
        "mcp-session-id",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "mcp-param-region",
    ] {
        assert!(welcome.contains(&name), "{name} is not among {welcome:?}");
    }
    assert!(!welcome.contains(&"x-other"), "{welcome:?}");
    assert_eq!(world.mcp.calls().len(), 0, "asking reaches nothing");

    // The challenge can be read, so that the page finds the issuer.
    let nobody = world.node.request("POST", "/mcp/notes").header("origin", PAGE).json(&call("look"));
    let nobody = Answer::of(nobody).await;
    assert_eq!((nobody.status, nobody.header("access-control-allow-origin")), (401, PAGE));
    assert!(nobody.header("access-control-expose-headers").contains("WWW-Authenticate"));
    assert!(nobody.header("www-authenticate").contains("resource_metadata="));

    let token = world.token("notes:read").await;
    world.list(&token).await;
    let called = Answer::of(world.request(&token, &call("look")).header("origin", PAGE)).await;
    assert_eq!((called.status, called.header("access-control-allow-origin")), (200, PAGE), "{}", called.text);
    assert!(called.header("access-control-expose-headers").contains("Mcp-Session-Id"));
    assert!(called.header("vary").contains("Origin"), "what is kept of it is kept for this origin");

    // Whoever is no page in a browser is told nothing of origins.
    let plain = world.call(&token, "look").await;
    assert!(plain.headers.get("access-control-allow-origin").is_none());
}

#[actix_web::test]
async fn a_page_of_another_origin_gets_nowhere() {
    let world = world().await;
    let token = world.token("notes:read").await;
    world.list(&token).await;
    let_in(&world, &[PAGE]).await;
    for origin in [
        "https://app.example.evil.example",
        "https://evil-app.example",
        "https://app.example:8443",
        "http://app.example",
        "https://app.example/",
        "HTTPS://app.example",
        "null",
        "",
    ] {
        let asked = Answer::of(preflight(&world, origin, "authorization")).await;
        assert_eq!(asked.status, 403, "{origin}");
        assert!(asked.headers.get("access-control-allow-origin").is_none(), "{origin}");
        let called = Answer::of(world.request(&token, &call("look")).header("origin", origin)).await;
        assert_eq!(called.status, 403, "{origin}");
        assert!(called.headers.get("access-control-allow-origin").is_none(), "{origin}");
    }
    assert_eq!(world.mcp.calls().len(), 0, "none of it reached the server");
    // Taken back, it ends at once.
    let_in(&world, &[]).await;
    let called = Answer::of(world.request(&token, &call("look")).header("origin", PAGE)).await;
    assert_eq!(called.status, 403);
    // What is no preflight is answered as ever.
    let options = Answer::of(world.node.request("OPTIONS", "/mcp/notes")).await;
    assert_eq!((options.status, options.header("allow")), (405, "GET, POST, DELETE"));
}

#[actix_web::test]
async fn only_origins_are_taken_and_not_without_end() {
    let world = world().await;
    for bad in ["*", "https://*.example", "http://app.example", "https://app.example/path", "null"] {
        assert!(resources::origins(&[bad.to_owned()]).is_err(), "{bad}");
    }
    let many: Vec<String> = (0..51).map(|number| format!("https://app{number}.example")).collect();
    let gateway =
        GatewayChange { origins: Some(resources::origins(&many).unwrap()), ..GatewayChange::default() };
    let change = ResourceChange { gateway, ..ResourceChange::default() };
    let refused = resources::set(&world.node.core, &Caller::command_line(), &world.uri, change).await;
    assert!(matches!(refused, Err(OrderError::Bad(_))));
}
