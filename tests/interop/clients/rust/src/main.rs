//! The official Rust SDK as an MCP client on the command line. See `lib/client.mjs` for what it understands.

use std::error::Error;

use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientInitializeError, RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthorizationCallback, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, InsufficientScopeError, StreamableHttpClientTransportConfig,
};
use rmcp::{ClientLifecycleMode, ClientServiceExt};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use url::Url;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Deserialize)]
struct Settings {
    mcp_url: String,
    redirect_uri: String,
    name: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    revision: Option<String>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Command {
    r#do: String,
    tool: Option<String>,
    arguments: Option<Map<String, Value>>,
}

struct Session {
    settings: Settings,
    callbacks: TcpListener,
    http: Option<AuthClient<reqwest::Client>>,
    service: Option<RunningService<RoleClient, ()>>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let settings: Settings = serde_json::from_str(&std::env::args().nth(1).ok_or("no settings")?)?;
    let port = Url::parse(&settings.redirect_uri)?.port().ok_or("no port")?;
    let callbacks = TcpListener::bind(("127.0.0.1", port)).await?;
    let mut session = Session { settings, callbacks, http: None, service: None };

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let command: Command = serde_json::from_str(&line)?;
        let answer = match command.r#do.as_str() {
            "connect" => session.connect().await,
            _ => session.call(command).await,
        };
        match answer {
            Ok(done) => say(&json!({ "done": done })),
            Err(error) => say(&json!({ "failed": whole(error.as_ref()) })),
        }
    }
    Ok(())
}

impl Session {
    /// Asks without a token first, as a client that knows nothing does, and lets the challenge lead the way.
    async fn connect(&mut self) -> Result<Value, Failure> {
        if self.http.is_none() {
            let Err(refusal) = self.open(reqwest::Client::new()).await else {
                return Err("the server answers without a token".into());
            };
            let challenge = cause::<AuthRequiredError>(refusal.as_ref())
                .ok_or("no challenge")?
                .www_authenticate_header
                .clone();
            self.http = Some(self.authorize(challenge).await?);
        }
        let http = self.http.clone().ok_or("no client")?;
        let service = self.open(http).await?;
        let tools = service.list_all_tools().await?;
        self.service = Some(service);
        Ok(json!({ "tools": tools.iter().map(|tool| &tool.name).collect::<Vec<_>>() }))
    }

    async fn open<C>(&self, http: C) -> Result<RunningService<RoleClient, ()>, Failure>
    where
        StreamableHttpClientTransport<C>: rmcp::transport::Transport<RoleClient, Error: Send + Sync>,
        C: rmcp::transport::streamable_http_client::StreamableHttpClient + Send + 'static,
    {
        let config = StreamableHttpClientTransportConfig::with_uri(self.settings.mcp_url.as_str());
        let transport = StreamableHttpClientTransport::with_client(http, config);
        let lifecycle = match self.settings.revision.as_deref() {
            Some("2025-11-25") => ClientLifecycleMode::Initialize,
            _ => ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
        };
        Ok(().serve_with_lifecycle(transport, lifecycle).await?)
    }

    async fn authorize(&self, challenge: String) -> Result<AuthClient<reqwest::Client>, Failure> {
        let mut request = AuthorizationRequest::new(&self.settings.redirect_uri)
            .with_client_name(&self.settings.name)
            .with_initial_scope_selection()
            .with_challenge(challenge);
        if let Some(client_id) = &self.settings.client_id {
            request = request.with_preregistered_client(client_id);
        }
        if let Some(secret) = &self.settings.client_secret {
            request = request.with_client_secret(secret);
        }
        if let Some(scope) = &self.settings.scope {
            request = request.with_scopes(scope.split(' '));
        }
        let mut state = OAuthState::new(&self.settings.mcp_url, None).await?;
        state.start_authorization(request).await?;
        say(&json!({ "authorize": state.get_authorization_url().await? }));
        state.handle_callback_url(&self.callback().await?).await?;
        let manager = state.into_authorization_manager().ok_or("not authorized")?;
        Ok(AuthClient::new(reqwest::Client::new(), manager))
    }

