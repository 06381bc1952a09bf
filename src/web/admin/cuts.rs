//! `/admin/cut`: what a cut would hit, doing it, seeing that it holds, and undoing it.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};

use super::people::pairs;
use super::{Desk, STRANGE, Strange, at, choice, either, fact, line, marked, said, table};
use crate::flow::console::{self, CutFilter};
use crate::flow::core::Core;
use crate::flow::cut::{self as flow_cut, By, Order};
use crate::flow::people::OrderError;
use crate::types::cut::{Cut, Impact, Kind, TARGETS, Target};
use crate::types::id::{CutId, GrantId};
use crate::types::network::Network;
use crate::types::policy::CONSOLE_PAGE;
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::console::{Act, Cell, Fact, Table};
use crate::wire::caller::From;

/// How access can be cut, in the order of the choice: name, words, how it is done.
const WAYS: [(&str, &str, Kind); 6] = [
    ("revoke", "End it for good", Kind::Revoke),
    ("suspend", "Stop it until somebody undoes this", Kind::Suspend(None)),
    ("hour", "Stop it for an hour", Kind::Isolate(Duration::from_secs(3_600))),
    ("day", "Stop it for a day", Kind::Isolate(Duration::from_secs(86_400))),
    ("reconsent", "Let people approve again", Kind::Reconsent),
    ("reauthenticate", "Let people sign in again", Kind::Reauthenticate),
];

/// What a page of the list, or its export, is narrowed to.
pub(super) fn filter_of(desk: &Desk<'_>) -> Result<CutFilter, Strange> {
    let kind = |text: &str| TARGETS.into_iter().find(|kind| *kind == text).map(str::to_owned);
    let state = |text: &str| Cut::STATES.into_iter().find(|state| *state == text).map(str::to_owned);
    Ok(CutFilter {
        part: desk.words_of("about"),
        target: desk.named_by("target", kind)?,
        state: desk.named_by("state", state)?,
    })
}

/// A kind of target, in words.
fn words_of_kind(kind: &str) -> &str {
    match kind {
        "client" => "an app",
        "resource" => "a server",
        "grant" => "one approval",
        "person" => "a person",
        "domain" => "a domain of apps",
        "network" => "a network",
        other => other,
    }
}

/// The cuts there were, and what one would hit.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let typed = desk.asked("q");
            let (kind, value) = match desk.asked("kind") {
                kind if kind.is_empty() => meant(typed.trim()),
                kind => (named(&kind), desk.asked("value")),
            };
            let lead =
                "Whose access is to stop? First you see what it hits; nothing happens before you confirm.";
            let mut view = desk.blank("cut", "Cut access", lead);
            let label = "E-mail, app id, domain, server address, network, or * for everything";
            let states = Cut::STATES.map(|state| (state, state));
            let kinds = TARGETS.map(|kind| (kind, words_of_kind(kind)));
            let search = desk.search(
                "/cut",
                vec![
                    line("q", label),
                    line("about", "Cuts below: name, reason or who cut has"),
                    choice("target", "Cuts below: of", "Anything", kinds),
                    choice("state", "Cuts below: state", "Any", states),
                ],
            );
            let query = search.query();
            view.search = Some(search);
            if !kind.is_empty() {
                let target = flow_cut::target_of(&core, kind, &value).await;
                let found = match &target {
                    Ok(target) => flow_cut::preview(&core, target).await,
                    Err(_) => Err(OrderError::NotFound(String::new())),
                };
                match (target, found) {
                    (Ok(target), Ok(impact)) => {
                        let name = if typed.is_empty() { target.value() } else { typed };
                        view.facts = impact_facts(&target, &name, &impact);
                        view.acts.push(act(&target));
                    }
                    (_, Err(OrderError::Fault(cause))) => return Err(desk.fault(&cause)),
                    _ => view.refused = Some("That names nothing here."),
                }
            }
            let Ok(filter) = filter_of(&desk) else {
                view.refused = Some(STRANGE);
                return Ok(desk.show(view));
            };
            let before = CutId::parse(&desk.asked("before"));
            let found = console::cuts(&core, filter, before, CONSOLE_PAGE)
                .await
                .map_err(|cause| desk.fault(&cause))?;
            view.exports = desk.exports("cut", &query);
            let mut rows = cuts_table(&desk, &found.rows);
            rows.next = found.next.map(|id| desk.further("/cut", &query, &format!("before={id}")));
            view.tables.push(rows);
            Ok(desk.show(view))
        }
        .await,
    )
}

