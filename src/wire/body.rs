//! Reading bodies: bounded, and forms of the one type they may have.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, web};
use futures_util::StreamExt as _;

use crate::oauth::params::Params;
use crate::oauth::refusal::Reason;
use crate::types::policy::MAX_BODY;

/// Why a body cannot be used.
#[derive(Debug)]
pub enum BodyError {
    /// More than the bound, which is [`MAX_BODY`] unless said otherwise.
    TooLarge,
    /// The client broke off.
    Interrupted,
    /// It is not what it should be.
    Refused(Reason),
}

/// Reads a body, at most [`MAX_BODY`] bytes of it.
///
/// # Errors
/// Too large, or broken off.
pub async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Vec<u8>, BodyError> {
    read_up_to(request, payload, MAX_BODY).await
}

/// Reads a body, at most `most` bytes of it.
///
/// # Errors
/// Too large, or broken off.
pub async fn read_up_to(
    request: &HttpRequest,
    mut payload: web::Payload,
    most: usize,
) -> Result<Vec<u8>, BodyError> {
    let declared = request.headers().get(actix_web::http::header::CONTENT_LENGTH);
    let declared = declared.and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u64>().ok());
    if declared.is_some_and(|length| length > most as u64) {
        return Err(BodyError::TooLarge);
    }
    let mut body = Vec::with_capacity(declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(0));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| BodyError::Interrupted)?;
        if body.len() + chunk.len() > most {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads a form. Parameters in the query are refused on the endpoints that take none there (RFC 6749 §3.2 has them
/// in the body), because a proxy would log them.
///
/// # Errors
/// See [`BodyError`].
pub async fn form(request: &HttpRequest, payload: web::Payload) -> Result<Params, BodyError> {
    let body = read(request, payload).await?;
    if !is_form(request) {
        return Err(BodyError::Refused(Reason::WrongContentType));
    }
    if !request.query_string().is_empty() {
        return Err(BodyError::Refused(Reason::MalformedRequest(
            "parameters belong in the body, not in the URL",
        )));
    }
    Params::parse(&[&body]).map_err(BodyError::Refused)
}

/// Whether the body is declared as a form.
#[must_use]
pub fn is_form(request: &HttpRequest) -> bool {
    let declared =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = declared.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