    async fn call(&mut self, command: Command) -> Result<Value, Failure> {
        let mut request = CallToolRequestParams::new(command.tool.ok_or("no tool")?);
        request.arguments = command.arguments;
        match self.ask(request.clone()).await {
            Err(error) if cause::<InsufficientScopeError>(error.as_ref()).is_some() => {
                let needed = cause::<InsufficientScopeError>(error.as_ref())
                    .and_then(InsufficientScopeError::get_required_scope)
                    .ok_or("the challenge names no scope")?;
                self.step_up(needed).await?;
                self.ask(request).await
            }
            // The grant is gone: start over, as at the first connection.
            Err(error) if cause::<AuthRequiredError>(error.as_ref()).is_some() => {
                let challenge =
                    cause::<AuthRequiredError>(error.as_ref()).map(|e| e.www_authenticate_header.clone());
                self.http = Some(self.authorize(challenge.unwrap_or_default()).await?);
                self.connect().await?;
                self.ask(request).await
            }
            answer => answer,
        }
    }

    async fn ask(&self, request: CallToolRequestParams) -> Result<Value, Failure> {
        let result = self.service.as_ref().ok_or("not connected")?.call_tool(request).await?;
        let content = serde_json::to_value(&result.content)?;
        let parts = content.as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
        let text = parts.collect::<Vec<_>>().join("\n");
        if result.is_error == Some(true) { Err(text.into()) } else { Ok(json!({ "text": text })) }
    }

    async fn step_up(&self, needed: &str) -> Result<(), Failure> {
        let manager = self.http.as_ref().ok_or("not connected")?.auth_manager.clone();
        let url = manager.lock().await.request_scope_upgrade(needed).await?;
        say(&json!({ "authorize": url }));
        let answer = AuthorizationCallback::from_redirect_url(&self.callback().await?)?;
        let manager = manager.lock().await;
        manager
            .exchange_code_for_token_with_issuer(&answer.code, &answer.csrf_token, answer.issuer.as_deref())
            .await?;
        Ok(())
    }

    /// Waits for the browser to come back to the loopback address.
    async fn callback(&self) -> Result<String, Failure> {
        let expected = Url::parse(&self.settings.redirect_uri)?;
        loop {
            let (mut stream, _) = self.callbacks.accept().await?;
            let mut head = vec![0; 16 * 1024];
            let length = stream.read(&mut head).await?;
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let target = head.split(' ').nth(1).unwrap_or_default();
            let page = "<!doctype html><p>You can close this page.";
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                page.len()
            );
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await?;
            if let Ok(url) = expected.join(target)
                && url.path() == expected.path()
            {
                return Ok(url.into());
            }
        }
    }
}

fn say(event: &Value) {
    println!("{event}");
}

/// The first error of this type among an error and its causes.
fn cause<'e, T: Error + 'static>(error: &'e (dyn Error + Send + Sync + 'static)) -> Option<&'e T> {
    let mut current = Some(beneath(error));
    while let Some(found) = current {
        if let Some(wanted) = found.downcast_ref() {
            return Some(wanted);
        }
        current = found.source();
    }
    None
}

/// The SDK's outermost errors do not name the transport's error as their source.
fn beneath<'e>(error: &'e (dyn Error + Send + Sync + 'static)) -> &'e (dyn Error + 'static) {
    if let Some(ServiceError::TransportSend(inner)) = error.downcast_ref() {
        return inner;
    }
    match error.downcast_ref() {
        Some(ClientInitializeError::TransportError { error: inner, .. }) => inner,
        _ => error,
    }
}

fn whole(error: &(dyn Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut current = error.source();
    while let Some(cause) = current {
        text = format!("{text}: {cause}");
        current = cause.source();
    }
    text
}
