//! The tools of a server behind the gateway, on its page: which may be called, which wait, and what an administrator decides.

use serde_json::Value;

use super::{at, fact, marked, said, table, vault};
use crate::flow::core::{Caller, Core};
use crate::flow::gateway::Route;
use crate::flow::people::OrderError;
use crate::flow::tools::{self, Decision};
use crate::flow::upstream_tls::ends_soon;
use crate::types::certificate::{CertificateFacts, TlsFacts};
use crate::types::resource::Resource;
use crate::types::time::Timestamp;
use crate::types::tool::{Tool, ToolClass, ToolState};
use crate::web::door::Form;
use crate::web::view::console::{ConsolePage, Fact};
use crate::web::view::editor::{Editor, Entry, Input};

/// Longest part of a tool's own words that is shown, in characters.
const WORDS: usize = 300;

/// What TLS to the server is made of.
fn in_tls(facts: &TlsFacts, now: Timestamp) -> Fact {
    let all = facts.client.iter().chain(&facts.cas);
    let ends = all.clone().any(|one| ends_soon(one, now));
    let words = |what: &str, one: &CertificateFacts| {
        let (subject, issuer, until) = (&one.subject, &one.issuer, one.ends_at());
        format!("{what} {subject}, signed by {issuer}, until {until} (SHA-256 {})", one.sha256)
    };
    let mut said_all: Vec<String> = facts.client.iter().map(|one| words("the certificate of", one)).collect();
    said_all.extend(facts.cas.iter().map(|one| words("the only authority trusted there is", one)));
    let text = said_all.join("; ");
    fact("In TLS", if ends { marked(&text, "care") } else { said(text) })
}

/// Adds what there is to say and to decide about the tools of a server; nothing where it is not behind the gateway.
pub(super) fn show(view: &mut ConsolePage, resource: &Resource, route: Option<&Route>, now: Timestamp) {
    let (Some(slug), Some(upstream)) = (&resource.slug, &resource.upstream) else { return };
    let shown = route.and_then(Route::shows);
    let shown = shown.map_or_else(
        || "nothing yet".to_owned(),
        |(kind, header)| match kind {
            "environment" => format!("secrets from the vault, in its environment: {header}"),
            _ => format!("a key from the vault, as {kind} in the header {header}"),
        },
    );
    view.facts.push(fact("Behind the gateway", said(format!("/mcp/{slug} leads to {upstream}"))));
    view.facts.push(fact("What the server is shown", said(shown)));
    view.facts.extend(route.and_then(|route| route.tls.as_ref()).map(|tls| in_tls(tls.facts(), now)));
    let wanted = &resource.gateway.client_certificate;
    if !wanted.is_empty() {
        let listed = wanted.sha256.iter().map(|print| format!("SHA-256 {print}"));
        let signed = wanted.cas.iter().map(|ca| format!("signed by {}", ca.facts.subject));
        let text = listed.chain(signed).collect::<Vec<_>>().join("; or ");
        view.facts.push(fact("Client certificate", said(format!("callers need one: {text}"))));
    }
    let limits = resource.gateway.all_limits();
    if !limits.is_empty() {
        let text = limits.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        view.facts.push(fact("Limits", said(text)));
    }
    let origins = &resource.gateway.origins;
    if !origins.is_empty() {
        let text = origins.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        view.facts.push(fact("Pages of other sites", said(format!("may call: {text}"))));
    }
    view.editors.extend(vault::editors(resource, route));
    let mut known: Vec<&Tool> = route.map(|route| route.tools.values().collect()).unwrap_or_default();
    // What waits for somebody stands first.
    known.sort_unstable_by_key(|tool| (tool.state != ToolState::Quarantined, tool.name.as_str()));
    let mut rows = table(
        "Tools",
        "It has shown none yet: they are noted as soon as somebody lists them.",
        vec!["Tool", "Class", "State", "What it says of itself", "Last changed"],
    );
    for tool in &known {
        let class = match tool.class {
            None => said("not said"),
            Some(ToolClass::Read) => marked("read", "good"),
            Some(ToolClass::Write) => marked("write", "care"),
            Some(class) => marked(class.as_str(), "harm"),
        };
        let state = match tool.state {
            ToolState::Approved => marked("may be called", "good"),
            ToolState::Quarantined => marked("waits for you", "care"),
            ToolState::Blocked => marked("closed", "harm"),
        };
        rows.rows.push(vec![said(tool.name.clone()), class, state, said(words(tool)), at(tool.changed_at)]);
    }
    view.tables.push(rows);
    let to = format!("/servers/{}", resource.id);
    let boxes = |meant: fn(ToolState) -> bool| -> Vec<(String, String, bool)> {
        let found = known.iter().filter(|tool| meant(tool.state));
        found.map(|tool| (tool.name.clone(), tool.name.clone(), false)).collect()
    };
    let closed = boxes(|state| state != ToolState::Approved);
    if !closed.is_empty() {
        let classes =
            ToolClass::ALL.map(|class| (class.as_str().to_owned(), class.as_str().to_owned(), false));
        let mut choice =
            vec![("said".to_owned(), "what it says itself, or what was set before".to_owned(), true)];
        choice.extend(classes);
        view.editors.push(Editor {
            title: "Let tools be called",
            effect: "They may be called as they are now. When one changes again, it waits again.",
            to: to.clone(),
            looks: false,
            fields: vec![("do", "approve_tools".to_owned())],
            inputs: vec![
                Input { name: "tool", label: "Which", entry: Entry::Boxes(closed) },
                Input { name: "class", label: "What they can do", entry: Entry::Choice(choice) },
            ],
            button: "Let them be called",
            harm: false,
        });
    }
    let open = boxes(|state| state != ToolState::Blocked);
    if !open.is_empty() {
        view.editors.push(Editor {
            title: "Close tools",
            effect: "Nobody sees or calls them any more, however they change.",
            to,
            looks: false,
            fields: vec![("do", "block_tools".to_owned())],
            inputs: vec![Input { name: "tool", label: "Which", entry: Entry::Boxes(open) }],
            button: "Close",
            harm: true,
        });
    }
}

/// A tool's own words: a stranger's, cut to length.
fn words(tool: &Tool) -> String {
    let definition: Value = serde_json::from_str(&tool.seen).unwrap_or_default();
    let text = definition.get("description").and_then(Value::as_str).unwrap_or_default();
    let mut out: String = text.chars().take(WORDS).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

/// Decides about tools.
pub(super) async fn decide(
    core: &Core,
    caller: &Caller,
    uri: &str,
    approve: bool,
    form: &Form,
) -> Result<&'static str, OrderError> {
    let names: Vec<String> = form.values("tool").into_iter().map(str::to_owned).collect();
    if names.is_empty() {
        return Err(OrderError::Bad("say which tools".to_owned()));
    }
    let decision = match (approve, form.value("class")) {
        (false, _) => Decision::Block,
        (true, "said") => Decision::Approve(None),
        (true, class) => Decision::Approve(Some(
            ToolClass::parse(class).ok_or_else(|| OrderError::Bad("say what they can do".to_owned()))?,
        )),
    };
    tools::decide(core, caller, uri, names, decision).await.map(|_| "changed")
}
