//! The listener of the metrics: apart from the server's, because they are nobody's business outside.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};

use super::metrics::Metrics;
use crate::flow::core::Core;
use crate::types::policy::HEADER_TIMEOUT;

/// Serves `/metrics` on `listener` with one thread; returns the server, to be awaited or stopped.
///
/// # Errors
/// When the socket cannot be served on.
pub fn serve_metrics(
    metrics: web::Data<Metrics>,
    core: Arc<Core>,
    listener: TcpListener,
) -> io::Result<Server> {
    let core = web::Data::from(core);
    let app = move || {
        App::new().app_data(metrics.clone()).app_data(core.clone()).route("/metrics", web::get().to(answer))
    };
    let server = HttpServer::new(app).workers(1).client_request_timeout(HEADER_TIMEOUT).disable_signals();
    Ok(server.listen(listener)?.run())
}

async fn answer(metrics: web::Data<Metrics>, core: web::Data<Core>) -> HttpResponse {
    metrics.observe_core(&core);
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(metrics.render())
}
