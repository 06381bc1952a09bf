//! `/admin/servers` and `/admin/keys`: what is protected here, and the keys that sign for it.

use actix_web::{HttpRequest, HttpResponse, web};

use super::access::access_table;
use super::cuts::way;
use super::people::pairs;
use super::server_forms::editors;
use super::tools;
use super::{Desk, STRANGE, Strange, at, call_rules, cedar, choice, either, fact, line, marked, said, table};
use crate::flow::core::Core;
use crate::flow::keys::{self as flow_keys, KeyFilter, KeyState};
use crate::flow::resources::{self, ServerFilter};
use crate::flow::roles::{in_words, listed};
use crate::flow::{access_map, console};
use crate::storage::grants::GrantFilter;
use crate::types::access_rule::Who;
use crate::types::admin::ADMIN_API;
use crate::types::cut::Target;
use crate::types::id::ResourceId;
use crate::types::key::SigningAlg;
use crate::types::policy::CONSOLE_PAGE;
use crate::types::resource::{ClientRule, Resource, Risk};
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::console::Act;
use crate::wire::caller::From;

/// What a page of the list, or its export, is narrowed to.
pub(super) fn filter_of(desk: &Desk<'_>) -> Result<ServerFilter, Strange> {
    let way = |text: &str| match text {
        "gateway" => Some(true),
        "itself" => Some(false),
        _ => None,
    };
    Ok(ServerFilter { part: desk.words_of("q").unwrap_or_default(), gateway: desk.named_by("way", way)? })
}

/// What a page of the list of keys, or its export, is narrowed to.
pub(super) fn keys_filter_of(desk: &Desk<'_>) -> Result<KeyFilter, Strange> {
    let state = |text: &str| KEY_STATES.into_iter().find(|(name, ..)| *name == text);
    Ok(KeyFilter {
        alg: desk.named_by("alg", SigningAlg::parse)?,
        state: desk.named_by("state", state)?.map(|(_, _, state)| state),
    })
}

/// What a key does: name, words.
const KEY_STATES: [(&str, &str, KeyState); 3] = [
    ("current", "signs", KeyState::Current),
    ("next", "published, signs next", KeyState::Next),
    ("previous", "kept until its last token has ended", KeyState::Previous),
];

/// Every server.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let view_now = core.live.view();
            let mut view = desk.blank("servers", "Servers", "The MCP servers that trust this issuer.");
            let ways = [("gateway", "through the gateway"), ("itself", "by its own address")];
            let search = desk.search(
                "/servers",
                vec![line("q", "Name or address has"), choice("way", "Reached", "Either way", ways)],
            );
            let query = search.query();
            view.search = Some(search);
            let Ok(filter) = filter_of(&desk) else {
                view.refused = Some(STRANGE);
                return Ok(desk.show(view));
            };
            let mut rows = table(
                "",
                if query.is_empty() {
                    "No server is protected yet; see `postern resource add`."
                } else {
                    "No server is like that."
                },
                vec!["Server", "Address", "Reached", "Permissions", "Who may ask"],
            );
            for resource in resources::narrowed(&view_now, &filter) {
                rows.rows.push(vec![
                    desk.named(resource.name.clone(), &format!("/servers/{}", resource.id)),
                    said(resource.uri.as_str()),
                    said(if resource.upstream.is_some() {
                        "through the gateway"
                    } else {
                        "by its own address"
                    }),
                    said(resource.scopes.len().to_string()),
                    said(rule(resource)),
                ]);
            }
            view.exports = desk.exports("servers", &query);
            view.tables.push(rows);
            Ok(desk.show(view))
        }
        .await,
    )
}

