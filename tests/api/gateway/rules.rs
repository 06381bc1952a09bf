//! Rules about calls, calls that wait for somebody, and what else is set for a server behind the gateway.

use postern::flow::alerts;
use postern::flow::call_approvals::{self, Shown};
use postern::flow::call_rules::{self, NewRule};
use postern::flow::explain::{self, Question};
use postern::flow::resources::{self, GatewayChange, ResourceChange};
use postern::types::alert::Detector;
use postern::types::call_approval::Stage;
use postern::types::call_rule::{CallRule, Effect, Subject};
use postern::types::callers::CallerRule;
use postern::types::policy::{CALL_APPROVAL_USE, CALL_APPROVAL_WAIT, CALL_APPROVALS_OPEN};
use postern::types::resource::PassKind;

use super::*;

fn with(tool: &str, arguments: Value) -> Value {
    message("tools/call", json!({ "name": tool, "arguments": arguments }))
}

impl World {
    async fn rule(&self, effect: Effect, subject: Subject, conditions: &[&str]) -> CallRule {
        let conditions = conditions.iter().map(|&text| text.to_owned()).collect();
        let callers = CallerRule::default();
        let new = NewRule { subject, conditions, callers, effect, reason: "Ask the treasurer.".to_owned() };
        call_rules::add(&self.node.core, &Caller::command_line(), &self.uri, new).await.unwrap()
    }

    async fn waiting(&self) -> Vec<Shown> {
        call_approvals::list(&self.node.core, false, None, 100).await.unwrap()
    }

    async fn decide(&self, id: &str, allow: bool) -> Result<Shown, OrderError> {
        call_approvals::decide(&self.node.core, &Caller::command_line(), id, allow).await
    }

    async fn set(&self, gateway: GatewayChange) {
        let change = ResourceChange { gateway, ..ResourceChange::default() };
        resources::set(&self.node.core, &Caller::command_line(), &self.uri, change).await.unwrap();
    }
}

fn tool(name: &str) -> Subject {
    Subject::Tool(name.to_owned())
}

#[actix_web::test]
async fn a_rule_refuses_by_arguments_what_scopes_allow() {
    let world = world().await;
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    let rule = world.rule(Effect::Deny, tool("add"), &["amount > 100"]).await;
    assert_eq!(world.list(&token).await, ["look", "add"], "it depends on the arguments");
    let answer = world.send(&token, &with("add", json!({"amount": 100}))).await;
    assert!(answer.body["result"].is_object(), "{}", answer.text);
    let before = world.mcp.calls().len();
    // What a rule cannot judge does not get round it.
    for amount in [json!(101), json!("101"), json!([1]), json!(1e300)] {
        let answer = world.send(&token, &with("add", json!({"amount": amount}))).await;
        assert_eq!(answer.body["error"]["code"], -32_001, "{amount}: {}", answer.text);
        assert!(answer.text.contains("Ask the treasurer."), "{}", answer.text);
    }
    assert_eq!(world.mcp.calls().len(), before, "nothing of it reached the server");
    let refused = world.records(AuditKind::CallRefused).await;
    assert_eq!(
        (&refused[0].detail["rule"], &refused[0].detail["rule_id"]),
        (&json!("rule"), &json!(rule.id))
    );
    // Without conditions it is not even shown.
    let all = world.rule(Effect::Deny, Subject::Class(ToolClass::Write), &[]).await;
    assert_eq!(world.list(&token).await, ["look"]);
    let caller = Caller::command_line();
    for rule in [rule, all] {
        call_rules::remove(&world.node.core, &caller, &rule.id.to_string(), None).await.unwrap();
    }
    assert!(world.send(&token, &with("add", json!({"amount": 101}))).await.body["result"].is_object());
    assert_eq!(world.records(AuditKind::CallRuleMade).await.len(), 2);
    assert_eq!(world.records(AuditKind::CallRuleRemoved).await.len(), 2);
}

