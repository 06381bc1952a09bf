//! `/admin/providers`: the identity providers at which people may sign in, what is decided about each, and who is linked.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Desk, STRANGE, Strange, at, choice, either, fact, line as seek, marked, on_or_off, said, table};
use crate::flow::core::Core;
use crate::flow::people::OrderError;
use crate::flow::providers::{self, NewProvider, Tested};
use crate::types::identity::{Linking, Provider, Rules, mapping};
use crate::types::policy::CONSOLE_PAGE;
use crate::types::secret::Secret;
use crate::types::user::Role;
use crate::web::door::Form;
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::console::{Act, Cell};
use crate::web::view::editor::{Editor, Entry, Input};
use crate::wire::caller::From;

/// Every provider, and the form for one more.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let all = providers::list(&core).await.map_err(|cause| desk.fault(&cause))?;
            let mut rows = table(
                "",
                "People sign in with a password or a passkey of their own here, and nowhere else.",
                vec!["Provider", "Issuer", "State", "Last sign-in"],
            );
            let search = desk.search(
                "/providers",
                vec![
                    seek("q", "Name or issuer has"),
                    choice("state", "State", "Any", [("on", "on"), ("off", "switched off")]),
                ],
            );
            if !search.query().is_empty() {
                rows.empty = "No provider is like that.";
            }
            let (off, strange) = match desk.named_by("state", on_or_off) {
                Ok(off) => (off, None),
                Err(Strange) => (None, Some(STRANGE)),
            };
            let meant = |one: &&Provider| {
                strange.is_none()
                    && desk.found_in(&[&one.name, &one.issuer])
                    && off.is_none_or(|off| off == one.disabled_at.is_some())
            };
            for one in all.iter().filter(meant) {
                rows.rows.push(vec![
                    desk.named(one.name.clone(), &format!("/providers/{}", one.id)),
                    said(one.issuer.clone()),
                    state(one),
                    desk.ago(one.last_sign_in_at),
                ]);
            }
            let mut view = desk.blank(
                "providers",
                "Identity providers",
                "Where people may sign in who do not do it here, such as the company’s own.",
            );
            (view.search, view.refused) = (Some(search), strange.or(view.refused));
            view.tables.push(rows);
            view.editors.push(Editor {
                title: "Add a provider",
                effect: "The sign-in page offers it at once. What it may do, and the address to register there, are on its page. One at a private address is added at the command line.",
                to: "/providers".to_owned(),
                looks: false,
                fields: Vec::new(),
                inputs: vec![
                    line("id", "Short name: small letters, digits and hyphens", "", true),
                    line("name", "Name on the sign-in page", "", true),
                    line("issuer", "Issuer, exactly as it writes it", "", true),
                    line("client_id", "Our client id there", "", true),
                    Input { name: "client_secret", label: "Our client secret there", entry: Entry::Secret(true) },
                ],
                button: "Add",
                harm: false,
            });
            Ok(desk.show(view))
        }
        .await,
    )
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
            let text = |name: &str| form.value(name).trim().to_owned();
            let new = NewProvider {
                id: text("id"),
                name: text("name"),
                issuer: text("issuer"),
                client_id: text("client_id"),
                secret: Secret::new(text("client_secret")),
                rules: Rules::default(),
            };
            let added = providers::add(&core, &desk.caller(&from), new).await;
            let added = added.map_err(|why| desk.refuse("providers", &why, "/providers"))?;
            Ok(redirect(&desk.at(&format!("/providers/{}?done=provider", added.id)), None))
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
            show(&desk, &id, None).await
        }
        .await,
    )
}

/// Changes its rules, switches it, tests it, links somebody, or removes it.
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
            let here = format!("/providers/{}", *id);
            let (desk, form) = Desk::act(&request, payload, &core, &site, &format!("/admin{here}")).await?;
            let caller = desk.caller(&from);
            let email = form.value("email").trim();
            let refused = |why: OrderError| desk.refuse("providers", &why, &here);
            let done = match form.value("do") {
                "off" => providers::set_enabled(&core, &caller, &id, false).await.map(|_| "changed"),
                "on" => providers::set_enabled(&core, &caller, &id, true).await.map(|_| "changed"),
                "remove" if form.value("name").trim() != id.as_str() => {
                    Err(OrderError::Bad("the short name was not the one of this provider".to_owned()))
                }
                "remove" => {
                    providers::remove(&core, &caller, &id).await.map_err(refused)?;
                    return Ok(redirect(&desk.at("/providers?done=removed"), None));
                }
                "test" => {
                    let tested = providers::test(&core, &id).await.map_err(refused)?;
                    return show(&desk, &id, Some(tested)).await;
                }
                "rules" => {
                    let found = providers::find(&core, &id).await.map_err(refused)?;
                    let rules = read(&form, found.rules.private_network).map_err(refused)?;
                    providers::set_rules(&core, &caller, &id, rules).await.map(|_| "changed")
                }
                "link" => {
                    let sub = form.value("sub").trim();
                    providers::link(&core, &caller, &id, email, sub).await.map(|_| "changed")
                }
                "unlink" => providers::unlink(&core, &caller, &id, email).await.map(|_| "changed"),
                _ => return Err(desk.missing()),
            };
            let code = done.map_err(refused)?;
            Ok(redirect(&desk.at(&format!("{here}?done={code}")), None))
        }
        .await,
    )
}