/// Cuts.
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let (desk, form) = Desk::act(&request, payload, &core, &site, "/admin/cut").await?;
            let (kind, value) = (form.value("kind"), form.value("value"));
            let again = |why: &str| {
                let query = pairs(&[("kind", kind), ("value", value), ("refused", why)]);
                redirect(&desk.at(&format!("/cut?{query}")), None)
            };
            let Some((_, _, way)) = WAYS.iter().find(|(name, _, _)| *name == form.value("how")) else {
                return Err(desk.missing());
            };
            if form.value("reason").trim().is_empty() {
                return Ok(again("reason"));
            }
            let Some(target) = Target::parse(kind, value) else { return Ok(again("gone")) };
            let order = Order {
                target,
                kind: *way,
                reason: form.value("reason").trim().to_owned(),
                by: By::person(&desk.person.user),
            };
            match flow_cut::cut(&core, &desk.caller(&from), order).await {
                Ok(made) => Ok(redirect(&desk.at(&format!("/cut/{}?done=cut", made.id)), None)),
                Err(OrderError::Fault(cause)) => Err(desk.fault(&cause)),
                Err(_) => Ok(again("gone")),
            }
        }
        .await,
    )
}

/// One cut: that it holds, and when anything it hit was last accepted.
pub async fn one(
    request: HttpRequest,
    id: web::Path<String>,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let (cut, last) = match flow_cut::find(&core, &id).await {
                Ok(found) => found,
                Err(OrderError::Fault(cause)) => return Err(desk.fault(&cause)),
                Err(_) => return Err(desk.missing()),
            };
            let mut view =
                desk.blank("cut", format!("Cut: {}", cut.label), "What was cut, why, and whether it holds.");
            view.facts = impact_facts(&cut.target, &cut.label, &cut.impact);
            view.facts.extend([
                fact("How", said(words(cut.kind))),
                fact("State", state(&desk, &cut)),
                fact("Why", said(cut.reason.clone())),
                fact("By", said(cut.by_name.clone())),
                fact("Cut at", at(cut.at)),
                fact("Last accepted anywhere", last.map_or_else(|| said("never"), at)),
            ]);
            view.facts.extend(cut.until.map(|until| fact("Until", at(until))));
            view.facts.extend(cut.undone_at.map(|undone| fact("Undone", at(undone))));
            view.exports = vec![("evidence", desk.evidence(&pairs(&[("cut", &cut.id.to_string())])))];
            if cut.can_be_undone(desk.now()) {
                view.acts.push(Act {
                    title: "Undo",
                    effect: "What it stopped goes on as before; what ended by other means stays ended."
                        .to_owned(),
                    to: format!("/cut/{}", cut.id),
                    fields: Vec::new(),
                    choice: None,
                    asks: None,
                    button: "Undo",
                    harm: false,
                });
            }
            Ok(desk.show(view))
        }
        .await,
    )
}

/// Undoes one.
pub async fn undo(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let here = format!("/admin/cut/{}", *id);
            let (desk, _) = Desk::act(&request, payload, &core, &site, &here).await?;
            let how =
                match flow_cut::undo(&core, &desk.caller(&from), &By::person(&desk.person.user), &id).await {
                    Ok(_) => "done=undone",
                    Err(OrderError::Fault(cause)) => return Err(desk.fault(&cause)),
                    Err(OrderError::NotFound(_)) => return Err(desk.missing()),
                    Err(_) => "refused=gone",
                };
            Ok(redirect(&format!("{}{here}?{how}", site.shell.base), None))
        }
        .await,
    )
}

