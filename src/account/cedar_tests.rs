use serde_json::json;

use super::*;
use crate::types::callers::Standing;
use crate::types::id::UserId;
use crate::types::random::SystemRng;
use crate::types::time::Timestamp;
use crate::types::user::Role;

const SERVER: &str = "https://auth.example.com/mcp/bank";

fn standing(groups: &[&str]) -> Standing {
    Standing {
        id: UserId::new(Timestamp::from_seconds(0), &SystemRng),
        email: "Ada@Example.com".to_owned(),
        groups: groups.iter().map(|&name| name.to_owned()).collect(),
        roles: vec!["reader".to_owned()],
        console: Role::Auditor,
    }
}

fn person(standing: &Standing) -> CallerFacts<'_> {
    CallerFacts { kind: PassKind::App, client: "https://c.example/id", standing: Some(standing) }
}

const MACHINE: CallerFacts<'_> = CallerFacts { kind: PassKind::Machine, client: "robot", standing: None };

fn policies(text: &str) -> Policies {
    let policies = Policies::stored(SERVER, text.to_owned());
    assert_eq!(policies.problem(), None, "{text}");
    policies
}

fn judged(text: &str, by: CallerFacts<'_>, arguments: Option<&Value>) -> Result<Vec<String>, Refusal> {
    policies(text).judge(Ask::Tool("transfer"), ToolClass::Write, by, arguments)
}

const ALL: &str = "permit(principal, action, resource);";

#[test]
fn what_no_policy_permits_is_refused_and_a_forbid_wins() {
    let ada = standing(&["treasury"]);
    let none = json!({});
    let call = |text: &str| judged(text, person(&ada), Some(&none));
    for (condition, permitted) in [
        ("principal in Group::\"treasury\"", true),
        ("principal in Group::\"Treasury\"", false),
        ("principal in Role::\"reader\"", true),
        ("principal is User && principal.email == \"ada@example.com\"", true),
        ("principal is User && principal.console == \"auditor\"", true),
        ("principal is Client", false),
        ("action == Action::\"tools/call\"", true),
        ("resource == Tool::\"transfer\"", true),
        ("resource in Server::\"https://auth.example.com/mcp/bank\"", true),
        ("resource in Server::\"https://auth.example.com/mcp/other\"", false),
        ("resource is Tool && resource.class == \"write\"", true),
        ("resource is Tool && resource.name like \"trans*\"", true),
        ("context.client == \"https://c.example/id\" && context.kind == \"app\"", true),
        ("context has arguments && context.arguments == {}", true),
    ] {
        let found =
            call(&format!("@id(\"this\") permit(principal, action, resource) when {{ {condition} }};"));
        let expected = if permitted { Ok(vec!["this".to_owned()]) } else { Err(Refusal::NothingPermits) };
        assert_eq!(found, expected, "{condition}");
    }
    let id = format!("permit(principal == User::\"{}\", action, resource);", ada.id);
    assert_eq!(call(&id), Ok(vec!["policy0".to_owned()]));
    let robot = "permit(principal == Client::\"robot\", action, resource);";
    assert_eq!(judged(robot, MACHINE, Some(&none)), Ok(vec!["policy0".to_owned()]));
    assert_eq!(call(robot), Err(Refusal::NothingPermits));
    let two = format!(
        "{ALL} @id(\"no\") @reason(\"Not now.\") forbid(principal, action, resource); forbid(principal, action, resource);"
    );
    let refused = call(&two).unwrap_err();
    assert_eq!(
        refused,
        Refusal::Forbidden(vec!["no".to_owned(), "policy2".to_owned()], Some("Not now.".to_owned()))
    );
    assert_eq!(refused.to_string(), "A policy of this gateway refuses the call: Not now.");
}

