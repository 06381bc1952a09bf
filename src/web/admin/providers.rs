//! `/admin/providers`: where people may sign in instead, and what is decided about it.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Desk, at, either, fact, marked, said, table};
use crate::flow::core::Core;
use crate::flow::people::OrderError;
use crate::flow::providers::{self, NewProvider};
use crate::types::identity::{Linking, Provider, Rules};
use crate::types::policy::CONSOLE_PAGE;
use crate::types::secret::Secret;
use crate::types::user::Role;
use crate::web::door::Form;
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::console::{Act, Cell};
use crate::web::view::editor::{Editor, Entry, Input};
use crate::wire::caller::From;

const PART: &str = "providers";

/// All of them, and the form for another.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let all = providers::list(&core).await.map_err(|cause| desk.fault(&cause))?;
            let mut rows = table(
                "",
                "People sign in here and nowhere else.",
                vec!["Provider", "Issuer", "Strangers", "Last sign-in", ""],
            );
            for provider in &all {
                rows.rows.push(vec![
                    desk.named(provider.name.clone(), &format!("/providers/{}", provider.id)),
                    said(provider.issuer.clone()),
                    said(strangers(&provider.rules)),
                    desk.ago(provider.last_sign_in_at),
                    state(provider),
                ]);
            }
            let mut view =
                desk.blank(PART, "Identity providers", "Where people may sign in instead of here.");
            view.tables.push(rows);
            view.editors.push(editor());
            Ok(desk.show(view))
        }
        .await,
    )
}

fn strangers(rules: &Rules) -> &'static str {
    match (rules.linking, rules.creates_people) {
        (Linking::Never, false) => "stay out",
        (Linking::Never, true) => "are added",
        (Linking::VerifiedEmail, false) => "are linked by verified e-mail",
        (Linking::VerifiedEmail, true) => "are linked by verified e-mail, or added",
    }
}

fn state(provider: &Provider) -> Cell {
    if provider.disabled_at.is_some() { marked("off", "care") } else { marked("on", "good") }
}

fn editor() -> Editor {
    let line = |name, label, value: &str, needed| Input {
        name,
        label,
        entry: Entry::Line(value.to_owned(), needed),
    };
    let choice = |name, label, all: [(&str, &str); 2]| Input {
        name,
        label,
        entry: Entry::Choice(
            all.iter()
                .enumerate()
                .map(|(at, (value, words))| ((*value).to_owned(), (*words).to_owned(), at == 0))
                .collect(),
        ),
    };
    Editor {
        title: "Add a provider",
        effect: "It stands on the sign-in page at once. Its redirect URI is on its page afterwards; register it there.",
        to: "/providers".to_owned(),
        looks: false,
        fields: Vec::new(),
        inputs: vec![
            line("id", "Short name, for its addresses here", "", true),
            line("name", "Name on the sign-in page", "", true),
            line("issuer", "Issuer, exactly as it writes it", "", true),
            line("client_id", "Client id there", "", true),
            Input { name: "client_secret", label: "Client secret there", entry: Entry::Secret },
            choice(
                "link",
                "Who is here already and comes from there for the first time",
                [
                    ("never", "is not linked by that"),
                    ("verified-email", "is linked by their verified e-mail"),
                ],
            ),
            choice(
                "create",
                "Who is not here yet",
                [("never", "stays out"), ("people", "gets an account here")],
            ),
            line("domains", "Only addresses of these domains, separated by commas", "", false),
            line("groups", "Groups there and here, as THERE=HERE, separated by semicolons", "", false),
            line("roles", "Groups there and roles in the console, as THERE=ROLE", "", false),
            line("group_claim", "The claim that lists groups", "groups", true),
            line("scopes", "Scopes to ask for", "email profile", true),
            choice(
                "second_factor",
                "Its word that somebody used several factors",
                [("no", "does not count"), ("yes", "counts")],
            ),
            choice("private", "Its address", [("no", "is public"), ("yes", "may be private")]),
        ],
        button: "Add",
        harm: false,
    }
}

