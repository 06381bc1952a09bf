//! The server: the route table, and the life from the listening socket to the last answer.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::serve::ListenerExt;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;

use super::door::{self, CORS, Door, Names};
use super::notes::Notes;
use super::tools::NotesServer;
use super::{DemoSettings, PATH, TokenVerifier, metadata};
use crate::types::policy::{MAX_BODY, SHUTDOWN_GRACE};

/// Serves the demo on `listener` until `shutdown` ends; running requests then have [`SHUTDOWN_GRACE`]. Wants a tokio
/// runtime with time and I/O; one thread is enough.
///
/// # Errors
/// When the notes cannot be opened, the resource's URL does not end in [`PATH`], or the socket fails.
pub async fn serve(
    listener: TcpListener,
    settings: DemoSettings,
    verifier: Arc<dyn TokenVerifier>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    if settings.resource.as_str().strip_suffix(PATH) != Some(settings.resource.origin().as_str()) {
        let text = format!("the demo's URL {} must be an origin followed by {PATH}", settings.resource);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let notes = Arc::new(Notes::open(&settings.notes_file)?);
    let (router, stop) = router(&settings, verifier, notes);

    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        shutdown.await;
        stop();
        let _ = stopping.send(());
    });
    let overdue = async move {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        ended = server.into_future() => ended,
        () = overdue => Ok(()),
    }
}

/// The whole route table, and what ends the running MCP requests.
fn router(
    settings: &DemoSettings,
    verifier: Arc<dyn TokenVerifier>,
    notes: Arc<Notes>,
) -> (Router, impl FnOnce() + Send + 'static) {
    let names = Names::of(&settings.resource);
    // Stateless for every revision: no session outlives the token that opened it.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_BODY)
        .with_allowed_hosts(names.hosts.clone());
    let cancel = config.cancellation_token.clone();
    let server = NotesServer { notes, clock: Arc::clone(&settings.clock) };
    let service =
        StreamableHttpService::new(move || Ok(server.clone()), Arc::<NeverSessionManager>::default(), config);
    let door = Arc::new(Door { verifier, metadata_url: metadata::url(settings), names, service });

    let document: Arc<str> = metadata::document(settings).to_string().into();
    let discovery =
        get(about).options(|| async { public(StatusCode::NO_CONTENT.into_response()) }).with_state(document);
    let front = format!(
        "Notes, a small MCP server whose users sign in at {}.\nAdd {} to an MCP client.\n",
        settings.issuer.as_str(),
        settings.resource
    );
    let router = Router::new()
        .route(PATH, any(door::mcp)) // the door: host, origin, token, scope
        .route(metadata::INSERTED, discovery.clone()) // public
        .route(metadata::ROOT, discovery) // public
        .route("/", get(|| async move { front })) // public
        .fallback(|| async { (StatusCode::NOT_FOUND, axum::Json(json!({"error": "not_found"}))) })
        .layer(from_fn_with_state(Arc::clone(&door), door::host))
        .with_state(door);
    (router, move || cancel.cancel())
}

async fn about(State(document): State<Arc<str>>) -> Response {
    public(
        ([("content-type", "application/json"), (CACHE_CONTROL.as_str(), "no-store")], document.to_string())
            .into_response(),
    )
}

/// Lets a browser read it from any page.
fn public(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    for (name, value) in CORS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
