//! Cedar policies of a server behind the gateway: what they take away, for whom, and what nobody gets round.

use postern::flow::cedar;
use postern::flow::explain::{self, Question};
use postern::storage::cedar::{self as rows, StoredCedar};
use postern::types::resource_uri::ResourceUri;

use super::*;

fn with(tool: &str, arguments: Value) -> Value {
    message("tools/call", json!({ "name": tool, "arguments": arguments }))
}

const LOOK: &str = "@id(\"look\")\npermit(principal, action, resource) when { resource is Tool && resource.class == \"read\" };\n";
const TREASURY: &str = "@id(\"treasury\")\npermit(principal in Group::\"treasury\", action == Action::\"tools/call\", resource);\n";
const LARGE: &str = "@id(\"large\") @reason(\"Ask the treasurer.\")\n\
                     forbid(principal, action, resource == Tool::\"add\") when { context.arguments.amount > 100 };\n";

impl World {
    async fn cedar(&self, policies: &str) -> Vec<String> {
        // Records of one moment have no order.
        self.node.advance(1).await;
        let caller = Caller::command_line();
        cedar::set(&self.node.core, &caller, &self.uri, policies.to_owned()).await.unwrap().1
    }

    async fn groups(&self, groups: &[&str]) {
        let groups = groups.iter().map(|&name| name.to_owned()).collect();
        roles::set_groups(&self.node.core, &Caller::command_line(), EMAIL, groups).await.unwrap();
    }

    async fn machine(&self, scope: &str) -> String {
        let machine = self
            .node
            .add_client(json!({"client_name": "Robot", "grant_types": ["client_credentials"],
                "token_endpoint_auth_method": "client_secret_post"}))
            .await;
        let known = |name: &str| machine.registration[name].as_str().unwrap().to_owned();
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &known("client_id")),
            ("client_secret", &known("client_secret")),
            ("resource", &self.uri),
            ("scope", scope),
        ];
        self.node.token(&fields).await.text_of("access_token")
    }
}

fn goes(answer: &Answer) -> bool {
    answer.body["result"].is_object()
}

#[actix_web::test]
async fn a_set_takes_away_and_gives_nothing() {
    let world = world().await;
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    // Everything is permitted: scopes, classes and pins decide as ever.
    world.cedar("permit(principal, action, resource);").await;
    assert_eq!(world.list(&token).await, ["look", "add"]);
    for (tool, passes) in [("look", true), ("add", true), ("wipe", false), ("odd", false), ("none", false)] {
        assert_eq!(goes(&world.call(&token, tool).await), passes, "{tool}");
    }
    // Nothing permits but reading.
    world.cedar(LOOK).await;
    assert_eq!(world.list(&token).await, ["look"], "what may not be called is not shown");
    let before = world.mcp.calls().len();
    let answer = world.call(&token, "add").await;
    assert_eq!(answer.body["error"]["code"], -32_001, "{}", answer.text);
    assert!(answer.text.contains("No policy of this gateway permits the call."), "{}", answer.text);
    assert_eq!(world.mcp.calls().len(), before, "nothing of it reached the server");
    let refused = world.records(AuditKind::CallRefused).await;
    let refused = refused.iter().find(|record| record.detail["name"] == "add").unwrap();
    let detail = |name: &str| refused.detail[name].clone();
    assert_eq!(
        (detail("rule"), detail("because"), detail("policies")),
        (json!("cedar"), json!("nothing_permits"), json!([]))
    );
    assert!(goes(&world.call(&token, "look").await));
    cedar::remove(&world.node.core, &Caller::command_line(), &world.uri).await.unwrap();
    assert!(goes(&world.call(&token, "add").await));
    assert_eq!(world.list(&token).await, ["look", "add"]);
    // Who set what, by its digest.
    let set = world.records(AuditKind::CedarSet).await;
    assert_eq!((set.len(), &set[1].detail["before"]), (2, &set[0].detail["digest"]));
    let removed = world.records(AuditKind::CedarRemoved).await;
    assert_eq!(removed[0].detail["digest"], set[1].detail["digest"]);
}

