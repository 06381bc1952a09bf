//! Pages in browsers that call a server behind the gateway (Fetch standard, CORS protocol): those of the origins that an
//! administrator has named for it, without credentials but the token that a page has itself.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};

use super::{ONWARD, answer, goes_on, slug};
use crate::flow::core::Core;
use crate::flow::gateway::{self, Route};
use crate::types::issuer::Issuer;
use crate::types::page_origin::is_here;

/// What a page may read of an answer's headers beyond what any page may.
const SHOWN: HeaderValue =
    HeaderValue::from_static("WWW-Authenticate, Retry-After, Mcp-Session-Id, MCP-Protocol-Version");

/// Lets pages of known origins in, and stops a page of any other that gets a browser to call here, whatever it brings (MCP,
/// Security Warning of the transport).
///
/// # Errors
/// What the wrapped resource says.
pub async fn known_only<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(origin) = request.headers().get(ORIGIN).cloned() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let route = request
        .app_data::<web::Data<Core>>()
        .and_then(|core| Some((core, gateway::find(core, slug(request.match_info()))?)));
    let Some((core, route)) = route else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    if !is_known(origin.as_bytes(), &core.policy.issuer, &route) {
        let text = "Requests from pages of other origins are not served.";
        return Ok(request.into_response(answer::plain(StatusCode::FORBIDDEN, "foreign_origin", text)));
    }
    let asks =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks {
        let answer = HttpResponse::NoContent()
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, welcome(&request)))
            .insert_header((ACCESS_CONTROL_MAX_AGE, "600"))
            .finish();
        request.into_response(answer)
    } else {
        next.call(request).await?.map_into_boxed_body()
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, SHOWN);
    // What is kept of it is kept for this origin.
    headers.append(VARY, HeaderValue::from_static("Origin"));
    Ok(response)
}

/// The headers that a page may send: those of which the gateway makes something. Of a tool's mirrored arguments those that it
/// asks for, since their names are the tool's.
fn welcome(request: &ServiceRequest) -> String {
    let mut welcome: Vec<String> = [AUTHORIZATION.as_str(), CONTENT_TYPE.as_str(), "mcp-session-id"]
        .into_iter()
        .chain(ONWARD.into_iter().filter(|name| *name != CONTENT_TYPE.as_str()))
        .map(str::to_owned)
        .collect();
    let wanted = request.headers().get_all(ACCESS_CONTROL_REQUEST_HEADERS);
    let wanted = wanted.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    for name in wanted.filter_map(|name| name.trim().parse::<HeaderName>().ok()) {
        if goes_on(name.as_str()) && !welcome.iter().any(|known| known == name.as_str()) {
            welcome.push(name.as_str().to_owned());
        }
    }
    welcome.join(", ")
}

/// Whether pages of this origin may call: the issuer's own, those that an administrator has named, and, while the issuer is on
/// this machine alone, those of this machine.
fn is_known(origin: &[u8], issuer: &Issuer, route: &Route) -> bool {
    let named = || route.resource.gateway.origins.iter().any(|known| known.as_str().as_bytes() == origin);
    let here = || {
        let url = url::Url::parse(std::str::from_utf8(origin).ok()?).ok()?;
        Some(is_here(url.host_str()?))
    };
    origin == issuer.origin().as_bytes() || named() || (!issuer.is_https() && here() == Some(true))
}
