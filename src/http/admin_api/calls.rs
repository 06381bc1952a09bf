//! Rules about calls through the gateway, the calls that they hold back, and why a call goes through or not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::gateway::ToolClassShown;
use super::operation::{Answer, CURSOR, Call, Kind, LIMIT, Operation, Rows, Verb, query, shape};
use super::problem::Problem;
use super::servers::server;
use super::shapes::{Moment, at};
use crate::flow::call_approvals::{self, Shown};
use crate::flow::call_rules::{self, NewRule};
use crate::flow::explain::{self, Question};
use crate::types::admin::Permission;
use crate::types::call_rule::{CallRule, Condition, Effect, Subject};
use crate::types::callers::CallerRule;
use crate::types::id::{CallApprovalId, CallRuleId};

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/servers/{id}/rules",
        id: "listCallRules",
        about: "Rules about calls to a server behind the gateway, oldest first.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Vec<RuleShown>>)),
        run: |call| Box::pin(list_rules(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/servers/{id}/rules",
        id: "addCallRule",
        about: "Make a rule about calls. It only takes away: permissions and classes of tools decide first.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<RuleToMake>),
        done: (201, Some(shape::<RuleShown>)),
        run: |call| Box::pin(add_rule(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/servers/{id}/rules/{rule}",
        id: "removeCallRule",
        about: "Remove a rule about calls.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(remove_rule(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/servers/{id}/explain",
        id: "explainCall",
        about: "Why a call would go through or not, for each approval that the person has there. Nothing is called.",
        needs: Permission::Read,
        query: &[],
        body: Some(shape::<CallToExplain>),
        done: (200, Some(shape::<Vec<Explained>>)),
        run: |call| Box::pin(explain_call(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/calls",
        id: "listHeldCalls",
        about: "Single calls that a rule holds back: those that wait, oldest first; or all that are kept, newest first.",
        needs: Permission::Read,
        query: &[query("all", Kind::Flag, "Also those about which somebody has decided."), LIMIT, CURSOR],
        body: None,
        done: (200, Some(shape::<Rows<HeldCall>>)),
        run: |call| Box::pin(list_calls(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/calls/{id}",
        id: "getHeldCall",
        about: "One of them.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<HeldCall>)),
        run: |call| Box::pin(get_call(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/calls/{id}/decision",
        id: "decideHeldCall",
        about: "Let a call be made, exactly as it is and once, or refuse it.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<CallDecision>),
        done: (200, Some(shape::<HeldCall>)),
        run: |call| Box::pin(decide_call(call)),
    },
];

/// Which calls a rule is about.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum About {
    /// Every tool.
    EveryTool,
    /// One tool.
    Tool(String),
    /// Tools of this class and above.
    Class(ToolClassShown),
    /// Another method, such as `resources/read`; conditions begin with `name`, `uri` or `arguments`.
    Method(String),
}

/// What becomes of calls that meet a rule.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum EffectShown {
    /// They are refused.
    Deny,
    /// Somebody is asked first, about each.
    Ask,
}

/// A rule to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RuleToMake {
    /// For which calls.
    about: About,
    /// What all has to hold of them, such as `amount > 1000`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    when: Vec<String>,
    /// Whose calls, such as `group:finance`; everybody's when empty.
    #[serde(default)]
    #[schemars(length(max = 16))]
    only: Vec<String>,
    /// Whose calls not.
    #[serde(default)]
    #[schemars(length(max = 16))]
    except: Vec<String>,
    /// What becomes of them.
    effect: EffectShown,
    /// Why, in a sentence that the caller gets to read.
    #[schemars(length(min = 1, max = 200))]
    reason: String,
}

/// A rule.
#[derive(Serialize, JsonSchema)]
struct RuleShown {
    id: String,
    /// For which calls.
    about: About,
    /// What all has to hold of them.
    when: Vec<String>,
    /// Whose calls; everybody's when empty.
    only: Vec<String>,
    /// Whose calls not.
    except: Vec<String>,
    /// What becomes of them.
    effect: EffectShown,
    /// Why.
    reason: String,
    /// Since when.
    created_at: Moment,
    /// Who made it, where that was a person.
    created_by: Option<String>,
}

impl RuleShown {
    fn of(rule: &CallRule) -> Self {
        Self {
            id: rule.id.to_string(),
            about: match &rule.subject {
                Subject::EveryTool => About::EveryTool,
                Subject::Tool(name) => About::Tool(name.clone()),
                Subject::Class(class) => About::Class(ToolClassShown::of(*class)),
                Subject::Method(name) => About::Method(name.clone()),
            },
            when: rule.conditions.iter().map(|condition| Condition::as_str(condition).to_owned()).collect(),
            only: rule.callers.only.iter().map(ToString::to_string).collect(),
            except: rule.callers.except.iter().map(ToString::to_string).collect(),
            effect: match rule.effect {
                Effect::Deny => EffectShown::Deny,
                Effect::Ask => EffectShown::Ask,
            },
            reason: rule.reason.clone(),
            created_at: Moment(rule.created_at),
            created_by: rule.created_by.clone(),
        }
    }
}

async fn list_rules(call: Call) -> Result<Answer, Problem> {
    let found = call_rules::list(&call.core, server(&call)?.uri.as_str()).await?;
    Answer::of(&found.iter().map(RuleShown::of).collect::<Vec<_>>())
}

async fn add_rule(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    let wanted: RuleToMake = call.read()?;
    let new = NewRule {
        subject: match wanted.about {
            About::EveryTool => Subject::EveryTool,
            About::Tool(name) => Subject::Tool(name),
            About::Class(class) => Subject::Class(class.meant()),
            About::Method(name) => Subject::Method(name),
        },
        conditions: wanted.when,
        callers: CallerRule::parse(&wanted.only, &wanted.except).map_err(Problem::refused)?,
        effect: match wanted.effect {
            EffectShown::Deny => Effect::Deny,
            EffectShown::Ask => Effect::Ask,
        },
        reason: wanted.reason,
    };
    let made = call_rules::add(&call.core, &call.caller, found.uri.as_str(), new).await?;
    Answer::of(&RuleShown::of(&made))
}

async fn remove_rule(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    let rule = CallRuleId::parse(call.part("rule")).ok_or_else(Problem::missing)?;
    call_rules::remove(&call.core, &call.caller, &rule.to_string(), Some(found.id)).await?;
    Ok(Answer::NOTHING)
}

/// A call to be explained.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CallToExplain {
    /// Whose, by e-mail.
    email: String,
    /// The method; `tools/call` when absent.
    method: Option<String>,
    /// The tool or prompt.
    name: Option<String>,
    /// The resource.
    uri: Option<String>,
    /// The arguments.
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// An answer for one approval.
#[derive(Serialize, JsonSchema)]
struct Explained {
    /// The approval; absent where the person has none there.
    grant_id: Option<String>,
    /// Through which app.
    client_id: String,
    /// What it allows.
    scopes: Vec<String>,
    /// Whether it goes through, now and without anybody else’s doing.
    goes_through: bool,
    /// The name of what decides.
    rule: String,
    /// Why, in words.
    why: String,
    /// The Cedar policies that permit it, forbid it or cannot judge it, where they have a say.
    policies: Vec<String>,
}

async fn explain_call(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    let asked: CallToExplain = call.read()?;
    let question = Question {
        email: asked.email,
        uri: found.uri.to_string(),
        method: asked.method.unwrap_or_else(|| "tools/call".to_owned()),
        name: asked.name,
        target: asked.uri,
        arguments: Value::Object(asked.arguments),
    };
    let answers = explain::explain(&call.core, &question).await?;
    let shown = answers.into_iter().map(|answer| Explained {
        grant_id: answer.grant.map(|id| id.to_string()),
        client_id: answer.client_id,
        scopes: answer.scopes.iter().map(ToString::to_string).collect(),
        goes_through: answer.goes,
        rule: answer.rule,
        why: answer.why,
        policies: answer.policies,
    });
    Answer::of(&shown.collect::<Vec<_>>())
}

/// A call that a rule holds back.
#[derive(Serialize, JsonSchema)]
struct HeldCall {
    id: String,
    /// `waiting`, `allowed`, `used`, `refused` or `expired`.
    stage: &'static str,
    /// The e-mail of the person behind it, where there is one.
    person: Option<String>,
    /// The app’s client id.
    client_id: String,
    /// Under which approval.
    grant_id: String,
    /// At which server.
    server_id: String,
    method: String,
    /// The tool or prompt, or the URI of the resource.
    name: String,
    /// What would be sent.
    arguments: Value,
    /// Which rule holds it back.
    rule_id: String,
    /// Why.
    reason: String,
    created_at: Moment,
    /// Until when somebody may decide; once allowed, until when it may be made.
    expires_at: Moment,
    decided_at: Option<Moment>,
    /// Who decided, where that was a person.
    decided_by: Option<String>,
}

impl HeldCall {
    fn of(shown: Shown) -> Self {
        let of = shown.approval;
        Self {
            id: of.id.to_string(),
            stage: shown.stage.as_str(),
            person: shown.person,
            client_id: of.client_id.to_string(),
            grant_id: of.grant_id.to_string(),
            server_id: of.resource_id.to_string(),
            method: of.method,
            name: of.name,
            arguments: shown.arguments,
            rule_id: of.rule_id.to_string(),
            reason: of.reason,
            created_at: Moment(of.created_at),
            expires_at: Moment(of.expires_at),
            decided_at: at(of.decided_at),
            decided_by: of.decided_by,
        }
    }
}

async fn list_calls(call: Call) -> Result<Answer, Problem> {
    let (limit, from) = (call.limit(), call.cursor(CallApprovalId::parse)?);
    let found = call_approvals::list(&call.core, call.flag("all"), from, limit + 1).await?;
    let rows = found.into_iter().map(HeldCall::of).collect();
    Answer::of(&Rows::cut(rows, limit, |row: &HeldCall| row.id.clone()))
}

async fn get_call(call: Call) -> Result<Answer, Problem> {
    let id = call.id(CallApprovalId::parse)?;
    Answer::of(&HeldCall::of(call_approvals::find(&call.core, &id.to_string()).await?))
}

/// What becomes of a call.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CallDecision {
    /// Whether it may be made.
    allow: bool,
}

async fn decide_call(call: Call) -> Result<Answer, Problem> {
    let id = call.id(CallApprovalId::parse)?;
    let wanted: CallDecision = call.read()?;
    let done = call_approvals::decide(&call.core, &call.caller, &id.to_string(), wanted.allow).await?;
    Answer::of(&HeldCall::of(done))
}
