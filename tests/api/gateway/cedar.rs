//! Policies in Cedar: they take away what everything else allows.

use postern::flow::cedar;
use postern::flow::explain::{self, Question};

use super::*;

const ALL: &str = "permit(principal, action, resource);\n";

impl World {
    async fn policies(&self, text: &str) {
        cedar::set(&self.node.core, &Caller::command_line(), &self.uri, text.to_owned()).await.unwrap();
    }
}

fn with(tool: &str, arguments: Value) -> Value {
    message("tools/call", json!({"name": tool, "arguments": arguments}))
}

async fn groups(world: &World, groups: &[&str]) {
    let groups = groups.iter().map(|&group| group.to_owned()).collect();
    roles::set_groups(&world.node.core, &Caller::command_line(), EMAIL, groups).await.unwrap();
}

#[actix_web::test]
async fn policies_only_take_away_and_say_so() {
    let world = world().await;
    let token = world.token("notes:read").await;
    assert_eq!(world.list(&token).await, ["look"]);
    world.policies(ALL).await;
    assert_eq!(world.call(&token, "look").await.status, 200);
    // What scopes do not allow, no policy gives.
    let answer = world.call(&token, "add").await;
    assert_eq!(answer.status, 403);
    assert!(answer.header("www-authenticate").contains("insufficient_scope"));
    let large = format!(
        "{ALL}@id(\"large\") forbid(principal, action, resource) when {{ context.arguments.amount > 100 }};"
    );
    world.policies(&large).await;
    assert_eq!(world.list(&token).await, ["look"], "it depends on the arguments");
    assert_eq!(world.send(&token, &with("look", json!({"amount": 100}))).await.status, 200);
    for (amount, said) in [
        (json!(101), "forbids it: large"),
        (json!("101"), "cannot be decided"),
        (json!(1e300), "cannot hold"),
    ] {
        let answer = world.send(&token, &with("look", json!({ "amount": amount }))).await;
        let text = answer.body["error"]["message"].as_str().unwrap_or_default();
        assert!(text.contains(said), "{amount}: {}", answer.text);
    }
    // Two readings of one body do not get this far, with policies or without.
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look","arguments":{"amount":1,"Amount":101}}}"#;
    let request = world.node.request("POST", "/mcp/notes").bearer_auth(&token);
    let answer = Answer::of(request.header("content-type", "application/json").body(twice)).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(world.mcp.calls().len(), 2, "what was refused reached nothing");
    let refused = world.records(AuditKind::CallRefused).await;
    let of = refused.iter().filter(|event| event.detail["rule"] == "cedar");
    assert_eq!(of.count(), 3);
    // A server without policies is as it was.
    assert!(cedar::remove(&world.node.core, &Caller::command_line(), &world.uri).await.unwrap());
    assert_eq!(world.send(&token, &with("look", json!({"amount": 101}))).await.status, 200);
    let set = world.records(AuditKind::CedarPoliciesSet).await;
    assert_eq!((set.len(), &set[1].detail["policies"]), (2, &json!(large)));
    assert_eq!(world.records(AuditKind::CedarPoliciesRemoved).await.len(), 1);
}

#[actix_web::test]
async fn lists_and_calls_go_by_who_somebody_is_now() {
    let world = world().await;
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    world
        .policies(
            "permit(principal in Group::\"finance\", action, resource);\n\
             permit(principal, action == Action::\"tools/call\", resource == Tool::\"look\");",
        )
        .await;
    assert_eq!(world.list(&token).await, ["look"]);
    let add = message("tools/call", json!({"name": "add"}));
    assert!(world.send(&token, &add).await.text.contains("No policy permits it"));
    groups(&world, &["finance"]).await;
    assert_eq!(world.list(&token).await, ["look", "add"], "and no list of before is given again");
    assert_eq!(world.send(&token, &add).await.status, 200);
    groups(&world, &[]).await;
    assert_eq!(world.list(&token).await, ["look"]);
    assert!(world.send(&token, &add).await.text.contains("No policy permits it"));
    // What a rule holds back has to be permitted, too: nobody is asked about what would not go out.
    let resource = message("resources/read", json!({"uri": "file:///notes/1"}));
    assert!(world.send(&token, &resource).await.text.contains("No policy permits it"));
}

#[actix_web::test]
async fn policies_that_cannot_be_read_close_the_server() {
    let world = world().await;
    let token = world.token("notes:read").await;
    world.list(&token).await;
    world.policies(ALL).await;
    // Written by another version, or by whoever can write to the database.
    world
        .node
        .database()
        .tamper("UPDATE cedar_policies SET policies = 'permit(principal, action, resource)'");
    let fresh = world.node.second();
    let at = format!("{}/mcp/notes", fresh.base);
    let look = fresh.request("POST", &at).bearer_auth(&token).json(&call("look"));
    let answer = Answer::of(look).await;
    assert!(answer.text.contains("cannot be read"), "{}", answer.text);
    let list = fresh.request("POST", &at).bearer_auth(&token).json(&message("tools/list", json!({})));
    assert_eq!(Answer::of(list).await.body["result"]["tools"], json!([]));
    assert_eq!(world.mcp.calls().len(), 0);
}

#[actix_web::test]
async fn what_is_wrong_is_refused_and_it_can_be_asked_why() {
    let world = world().await;
    let token = world.token("notes:read").await;
    world.list(&token).await;
    let caller = Caller::command_line();
    for bad in
        ["", "permit(principal, action, resource)", "permit(principal, action == Action::\"x\", resource);"]
    {
        let refused = cedar::set(&world.node.core, &caller, &world.uri, bad.to_owned()).await;
        assert!(matches!(refused, Err(OrderError::Bad(_))), "{bad}");
    }
    assert_eq!(cedar::find(&world.node.core, &world.uri).await.unwrap(), None);
    world
        .policies(&format!("{ALL}@id(\"closed\") forbid(principal, action, resource == Tool::\"look\");"))
        .await;
    let question = Question {
        email: EMAIL.to_owned(),
        uri: world.uri.clone(),
        method: "tools/call".to_owned(),
        name: Some("look".to_owned()),
        target: None,
        arguments: json!({}),
    };
    let answers = explain::explain(&world.node.core, &question).await.unwrap();
    assert_eq!((answers[0].goes, answers[0].rule.as_str()), (false, "cedar"));
    assert!(answers[0].why.contains("closed"), "{}", answers[0].why);
}
