//! Redeeming an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.6): the ordered checks.

use super::params::Params;
use super::refusal::Reason;
use super::scopes;
use crate::types::client::{Client, GrantType};
use crate::types::grant::{AuthorizationCode, GrantedResource};
use crate::types::resource_uri::ResourceUri;
use crate::types::scope::ScopeSet;
use crate::types::time::Timestamp;

/// What a token request may have: one resource, and scopes there.
#[derive(Clone, Debug)]
pub struct Redeemed {
    /// The resource, with the grant it rests on.
    pub resource: GrantedResource,
    /// The scopes of this access token.
    pub scopes: ScopeSet,
}

/// How a redemption fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CodeRefusal {
    /// Nothing else happens.
    Plain(Reason),
    /// What the first redemption gave is revoked (RFC 6749 §4.1.2, §10.5).
    Replay,
}

/// Judges a code that was looked up by its digest. `uris` pairs each granted resource with its registered URI.
///
/// # Errors
/// The first rule that is broken. A client that does not own the code learns nothing and harms nobody; the owner
/// that presents it twice loses what it gave.
pub fn redeem(
    record: Option<&AuthorizationCode>,
    client: &Client,
    params: &Params,
    uris: &[(GrantedResource, ResourceUri)],
    now: Timestamp,
) -> Result<Redeemed, CodeRefusal> {
    let plain = CodeRefusal::Plain;
    if !client.may(GrantType::AuthorizationCode) {
        return Err(plain(Reason::GrantTypeNotAllowed(GrantType::AuthorizationCode.as_str())));
    }
    let record = record.filter(|code| code.client_id == client.id).ok_or(plain(Reason::BadCode))?;
    if record.consumed_at.is_some() {
        return Err(CodeRefusal::Replay);
    }
    if now >= record.expires_at {
        return Err(plain(Reason::BadCode));
    }
    redirect_uri(record, params).map_err(plain)?;
    verifier(record, params).map_err(plain)?;
    let resource = choose(params, uris).map_err(plain)?;
    let scopes = scopes::narrow(params.value("scope").map_err(plain)?, &resource.scopes).map_err(plain)?;
    Ok(Redeemed { resource, scopes })
}

/// OAuth 2.1 §4.1.3 no longer requires it; when it is sent it is the one of the request, byte for byte.
fn redirect_uri(record: &AuthorizationCode, params: &Params) -> Result<(), Reason> {
    match params.value("redirect_uri")? {
        Some(uri) if uri != record.redirect_uri => Err(Reason::RedirectUriDiffers),
        _ => Ok(()),
    }
}

/// RFC 7636 §4.6. There is no code without a challenge here, so a verifier is always due.
fn verifier(record: &AuthorizationCode, params: &Params) -> Result<(), Reason> {
    let verifier = params.value("code_verifier")?.ok_or(Reason::NoVerifier)?;
    if record.code_challenge.is_met_by(verifier) { Ok(()) } else { Err(Reason::WrongVerifier) }
}

/// RFC 8707 §2.2: one of the granted resources; an access token names exactly one.
///
/// # Errors
/// Not granted, several in the request, or several granted and none named.
pub fn choose(params: &Params, uris: &[(GrantedResource, ResourceUri)]) -> Result<GrantedResource, Reason> {
    let named = params.resources()?;
    match (named.as_slice(), uris) {
        // With nothing left to choose from, the access itself has ended, whatever is named.
        (_, []) => Err(Reason::GrantEnded),
        ([], [(only, _)]) => Ok(only.clone()),
        ([], _) => Err(Reason::AmbiguousResource),
        ([uri], _) => {
            let found = uris.iter().find(|(_, known)| known.is_meant_by(uri));
            found.map(|(granted, _)| granted.clone()).ok_or(Reason::ResourceNotGranted)
        }
        _ => Err(Reason::AmbiguousResource),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::id::{GrantId, ResourceId};
    use crate::types::random::SeededRng;

    fn granted(uri: &str) -> (GrantedResource, ResourceUri) {
        let (rng, at) = (SeededRng::new(3), Timestamp::from_seconds(1_800_000_000));
        let granted = GrantedResource {
            resource_id: ResourceId::new(at, &rng),
            grant_id: GrantId::new(at, &rng),
            scopes: ScopeSet::default(),
        };
        (granted, ResourceUri::parse(uri).unwrap())
    }

    #[test]
    fn which_resource_a_token_is_for() {
        let (a, b) = (granted("https://a.example/mcp"), granted("https://b.example/mcp"));
        let choice = |query: &str, uris: &[_]| choose(&Params::parse(&[query.as_bytes()]).unwrap(), uris);
        assert_eq!(choice("", std::slice::from_ref(&a)), Ok(a.0.clone()));
        assert_eq!(choice("resource=HTTPS://A.example:443/mcp/", std::slice::from_ref(&a)), Ok(a.0.clone()));
        let both = [a, b];
        assert_eq!(choice("resource=https://b.example/mcp", &both), Ok(both[1].0.clone()));
        assert_eq!(choice("", &both), Err(Reason::AmbiguousResource));
        assert_eq!(choice("resource=https://c.example", &both), Err(Reason::ResourceNotGranted));
        for query in [
            "",
            "resource=https://a.example/mcp",
            "resource=https://a.example/mcp&resource=https://b.example",
        ] {
            assert_eq!(choice(query, &[]), Err(Reason::GrantEnded), "{query}");
        }
    }
}