/// What somebody means who has typed this.
fn meant(text: &str) -> (&'static str, String) {
    let kind = match text {
        "" => "",
        "*" => return ("everything", String::new()),
        _ if text.contains('@') => "person",
        _ if GrantId::parse(text).is_some() => "grant",
        _ if Network::parse(text).is_ok() => "network",
        _ if text.starts_with("http") && text.contains("://") => "resource",
        _ if text.contains('.') => "domain",
        _ => "client",
    };
    (kind, text.to_owned())
}

fn named(kind: &str) -> &'static str {
    TARGETS.into_iter().find(|known| *known == kind).unwrap_or("")
}

fn act(target: &Target) -> Act {
    let ways = WAYS.map(|(name, words, _)| (name.to_owned(), words.to_owned(), name == "revoke"));
    Act {
        title: "Cut it",
        effect: "Everything above stops within a second, wherever Postern decides.".to_owned(),
        to: "/cut".to_owned(),
        fields: vec![("kind", target.kind().to_owned()), ("value", target.value())],
        choice: Some(("how", "How", ways.to_vec())),
        asks: Some(("reason", "Why, for the log")),
        button: "Cut access",
        harm: true,
    }
}

/// An act of the page of one thing that leads here.
pub(super) fn way(desk: &Desk<'_>, target: &Target) -> Fact {
    let query = pairs(&[("kind", target.kind()), ("value", &target.value())]);
    fact("Something wrong?", desk.named("Cut access", &format!("/cut?{query}")))
}

fn impact_facts(target: &Target, name: &str, impact: &Impact) -> Vec<Fact> {
    let counted = |count: i64, first: &[String]| {
        let more = if first.is_empty() { String::new() } else { format!(": {}", first.join(", ")) };
        said(format!("{count}{more}"))
    };
    vec![
        fact(
            "Whose access",
            said(match target {
                Target::Everything => "everything".to_owned(),
                other => format!("{} {name}", other.kind()),
            }),
        ),
        fact("People it hits", counted(impact.people, &impact.first_people)),
        fact("Apps it hits", counted(impact.clients, &impact.first_clients)),
        fact("Servers it hits", counted(impact.resources, &impact.first_resources)),
        fact("Approvals", said(impact.grants.to_string())),
        fact("Live tokens", said(impact.live_tokens.to_string())),
        fact("Chains of refresh tokens", said(impact.families.to_string())),
        fact("Sign-ins", said(impact.sessions.to_string())),
    ]
}

fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Revoke => "ended for good",
        Kind::Suspend(_) => "stopped until it is undone",
        Kind::Isolate(_) => "stopped for a time",
        Kind::Reconsent => "to be approved again",
        Kind::Reauthenticate => "to be signed in for again",
    }
}

fn state(desk: &Desk<'_>, cut: &Cut) -> Cell {
    match cut.state(desk.now()) {
        "in force" => marked("in force", "harm"),
        "done" => marked("done", "good"),
        other => said(other),
    }
}

fn cuts_table(desk: &Desk<'_>, cuts: &[Cut]) -> Table {
    let mut rows = table("Cuts", "Nothing was ever cut.", vec!["What", "How", "State", "Why", "By", "When"]);
    for cut in cuts {
        rows.rows.push(vec![
            desk.named(format!("{} {}", cut.target.kind(), cut.label), &format!("/cut/{}", cut.id)),
            said(words(cut.kind)),
            state(desk, cut),
            said(cut.reason.clone()),
            said(cut.by_name.clone()),
            desk.ago(Some(cut.at)),
        ]);
    }
    rows
}