async fn show(desk: &Desk<'_>, id: &str, tested: Option<Tested>) -> Result<HttpResponse, HttpResponse> {
    let core = desk.core;
    let provider = match providers::find(core, id).await {
        Ok(found) => found,
        Err(OrderError::Fault(cause)) => return Err(desk.fault(&cause)),
        Err(_) => return Err(desk.missing()),
    };
    let (linked, total) =
        providers::linked(core, &provider.id, CONSOLE_PAGE).await.map_err(|cause| desk.fault(&cause))?;
    let mut view = desk.blank(
        "providers",
        provider.name.clone(),
        "What is believed of what it says, and who comes from there.",
    );
    view.facts = vec![
        fact("Short name", said(provider.id.to_string())),
        fact("Issuer", said(provider.issuer.clone())),
        fact("Our client id", said(provider.client_id.clone())),
        fact("To be registered there", said(providers::redirect_uri(core, &provider.id))),
        fact("State", state(&provider)),
        fact("Added", at(provider.created_at)),
        fact("Last sign-in", desk.ago(provider.last_sign_in_at)),
        fact("People linked", said(total.to_string())),
    ];
    if provider.rules.private_network {
        view.facts.push(fact("Private address", said("allowed at the command line")));
    }
    if let Some(tested) = tested {
        let mut rows = table("What the test found", "", vec!["What", "Answer"]);
        for (name, value) in tested.found {
            rows.rows.push(vec![said(name), said(value)]);
        }
        for warning in &tested.warnings {
            rows.rows.push(vec![marked("look at this", "care"), said(warning.clone())]);
        }
        if tested.warnings.is_empty() {
            rows.rows.push(vec![marked("fine", "good"), said("it knows our client id and secret")]);
        }
        view.tables.push(rows);
    }
    let mut rows = table(
        "Who is linked",
        "Nobody yet.",
        vec!["Person", "Who they are there", "Their address there", "Last sign-in"],
    );
    for (identity, email) in &linked {
        rows.rows.push(vec![
            desk.named(email.clone(), &format!("/people/{}", identity.user_id)),
            said(identity.sub.clone()),
            said(identity.email.clone().unwrap_or_default()),
            desk.ago(identity.last_sign_in_at),
        ]);
    }
    view.tables.push(rows);
    view.acts = acts(&provider);
    view.editors = vec![rules_editor(&provider), link_editor(&provider)];
    Ok(desk.show(view))
}

fn state(provider: &Provider) -> Cell {
    if provider.disabled_at.is_some() { marked("off", "harm") } else { marked("on", "good") }
}

fn acts(provider: &Provider) -> Vec<Act> {
    let act = |title, effect: &str, what: &str, button, harm| Act {
        title,
        effect: effect.to_owned(),
        to: format!("/providers/{}", provider.id),
        fields: vec![("do", what.to_owned())],
        choice: None,
        asks: None,
        button,
        harm,
    };
    let switch = if provider.disabled_at.is_some() {
        act("Switch on", "The sign-in page offers it again.", "on", "Switch on", false)
    } else {
        act(
            "Switch off",
            "Nobody signs in through it, and every sign-in and access token that came from it ends.",
            "off",
            "Switch off",
            true,
        )
    };
    vec![
        act("Test", "It is asked for its metadata and keys, and whether it knows us.", "test", "Test", false),
        switch,
        Act {
            asks: Some(("email", "E-mail address of the person here")),
            ..act(
                "Take a link away",
                "The person stays. Sign-ins and tokens that came through the link end.",
                "unlink",
                "Take away",
                true,
            )
        },
        Act {
            asks: Some(("name", "Its short name, to be sure")),
            ..act(
                "Remove",
                "Every link to it goes, and every sign-in and token that came from it ends. Its people stay.",
                "remove",
                "Remove",
                true,
            )
        },
    ]
}

