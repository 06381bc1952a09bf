//! Client authentication (RFC 6749 §2.3, RFC 7523 §3): what was presented, and whether it is proof.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::params::Params;
use super::refusal::Reason;
use crate::types::client::{AuthMethod, Client, ClientId};
use crate::types::policy::{CLOCK_SKEW, MAX_ASSERTION_TTL};
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

/// The one assertion type there is (RFC 7523 §2.2).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a client presented.
#[derive(Clone, Debug)]
pub enum Presented {
    /// Only its name.
    Nothing(ClientId),
    /// HTTP Basic: the pairs it may mean, as sent and form-decoded (RFC 6749 §2.3.1 wants encoding, real clients
    /// differ).
    Basic(Vec<(ClientId, String)>),
    /// A secret in the form.
    Post(ClientId, String),
    /// A signed assertion; the client may be named besides.
    Assertion {
        /// The `client_id` parameter.
        named: Option<ClientId>,
        /// The JWT.
        jwt: String,
    },
}

impl Presented {
    /// Reads header and form.
    ///
    /// # Errors
    /// No client, several credentials, or a header that cannot be read.
    pub fn read(authorization: Option<&str>, params: &Params) -> Result<Self, Reason> {
        let named = match params.value("client_id")? {
            Some(text) => Some(ClientId::parse(text).ok_or(Reason::UnknownClient)?),
            None => None,
        };
        let secret = params.value("client_secret")?;
        let assertion = params.value("client_assertion")?;
        let assertion_type = params.value("client_assertion_type")?;
        let header = authorization.map(basic).transpose()?;
        if [header.is_some(), secret.is_some(), assertion.is_some()].iter().filter(|used| **used).count() > 1
        {
            return Err(Reason::SeveralCredentials);
        }
        if let Some(pairs) = header {
            if named.as_ref().is_some_and(|named| pairs.iter().all(|(id, _)| id != named)) {
                return Err(Reason::SeveralCredentials);
            }
            return Ok(Self::Basic(pairs));
        }
        match (assertion, assertion_type) {
            (Some(jwt), Some(JWT_BEARER)) => return Ok(Self::Assertion { named, jwt: jwt.to_owned() }),
            (Some(_), _) => {
                return Err(Reason::BadParameter("client_assertion_type", format!("must be {JWT_BEARER}")));
            }
            (None, Some(_)) => return Err(Reason::MissingParameter("client_assertion")),
            (None, None) => {}
        }
        match (named, secret) {
            (Some(id), Some(secret)) => Ok(Self::Post(id, secret.to_owned())),
            (Some(id), None) => Ok(Self::Nothing(id)),
            (None, _) => Err(Reason::NoClient),
        }
    }

    /// The client ids it may mean, likeliest first. For an assertion without `client_id`, its unverified `sub`.
    #[must_use]
    pub fn candidates(&self, assertion_subject: Option<&str>) -> Vec<ClientId> {
        match self {
            Self::Nothing(id) | Self::Post(id, _) => vec![id.clone()],
            Self::Basic(pairs) => {
                let mut ids: Vec<ClientId> = Vec::new();
                for (id, _) in pairs {
                    if !ids.contains(id) {
                        ids.push(id.clone());
                    }
                }
                ids
            }
            Self::Assertion { named, .. } => {
                named.clone().or_else(|| assertion_subject.and_then(ClientId::parse)).into_iter().collect()
            }
        }
    }
}

/// What remains to be proven after the first look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is this client.
    Proven,
    /// Verify the assertion's signature with the client's keys, then call [`check_assertion`].
    NeedsAssertion,
}

