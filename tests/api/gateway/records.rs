//! What the audit log says of calls.

use postern::flow::resources::{self, GatewayChange, ResourceChange};

use super::*;

async fn keep(world: &World, arguments: &[&str]) {
    let texts: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
    let kept_arguments = Some(resources::kept_arguments(&texts).unwrap());
    let gateway = GatewayChange { kept_arguments, ..GatewayChange::default() };
    let change = ResourceChange { gateway, ..ResourceChange::default() };
    resources::set(&world.node.core, &Caller::command_line(), &world.uri, change).await.unwrap();
}

fn with(tool: &str, arguments: Value) -> Value {
    message("tools/call", json!({"name": tool, "arguments": arguments}))
}

#[actix_web::test]
async fn arguments_are_a_digest_but_for_those_that_an_administrator_wants_to_read() {
    let world = world().await;
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    // Too long to be in a digest or a moment by chance.
    let amount = 471_108_150_815_i64;
    let arguments = json!({"amount": amount, "note": "very private words", "to": [{"iban": "NO93"}]});
    world.send(&token, &with("look", arguments.clone())).await;
    assert!(
        !world.node.database().holds("very private words")
            && !world.node.database().holds(&amount.to_string())
    );
    keep(&world, &["amount tool look", "to.*.iban", "note tool other"]).await;
    world.send(&token, &with("look", arguments.clone())).await;
    world.send(&token, &with("add", arguments)).await;
    let records = world.ended(3).await;
    let kept = |tool: &str| -> Vec<&Value> {
        records
            .iter()
            .filter(|event| event.detail["name"] == tool)
            .map(|event| &event.detail["kept"])
            .collect()
    };
    assert_eq!(kept("look"), [&Value::Null, &json!({"amount": amount, "to.*.iban": ["NO93"]})]);
    assert_eq!(kept("add"), [&json!({"to.*.iban": ["NO93"]})]);
    assert!(
        records.iter().all(|event| event.detail["arguments"].as_str().is_some_and(|text| text.len() > 20))
    );
    // What is recorded before a call that changes something says the same.
    assert_eq!(world.records(AuditKind::CallBegun).await[0].detail["kept"], json!({"to.*.iban": ["NO93"]}));
    assert!(!world.node.database().holds("very private words"), "what was not asked for stays a digest");
    keep(&world, &[]).await;
    world.send(&token, &with("look", json!({"amount": 1}))).await;
    assert!(world.ended(4).await.last().unwrap().detail.get("kept").is_none());
}

#[actix_web::test]
async fn a_record_says_of_which_revision_and_session_with_what_and_where_the_time_went() {
    let world = world().await;
    let token = world.token("notes:read").await;
    world.list(&token).await;
    let request = world.request(&token, &call("look")).header("mcp-protocol-version", "2025-06-18");
    assert_eq!(Answer::of(request).await.status, 200);
    let detail = &world.ended(1).await[0].detail;
    assert_eq!((&detail["version"], &detail["credential"]), (&json!("2025-06-18"), &json!("header")));
    let [gateway, upstream, whole] =
        ["gateway_us", "upstream_us", "duration_us"].map(|name| detail[name].as_u64().unwrap());
    assert!(gateway > 0 && upstream > 0 && whole >= upstream, "{detail}");
    assert!(!detail.to_string().contains(SECRET));
}
