//! The forms of `/admin/servers/{id}`: its settings, its roles, and who has them.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Desk, call_rules, cedar, either, tools, vault};
use crate::flow::core::Core;
use crate::flow::people::{self, OrderError};
use crate::flow::resources::{self, GatewayChange, ResourceChange};
use crate::flow::roles::{self, Change};
use crate::types::access_rule::{Holder, NamedRole, Who};
use crate::types::id::ResourceId;
use crate::types::resource::{ClientRule, Resource};
use crate::web::door::Form;
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::editor::{Editor, Entry, Input};
use crate::wire::caller::From;

/// Changes settings or roles.
pub async fn post(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let here = format!("/admin/servers/{}", *id);
            let (desk, form) = Desk::act(&request, payload, &core, &site, &here).await?;
            let id = ResourceId::parse(&id).ok_or_else(|| desk.missing())?;
            let resource = core.live.view().resource_by_id(id).cloned().ok_or_else(|| desk.missing())?;
            let (uri, caller) = (resource.uri.as_str(), desk.caller(&from));
            let done = match form.value("do") {
                "settings" => match settings(&form) {
                    Ok(change) => resources::set(&core, &caller, uri, change).await.map(|_| "changed"),
                    Err(why) => Err(why),
                },
                "approve_tools" => tools::decide(&core, &caller, uri, true, &form).await,
                "block_tools" => tools::decide(&core, &caller, uri, false, &form).await,
                "show_key" | "forget_key" => vault::change(&core, &caller, uri, &form).await,
                "add_rule" | "remove_rule" => call_rules::change(&core, &caller, &resource, &form).await,
                "set_cedar" | "remove_cedar" => cedar::change(&core, &caller, &resource, &form).await,
                what => match role_change(&core, what, &form).await {
                    Ok(Some(change)) => roles::change(&core, &caller, uri, change).await.map(|_| "changed"),
                    Ok(None) => return Err(desk.missing()),
                    Err(why) => Err(why),
                },
            };
            match done {
                Ok(code) => Ok(redirect(&format!("{}{here}?done={code}", site.shell.base), None)),
                Err(why) => Err(desk.refuse("servers", &why, &format!("/servers/{id}"))),
            }
        }
        .await,
    )
}

fn settings(form: &Form) -> Result<ResourceChange, OrderError> {
    let client_rule = match form.value("clients") {
        "anyone" => ClientRule::Anyone,
        "added" => ClientRule::PreRegistered,
        "listed" => {
            let more = [form.value("more").trim()];
            let all = form.values("listed").into_iter().chain(more).filter(|name| !name.is_empty());
            // The id of a client is an address, or has no dot.
            let (domains, clients) =
                all.map(str::to_owned).partition(|name| name.contains('.') && !name.contains('/'));
            ClientRule::Only { clients, domains }
        }
        _ => return Err(OrderError::Bad("say which apps may ask".to_owned())),
    };
    let second_factor_required = match form.value("second_factor") {
        "required" => true,
        "optional" => false,
        _ => return Err(OrderError::Bad("say whether a second factor is needed".to_owned())),
    };
    Ok(ResourceChange {
        name: Some(form.value("name").to_owned()),
        second_factor_required: Some(second_factor_required),
        client_rule: Some(client_rule),
        gateway: GatewayChange::default(),
    })
}

/// `None` when it is no change of roles.
async fn role_change(core: &Core, what: &str, form: &Form) -> Result<Option<Change>, OrderError> {
    let role = form.value("role").to_owned();
    Ok(Some(match what {
        "define" => {
            let scopes = form.values("scope").into_iter().map(str::to_owned).collect();
            Change::Define(NamedRole { name: role, scopes })
        }
        "remove" => Change::Remove(role),
        "give" => {
            let who = match form.value("who") {
                "everyone" => Who::Everyone,
                "group" => Who::Group(form.value("name").trim().to_owned()),
                "person" => Who::Person(people::find(core, form.value("name").trim()).await?.id),
                _ => return Err(OrderError::Bad("say who gets the role".to_owned())),
            };
            Change::Give(Holder { role, who })
        }
        "take" => {
            let holder = serde_json::from_str(form.value("holder"))
                .map_err(|_| OrderError::Bad("say from whom to take the role".to_owned()))?;
            Change::Take(holder)
        }
        _ => return Ok(None),
    }))
}

fn option(value: &str, words: &str, present: bool) -> (String, String, bool) {
    (value.to_owned(), words.to_owned(), present)
}

