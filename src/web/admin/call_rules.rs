//! Rules about calls to a server behind the gateway, on its page, and why a call goes through or not.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Desk, either, fact, marked, said, table};
use crate::flow::call_rules::{self, NewRule, RULED_METHODS};
use crate::flow::core::{Caller, Core};
use crate::flow::explain::{self, Question};
use crate::flow::gateway::Route;
use crate::flow::people::OrderError;
use crate::types::call_rule::{Condition, Effect, Subject};
use crate::types::callers::CallerRule;
use crate::types::id::ResourceId;
use crate::types::resource::Resource;
use crate::types::tool::ToolClass;
use crate::web::door::Form;
use crate::web::site::Site;
use crate::web::view::console::{Act, ConsolePage};
use crate::web::view::editor::{Editor, Entry, Input};

/// Fields for conditions; a rule made on the command line may have more.
const CONDITIONS: [(&str, &str); 3] =
    [("when1", "When, such as amount > 1000"), ("when2", "And when"), ("when3", "And when also")];

/// Fields for whose calls it is about; several are parted by commas.
const CALLERS: [(&str, &str); 2] =
    [("only", "Whose, such as group:finance; everybody’s when empty"), ("except", "But not those of")];

/// Adds the rules, and what one can do about them; nothing where the server is not behind the gateway.
pub(super) fn show(view: &mut ConsolePage, resource: &Resource, route: Option<&Route>) {
    let Some(route) = route else { return };
    let to = format!("/servers/{}", resource.id);
    let mut rows = table(
        "Rules about calls",
        "There is none: permissions and classes of tools decide alone.",
        vec!["About", "Whose", "When", "What happens", "Why"],
    );
    for rule in &route.rules {
        let conditions: Vec<&str> = rule.conditions.iter().map(Condition::as_str).collect();
        let when = if conditions.is_empty() { "always".to_owned() } else { conditions.join(", and ") };
        let happens = match rule.effect {
            Effect::Deny => marked("refused", "harm"),
            Effect::Ask => marked("waits for you", "care"),
        };
        rows.rows.push(vec![
            said(rule.subject.to_string()),
            said(rule.callers.to_string()),
            said(when),
            happens,
            said(rule.reason.clone()),
        ]);
        view.acts.push(Act {
            title: "Remove a rule",
            effect: format!("Calls of {} are not held up by “{}” any more.", rule.subject, rule.reason),
            to: to.clone(),
            fields: vec![("do", "remove_rule".to_owned()), ("rule", rule.id.to_string())],
            choice: None,
            asks: None,
            button: "Remove",
            harm: false,
        });
    }
    view.tables.push(rows);
    let option = |value: &str, words: &str| (value.to_owned(), words.to_owned(), false);
    let mut subjects = vec![option("every", "every tool")];
    let classes = ToolClass::ALL.map(Subject::Class);
    let mut tools: Vec<&String> = route.tools.keys().collect();
    tools.sort_unstable();
    let tools = tools.into_iter().map(|name| Subject::Tool(name.clone()));
    let methods = RULED_METHODS.map(|name| Subject::Method(name.to_owned()));
    for subject in classes.into_iter().chain(tools).chain(methods) {
        let (kind, value) = subject.parts();
        subjects.push(option(&format!("{kind} {value}"), &subject.to_string()));
    }
    let mut inputs = vec![Input { name: "about", label: "About", entry: Entry::Choice(subjects) }];
    inputs.extend(CONDITIONS.map(|(name, label)| Input {
        name,
        label,
        entry: Entry::Line(String::new(), false),
    }));
    inputs.extend(CALLERS.map(|(name, label)| Input {
        name,
        label,
        entry: Entry::Line(String::new(), false),
    }));
    inputs.push(Input {
        name: "effect",
        label: "What happens",
        entry: Entry::Choice(vec![
            option("ask", "somebody is asked about each call"),
            option("deny", "it is refused"),
        ]),
    });
    inputs.push(Input {
        name: "reason",
        label: "Why, as whoever calls reads it",
        entry: Entry::Line(String::new(), true),
    });
    view.editors.push(Editor {
        title: "Add a rule about calls",
        effect: "It only takes away, from the next call on. A condition is an argument’s name, one of = != > >= < <= ~ !~ in not-in under \
                 not-under longer-than present absent, and a value.",
        to: to.clone(),
        looks: false,
        fields: vec![("do", "add_rule".to_owned())],
        inputs,
        button: "Add the rule",
        harm: true,
    });
    view.editors.push(why_form(resource.id, &Asked::default()));
}