fn line(name: &'static str, label: &'static str, value: &str, needed: bool) -> Input {
    Input { name, label, entry: Entry::Line(value.to_owned(), needed) }
}

fn yes_no(name: &'static str, label: &'static str, words: [&str; 2], yes: bool) -> Input {
    let [affirmed, denied] = words;
    let choices =
        vec![("yes".to_owned(), affirmed.to_owned(), yes), ("no".to_owned(), denied.to_owned(), !yes)];
    Input { name, label, entry: Entry::Choice(choices) }
}

fn rules_editor(provider: &Provider) -> Editor {
    let rules = &provider.rules;
    let ticked = |pairs: Vec<(&String, &str)>| {
        let one = |(there, here): (&String, &str)| {
            (format!("{there}={here}"), format!("{there} is {here} here"), true)
        };
        Entry::Boxes(pairs.into_iter().map(one).collect())
    };
    let groups = rules.groups.iter().map(|(there, here)| (there, here.as_str())).collect();
    let roles = rules.roles.iter().map(|(there, role)| (there, role.as_str())).collect();
    Editor {
        title: "Rules",
        effect: "They hold from the next sign-in on, and for who came before from the next time that the provider is asked about them.",
        to: format!("/providers/{}", provider.id),
        looks: false,
        fields: vec![("do", "rules".to_owned())],
        inputs: vec![
            yes_no(
                "link",
                "Who is here already and comes from there for the first time",
                ["is linked by an address that the provider has verified", "is not linked"],
                rules.linking == Linking::VerifiedEmail,
            ),
            yes_no("create", "Who is not here yet", ["is added", "is not added"], rules.creates_people),
            line(
                "domains",
                "Domains whose addresses may be linked or added, any if empty",
                &rules.allowed_domains.join(", "),
                false,
            ),
            line("group_claim", "The claim that lists groups", &rules.group_claim, true),
            Input { name: "group", label: "Groups there and groups here", entry: ticked(groups) },
            line("more_group", "One more group, as THERE=HERE", "", false),
            Input { name: "role", label: "Groups there and roles in the console", entry: ticked(roles) },
            line("more_role", "One more role, as THERE=admin or THERE=auditor", "", false),
            yes_no(
                "second_factor",
                "Its word for several factors",
                ["counts", "does not count"],
                rules.second_factor,
            ),
            line(
                "acr",
                "Values of acr that mean several factors, separated by spaces",
                &rules.second_factor_acr.join(" "),
                false,
            ),
            line("scopes", "What to ask for besides openid", &rules.scopes.join(" "), false),
        ],
        button: "Save",
        harm: true,
    }
}

fn link_editor(provider: &Provider) -> Editor {
    Editor {
        title: "Link somebody",
        effect: "From then on, whoever has this sub there is this person here.",
        to: format!("/providers/{}", provider.id),
        looks: false,
        fields: vec![("do", "link".to_owned())],
        inputs: vec![
            line("email", "E-mail address of the person here", "", true),
            line("sub", "Their sub at the provider", "", true),
        ],
        button: "Link",
        harm: true,
    }
}

fn read(form: &Form, private_network: bool) -> Result<Rules, OrderError> {
    let bad = |why: &str| OrderError::Bad(why.to_owned());
    let yes = |name: &str| match form.value(name) {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(bad("something was left out of the form")),
    };
    let pairs = |ticked: &'static str, more: &'static str| -> Result<Vec<(String, String)>, OrderError> {
        let all = form.values(ticked).into_iter().chain([form.value(more)]);
        let all = all.map(str::trim).filter(|text| !text.is_empty());
        all.map(|text| mapping(text).ok_or_else(|| bad("write it as THERE=HERE"))).collect()
    };
    let mut roles = Vec::new();
    for (there, role) in pairs("role", "more_role")? {
        let role = Role::parse(&role).filter(|role| *role != Role::Member);
        roles.push((there, role.ok_or_else(|| bad("the role is admin or auditor"))?));
    }
    let words = |name: &str| -> Vec<String> {
        let text = form.value(name);
        text.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    Ok(Rules {
        group_claim: form.value("group_claim").trim().to_owned(),
        groups: pairs("group", "more_group")?,
        roles,
        linking: if yes("link")? { Linking::VerifiedEmail } else { Linking::Never },
        creates_people: yes("create")?,
        allowed_domains: words("domains"),
        second_factor: yes("second_factor")?,
        second_factor_acr: words("acr"),
        scopes: words("scopes"),
        private_network,
    })
}
