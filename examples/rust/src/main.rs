//! A small MCP server whose tools only people with a Postern access token can call.

mod postern;
mod revocation;

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::{Router, middleware};
use rmcp::handler::server::tool::Extension;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{schemars, tool, tool_handler, tool_router};

use postern::{Caller, Protection, protect, resource_metadata};

#[derive(Clone, Default)]
struct Notes(Arc<Mutex<HashMap<String, Vec<String>>>>);

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct NoteAdd {
    text: String,
}

#[tool_router]
impl Notes {
    #[tool(description = "Says who is calling, and with which app.")]
    fn whoami(&self, Extension(parts): Extension<axum::http::request::Parts>) -> Result<String, String> {
        serde_json::to_string(&caller(&parts)?).map_err(|error| error.to_string())
    }

    #[tool(description = "Lists your notes.")]
    fn note_list(&self, Extension(parts): Extension<axum::http::request::Parts>) -> Result<String, String> {
        let mut notes = self.0.lock().map_err(|_| "the notes are gone")?;
        serde_json::to_string(notes.entry(caller(&parts)?.sub).or_default())
            .map_err(|error| error.to_string())
    }

    #[tool(description = "Keeps a note.")]
    fn note_add(
        &self,
        Extension(parts): Extension<axum::http::request::Parts>,
        Parameters(note): Parameters<NoteAdd>,
    ) -> Result<String, String> {
        let mut notes = self.0.lock().map_err(|_| "the notes are gone")?;
        let mine = notes.entry(caller(&parts)?.sub).or_default();
        mine.push(note.text);
        Ok(format!("Kept. You have {} notes.", mine.len()))
    }
}

#[tool_handler(name = "notes-rust", version = "1.0.0")]
impl rmcp::ServerHandler for Notes {}

/// Whoever `protect` let in; rmcp hands the parts of the HTTP request to every tool.
fn caller(parts: &axum::http::request::Parts) -> Result<Caller, String> {
    parts.extensions.get::<Caller>().cloned().ok_or_else(|| "nobody is signed in".to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let port = variable("PORT", "9004");
    let issuer = variable("ISSUER", "http://localhost:8080");
    let resource = variable("RESOURCE", &format!("http://localhost:{port}/mcp"));
    let revocation_delay = Duration::from_secs(variable("REVOCATION_DELAY", "30").parse()?);

    let protection = Protection::new(&issuer, &resource, revocation_delay)
        .requires(&["notes:read"])
        .tool_requires("note_add", &["notes:write"]);
    let metadata_path = protection.metadata_path().to_owned();
    let protection = Arc::new(protection);

    let notes = Notes::default();
    let mcp = StreamableHttpService::new(
        move || Ok(notes.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default().enforce_origin_validation(),
    );
    let app = Router::new()
        .nest_service("/mcp", mcp)
        .layer(middleware::from_fn_with_state(protection.clone(), protect))
        .route(&metadata_path, axum::routing::get(resource_metadata).with_state(protection));

    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("MCP server at {resource}, tokens from {issuer}");
    axum::serve(listener, app).await?;
    Ok(())
}