const fn input(name: &'static str, label: &'static str, entry: Entry) -> Input {
    Input { name, label, entry }
}

/// The fields of the settings.
fn settings_inputs(resource: &Resource) -> Vec<Input> {
    let listed: Vec<(String, String, bool)> = match &resource.client_rule {
        ClientRule::Only { clients, domains } => {
            clients.iter().chain(domains).map(|name| option(name, name, true)).collect()
        }
        ClientRule::Anyone | ClientRule::PreRegistered => Vec::new(),
    };
    let is = |rule: &str| match &resource.client_rule {
        ClientRule::Anyone => rule == "anyone",
        ClientRule::PreRegistered => rule == "added",
        ClientRule::Only { .. } => rule == "listed",
    };
    let needed = resource.second_factor_required;
    vec![
        input("name", "Name", Entry::Line(resource.name.clone(), true)),
        input(
            "second_factor",
            "Second factor",
            Entry::Choice(vec![
                option("optional", "up to the person", !needed),
                option("required", "needed for every approval", needed),
            ]),
        ),
        input(
            "clients",
            "Which apps may ask",
            Entry::Choice(vec![
                option("anyone", "any app, after consent", is("anyone")),
                option("added", "apps that an administrator has added", is("added")),
                option("listed", "only those listed here", is("listed")),
            ]),
        ),
        input("listed", "The list", Entry::Boxes(listed)),
        input("more", "One more on the list: an app’s id, or a domain", Entry::Line(String::new(), false)),
    ]
}

/// What an administrator may change of a server; `in_words` names a holder.
pub(super) fn editors(resource: &Resource, in_words: impl Fn(&Who) -> String) -> Vec<Editor> {
    let to = format!("/servers/{}", resource.id);
    let editor = |title, effect, what: &str, inputs, button, harm| Editor {
        title,
        effect,
        to: to.clone(),
        looks: false,
        fields: vec![("do", what.to_owned())],
        inputs,
        button,
        harm,
    };
    let role_names: Vec<(String, String, bool)> =
        resource.role_names().into_iter().map(|name| option(name, name, false)).collect();
    let boxes = resource
        .scopes
        .iter()
        .map(|scope| (scope.name.clone(), format!("{}: {}", scope.name, scope.description), false))
        .collect();
    let mut all = vec![
        editor(
            "Settings",
            "Approvals of apps that may not ask any more end at once. A second factor is asked for from the next approval on.",
            "settings",
            settings_inputs(resource),
            "Save",
            true,
        ),
        editor(
            "Give a role",
            "The first role given closes the server to everyone who has none; what they had ends at once.",
            "give",
            vec![
                input("role", "Role", Entry::Choice(role_names)),
                input(
                    "who",
                    "Who gets it",
                    Entry::Choice(vec![
                        option("group", "a group", true),
                        option("person", "one person", false),
                        option("everyone", "everyone who can sign in", false),
                    ]),
                ),
                input("name", "The group’s name or the person’s e-mail", Entry::Line(String::new(), false)),
            ],
            "Give",
            true,
        ),
    ];
    if !resource.access_rule.holders.is_empty() {
        let holders = resource.access_rule.holders.iter().filter_map(|holder| {
            let value = serde_json::to_string(holder).ok()?;
            Some((value, format!("{}: {}", holder.role, in_words(&holder.who)), false))
        });
        all.push(editor(
            "Take a role back",
            "What only this role allowed ends at once. With the last one taken, the server is open to everyone again.",
            "take",
            vec![input("holder", "Which", Entry::Choice(holders.collect()))],
            "Take back",
            true,
        ));
    }
    all.push(editor(
        "Define a role",
        "A role of this name is said anew; what it allows no more ends at once.",
        "define",
        vec![
            input("role", "Name", Entry::Line(String::new(), true)),
            input("scope", "What it allows", Entry::Boxes(boxes)),
        ],
        "Define",
        true,
    ));
    let own = resource.access_rule.roles.iter().map(|role| option(&role.name, &role.name, false));
    let own: Vec<(String, String, bool)> = own.collect();
    if !own.is_empty() {
        all.push(editor(
            "Remove a role",
            "Whoever has it has it no more; what only it allowed ends at once. A built-in role of the same name comes back.",
            "remove",
            vec![input("role", "Role", Entry::Choice(own))],
            "Remove",
            true,
        ));
    }
    all
}