/// Whether what was presented proves this client. The registered method is enforced; the two ways to send a secret
/// count as one (RFC 6749 §2.3.1 obliges us to take Basic from any client that holds a secret).
///
/// # Errors
/// A disabled client, another method, a wrong secret.
pub fn check(client: &Client, presented: &Presented) -> Result<Verdict, Reason> {
    if client.disabled_at.is_some() {
        return Err(Reason::DisabledClient);
    }
    let method = client.auth_method();
    let wrong_method = || Err(Reason::WrongAuthMethod(method.as_str()));
    match presented {
        Presented::Nothing(_) if method == AuthMethod::None => Ok(Verdict::Proven),
        Presented::Nothing(_) => wrong_method(),
        Presented::Assertion { .. } if method == AuthMethod::PrivateKeyJwt => Ok(Verdict::NeedsAssertion),
        Presented::Assertion { .. } => wrong_method(),
        Presented::Basic(_) | Presented::Post(..) if !method.uses_secret() => wrong_method(),
        Presented::Basic(pairs) => {
            let proven = pairs
                .iter()
                .any(|(id, secret)| *id == client.id && secret_fits(client.secret_digest.as_ref(), secret));
            if proven { Ok(Verdict::Proven) } else { Err(Reason::WrongSecret) }
        }
        Presented::Post(_, secret) if secret_fits(client.secret_digest.as_ref(), secret) => {
            Ok(Verdict::Proven)
        }
        Presented::Post(..) => Err(Reason::WrongSecret),
    }
}

fn secret_fits(digest: Option<&TokenDigest>, secret: &str) -> bool {
    digest.is_some_and(|digest| digest.matches(secret))
}

/// The claims of an assertion whose signature has been verified (RFC 7523 §3).
#[derive(Clone, Debug)]
pub struct AssertionClaims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is about.
    pub sub: String,
    /// For whom it is.
    pub aud: Vec<String>,
    /// When it ends.
    pub exp: Timestamp,
    /// When it was issued.
    pub iat: Option<Timestamp>,
    /// From when it holds.
    pub nbf: Option<Timestamp>,
    /// Its unique id.
    pub jti: String,
}

/// Judges a verified assertion and returns until when its `jti` has to be remembered.
///
/// # Errors
/// Which rule of RFC 7523 §3 it breaks.
pub fn check_assertion(
    client: &Client,
    claims: &AssertionClaims,
    audiences: &[String],
    now: Timestamp,
) -> Result<Timestamp, Reason> {
    let refuse = |what: &str| Err(Reason::BadAssertion(what.to_owned()));
    if claims.iss != client.id.as_str() || claims.sub != client.id.as_str() {
        return refuse("iss and sub must both be the client_id");
    }
    if !matches!(claims.aud.as_slice(), [only] if audiences.contains(only)) {
        return refuse("aud must be the issuer or the token endpoint, and nothing else");
    }
    if claims.exp.plus(CLOCK_SKEW) <= now {
        return refuse("it has expired");
    }
    if claims.exp > now.plus(MAX_ASSERTION_TTL) {
        return refuse("it is valid for more than an hour");
    }
    if claims.nbf.is_some_and(|nbf| nbf > now.plus(CLOCK_SKEW))
        || claims.iat.is_some_and(|iat| iat > now.plus(CLOCK_SKEW))
    {
        return refuse("it is not valid yet");
    }
    if claims.jti.is_empty() || claims.jti.len() > 1_024 {
        return refuse("it needs a jti of at most 1024 characters");
    }
    Ok(claims.exp.plus(CLOCK_SKEW))
}

/// Under which digest an assertion is remembered.
#[must_use]
pub fn replay_key(client: &ClientId, jti: &str) -> TokenDigest {
    TokenDigest::of(&format!("{}\n{jti}", client.as_str()))
}

/// The `client_id` and secret pairs of a Basic header.
fn basic(header: &str) -> Result<Vec<(ClientId, String)>, Reason> {
    let malformed = || Reason::MalformedAuthorization;
    let (scheme, value) = header.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed());
    }
    let decoded = STANDARD.decode(value.trim()).map_err(|_| malformed())?;
    let text = String::from_utf8(decoded).map_err(|_| malformed())?;
    let (id, secret) = text.split_once(':').ok_or_else(malformed)?;
    let mut pairs = Vec::new();
    for (id, secret) in [(id.to_owned(), secret.to_owned()), (form_decoded(id), form_decoded(secret))] {
        let Some(id) = ClientId::parse(&id).filter(|_| !secret.is_empty()) else { continue };
        if !pairs.contains(&(id.clone(), secret.clone())) {
            pairs.push((id, secret));
        }
    }
    if pairs.is_empty() { Err(malformed()) } else { Ok(pairs) }
}

fn form_decoded(text: &str) -> String {
    url::form_urlencoded::parse(format!("x={}", text.replace('&', "%26")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
