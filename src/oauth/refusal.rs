//! Why a request is refused: a closed set of reasons with one map to the wire. The log and the metrics see the
//! reason; the client sees the RFC's code and a sentence that helps.

/// The error codes of the RFCs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// RFC 6749 §4.1.2.1, §5.2.
    InvalidRequest,
    /// RFC 6749 §5.2; 401.
    InvalidClient,
    /// RFC 6749 §5.2.
    InvalidGrant,
    /// RFC 6749 §4.1.2.1, §5.2.
    UnauthorizedClient,
    /// RFC 6749 §5.2.
    UnsupportedGrantType,
    /// RFC 6749 §4.1.2.1.
    UnsupportedResponseType,
    /// RFC 6749 §4.1.2.1, §5.2.
    InvalidScope,
    /// RFC 8707 §2.
    InvalidTarget,
    /// RFC 6749 §4.1.2.1.
    AccessDenied,
    /// OpenID Connect Core §3.1.2.6.
    LoginRequired,
    /// OpenID Connect Core §3.1.2.6.
    ConsentRequired,
    /// RFC 9470 §5.
    UnmetAuthenticationRequirements,
    /// RFC 7009 §2.2.1.
    UnsupportedTokenType,
    /// RFC 6749 §4.1.2.1 `access_denied` at the token endpoint; 403.
    AccessStopped,
}

impl Code {
    /// The code on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::AccessDenied | Self::AccessStopped => "access_denied",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::UnsupportedTokenType => "unsupported_token_type",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident $(($($field:ident: $type:ty),+))? = $log:literal, $code:ident, $text:expr;)*) => {
        /// Why a request is refused.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Reason { $($(#[doc = $doc])+ $name $(($($type),+))?,)* }

        impl Reason {
            /// Its name in the log and the metrics.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                #[expect(unused_variables, reason = "one macro arm serves reasons with and without fields")]
                match self { $(Self::$name $(($($field),+))? => $log,)* }
            }

            /// Its code on the wire.
            #[must_use]
            pub const fn code(&self) -> Code {
                #[expect(unused_variables, reason = "one macro arm serves reasons with and without fields")]
                match self { $(Self::$name $(($($field),+))? => Code::$code,)* }
            }

            /// A sentence for the developer of the client (`error_description`, RFC 6749 §5.2).
            #[must_use]
            pub fn description(&self) -> String {
                match self { $(Self::$name $(($($field),+))? => $text.to_string(),)* }
            }
        }
    };
}