#[actix_web::test]
async fn nobody_gets_round_a_policy_about_an_argument() {
    let world = world().await;
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    world.cedar(&format!("permit(principal, action, resource);\n{LARGE}")).await;
    assert_eq!(world.list(&token).await, ["look", "add"], "it depends on the arguments");
    assert!(goes(&world.send(&token, &with("add", json!({"amount": 100}))).await));
    assert!(
        goes(&world.send(&token, &with("look", json!({"amount": 500}))).await),
        "it is about another tool"
    );
    let before = world.mcp.calls().len();
    let refused = async |raw: &str, words: &str, policies: Value, because: &str| {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":A}}"#;
        let request = world.node.request("POST", "/mcp/notes").bearer_auth(&token);
        let request = request.header("content-type", "application/json").body(body.replace('A', raw));
        world.node.advance(1).await;
        let answer = Answer::of(request).await;
        assert_eq!(answer.body["error"]["code"], -32_001, "{raw}: {}", answer.text);
        assert!(answer.text.contains(words), "{raw}: {}", answer.text);
        let record = world.records(AuditKind::CallRefused).await.pop().unwrap();
        assert_eq!(
            (&record.detail["policies"], &record.detail["because"]),
            (&policies, &json!(because)),
            "{raw}"
        );
    };
    refused(r#"{"amount":101}"#, "Ask the treasurer.", json!(["large"]), "forbidden").await;
    refused(r#"{"amount":1.01e2}"#, "Ask the treasurer.", json!(["large"]), "forbidden").await;
    for raw in [
        r#"{"amount":"101"}"#,
        r#"{"amount":100.5}"#,
        r#"{"amount":1e300}"#,
        r#"{"amount":99999999999999999999}"#,
        r#"{"amount":null}"#,
        r#"{"amount":[101]}"#,
        r#"{"amount":{"__extn":{"fn":"decimal","arg":"1.0"}}}"#,
        "{}",
        r#"{"Amount":101}"#,
        "null",
    ] {
        refused(raw, "cannot judge the call", json!(["large"]), "cannot_be_judged").await;
    }
    // Named twice, it is no message at all.
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"amount":1,"amount":101}}}"#;
    let request = world.node.request("POST", "/mcp/notes").bearer_auth(&token);
    let answer = Answer::of(request.header("content-type", "application/json").body(twice)).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(world.mcp.calls().len(), before, "nothing of it reached the server");
}

#[actix_web::test]
async fn policies_follow_who_somebody_is_on_every_node() {
    let world = world().await;
    let other = world.node.second();
    let there = async |token: &str, tool: &str| {
        other.catch_up().await;
        let request = other.request("POST", &format!("{}/mcp/notes", other.base)).bearer_auth(token);
        goes(&Answer::of(request.json(&call(tool))).await)
    };
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    assert!(there(&token, "add").await);
    world.cedar(&format!("{LOOK}{TREASURY}")).await;
    assert!(!goes(&world.call(&token, "add").await) && !there(&token, "add").await);
    world.groups(&["treasury"]).await;
    assert!(goes(&world.call(&token, "add").await) && there(&token, "add").await);
    assert_eq!(world.list(&token).await, ["look", "add"]);
    // A list that was made for one is shown to nobody else: a machine is in no group.
    let machine = world.machine("notes:read notes:write").await;
    assert_eq!(world.list(&machine).await, ["look"]);
    assert!(goes(&world.call(&machine, "look").await) && !goes(&world.call(&machine, "add").await));
    assert_eq!(world.list(&token).await, ["look", "add"]);
    world.groups(&[]).await;
    assert!(!goes(&world.call(&token, "add").await) && !there(&token, "add").await);
    assert_eq!(world.list(&token).await, ["look"]);
    // By address, which may change.
    let mine = format!(
        "{LOOK}permit(principal is User, action, resource) when {{ principal.email == \"{EMAIL}\" }};"
    );
    world.cedar(&mine).await;
    assert!(goes(&world.call(&token, "add").await) && !goes(&world.call(&machine, "add").await));
    let core = &world.node.core;
    let (id, now) = (people::find(core, EMAIL).await.unwrap().id, core.now());
    let new = postern::types::user::Email::parse("moved@example.com").unwrap();
    core.store.write(move |tx| postern::storage::users::set_email(tx, id, EMAIL, &new, now)).await.unwrap();
    world.node.catch_up().await;
    assert!(!goes(&world.call(&token, "add").await), "the address of before");
}