#[actix_web::test]
async fn a_rule_holds_on_another_node_too() {
    let world = world().await;
    let other = world.node.second();
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    world.rule(Effect::Deny, Subject::EveryTool, &[]).await;
    other.catch_up().await;
    let there = other.request("POST", &format!("{}/mcp/notes", other.base)).bearer_auth(&token);
    let answer = Answer::of(there.json(&call("look"))).await;
    assert_eq!(answer.body["error"]["code"], -32_001, "{}", answer.text);
}

#[actix_web::test]
async fn a_rule_is_about_those_it_names_and_follows_who_they_are() {
    let world = world().await;
    let caller = Caller::command_line();
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    let rule = |only: &[&str], except: &[&str]| {
        let list = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let callers = CallerRule::parse(&list(only), &list(except)).unwrap();
        let reason = "Ask the treasurer.".to_owned();
        NewRule { subject: tool("add"), conditions: Vec::new(), callers, effect: Effect::Deny, reason }
    };
    let add =
        async |new| call_rules::add(&world.node.core, &caller, &world.uri, new).await.unwrap().id.to_string();
    let remove = async |id: String| call_rules::remove(&world.node.core, &caller, &id, None).await.unwrap();
    let groups = async |groups: &[&str]| {
        let groups = groups.iter().map(|&name| name.to_owned()).collect();
        roles::set_groups(&world.node.core, &caller, EMAIL, groups).await.unwrap();
    };
    // Everybody but finance.
    let finance = add(rule(&[], &["group:finance"])).await;
    assert_eq!(world.call(&token, "add").await.body["error"]["code"], -32_001);
    assert_eq!(world.list(&token).await, ["look"], "what may not be called is not shown");
    groups(&["finance"]).await;
    assert!(world.call(&token, "add").await.body["result"].is_object());
    assert_eq!(world.list(&token).await, ["look", "add"]);
    // Another node hears of it as well.
    let other = world.node.second();
    groups(&[]).await;
    other.catch_up().await;
    let there = other.request("POST", &format!("{}/mcp/notes", other.base)).bearer_auth(&token);
    assert_eq!(Answer::of(there.json(&call("add"))).await.body["error"]["code"], -32_001);
    remove(finance).await;
    // By how somebody comes.
    let machines = add(rule(&["kind:machine", "kind:grant_token"], &[])).await;
    assert!(world.call(&token, "add").await.body["result"].is_object());
    let new = NewGrantToken {
        user: EMAIL.to_owned(),
        resource: world.uri.clone(),
        name: "laptop".to_owned(),
        scopes: vec!["notes:read".to_owned(), "notes:write".to_owned()],
        tools: Vec::new(),
        ttl: Duration::from_secs(600),
    };
    let (_, laptop) = grant_tokens::create(&world.node.core, &caller, new).await.unwrap();
    assert_eq!(world.call(laptop.expose(), "add").await.body["error"]["code"], -32_001);
    assert_eq!(world.list(&token).await, ["look", "add"]);
    assert_eq!(
        world.list(laptop.expose()).await,
        ["look"],
        "a list that was kept for one is not shown to the other"
    );
    remove(machines).await;
    // By a role at the server, which is what explaining goes by, too.
    let change = Change::Give(Holder { role: "injector".to_owned(), who: Who::Everyone });
    roles::change(&world.node.core, &caller, &world.uri, change).await.unwrap();
    add(rule(&["role:injector"], &["console:auditor"])).await;
    assert_eq!(world.call(&token, "add").await.body["error"]["code"], -32_001);
    let question = Question {
        email: EMAIL.to_owned(),
        uri: world.uri.clone(),
        method: "tools/call".to_owned(),
        name: Some("add".to_owned()),
        target: None,
        arguments: json!({}),
    };
    let answers = explain::explain(&world.node.core, &question).await.unwrap();
    assert!(answers.iter().all(|answer| !answer.goes), "{answers:?}");
    people::set_role(&world.node.core, &caller, EMAIL, Role::Auditor).await.unwrap();
    assert!(world.call(&token, "add").await.body["result"].is_object());
    assert!(explain::explain(&world.node.core, &question).await.unwrap().iter().all(|answer| answer.goes));
}