reasons! {
    /// The request cannot be read.
    MalformedRequest(what: &'static str) = "malformed_request", InvalidRequest, format!("The request cannot be read: {what}.");
    /// A parameter came more than once.
    RepeatedParameter(name: String) = "repeated_parameter", InvalidRequest, format!("The parameter {name:?} came more than once.");
    /// A parameter is missing.
    MissingParameter(name: &'static str) = "missing_parameter", InvalidRequest, format!("The parameter {name:?} is missing.");
    /// A parameter has a value that means nothing here.
    BadParameter(name: &'static str, what: String) = "bad_parameter", InvalidRequest, format!("The parameter {name:?} {what}.");
    /// The body of a form has another type.
    WrongContentType = "wrong_content_type", InvalidRequest, "The body must be application/x-www-form-urlencoded.";
    /// A client proved itself in more than one way (RFC 6749 §2.3).
    SeveralCredentials = "several_credentials", InvalidRequest, "The client authenticates in more than one way; use one.";
    /// No client is named.
    NoClient = "no_client", InvalidClient, "No client is named: send client_id, HTTP Basic credentials or a client assertion.";
    /// The client is not known.
    UnknownClient = "unknown_client", InvalidClient, "This client is not registered here (any more); register again.";
    /// The client is switched off.
    DisabledClient = "disabled_client", InvalidClient, "An administrator has switched this client off.";
    /// The client must authenticate in another way.
    WrongAuthMethod(method: &'static str) = "wrong_auth_method", InvalidClient, format!("This client must authenticate with {method}.");
    /// The secret is wrong.
    WrongSecret = "wrong_secret", InvalidClient, "The client secret is wrong.";
    /// The Authorization header cannot be read.
    MalformedAuthorization = "malformed_authorization", InvalidClient, "The Authorization header is not well-formed HTTP Basic.";
    /// The client assertion is refused.
    BadAssertion(what: String) = "bad_assertion", InvalidClient, format!("The client assertion is refused: {what}.");
    /// The client assertion was used before.
    ReplayedAssertion = "replayed_assertion", InvalidClient, "The client assertion is refused: its jti was used before.";
    /// The keys of the client cannot be had.
    NoClientKeys = "no_client_keys", InvalidClient, "The client's keys could not be read from its jwks_uri.";
    /// The metadata document cannot be had at the moment and there is no earlier copy.
    DocumentUnreachable(what: String) = "document_unreachable", InvalidClient, format!("The client's metadata document cannot be read at the moment: {what}.");
    /// Too many clients that were never seen before come from this network.
    TooManyNewClients = "too_many_new_clients", InvalidRequest, "Too many new clients come from this network; try again in a minute.";
    /// The metadata document is refused and there is no earlier copy.
    DocumentUnavailable(what: String) = "document_unavailable", InvalidClient, format!("The client's metadata document is refused: {what}.");
    /// The client may not use this grant type.
    GrantTypeNotAllowed(grant: &'static str) = "grant_type_not_allowed", UnauthorizedClient, format!("This client is not registered for the grant type {grant}.");
    /// The client registered itself and wants tokens for itself, which nobody has allowed.
    NotVouchedFor = "not_vouched_for", UnauthorizedClient, "A client that registered itself gets no tokens of its own (client_credentials) unless a resource's rule names it; ask the administrator to name it or to add a client.";
    /// The grant type does not exist here.
    UnsupportedGrantType = "unsupported_grant_type", UnsupportedGrantType, "This grant type is not supported; see grant_types_supported in the metadata.";
    /// The response type does not exist here.
    UnsupportedResponseType = "unsupported_response_type", UnsupportedResponseType, "Only response_type=code is supported.";
    /// The redirect URI is missing and cannot be told.
    NoRedirectUri = "no_redirect_uri", InvalidRequest, "The parameter \"redirect_uri\" is missing.";
    /// The redirect URI is not registered.
    UnregisteredRedirectUri = "unregistered_redirect_uri", InvalidRequest, "The redirect URI is not registered for this client.";
    /// There is no PKCE challenge.
    NoChallenge = "no_code_challenge", InvalidRequest, "PKCE is required: send code_challenge and code_challenge_method=S256.";
    /// The PKCE method is not S256.
    ChallengeMethod = "code_challenge_method", InvalidRequest, "PKCE must use code_challenge_method=S256.";
    /// The PKCE challenge is not a SHA-256 value.
    BadChallenge = "bad_code_challenge", InvalidRequest, "The code_challenge is not the base64url form of a SHA-256 value.";
    /// A resource is not known or not open to this client.
    UnknownResource(uri: String) = "unknown_resource", InvalidTarget, format!("The resource {uri:?} is not known here or not open to this client.");
    /// No resource is named and none is the default.
    NoResource = "no_resource", InvalidTarget, "The parameter \"resource\" is missing and no resource is the default: name the URL of the MCP server.";
    /// Several resources were authorised and the request does not say which one is meant.
    AmbiguousResource = "ambiguous_resource", InvalidTarget, "Several resources were authorised: name one with the parameter \"resource\".";
    /// The resource was not granted.
    ResourceNotGranted = "resource_not_granted", InvalidTarget, "This resource was not granted.";
    /// A scope is not well-formed.
    MalformedScope = "malformed_scope", InvalidScope, "The scope is not well-formed (RFC 6749 section 3.3).";
    /// Nothing of what was asked for can be granted.
    NoScopeLeft = "no_scope_left", InvalidScope, "None of the requested scopes can be granted at this resource.";
    /// The person said no.
    Denied = "denied", AccessDenied, "The person denied access.";
    /// Nobody is signed in and no page may be shown.
    LoginRequired = "login_required", LoginRequired, "Nobody is signed in (prompt=none).";
    /// A page would have to be shown and may not.
    ConsentRequired = "consent_required", ConsentRequired, "The person has to approve (prompt=none).";
    /// The sign-in is worth less than is asked for, and the person cannot or does not want to make it more.
    UnmetAuthentication = "unmet_authentication", UnmetAuthenticationRequirements, "The person has not signed in as strongly as is asked for; see acr_values_supported in the metadata.";
    /// The code is unknown, expired, or another client's.
    BadCode = "bad_code", InvalidGrant, "The authorization code is unknown, expired, or was issued to another client.";
    /// The code was redeemed before.
    ReplayedCode = "replayed_code", InvalidGrant, "The authorization code was used before; the tokens it gave are revoked.";
    /// The redirect URI of the token request differs.
    RedirectUriDiffers = "redirect_uri_differs", InvalidGrant, "The redirect_uri differs from the one of the authorization request.";
    /// The PKCE verifier is missing (RFC 6749 §5.2; one that does not match is `invalid_grant`, RFC 7636 §4.6).
    NoVerifier = "no_code_verifier", InvalidRequest, "The parameter \"code_verifier\" is missing.";
    /// The PKCE verifier is wrong.
    WrongVerifier = "wrong_code_verifier", InvalidGrant, "The code_verifier does not match the code_challenge.";
    /// The refresh token is unknown, expired, or another client's.
    BadRefreshToken = "bad_refresh_token", InvalidGrant, "The refresh token is unknown, expired, revoked, or was issued to another client.";
    /// The token that is to be revoked is another client's (RFC 7009 §2.1).
    ForeignToken = "foreign_token", InvalidGrant, "This token was issued to another client, which alone may revoke it.";
    /// The refresh token was used before, where that means theft.
    ReusedRefreshToken = "reused_refresh_token", InvalidGrant, "The refresh token was used before; the grant is revoked, sign in again.";
    /// A cut stops this access for now (DIVERGENCES.md says why this is no `invalid_grant`).
    AccessStopped = "access_stopped", AccessStopped, "This access is stopped for the time being; keep the tokens and try again later.";
    /// The person has to approve again.
    ConsentDue = "consent_due", ConsentRequired, "The person has to approve this access again: send them to the authorization endpoint.";
    /// The person has to sign in again.
    SignInDue = "sign_in_due", LoginRequired, "The person has to sign in again: send them to the authorization endpoint.";
    /// The approval has ended.
    GrantEnded = "grant_ended", InvalidGrant, "The access was taken back or has ended; ask the person again.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_speaks_three_ways() {
        let reason = Reason::MissingParameter("code");
        assert_eq!(reason.name(), "missing_parameter");
        assert_eq!(reason.code().as_str(), "invalid_request");
        assert_eq!(reason.description(), "The parameter \"code\" is missing.");
    }
}
