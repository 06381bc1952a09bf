//! The console: who has access to what, through which app, and what can be done about it. Auditors see all of it,
//! administrators act, members see nothing.

mod access;
mod alerts;
mod apps;
mod audit;
mod call_rules;
mod calls;
mod cedar;
mod cuts;
mod export;
mod invitations;
mod outgoing;
mod overview;
mod people;
mod providers;
mod rules;
mod search;
mod server_forms;
mod servers;
mod sessions;
mod tools;
mod vault;
mod who;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use url::form_urlencoded::byte_serialize;

pub use access::{get as grant, list as access, post as end_grant};
pub use alerts::{acknowledge, list as alerts};
pub use apps::{get as app, list as apps, post as change_app};
pub use audit::get as audit;
pub use call_rules::why;
pub use calls::{list as calls, one as call, post as decide_call};
pub use cuts::{get as cuts, one as cut, post as make_cut, undo as undo_cut};
pub use export::{evidence, list as export};
pub use invitations::post as invite;
pub use outgoing::{act as act_on_outgoing, add as add_outgoing, list as outgoing, one as one_outgoing};
pub use overview::get as overview;
pub use people::{get as person, list as people, post as change_person};
pub use providers::{add as add_provider, get as provider, list as providers, post as change_provider};
pub use rules::{get as rule, post as set_rule};
pub use search::get as find;
pub use server_forms::post as change_server;
pub use servers::{get as server, keys, list as servers, rotate};
pub use sessions::list as sessions;
pub use who::get as who;

use super::door::{self, Form};
use super::page::{Leads, fault, moment, page, past, problem};
use super::site::Site;
use super::view::Problem;
use super::view::console::{Act, Cell, ConsolePage, Fact, Search, Seek, Table};
use crate::flow::console::Names;
use crate::flow::core::{Caller, Core};
use crate::flow::failure::Fault;
use crate::flow::login::SignedIn;
use crate::flow::people::OrderError;
use crate::flow::resources::{self, ServerFilter};
use crate::oauth::params::Params;
use crate::types::client::{Client, ClientId};
use crate::types::id::{ResourceId, UserId};
use crate::types::time::Timestamp;
use crate::types::user::Role;
use crate::wire::caller::From;

/// What is asked for is understood by nobody; showing more than was meant would mislead.
struct Strange;

/// What is said then.
const STRANGE: &str = "Nothing is shown: what you look for is not understood.";

/// What every page of the console needs.
struct Desk<'a> {
    request: &'a HttpRequest,
    core: &'a Core,
    site: &'a Site,
    person: SignedIn,
}

impl<'a> Desk<'a> {
    /// For whoever may look.
    async fn open(request: &'a HttpRequest, core: &'a Core, site: &'a Site) -> Result<Self, HttpResponse> {
        let person = door::person(request, core, site).await?;
        door::at_least(request, site, &person, Role::Auditor)?;
        Ok(Self { request, core, site, person })
    }

    /// For whoever may act, has just signed in, and uses a form of ours. `back` is the page to come back to.
    async fn act(
        request: &'a HttpRequest,
        payload: web::Payload,
        core: &'a Core,
        site: &'a Site,
        back: &str,
    ) -> Result<(Self, Form), HttpResponse> {
        let form = door::form(request, payload, core, site).await?;
        door::at_least(request, site, &form.person, Role::Admin)?;
        door::fresh(core, site, &form.person, back)?;
        Ok((Self { request, core, site, person: form.person.clone() }, form))
    }

    /// Where an act comes from, and whose it is.
    fn caller(&self, from: &From) -> Caller {
        Caller { by: Some(self.person.user.email.clone()), ..from.0.clone() }
    }

    fn now(&self) -> Timestamp {
        self.core.now()
    }

    /// Whether the person may do more than look.
    fn may_act(&self) -> bool {
        self.person.user.role >= Role::Admin
    }

    fn fault(&self, cause: &Fault) -> HttpResponse {
        fault(self.request, self.site, cause)
    }

    fn missing(&self) -> HttpResponse {
        problem(self.request, self.site, StatusCode::NOT_FOUND, Problem::NotFound)
    }

    /// A parameter of the address.
    fn asked(&self, name: &str) -> String {
        let params = Params::parse(&[self.request.query_string().as_bytes()]).ok();
        params.and_then(|params| params.value(name).ok().flatten().map(str::to_owned)).unwrap_or_default()
    }

