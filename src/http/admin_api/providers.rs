//! Identity providers: where people may sign in instead.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Answer, Call, Operation, Verb, shape};
use super::problem::Problem;
use super::shapes::{Moment, at};
use crate::flow::core::Core;
use crate::flow::providers::{self, NewProvider};
use crate::types::admin::Permission;
use crate::types::identity::{Linking, Provider, Rules};
use crate::types::secret::Secret;
use crate::types::user::Role;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/identity-providers",
        id: "listIdentityProviders",
        about: "Where people may sign in instead of here.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Vec<ProviderShown>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/identity-providers",
        id: "addIdentityProvider",
        about: "Add a provider. It stands on the sign-in page at once; register the redirect URI of the answer there.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<ProviderToAdd>),
        done: (201, Some(shape::<ProviderShown>)),
        run: |call| Box::pin(add(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/identity-providers/{name}",
        id: "getIdentityProvider",
        about: "One provider, by its short name.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<ProviderShown>)),
        run: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Patch,
        path: "/identity-providers/{name}",
        id: "switchIdentityProvider",
        about: "Switch a provider off or on. While it is off nobody signs in through it; sign-ins and access tokens that came from it end at once, and refreshes are refused.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<Switch>),
        done: (200, Some(shape::<ProviderShown>)),
        run: |call| Box::pin(switch(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/identity-providers/{name}",
        id: "removeIdentityProvider",
        about: "Remove a provider with every link to it. Its people stay; what was signed in through it ends.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(remove(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/identity-providers/{name}/test",
        id: "testIdentityProvider",
        about: "Ask a provider for its metadata and keys, and whether it knows our client id and secret.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (200, Some(shape::<Tested>)),
        run: |call| Box::pin(test(call)),
    },
];

/// When somebody who is here already is linked by coming from there.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Default)]
#[serde(rename_all = "snake_case")]
enum LinkedBy {
    /// By an e-mail address that the provider has verified.
    VerifiedEmail,
    /// Not by that.
    #[default]
    Never,
}

/// A role in the console that a group stands for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum ConsoleRole {
    Auditor,
    Admin,
}

/// A group there, and the group here that it stands for.
#[derive(Serialize, Deserialize, JsonSchema, Clone)]
#[serde(deny_unknown_fields)]
struct GroupPair {
    there: String,
    here: String,
}

/// A group there, and the role in the console that it stands for.
#[derive(Serialize, Deserialize, JsonSchema, Clone)]
#[serde(deny_unknown_fields)]
struct RolePair {
    there: String,
    role: ConsoleRole,
}

fn groups_claim() -> String {
    Rules::default().group_claim
}

fn usual_scopes() -> Vec<String> {
    Rules::default().scopes
}

/// What is decided about a provider.
#[derive(Serialize, Deserialize, JsonSchema, Clone)]
#[serde(deny_unknown_fields)]
struct RulesShown {
    #[serde(default)]
    linked_by: LinkedBy,
    /// Whether somebody who is not here yet gets an account.
    #[serde(default)]
    creates_people: bool,
    /// Domains of the addresses that may be linked or added; any when empty.
    #[serde(default)]
    allowed_domains: Vec<String>,
    #[serde(default)]
    groups: Vec<GroupPair>,
    #[serde(default)]
    roles: Vec<RolePair>,
    /// The claim that lists a person’s groups.
    #[serde(default = "groups_claim")]
    group_claim: String,
    /// What to ask for besides `openid`.
    #[serde(default = "usual_scopes")]
    scopes: Vec<String>,
    /// Whether its word for several factors counts.
    #[serde(default)]
    second_factor: bool,
    /// Values of `acr` that count as several factors.
    #[serde(default)]
    second_factor_acr: Vec<String>,
    /// Whether it may be at a private address.
    #[serde(default)]
    private_network: bool,
}

impl RulesShown {
    fn of(rules: &Rules) -> Self {
        let role = |role: Role| if role == Role::Admin { ConsoleRole::Admin } else { ConsoleRole::Auditor };
        let groups = rules.groups.iter();
        let roles = rules.roles.iter();
        Self {
            linked_by: match rules.linking {
                Linking::VerifiedEmail => LinkedBy::VerifiedEmail,
                Linking::Never => LinkedBy::Never,
            },
            creates_people: rules.creates_people,
            allowed_domains: rules.allowed_domains.clone(),
            groups: groups
                .map(|(there, here)| GroupPair { there: there.clone(), here: here.clone() })
                .collect(),
            roles: roles.map(|(there, here)| RolePair { there: there.clone(), role: role(*here) }).collect(),
            group_claim: rules.group_claim.clone(),
            scopes: rules.scopes.clone(),
            second_factor: rules.second_factor,
            second_factor_acr: rules.second_factor_acr.clone(),
            private_network: rules.private_network,
        }
    }

    fn meant(self) -> Rules {
        let role = |role: ConsoleRole| match role {
            ConsoleRole::Admin => Role::Admin,
            ConsoleRole::Auditor => Role::Auditor,
        };
        Rules {
            group_claim: self.group_claim,
            groups: self.groups.into_iter().map(|pair| (pair.there, pair.here)).collect(),
            roles: self.roles.into_iter().map(|pair| (pair.there, role(pair.role))).collect(),
            linking: match self.linked_by {
                LinkedBy::VerifiedEmail => Linking::VerifiedEmail,
                LinkedBy::Never => Linking::Never,
            },
            creates_people: self.creates_people,
            allowed_domains: self.allowed_domains,
            second_factor: self.second_factor,
            second_factor_acr: self.second_factor_acr,
            scopes: self.scopes,
            private_network: self.private_network,
        }
    }
}

/// A provider to be added.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProviderToAdd {
    /// Its short name, which becomes part of its addresses here.
    #[schemars(length(min = 1, max = 32))]
    short_name: String,
    /// Its name on the sign-in page.
    #[schemars(length(min = 1, max = 255))]
    name: String,
    /// Its issuer identifier, exactly as it writes it.
    #[schemars(length(max = 2048))]
    issuer: String,
    #[schemars(length(min = 1, max = 255))]
    client_id: String,
    #[schemars(length(min = 1, max = 1024))]
    client_secret: String,
    rules: RulesShown,
}

