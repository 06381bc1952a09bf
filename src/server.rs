//! The whole route table, and the server around it.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_http::HttpService;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, map_config};
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, Server, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::Method;
use actix_web::http::header::HeaderValue;
use actix_web::middleware::{Condition, DefaultHeaders, Next, from_fn};
use actix_web::{App, Error, HttpRequest, HttpResponse, Resource, Route, Scope, guard, web};
use tracing_actix_web::TracingLogger;

use crate::flow::core::Core;
use crate::gateway;
use crate::http::admin_api::Verb;
use crate::http::{
    admin_api, cors, discovery, health, introspect, jwks, register, revoke, status_lists, token,
};
use crate::telemetry::{Metrics, RequestSpan, RouteBase, RoutePattern};
use crate::types::admin::ADMIN_API;
use crate::types::network::TrustedProxies;
use crate::types::policy::{HEADER_TIMEOUT, KEEP_ALIVE, REQUEST_TIMEOUT, SHUTDOWN_GRACE};
use crate::web::site::Site;
use crate::web::{
    account, admin, assets, authorize, connections, consent, email, federation, home, invitation, login,
    logout, passkeys, reset, second_step, security, servers, setup,
};
use crate::wire::caller::From;
use crate::wire::line::{Line, Lines};

/// How a route knows its caller. Every route names one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Anyone.
    Public,
    /// A client or an MCP server, by its own credentials (RFC 6749 §2.3).
    Client,
    /// A registration access token (RFC 7592 §2), or an initial access token where the operator wants one.
    Registration,
    /// A person, by session cookie; forms carry an anti-forgery field.
    Person,
    /// An auditor or an administrator, by session cookie; forms are an administrator's, who has just signed in.
    Console,
    /// Whoever holds an access token of ours that is for this place and allows it.
    Token,
    /// Whoever holds a one-time link.
    Link,
    /// A program that signs its messages with a secret of ours.
    Signature,
}

/// A route; `methods` is what it answers, for the `Allow` header of a 405 (RFC 9110 §15.5.6).
fn route(path: &str, _: Access, methods: &'static str) -> Resource {
    web::resource(path.to_owned()).app_data(RoutePattern::new(path)).default_service(web::to(
        move |request: HttpRequest, site: web::Data<Site>| home::wrong_method(request, site, methods),
    ))
}

/// A route to all that is under `base`, whose handler reads the rest of the path itself: to compare it with a pattern costs more
/// than all else by which a route is found.
fn under(base: &str, path: &str, _: Access) -> Scope {
    web::scope(base).app_data(RoutePattern::new(path))
}

/// What is under [`MCP`].
async fn gateway_or_wrong_method(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    from: From,
    site: web::Data<Site>,
) -> HttpResponse {
    match *request.method() {
        Method::GET | Method::POST | Method::DELETE => gateway::serve(request, payload, core, from).await,
        _ => home::wrong_method(request, site, "GET, POST, DELETE").await,
    }
}

/// A scope for routes that have `base` before them.
fn within(base: &str) -> Scope {
    let scope = web::scope(base);
    if base.is_empty() { scope } else { scope.app_data(RouteBase(base.to_owned())) }
}

/// What only reads answers HEAD, too.
fn reading() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A server behind the gateway.
const MCP: &str = "/mcp/{slug}";

const READ: &str = "GET, HEAD";
const FORM: &str = "GET, POST";
const POST: &str = "POST";
const MANAGE: &str = "GET, PUT, DELETE";