/// What was asked about a call.
#[derive(Default)]
struct Asked {
    person: String,
    tool: String,
    arguments: String,
}

fn why_form(id: ResourceId, asked: &Asked) -> Editor {
    let line = |name, label, value: &str, needed| Input {
        name,
        label,
        entry: Entry::Line(value.to_owned(), needed),
    };
    Editor {
        title: "Would a call go through?",
        effect: "Says why or why not. Nothing is called.",
        to: format!("/servers/{id}/why"),
        looks: true,
        fields: Vec::new(),
        inputs: vec![
            line("person", "Whose call, by e-mail", &asked.person, true),
            line("tool", "Tool", &asked.tool, true),
            line("arguments", "Arguments, as JSON", &asked.arguments, false),
        ],
        button: "Ask",
        harm: false,
    }
}

/// Makes or removes a rule.
pub(super) async fn change(
    core: &Core,
    caller: &Caller,
    resource: &Resource,
    form: &Form,
) -> Result<&'static str, OrderError> {
    if form.value("do") == "remove_rule" {
        call_rules::remove(core, caller, form.value("rule"), Some(resource.id)).await?;
        return Ok("changed");
    }
    let about = form.value("about");
    let (kind, value) = about.split_once(' ').unwrap_or((about, ""));
    let bad = |text: &str| OrderError::Bad(text.to_owned());
    let [only, except] = CALLERS.map(|(name, _)| {
        let parts = form.value(name).split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect::<Vec<_>>()
    });
    let conditions = CONDITIONS.iter().map(|(name, _)| form.value(name).trim().to_owned());
    let new = NewRule {
        subject: Subject::of(kind, value).ok_or_else(|| bad("say what the rule is about"))?,
        conditions: conditions.filter(|text| !text.is_empty()).collect(),
        callers: CallerRule::parse(&only, &except).map_err(OrderError::Bad)?,
        effect: Effect::parse(form.value("effect")).ok_or_else(|| bad("say what happens"))?,
        reason: form.value("reason").trim().to_owned(),
    };
    call_rules::add(core, caller, resource.uri.as_str(), new).await?;
    Ok("changed")
}

/// Why a call would go through or not.
pub async fn why(
    request: HttpRequest,
    id: web::Path<String>,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let id = ResourceId::parse(&id).ok_or_else(|| desk.missing())?;
            let resource = core.live.view().resource_by_id(id).cloned().ok_or_else(|| desk.missing())?;
            let asked = Asked {
                person: desk.asked("person").trim().to_owned(),
                tool: desk.asked("tool").trim().to_owned(),
                arguments: desk.asked("arguments").trim().to_owned(),
            };
            let back = format!("/servers/{id}");
            let text = if asked.arguments.is_empty() { "{}" } else { &asked.arguments };
            let Ok(arguments @ serde_json::Value::Object(_)) = serde_json::from_str(text) else {
                let why = OrderError::Bad("arguments are a JSON object, such as {\"amount\": 5}".to_owned());
                return Err(desk.refuse("servers", &why, &back));
            };
            let question = Question {
                email: asked.person.clone(),
                uri: resource.uri.to_string(),
                method: "tools/call".to_owned(),
                name: Some(asked.tool.clone()),
                target: None,
                arguments,
            };
            let answers = explain::explain(&core, &question).await;
            let answers = answers.map_err(|why| desk.refuse("servers", &why, &back))?;
            let goes = answers.iter().any(|answer| answer.goes);
            let lead = if goes { "It would go through." } else { "It would not go through." };
            let mut view = desk.blank("servers", format!("{}: {}", resource.name, asked.tool), lead);
            view.facts = vec![
                fact("Server", desk.named(resource.name.clone(), &back)),
                fact("Person", said(asked.person.clone())),
                fact("Arguments", said(text)),
            ];
            let mut rows =
                table("Under each approval", "", vec!["Approval", "Allows", "Goes through", "Why"]);
            for answer in &answers {
                let approval = answer.grant.map_or_else(
                    || said("none"),
                    |grant| desk.named(answer.app.clone(), &format!("/access/{grant}")),
                );
                let goes = if answer.goes { marked("yes", "good") } else { marked("no", "harm") };
                rows.rows.push(vec![
                    approval,
                    said(answer.scopes.to_string()),
                    goes,
                    said(answer.why.clone()),
                ]);
            }
            view.tables.push(rows);
            view.editors.push(why_form(id, &asked));
            Ok(desk.show(view))
        }
        .await,
    )
}