/// What a caller sends must not get round a policy: neither one that forbids nor one that permits.
#[test]
fn what_cannot_be_judged_is_refused() {
    let ada = standing(&[]);
    let over =
        format!("{ALL} forbid(principal, action, resource) when {{ context.arguments.amount > 100 }};");
    let guarded = format!(
        "{ALL} forbid(principal, action, resource) when {{ context.arguments has amount && context.arguments.amount > 100 }};"
    );
    let within = "permit(principal, action, resource) when { context.arguments.amount <= 100 };";
    for text in [&over, &guarded, within] {
        for (amount, good) in [
            (json!(100), true),
            (json!(100.0), true),
            (json!(-1), true),
            (json!(101), false),
            (json!(101.0), false),
            (json!("101"), false),
            (json!("1"), false),
            (json!(100.5), false),
            (json!(1e300), false),
            (json!(-1e300), false),
            (json!(u64::MAX), false),
            (json!(null), false),
            (json!([1]), false),
            (json!({"amount": 1}), false),
            (json!(true), false),
            (json!({"__extn": {"fn": "decimal", "arg": "1.0"}}), false),
            (json!({"__entity": {"type": "Group", "id": "treasury"}}), false),
        ] {
            let found = judged(text, person(&ada), Some(&json!({"amount": amount})));
            assert_eq!(found.is_ok(), good, "{amount}: {found:?} by {text}");
        }
    }
    // Missing: what is compared is not there.
    for (text, good) in [(&over[..], false), (&guarded, true), (within, false)] {
        for arguments in [json!({}), json!(null), json!({"Amount": 5}), json!({"amount ": 5})] {
            assert_eq!(judged(text, person(&ada), Some(&arguments)).is_ok(), good, "{arguments} by {text}");
        }
    }
    // Lists keep what Cedar has no value for, so that an allow-list is not satisfied by what it does not see.
    let listed =
        "permit(principal, action, resource) when { [\"a\", \"b\"].containsAll(context.arguments.to) };";
    for (to, good) in [
        (json!(["a"]), true),
        (json!(["a", null]), false),
        (json!(["a", 1e300]), false),
        (json!("a"), false),
        (json!(["a", "c"]), false),
    ] {
        assert_eq!(judged(listed, person(&ada), Some(&json!({"to": to}))).is_ok(), good, "{to}");
    }
    // An argument that looks like an entity is none.
    let own = "permit(principal, action, resource) when { context.arguments.who == principal };";
    let forged = json!({"who": {"__entity": {"type": "User", "id": ada.id.to_string()}}});
    assert_eq!(judged(own, person(&ada), Some(&forged)), Err(Refusal::NothingPermits));
    // Somebody of whom nothing is known is not taken for a machine, or for somebody in no group.
    let unknown = CallerFacts { kind: PassKind::App, client: "robot", standing: None };
    assert_eq!(judged(ALL, unknown, Some(&json!({}))), Err(Refusal::Unjudged(Vec::new())));
    // Any policy that errs refuses, whatever the others say.
    let errs =
        format!("{ALL} @id(\"odd\") permit(principal, action, resource) when {{ context.arguments.x.y }};");
    assert_eq!(judged(&errs, person(&ada), Some(&json!({}))), Err(Refusal::Unjudged(vec!["odd".to_owned()])));
}

