//! Answers that people see.

use actix_web::cookie::Cookie;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER,
};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::site::Site;
use super::view::{ErrorPage, Moment, Problem};
use crate::flow::failure::Fault;
use crate::oauth::params::Params;
use crate::types::time::Timestamp;
use crate::wire::body::BodyError;
use crate::wire::caller::request_id;
use crate::wire::reply::marked;

/// Whether forms of a page may lead elsewhere: Chromium applies `form-action` to the whole chain of redirects, so a
/// page whose answer ends at the client's callback must not have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leads {
    /// Only to pages of ours.
    Here,
    /// Perhaps to the client.
    Away,
}

/// Ends nearer than this are told to the minute.
const TWO_DAYS: Duration = Duration::from_secs(48 * 3_600);

/// Renders a page.
pub fn page<T: Template>(
    status: StatusCode,
    template: &T,
    leads: Leads,
    cookie: Option<Cookie<'_>>,
) -> HttpResponse {
    let Ok(html) = template.render() else {
        tracing::error!("a template does not render");
        return HttpResponse::InternalServerError().finish();
    };
    let form_action = if leads == Leads::Here { "; form-action 'self'" } else { "" };
    let mut builder = HttpResponse::build(status);
    builder
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((
            "Content-Security-Policy",
            format!(
                "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'{form_action}"
            ),
        ))
        .insert_header(("X-Frame-Options", "DENY"))
        .insert_header(("Permissions-Policy", "camera=(), geolocation=(), microphone=()"));
    if leads == Leads::Here {
        // Not on the way back to a client: one that opened us in a pop-up could no longer be told of the end.
        builder.insert_header(("Cross-Origin-Opener-Policy", "same-origin"));
    }
    if let Some(cookie) = cookie {
        builder.cookie(cookie);
    }
    builder.body(html)
}

/// Lets a page load the one script of ours.
#[must_use]
pub fn with_script(mut answer: HttpResponse) -> HttpResponse {
    let known = answer.headers().get(CONTENT_SECURITY_POLICY).and_then(|value| value.to_str().ok());
    let policy = format!("{}; script-src 'self'", known.unwrap_or("default-src 'none'"));
    if let Ok(value) = HeaderValue::from_str(&policy) {
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, value);
    }
    answer
}

/// The secret of a one-time link, from its address.
pub fn link_token(request: &HttpRequest) -> Option<String> {
    let params = Params::parse(&[request.query_string().as_bytes()]).ok()?;
    params.value("token").ok().flatten().map(str::to_owned)
}

/// Sends the browser elsewhere, always with GET: 307 would repeat a form with its password (RFC 9700 §4.12).
#[must_use]
pub fn redirect(to: &str, cookie: Option<Cookie<'_>>) -> HttpResponse {
    let mut builder = HttpResponse::SeeOther();
    builder.insert_header((LOCATION, to)).insert_header((CACHE_CONTROL, "no-store"));
    if let Some(cookie) = cookie {
        builder.cookie(cookie);
    }
    builder.finish()
}

/// Says what went wrong and what to do next.
#[must_use]
pub fn problem(request: &HttpRequest, site: &Site, status: StatusCode, problem: Problem) -> HttpResponse {
    let page_of =
        ErrorPage { shell: site.shell.clone(), problem, request_id: request_id(request).unwrap_or_default() };
    page(status, &page_of, Leads::Here, None)
}

/// A form that cannot be read.
#[must_use]
pub fn bad_form(request: &HttpRequest, site: &Site, error: &BodyError) -> HttpResponse {
    match error {
        BodyError::TooLarge => problem(request, site, StatusCode::PAYLOAD_TOO_LARGE, Problem::TooLarge),
        BodyError::Interrupted => problem(
            request,
            site,
            StatusCode::BAD_REQUEST,
            Problem::BrokenForm { detail: "The body broke off.".to_owned() },
        ),
        BodyError::Refused(reason) => {
            let broken = Problem::BrokenForm { detail: reason.description() };
            marked(problem(request, site, StatusCode::BAD_REQUEST, broken), reason.name())
        }
    }
}

/// A fault of ours; the cause is in the log under the id that the page shows.
#[must_use]
pub fn fault(request: &HttpRequest, site: &Site, fault: &Fault) -> HttpResponse {
    tracing::error!(request_id = request_id(request).unwrap_or_default(), cause = %fault, "fault");
    if fault.is_passing() {
        let mut answer = problem(request, site, StatusCode::SERVICE_UNAVAILABLE, Problem::Trouble);
        answer.headers_mut().insert(RETRY_AFTER, actix_web::http::header::HeaderValue::from_static("1"));
        return marked(answer, "unavailable");
    }
    marked(problem(request, site, StatusCode::INTERNAL_SERVER_ERROR, Problem::Trouble), "fault")
}

/// A moment as the templates want it: the day, and on hover the minute.
#[must_use]
pub fn moment(at: Timestamp) -> Moment {
    let date = at.date_time();
    let day = format!("{} {} {}", date.day(), date.month(), date.year());
    Moment {
        iso: at.rfc3339(),
        exact: format!("{day}, {:02}:{:02} UTC", date.hour(), date.minute()),
        words: day,
    }
}

/// An end to come: the day, or to the minute when it is near.
#[must_use]
pub fn end(at: Timestamp, now: Timestamp) -> Moment {
    let moment = moment(at);
    if at.since(now) > TWO_DAYS { moment } else { Moment { words: moment.exact.clone(), ..moment } }
}

/// Something in the past: how long ago, while that says more than the day.
#[must_use]
pub fn past(at: Timestamp, now: Timestamp) -> Moment {
    let moment = moment(at);
    let minutes = now.since(at).as_secs() / 60;
    let ago = |count: u64, unit: &str| format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" });
    let words = match minutes {
        0 => "just now".to_owned(),
        1..60 => ago(minutes, "minute"),
        60..1_440 => ago(minutes / 60, "hour"),
        1_440..20_160 => ago(minutes / 1_440, "day"),
        _ => moment.words,
    };
    Moment { words, ..moment }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_say_what_helps() {
        let now = Timestamp::from_seconds(1_795_000_000);
        let ago = |seconds: u64| past(now.minus(Duration::from_secs(seconds)), now).words;
        assert_eq!(
            [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 13 * 86_400].map(ago),
            [
                "just now",
                "just now",
                "1 minute ago",
                "59 minutes ago",
                "1 hour ago",
                "23 hours ago",
                "1 day ago",
                "13 days ago"
            ]
        );
        assert_eq!(ago(14 * 86_400), moment(now.minus(Duration::from_secs(14 * 86_400))).words);
        assert_eq!(
            past(now.plus(Duration::from_secs(90)), now).words,
            "just now",
            "clocks of two nodes differ"
        );

        let soon = end(now.plus(Duration::from_secs(3_600)), now);
        assert!(soon.words.ends_with(" UTC") && soon.words == soon.exact, "{soon:?}");
        let later = end(now.plus(Duration::from_secs(365 * 86_400)), now);
        assert_eq!(later.words, moment(now.plus(Duration::from_secs(365 * 86_400))).words);
    }
}
