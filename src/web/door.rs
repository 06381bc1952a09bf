//! The door of every page for people who are signed in: who comes, whether the form is ours, and whether they have
//! proved themselves lately enough for what they are about to do.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use url::form_urlencoded::byte_serialize;

use super::page::{bad_form, fault, problem, redirect};
use super::site::Site;
use super::view::Problem;
use crate::flow::core::Core;
use crate::flow::login::{SignedIn, signed_in};
use crate::oauth::params::Params;
use crate::types::policy::FRESH_SIGN_IN;
use crate::types::user::Role;
use crate::wire::body;
use crate::wire::reply::marked;

/// Who is signed in; whoever is not goes to the sign-in page and, for a page that is read, comes back.
///
/// # Errors
/// The answer to give instead.
pub async fn person(request: &HttpRequest, core: &Core, site: &Site) -> Result<SignedIn, HttpResponse> {
    match signed_in(core, site.session_of(request).as_deref()).await {
        Ok(Some(person)) => Ok(person),
        Ok(None) => Err(sign_in(site, &place(request, site), false)),
        Err(cause) => Err(fault(request, site, &cause)),
    }
}

/// A form of ours, and who sent it.
pub struct Form {
    /// Who sent it.
    pub person: SignedIn,
    params: Params,
}

impl Form {
    /// A field; empty when it is absent or stands there twice.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.params.value(name).ok().flatten().unwrap_or_default()
    }

    /// Every value of a field that may stand there several times, such as the boxes of a list.
    #[must_use]
    pub fn values<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        self.params.every(name).collect()
    }
}

/// Reads a form that only our own pages in this browser and this session can have made.
///
/// # Errors
/// The answer to give instead.
pub async fn form(
    request: &HttpRequest,
    payload: web::Payload,
    core: &Core,
    site: &Site,
) -> Result<Form, HttpResponse> {
    let params = body::form(request, payload).await.map_err(|error| bad_form(request, site, &error))?;
    let person = person(request, core, site).await?;
    let field = params.value("csrf").ok().flatten().unwrap_or_default();
    if !site.is_ours(core, request, field) {
        return Err(marked(
            problem(request, site, StatusCode::FORBIDDEN, Problem::FormExpired),
            "forged_form",
        ));
    }
    Ok(Form { person, params })
}

/// Refuses whoever is less than `role`: a member is less than an auditor, an auditor less than an administrator.
///
/// # Errors
/// The answer to give instead.
#[expect(clippy::result_large_err, reason = "the answer is what the handler gives next")]
pub fn at_least(
    request: &HttpRequest,
    site: &Site,
    person: &SignedIn,
    role: Role,
) -> Result<(), HttpResponse> {
    if person.user.role >= role {
        return Ok(());
    }
    Err(marked(problem(request, site, StatusCode::FORBIDDEN, Problem::Forbidden), "role"))
}

/// Whether the person has signed in within [`FRESH_SIGN_IN`], as everything demands that destroys; if not, they do it
/// now and come back to `back`, a path of ours under `/account` or `/admin` without the issuer's path.
///
/// # Errors
/// The answer to give instead.
#[expect(clippy::result_large_err, reason = "the answer is what the handler gives next")]
pub fn fresh(core: &Core, site: &Site, person: &SignedIn, back: &str) -> Result<(), HttpResponse> {
    if core.now().since(person.session.auth_time) <= FRESH_SIGN_IN {
        return Ok(());
    }
    Err(sign_in(site, back, true))
}

fn sign_in(site: &Site, back: &str, anew: bool) -> HttpResponse {
    let base = &site.shell.base;
    if back == "/account" && !anew {
        return redirect(&format!("{base}/login"), None);
    }
    let back: String = byte_serialize(back.as_bytes()).collect();
    let anew = if anew { "&fresh=1" } else { "" };
    redirect(&format!("{base}/login?continue={back}{anew}"), None)
}

/// The page of a request, as [`destination`] takes it; a form that was sent cannot be come back to.
fn place(request: &HttpRequest, site: &Site) -> String {
    if request.method() != actix_web::http::Method::GET {
        return "/account".to_owned();
    }
    let target = request.uri().path_and_query().map_or("", |whole| whole.as_str());
    let own = target.strip_prefix(site.shell.base.as_str()).unwrap_or_default();
    if destination(own) { own.to_owned() } else { "/account".to_owned() }
}

/// Whether `path` is a page of ours to which signing in may lead: it arrives in links and forms, which anyone can make.
#[must_use]
pub fn destination(path: &str) -> bool {
    let (way, query) = path.split_once('?').unwrap_or((path, ""));
    let ours = ["/account", "/admin"]
        .iter()
        .any(|root| way.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    let plain = |text: &str, also: &str| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~%/:".contains(c) || also.contains(c))
    };
    ours && path.len() <= 1_024
        && plain(way, "")
        && plain(query, "=&+,@*!")
        && !way.contains("//")
        && !way.split('/').any(|part| matches!(part, "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_pages_of_ours_alone() {
        for fine in
            ["/account", "/account/security", "/admin", "/admin/apps/https%3A%2F%2Fa.example?x=1&y=a%20b"]
        {
            assert!(destination(fine), "{fine}");
        }
        for bad in [
            "",
            "/",
            "//evil.example/account",
            "https://evil.example/account",
            "/accounts",
            "/admin/../register",
            "/admin//evil.example",
            "/account\\evil",
            "/account?next=<script>",
            "/account\r\nSet-Cookie: a=b",
            "/account#x",
        ] {
            assert!(!destination(bad), "{bad:?}");
        }
    }
}
