//! The authorization endpoint (RFC 6749 §3.1): from a request to a page, a redirect, or a code.

use serde::{Deserialize, Serialize};

use super::connections;
use super::consent::{self, Pending};
use super::core::{Caller, Core};
use super::documents;
use super::failure::{Failure, Fault};
use super::live::{self, View};
use super::login::SignedIn;
use crate::account::consent::{Ask, Question, ask};
use crate::account::cut::{Hold, Use, holds};
use crate::account::factor::level_due;
use crate::account::permission::permitted;
use crate::oauth::authorize::{self as rules, AuthorizeRequest, ReturnAddress};
use crate::oauth::params::Params;
use crate::oauth::refusal::Reason;
use crate::storage::grants;
use crate::types::client::{Client, ClientId};
use crate::types::policy::{CONTINUE_TTL, MAX_TARGET};
use crate::types::resource::Resource;
use crate::types::time::Timestamp;

/// What the browser gets.
pub enum Answer {
    /// A page that says why nothing can be redirected: client or redirect URI are not proven.
    Page {
        /// Why.
        reason: Reason,
        /// The client, when it is known.
        client: Option<Box<Client>>,
    },
    /// A redirect back to the client, with a code or an error.
    Redirect(String),
    /// The sign-in page; `resume` brings the browser back here afterwards.
    SignIn {
        /// Seals the request.
        resume: String,
    },
    /// The second step of the sign-in; `resume` brings the browser back here afterwards.
    StepUp {
        /// Seals the request.
        resume: String,
    },
    /// A server behind the gateway is used in the person's name, and they have not allowed that yet; `resume` brings the
    /// browser back here afterwards.
    Connect {
        /// The server.
        slug: String,
        /// Seals the request.
        resume: String,
    },
    /// The consent page.
    Consent(Box<Pending>),
}

/// A request that waits for a sign-in, sealed so that nobody can alter it.
#[derive(Serialize, Deserialize)]
pub struct Resume {
    /// The parameters as a query.
    pub query: String,
    /// When the request came; a later sign-in satisfies `prompt=login`.
    pub at: Timestamp,
    /// Whether the person goes on without connecting the servers that want it.
    #[serde(default)]
    pub unconnected: bool,
}

const RESUME: &str = "authorization request";

impl Resume {
    /// Seals a request for the way through the sign-in page.
    ///
    /// # Errors
    /// A fault.
    pub fn seal(core: &Core, query: String, at: Timestamp) -> Result<String, Fault> {
        Self { query, at, unconnected: false }.sealed(core)
    }

    /// The same request, once its person goes on without connecting what wants it.
    ///
    /// # Errors
    /// A fault.
    pub fn seal_unconnected(core: &Core, request: Self) -> Result<String, Fault> {
        Self { unconnected: true, ..request }.sealed(core)
    }

    fn sealed(&self, core: &Core) -> Result<String, Fault> {
        use base64::Engine as _;
        let text = serde_json::to_vec(self).map_err(|_| Fault::Bug("a request does not serialise"))?;
        let sealed = core.master.seal(RESUME, "", &text, core.rng.as_ref());
        Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a sealed request; `None` when it was altered or is too old.
    #[must_use]
    pub fn open(core: &Core, sealed: &str, now: Timestamp) -> Option<Self> {
        use base64::Engine as _;
        let sealed = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let text = core.master.open(RESUME, "", &sealed)?;
        let resume: Self = serde_json::from_slice(text.expose()).ok()?;
        (now.since(resume.at) <= CONTINUE_TTL).then_some(resume)
    }
}

/// Since when a request is under way, and what its person has decided meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// When it first came, before any sign-in it asked for.
    pub since: Timestamp,
    /// Whether they go on without connecting the servers that want it.
    pub unconnected: bool,
}