#[actix_web::test]
async fn a_rule_that_cannot_be_read_is_refused() {
    let world = world().await;
    let caller = Caller::command_line();
    let new = |subject: Subject, condition: &str, reason: &str| NewRule {
        subject,
        conditions: vec![condition.to_owned()],
        callers: CallerRule::default(),
        effect: Effect::Deny,
        reason: reason.to_owned(),
    };
    for bad in [
        new(tool("add"), "amount over 100", "why"),
        new(tool("add"), "amount > 100", ""),
        new(tool("add"), "amount > 100", "two\nlines"),
        new(tool(""), "amount > 100", "why"),
        new(Subject::Method("tools/call".to_owned()), "name = x", "why"),
        new(Subject::Method("resources/read".to_owned()), "amount > 100", "why"),
    ] {
        let refused = call_rules::add(&world.node.core, &caller, &world.uri, bad.clone()).await;
        assert!(matches!(refused, Err(OrderError::Bad(_))), "{bad:?}");
    }
    let good = new(tool("add"), "amount > 100", "why");
    let elsewhere = call_rules::add(&world.node.core, &caller, crate::harness::NOTES, good).await;
    assert!(matches!(elsewhere, Err(OrderError::Bad(_))), "that server is not behind the gateway");
    let unknown = call_rules::remove(&world.node.core, &caller, "no-such-rule", None).await;
    assert!(matches!(unknown, Err(OrderError::NotFound(_))));
    assert_eq!(call_rules::list(&world.node.core, &world.uri).await.unwrap().len(), 0);
}

#[actix_web::test]
async fn a_call_that_is_held_back_goes_out_once_it_is_allowed_and_only_once() {
    let world = world().await;
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    world.rule(Effect::Ask, Subject::Class(ToolClass::Write), &[]).await;
    assert_eq!(world.list(&token).await, ["look", "add"], "it may be called");
    assert!(world.call(&token, "look").await.body["result"].is_object(), "reading is not held back");
    let wanted = with("add", json!({"amount": 5, "to": "ada"}));
    let answer = world.send(&token, &wanted).await;
    assert_eq!(answer.body["error"]["code"], -32_001);
    let id = answer.body["error"]["data"]["approval"].as_str().unwrap().to_owned();
    assert!(answer.text.contains("Ask the treasurer.") && answer.text.contains(&id), "{}", answer.text);
    let again = world.send(&token, &wanted).await;
    assert_eq!(again.body["error"]["data"]["approval"], id, "asked once, however often it is tried");
    let waiting = world.waiting().await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].arguments, json!({"amount": 5, "to": "ada"}));
    assert_eq!((waiting[0].person.as_deref(), waiting[0].stage), (Some(EMAIL), Stage::Waiting));
    assert!(!world.node.database().holds("\"amount\":5"), "what would be sent is sealed");
    let before = world.mcp.calls().len();
    world.decide(&id, true).await.unwrap();
    // Nobody else's call, and no other arguments.
    let mine = world.send(&token, &with("add", json!({"amount": 6, "to": "ada"}))).await;
    assert_eq!(mine.body["error"]["code"], -32_001);
    let (_, other) = world.grant_token(|_| {}).await;
    assert_eq!(world.send(&other, &wanted).await.body["error"]["code"], -32_001);
    assert_eq!(world.mcp.calls().len(), before);
    // The same in another order is the same.
    let same = with("add", json!({"to": "ada", "amount": 5}));
    let tries = futures_util::future::join_all((0..8).map(|_| world.send(&token, &same))).await;
    let through = tries.iter().filter(|answer| answer.body["result"].is_object()).count();
    assert_eq!((through, world.mcp.calls().len()), (1, before + 1), "one of eight at once");
    assert!(world.decide(&id, true).await.is_err(), "nobody decides twice");
    let used = world.records(AuditKind::CallApprovalUsed).await;
    assert_eq!((used.len(), &used[0].detail["approval"]), (1, &json!(id)));
    assert_eq!(world.records(AuditKind::CallApprovalGiven).await.len(), 1);
}