/// Every route, relative to the issuer's path.
fn routes(config: &mut web::ServiceConfig) {
    let cors = || from_fn(cors::any_origin);
    config
        // Routes are tried one after the other: what is asked for most comes first, and before it only what is compared at once.
        .service(route("/jwks.json", Access::Public, READ).wrap(cors()).route(reading().to(jwks::jwks)))
        .service(route("/token", Access::Client, POST).wrap(cors()).route(web::post().to(token::post)))
        .service(route("/introspect", Access::Client, POST).route(web::post().to(introspect::post)))
        .service(route("/revoke", Access::Client, POST).wrap(cors()).route(web::post().to(revoke::post)))
        .service(
            under("/mcp", MCP, Access::Token)
                .wrap(from_fn(gateway::known_only))
                .default_service(web::to(gateway_or_wrong_method)),
        )
        .service(
            route("/register", Access::Registration, POST).wrap(cors()).route(web::post().to(register::post)),
        )
        .service(
            route("/register/{client_id}", Access::Registration, MANAGE)
                .wrap(cors())
                .route(web::get().to(register::get))
                .route(web::put().to(register::put))
                .route(web::delete().to(register::delete)),
        )
        .service(
            route("/status-lists", Access::Public, READ).wrap(cors()).route(reading().to(status_lists::all)),
        )
        .service(
            route("/status-lists/{id}", Access::Public, READ)
                .wrap(cors())
                .route(reading().to(status_lists::get)),
        )
        .service(
            route("/authorize", Access::Person, FORM)
                .route(web::get().to(authorize::get))
                .route(web::post().to(authorize::post)),
        )
        .service(route("/consent", Access::Person, POST).route(web::post().to(consent::post)))
        .service(
            route("/login", Access::Public, FORM)
                .route(web::get().to(login::get))
                .route(web::post().to(login::post)),
        )
        .service(route("/login/passkey", Access::Public, POST).route(web::post().to(passkeys::ask)))
        .service(route("/login/passkey/finish", Access::Public, POST).route(web::post().to(passkeys::finish)))
        .service(route("/login/idp/{id}", Access::Public, POST).route(web::post().to(federation::post)))
        .service(
            route("/login/idp/{id}/callback", Access::Public, "GET")
                .route(web::get().to(federation::callback)),
        )
        .service(
            route("/login/second", Access::Public, FORM)
                .route(web::get().to(second_step::get))
                .route(web::post().to(second_step::post)),
        )
        .service(route("/login/second/enrol", Access::Public, POST).route(web::post().to(second_step::enrol)))
        .service(
            route("/login/second/cancel", Access::Public, POST).route(web::post().to(second_step::cancel)),
        )
        .service(
            route("/logout", Access::Person, FORM)
                .route(web::get().to(logout::get))
                .route(web::post().to(logout::post)),
        )
        .configure(link_routes)
        .service(route("/account", Access::Person, READ).route(reading().to(account::get)))
        .service(route("/account/remove", Access::Person, POST).route(web::post().to(account::remove)))
        .service(route("/account/narrow", Access::Person, POST).route(web::post().to(account::narrow)))
        .service(
            route("/account/sessions/end", Access::Person, POST).route(web::post().to(account::sign_out)),
        )
        .service(route("/account/export", Access::Person, POST).route(web::post().to(security::export)))
        .service(
            route("/account/email", Access::Person, FORM)
                .route(web::get().to(email::get))
                .route(web::post().to(email::post)),
        )
        .service(route("/account/security", Access::Person, READ).route(reading().to(security::get)))
        .service(
            route("/account/security/password", Access::Person, POST)
                .route(web::post().to(security::password)),
        )
        .service(
            route("/account/security/authenticator", Access::Person, FORM)
                .route(web::get().to(security::authenticator))
                .route(web::post().to(security::add_authenticator)),
        )
        .service(
            route("/account/security/authenticator/remove", Access::Person, POST)
                .route(web::post().to(security::remove_authenticator)),
        )
        .service(
            route("/account/security/passkeys", Access::Person, POST).route(web::post().to(passkeys::add)),
        )
        .service(
            route("/account/security/passkeys/new", Access::Person, POST)
                .route(web::post().to(passkeys::ask_for_new)),
        )
        .service(
            route("/account/security/passkeys/remove", Access::Person, POST)
                .route(web::post().to(passkeys::remove)),
        )
        .service(
            route("/account/security/idp/{id}", Access::Person, FORM)
                .route(web::get().to(federation::ask_link))
                .route(web::post().to(federation::link)),
        )
        .service(
            route("/account/security/recovery-codes", Access::Person, POST)
                .route(web::post().to(security::recovery_codes)),
        )
        .configure(connection_routes)
        .configure(console_routes)
        .configure(api_routes)
        .service(route("/static/{name}", Access::Public, READ).route(reading().to(assets::get)))
        .service(route("/health/live", Access::Public, READ).route(reading().to(health::live)))
        .service(route("/health/ready", Access::Public, READ).route(reading().to(health::ready)))
        // With and without the slash, for an issuer with a path.
        .service(route("", Access::Public, READ).route(reading().to(home::get)))
        .service(route("/", Access::Public, READ).route(reading().to(home::get)));
}

