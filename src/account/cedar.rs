//! What scopes, classes and rules cannot say: the policies of a server, in Cedar's own language. They only take away. A call
//! that everything else lets through has to be permitted by one of them and forbidden by none, and a policy that cannot be
//! evaluated refuses: Cedar alone would pass over it, and whoever sends something odd would get round it.

mod check;
mod depth;
mod schema;
mod value;

use std::collections::{HashMap, HashSet};
use std::fmt;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Effect, Entities, Entity, EntityId, EntityTypeName,
    EntityUid, Policy, PolicyId, PolicySet, Request, Response, RestrictedExpression,
};
use serde_json::Value;

pub use self::check::{Checked, Names, check};
pub use self::schema::SCHEMA;
use super::call::Ask;
use crate::types::callers::CallerFacts;
use crate::types::resource::PassKind;
use crate::types::tool::ToolClass;

/// The policies of one server, as they are stored.
pub struct Policies {
    server: String,
    text: String,
    read: Result<Readable, String>,
}

/// Policies that can be evaluated.
struct Readable {
    set: PolicySet,
    types: Types,
    /// Whether any of them looks at what is around the call.
    looks_around: bool,
    /// Whether any of them may look at the arguments, which are costly to convert.
    looks_within: bool,
}

/// The names of the schema's types, read once.
struct Types {
    action: EntityTypeName,
    user: EntityTypeName,
    group: EntityTypeName,
    role: EntityTypeName,
    client: EntityTypeName,
    server: EntityTypeName,
    tool: EntityTypeName,
    prompt: EntityTypeName,
    resource: EntityTypeName,
    json: EntityTypeName,
}

impl Types {
    fn read() -> Result<Self, String> {
        let read = |name: &str| name.parse().map_err(|_| format!("{name} is no name of a type"));
        Ok(Self {
            action: read("Action")?,
            user: read("User")?,
            group: read("Group")?,
            role: read("Role")?,
            client: read("Client")?,
            server: read("Server")?,
            tool: read("Tool")?,
            prompt: read("Prompt")?,
            resource: read("Resource")?,
            json: read("Json")?,
        })
    }
}

/// One policy, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its `@id`, or its place.
    pub name: String,
    /// Whether it forbids; else it permits.
    pub forbids: bool,
    /// As it was written.
    pub text: String,
}

/// Why a set refuses a call. Policies are named by their `@id`, or by their place: `policy0` is the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// These forbid it; the `@reason` of one of them, where one has any.
    Forbidden(Vec<String>, Option<String>),
    /// None permits it.
    NothingPermits,
    /// These cannot be evaluated for it; none where the call itself fits no set.
    Unjudged(Vec<String>),
    /// The set cannot be read by this version.
    Unreadable,
}

impl Refusal {
    /// The name of this kind of refusal, for the log.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Forbidden(..) => "forbidden",
            Self::NothingPermits => "nothing_permits",
            Self::Unjudged(_) => "cannot_be_judged",
            Self::Unreadable => "unreadable",
        }
    }

    /// The policies that decided.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        match self {
            Self::Forbidden(names, _) | Self::Unjudged(names) => names,
            Self::NothingPermits | Self::Unreadable => &[],
        }
    }
}

/// As whoever calls reads it.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden(_, Some(reason)) => write!(f, "A policy of this gateway refuses the call: {reason}"),
            Self::Forbidden(names, None) => {
                write!(f, "A policy of this gateway refuses the call ({}).", names.join(", "))
            }
            Self::NothingPermits => f.write_str("No policy of this gateway permits the call."),
            Self::Unjudged(names) if names.is_empty() => f.write_str(
                "The policies of this gateway cannot judge the call, and so refuse it: its arguments are too many, or \
                 nothing is known of whoever makes it.",
            ),
            Self::Unjudged(names) => write!(
                f,
                "A policy of this gateway cannot judge the call as it is, and so refuses it ({}): something that it \
                 compares is missing, or of another kind.",
                names.join(", ")
            ),
            Self::Unreadable => f.write_str(
                "The policies of this server cannot be read; an administrator of this gateway has to set them anew.",
            ),
        }
    }
}

impl Policies {
    /// The policies of a server, by its URI, as they are stored. Those that cannot be read refuse every call.
    #[must_use]
    pub fn stored(server: &str, text: String) -> Self {
        let read = check::read(&text).map_err(|problems| problems.join("; ")).and_then(|set| {
            // `context` is a word that can be written in one way only; the name of a member, in several with a backslash.
            let looks_around = text.contains("context");
            let looks_within = looks_around && (text.contains("arguments") || text.contains('\\'));
            Ok(Readable { set, types: Types::read()?, looks_around, looks_within })
        });
        Self { server: server.to_owned(), text, read }
    }

    /// As they were written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What keeps them from being read, if anything does.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.read.as_ref().err().map(String::as_str)
    }

    /// Each of them, in the order in which they stand; nothing of those that cannot be read.
    #[must_use]
    pub fn each(&self) -> Vec<Listed> {
        let Ok(read) = &self.read else { return Vec::new() };
        let ids: Vec<&PolicyId> = read.set.policies().map(Policy::id).collect();
        let policies = in_order(&ids).into_iter().filter_map(|id| read.set.policy(id));
        let listed = |policy: &Policy| Listed {
            name: read.names(&[policy.id()]).join(""),
            forbids: policy.effect() == Effect::Forbid,
            text: policy.to_string(),
        };
        policies.map(listed).collect()
    }

    /// Judges something that is asked of the server, of this class. The policies that permit it, by name.
    ///
    /// Without `arguments`, as where a list is made, what only they could decide passes with nothing named.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn judge(
        &self,
        ask: Ask<'_>,
        class: ToolClass,
        by: CallerFacts<'_>,
        arguments: Option<&Value>,
    ) -> Result<Vec<String>, Refusal> {
        let Ok(read) = &self.read else { return Err(Refusal::Unreadable) };
        let Some((action, resource)) = read.types.asked(&self.server, ask, class) else {
            return Ok(Vec::new());
        };
        let request = read.request(by, action, resource, arguments);
        let Some((request, entities)) = request else { return Err(Refusal::Unjudged(Vec::new())) };
        let response = Authorizer::new().is_authorized(&request, &read.set, &entities);
        read.answer(&response, arguments.is_some())
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies")
            .field("server", &self.server)
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}

