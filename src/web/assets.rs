//! Stylesheet, icon and the operator's brand, with names that change when they do.

use std::sync::OnceLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};

use super::site::Site;
use crate::types::token::TokenDigest;

const STYLESHEET: &str = include_str!("../../static/postern.css");
const PASSKEYS: &str = include_str!("../../static/passkey.js");
const CONSOLE: &str = include_str!("../../static/console.css");
const ICON: &str = include_str!("../../static/favicon.svg");

/// A mark that changes when the assets do.
#[must_use]
pub fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| fingerprint(format!("{STYLESHEET}{CONSOLE}{ICON}{PASSKEYS}").as_bytes()))
}

/// A short mark of some bytes.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    TokenDigest::of(&String::from_utf8_lossy(bytes)).hex().chars().take(12).collect()
}

/// Serves an asset.
pub async fn get(name: web::Path<String>, site: web::Data<Site>) -> HttpResponse {
    match name.as_str() {
        "postern.css" => asset("text/css; charset=utf-8", STYLESHEET.into()),
        "console.css" => asset("text/css; charset=utf-8", CONSOLE.into()),
        "favicon.svg" => asset("image/svg+xml", ICON.into()),
        "passkey.js" => asset("text/javascript; charset=utf-8", PASSKEYS.into()),
        "brand.css" => match &site.brand.sheet {
            Some(sheet) => asset("text/css; charset=utf-8", sheet.clone().into()),
            None => HttpResponse::NotFound().finish(),
        },
        "logo" => match &site.brand.logo {
            Some((kind, bytes)) => asset(kind, bytes.clone().into()),
            None => HttpResponse::NotFound().finish(),
        },
        _ => HttpResponse::NotFound().finish(),
    }
}

fn asset(kind: &str, body: web::Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, kind))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header(("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"))
        .body(body)
}