#[test]
fn deep_and_large_arguments_are_judged() {
    let ada = standing(&[]);
    let mut deep = json!(1);
    for _ in 0..crate::types::policy::MAX_CALL_DEPTH {
        deep = json!([{ "a": deep }]);
    }
    let text = format!("{ALL} forbid(principal, action, resource) when {{ context.arguments.n > 1 }};");
    let judge =
        |n: i64| judged(&text, person(&ada), Some(&json!({"n": n, "deep": deep, "much": vec![n; 10_000]})));
    assert!(judge(1).is_ok());
    assert!(matches!(judge(2), Err(Refusal::Forbidden(..))));
    // What is too much to look at is refused where anything looks at it.
    let many = json!({ "n": vec![1; crate::types::policy::MAX_CEDAR_VALUES] });
    assert_eq!(judged(&text, person(&ada), Some(&many)), Err(Refusal::Unjudged(Vec::new())));
    let escaped = text.replace(".arguments", r#"["\u{61}rguments"]"#);
    assert_eq!(judged(&escaped, person(&ada), Some(&many)), Err(Refusal::Unjudged(Vec::new())));
    assert!(judged(&escaped, person(&ada), Some(&json!({"n": 1}))).is_ok());
    let blind = "permit(principal, action, resource) when { context.kind == \"app\" };";
    assert!(judged(blind, person(&ada), Some(&many)).is_ok());
}

#[test]
fn a_list_shows_what_only_arguments_could_refuse() {
    let ada = standing(&["treasury"]);
    let by = person(&ada);
    for (text, shown) in [
        (ALL.to_owned(), true),
        ("permit(principal, action, resource) when { context.arguments.amount < 5 };".to_owned(), true),
        (format!("{ALL} forbid(principal, action, resource) when {{ context.arguments.amount > 5 }};"), true),
        (format!("{ALL} forbid(principal, action, resource == Tool::\"transfer\");"), false),
        (format!("{ALL} forbid(principal, action, resource == Tool::\"look\");"), true),
        (
            format!(
                "{ALL} forbid(principal, action, resource) when {{ context.kind == \"app\" }}; \
                 forbid(principal, action, resource) when {{ context.arguments.x }};"
            ),
            false,
        ),
        (
            "permit(principal in Group::\"sales\", action, resource) when { context.arguments.amount < 5 };"
                .to_owned(),
            false,
        ),
    ] {
        assert_eq!(judged(&text, by, None).is_ok(), shown, "{text}");
    }
    let templates = Ask::Read { method: "", name: None, uri: None };
    let none = policies("forbid(principal, action, resource);");
    assert!(none.judge(templates, ToolClass::Read, by, None).is_ok(), "each is judged when it is read");
}

#[test]
fn prompts_and_resources_are_judged_by_what_they_are() {
    let ada = standing(&[]);
    let set = policies(
        "permit(principal, action == Action::\"resources/read\", resource) when { resource.uri like \"file:///srv/*\" }; \
         permit(principal, action == Action::\"prompts/get\", resource == Prompt::\"greet\"); \
         permit(principal, action == Action::\"completion/complete\", resource == Server::\"https://auth.example.com/mcp/bank\");",
    );
    for (method, name, uri, good) in [
        ("resources/read", None, Some("file:///srv/a"), true),
        ("resources/read", None, Some("file:///etc/a"), false),
        ("resources/read", None, None, false),
        ("resources/subscribe", None, Some("file:///srv/a"), false),
        ("prompts/get", Some("greet"), None, true),
        ("prompts/get", Some("other"), None, false),
        ("prompts/get", None, None, false),
        ("completion/complete", None, None, true),
    ] {
        let found =
            set.judge(Ask::Read { method, name, uri }, ToolClass::Read, person(&ada), Some(&Value::Null));
        assert_eq!(found.is_ok(), good, "{method} {name:?} {uri:?}: {found:?}");
    }
}

#[test]
fn what_cannot_be_read_refuses_everything() {
    for text in
        ["", "permit(principal, action, resource)", "permit(principal == ?principal, action, resource);"]
    {
        let set = Policies::stored(SERVER, text.to_owned());
        assert!(set.problem().is_some(), "{text}");
        for arguments in [None, Some(&json!({}))] {
            let found = set.judge(Ask::Tool("look"), ToolClass::Read, MACHINE, arguments);
            assert_eq!(found, Err(Refusal::Unreadable), "{text}");
        }
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (text, words) in [
        ("permit(principal, action, resource)", "line 1, column 36: unexpected end of input"),
        (
            "permit(principal, action, resource);\nforbid(principal, action, resource) when { 1 > };",
            "line 2, column 48",
        ),
        (
            "permit(principal, action == Action::\"tools/cal\", resource);",
            "did you mean `Action::\"tools/call\"`?",
        ),
        ("permit(principal in Grop::\"x\", action, resource);", "line 1, column 21"),
        ("permit(principal, action, resource) when { principal.email == \"x\" };", "`Client` not found"),
        ("permit(principal is User, action, resource) when { context.argument.a };", "`arguments`"),
        (
            "permit(principal is User, action, resource) when { context.arguments.n > 1 && principal.emial == \"x\" };",
            "did you mean `email`?",
        ),
        ("permit(principal == ?principal, action, resource);", "is a template"),
        ("// nothing", "there is no policy"),
        ("// \0\npermit(principal, action, resource);", "control character"),
        (
            &format!("permit(principal, action, resource) when {{ {}true", "(".repeat(20_000)),
            "line 1: brackets",
        ),
    ] {
        let found = check(text, None).unwrap_err();
        assert!(found.iter().any(|problem| problem.contains(words)), "{text}: {found:?}");
    }
    let long = format!("{ALL}// {}", "x".repeat(crate::types::policy::MAX_CEDAR));
    assert!(check(&long, None).is_err());
}

#[test]
fn what_the_schema_cannot_know_is_no_mistake() {
    for text in [
        "permit(principal, action, resource) when { context.arguments.amount > 100 };",
        "permit(principal, action, resource) when { context.arguments has a && context.arguments.a.b.c == 1 };",
        "permit(principal, action, resource) when { context.arguments[\"a b\"].contains(principal) };",
        "permit(principal, action, resource is Tool) when { context.arguments.n.lessThan(decimal(\"1.5\")) };",
        "permit(principal, action, resource) when { context.arguments.x != Json::\"null\" };",
    ] {
        assert_eq!(check(text, None), Ok(Checked { count: 1, warnings: Vec::new() }), "{text}");
    }
    let (roles, tools) = (["reader".to_owned()].into(), ["look".to_owned()].into());
    let known = Names { server: SERVER, roles: &roles, tools: &tools };
    let text = "forbid(principal in Role::\"reder\", action, resource == Tool::\"lok\"); \
                forbid(principal in Role::\"reader\", action, resource in Server::\"https://x\") unless { resource == Tool::\"look\" };";
    let found = check(text, Some(known)).unwrap().warnings;
    for words in
        ["no policy permits", "no tool \"lok\"", "no role \"reder\"", "\"https://x\" is another server"]
    {
        assert!(found.iter().any(|warning| warning.contains(words)), "{words}: {found:?}");
    }
}

#[test]
fn the_examples_of_the_document_mean_what_it_says() {
    let document = include_str!("../../docs/GATEWAY.md");
    let blocks = document.split("```").skip(1).step_by(2).map(str::trim_start);
    let examples: Vec<&str> = blocks.filter(|block| block.contains("(principal")).collect();
    let [treasury, machines] = examples[..] else { panic!("{examples:?}") };
    for text in [treasury, machines] {
        assert_eq!(check(text, None).map(|found| found.warnings), Ok(Vec::new()), "{text}");
    }
    let (ana, bob, contractor) = (standing(&["treasury"]), standing(&[]), standing(&["contractors"]));
    let set = policies(treasury);
    let call = |by: &Standing, tool, class, arguments: Value| {
        set.judge(Ask::Tool(tool), class, person(by), Some(&arguments)).is_ok()
    };
    assert!(call(&bob, "balance", ToolClass::Read, json!({})));
    assert!(!call(&bob, "transfer", ToolClass::Write, json!({"amount": 1})));
    assert!(call(&ana, "transfer", ToolClass::Write, json!({"amount": 1000})));
    assert!(!call(&ana, "transfer", ToolClass::Write, json!({"amount": 1001})));
    assert!(!call(&ana, "transfer", ToolClass::Write, json!({"amount": "1"})));
    let set = policies(machines);
    let note = |by, arguments: Value| {
        set.judge(Ask::Tool("write_note"), ToolClass::Write, by, Some(&arguments)).is_ok()
    };
    assert!(note(MACHINE, json!({"folder": "inbox"})) && note(person(&bob), json!({"folder": "mine"})));
    assert!(!note(MACHINE, json!({"folder": "mine"})) && !note(MACHINE, json!({})));
    let read = |by: &Standing, uri| {
        let ask = Ask::Read { method: "resources/read", name: None, uri: Some(uri) };
        set.judge(ask, ToolClass::Read, person(by), Some(&Value::Null)).is_ok()
    };
    assert!(read(&bob, "crm://customers/1") && read(&contractor, "crm://open/1"));
    assert!(!read(&contractor, "crm://customers/1"));
}
