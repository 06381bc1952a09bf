//! How much may go through to a server.

use postern::flow::resources::{self, GatewayChange, ResourceChange};

use super::*;

/// Somebody else's token for the same server.
const OTHER: &str = "grace@example.com";

async fn limited(world: &World, limits: &[&str]) {
    let texts: Vec<String> = limits.iter().map(|&limit| limit.to_owned()).collect();
    let gateway =
        GatewayChange { limits: Some(resources::limits(&texts).unwrap()), ..GatewayChange::default() };
    let change = ResourceChange { gateway, ..ResourceChange::default() };
    resources::set(&world.node.core, &Caller::command_line(), &world.uri, change).await.unwrap();
}

/// Two tokens of one person under two approvals, and one of another person.
async fn three(world: &World) -> [String; 3] {
    world.node.add_person(OTHER, "a long pass phrase").await;
    let (_, one) = world.grant_token(|_| {}).await;
    let (_, two) = world.grant_token(|_| {}).await;
    let (_, other) = world.grant_token(|new| OTHER.clone_into(&mut new.user)).await;
    world.list(&one).await;
    [one, two, other]
}

impl World {
    async fn status(&self, token: &str, tool: &str) -> u16 {
        self.call(token, tool).await.status
    }
}

#[actix_web::test]
async fn what_is_counted_together_is_a_persons_an_approvals_or_everybodys() {
    for (limit, statuses) in [
        ("person calls 2/1m", [200, 200, 429, 200]),
        ("approval calls 2/1m", [200, 200, 200, 200]),
        ("everybody calls 2/1m", [200, 200, 429, 429]),
    ] {
        let world = world().await;
        let [one, two, other] = three(&world).await;
        limited(&world, &[limit]).await;
        for (token, status) in [&one, &two, &two, &other].into_iter().zip(statuses) {
            assert_eq!(world.status(token, "look").await, status, "{limit}");
        }
        world.node.advance(60).await;
        assert_eq!(world.status(&one, "look").await, 200, "{limit}: the span is over");
    }
}

#[actix_web::test]
async fn a_limit_of_a_tool_stops_that_tool_and_says_so() {
    let world = world().await;
    let [one, ..] = three(&world).await;
    limited(&world, &["person calls 1/1h tool add"]).await;
    assert_eq!(world.status(&one, "add").await, 200);
    for _ in 0..3 {
        let answer = world.call(&one, "add").await;
        assert_eq!(answer.status, 429);
        let text = answer.body["error"]["message"].as_str().unwrap();
        assert!(text.contains("person calls 1/1h tool add"), "{text}");
        assert_eq!(answer.header("retry-after"), "3600");
    }
    assert_eq!(world.status(&one, "look").await, 200, "another tool");
    assert_eq!(world.list(&one).await, ["look", "add"], "a list is no call");
    assert_eq!(world.mcp.calls().len(), 2, "what is stopped reaches nothing");
    // One record for all of them, with the limit.
    let refused = world.records(AuditKind::CallRefused).await;
    let of: Vec<_> = refused.iter().filter(|event| event.detail["rule"] == "limit").collect();
    assert_eq!(of.len(), 1);
    assert_eq!(of[0].detail["limit"], "person calls 1/1h tool add");
    world.node.advance(3_599).await;
    assert_eq!(world.status(&one, "add").await, 429);
    world.node.advance(1).await;
    assert_eq!(world.status(&one, "add").await, 200);
}

#[actix_web::test]
async fn what_runs_at_once_is_given_back_when_it_ends() {
    let world = world().await;
    let [one, two, other] = three(&world).await;
    limited(&world, &["everybody at-once 1 tool look"]).await;
    for round in 0..2 {
        let events = world.mcp.stream();
        events.send(json!({"jsonrpc": "2.0", "method": "notifications/progress"}).to_string()).unwrap();
        let running = world.request(&one, &call("look")).send().await.unwrap();
        assert_eq!(running.status(), 200);
        for token in [&one, &two, &other] {
            assert_eq!(world.status(token, "look").await, 429, "round {round}");
        }
        assert_eq!(world.status(&two, "add").await, 200, "another tool");
        // It ends well, or its caller goes away.
        if round == 0 {
            events.send(json!({"jsonrpc": "2.0", "id": 1, "result": {}}).to_string()).unwrap();
            drop(events);
            running.text().await.unwrap();
        } else {
            drop(running);
            world.mcp.wait_gone().await;
        }
        while world.status(&other, "look").await == 429 {
            tokio::task::yield_now().await;
        }
    }
}

#[actix_web::test]
async fn bytes_are_those_of_the_answers_and_everything_has_to_fit() {
    let world = world().await;
    let [one, two, other] = three(&world).await;
    limited(&world, &["approval bytes 20/1h", "person calls 3/1m"]).await;
    assert_eq!(world.status(&one, "look").await, 200, "the first answer is longer than that");
    assert_eq!(world.status(&one, "look").await, 429);
    assert_eq!(world.status(&two, "look").await, 200, "another approval has bytes of its own");
    // What the bytes stopped was not counted as a call.
    let (_, three) = world.grant_token(|_| {}).await;
    assert_eq!(world.status(&three, "look").await, 200);
    let (_, four) = world.grant_token(|_| {}).await;
    assert_eq!(world.status(&four, "look").await, 429, "the person's fourth call");
    assert_eq!(world.status(&other, "look").await, 200);
    limited(&world, &[]).await;
    assert_eq!(world.status(&one, "look").await, 200, "without limits nothing stops it");
}
