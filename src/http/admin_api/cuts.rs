//! Cuts of access.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Answer, CURSOR, Call, Kind as Takes, LIMIT, Operation, Rows, Verb, query, shape};
use super::problem::Problem;
use super::shapes::{CutShown, Hit, Moment, at};
use crate::flow::console::{self, CutFilter};
use crate::flow::core::Core;
use crate::flow::cut::{self, By, Order};
use crate::types::admin::Permission;
use crate::types::cut::{Cut, Kind, Target};
use crate::types::id::CutId;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/cuts",
        id: "listCuts",
        about: "Cuts, newest first.",
        needs: Permission::Read,
        query: &[
            query("search", Takes::Text, "Only those with this in the target’s name, the reason or who cut."),
            query(
                "target",
                Takes::OneOf(|| TARGETS.map(|(_, outside)| outside).to_vec()),
                "Only those of this kind of target.",
            ),
            query("state", Takes::OneOf(|| Cut::STATES.to_vec()), "Only those that stand so."),
            LIMIT,
            CURSOR,
        ],
        body: None,
        done: (200, Some(shape::<Rows<CutShown>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/cuts",
        id: "cutAccess",
        about: "Cut access. It holds on every node within a second of the answer, also for tokens that are out.",
        needs: Permission::Revoke,
        query: &[],
        body: Some(shape::<NewCut>),
        done: (201, Some(shape::<CutShown>)),
        run: |call| Box::pin(make(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/cuts/preview",
        id: "previewCut",
        about: "What a cut would hit now. Nothing is done.",
        needs: Permission::Read,
        query: &[],
        body: Some(shape::<Whose>),
        done: (200, Some(shape::<Hit>)),
        run: |call| Box::pin(preview(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/cuts/{id}",
        id: "getCut",
        about: "One cut, and when anything that it hit was last accepted anywhere.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<CutSeen>)),
        run: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/cuts/{id}/undo",
        id: "undoCut",
        about: "Undo a cut that is in force.",
        needs: Permission::Revoke,
        query: &[],
        body: None,
        done: (200, Some(shape::<CutShown>)),
        run: |call| Box::pin(undo(call)),
    },
];

/// The names of targets as the API has them: what the code calls a resource is a server here.
const TARGETS: [(&str, &str); 7] = [
    ("person", "person"),
    ("client", "client"),
    ("domain", "domain"),
    ("resource", "server"),
    ("grant", "grant"),
    ("network", "network"),
    ("everything", "everything"),
];

/// A target's name outside.
pub fn outside(kind: &str) -> &'static str {
    TARGETS.iter().find(|(inside, _)| *inside == kind).map_or("everything", |(_, outside)| outside)
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum TargetName {
    Person,
    Client,
    Domain,
    Server,
    Grant,
    Network,
    Everything,
}

impl TargetName {
    pub(super) const fn inside(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Client => "client",
            Self::Domain => "domain",
            Self::Server => "resource",
            Self::Grant => "grant",
            Self::Network => "network",
            Self::Everything => "everything",
        }
    }
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum How {
    Revoke,
    Suspend,
    Isolate,
    Reconsent,
    Reauthenticate,
}

/// Whose access.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Whose {
    /// What kind of thing.
    target: TargetName,
    /// Which: an id, an e-mail address, a domain, a server’s URL, or a block of addresses. Absent for everything.
    #[serde(default)]
    value: String,
}

/// A cut to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCut {
    /// What kind of thing.
    target: TargetName,
    /// Which: an id, an e-mail address, a domain, a server’s URL, or a block of addresses. Absent for everything.
    #[serde(default)]
    value: String,
    /// How.
    how: How,
    /// For how long, in seconds: an isolation, or the time in which a suspension can be undone.
    #[schemars(range(min = 1, max = 31_622_400))]
    seconds: Option<u64>,
    /// Why, for the log.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// A cut, and what came of it.
#[derive(Serialize, JsonSchema)]
struct CutSeen {
    #[serde(flatten)]
    cut: CutShown,
    /// When anything that it hit was last accepted anywhere.
    last_accepted_at: Option<Moment>,
}

async fn target(core: &Core, kind: TargetName, value: &str) -> Result<Target, Problem> {
    Ok(cut::target_of(core, kind.inside(), value).await?)
}

async fn list(call: Call) -> Result<Answer, Problem> {
    let before = call.cursor(CutId::parse)?;
    let text = |name| call.text(name).map(str::to_owned);
    let inside = |text: &str| TARGETS.into_iter().find(|(_, outside)| *outside == text);
    let target = call.named("target", inside)?.map(|(inside, _)| inside.to_owned());
    let filter = CutFilter { part: text("search"), target, state: text("state") };
    let page = console::cuts(&call.core, filter, before, call.limit()).await?;
    let now = call.core.now();
    let rows = page.rows.iter().map(|cut| CutShown::of(cut, now)).collect();
    Answer::of(&Rows::new(rows, page.next.map(|id| id.to_string())))
}

impl NewCut {
    /// The cut that is meant.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) async fn order(self, core: &Core, by: By) -> Result<Order, Problem> {
        let name = match self.how {
            How::Revoke => "revoke",
            How::Suspend => "suspend",
            How::Isolate => "isolate",
            How::Reconsent => "reconsent",
            How::Reauthenticate => "reauthenticate",
        };
        let kind = Kind::parse(name, self.seconds.map(Duration::from_secs)).ok_or_else(|| {
            Problem::refused("seconds goes with isolate, where it is needed, and with suspend.")
        })?;
        let target = target(core, self.target, &self.value).await?;
        Ok(Order { target, kind, reason: self.reason, by })
    }
}

async fn make(call: Call) -> Result<Answer, Problem> {
    let new: NewCut = call.read()?;
    let order = new.order(&call.core, call.by.clone()).await?;
    let made = cut::cut(&call.core, &call.caller, order).await?;
    Answer::of(&CutShown::of(&made, call.core.now()))
}

async fn preview(call: Call) -> Result<Answer, Problem> {
    let whose: Whose = call.read()?;
    let target = target(&call.core, whose.target, &whose.value).await?;
    Answer::of(&Hit::of(&cut::preview(&call.core, &target).await?))
}

async fn get(call: Call) -> Result<Answer, Problem> {
    let (cut, last) = cut::find(&call.core, call.part("id")).await?;
    Answer::of(&CutSeen { cut: CutShown::of(&cut, call.core.now()), last_accepted_at: at(last) })
}

async fn undo(call: Call) -> Result<Answer, Problem> {
    let undone = cut::undo(&call.core, &call.caller, &call.by, call.part("id")).await?;
    Answer::of(&CutShown::of(&undone, call.core.now()))
}