fn parts<'a>(text: &'a str, between: &[char]) -> Vec<&'a str> {
    text.split(between).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Directories write groups as `CN=dev,DC=example`: what is ours comes last and has no `=`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, OrderError> {
    let pair = |part: &str| {
        let (theirs, ours) =
            part.rsplit_once('=').ok_or_else(|| OrderError::Bad(format!("write {part:?} as THERE=HERE")))?;
        Ok((theirs.trim().to_owned(), ours.trim().to_owned()))
    };
    parts(text, &[';']).into_iter().map(pair).collect()
}

fn read(form: &Form) -> Result<NewProvider, OrderError> {
    let role = |(theirs, ours): (String, String)| {
        let role = Role::parse(&ours).filter(|role| *role != Role::Member);
        let role = role.ok_or_else(|| OrderError::Bad(format!("{ours:?} is neither admin nor auditor")))?;
        Ok((theirs, role))
    };
    let owned = |text: &str, between: &[char]| -> Vec<String> {
        parts(text, between).into_iter().map(str::to_owned).collect()
    };
    Ok(NewProvider {
        id: form.value("id").trim().to_owned(),
        name: form.value("name").trim().to_owned(),
        issuer: form.value("issuer").trim().to_owned(),
        client_id: form.value("client_id").trim().to_owned(),
        secret: Secret::new(form.value("client_secret").to_owned()),
        rules: Rules {
            group_claim: form.value("group_claim").trim().to_owned(),
            groups: pairs(form.value("groups"))?,
            roles: pairs(form.value("roles"))?.into_iter().map(role).collect::<Result<_, OrderError>>()?,
            linking: Linking::parse(form.value("link"))
                .ok_or_else(|| OrderError::Bad("say who is linked".to_owned()))?,
            creates_people: form.value("create") == "people",
            allowed_domains: owned(form.value("domains"), &[',']),
            second_factor: form.value("second_factor") == "yes",
            second_factor_acr: Vec::new(),
            scopes: owned(form.value("scopes"), &[' ', ',']),
            private_network: form.value("private") == "yes",
        },
    })
}

/// Adds one.
pub async fn add(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let (desk, form) = Desk::act(&request, payload, &core, &site, "/admin/providers").await?;
            let refused = |why: OrderError| desk.refuse(PART, &why, "/providers");
            let new = read(&form).map_err(refused)?;
            let added = providers::add(&core, &desk.caller(&from), new).await.map_err(refused)?;
            Ok(redirect(&desk.at(&format!("/providers/{}?done=changed", added.id)), None))
        }
        .await,
    )
}

/// One of them: what is decided about it, who is linked, and what can be done.
pub async fn one(
    request: HttpRequest,
    id: web::Path<String>,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let provider = match providers::find(&core, &id).await {
                Ok(provider) => provider,
                Err(OrderError::Fault(cause)) => return Err(desk.fault(&cause)),
                Err(_) => return Err(desk.missing()),
            };
            shown(&desk, &core, &provider, Vec::new()).await
        }
        .await,
    )
}