/// Answers an authorization request.
///
/// # Errors
/// A fault; every refusal is an [`Answer`].
pub async fn authorize(
    core: &Core,
    caller: &Caller,
    params: &Params,
    signed_in: Option<&SignedIn>,
    Course { since, unconnected }: Course,
) -> Result<Answer, Fault> {
    let now = core.now();
    let page = |reason, client: Option<Client>| Ok(Answer::Page { reason, client: client.map(Box::new) });
    let id = match params.required("client_id") {
        Ok(text) => match ClientId::parse(text) {
            Some(id) => id,
            None => return page(Reason::UnknownClient, None),
        },
        Err(reason) => return page(reason, None),
    };
    let client = match documents::resolve(core, caller, &id, now).await {
        Ok(client) => client,
        Err(Failure::Refused(reason)) => return page(reason, None),
        Err(Failure::Fault(fault)) => return Err(fault),
    };
    let back = match rules::return_address(params, &client, &core.policy.redirect_schemes) {
        Ok(back) => back,
        Err(reason) => return page(reason, Some(client)),
    };
    let refuse = |reason: &Reason| Ok(Answer::Redirect(error_redirect(core, &back, reason)));
    let resources = match params.resources() {
        Ok(named) => named_resources(live::knowing(core, &named).await?.as_ref(), named),
        Err(reason) => return refuse(&reason),
    };
    let mut request = match rules::check(params, client, back.clone(), resources) {
        Ok(request) => request,
        Err(reason) => return refuse(&reason),
    };
    let query = params.to_query();
    if query.len() > MAX_TARGET {
        return refuse(&Reason::MalformedRequest("it is too long"));
    }
    let Some(person) = signed_in.filter(|person| is_recent_enough(&request, person, since, now)) else {
        if request.prompt.none {
            return refuse(&Reason::LoginRequired);
        }
        return Ok(Answer::SignIn { resume: Resume::seal(core, query, since)? });
    };
    let demanded = request.asked.by_resource.iter().any(|(resource, _)| resource.second_factor_required);
    if !person.session.methods.reach(level_due(request.level, &person.user, demanded)) {
        if request.prompt.none {
            return refuse(&Reason::UnmetAuthentication);
        }
        return Ok(Answer::StepUp { resume: Resume::seal(core, query, since)? });
    }
    // What no role of theirs allows cannot be granted, so it is not asked either.
    request.asked.by_resource.retain_mut(|(resource, scopes)| {
        let left = permitted(resource, &person.user).left_of(scopes);
        left.is_some_and(|left| {
            *scopes = left;
            true
        })
    });
    if request.asked.by_resource.is_empty() {
        return refuse(&Reason::NoScopeLeft);
    }
    if !unconnected && !request.prompt.none {
        let asked: Vec<&Resource> = request.asked.by_resource.iter().map(|(resource, _)| resource).collect();
        if let Some(slug) = connections::missing(core, &person.user, &asked).await? {
            return Ok(Answer::Connect { slug, resume: Resume::seal(core, query, since)? });
        }
    }
    let mut questions = questions(core, &request, person, now).await?;
    match hold(live::current(core).await?.as_ref(), &request, &mut questions, person, now) {
        Some(Hold::Stopped) => return refuse(&Reason::AccessStopped),
        Some(Hold::SignInDue) if request.prompt.none => return refuse(&Reason::LoginRequired),
        Some(Hold::SignInDue) => return Ok(Answer::SignIn { resume: Resume::seal(core, query, since)? }),
        Some(Hold::ConsentDue) | None => {}
    }
    let kind = request.back.redirect_uri.kind();
    match ask(&request.client, kind, request.prompt.consent, &questions, now) {
        Ask::Nothing => {
            let code = consent::issue_remembered(core, caller, &request, &questions, person, now).await?;
            Ok(Answer::Redirect(match code {
                Ok(code) => code_redirect(core, &request.back, &code),
                Err(reason) => error_redirect(core, &request.back, &reason),
            }))
        }
        _ if request.prompt.none => refuse(&Reason::ConsentRequired),
        page => Ok(Answer::Consent(Box::new(
            consent::prepare(core, &request, questions, person, page, now).await?,
        ))),
    }
}

