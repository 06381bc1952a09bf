//! Identity providers, and who is linked there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Answer, Call, Kind, Operation, Query, Verb, query, shape};
use super::problem::Problem;
use super::shapes::{Moment, at};
use crate::flow::core::Core;
use crate::flow::providers::{self, NewProvider};
use crate::types::admin::Permission;
use crate::types::identity::{Identity, Linking, Provider, Rules};
use crate::types::secret::Secret;
use crate::types::user::Role;

const PERSON: &[Query] = &[query("email", Kind::Text, "The e-mail address of the person here.")];

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/identity-providers",
        id: "listIdentityProviders",
        about: "Every identity provider.",
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
        about: "Add an identity provider. Register its `redirect_uri` there. One at a private address is added at the command line.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<NewIdentityProvider>),
        done: (201, Some(shape::<ProviderShown>)),
        run: |call| Box::pin(add(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/identity-providers/{id}",
        id: "getIdentityProvider",
        about: "One identity provider, by its short name.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<ProviderShown>)),
        run: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Patch,
        path: "/identity-providers/{id}",
        id: "changeIdentityProvider",
        about: "Switch an identity provider off or on, or change its rules. Switched off, every sign-in and access token that came from it ends.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<ProviderChange>),
        done: (200, Some(shape::<ProviderShown>)),
        run: |call| Box::pin(change(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/identity-providers/{id}",
        id: "removeIdentityProvider",
        about: "Remove an identity provider and every link to it. Its people stay; sign-ins and tokens that came from it end.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(remove(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/identity-providers/{id}/test",
        id: "testIdentityProvider",
        about: "Ask an identity provider for its metadata and keys, and whether it knows our client id and secret.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (200, Some(shape::<ProviderTest>)),
        run: |call| Box::pin(test(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/identity-providers/{id}/links",
        id: "listIdentityLinks",
        about: "The people who are linked at an identity provider, by address; the first 1000.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Links>)),
        run: |call| Box::pin(links(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/identity-providers/{id}/links",
        id: "addIdentityLink",
        about: "Link a person to who they are at an identity provider.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<NewLink>),
        done: (201, Some(shape::<Link>)),
        run: |call| Box::pin(link(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/identity-providers/{id}/links",
        id: "removeIdentityLink",
        about: "Take a person’s link at an identity provider away; sign-ins and tokens that came through it end.",
        needs: Permission::Write,
        query: PERSON,
        body: None,
        done: (204, None),
        run: |call| Box::pin(unlink(call)),
    },
];

/// How many links are listed.
const MOST: i64 = 1_000;

/// An identity provider. Its client secret is never shown.
#[derive(Serialize, JsonSchema)]
struct ProviderShown {
    /// Its short name.
    id: String,
    /// Its name on the sign-in page.
    name: String,
    /// Its issuer identifier.
    issuer: String,
    /// Who we are there.
    client_id: String,
    /// What is to be registered there.
    redirect_uri: String,
    rules: ProviderRules,
    /// Whether it may be at a private address; the command line alone says so.
    private_network: bool,
    created_at: Moment,
    updated_at: Moment,
    /// Since when it is switched off.
    disabled_at: Option<Moment>,
    /// When somebody last signed in there.
    last_sign_in_at: Option<Moment>,
}

impl ProviderShown {
    fn of(core: &Core, provider: &Provider) -> Self {
        Self {
            id: provider.id.to_string(),
            name: provider.name.clone(),
            issuer: provider.issuer.clone(),
            client_id: provider.client_id.clone(),
            redirect_uri: providers::redirect_uri(core, &provider.id),
            rules: ProviderRules::of(&provider.rules),
            private_network: provider.rules.private_network,
            created_at: Moment(provider.created_at),
            updated_at: Moment(provider.updated_at),
            disabled_at: at(provider.disabled_at),
            last_sign_in_at: at(provider.last_sign_in_at),
        }
    }
}

/// What is decided about a provider; what is absent is as for a new one at the command line.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ProviderRules {
    /// The claim that lists a person’s groups.
    group_claim: String,
    /// Groups there, and the groups here that they stand for.
    groups: Vec<GroupMapping>,
    /// Groups there, and the roles in the console that they stand for.
    roles: Vec<RoleMapping>,
    /// When a stranger becomes somebody who is here already.
    link: LinkRule,
    /// Whether a stranger becomes somebody new.
    create_people: bool,
    /// Domains whose addresses may be linked or added; any when empty.
    allowed_domains: Vec<String>,
    /// Whether its word for several factors counts (`mfa` in `amr`).
    trust_second_factor: bool,
    /// Values of `acr` that count as several factors.
    second_factor_acr: Vec<String>,
    /// What to ask for besides `openid`.
    scopes: Vec<String>,
}

/// A group there and one here.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GroupMapping {
    there: String,
    here: String,
}

/// A group there and a role in the console.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RoleMapping {
    there: String,
    role: MappedRole,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum MappedRole {
    Auditor,
    Admin,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum LinkRule {
    /// When the provider has verified their address.
    VerifiedEmail,
    /// Never; they link themselves, or an administrator does.
    Never,
}

impl Default for ProviderRules {
    fn default() -> Self {
        Self::of(&Rules::default())
    }
}

impl ProviderRules {
    fn of(rules: &Rules) -> Self {
        let groups = rules.groups.iter().cloned().map(|(there, here)| GroupMapping { there, here });
        let roles = rules.roles.iter().map(|(there, role)| RoleMapping {
            there: there.clone(),
            role: if *role == Role::Admin { MappedRole::Admin } else { MappedRole::Auditor },
        });
        Self {
            group_claim: rules.group_claim.clone(),
            groups: groups.collect(),
            roles: roles.collect(),
            link: match rules.linking {
                Linking::VerifiedEmail => LinkRule::VerifiedEmail,
                Linking::Never => LinkRule::Never,
            },
            create_people: rules.creates_people,
            allowed_domains: rules.allowed_domains.clone(),
            trust_second_factor: rules.second_factor,
            second_factor_acr: rules.second_factor_acr.clone(),
            scopes: rules.scopes.clone(),
        }
    }

    fn meant(self, private_network: bool) -> Rules {
        let roles = self.roles.into_iter().map(|mapping| match mapping.role {
            MappedRole::Auditor => (mapping.there, Role::Auditor),
            MappedRole::Admin => (mapping.there, Role::Admin),
        });
        Rules {
            group_claim: self.group_claim,
            groups: self.groups.into_iter().map(|mapping| (mapping.there, mapping.here)).collect(),
            roles: roles.collect(),
            linking: match self.link {
                LinkRule::VerifiedEmail => Linking::VerifiedEmail,
                LinkRule::Never => Linking::Never,
            },
            creates_people: self.create_people,
            allowed_domains: self.allowed_domains,
            second_factor: self.trust_second_factor,
            second_factor_acr: self.second_factor_acr,
            scopes: self.scopes,
            private_network,
        }
    }
}

/// A provider to be added.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewIdentityProvider {
    /// Its short name: small letters, digits, hyphens.
    #[schemars(length(min = 1, max = 32))]
    id: String,
    /// Its name on the sign-in page.
    name: String,
    /// Its issuer identifier, exactly as it writes it.
    #[schemars(length(max = 512))]
    issuer: String,
    /// Who we are there.
    client_id: String,
    /// Our secret there.
    client_secret: String,
    #[serde(default)]
    rules: ProviderRules,
}

/// What to change; what is absent stays. Rules are replaced as a whole.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProviderChange {
    /// Whether people can sign in through it.
    enabled: Option<bool>,
    rules: Option<ProviderRules>,
}

/// What a test found.
#[derive(Serialize, JsonSchema)]
struct ProviderTest {
    /// Its endpoints by name.
    found: std::collections::BTreeMap<&'static str, String>,
    /// What will not work, or works less well than it could.
    warnings: Vec<String>,
}

/// The people who are linked.
#[derive(Serialize, JsonSchema)]
struct Links {
    items: Vec<Link>,
    /// How many there are.
    total: i64,
}

/// A person who is linked.
#[derive(Serialize, JsonSchema)]
struct Link {
    /// Their address here.
    email: String,
    /// Who they are there.
    sub: String,
    /// The address that the provider last named.
    email_there: Option<String>,
    last_sign_in_at: Option<Moment>,
    /// When the provider last said that they are still somebody.
    checked_at: Option<Moment>,
    /// Whether it is asked again when an app refreshes.
    checked_at_refresh: bool,
}

impl Link {
    fn of(identity: &Identity, email: &str) -> Self {
        Self {
            email: email.to_owned(),
            sub: identity.sub.clone(),
            email_there: identity.email.clone(),
            last_sign_in_at: at(identity.last_sign_in_at),
            checked_at: at(identity.checked_at),
            checked_at_refresh: identity.upstream.is_some(),
        }
    }
}

/// A link to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewLink {
    /// The person here.
    #[schemars(length(max = 254))]
    email: String,
    /// Their `sub` at the provider.
    sub: String,
}

async fn list(call: Call) -> Result<Answer, Problem> {
    let all = providers::list(&call.core).await?;
    Answer::of(&all.iter().map(|one| ProviderShown::of(&call.core, one)).collect::<Vec<_>>())
}

async fn get(call: Call) -> Result<Answer, Problem> {
    let found = providers::find(&call.core, call.part("id")).await?;
    Answer::of(&ProviderShown::of(&call.core, &found))
}

async fn add(call: Call) -> Result<Answer, Problem> {
    let new: NewIdentityProvider = call.read()?;
    let new = NewProvider {
        id: new.id,
        name: new.name,
        issuer: new.issuer,
        client_id: new.client_id,
        secret: Secret::new(new.client_secret),
        rules: new.rules.meant(false),
    };
    let added = providers::add(&call.core, &call.caller, new).await?;
    Answer::of(&ProviderShown::of(&call.core, &added))
}

async fn change(call: Call) -> Result<Answer, Problem> {
    let change: ProviderChange = call.read()?;
    let (core, id) = (&call.core, call.part("id"));
    let mut found = providers::find(core, id).await?;
    if let Some(rules) = change.rules {
        let rules = rules.meant(found.rules.private_network);
        found = providers::set_rules(core, &call.caller, id, rules).await?;
    }
    if let Some(enabled) = change.enabled.filter(|enabled| *enabled != found.disabled_at.is_none()) {
        found = providers::set_enabled(core, &call.caller, id, enabled).await?;
    }
    Answer::of(&ProviderShown::of(core, &found))
}

async fn remove(call: Call) -> Result<Answer, Problem> {
    providers::remove(&call.core, &call.caller, call.part("id")).await?;
    Ok(Answer::NOTHING)
}

async fn test(call: Call) -> Result<Answer, Problem> {
    let tested = providers::test(&call.core, call.part("id")).await?;
    Answer::of(&ProviderTest { found: tested.found.into_iter().collect(), warnings: tested.warnings })
}

async fn links(call: Call) -> Result<Answer, Problem> {
    let provider = providers::find(&call.core, call.part("id")).await?;
    let (found, total) = providers::linked(&call.core, &provider.id, MOST).await?;
    let items = found.iter().map(|(identity, email)| Link::of(identity, email)).collect();
    Answer::of(&Links { items, total })
}

async fn link(call: Call) -> Result<Answer, Problem> {
    let new: NewLink = call.read()?;
    let made = providers::link(&call.core, &call.caller, call.part("id"), &new.email, &new.sub).await?;
    Answer::of(&Link::of(&made, &new.email))
}

async fn unlink(call: Call) -> Result<Answer, Problem> {
    let email = call.text("email").ok_or_else(|| Problem::bad("email is missing."))?;
    providers::unlink(&call.core, &call.caller, call.part("id"), email).await?;
    Ok(Answer::NOTHING)
}
