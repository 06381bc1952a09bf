//! One line and a few counters for every request: who, what, how it ended, how long it took. Never a query, a body, a
//! cookie or another header: those hold codes, tokens and passwords.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::USER_AGENT;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, web};
use tracing::Span;
use tracing_actix_web::{RequestId, RootSpanBuilder};

use super::metrics::Metrics;
use crate::types::network::TrustedProxies;
use crate::wire::reply::RefusedFor;

/// Longest path or `User-Agent` in a line, in characters.
const LONGEST: usize = 200;

/// The span around a request. It carries the request's id and nothing else, so that every line written meanwhile can
/// be found by it.
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        match request.extensions().get::<RequestId>() {
            Some(id) => tracing::info_span!("request", request_id = %id),
            None => tracing::info_span!("request"),
        }
    }

    fn on_request_end<B: MessageBody>(_: Span, _: &Result<ServiceResponse<B>, Error>) {}
}

/// The pattern of a route, as its requests are counted: data of its resource. What actix finds out when it is asked is found
/// out again, by trying every pattern until one fits.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RoutePattern(Arc<str>);

impl RoutePattern {
    /// Of a route, from the server's root or from the [`RouteBase`] that its scope has.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// Of a request that no route is for.
    pub(super) fn none() -> Self {
        Self::new("none")
    }

    fn under(&self, base: &RouteBase) -> Self {
        Self::new(&format!("{}{}", base.0, self.0))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the patterns of a scope's routes begin with: data of the scope.
#[derive(Clone, Debug)]
pub struct RouteBase(pub String);

/// Writes the line of a request and counts it; a middleware inside the request's span.
///
/// # Errors
/// What the request itself ends with.
pub async fn observe<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let watch = Watch::new(&request);
    match next.call(request).await {
        Ok(response) => {
            let response = response.map_into_boxed_body();
            let refused = response.response().extensions().get::<RefusedFor>().map(|mark| mark.0);
            watch.finish(response.request(), response.status(), refused);
            Ok(response)
        }
        Err(error) => {
            watch.finish_bare(error.as_response_error().status_code());
            Err(error)
        }
    }
}

/// A request under way. Dropped unfinished when the client goes away; that leaves a line too.
struct Watch {
    metrics: Option<web::Data<Metrics>>,
    method: Method,
    path: String,
    start: Instant,
    finished: bool,
}

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "measures a duration")]
    fn new(request: &ServiceRequest) -> Self {
        let metrics = request.app_data::<web::Data<Metrics>>().cloned();
        if let Some(metrics) = &metrics {
            metrics.request_begins();
        }
        Self {
            metrics,
            method: request.method().clone(),
            path: bounded(request.path()).to_owned(),
            start: Instant::now(),
            finished: false,
        }
    }

    fn finish(mut self, request: &HttpRequest, status: StatusCode, refused: Option<&'static str>) {
        let route = request.app_data::<RoutePattern>().cloned();
        let route = match request.app_data::<RouteBase>() {
            Some(base) => route.map(|route| route.under(base)),
            None => route,
        };
        self.count(route, Some(status), refused);
        let address = request.peer_addr().map(|peer| caller(request, peer.ip()));
        let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).map(bounded);
        tracing::info!(
            target: "postern::request",
            method = %self.method,
            path = self.path,
            status = status.as_u16(),
            duration_us = self.duration_us(),
            address = address.map(tracing::field::display),
            user_agent,
            reason = refused,
        );
    }

    fn finish_bare(mut self, status: StatusCode) {
        self.count(None, Some(status), None);
        tracing::info!(
            target: "postern::request",
            method = %self.method,
            path = self.path,
            status = status.as_u16(),
            duration_us = self.duration_us(),
        );
    }

    fn count(
        &mut self,
        route: Option<RoutePattern>,
        status: Option<StatusCode>,
        refused: Option<&'static str>,
    ) {
        self.finished = true;
        if let Some(metrics) = &self.metrics {
            metrics.request_ends(&self.method, route, status, self.start.elapsed());
            if let Some(reason) = refused {
                metrics.refused(reason);
            }
        }
    }

    fn duration_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.count(None, None, None);
        tracing::info!(
            target: "postern::request",
            method = %self.method,
            path = self.path,
            duration_us = self.duration_us(),
            "the client went away",
        );
    }
}

/// Whom the request comes from, past the proxies that are trusted.
fn caller(request: &HttpRequest, peer: IpAddr) -> IpAddr {
    match request.app_data::<web::Data<TrustedProxies>>() {
        Some(proxies) if proxies.contains(peer) => {
            let headers: Vec<&str> = request
                .headers()
                .get_all("x-forwarded-for")
                .filter_map(|value| value.to_str().ok())
                .collect();
            proxies.caller(peer, headers.into_iter())
        }
        _ => peer.to_canonical(),
    }
}

