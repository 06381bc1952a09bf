//! People.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Answer, CURSOR, Call, Kind, LIMIT, Operation, Rows, Verb, query, shape};
use super::problem::Problem;
use super::shapes::{Approval, CutShown, Person, words};
use crate::flow::erase as flow_erase;
use crate::flow::offboard;
use crate::flow::people::{self, NewUser};
use crate::flow::{console, roles};
use crate::storage::console::PeopleFilter;
use crate::storage::erasure::Traces;
use crate::types::admin::Permission;
use crate::types::id::UserId;
use crate::types::secret::Secret;
use crate::types::user::{Role, User};

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/people",
        id: "listPeople",
        about: "People, by e-mail address.",
        needs: Permission::Read,
        query: &[
            query("email", Kind::Text, "Only those whose address begins so."),
            query(
                "role",
                Kind::OneOf(|| vec!["member", "auditor", "admin"]),
                "Only those with this role in the console.",
            ),
            query("disabled", Kind::Flag, "Only those who are switched off, or only those who are not."),
            query("group", Kind::Text, "Only those in this group."),
            LIMIT,
            CURSOR,
        ],
        body: None,
        done: (200, Some(shape::<Rows<Person>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/people",
        id: "addPerson",
        about: "Add a person who signs in with a password.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<NewPerson>),
        done: (201, Some(shape::<Person>)),
        run: |call| Box::pin(add(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/people/{id}",
        id: "getPerson",
        about: "One person.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Person>)),
        run: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Patch,
        path: "/people/{id}",
        id: "changePerson",
        about: "Change a person’s role, groups or second-factor rule, or switch them off or on. In this order; what was done before a refusal stays done.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<PersonChange>),
        done: (200, Some(shape::<Person>)),
        run: |call| Box::pin(change(call)),
    },
    Operation {
        verb: Verb::Put,
        path: "/people/{id}/password",
        id: "setPassword",
        about: "Set a password; every sign-in that rests on the old one ends.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<NewPassword>),
        done: (204, None),
        run: |call| Box::pin(set_password(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/people/{id}/access",
        id: "getEffectiveAccess",
        about: "What apps may be allowed on this person’s behalf at each server, through which roles, and what they have of it.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Vec<EffectiveAccess>>)),
        run: |call| Box::pin(access(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/people/{id}/offboard",
        id: "offboardPerson",
        about: "Switch a person off and end everything of theirs: approvals, tokens, sign-ins, password, further factors.",
        needs: Permission::Revoke,
        query: &[],
        body: Some(shape::<Offboarding>),
        done: (200, Some(shape::<Offboarded>)),
        run: |call| Box::pin(leave(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/people/{id}/erase",
        id: "previewErasure",
        about: "What an erasure of this person would hit. Nothing is erased.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<TracesShown>)),
        run: |call| Box::pin(preview(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/people/{id}/erase",
        id: "erasePerson",
        about: "Erase everything that is known of a person: the account, approvals, sign-ins, passkeys, and address and detail of every audit record that concerns or names them. The audit log stays provable. There is no way back.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<Erasure>),
        done: (200, Some(shape::<ErasedShown>)),
        run: |call| Box::pin(erase(call)),
    },
];

/// Whom to erase, to be sure.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Erasure {
    /// Their e-mail address.
    #[schemars(length(min = 1, max = 254))]
    email: String,
}

/// What there is of a person.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Traces")]
struct TracesShown {
    /// Approvals, those that have ended included.
    grants: i64,
    /// Sign-ins.
    sessions: i64,
    /// Passkeys.
    passkeys: i64,
    /// Audit records that concern them.
    records: i64,
}

impl From<Traces> for TracesShown {
    fn from(traces: Traces) -> Self {
        let Traces { grants, sessions, passkeys, records } = traces;
        Self { grants, sessions, passkeys, records }
    }
}

/// What was erased.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Erased")]
struct ErasedShown {
    /// What there was.
    traces: TracesShown,
    /// Audit records whose content was destroyed, those that only named the person included.
    records: u64,
    /// Whether the database’s file was rewritten, so that nothing is left in its free pages.
    compacted: bool,
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum RoleName {
    Member,
    Auditor,
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Member => Self::Member,
            RoleName::Auditor => Self::Auditor,
            RoleName::Admin => Self::Admin,
        }
    }
}

/// A person to be added.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewPerson {
    /// E-mail address, with which they sign in.
    #[schemars(length(max = 254), regex(pattern = r"^[!#-?A-~]+@[!#-?A-~]+$"))]
    email: String,
    /// Name.
    #[schemars(length(max = 200))]
    name: Option<String>,
    /// Role in the console; `member` when absent.
    role: Option<RoleName>,
    /// Groups.
    #[serde(default)]
    groups: Vec<String>,
    /// Password.
    password: String,
}

/// What to change; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PersonChange {
    /// Role in the console.
    role: Option<RoleName>,
    /// All groups they belong to.
    groups: Option<Vec<String>>,
    /// Whether they sign in with a second factor or not at all.
    second_factor_required: Option<bool>,
    /// Whether they are switched off.
    disabled: Option<bool>,
}

/// A password to set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The password.
    password: String,
}

/// Why somebody leaves.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Offboarding {
    /// For the log.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// What was ended.
#[derive(Serialize, JsonSchema)]
struct Offboarded {
    cut: CutShown,
    /// What the person could reach until now.
    reached: Vec<Reached>,
}

/// Something that could be reached.
#[derive(Serialize, JsonSchema)]
struct Reached {
    /// Through which app.
    client_id: String,
    /// At which server.
    server: String,
    /// Doing what.
    scopes: Vec<String>,
}

/// What may be allowed, and is allowed, at one server.
#[derive(Serialize, JsonSchema)]
struct EffectiveAccess {
    /// The server.
    server_id: String,
    /// Its URL.
    server: String,
    /// Whether anything may be granted at all.
    permitted: bool,
    /// What may be granted.
    scopes: Vec<String>,
    /// The roles that allow it; none where the server is open to everyone.
    through: Vec<Through>,
    /// What apps have of it.
    grants: Vec<Approval>,
}

/// A role, and as whom the person has it.
#[derive(Serialize, JsonSchema)]
struct Through {
    /// The role.
    role: String,
    /// As whom: `everyone`, `group …` or `this person`.
    holder: String,
}

/// The person that the path names.
async fn person(call: &Call) -> Result<User, Problem> {
    let id = call.id(UserId::parse)?;
    Ok(console::person(&call.core, id).await?.ok_or_else(Problem::missing)?.0)
}

async fn list(call: Call) -> Result<Answer, Problem> {
    let filter = PeopleFilter {
        prefix: call.text("email").unwrap_or_default().to_owned(),
        role: call.named("role", Role::parse)?,
        off: call.yes_or_no("disabled"),
        group: call.text("group").map(str::to_owned),
    };
    let after = call.cursor(|key| Some(key.to_owned()))?.unwrap_or_default();
    let page = console::people(&call.core, filter, after, call.limit()).await?;
    Answer::of(&Rows::new(page.rows.iter().map(Person::of).collect(), page.next))
}

async fn add(call: Call) -> Result<Answer, Problem> {
    let new: NewPerson = call.read()?;
    let new = NewUser {
        email: new.email,
        name: new.name,
        role: new.role.map(Role::from).unwrap_or_default(),
        groups: new.groups,
        password: Secret::new(new.password),
    };
    Answer::of(&Person::of(&people::add(&call.core, &call.caller, new).await?))
}

async fn get(call: Call) -> Result<Answer, Problem> {
    Answer::of(&Person::of(&person(&call).await?))
}

async fn change(call: Call) -> Result<Answer, Problem> {
    let (core, caller) = (&call.core, &call.caller);
    let change: PersonChange = call.read()?;
    let mut user = person(&call).await?;
    let role = change.role.map(Role::from);
    let weakens = change.disabled == Some(true) || role.is_some_and(|role| role != Role::Admin);
    if weakens && console::is_last_administrator(core, &user).await? {
        return Err(Problem::conflict(
            "last_administrator",
            "This is the last administrator who can sign in.",
        ));
    }
    if let Some(role) = role {
        user = people::set_role(core, caller, &user.email, role).await?;
    }
    if let Some(groups) = change.groups {
        user = roles::set_groups(core, caller, &user.email, groups).await?;
    }
    if let Some(required) = change.second_factor_required {
        user = people::require_second_factor(core, caller, &user.email, required).await?;
    }
    match change.disabled {
        Some(true) if user.disabled_at.is_none() => {
            user = people::disable(core, caller, &user.email).await?;
        }
        Some(false) if user.disabled_at.is_some() => {
            user = people::enable(core, caller, &user.email).await?;
        }
        _ => {}
    }
    Answer::of(&Person::of(&user))
}

async fn set_password(call: Call) -> Result<Answer, Problem> {
    let new: NewPassword = call.read()?;
    let user = person(&call).await?;
    people::set_password(&call.core, &call.caller, &user.email, Secret::new(new.password)).await?;
    Ok(Answer::NOTHING)
}

async fn access(call: Call) -> Result<Answer, Problem> {
    let user = person(&call).await?;
    let mut all = Vec::new();
    for one in roles::effective(&call.core, &user).await? {
        all.push(EffectiveAccess {
            server_id: one.resource.id.to_string(),
            server: one.resource.uri.to_string(),
            permitted: one.permitted.at_all,
            scopes: words(&one.permitted.scopes),
            through: one
                .permitted
                .through
                .iter()
                .map(|(role, who)| Through {
                    role: role.clone(),
                    holder: roles::in_words(who, |_| "this person".to_owned()),
                })
                .collect(),
            grants: Approval::all(&call.core, one.grants).await?,
        });
    }
    Answer::of(&all)
}

async fn preview(call: Call) -> Result<Answer, Problem> {
    let user = person(&call).await?;
    Answer::of(&TracesShown::from(flow_erase::preview(&call.core, user.id).await?))
}

async fn erase(call: Call) -> Result<Answer, Problem> {
    let asked: Erasure = call.read()?;
    let user = person(&call).await?;
    if asked.email.trim().to_lowercase() != user.email.to_lowercase() {
        return Err(Problem::refused("email is not the address of this person; nothing was erased"));
    }
    if console::is_last_administrator(&call.core, &user).await? {
        return Err(Problem::conflict(
            "last_administrator",
            "This is the last administrator who can sign in.",
        ));
    }
    let done = flow_erase::erase(&call.core, &call.caller, call.by.clone(), user.id).await?;
    Answer::of(&ErasedShown { traces: done.traces.into(), records: done.records, compacted: done.compacted })
}

async fn leave(call: Call) -> Result<Answer, Problem> {
    let asked: Offboarding = call.read()?;
    let user = person(&call).await?;
    if console::is_last_administrator(&call.core, &user).await? {
        return Err(Problem::conflict(
            "last_administrator",
            "This is the last administrator who can sign in.",
        ));
    }
    let done = offboard::offboard(&call.core, &call.caller, call.by.clone(), user.id, asked.reason).await?;
    let reached = done.reached.into_iter().map(|one| Reached {
        client_id: one.client_id.to_string(),
        server: one.resource,
        scopes: one.scopes,
    });
    Answer::of(&Offboarded { cut: CutShown::of(&done.cut, call.core.now()), reached: reached.collect() })
}

/// Whether there is such a person.
///
/// # Errors
/// 404.
pub async fn exists(call: &Call, id: UserId) -> Result<(), Problem> {
    console::person(&call.core, id).await?.map(|_| ()).ok_or_else(Problem::missing)
}