/// Tells the app that the person does not go on; `None` when its address is not proven any more.
///
/// # Errors
/// A fault.
pub async fn decline(
    core: &Core,
    caller: &Caller,
    params: &Params,
    reason: &Reason,
) -> Result<Option<String>, Fault> {
    let Some(id) = params.value("client_id").ok().flatten().and_then(ClientId::parse) else {
        return Ok(None);
    };
    let client = match documents::resolve(core, caller, &id, core.now()).await {
        Ok(client) => client,
        Err(Failure::Refused(_)) => return Ok(None),
        Err(Failure::Fault(fault)) => return Err(fault),
    };
    let back = rules::return_address(params, &client, &core.policy.redirect_schemes);
    Ok(back.ok().map(|back| error_redirect(core, &back, reason)))
}

/// The resources that a request names, each looked up; the default when it names none.
fn named_resources(view: &View, named: Vec<String>) -> Vec<(String, Option<Resource>)> {
    if named.is_empty() {
        let default = view.default_resource().cloned();
        return default.map(|resource| (resource.uri.to_string(), Some(resource))).into_iter().collect();
    }
    let known = |uri: String| {
        let resource = view.resource(&uri).cloned();
        (uri, resource)
    };
    named.into_iter().map(known).collect()
}

/// `prompt=login` wants a sign-in after the request came, `max_age` one that is not too old (OpenID Connect Core
/// §3.1.2.1).
fn is_recent_enough(request: &AuthorizeRequest, person: &SignedIn, since: Timestamp, now: Timestamp) -> bool {
    let signed_in_at = person.session.auth_time;
    let fresh = !request.prompt.login || signed_in_at >= since;
    // A sign-in that this very request asked for counts even with max_age=0.
    fresh && request.max_age.is_none_or(|age| now.since(signed_in_at) <= age || signed_in_at >= since)
}

/// What a cut has to say to this request. An approval that is due again counts as none.
fn hold(
    view: &View,
    request: &AuthorizeRequest,
    questions: &mut [Question],
    person: &SignedIn,
    now: Timestamp,
) -> Option<Hold> {
    let mut strongest = None;
    for question in questions {
        let what = Use {
            user: Some(person.user.id),
            client: Some(&request.client.id),
            resource: Some(question.resource.id),
            grant: question.standing.as_ref().map(|grant| grant.id),
        };
        let approved = question.standing.as_ref().map(|grant| grant.updated_at);
        let hold = holds(view.cuts.iter(), &what, approved, Some(person.session.auth_time), now);
        let due = holds(view.cuts.iter(), &what, approved, None, now);
        if due == Some(Hold::ConsentDue) {
            question.standing = None;
        }
        strongest = strongest.max(hold);
    }
    strongest
}

async fn questions(
    core: &Core,
    request: &AuthorizeRequest,
    person: &SignedIn,
    now: Timestamp,
) -> Result<Vec<Question>, Fault> {
    let (user_id, client_id) = (person.user.id, request.client.id.clone());
    let asked = request.asked.by_resource.clone();
    Ok(core
        .store
        .read(move |tx| {
            asked
                .iter()
                .map(|(resource, scopes)| {
                    let standing = grants::find_standing(tx, Some(user_id), &client_id, resource.id)?;
                    Ok(Question {
                        resource: resource.clone(),
                        asked: scopes.clone(),
                        standing: standing.filter(|grant| grant.is_live(now)),
                    })
                })
                .collect()
        })
        .await?)
}

/// The success response (RFC 6749 §4.1.2, RFC 9207 §2).
#[must_use]
pub fn code_redirect(core: &Core, back: &ReturnAddress, code: &str) -> String {
    redirect(core, back, &[("code", code)])
}

/// The error response (RFC 6749 §4.1.2.1, RFC 9207 §2).
#[must_use]
pub fn error_redirect(core: &Core, back: &ReturnAddress, reason: &Reason) -> String {
    redirect(core, back, &[("error", reason.code().as_str()), ("error_description", &reason.description())])
}

/// Appends to the redirect URI as text: its own bytes stay untouched.
fn redirect(core: &Core, back: &ReturnAddress, members: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(members);
    if let Some(state) = &back.state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", core.policy.issuer.as_str());
    let uri = back.redirect_uri.as_str();
    let joint = match uri.rfind('?') {
        None => "?",
        Some(at) if at + 1 == uri.len() || uri.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{uri}{joint}{}", query.finish())
}