#[actix_web::test]
async fn a_decision_has_its_time_and_a_refusal_stands() {
    let world = world().await;
    let (_, token) = world.grant_token(|_| {}).await;
    world.list(&token).await;
    world.rule(Effect::Ask, tool("add"), &[]).await;
    let ask = async |n: usize| world.send(&token, &with("add", json!({ "n": n }))).await;
    let id = |answer: &Answer| answer.body["error"]["data"]["approval"].as_str().unwrap().to_owned();
    let seconds = |span: Duration| span.as_secs();
    // Allowed, and not made in time.
    let first = id(&ask(1).await);
    world.decide(&first, true).await.unwrap();
    world.node.advance(seconds(CALL_APPROVAL_USE)).await;
    let second = id(&ask(1).await);
    assert_ne!(first, second);
    // Refused: it is not asked again.
    world.decide(&second, false).await.unwrap();
    let answer = ask(1).await;
    assert!(answer.text.contains("has refused this call"), "{}", answer.text);
    assert_eq!(world.waiting().await.len(), 0);
    // Nobody decided.
    let third = id(&ask(2).await);
    world.node.advance(seconds(CALL_APPROVAL_WAIT)).await;
    assert!(world.decide(&third, true).await.is_err());
    assert_ne!(id(&ask(2).await), third);
    assert!(!ask(1).await.text.contains("has refused"), "a refusal has its time too");
    assert_eq!(world.mcp.calls().len(), 0);
    // Nobody is flooded.
    for n in 0..CALL_APPROVALS_OPEN {
        ask(100 + usize::try_from(n).unwrap()).await;
    }
    assert_eq!(world.waiting().await.len(), usize::try_from(CALL_APPROVALS_OPEN).unwrap());
    assert!(ask(999).await.text.contains("Too many calls wait"));
}

#[actix_web::test]
async fn what_ends_access_ends_what_was_allowed() {
    let world = world().await;
    let (grant, token) = world.grant_token(|_| {}).await;
    world.list(&token).await;
    world.rule(Effect::Ask, tool("add"), &[]).await;
    let answer = world.send(&token, &with("add", json!({}))).await;
    let id = answer.body["error"]["data"]["approval"].as_str().unwrap().to_owned();
    world.decide(&id, true).await.unwrap();
    world.cut(Target::parse("grant", &grant).unwrap(), Kind::Revoke).await;
    assert_eq!(world.send(&token, &with("add", json!({}))).await.status, 401);
    let (_, next) = world.grant_token(|_| {}).await;
    let answer = world.send(&next, &with("add", json!({}))).await;
    assert_eq!(answer.body["error"]["code"], -32_001, "another approval needs another decision");
    assert_eq!(world.mcp.calls().len(), 0);
}

#[actix_web::test]
async fn a_server_says_who_may_come_and_how_much() {
    let world = world().await;
    let app = world.token("notes:read notes:write").await;
    let (_, token) = world.grant_token(|_| {}).await;
    world.list(&app).await;
    world.set(GatewayChange { accepts: Some(vec![PassKind::App]), ..GatewayChange::default() }).await;
    assert_eq!(world.call(&app, "look").await.status, 200);
    let refused = world.call(&token, "look").await;
    assert_eq!((refused.status, refused.body["error"].as_str()), (403, Some("access_denied")));
    let change = GatewayChange {
        accepts: Some(vec![PassKind::GrantToken]),
        record_first: Some(true),
        ..GatewayChange::default()
    };
    world.set(change).await;
    assert_eq!(world.call(&app, "look").await.status, 403);
    let begun = world.records(AuditKind::CallBegun).await.len();
    assert_eq!(world.call(&token, "look").await.status, 200);
    assert_eq!(world.records(AuditKind::CallBegun).await.len(), begun + 1, "on record before it goes out");
    // The person's share counts what they do through all their apps.
    let change = GatewayChange {
        accepts: Some(Vec::new()),
        record_first: Some(false),
        calls_a_minute: Some(Some(3)),
        ..GatewayChange::default()
    };
    world.set(change).await;
    for token in [&app, &token, &app] {
        assert_eq!(world.call(token, "look").await.status, 200);
    }
    for token in [&app, &token] {
        assert_eq!(world.call(token, "look").await.status, 429);
    }
    let refused = world.records(AuditKind::CallRefused).await;
    assert_eq!(refused.iter().filter(|event| event.detail["limit"] == "person calls 3/1m").count(), 1);
    let bytes = GatewayChange {
        calls_a_minute: Some(None),
        bytes_an_hour: Some(Some(50)),
        ..GatewayChange::default()
    };
    world.set(bytes).await;
    assert_eq!(world.call(&app, "look").await.status, 200, "the first answer has more");
    let answer = world.call(&token, "look").await;
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 60);
    world.node.advance(3_600).await;
    assert_eq!(world.call(&token, "look").await.status, 200);
}

