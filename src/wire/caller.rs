//! Where a request comes from, for the audit log and the limits.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, USER_AGENT};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use tracing_actix_web::RequestId;

use crate::flow::core::Caller;
use crate::types::network::TrustedProxies;

/// Longest part of a `User-Agent` that is kept.
const USER_AGENT_LENGTH: usize = 200;

/// [`Caller`] as an extractor.
pub struct From(pub Caller);

impl FromRequest for From {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let address = client_address(request).map(|ip| ip.to_string());
        let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
        ready(Ok(Self(Caller {
            address,
            user_agent: user_agent.map(|text| text.chars().take(USER_AGENT_LENGTH).collect()),
            request_id: request_id(request),
            by: None,
        })))
    }
}

/// Whom a request comes from: the peer, or what a trusted proxy says of it.
#[must_use]
pub fn client_address(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let lines: Vec<&str> =
        request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok()).collect();
    let proxies = request.app_data::<web::Data<TrustedProxies>>()?;
    Some(proxies.caller(peer, lines.into_iter()))
}

/// The id under which this request stands in the log.
#[must_use]
pub fn request_id(request: &HttpRequest) -> Option<String> {
    request.extensions().get::<RequestId>().map(ToString::to_string)
}

/// The `Authorization` header; one that is not text reads as malformed, not as absent.
#[must_use]
pub fn authorization(request: &HttpRequest) -> Option<&str> {
    request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap_or("\u{fffd}"))
}

/// The bearer token of the `Authorization` header (RFC 6750 §2.1).
#[must_use]
pub fn bearer(request: &HttpRequest) -> Option<&str> {
    let (scheme, token) = authorization(request)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