#[actix_web::test]
async fn prompts_and_resources_are_listed_as_they_may_be_read() {
    let world = world().await;
    let token = world.token("notes:read").await;
    world.list(&token).await;
    world
        .cedar(
            "permit(principal, action == Action::\"resources/read\", resource) when { resource.uri like \"file:///srv/*\" };\n\
             permit(principal, action == Action::\"prompts/get\", resource == Prompt::\"greet\");",
        )
        .await;
    let says = |result: Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string();
        world.mcp.instead(Some(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )));
    };
    says(
        json!({"resources": [{"uri": "file:///srv/a", "name": "a"}, {"uri": "file:///etc/b", "name": "b"}]}),
    );
    let answer = world.send(&token, &message("resources/list", json!({}))).await;
    assert_eq!(answer.body["result"]["resources"], json!([{"uri": "file:///srv/a", "name": "a"}]));
    says(json!({"prompts": [{"name": "greet"}, {"name": "other"}]}));
    let answer = world.send(&token, &message("prompts/list", json!({}))).await;
    assert_eq!(answer.body["result"]["prompts"], json!([{"name": "greet"}]));
    says(json!({"resourceTemplates": [{"uriTemplate": "file:///{path}", "name": "t"}]}));
    let answer = world.send(&token, &message("resources/templates/list", json!({}))).await;
    assert_eq!(answer.body["result"]["resourceTemplates"].as_array().unwrap().len(), 1, "{}", answer.text);
    says(json!({}));
    for (method, params, passes) in [
        ("resources/read", json!({"uri": "file:///srv/a"}), true),
        ("resources/read", json!({"uri": "file:///etc/b"}), false),
        ("resources/subscribe", json!({"uri": "file:///srv/a"}), false),
        ("prompts/get", json!({"name": "greet"}), true),
        ("prompts/get", json!({"name": "other"}), false),
        ("completion/complete", json!({"ref": {"type": "ref/prompt", "name": "greet"}}), false),
    ] {
        let answer = world.send(&token, &message(method, params.clone())).await;
        assert_eq!(goes(&answer), passes, "{method} {params}: {}", answer.text);
    }
}

#[actix_web::test]
async fn a_stored_set_that_cannot_be_read_closes_the_server() {
    let world = world().await;
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    let core = &world.node.core;
    let id = core.live.view().resource(&world.uri).unwrap().id;
    for broken in ["", "permit(principal, action, resource) when { context.arguments.~ };", "allow everybody"]
    {
        let stored =
            StoredCedar { resource_id: id, policies: broken.to_owned(), set_at: core.now(), set_by: None };
        core.store.write(move |tx| rows::put(tx, &stored)).await.unwrap();
        world.node.catch_up().await;
        let answer = world.call(&token, "look").await;
        assert!(answer.text.contains("cannot be read"), "{broken}: {}", answer.text);
        assert_eq!(world.list(&token).await, Vec::<String>::new(), "{broken}");
        assert!(cedar::show(core, &world.uri).await.unwrap().problem.is_some());
    }
    world.cedar(LOOK).await;
    assert!(goes(&world.call(&token, "look").await), "set anew, it opens again");
}

#[actix_web::test]
async fn what_a_policy_decides_is_explained() {
    let world = world().await;
    let token = world.token("notes:read notes:write").await;
    world.list(&token).await;
    world.cedar(&format!("{LOOK}{TREASURY}{LARGE}")).await;
    let asked = async |tool: &str, arguments: Value| {
        let question = Question {
            email: EMAIL.to_owned(),
            uri: world.uri.clone(),
            method: "tools/call".to_owned(),
            name: Some(tool.to_owned()),
            target: None,
            arguments,
        };
        explain::explain(&world.node.core, &question).await.unwrap().remove(0)
    };
    for (groups, tool, arguments, rule, policies, words) in [
        (&[][..], "look", json!({}), "scope", &["look"][..], "look permits"),
        (&[], "add", json!({"amount": 5}), "cedar", &[], "No policy"),
        (&["treasury"], "add", json!({"amount": 5}), "scope", &["treasury"], "treasury permits"),
        (&["treasury"], "add", json!({"amount": 500}), "cedar", &["large"], "Ask the treasurer. (large)"),
        (&["treasury"], "add", json!({"amount": "5"}), "cedar", &["large"], "cannot judge"),
        (&["treasury"], "wipe", json!({}), "scope_missing", &[], "permission"),
    ] {
        world.groups(groups).await;
        let answer = asked(tool, arguments.clone()).await;
        assert_eq!(
            (answer.rule.as_str(), &answer.policies[..]),
            (rule, &policies.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()[..])
        );
        assert!(answer.why.contains(words), "{}", answer.why);
        // And so it is.
        assert_eq!(goes(&world.send(&token, &with(tool, arguments)).await), answer.goes, "{tool}");
    }
}