#[actix_web::test]
async fn it_can_be_asked_why_a_call_goes_through_or_not() {
    let world = world().await;
    let asked = async |tool: &str, arguments: Value| {
        let question = Question {
            email: EMAIL.to_owned(),
            uri: world.uri.clone(),
            method: "tools/call".to_owned(),
            name: Some(tool.to_owned()),
            target: None,
            arguments,
        };
        explain::explain(&world.node.core, &question).await.unwrap()
    };
    assert_eq!(asked("look", json!({})).await[0].rule, "no_approval");
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    world.rule(Effect::Deny, tool("add"), &["amount > 100"]).await;
    world.rule(Effect::Ask, tool("look"), &["deep = true"]).await;
    for (tool, arguments, goes, rule) in [
        ("look", json!({}), true, "scope"),
        ("look", json!({"deep": true}), false, "approval_required"),
        ("add", json!({"amount": 100}), true, "scope"),
        ("add", json!({"amount": 101}), false, "rule"),
        ("wipe", json!({}), false, "scope_missing"),
        ("odd", json!({}), false, "tool_quarantined"),
        ("none", json!({}), false, "tool_unknown"),
    ] {
        let answers = asked(tool, arguments.clone()).await;
        assert_eq!((answers.len(), answers[0].goes, answers[0].rule.as_str()), (1, goes, rule), "{tool}");
        // And so it is.
        let answer = world.send(&token, &with(tool, arguments)).await;
        assert_eq!(answer.body["result"].is_object(), goes, "{tool}: {}", answer.text);
    }
    assert_eq!(world.waiting().await.len(), 1, "asking why asks nobody for anything; calling did");
    let person = people::find(&world.node.core, EMAIL).await.unwrap().id;
    world.cut(Target::Person(person), Kind::Isolate(Duration::from_secs(60))).await;
    assert_eq!(asked("look", json!({})).await[0].rule, "cut");
}

