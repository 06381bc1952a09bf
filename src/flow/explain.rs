//! Why a call through the gateway goes through or not: by the same decision that calls go by, without making one.

use serde_json::Value;

use super::core::Core;
use super::hold;
use super::people::OrderError;
use super::{people, resources};
use crate::account::call::{Ask, By, Verdict, decide};
use crate::account::cedar::Refusal;
use crate::account::permission;
use crate::storage::clients;
use crate::storage::grants::{self, GrantFilter};
use crate::types::callers::CallerFacts;
use crate::types::grant::Grant;
use crate::types::id::GrantId;
use crate::types::resource::PassKind;
use crate::types::scope::ScopeSet;
use crate::types::user::User;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose call, by e-mail.
    pub email: String,
    /// At which server.
    pub uri: String,
    /// Which method.
    pub method: String,
    /// The tool or prompt.
    pub name: Option<String>,
    /// The resource that would be read.
    pub target: Option<String>,
    /// The arguments.
    pub arguments: Value,
}

/// The answer for one approval.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The approval; none where the person has none at this server.
    pub grant: Option<GrantId>,
    /// Through which app, by id.
    pub client_id: String,
    /// The app's name, or its id where it has none.
    pub app: String,
    /// What it allows.
    pub scopes: ScopeSet,
    /// Whether it goes through: now, without anybody else's doing.
    pub goes: bool,
    /// The name of the rule that decides.
    pub rule: String,
    /// Why, in words.
    pub why: String,
    /// The Cedar policies that permit it, forbid it or cannot judge it, where they have a say.
    pub policies: Vec<String>,
}

/// Answers, once for each approval that the person has there.
///
/// # Errors
/// See [`OrderError`].
pub async fn explain(core: &Core, question: &Question) -> Result<Vec<Answer>, OrderError> {
    let user = people::find(core, &question.email).await?;
    let resource = resources::find(core, &question.uri).await?;
    let view = core.live.view();
    let route = resource.slug.as_ref().and_then(|slug| view.routes.get(slug)).cloned();
    let Some(route) = route else {
        return Err(OrderError::Bad("the server is not behind the gateway: it has no upstream".to_owned()));
    };
    let filter =
        GrantFilter { user_id: Some(user.id), resource_id: Some(resource.id), ..GrantFilter::default() };
    let now = core.now();
    let found: Vec<(Grant, String)> = core
        .store
        .read(move |tx| {
            let mut found = grants::list(tx, &filter)?;
            found.retain(|grant| grant.is_live(now));
            let named = found.into_iter().map(|grant| {
                let app = clients::find(tx, &grant.client_id)?;
                let name = app.map_or_else(|| grant.client_id.to_string(), |app| app.display_name());
                Ok((grant, name))
            });
            named.collect()
        })
        .await?;
    if let Some(why) = at_all(&user, found.is_empty()) {
        return Ok(vec![Answer {
            grant: None,
            client_id: String::new(),
            app: String::new(),
            scopes: ScopeSet::default(),
            goes: false,
            rule: why.0.to_owned(),
            why: why.1.to_owned(),
            policies: Vec::new(),
        }]);
    }
    let ask = Ask::of(&question.method, question.name.as_deref(), question.target.as_deref());
    let standing = permission::standing(&resource, &user);
    let answers = found.into_iter().map(|(grant, app)| {
        let token = view.grant_tokens.values().find(|token| token.grant.id == grant.id);
        let other_tools = match (ask, token.and_then(|token| token.tools.as_ref())) {
            (Ask::Tool(name), Some(tools)) => !tools.iter().any(|tool| tool == name),
            _ => false,
        };
        let (goes, rule, why, policies) = if hold::hold_on(&view, &grant, None, now).is_some() {
            (false, "cut", "Access is cut.".to_owned(), Vec::new())
        } else {
            let kind = if token.is_some() { PassKind::GrantToken } else { PassKind::App };
            let client = grant.client_id.as_str();
            let facts = CallerFacts { kind, client, standing: Some(&standing) };
            let verdict = if other_tools {
                Verdict::NotForThisToken
            } else {
                decide(ask, By { held: &grant.scopes, facts }, route.known(ask), Some(&question.arguments))
            };
            let policies = match (&verdict, &route.cedar) {
                (Verdict::Allowed(class) | Verdict::NeedsApproval(_, _, class), Some(cedar)) => {
                    cedar.judge(ask, *class, facts, Some(&question.arguments)).unwrap_or_default()
                }
                (Verdict::CedarDenied(refusal), _) => refusal.policies().to_vec(),
                _ => Vec::new(),
            };
            (matches!(verdict, Verdict::Allowed(_)), verdict.rule(), words(&verdict, &policies), policies)
        };
        Answer {
            grant: Some(grant.id),
            client_id: grant.client_id.to_string(),
            app,
            scopes: grant.scopes,
            goes,
            rule: rule.to_owned(),
            why,
            policies,
        }
    });
    Ok(answers.collect())
}

fn at_all(user: &User, nothing: bool) -> Option<(&'static str, &'static str)> {
    if user.disabled_at.is_some() {
        return Some(("person_disabled", "The person is switched off."));
    }
    nothing.then_some(("no_approval", "The person has allowed no app to use this server."))
}

/// What a verdict means, and what would change it; `policies` are those of Cedar's that had a say.
#[must_use]
fn words(verdict: &Verdict, policies: &[String]) -> String {
    let list = |scopes: &ScopeSet| scopes.to_string().replace(' ', " or ");
    match verdict {
        Verdict::Allowed(class) if policies.is_empty() => {
            format!("A {} call that the permissions held allow.", class.as_str())
        }
        Verdict::Allowed(class) => format!(
            "A {} call that the permissions held allow, and {} permits.",
            class.as_str(),
            policies.join(", ")
        ),
        Verdict::NeedsOneOf(needed) => {
            format!("It needs the permission {}; the app is told to ask the person for it.", list(needed))
        }
        Verdict::OutOfReach(class) => {
            format!("No permission of the server goes as far as {} tools.", class.as_str())
        }
        Verdict::UnknownTool => "The server has shown no such tool.".to_owned(),
        Verdict::Quarantined => {
            "The tool is new or has changed: an administrator has to look at it.".to_owned()
        }
        Verdict::Blocked => "An administrator has closed the tool.".to_owned(),
        Verdict::Denied(id, reason) => format!("The rule {id} refuses it: {reason}"),
        Verdict::NeedsApproval(id, reason, _) => {
            format!("The rule {id} holds it back until an administrator allows this very call: {reason}")
        }
        Verdict::CedarDenied(refusal @ Refusal::Forbidden(names, Some(_))) => {
            format!("{refusal} ({})", names.join(", "))
        }
        Verdict::CedarDenied(refusal) => refusal.to_string(),
        Verdict::NotForThisToken => "The grant token is for other tools.".to_owned(),
        Verdict::UnknownMethod => "The gateway does not let this method through.".to_owned(),
    }
}