impl Readable {
    fn answer(&self, response: &Response, whole: bool) -> Result<Vec<String>, Refusal> {
        let found = response.diagnostics();
        let decided: Vec<&PolicyId> = found.reason().collect();
        let wrong: Vec<&PolicyId> = found
            .errors()
            .map(|error| match error {
                AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
            })
            .collect();
        match response.decision() {
            Decision::Deny if !decided.is_empty() => {
                let reason = in_order(&decided).into_iter().find_map(|id| self.set.annotation(id, "reason"));
                Err(Refusal::Forbidden(self.names(&decided), reason.map(str::to_owned)))
            }
            _ if !wrong.is_empty() && whole => Err(Refusal::Unjudged(self.names(&wrong))),
            Decision::Deny if wrong.is_empty() => Err(Refusal::NothingPermits),
            Decision::Deny => Ok(Vec::new()),
            Decision::Allow => Ok(self.names(&decided)),
        }
    }

    fn names(&self, ids: &[&PolicyId]) -> Vec<String> {
        let name = |id: &PolicyId| {
            let own = self.set.annotation(id, "id").filter(|own| !own.is_empty());
            own.map_or_else(|| id.to_string(), str::to_owned)
        };
        in_order(ids).into_iter().map(name).collect()
    }

    /// What Cedar is asked; nothing where it cannot be said, which nobody is let through by.
    fn request(
        &self,
        by: CallerFacts<'_>,
        action: EntityUid,
        resource: Entity,
        arguments: Option<&Value>,
    ) -> Option<(Request, Entities)> {
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let context = if self.looks_around {
            let mut around =
                vec![("client".to_owned(), text(by.client)), ("kind".to_owned(), text(by.kind.as_str()))];
            if let Some(arguments) = arguments.filter(|_| self.looks_within) {
                around.push(("arguments".to_owned(), value::arguments(arguments, &self.types.json)?));
            }
            Context::from_pairs(around).ok()?
        } else {
            Context::empty()
        };
        let principal = self.types.principal(by)?;
        let request = Request::new(principal.uid(), action, resource.uid(), context, None).ok()?;
        Some((request, Entities::from_entities([principal, resource], None).ok()?))
    }
}

impl Types {
    /// Who calls; nothing for a person of whom nothing is known.
    fn principal(&self, by: CallerFacts<'_>) -> Option<Entity> {
        let Some(person) = by.standing else {
            return (by.kind == PassKind::Machine).then(|| Entity::with_uid(uid(&self.client, by.client)));
        };
        let groups = person.groups.iter().map(|name| uid(&self.group, name));
        let roles = person.roles.iter().map(|name| uid(&self.role, name));
        let attributes =
            [("email", person.email.to_lowercase()), ("console", person.console.as_str().to_owned())];
        entity(uid(&self.user, &person.id.to_string()), attributes, groups.chain(roles).collect())
    }

    /// What is done, and to what; nothing for what no policy is about.
    fn asked(&self, server: &str, ask: Ask<'_>, class: ToolClass) -> Option<(EntityUid, Entity)> {
        let at = uid(&self.server, server);
        let (method, resource) = match ask {
            Ask::Tool(name) => {
                let attributes = [("name", name.to_owned()), ("class", class.as_str().to_owned())];
                ("tools/call", entity(uid(&self.tool, name), attributes, HashSet::from([at]))?)
            }
            // A template stands for many resources, of which each is judged when it is read.
            Ask::Read { method: "", .. } | Ask::Open | Ask::Unknown => return None,
            Ask::Read { method: method @ "prompts/get", name, .. } => {
                let name = name.unwrap_or_default();
                let attributes = [("name", name.to_owned())];
                (method, entity(uid(&self.prompt, name), attributes, HashSet::from([at]))?)
            }
            Ask::Read { method, uri: at_uri, .. } if method.starts_with("resources/") => {
                let name = at_uri.unwrap_or_default();
                let attributes = [("uri", name.to_owned())];
                (method, entity(uid(&self.resource, name), attributes, HashSet::from([at]))?)
            }
            // The gateway does not read which prompt or resource a completion is for.
            Ask::Read { method, .. } => (method, Entity::with_uid(at)),
        };
        Some((uid(&self.action, method), resource))
    }
}

/// In the order in which they stand in the text.
fn in_order<'a>(ids: &[&'a PolicyId]) -> Vec<&'a PolicyId> {
    let mut ids = ids.to_vec();
    ids.sort_by_key(|id| {
        let text: &str = id.as_ref();
        text.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(usize::MAX)
    });
    ids
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

fn entity<const N: usize>(
    uid: EntityUid,
    attributes: [(&str, String); N],
    parents: HashSet<EntityUid>,
) -> Option<Entity> {
    let attributes = attributes.map(|(name, text)| (name.to_owned(), RestrictedExpression::new_string(text)));
    Entity::new(uid, HashMap::from(attributes), parents).ok()
}

#[cfg(test)]
#[path = "cedar_tests.rs"]
mod tests;
