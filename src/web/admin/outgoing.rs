//! `/admin/outgoing`: whom we tell what happens here: webhooks, receivers of shared signals, streams of the audit log.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Desk, STRANGE, at, choice, either, fact, line as seek, marked, said, table};
use crate::flow::core::Core;
use crate::flow::endpoints::{self, NewEndpoint};
use crate::flow::people::OrderError;
use crate::types::key::SigningAlg;
use crate::types::secret::Secret;
use crate::types::signal::{Delivery, Endpoint, EndpointKind, SubjectFormat};
use crate::web::door::Form;
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::console::{Act, Cell};
use crate::web::view::editor::{Editor, Entry, Input};
use crate::wire::caller::From;

const PART: &str = "outgoing";

const KINDS: [(EndpointKind, &str, &str); 3] = [
    (EndpointKind::Webhook, "Webhooks", "No webhook is told anything."),
    (EndpointKind::Receiver, "Receivers of shared signals", "Nobody receives signals."),
    (EndpointKind::Stream, "Streams of the audit log", "The audit log goes nowhere."),
];

fn kind_of(text: &str) -> Option<EndpointKind> {
    KINDS.iter().map(|(kind, ..)| *kind).find(|kind| kind.as_str() == text)
}

/// All of them, and the forms for more.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let lead = "Who is told, outside, what happens here, and whether they have taken it.";
            let mut view = desk.blank(PART, "Webhooks and streams", lead);
            let kinds = KINDS.map(|(kind, title, _)| (kind.as_str(), title));
            let search = desk.search(
                "/outgoing",
                vec![
                    seek("q", "Address has"),
                    choice("kind", "What", "Anything", kinds),
                    choice("state", "State", "Any", STATES.map(|state| (state, state))),
                ],
            );
            let narrowed = !search.query().is_empty();
            view.search = Some(search);
            let known = |text: &str| STATES.into_iter().find(|known| *known == text);
            let (Ok(only), Ok(wanted)) = (desk.named_by("kind", kind_of), desk.named_by("state", known))
            else {
                view.refused = Some(STRANGE);
                return Ok(desk.show(view));
            };
            let meant = |one: &&Endpoint| {
                desk.found_in(&[&one.url]) && wanted.is_none_or(|wanted| wanted == stands(one))
            };
            for (kind, title, empty) in KINDS {
                if only.is_some_and(|only| only != kind) {
                    continue;
                }
                let empty = if narrowed { "None is like that." } else { empty };
                let all = endpoints::list(&core, kind).await.map_err(|cause| desk.fault(&cause))?;
                let mut rows = table(title, empty, vec!["Where", "What", "Last taken", "State"]);
                for one in all.iter().filter(meant) {
                    rows.rows.push(vec![
                        desk.named(one.url.clone(), &format!("/outgoing/{}/{}", kind.as_str(), one.id)),
                        said(what(one)),
                        desk.ago(one.last_success_at),
                        state(one),
                    ]);
                }
                view.tables.push(rows);
            }
            view.editors = editors();
            Ok(desk.show(view))
        }
        .await,
    )
}

fn what(one: &Endpoint) -> String {
    match one.kind {
        EndpointKind::Webhook => one.events.join(", "),
        EndpointKind::Receiver => one.audience.clone().unwrap_or_default(),
        EndpointKind::Stream => "every record".to_owned(),
    }
}

/// How one may stand, for the search.
const STATES: [&str; 3] = ["working", "failing", "off"];

fn stands(one: &Endpoint) -> &'static str {
    match (one.disabled_at.is_some(), one.failures) {
        (true, _) => "off",
        (false, 0) => "working",
        (false, _) => "failing",
    }
}

fn state(one: &Endpoint) -> Cell {
    let words = one.state();
    let tone = match stands(one) {
        "off" => "harm",
        "working" => "good",
        _ => "care",
    };
    marked(words, tone)
}