/// One of them.
pub async fn get(
    request: HttpRequest,
    id: web::Path<String>,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let id = ResourceId::parse(&id).ok_or_else(|| desk.missing())?;
            let view_now = core.live.view();
            let resource = view_now.resource_by_id(id).ok_or_else(|| desk.missing())?;
            let mut view = desk.blank(
                "servers",
                resource.name.clone(),
                "What it allows, who uses it, and through which apps.",
            );
            view.facts = vec![
                fact("Address", said(resource.uri.as_str())),
                fact("Who may ask", said(rule(resource))),
                fact(
                    "Second factor",
                    said(if resource.second_factor_required { "needed for every approval" } else { "up to the person" }),
                ),
                fact("Signing", said(resource.signing_alg.as_str())),
                fact("Added", at(resource.created_at)),
                way(&desk, &Target::Resource(id)),
            ];
            let mut scopes =
                table("Permissions", "It has none.", vec!["Permission", "What it allows", "Risk"]);
            for scope in &resource.scopes {
                let risk = match scope.risk {
                    Risk::Reads => marked("reads", "good"),
                    Risk::Changes => marked("changes", "care"),
                    Risk::Deletes => marked("deletes", "harm"),
                };
                let query = pairs(&[("permission", &scope.name)]);
                let to = format!("/servers/{id}/who?{query}");
                scopes.rows.push(vec![desk.named(scope.name.clone(), &to), said(scope.description.clone()), risk]);
            }
            view.tables.push(scopes);
            let holders = resource.access_rule.holders.clone();
            let names = console::names_of(&core, holders.iter().filter_map(|holder| match holder.who {
                Who::Person(id) => Some(id),
                Who::Everyone | Who::Group(_) | Who::Console(_) => None,
            }).collect()).await.map_err(|cause| desk.fault(&cause))?;
            let who = |who: &Who| in_words(who, |id| names.get(&id).map_or_else(|| id.to_string(), |user| user.email.clone()));
            if !resource.uri.is_meant_by(&core.policy.issuer.url(ADMIN_API)) {
                view.editors = editors(resource, who);
            }
            let route = resource.slug.as_ref().and_then(|slug| view_now.routes.get(slug));
            tools::show(&mut view, resource, route.map(AsRef::as_ref), core.now());
            call_rules::show(&mut view, resource, route.map(AsRef::as_ref));
            cedar::show(&mut view, &core, resource, route.map(AsRef::as_ref));
            let mut roles = table(
                "Who may be granted what",
                "",
                vec!["Role", "Permissions it allows", "Who has it"],
            );
            if resource.access_rule.is_open() {
                roles.empty = "Everyone may be granted everything here: nobody has been given a role yet. See `postern role give`.";
            } else {
                for name in resource.role_names() {
                    let allowed = resource.role_scopes(name).unwrap_or_default();
                    let has: Vec<String> =
                        holders.iter().filter(|holder| holder.role == name).map(|holder| who(&holder.who)).collect();
                    let has = if has.is_empty() { "nobody".to_owned() } else { has.join(", ") };
                    roles.rows.push(vec![said(name), said(listed(&allowed)), said(has)]);
                }
            }
            view.tables.push(roles);
            let filter = GrantFilter { resource_id: Some(id), ..GrantFilter::default() };
            let (grants, names) =
                access_map::page(&core, filter, None, CONSOLE_PAGE).await.map_err(|cause| desk.fault(&cause))?;
            view.exports = vec![("evidence of the last 24 hours", desk.evidence(&format!("server={id}")))];
            view.tables.push(access_table(&desk, "Who uses it", &grants, &names, &format!("server={id}")));
            Ok(desk.show(view))
        }
        .await,
    )
}

/// The signing keys.
pub async fn keys(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let mut view = desk.blank("keys", "Signing keys", "The keys that sign tokens. The next one is published before it signs, the old one kept until its last token has ended.");
            let states = KEY_STATES.map(|(name, words, _)| (name, words));
            let algs = SigningAlg::ALL.map(|alg| (alg.as_str(), alg.as_str()));
            let search = desk.search(
                "/keys",
                vec![choice("state", "State", "Any", states), choice("alg", "Algorithm", "Any", algs)],
            );
            let query = search.query();
            view.search = Some(search);
            let Ok(filter) = keys_filter_of(&desk) else {
                view.refused = Some(STRANGE);
                return Ok(desk.show(view));
            };
            let all = flow_keys::narrowed(&core, filter).await.map_err(|cause| desk.fault(&cause))?;
            let mut rows = table("", "There is none.", vec!["Key", "Algorithm", "State", "Made"]);
            for (key, state) in &all {
                let words = KEY_STATES.iter().find(|(.., known)| known == state).map_or("", |(_, words, _)| words);
                let state = if *state == KeyState::Current { marked(words, "good") } else { said(words) };
                rows.rows.push(vec![said(key.kid.clone()), said(key.alg.as_str()), state, at(key.created_at)]);
            }
            view.exports = desk.exports("keys", &query);
            view.tables.push(rows);
            view.acts.push(Act {
                title: "Rotate",
                effect: "A new key is published now and takes over as soon as every server can have seen it. Nothing stops working.".to_owned(),
                to: "/keys".to_owned(),
                fields: Vec::new(),
                choice: None,
                asks: None,
                button: "Rotate",
                harm: false,
            });
            Ok(desk.show(view))
        }
        .await,
    )
}

/// Makes the next keys.
pub async fn rotate(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let (desk, _) = Desk::act(&request, payload, &core, &site, "/admin/keys").await?;
            flow_keys::rotate(&core, &desk.caller(&from)).await.map_err(|cause| desk.fault(&cause))?;
            Ok(redirect(&desk.at("/keys?done=rotated"), None))
        }
        .await,
    )
}

fn rule(resource: &Resource) -> String {
    match &resource.client_rule {
        ClientRule::Anyone => "any app, after consent".to_owned(),
        ClientRule::PreRegistered => "apps that an administrator has added".to_owned(),
        ClientRule::Only { clients, domains } => {
            let named: Vec<&str> = clients.iter().chain(domains).map(String::as_str).collect();
            format!("only {}", named.join(", "))
        }
    }
}