/// Servers behind the gateway that are used in a person's name.
fn connection_routes(config: &mut web::ServiceConfig) {
    config
        .service(
            route("/account/connect/{slug}", Access::Person, FORM)
                .route(web::get().to(connections::ask))
                .route(web::post().to(connections::go)),
        )
        .service(route("/account/servers", Access::Person, READ).route(reading().to(servers::list)))
        .service(route("/account/connections", Access::Person, READ).route(reading().to(connections::list)))
        .service(
            route("/account/connections/remove", Access::Person, POST)
                .route(web::post().to(connections::remove)),
        )
        .service(
            route("/gateway/callback", Access::Person, "GET").route(web::get().to(connections::callback)),
        )
        .service(
            route("/gateway/client.json", Access::Public, READ)
                .wrap(from_fn(cors::any_origin))
                .route(reading().to(connections::document)),
        );
}

/// Pages for whoever holds a one-time link.
fn link_routes(config: &mut web::ServiceConfig) {
    config
        .service(
            route("/setup", Access::Link, FORM)
                .route(web::get().to(setup::get))
                .route(web::post().to(setup::post)),
        )
        .service(
            route("/email/confirm", Access::Link, FORM)
                .route(web::get().to(email::confirm))
                .route(web::post().to(email::confirmed)),
        )
        .service(
            route("/email/undo", Access::Link, FORM)
                .route(web::get().to(email::undo))
                .route(web::post().to(email::undone)),
        )
        .service(
            route("/invitation", Access::Link, FORM)
                .route(web::get().to(invitation::get))
                .route(web::post().to(invitation::post)),
        )
        .service(
            route("/reset", Access::Link, FORM)
                .route(web::get().to(reset::get))
                .route(web::post().to(reset::post)),
        );
}

/// The console.
fn console_routes(config: &mut web::ServiceConfig) {
    config
        .service(route("/admin", Access::Console, READ).route(reading().to(admin::overview)))
        .service(route("/admin/access", Access::Console, READ).route(reading().to(admin::access)))
        .service(
            route("/admin/access/{id}", Access::Console, FORM)
                .route(web::get().to(admin::grant))
                .route(web::post().to(admin::end_grant)),
        )
        .service(
            route("/admin/alerts", Access::Console, FORM)
                .route(web::get().to(admin::alerts))
                .route(web::post().to(admin::acknowledge)),
        )
        .service(
            route("/admin/alerts/{detector}", Access::Console, FORM)
                .route(web::get().to(admin::rule))
                .route(web::post().to(admin::set_rule)),
        )
        .service(route("/admin/calls", Access::Console, READ).route(reading().to(admin::calls)))
        .service(
            route("/admin/calls/{id}", Access::Console, FORM)
                .route(web::get().to(admin::call))
                .route(web::post().to(admin::decide_call)),
        )
        .service(
            route("/admin/cut", Access::Console, FORM)
                .route(web::get().to(admin::cuts))
                .route(web::post().to(admin::make_cut)),
        )
        .service(
            route("/admin/cut/{id}", Access::Console, FORM)
                .route(web::get().to(admin::cut))
                .route(web::post().to(admin::undo_cut)),
        )
        .service(
            route("/admin/outgoing", Access::Console, FORM)
                .route(web::get().to(admin::outgoing))
                .route(web::post().to(admin::add_outgoing)),
        )
        .service(
            route("/admin/outgoing/{kind}/{id}", Access::Console, FORM)
                .route(web::get().to(admin::one_outgoing))
                .route(web::post().to(admin::act_on_outgoing)),
        )
        .service(route("/admin/people", Access::Console, READ).route(reading().to(admin::people)))
        .service(route("/admin/invitations", Access::Console, POST).route(web::post().to(admin::invite)))
        .service(
            route("/admin/people/{id}", Access::Console, FORM)
                .route(web::get().to(admin::person))
                .route(web::post().to(admin::change_person)),
        )
        .service(route("/admin/apps", Access::Console, READ).route(reading().to(admin::apps)))
        .service(
            route("/admin/app", Access::Console, FORM)
                .route(web::get().to(admin::app))
                .route(web::post().to(admin::change_app)),
        )
        .service(
            route("/admin/providers", Access::Console, FORM)
                .route(web::get().to(admin::providers))
                .route(web::post().to(admin::add_provider)),
        )
        .service(
            route("/admin/providers/{id}", Access::Console, FORM)
                .route(web::get().to(admin::provider))
                .route(web::post().to(admin::change_provider)),
        )
        .service(route("/admin/search", Access::Console, READ).route(reading().to(admin::find)))
        .service(
            route("/admin/export/evidence", Access::Console, "GET").route(web::get().to(admin::evidence)),
        )
        .service(route("/admin/export/{list}", Access::Console, "GET").route(web::get().to(admin::export)))
        .service(route("/admin/servers", Access::Console, READ).route(reading().to(admin::servers)))
        .service(
            route("/admin/servers/{id}", Access::Console, FORM)
                .route(web::get().to(admin::server))
                .route(web::post().to(admin::change_server)),
        )
        .service(route("/admin/servers/{id}/why", Access::Console, READ).route(reading().to(admin::why)))
        .service(route("/admin/servers/{id}/who", Access::Console, READ).route(reading().to(admin::who)))
        .service(route("/admin/sessions", Access::Console, READ).route(reading().to(admin::sessions)))
        .service(
            route("/admin/keys", Access::Console, FORM)
                .route(web::get().to(admin::keys))
                .route(web::post().to(admin::rotate)),
        )
        .service(route("/admin/audit", Access::Console, READ).route(reading().to(admin::audit)));
}

