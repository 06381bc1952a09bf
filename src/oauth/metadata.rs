//! The metadata documents (RFC 8414 §2, OpenID Connect Discovery §3): built from the values that enforcement reads.

use serde_json::{Value, json};

use crate::types::factor::Level;
use crate::types::issuer::Issuer;
use crate::types::key::SigningAlg;
use crate::types::policy::{ASSERTION_ALGS, Policy, RegistrationMode};
use crate::types::resource::Resource;
use crate::types::scope::{OFFLINE_ACCESS, ScopeSet};

/// RFC 8414 §2.
#[must_use]
pub fn authorization_server(policy: &Policy, resources: &[Resource]) -> Value {
    let issuer = &policy.issuer;
    let mut scopes: ScopeSet = [OFFLINE_ACCESS].into_iter().collect();
    for resource in resources {
        scopes = scopes.union(&resource.scope_set());
    }
    let methods: Vec<_> = policy.auth_methods().iter().map(|method| method.as_str()).collect();
    let confidential: Vec<_> = methods.iter().filter(|method| **method != "none").collect();
    let mut document = json!({
        "issuer": issuer.as_str(),
        "authorization_endpoint": issuer.url("/authorize"),
        "token_endpoint": issuer.url("/token"),
        "jwks_uri": issuer.url("/jwks.json"),
        "introspection_endpoint": issuer.url("/introspect"),
        "revocation_endpoint": issuer.url("/revoke"),
        "scopes_supported": scopes.iter().collect::<Vec<_>>(),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": policy.grant_types().iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGS,
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGS,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGS,
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": policy.client_id_metadata_documents,
        "resource_indicators_supported": true,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "acr_values_supported": Level::ALL.map(Level::as_str),
        "ui_locales_supported": ["en"],
        "protected_resources": resources.iter().map(|resource| resource.uri.as_str()).collect::<Vec<_>>(),
        "status_list_aggregation_endpoint": issuer.url("/status-lists"),
    });
    if policy.registration_mode != RegistrationMode::Closed {
        put(&mut document, "registration_endpoint", issuer.url("/register").into());
    }
    document
}

/// What whoever receives shared signals is told of us (OpenID Shared Signals Framework 1.0 §7.1). Receivers are added by an
/// administrator, so no endpoint is named at which they could manage a stream.
#[must_use]
pub fn signals(issuer: &Issuer) -> Value {
    json!({
        "spec_version": "1_0",
        "issuer": issuer.as_str(),
        "jwks_uri": issuer.url("/jwks.json"),
        "delivery_methods_supported": ["urn:ietf:rfc:8935"],
        "default_subjects": "ALL",
    })
}

/// OpenID Connect Discovery §3: the same, plus what its schema requires. Clients that ask at this place validate the
/// document against that schema, though no ID token is issued to MCP clients.
#[must_use]
pub fn openid_configuration(policy: &Policy, resources: &[Resource]) -> Value {
    let mut document = authorization_server(policy, resources);
    put(&mut document, "subject_types_supported", json!(["public"]));
    let algs: Vec<_> = SigningAlg::ALL.iter().map(|alg| alg.as_str()).collect();
    put(&mut document, "id_token_signing_alg_values_supported", json!(algs));
    document
}

fn put(document: &mut Value, member: &str, value: Value) {
    if let Value::Object(members) = document {
        members.insert(member.to_owned(), value);
    }
}