fn editors() -> Vec<Editor> {
    let line = |name, label, needed| Input { name, label, entry: Entry::Line(String::new(), needed) };
    let choice = |name, label, all: &[(&str, &str)]| {
        let pick = |(at, (value, words)): (usize, &(&str, &str))| {
            ((*value).to_owned(), (*words).to_owned(), at == 0)
        };
        Input { name, label, entry: Entry::Choice(all.iter().enumerate().map(pick).collect()) }
    };
    let authorization = || Input {
        name: "authorization",
        label: "What goes into Authorization, if anything",
        entry: Entry::Secret(false),
    };
    let editor = |title, effect, kind: EndpointKind, inputs| Editor {
        title,
        effect,
        to: "/outgoing".to_owned(),
        looks: false,
        fields: vec![("kind", kind.as_str().to_owned())],
        inputs,
        button: "Add",
        harm: false,
    };
    vec![
        editor(
            "Add a webhook",
            "Messages are signed (Standard Webhooks); the secret is shown once, on the next page.",
            EndpointKind::Webhook,
            vec![
                line("url", "Where messages are posted to", true),
                line("events", "Which events, such as alert.* access.cut, separated by spaces", true),
            ],
        ),
        editor(
            "Add a receiver of shared signals",
            "It gets CAEP session-revoked and credential-change as signed tokens (RFC 8935).",
            EndpointKind::Receiver,
            vec![
                line("url", "Where tokens are posted to", true),
                line("audience", "Its name for itself (aud)", true),
                choice(
                    "subject",
                    "How it knows people",
                    &[("iss_sub", "by issuer and sub of our tokens"), ("email", "by e-mail")],
                ),
                choice(
                    "alg",
                    "How its tokens are signed",
                    &[("ES256", "ES256"), ("RS256", "RS256"), ("EdDSA", "EdDSA")],
                ),
                authorization(),
            ],
        ),
        editor(
            "Add a stream of the audit log",
            "Every record goes there at least once, in order: https, syslog+udp, syslog+tcp, syslog+tls or otlp+https.",
            EndpointKind::Stream,
            vec![
                line("url", "Where", true),
                choice(
                    "from",
                    "What there is already",
                    &[("now", "stays here"), ("beginning", "is sent first")],
                ),
                authorization(),
            ],
        ),
    ]
}

fn read(form: &Form, kind: EndpointKind) -> Result<NewEndpoint, OrderError> {
    let bad = |why: &str| OrderError::Bad(why.to_owned());
    let url = form.value("url").trim().to_owned();
    let authorization = Some(form.value("authorization")).filter(|text| !text.is_empty());
    let authorization = authorization.map(|text| Secret::new(text.to_owned()));
    Ok(match kind {
        EndpointKind::Webhook => {
            let events = form.value("events").split([' ', ',']).filter(|event| !event.is_empty());
            NewEndpoint::Webhook { url, events: events.map(str::to_owned).collect() }
        }
        EndpointKind::Receiver => NewEndpoint::Receiver {
            url,
            audience: form.value("audience").trim().to_owned(),
            subject: SubjectFormat::parse(form.value("subject"))
                .ok_or_else(|| bad("say how it knows people"))?,
            alg: SigningAlg::parse(form.value("alg")).ok_or_else(|| bad("say how its tokens are signed"))?,
            authorization,
        },
        EndpointKind::Stream => NewEndpoint::Stream {
            url,
            from_beginning: form.value("from") == "beginning",
            authorization,
            ca: None,
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
            let (desk, form) = Desk::act(&request, payload, &core, &site, "/admin/outgoing").await?;
            let Some(kind) = kind_of(form.value("kind")) else { return Err(desk.missing()) };
            let refused = |why: OrderError| desk.refuse(PART, &why, "/outgoing");
            let new = read(&form, kind).map_err(refused)?;
            let (added, secret) = endpoints::add(&core, &desk.caller(&from), new).await.map_err(refused)?;
            let page = format!("/outgoing/{}/{}", kind.as_str(), added.id);
            match secret {
                Some(secret) => Ok(once(&desk, &added, secret.expose(), &page)),
                None => Ok(redirect(&desk.at(&format!("{page}?done=changed")), None)),
            }
        }
        .await,
    )
}

/// Shows a secret, this once. Not in an address, where it would stay in histories and logs.
fn once(desk: &Desk<'_>, one: &Endpoint, secret: &str, page: &str) -> HttpResponse {
    let lead = "Its messages are signed with this secret. Keep it there now; it is not shown again.";
    let mut view = desk.blank(PART, "The signing secret", lead);
    view.facts = vec![
        fact("For", said(one.url.clone())),
        fact("Secret", said(secret)),
        fact("Go on", desk.named("To its page", page)),
    ];
    desk.show(view)
}

/// One of them, and what was sent there last.
pub async fn one(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let (kind, id) = path.into_inner();
            let Some(kind) = kind_of(&kind) else { return Err(desk.missing()) };
            let found = match endpoints::find(&core, kind, &id).await {
                Ok(found) => found,
                Err(OrderError::Fault(cause)) => return Err(desk.fault(&cause)),
                Err(_) => return Err(desk.missing()),
            };
            shown(&desk, &core, &found, None).await
        }
        .await,
    )
}