/// The admin API: every operation from its own table.
fn api_routes(config: &mut web::ServiceConfig) {
    let at = |path: &str| format!("{ADMIN_API}{path}");
    config
        .service(route(&at("/openapi.json"), Access::Public, READ).route(reading().to(admin_api::document)))
        .service(
            route("/hooks/cut/{id}", Access::Signature, POST)
                .route(web::post().to(admin_api::cut_by_message)),
        );
    let mut paths: Vec<&'static str> = admin_api::operations().map(|operation| operation.path).collect();
    paths.dedup();
    for path in paths {
        let here = || admin_api::operations().filter(move |operation| operation.path == path);
        let methods = here().map(|operation| operation.verb.as_str()).collect::<Vec<_>>().join(", ");
        let mut place = route(&at(path), Access::Token, "").default_service(web::to(
            move |core: web::Data<Core>, from: From| admin_api::wrong_method(core, from, methods.clone()),
        ));
        for operation in here() {
            let method = match operation.verb {
                Verb::Get => web::get(),
                Verb::Post => web::post(),
                Verb::Put => web::put(),
                Verb::Patch => web::patch(),
                Verb::Delete => web::delete(),
            };
            place = place.route(method.to(
                move |request: HttpRequest, payload: web::Payload, core: web::Data<Core>, from: From| {
                    admin_api::serve(operation, request, payload, core, from)
                },
            ));
        }
        config.service(place);
    }
    config
        .service(route(&at("/{rest:.*}"), Access::Public, "").default_service(web::to(admin_api::not_found)));
}

/// The discovery documents: with the issuer's path inserted (RFC 8414 §3.1) and appended (RFC 8414 §5, OpenID Connect
/// Discovery §4).
fn discovery_routes(config: &mut web::ServiceConfig, path: &str) {
    // RFC 9728 §3.1 inserts the path; some clients append, as they do for the other documents.
    let inserted = format!("/.well-known/oauth-protected-resource{path}");
    let appended = format!("{path}/.well-known/oauth-protected-resource");
    for root in [Some(&inserted), (!path.is_empty()).then_some(&appended)].into_iter().flatten() {
        // A scope of its own, because every request is compared with it: text at once, and only what is in it by pattern.
        config.service(
            within(root)
                .service(
                    route(ADMIN_API, Access::Public, READ)
                        .wrap(from_fn(cors::any_origin))
                        .route(reading().to(admin_api::resource_metadata)),
                )
                .service(
                    route(MCP, Access::Public, READ)
                        .wrap(from_fn(cors::any_origin))
                        .route(reading().to(gateway::metadata)),
                ),
        );
    }
    config.service(
        route(&format!("/.well-known/ssf-configuration{path}"), Access::Public, READ)
            .wrap(from_fn(cors::any_origin))
            .route(reading().to(discovery::signals)),
    );
    let mut document = |at: String, openid: bool| {
        let resource = route(&at, Access::Public, READ).wrap(from_fn(cors::any_origin));
        config.service(if openid {
            resource.route(reading().to(discovery::openid_configuration))
        } else {
            resource.route(reading().to(discovery::authorization_server))
        });
    };
    document(format!("/.well-known/oauth-authorization-server{path}"), false);
    document(format!("/.well-known/openid-configuration{path}"), true);
    if !path.is_empty() {
        document(format!("{path}/.well-known/oauth-authorization-server"), false);
        document(format!("{path}/.well-known/openid-configuration"), true);
    }
}