    /// What the list at `path` may be narrowed by, with what the address narrows it to.
    fn search(&self, path: &str, mut fields: Vec<Seek>) -> Search {
        for field in &mut fields {
            self.asked(field.name).trim().clone_into(&mut field.value);
        }
        Search { fields, whole: self.at(path) }
    }

    /// A parameter of the address that names something: none where it is empty, [`Strange`] where it cannot be.
    fn named_by<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Strange> {
        match self.asked(name).trim() {
            "" => Ok(None),
            text => parse(text).map(Some).ok_or(Strange),
        }
    }

    /// The same for any words.
    fn words_of(&self, name: &str) -> Option<String> {
        Some(self.asked(name).trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// An empty page.
    fn blank(&self, part: &'static str, title: impl Into<String>, lead: impl Into<String>) -> ConsolePage {
        let done = DONE.iter().find(|(code, _)| *code == self.asked("done")).map(|(_, words)| *words);
        let refused =
            REFUSED.iter().find(|(code, _)| *code == self.asked("refused")).map(|(_, words)| *words);
        ConsolePage {
            shell: self.site.shell.clone(),
            csrf: String::new(),
            email: self.person.user.email.clone(),
            part,
            title: title.into(),
            lead: lead.into(),
            done,
            refused,
            search: None,
            sought: String::new(),
            exports: Vec::new(),
            numbers: Vec::new(),
            facts: Vec::new(),
            tables: Vec::new(),
            acts: Vec::new(),
            editors: Vec::new(),
        }
    }

    /// Shows a page; acts only to whoever may act.
    fn show(&self, mut view: ConsolePage) -> HttpResponse {
        let (csrf, cookie) = self.site.anti_forgery(self.core, self.request);
        view.csrf = csrf;
        if !self.may_act() {
            view.acts = Vec::<Act>::new();
            view.editors.retain(|editor| editor.looks);
        }
        page(StatusCode::OK, &view, Leads::Here, cookie)
    }

    /// What was asked for cannot be done: says why, and leads back.
    fn refuse(&self, part: &'static str, why: &OrderError, back: &str) -> HttpResponse {
        if let OrderError::Fault(cause) = why {
            return self.fault(cause);
        }
        let mut view = self.blank(part, "Not done", format!("Nothing was changed: {why}."));
        view.facts = vec![Fact { label: "Go on", value: vec![self.named("Back to the page", back)] }];
        let (csrf, cookie) = self.site.anti_forgery(self.core, self.request);
        view.csrf = csrf;
        page(StatusCode::UNPROCESSABLE_ENTITY, &view, Leads::Here, cookie)
    }

    /// An address of the console.
    fn at(&self, path: &str) -> String {
        format!("{}/admin{path}", self.site.shell.base)
    }

    /// Where the list at `path`, narrowed by `query`, goes on.
    fn further(&self, path: &str, query: &str, from: &str) -> String {
        let and = if query.is_empty() { "" } else { "&" };
        self.at(&format!("{path}?{query}{and}{from}"))
    }

    /// Whether one of these texts has what the list is searched for, whatever its case.
    fn found_in(&self, texts: &[&str]) -> bool {
        let wanted = self.words_of("q").map(|text| text.to_lowercase());
        wanted.is_none_or(|wanted| texts.iter().any(|text| text.to_lowercase().contains(&wanted)))
    }

    /// The servers with this in their name or address, whatever its case.
    fn servers_with(&self, part: &str) -> Vec<ResourceId> {
        let filter = ServerFilter { part: part.to_owned(), gateway: None };
        resources::narrowed(&self.core.live.view(), &filter).into_iter().map(|one| one.id).collect()
    }

    /// Where a list, narrowed by `query`, is downloaded.
    fn exports(&self, list: &str, query: &str) -> Vec<(&'static str, String)> {
        let and = if query.is_empty() { "" } else { "&" };
        [("CSV", "csv"), ("JSON Lines", "jsonl")]
            .map(|(words, format)| (words, self.at(&format!("/export/{list}?format={format}{and}{query}"))))
            .to_vec()
    }

    /// Where evidence, narrowed by `query`, is downloaded.
    fn evidence(&self, query: &str) -> String {
        self.at(&format!("/export/evidence?{query}"))
    }

    fn named(&self, words: impl Into<String>, path: &str) -> Cell {
        Cell { words: words.into(), link: Some(self.at(path)), ..Cell::default() }
    }

    fn person_cell(&self, names: &Names, id: Option<UserId>) -> Cell {
        let Some(id) = id else { return said("nobody: the app itself") };
        let words = names.people.get(&id).map_or_else(|| id.to_string(), |user| user.email.clone());
        self.named(words, &format!("/people/{id}"))
    }

    fn app_cell(&self, names: &Names, id: &ClientId) -> Cell {
        let words = names.apps.get(id).map_or_else(|| id.to_string(), Client::display_name);
        self.named(words, &app_path(id))
    }

    fn ago(&self, at: Option<Timestamp>) -> Cell {
        at.map_or_else(|| said("never"), |at| Cell { at: Some(past(at, self.now())), ..Cell::default() })
    }
}

/// What was done, by the code that stands in the address after it.
const DONE: &[(&str, &str)] = &[
    ("changed", "Saved. It is in force everywhere within a second."),
    ("noted", "Noted."),
    ("provider", "Added. Register the address below there, then test it."),
    ("removed", "Removed."),
    ("invited", "Invited. The link is on its way by mail; it works for seven days."),
    ("uninvited", "Taken back. The link is dead."),
    ("allowed", "Allowed: the app can make this call once, within ten minutes."),
    ("denied", "Refused."),
    ("off", "Switched off. Every sign-in and every token is dead."),
    ("on", "Switched on again."),
    ("role", "The role was changed."),
    ("signed-out", "Signed out everywhere."),
    ("ended", "Ended. Every token under it is dead."),
    ("narrowed", "Narrowed. It is in force everywhere within a second."),
    ("rotated", "The next key is published and will take over."),
    ("cut", "Cut. It is in force everywhere within a second."),
    (
        "offboarded",
        "Offboarded: nothing of theirs works any more, here or at the servers they had connected.",
    ),
    ("undone", "Undone."),
    ("erased", "Erased. The audit log says that it was done, and stays provable."),
];

/// Why something was not done.
const REFUSED: [(&str, &str); 6] = [
    ("nothing", "Not done: nothing would stay; end it instead."),
    ("same", "Nothing was changed: all of it stays."),
    ("last", "Not done: this is the last administrator who can sign in."),
    ("gone", "Not done: it is not there any more."),
    ("reason", "Not done: say why, so that the log can tell."),
    ("confirm", "Not done: the e-mail address was not the one of this person."),
];

/// The path of an app's page; an id may be an address itself.
fn app_path(id: &ClientId) -> String {
    format!("/app?id={}", byte_serialize(id.as_str().as_bytes()).collect::<String>())
}

fn said(words: impl Into<String>) -> Cell {
    Cell { words: words.into(), ..Cell::default() }
}

fn marked(words: &str, tone: &'static str) -> Cell {
    Cell { words: words.to_owned(), tone, ..Cell::default() }
}

fn at(moment_at: Timestamp) -> Cell {
    Cell { at: Some(moment(moment_at)), ..Cell::default() }
}

fn fact(label: &'static str, value: Cell) -> Fact {
    Fact { label, value: vec![value] }
}

/// Whether what is meant is switched off.
fn on_or_off(text: &str) -> Option<bool> {
    match text {
        "on" => Some(false),
        "off" => Some(true),
        _ => None,
    }
}

/// A field of a list's search in which one types.
const fn line(name: &'static str, label: &'static str) -> Seek {
    Seek { name, label, value: String::new(), choices: Vec::new() }
}

/// One in which one chooses; `any` says that nothing is chosen.
fn choice<'c>(
    name: &'static str,
    label: &'static str,
    any: &'c str,
    choices: impl IntoIterator<Item = (&'c str, &'c str)>,
) -> Seek {
    let choices = [("", any)].into_iter().chain(choices);
    let choices = choices.map(|(value, words)| (value.to_owned(), words.to_owned())).collect();
    Seek { name, label, value: String::new(), choices }
}

const fn table(title: &'static str, empty: &'static str, head: Vec<&'static str>) -> Table {
    Table { title, empty, head, rows: Vec::new(), next: None }
}

/// The answer, whichever way it was come by.
fn either(answer: Result<HttpResponse, HttpResponse>) -> HttpResponse {
    answer.unwrap_or_else(|answer| answer)
}