async fn shown(
    desk: &Desk<'_>,
    core: &Core,
    one: &Endpoint,
    tested: Option<Cell>,
) -> Result<HttpResponse, HttpResponse> {
    let refused = |why: OrderError| desk.refuse(PART, &why, "/outgoing");
    let mut view = desk.blank(PART, one.url.clone(), "Who is told, and how it went.");
    view.facts = vec![
        fact("State", state(one)),
        fact("What", said(what(one))),
        fact("Added", at(one.created_at)),
        fact("Last taken", desk.ago(one.last_success_at)),
        fact("Last failure", desk.ago(one.last_failure_at)),
    ];
    let last = one.last_error.clone().map(|why| fact("Why", said(why)));
    let off = one.disabled_reason.clone().map(|why| fact("Switched off because", said(why)));
    view.facts.extend(last.into_iter().chain(off).chain(tested.map(|cell| fact("The test just now", cell))));
    if one.kind != EndpointKind::Stream {
        let all = endpoints::deliveries(core, one.kind, &one.id.to_string()).await.map_err(refused)?;
        let head = vec!["Event", "State", "Tries", "Made", "Why not"];
        let mut rows = table("Messages, newest first", "Nothing was sent yet.", head);
        rows.rows = all.iter().map(|sent| row(desk, sent)).collect();
        view.tables.push(rows);
    }
    view.acts = acts(one);
    Ok(desk.show(view))
}

fn row(desk: &Desk<'_>, sent: &Delivery) -> Vec<Cell> {
    vec![
        said(sent.event_type.clone()),
        said(sent.state()),
        said(sent.tries.to_string()),
        desk.ago(Some(sent.created_at)),
        said(sent.last_error.clone().unwrap_or_default()),
    ]
}

fn acts(one: &Endpoint) -> Vec<Act> {
    let act = |what: &str, title, effect: &str, button, harm| Act {
        title,
        effect: effect.to_owned(),
        to: format!("/outgoing/{}/{}", one.kind.as_str(), one.id),
        fields: vec![("do", what.to_owned())],
        choice: None,
        asks: None,
        button,
        harm,
    };
    let mut all = Vec::new();
    if one.kind != EndpointKind::Stream {
        let effect = "Sends one message now, and says what came of it.";
        all.push(act("test", "Test it", effect, "Test", false));
    }
    if one.disabled_at.is_some() || one.failures > 0 {
        all.push(act("enable", "Go on now", "What waits is tried at once.", "Go on", false));
    }
    if one.kind == EndpointKind::Webhook {
        let effect = "A new one is made and shown once; the one before it signs beside it for a day.";
        all.push(act("rotate", "New signing secret", effect, "Make a new one", false));
    }
    all.push(act(
        "remove",
        "Remove it",
        "It is told nothing any more, and what waits is dropped.",
        "Remove",
        true,
    ));
    all
}

/// Tests it, lets it go on, gives it another secret, or removes it.
pub async fn act(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let (kind, id) = path.into_inner();
            let here = format!("/outgoing/{kind}/{id}");
            let (desk, form) = Desk::act(&request, payload, &core, &site, &format!("/admin{here}")).await?;
            let Some(kind) = kind_of(&kind) else { return Err(desk.missing()) };
            let caller = desk.caller(&from);
            let refused = |why: OrderError| desk.refuse(PART, &why, &here);
            match form.value("do") {
                "test" => {
                    let tested = endpoints::test(&core, kind, &id).await.map_err(refused)?;
                    let cell = match tested {
                        Ok(status) => marked(&format!("taken, with status {status}"), "good"),
                        Err(why) => marked(&why, "harm"),
                    };
                    let found = endpoints::find(&core, kind, &id).await.map_err(refused)?;
                    shown(&desk, &core, &found, Some(cell)).await
                }
                "enable" => {
                    endpoints::enable(&core, &caller, kind, &id).await.map_err(refused)?;
                    Ok(redirect(&desk.at(&format!("{here}?done=changed")), None))
                }
                "rotate" => {
                    let made = endpoints::rotate_secret(&core, &caller, kind, &id).await;
                    let (found, secret) = made.map_err(refused)?;
                    Ok(once(&desk, &found, secret.expose(), &here))
                }
                "remove" => {
                    endpoints::remove(&core, &caller, kind, &id).await.map_err(refused)?;
                    Ok(redirect(&desk.at("/outgoing?done=changed"), None))
                }
                _ => Err(desk.missing()),
            }
        }
        .await,
    )
}