#[actix_web::test]
async fn an_administrator_makes_rules_and_decides_about_calls_in_the_console() {
    let world = world().await;
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    let id = world.node.core.live.view().resource(&world.uri).unwrap().id;
    let server = format!("/admin/servers/{id}");
    world.node.add_person("root@example.com", "nine purple kettles").await;
    let caller = Caller::command_line();
    people::set_role(&world.node.core, &caller, "root@example.com", Role::Admin).await.unwrap();
    let root = Browser::new(&world.node);
    root.sign_in("root@example.com", "nine purple kettles").await;
    let csrf = root.get("/account").await.form("/logout").values("csrf").remove(0).to_owned();
    let send = async |path: &str, fields: &[(&str, &str)]| {
        let mut all = fields.to_vec();
        all.push(("csrf", &csrf));
        let answer = root.send(root.request("POST", path).form(&all)).await;
        root.follow(answer).await
    };
    let rule = [
        ("do", "add_rule"),
        ("about", "tool add"),
        ("when1", "amount > 100"),
        ("when2", ""),
        ("effect", "ask"),
        ("reason", "Large ones are looked at."),
    ];
    for (place, bad) in
        [(1, ("about", "nothing")), (2, ("when1", "amount")), (4, ("effect", "no")), (5, ("reason", ""))]
    {
        let mut fields = rule;
        fields[place] = bad;
        assert!(send(&server, &fields).await.status >= 400, "{bad:?}");
    }
    let page = send(&server, &rule).await;
    assert!(page.words().contains("the tool addeverybodyamount > 100waits for you"), "{}", page.words());
    world.send(&token, &with("add", json!({"amount": 500, "note": "<b>rent</b>"}))).await;
    world.send(&token, &with("add", json!({"amount": 501}))).await;
    let words = root.get("/admin/calls").await.words();
    assert!(words.contains("2 calls wait for you."), "{words}");
    for (query, rows) in [("q=AD", 2), ("q=other", 0), ("server=nothing", 0)] {
        let page = root.get(&format!("/admin/calls?{query}")).await;
        assert_eq!(page.text.matches("/admin/calls/").count(), rows, "{query}: {}", page.words());
    }
    let waiting = world.waiting().await;
    let call = |amount: i64| {
        let found = waiting.iter().find(|call| call.arguments["amount"] == amount).unwrap();
        format!("/admin/calls/{}", found.approval.id)
    };
    let page = root.get(&call(500)).await;
    assert!(page.words().contains("<b>rent</b>") && page.words().contains(EMAIL), "{}", page.words());
    assert!(!page.text.contains("<b>rent"), "an argument is no markup");
    assert!(send(&call(500), &[("do", "neither")]).await.status >= 400);
    assert!(send(&call(500), &[("do", "allow")]).await.words().contains("Allowed"));
    assert!(send(&call(501), &[("do", "refuse")]).await.words().contains("Refused."));
    assert!(send(&call(501), &[("do", "allow")]).await.status >= 400, "nobody decides twice");
    for (state, rows) in [("allowed", 1), ("refused", 1), ("used", 0)] {
        let page = root.get(&format!("/admin/calls?state={state}")).await;
        assert_eq!(page.text.matches("/admin/calls/").count(), rows, "{state}: {}", page.words());
    }
    let through = world.send(&token, &with("add", json!({"amount": 500, "note": "<b>rent</b>"}))).await;
    assert!(through.body["result"].is_object(), "{}", through.text);
    let done = world.records(AuditKind::CallApprovalGiven).await;
    assert_eq!(done[0].detail["by"], "root@example.com");
    let why = format!("{server}/why?person={EMAIL}&tool=add&arguments=%7B%22amount%22%3A500%7D");
    let words = root.get(&why).await.words();
    assert!(
        words.contains("It would not go through.") && words.contains("Large ones are looked at."),
        "{words}"
    );
    assert!(root.get(&format!("{server}/why?person={EMAIL}&tool=add&arguments=x")).await.status >= 400);
    // Whoever may only look, and whoever may not.
    people::set_role(&world.node.core, &caller, "root@example.com", Role::Auditor).await.unwrap();
    world.send(&token, &with("add", json!({"amount": 502}))).await;
    let third = format!("/admin/calls/{}", world.waiting().await[0].approval.id);
    assert!(!root.get(&third).await.text.contains("Allow once"));
    assert!(send(&third, &[("do", "allow")]).await.status >= 400);
    assert!(send(&server, &rule).await.status >= 400);
    assert_eq!(world.waiting().await.len(), 1);
    let member = Browser::signed_in(&world.node).await;
    for path in ["/admin/calls", &third, &why] {
        assert_eq!(member.get(path).await.status, 403, "{path}");
    }
}

#[actix_web::test]
async fn administrators_are_alerted_to_a_call_that_waits() {
    let world = world().await;
    let core = &world.node.core;
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    world.rule(Effect::Ask, Subject::Class(ToolClass::Write), &[]).await;
    alerts::watch(core).await.unwrap();
    for _ in 0..3 {
        world.send(&token, &with("add", json!({"to": "a secret place"}))).await;
    }
    world.node.advance(1).await;
    alerts::watch(core).await.unwrap();
    let found = alerts::list(core, true).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].detector, found[0].finding.count), (Detector::WaitingCall, 1), "asked once");
    assert!(!world.node.database().holds("a secret place"));
    // It closes with the last decision, and the next call that waits is told again.
    let first = world.waiting().await[0].approval.id.to_string();
    world.decide(&first, true).await.unwrap();
    assert_eq!(alerts::list(core, true).await.unwrap(), []);
    assert_eq!(world.records(AuditKind::AlertAcknowledged).await.len(), 1);
    world.node.advance(1).await;
    world.send(&token, &with("add", json!({"to": "another place"}))).await;
    alerts::watch(core).await.unwrap();
    assert_eq!(alerts::list(core, true).await.unwrap().len(), 1, "told again");
}
