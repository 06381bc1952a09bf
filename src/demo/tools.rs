//! The three tools. Each checks its scope again, behind the door: a request that reaches a tool by a way that the door did
//! not foresee is refused here.

use std::sync::Arc;

use axum::http::request::Parts;
use rmcp::handler::server::tool::Extension;
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::model::{
    CompleteRequestMethod, CompleteRequestParams, CompleteResult, Implementation, ListPromptsRequestMethod,
    ListPromptsResult, ListResourceTemplatesRequestMethod, ListResourceTemplatesResult,
    ListResourcesRequestMethod, ListResourcesResult, PaginatedRequestParams, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, schemars, tool, tool_handler, tool_router};
use serde::{Deserialize, Serialize};

use super::message::tool_needs;
use super::notes::{NotKept, Note, Notes};
use super::{Caller, NAME};
use crate::types::time::Clock;

/// The MCP server behind the door; one value for each request.
#[derive(Clone)]
pub(super) struct NotesServer {
    /// Everybody's notes.
    pub notes: Arc<Notes>,
    /// Where the time of a note comes from.
    pub clock: Arc<dyn Clock>,
}

/// Who is behind the access token.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Whoami {
    /// The person, or the client when it acts for itself
    sub: String,
    /// The client that holds the token
    client_id: String,
    /// What the token allows
    scopes: Vec<String>,
    /// The approval that the token rests on
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_id: Option<String>,
}

/// A note to keep.
#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct NoteAdd {
    /// What the note says, at most 4 KiB
    text: String,
}

/// Which notes to list.
#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct NoteList {
    /// Only notes with a smaller number than this; leave it out for the newest
    #[serde(default)]
    before: Option<i64>,
}

/// One note.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct NoteShown {
    /// Its number among your notes, from 1
    number: i64,
    /// When it was added (RFC 3339)
    added_at: String,
    /// What it says
    text: String,
}

/// Notes, the newest first.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct NotesShown {
    /// At most 50 notes
    notes: Vec<NoteShown>,
    /// How many notes you have in all
    total: i64,
}

#[tool_router]
impl NotesServer {
    /// Says who you are to this server: the person behind the access token, the client, and what it may do.
    #[tool(annotations(
        title = "Who am I",
        read_only_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn whoami(&self, Extension(parts): Extension<Parts>) -> Result<Json<Whoami>, ErrorData> {
        let caller = caller(&parts, "whoami")?;
        Ok(Json(Whoami {
            sub: caller.sub,
            client_id: caller.client_id,
            scopes: caller.scopes.iter().map(str::to_owned).collect(),
            grant_id: caller.grant_id,
        }))
    }

    /// Adds a note. Only you can read your notes.
    #[tool(annotations(
        title = "Add a note",
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = false,
        open_world_hint = false
    ))]
    async fn note_add(
        &self,
        Extension(parts): Extension<Parts>,
        Parameters(NoteAdd { text }): Parameters<NoteAdd>,
    ) -> Result<Json<NoteShown>, Trouble> {
        let sub = caller(&parts, "note_add")?.sub;
        let (notes, now) = (Arc::clone(&self.notes), self.clock.now());
        let note =
            tokio::task::spawn_blocking(move || notes.add(&sub, text, now)).await.map_err(unfinished)?;
        Ok(Json(note?.into()))
    }

    /// Lists your notes, the newest first, 50 at a time.
    #[tool(annotations(
        title = "List notes",
        read_only_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn note_list(
        &self,
        Extension(parts): Extension<Parts>,
        Parameters(NoteList { before }): Parameters<NoteList>,
    ) -> Result<Json<NotesShown>, ErrorData> {
        let sub = caller(&parts, "note_list")?.sub;
        let notes = Arc::clone(&self.notes);
        let before = before.map(|number| usize::try_from(number).unwrap_or(0));
        let page = tokio::task::spawn_blocking(move || notes.list(&sub, before)).await.map_err(unfinished)?;
        Ok(Json(NotesShown {
            notes: page.notes.into_iter().map(Into::into).collect(),
            total: shown(page.total),
        }))
    }
}

#[tool_handler]
impl ServerHandler for NotesServer {
    fn get_info(&self) -> ServerConfig {
        let server = Implementation::new("postern-notes", env!("CARGO_PKG_VERSION")).with_title(NAME);
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(server)
            .with_instructions("Keeps short notes for the person who is signed in. Start with whoami.")
    }

    // What is not declared is not there: rmcp's own answer would be an empty list.
    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourcesRequestMethod>())
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourceTemplatesRequestMethod>())
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }
}

/// Why a tool did not do it: what the person can mend is the tool's own answer, anything else the protocol's error.
pub(super) enum Trouble {
    Said(String),
    Error(ErrorData),
}

impl From<ErrorData> for Trouble {
    fn from(error: ErrorData) -> Self {
        Self::Error(error)
    }
}

impl From<NotKept> for Trouble {
    fn from(why: NotKept) -> Self {
        if let NotKept::Disk(error) = &why {
            tracing::error!(%error, "a note could not be written");
        }
        Self::Said(why.to_string())
    }
}

impl rmcp::handler::server::tool::IntoCallToolResult for Trouble {
    fn into_call_tool_result(self) -> Result<rmcp::model::CallToolResponse, ErrorData> {
        match self {
            Self::Said(text) => text.into_call_tool_result(),
            Self::Error(error) => Err(error),
        }
    }
}

impl From<Note> for NoteShown {
    fn from(note: Note) -> Self {
        Self { number: shown(note.number), added_at: note.at.rfc3339(), text: note.text }
    }
}

/// Signed 64 bits, because JSON Schema's known formats have no unsigned number and validators complain of others.
fn shown(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn caller(parts: &Parts, tool: &str) -> Result<Caller, ErrorData> {
    let caller = parts.extensions.get::<Caller>().cloned();
    caller.filter(|caller| caller.scopes.includes(&tool_needs(tool))).ok_or_else(|| {
        ErrorData::invalid_request(format!("{tool} needs the scope {}", tool_needs(tool)), None)
    })
}

fn unfinished(error: tokio::task::JoinError) -> ErrorData {
    ErrorData::internal_error(format!("the notes did not answer: {error}"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_a_scope_and_says_whether_it_changes_anything() {
        let tools = NotesServer::tool_router().list_all();
        assert_eq!(tools.len(), 3);
        for tool in tools {
            let needs = tool_needs(&tool.name);
            assert!(!needs.is_empty(), "{} is open to any token", tool.name);
            let reads = tool.annotations.and_then(|hints| hints.read_only_hint);
            assert_eq!(reads, Some(!needs.contains(crate::demo::WRITE)), "{}", tool.name);
            assert!(tool.description.is_some(), "{}", tool.name);
            let schemas = format!("{:?} {:?}", tool.input_schema, tool.output_schema.unwrap());
            assert!(!schemas.contains("uint"), "a format that validators do not know: {schemas}");
        }
    }

    #[test]
    fn a_tool_refuses_a_caller_whom_the_door_should_have_stopped() {
        let (mut parts, ()) = axum::http::Request::new(()).into_parts();
        assert!(caller(&parts, "whoami").is_err());
        parts.extensions.insert(Caller {
            sub: "ada".to_owned(),
            client_id: "c".to_owned(),
            scopes: [crate::demo::READ].into_iter().collect(),
            grant_id: None,
        });
        assert!(caller(&parts, "whoami").is_ok());
        assert!(caller(&parts, "note_add").is_err());
    }
}
