//! Finding a client and letting it prove itself (RFC 6749 §2.3).

use serde_json::Value;

use super::core::{Caller, Core};
use super::documents;
use super::failure::{Failure, Fault};
use crate::crypto::assertion;
use crate::oauth::client_auth::{AssertionClaims, Presented, Verdict, check, check_assertion, replay_key};
use crate::oauth::refusal::Reason;
use crate::storage::{StoreError, Tx, assertions, audit, clients};
use crate::types::audit::AuditKind;
use crate::types::client::{Client, ClientKind};
use crate::types::policy::ASSERTION_ALGS;
use crate::types::time::Timestamp;

/// Lets a client prove itself.
///
/// # Errors
/// `invalid_client` for whatever reason, or a fault.
pub async fn authenticate(
    core: &Core,
    caller: &Caller,
    presented: &Presented,
    now: Timestamp,
) -> Result<Client, Failure> {
    authenticate_with(core, caller, presented, now, |_, _| Ok(())).await.map(|(client, ())| client)
}

/// Lets a client prove itself, and reads in the same round trip what the request is about; what is read counts for
/// nothing before the client has proved itself.
///
/// # Errors
/// `invalid_client` for whatever reason, or a fault.
pub async fn authenticate_with<T: Send + 'static>(
    core: &Core,
    caller: &Caller,
    presented: &Presented,
    now: Timestamp,
    also: impl FnOnce(&mut Tx<'_>, Option<&Client>) -> Result<T, StoreError> + Send + 'static,
) -> Result<(Client, T), Failure> {
    let subject = match presented {
        Presented::Assertion { jwt, named } => {
            let peek = assertion::peek(jwt);
            if peek.is_none() && named.is_none() {
                // It names nobody who could be unknown.
                let what = "it is not a JWT that says in \"sub\" which client it is of";
                return Err(Reason::BadAssertion(what.to_owned()).into());
            }
            peek.map(|peek| peek.sub)
        }
        _ => None,
    };
    let candidates = presented.candidates(subject.as_deref());
    let (found, value) = core
        .store
        .lookup(move |tx| {
            let mut found = None;
            for id in &candidates {
                found = clients::find(tx, id)?;
                if found.is_some() {
                    break;
                }
            }
            let value = also(tx, found.as_ref())?;
            Ok((found, value))
        })
        .await?;
    let client = found.ok_or(Reason::UnknownClient)?;
    if client.kind == ClientKind::MetadataDocument && !core.policy.client_id_metadata_documents {
        return Err(Reason::UnknownClient.into());
    }
    let (mut client, mut outcome) = (client.clone(), prove(core, &client, presented, now).await);
    if matches!(outcome, Err(Failure::Refused(_))) && documents::is_due(&client, now) {
        // Its document may have new keys, or another method, since it was read.
        let current = Box::pin(documents::resolve(core, caller, &client.id, now)).await?;
        if current.metadata != client.metadata {
            outcome = prove(core, &current, presented, now).await;
            client = current;
        }
    }
    match outcome {
        Ok(()) => Ok((client, value)),
        Err(Failure::Refused(reason)) => {
            let mut event = core.event(AuditKind::ClientAuthenticationFailed, caller, now);
            event.client_id = Some(client.id.clone());
            event.detail = serde_json::json!({ "reason": reason.name() });
            core.store.write(move |tx| audit::append(tx, &event)).await?;
            Err(reason.into())
        }
        Err(fault) => Err(fault),
    }
}

async fn prove(core: &Core, client: &Client, presented: &Presented, now: Timestamp) -> Result<(), Failure> {
    match check(client, presented)? {
        Verdict::Proven => Ok(()),
        Verdict::NeedsAssertion => {
            let Presented::Assertion { jwt, .. } = presented else {
                return Err(Fault::Bug("an assertion is needed and none was presented").into());
            };
            Box::pin(prove_by_assertion(core, client, jwt, now)).await
        }
    }
}

/// RFC 7523 §3: the signature with the client's own keys, then the claims, then that it was never used before.
async fn prove_by_assertion(core: &Core, client: &Client, jwt: &str, now: Timestamp) -> Result<(), Failure> {
    let refuse = |what: &dyn std::fmt::Display| Reason::BadAssertion(what.to_string());
    let kid = assertion::peek(jwt).and_then(|peek| peek.kid);
    let keys = keys_of(core, client, kid.as_deref(), now).await?;
    let only: Vec<&str> = match client.metadata.token_endpoint_auth_signing_alg.as_deref() {
        Some(alg) => vec![alg],
        None => ASSERTION_ALGS.to_vec(),
    };
    let proven = assertion::verify(jwt, &keys, &only).map_err(|error| refuse(&error))?;
    let claims = AssertionClaims {
        iss: proven.iss,
        sub: proven.sub,
        aud: proven.aud,
        exp: proven.exp,
        iat: proven.iat,
        nbf: proven.nbf,
        jti: proven.jti,
    };
    let audiences = [core.policy.issuer.as_str().to_owned(), core.policy.issuer.url("/token")];
    let remember_until = check_assertion(client, &claims, &audiences, now)?;
    let digest = replay_key(&client.id, &claims.jti);
    let first = core.store.write(move |tx| assertions::remember(tx, &digest, remember_until)).await?;
    if first { Ok(()) } else { Err(Reason::ReplayedAssertion.into()) }
}

async fn keys_of(core: &Core, client: &Client, kid: Option<&str>, now: Timestamp) -> Result<Value, Failure> {
    if let Some(keys) = &client.metadata.jwks {
        return Ok(keys.clone());
    }
    let uri = client.metadata.jwks_uri.as_deref().ok_or(Reason::NoClientKeys)?;
    match core.key_sets.keys(uri, kid, now).await {
        Ok(keys) => Ok(keys.as_ref().clone()),
        Err(error) => {
            tracing::warn!(client_id = %client.id, jwks_uri = uri, %error, "key set not read");
            // On invalid_client clients throw their registration away; for trouble that passes they must not.
            if error.is_temporary() { Err(Fault::Upstream.into()) } else { Err(Reason::NoClientKeys.into()) }
        }
    }
}