#[actix_web::test]
async fn a_set_with_mistakes_is_refused_and_what_looks_odd_is_said() {
    let world = world().await;
    let token = world.token("notes:read").await;
    world.list(&token).await;
    let (core, caller) = (&world.node.core, Caller::command_line());
    for (policies, words) in [
        ("permit(principal, action, resource)", "line 1, column 36"),
        ("permit(principal in Team::\"x\", action, resource);", "Team"),
        ("", "there is no policy"),
    ] {
        let refused = cedar::set(core, &caller, &world.uri, policies.to_owned()).await;
        assert!(matches!(&refused, Err(OrderError::Bad(why)) if why.contains(words)), "{refused:?}");
    }
    let found = cedar::set(core, &caller, crate::harness::NOTES, LOOK.to_owned()).await;
    assert!(matches!(found, Err(OrderError::Bad(_))), "that server is not behind the gateway");
    for missing in [cedar::show(core, &world.uri).await, cedar::remove(core, &caller, &world.uri).await] {
        assert!(matches!(missing, Err(OrderError::NotFound(_))), "{missing:?}");
    }
    let warnings = world.cedar("forbid(principal, action, resource == Tool::\"lok\");").await;
    assert!(warnings.iter().any(|text| text.contains("lok")), "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("no policy permits")), "{warnings:?}");
    // A server that is removed and added again has none.
    resources_gone(&world).await;
}

async fn resources_gone(world: &World) {
    let core = &world.node.core;
    let caller = Caller::command_line();
    postern::flow::resources::remove(core, &caller, &world.uri).await.unwrap();
    behind(&world.node, "notes", &world.mcp.url).await;
    let uri = ResourceUri::parse(&world.uri).unwrap();
    assert!(matches!(cedar::show(core, uri.as_str()).await, Err(OrderError::NotFound(_))));
}

#[actix_web::test]
async fn an_administrator_sets_policies_in_the_console_and_nobody_else() {
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
    let send = async |fields: &[(&str, &str)]| {
        let mut all = fields.to_vec();
        all.push(("csrf", &csrf));
        let answer = root.send(root.request("POST", &server).form(&all)).await;
        root.follow(answer).await
    };
    assert!(root.get(&server).await.words().contains("Policies in Cedar"));
    let set = |policies: &'static str| [("do", "set_cedar"), ("policies", policies)];
    let page = send(&set("permit(principal,\r\n  action resource);")).await;
    assert!(page.status >= 400 && page.words().contains("line 2, column 10"), "{}", page.words());
    let text = "@id(\"<b>look</b>\")\r\npermit(principal, action, resource == Tool::\"look\");\r\n\
                @id(\"no\") forbid(principal, action, resource == Tool::\"addd\");";
    let page = send(&set(text)).await;
    let words = page.words();
    assert!(words.contains("<b>look</b>permits") && words.contains("noforbids"), "{words}");
    assert!(words.contains("the server has shown no tool \"addd\""), "{words}");
    assert!(!page.text.contains("<b>look"), "a name is no markup");
    let shown = cedar::show(&world.node.core, &world.uri).await.unwrap();
    assert_eq!(
        (shown.policies, shown.set_by.as_deref()),
        (text.replace("\r\n", "\n"), Some("root@example.com"))
    );
    assert_eq!(world.list(&token).await, ["look"]);
    assert_eq!(world.records(AuditKind::CedarSet).await[0].detail["by"], "root@example.com");
    let why = format!("{server}/why?person={EMAIL}&tool=add");
    assert!(root.get(&why).await.words().contains("No policy of this gateway permits the call."));
    // Whoever may only look, and whoever may not.
    people::set_role(&world.node.core, &caller, "root@example.com", Role::Auditor).await.unwrap();
    let page = root.get(&server).await;
    assert!(
        page.words().contains("<b>look</b>permits") && !page.text.contains("<textarea"),
        "{}",
        page.words()
    );
    assert_eq!(send(&set("permit(principal, action, resource);")).await.status, 403);
    assert_eq!(send(&[("do", "remove_cedar")]).await.status, 403);
    people::set_role(&world.node.core, &caller, "root@example.com", Role::Member).await.unwrap();
    assert_eq!(root.get(&server).await.status, 403);
    assert_eq!(send(&[("do", "remove_cedar")]).await.status, 403);
    people::set_role(&world.node.core, &caller, "root@example.com", Role::Admin).await.unwrap();
    assert!(send(&[("do", "remove_cedar")]).await.status < 400);
    assert_eq!(world.list(&token).await, ["look", "add"]);
}