fn bounded(text: &str) -> &str {
    text.char_indices().nth(LONGEST).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, try_call_service};
    use actix_web::{App, HttpResponse};
    use serde_json::json;
    use tracing_actix_web::TracingLogger;

    use super::super::json::tests::Kept;
    use super::*;
    use crate::types::network::Network;

    async fn refuse() -> HttpResponse {
        tracing::warn!("inside");
        let mut answer = HttpResponse::BadRequest().finish();
        answer.extensions_mut().insert(RefusedFor("code_expired"));
        answer
    }

    macro_rules! app {
        ($metrics:expr) => {
            init_service(
                App::new()
                    .app_data($metrics.clone())
                    .app_data(web::Data::new(TrustedProxies::new(vec![
                        Network::parse("10.0.0.0/8").unwrap(),
                    ])))
                    .wrap(from_fn(observe))
                    .wrap(TracingLogger::<RequestSpan>::new())
                    .service(
                        web::scope("/base").app_data(RouteBase("/base".to_owned())).service(
                            web::resource("/token/{id}")
                                .app_data(RoutePattern::new("/token/{id}"))
                                .route(web::post().to(refuse)),
                        ),
                    )
                    .service(
                        web::resource("/token/{id}")
                            .app_data(RoutePattern::new("/token/{id}"))
                            .route(web::post().to(refuse)),
                    )
                    .route(
                        "/fails",
                        web::get().to(|| async {
                            Err::<&str, _>(actix_web::error::ErrorBadGateway("pst_ac_secret"))
                        }),
                    )
                    .route("/hangs", web::get().to(std::future::pending::<&'static str>)),
            )
            .await
        };
    }

    #[actix_web::test]
    async fn a_request_leaves_one_line_without_secrets() {
        let (kept, metrics) = (Kept::default(), web::Data::new(Metrics::default()));
        let _guard = kept.start();
        let app = app!(metrics);
        let request = TestRequest::post()
            .uri("/token/7?code=pst_ac_secret&state=secret")
            .peer_addr("10.0.0.1:5".parse().unwrap())
            .insert_header(("X-Forwarded-For", "6.6.6.6, 203.0.113.9"))
            .insert_header(("Authorization", "Bearer pst_rt_secret"))
            .insert_header(("Cookie", "session=pst_ss_secret"))
            .insert_header(("Referer", "https://x/?code=pst_ac_secret"))
            .insert_header(("User-Agent", format!("agent \"x\" {}", "a".repeat(500))))
            .set_payload("client_secret=pst_cs_secret");
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(response.status(), 400);
        let lines = kept.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        let line = &lines[1];
        assert_eq!(line["request_id"], lines[0]["request_id"]);
        assert_eq!(line["request_id"].as_str().unwrap().len(), 36);
        for (name, value) in [
            ("method", json!("POST")),
            ("path", json!("/token/7")),
            ("status", json!(400)),
            ("address", json!("203.0.113.9")),
            ("reason", json!("code_expired")),
            ("level", json!("INFO")),
        ] {
            assert_eq!(line[name], value, "{line}");
        }
        assert!(line["duration_us"].is_u64());
        assert_eq!(line["user_agent"].as_str().unwrap().chars().count(), LONGEST);
        assert!(!format!("{lines:?}").contains("secret"));
        let text = metrics.render();
        assert!(
            text.contains(r#"postern_requests_total{route="/token/{id}",method="POST",status="4xx"} 1"#),
            "{text}"
        );
        assert!(text.contains(r#"postern_refusals_total{reason="code_expired"} 1"#), "{text}");
        assert!(text.contains("postern_requests_in_flight 0"), "{text}");
    }

    #[actix_web::test]
    async fn a_route_is_counted_by_its_pattern_from_the_root_also_within_a_scope() {
        let metrics = web::Data::new(Metrics::default());
        let app = app!(metrics);
        for uri in ["/token/7", "/token/8", "/base/token/9"] {
            let request = TestRequest::post().uri(uri).to_request();
            assert_eq!(call_service(&app, request).await.status(), 400, "{uri}");
        }
        let text = metrics.render();
        for line in [
            r#"requests_total{route="/token/{id}",method="POST",status="4xx"} 2"#,
            r#"requests_total{route="/base/token/{id}",method="POST",status="4xx"} 1"#,
            r#"request_duration_seconds_count{route="/token/{id}"} 2"#,
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[actix_web::test]
    async fn errors_and_lost_clients_leave_one_line_too() {
        let (kept, metrics) = (Kept::default(), web::Data::new(Metrics::default()));
        let _guard = kept.start();
        let app = app!(metrics);
        let failed = try_call_service(&app, TestRequest::get().uri("/fails").to_request()).await;
        assert_eq!(failed.unwrap().status(), 502);
        let unknown = call_service(&app, TestRequest::get().uri("/no%0Asuch?code=secret").to_request()).await;
        assert_eq!(unknown.status(), 404);
        let hanging = call_service(&app, TestRequest::get().uri("/hangs").to_request());
        assert!(futures_util::FutureExt::now_or_never(hanging).is_none());
        let lines = kept.lines();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!((&lines[0]["status"], &lines[1]["status"]), (&json!(502), &json!(404)));
        assert_eq!(
            (&lines[2]["message"], &lines[2]["path"]),
            (&json!("the client went away"), &json!("/hangs"))
        );
        assert!(!format!("{lines:?}").contains("secret"));
        let text = metrics.render();
        assert!(text.contains(r#"route="none",method="GET",status="4xx"} 1"#), "{text}");
        assert!(text.contains(r#"route="none",method="GET",status="lost"} 1"#), "{text}");
        assert!(text.contains("postern_requests_in_flight 0"), "{text}");
    }
}