/// What the server serves with.
pub struct Serving {
    /// The use cases' core.
    pub core: web::Data<Core>,
    /// Brand and cookies.
    pub site: web::Data<Site>,
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: web::Data<TrustedProxies>,
    /// Counters.
    pub metrics: web::Data<Metrics>,
    /// Threads that serve; the machine's cores when absent.
    pub workers: Option<usize>,
}

/// Starts serving on `listener`; returns the server, to be awaited or stopped, and its address.
///
/// # Errors
/// When the socket cannot be served on.
pub fn serve(serving: Serving, listener: TcpListener) -> std::io::Result<(Server, SocketAddr)> {
    let address = listener.local_addr()?;
    let Serving { core, site, proxies, metrics, workers } = serving;
    let path = core.policy.issuer.path().to_owned();
    let https = core.policy.issuer.is_https();
    let app = move || {
        let inner = path.clone();
        let security = DefaultHeaders::new()
            .add(("X-Content-Type-Options", "nosniff"))
            .add(("Referrer-Policy", "no-referrer"));
        let transport = DefaultHeaders::new().add(("Strict-Transport-Security", "max-age=31536000"));
        App::new()
            .app_data(core.clone())
            .app_data(site.clone())
            .app_data(proxies.clone())
            .app_data(metrics.clone())
            .wrap(from_fn(deadline))
            .wrap(security)
            .wrap(Condition::new(https, transport))
            .wrap(from_fn(crate::telemetry::observe))
            .wrap(TracingLogger::<RequestSpan>::new())
            .configure(|config| discovery_routes(config, &inner))
            .service(within(&inner).configure(routes))
            .default_service(web::to(home::not_found))
    };
    let mut server = Server::build().shutdown_timeout(SHUTDOWN_GRACE.as_secs()).disable_signals();
    if let Some(workers) = workers {
        server = server.workers(workers);
    }
    let signal = server.graceful_shutdown_signal();
    // What `HttpServer` would do, with connections that an event stream can take over.
    let server = server.listen("http", listener, move || {
        let signal = signal.clone();
        let stopping = move || {
            let signal = signal.clone();
            async move { signal.notified().await }
        };
        let app = app().into_factory().map_err(|error: Error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(stopping.clone())
            .client_request_timeout(HEADER_TIMEOUT)
            .client_disconnect_timeout(Duration::from_secs(1))
            // A client that closes has gone: a call of its that runs through the gateway ends there too.
            .h1_allow_half_closed(false)
            .keep_alive(KEEP_ALIVE)
            .local_addr(address)
            .on_connect_ext(Line::show)
            .h1(map_config(app, |()| AppConfig::default()));
        Lines::new(http, stopping)
    })?;
    Ok((server.run(), address))
}

/// No request runs for ever: a body that trickles in, or a fetch that hangs, ends here.
async fn deadline(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    // Calls through the gateway may take long, and have limits of their own.
    let core = request.app_data::<web::Data<Core>>();
    let under = core.map_or("", |core| core.policy.issuer.path());
    if request.path().strip_prefix(under).is_some_and(|path| path.starts_with("/mcp/")) {
        return next.call(request).await;
    }
    // Taken beforehand: the request is gone when the answer does not come, and a copy of it would keep it from its route.
    let late = home::Late::of(request.request());
    if let Ok(answer) = tokio::time::timeout(REQUEST_TIMEOUT, next.call(request)).await {
        return answer;
    }
    let mut answer = late.answer();
    answer.headers_mut().insert(actix_web::http::header::CONNECTION, HeaderValue::from_static("close"));
    Err(InternalError::from_response("the request took too long", answer).into())
}