async fn shown(
    desk: &Desk<'_>,
    core: &Core,
    provider: &Provider,
    found: Vec<Vec<Cell>>,
) -> Result<HttpResponse, HttpResponse> {
    let linked = providers::linked(core, &provider.id, CONSOLE_PAGE).await;
    let (people, number) = linked.map_err(|cause| desk.fault(&cause))?;
    let mut view = desk.blank(PART, provider.name.clone(), "An identity provider: people may sign in there.");
    let rules = &provider.rules;
    let pairs = |all: Vec<String>| said(if all.is_empty() { "none".to_owned() } else { all.join("; ") });
    view.facts = vec![
        fact("State", state(provider)),
        fact("Issuer", said(provider.issuer.clone())),
        fact("Client id there", said(provider.client_id.clone())),
        fact("Redirect URI to register there", said(providers::redirect_uri(core, &provider.id))),
        fact("Strangers", said(strangers(rules))),
        fact("Domains", pairs(rules.allowed_domains.clone())),
        fact("Groups", pairs(rules.groups.iter().map(|(there, here)| format!("{there} = {here}")).collect())),
        fact(
            "Roles",
            pairs(rules.roles.iter().map(|(there, role)| format!("{there} = {}", role.as_str())).collect()),
        ),
        fact("Scopes", said(rules.scopes.join(" "))),
        fact(
            "Its word for several factors",
            said(if rules.second_factor { "counts" } else { "does not count" }),
        ),
        fact("Added", at(provider.created_at)),
        fact("People", said(number.to_string())),
    ];
    if !found.is_empty() {
        let mut rows = table("What it answered just now", "", vec!["", ""]);
        rows.rows = found;
        view.tables.push(rows);
    }
    let head = vec!["Person", "Their sub there", "Address there", "Last sign-in"];
    let mut rows = table("Linked people", "Nobody is linked.", head);
    for (identity, email) in people {
        rows.rows.push(vec![
            desk.named(email, &format!("/people/{}", identity.user_id)),
            said(identity.sub),
            said(identity.email.unwrap_or_default()),
            desk.ago(identity.last_sign_in_at),
        ]);
    }
    view.tables.push(rows);
    view.acts = acts(provider);
    Ok(desk.show(view))
}

fn acts(provider: &Provider) -> Vec<Act> {
    let act = |what: &str, title, effect: &str, button, harm| Act {
        title,
        effect: effect.to_owned(),
        to: format!("/providers/{}", provider.id),
        fields: vec![("do", what.to_owned())],
        choice: None,
        asks: None,
        button,
        harm,
    };
    let turn = if provider.disabled_at.is_some() {
        act("enable", "Switch it on", "People can sign in through it again.", "Switch on", false)
    } else {
        let effect = "Nobody signs in through it; sign-ins and tokens that came from it end at once.";
        act("disable", "Switch it off", effect, "Switch off", true)
    };
    let remove = Act {
        asks: Some(("confirm", "Its short name, to be sure")),
        ..act(
            "remove",
            "Remove it",
            "Every link to it goes, and what was signed in through it ends. Its people stay.",
            "Remove",
            true,
        )
    };
    vec![
        act("test", "Test it", "Asks for its metadata and keys, and whether it knows us.", "Test", false),
        turn,
        remove,
    ]
}

/// Tests it, switches it, or removes it.
pub async fn act(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let back = format!("/admin/providers/{id}");
            let (desk, form) = Desk::act(&request, payload, &core, &site, &back).await?;
            let caller = desk.caller(&from);
            let here = format!("/providers/{id}");
            let refused = |why: OrderError| desk.refuse(PART, &why, &here);
            let done = match form.value("do") {
                "test" => {
                    let provider = providers::find(&core, &id).await.map_err(refused)?;
                    let tested = providers::test(&core, &id).await.map_err(refused)?;
                    let mut found: Vec<Vec<Cell>> =
                        tested.found.into_iter().map(|(name, value)| vec![said(name), said(value)]).collect();
                    found.extend(
                        tested.warnings.into_iter().map(|words| vec![marked("look", "care"), said(words)]),
                    );
                    return shown(&desk, &core, &provider, found).await;
                }
                "enable" => providers::set_enabled(&core, &caller, &id, true).await.map(|_| "changed"),
                "disable" => providers::set_enabled(&core, &caller, &id, false).await.map(|_| "changed"),
                "remove" if form.value("confirm").trim() != id.as_str() => {
                    Err(OrderError::Bad("the short name was not the one of this provider".to_owned()))
                }
                "remove" => {
                    providers::remove(&core, &caller, &id).await.map_err(refused)?;
                    return Ok(redirect(&desk.at("/providers?done=changed"), None));
                }
                _ => return Err(desk.missing()),
            };
            let done = done.map_err(refused)?;
            Ok(redirect(&desk.at(&format!("{here}?done={done}")), None))
        }
        .await,
    )
}
