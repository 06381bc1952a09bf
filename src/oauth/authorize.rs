//! The authorization request (RFC 6749 §4.1.1, OAuth 2.1 §4.1.1): the ordered checks, on one screen.

use std::time::Duration;

use super::params::Params;
use super::refusal::Reason;
use super::scopes::{self, Asked};
use crate::types::client::{Client, GrantType};
use crate::types::factor::Level;
use crate::types::pkce::CodeChallenge;
use crate::types::redirect_uri::RedirectUri;
use crate::types::resource::Resource;

/// What `prompt` asks for (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Prompt {
    /// Show no page.
    pub none: bool,
    /// Sign in again.
    pub login: bool,
    /// Ask again.
    pub consent: bool,
}

/// Where a response may go, once client and redirect URI are proven.
#[derive(Clone, Debug)]
pub struct ReturnAddress {
    /// The proven redirect URI, as presented.
    pub redirect_uri: RedirectUri,
    /// Echoed once, untouched.
    pub state: Option<String>,
}

/// A request that has passed every check.
#[derive(Clone, Debug)]
pub struct AuthorizeRequest {
    /// Who asks.
    pub client: Client,
    /// Where the answer goes.
    pub back: ReturnAddress,
    /// What is asked for.
    pub asked: Asked,
    /// The PKCE challenge.
    pub code_challenge: CodeChallenge,
    /// Which pages.
    pub prompt: Prompt,
    /// How fresh the sign-in must be.
    pub max_age: Option<Duration>,
    /// How sure of the person it must be.
    pub level: Option<Level>,
    /// Who is likely to sign in.
    pub login_hint: Option<String>,
}

/// First part: is it proven where an answer may go? A refusal is shown as a page, never redirected (RFC 6749
/// §4.1.2.1, RFC 9700 §4.11).
///
/// # Errors
/// Why client or redirect URI are not proven.
pub fn return_address(params: &Params, client: &Client, schemes: &[String]) -> Result<ReturnAddress, Reason> {
    if client.disabled_at.is_some() {
        return Err(Reason::DisabledClient);
    }
    let redirect_uri = match params.value("redirect_uri")? {
        Some(presented) => client.redirect_uri(presented, schemes).ok_or(Reason::UnregisteredRedirectUri)?,
        None => match client.metadata.redirect_uris.as_slice() {
            [only] => RedirectUri::parse(only, schemes).map_err(|_| Reason::NoRedirectUri)?,
            _ => return Err(Reason::NoRedirectUri),
        },
    };
    // A repeated state, or one with a control character, is not echoed; [`check`] refuses the request.
    let state = params.value("state").ok().flatten().map(str::to_owned);
    Ok(ReturnAddress { redirect_uri, state })
}

/// Second part: everything that is answered by redirect. `resources` are those that the request names, looked up in
/// order; `None` stands for one that is not known.
///
/// # Errors
/// The first rule that is broken.
pub fn check(
    params: &Params,
    client: Client,
    back: ReturnAddress,
    resources: Vec<(String, Option<Resource>)>,
) -> Result<AuthorizeRequest, Reason> {
    params.no_repeats()?;
    response_type(params)?;
    unsupported_members(params)?;
    if !client.may(GrantType::AuthorizationCode) {
        return Err(Reason::GrantTypeNotAllowed(GrantType::AuthorizationCode.as_str()));
    }
    let code_challenge = challenge(params)?;
    let prompt = prompt(params)?;
    let max_age = max_age(params)?;
    let level = level(params)?;
    let resources = open_resources(resources, &client)?;
    let asked = scopes::resolve(params.value("scope")?, resources)?;
    let login_hint = params.value("login_hint")?.filter(|hint| hint.len() <= 254).map(str::to_owned);
    Ok(AuthorizeRequest { client, back, asked, code_challenge, prompt, max_age, level, login_hint })
}

/// OAuth 2.1 §4.1.1: `code` is all there is.
fn response_type(params: &Params) -> Result<(), Reason> {
    if params.required("response_type")? == "code" { Ok(()) } else { Err(Reason::UnsupportedResponseType) }
}

/// Members that would change where or how the answer goes, and that we do not have.
fn unsupported_members(params: &Params) -> Result<(), Reason> {
    if params.value("response_mode")?.is_some_and(|mode| mode != "query") {
        return Err(Reason::BadParameter("response_mode", "must be query or absent".to_owned()));
    }
    for name in ["request", "request_uri"] {
        if params.value(name)?.is_some() {
            return Err(Reason::BadParameter(name, "is not supported here".to_owned()));
        }
    }
    Ok(())
}

/// RFC 7636 §4.3, OAuth 2.1 §7.5: every client, S256 only. A missing method means `plain`, which does not exist here.
fn challenge(params: &Params) -> Result<CodeChallenge, Reason> {
    let challenge = params.value("code_challenge")?.ok_or(Reason::NoChallenge)?;
    if params.value("code_challenge_method")? != Some("S256") {
        return Err(Reason::ChallengeMethod);
    }
    CodeChallenge::parse(challenge).ok_or(Reason::BadChallenge)
}

/// OpenID Connect Core §3.1.2.1. Unknown values are ignored.
fn prompt(params: &Params) -> Result<Prompt, Reason> {
    let mut prompt = Prompt::default();
    for value in params.value("prompt")?.unwrap_or_default().split(' ') {
        match value {
            "none" => prompt.none = true,
            "login" | "select_account" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => {}
        }
    }
    if prompt.none && (prompt.login || prompt.consent) {
        return Err(Reason::BadParameter("prompt", "must not combine none with other values".to_owned()));
    }
    Ok(prompt)
}

fn max_age(params: &Params) -> Result<Option<Duration>, Reason> {
    let Some(text) = params.value("max_age")? else { return Ok(None) };
    let seconds: u32 = text
        .parse()
        .map_err(|_| Reason::BadParameter("max_age", "must be a whole number of seconds".to_owned()))?;
    Ok(Some(Duration::from_secs(u64::from(seconds))))
}

/// RFC 9470 §4: the first value that is known here counts, and it is met or the request fails; never silently less.
fn level(params: &Params) -> Result<Option<Level>, Reason> {
    let mut values =
        params.value("acr_values")?.unwrap_or_default().split(' ').filter(|v| !v.is_empty()).peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    values.find_map(Level::parse).map(Some).ok_or(Reason::UnmetAuthentication)
}

/// RFC 8707 §2: every named resource is known and open to this client; the rule is the resource's own.
fn open_resources(
    resources: Vec<(String, Option<Resource>)>,
    client: &Client,
) -> Result<Vec<Resource>, Reason> {
    if resources.is_empty() {
        return Err(Reason::NoResource);
    }
    let mut open: Vec<Resource> = Vec::new();
    for (uri, resource) in resources {
        let resource =
            resource.filter(|r| r.client_rule.allows(client)).ok_or(Reason::UnknownResource(uri))?;
        if !open.contains(&resource) {
            open.push(resource);
        }
    }
    Ok(open)
}