/// A provider. Its client secret is never shown.
#[derive(Serialize, JsonSchema)]
struct ProviderShown {
    short_name: String,
    name: String,
    issuer: String,
    client_id: String,
    redirect_uri: String,
    rules: RulesShown,
    created_at: Moment,
    disabled_at: Option<Moment>,
    last_sign_in_at: Option<Moment>,
}

impl ProviderShown {
    fn of(core: &Core, provider: &Provider) -> Self {
        Self {
            short_name: provider.id.to_string(),
            name: provider.name.clone(),
            issuer: provider.issuer.clone(),
            client_id: provider.client_id.clone(),
            redirect_uri: providers::redirect_uri(core, &provider.id),
            rules: RulesShown::of(&provider.rules),
            created_at: Moment(provider.created_at),
            disabled_at: at(provider.disabled_at),
            last_sign_in_at: at(provider.last_sign_in_at),
        }
    }
}

/// Off or on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Switch {
    enabled: bool,
}

/// What a test found.
#[derive(Serialize, JsonSchema)]
struct Tested {
    /// Its endpoints.
    found: std::collections::BTreeMap<&'static str, String>,
    /// What will not work, or works less well than it could.
    warnings: Vec<String>,
}

async fn list(call: Call) -> Result<Answer, Problem> {
    let all = providers::list(&call.core).await?;
    Answer::of(&all.iter().map(|one| ProviderShown::of(&call.core, one)).collect::<Vec<_>>())
}

async fn add(call: Call) -> Result<Answer, Problem> {
    let wanted: ProviderToAdd = call.read()?;
    let new = NewProvider {
        id: wanted.short_name,
        name: wanted.name,
        issuer: wanted.issuer,
        client_id: wanted.client_id,
        secret: Secret::new(wanted.client_secret),
        rules: wanted.rules.meant(),
    };
    let added = providers::add(&call.core, &call.caller, new).await?;
    Answer::of(&ProviderShown::of(&call.core, &added))
}

async fn get(call: Call) -> Result<Answer, Problem> {
    let found = providers::find(&call.core, call.part("name")).await?;
    Answer::of(&ProviderShown::of(&call.core, &found))
}

async fn switch(call: Call) -> Result<Answer, Problem> {
    let wanted: Switch = call.read()?;
    let done = providers::set_enabled(&call.core, &call.caller, call.part("name"), wanted.enabled).await?;
    Answer::of(&ProviderShown::of(&call.core, &done))
}

async fn remove(call: Call) -> Result<Answer, Problem> {
    providers::remove(&call.core, &call.caller, call.part("name")).await?;
    Ok(Answer::NOTHING)
}

async fn test(call: Call) -> Result<Answer, Problem> {
    let tested = providers::test(&call.core, call.part("name")).await?;
    Answer::of(&Tested { found: tested.found.into_iter().collect(), warnings: tested.warnings })
}
