//! Audit events: who did what, through which client, from where, and how it was decided.

use serde::{Deserialize, Serialize};

use super::audit_chain::SALT;
use super::client::ClientId;
use super::id::{AuditId, GrantId, ResourceId, UserId};
use super::time::Timestamp;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What happened. A closed set, so that a reader of the log can rely on the names.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
        pub enum AuditKind { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl AuditKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in the log.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The inverse of [`AuditKind::as_str`].
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

events! {
    /// A person signed in.
    LoginSucceeded = "login.succeeded",
    /// A sign-in was refused.
    LoginFailed = "login.failed",
    /// A sign-in was not tried because of earlier failures.
    LoginThrottled = "login.throttled",
    /// A person signed out.
    LoggedOut = "login.ended",
    /// The first administrator was made.
    SetupCompleted = "setup.completed",
    /// A person was added.
    UserAdded = "user.added",
    /// A person was switched off.
    UserDisabled = "user.disabled",
    /// A person was switched on again.
    UserEnabled = "user.enabled",
    /// A password was set.
    UserPasswordSet = "user.password_set",
    /// A role was set.
    UserRoleSet = "user.role_set",
    /// The groups of a person were set.
    UserGroupsSet = "user.groups_set",
    /// Whether a person has to sign in with a second factor was set.
    UserSecondFactorRule = "user.second_factor_rule",
    /// A person proved who they are and has yet to show a second factor.
    LoginHalfway = "login.halfway",
    /// A second factor was refused.
    SecondFactorFailed = "second_factor.failed",
    /// A person signed out other browsers of theirs.
    SessionsEnded = "session.ended",
    /// A person changed their password.
    PasswordChanged = "password.changed",
    /// A mail could not be delivered in time.
    MailGivenUp = "mail.given_up",
    /// An authenticator app was added.
    AuthenticatorAdded = "authenticator.added",
    /// An authenticator app was removed.
    AuthenticatorRemoved = "authenticator.removed",
    /// Recovery codes were made; those of before no longer work.
    RecoveryCodesMade = "recovery_codes.made",
    /// A recovery code was used up.
    RecoveryCodeUsed = "recovery_codes.used",
    /// A passkey was added.
    PasskeyAdded = "passkey.added",
    /// A passkey was removed.
    PasskeyRemoved = "passkey.removed",
    /// A passkey's counter did not grow, as that of a copy would; the sign-in was refused.
    PasskeyCounter = "passkey.counter",
    /// A person took permissions back from an app that keeps others.
    GrantNarrowed = "grant.narrowed",
    /// A person downloaded what is known of them.
    DataExported = "data.exported",
    /// A person allowed access.
    ConsentAllowed = "consent.allowed",
    /// A person refused access.
    ConsentDenied = "consent.denied",
    /// An authorization code was issued.
    CodeIssued = "code.issued",
    /// An authorization code was presented again; what it had given was revoked.
    CodeReplayed = "code.replayed",
    /// Tokens were issued.
    TokenIssued = "token.issued",
    /// A used refresh token came again and was answered with the same successor; `cause` says why.
    RefreshRepeated = "refresh.repeated",
    /// A used refresh token came again where that means theft; the grant was revoked.
    RefreshReused = "refresh.reused",
    /// Tokens came to a server that they are not for; `detail` says how often since the last such record.
    TokenMisdirected = "token.misdirected",
    /// An approval was used from another network than the time before.
    GrantMoved = "grant.moved",
    /// An approval was used after a long time without use.
    GrantAwoke = "grant.awoke",
    /// An approval was used much; `detail` says how often within how many seconds.
    GrantBusy = "grant.busy",
    /// A token was revoked.
    TokenRevoked = "token.revoked",
    /// A grant was revoked.
    GrantRevoked = "grant.revoked",
    /// Access was cut; `detail` names target, kind, reason and what it hit.
    AccessCut = "access.cut",
    /// A program was allowed to cut access by a signed message.
    CutHookAdded = "cut_hook.added",
    /// It no longer is.
    CutHookRemoved = "cut_hook.removed",
    /// A message whose signature does not fit.
    CutHookRefused = "cut_hook.refused",
    /// A detector found something; `detail` says what.
    AlertRaised = "alert.raised",
    /// Somebody took note of an alert.
    AlertAcknowledged = "alert.acknowledged",
    /// The rule of a detector was set.
    DetectorSet = "detector.set",
    /// A cut was undone.
    AccessCutUndone = "access.cut_undone",
    /// A revocation that was too large for one moment, or whose window is over, has been carried out.
    AccessCutApplied = "access.cut_applied",
    /// A person left: everything of theirs was ended.
    UserOffboarded = "user.offboarded",
    /// What was known of a person was erased; `detail` says how much.
    UserErased = "user.erased",
    /// A list of the console was exported.
    ListExported = "list.exported",
    /// A bundle of evidence was made.
    EvidenceExported = "evidence.exported",
    /// A client registered itself.
    ClientRegistered = "client.registered",
    /// A client was added by an administrator.
    ClientAdded = "client.added",
    /// A client's registration changed.
    ClientUpdated = "client.updated",
    /// A client was switched off.
    ClientDisabled = "client.disabled",
    /// A client was switched on again.
    ClientEnabled = "client.enabled",
    /// A client was removed.
    ClientRemoved = "client.removed",
    /// Nothing was heard of a person or a client for so long that they will be switched off.
    InactivityWarned = "inactivity.warned",
    /// A client's metadata document was read for the first time, or has changed.
    ClientDocumentChanged = "client.document_changed",
    /// A client failed to prove itself.
    ClientAuthenticationFailed = "client.authentication_failed",
    /// An MCP server was added.
    ResourceAdded = "resource.added",
    /// Who may be granted what at an MCP server was changed.
    ResourceRolesSet = "resource.roles_set",
    /// The settings of an MCP server were changed.
    ResourceChanged = "resource.changed",
    /// An MCP server was removed.
    ResourceRemoved = "resource.removed",
    /// Somebody with a token for the admin API asked for more than they may.
    AdminApiRefused = "admin_api.refused",
    /// An identity provider was added.
    ProviderAdded = "identity_provider.added",
    /// An identity provider was removed, and every link to it.
    ProviderRemoved = "identity_provider.removed",
    /// An identity provider was switched off.
    ProviderDisabled = "identity_provider.disabled",
    /// An identity provider was switched on again.
    ProviderEnabled = "identity_provider.enabled",
    /// What is decided about an identity provider was changed.
    ProviderChanged = "identity_provider.changed",
    /// A person was linked to who they are at an identity provider.
    IdentityLinked = "identity.linked",
    /// Such a link was taken away.
    IdentityUnlinked = "identity.unlinked",
    /// A sign-in that came back from an identity provider was refused; `reason` says why.
    IdentityRefused = "identity.refused",
    /// An identity provider does not know somebody any more; their sign-ins and tokens ended.
    IdentityEnded = "identity.ended",
    /// A token for a client without OAuth was made.
    GrantTokenMade = "grant_token.made",
    /// A call that may change something is about to be forwarded to a server behind the gateway.
    CallBegun = "call.begun",
    /// A call through the gateway is over; `outcome` says how.
    CallEnded = "call.ended",
    /// A call was refused by the gateway; `rule` says by what.
    CallRefused = "call.refused",
    /// Tools of a server behind the gateway were seen for the first time and pinned.
    ToolsPinned = "tool.pinned",
    /// Tools are new without a class, or have changed: nobody calls them until an administrator has looked.
    ToolsQuarantined = "tool.quarantined",
    /// An administrator approved a tool as it is, or set its class.
    ToolApproved = "tool.approved",
    /// An administrator closed a tool.
    ToolBlocked = "tool.blocked",
    /// A link to set a new password was mailed to a person who had asked for it, or somebody in their name.
    PasswordResetAsked = "password.reset_asked",
    /// A person set a new password with a mailed link.
    PasswordReset = "password.reset",
    /// A person asked to move their account to another address.
    EmailChangeAsked = "email.change_asked",
    /// The address of an account changed.
    EmailChanged = "email.changed",
    /// A change of address was taken back from the address of before.
    EmailChangeUndone = "email.change_undone",
    /// Somebody was invited.
    InvitationMade = "invitation.made",
    /// An invitation was taken back.
    InvitationRevoked = "invitation.revoked",
    /// An invitation was accepted; there is a person now.
    InvitationAccepted = "invitation.accepted",
    /// A rule about calls was made.
    CallRuleMade = "call_rule.made",
    /// A rule about calls was removed.
    CallRuleRemoved = "call_rule.removed",
    /// The Cedar policies of a server were set.
    CedarSet = "cedar.set",
    /// They were removed.
    CedarRemoved = "cedar.removed",
    /// A call waits for somebody to allow it.
    CallApprovalAsked = "call_approval.asked",
    /// Somebody allowed one call.
    CallApprovalGiven = "call_approval.given",
    /// Somebody refused one call.
    CallApprovalRefused = "call_approval.refused",
    /// A call that was allowed is about to be forwarded; it cannot be made a second time.
    CallApprovalUsed = "call_approval.used",
    /// What the gateway shows to a server behind it was set.
    UpstreamCredentialSet = "upstream_credential.set",
    /// It was cleared.
    UpstreamCredentialCleared = "upstream_credential.cleared",
    /// What the gateway shows to a server behind it in TLS, or whom it trusts there, was set.
    UpstreamTlsSet = "upstream_tls.set",
    /// It was cleared.
    UpstreamTlsCleared = "upstream_tls.cleared",
    /// The way to credentials of each person's own at a server behind the gateway was set.
    UpstreamAuthSet = "upstream_auth.set",
    /// It was forgotten.
    UpstreamAuthCleared = "upstream_auth.cleared",
    /// A person allowed the gateway to use a server in their name.
    UpstreamConnected = "upstream.connected",
    /// What they were given there was forgotten here.
    UpstreamDisconnected = "upstream.disconnected",
    /// The other side knows nothing of it any more.
    UpstreamConnectionEnded = "upstream.connection_ended",
    /// What was forgotten here is revoked there, too (RFC 7009).
    UpstreamRevoked = "upstream.revoked",
    /// It could not be revoked there.
    UpstreamRevocationGivenUp = "upstream.revocation_given_up",
    /// Signing keys were rotated.
    KeyRotated = "key.rotated",
    /// The root keys were sealed under another master key, too, and a new root key was made.
    MasterKeyRotationBegun = "master_key.rotation_begun",
    /// A new root key seals from now on.
    RootKeyBegun = "root_key.begun",
    /// What was sealed under an older root key was sealed anew; `detail` says how much of what.
    MasterKeyResealed = "master_key.resealed",
    /// A master key and the root keys before the newest were forgotten.
    MasterKeyRetired = "master_key.retired",
    /// An initial access token was made.
    InitialAccessTokenAdded = "initial_access_token.added",
    /// An initial access token was removed.
    InitialAccessTokenRemoved = "initial_access_token.removed",
    /// A webhook, a receiver of shared signals or a stream of this log was added.
    EndpointAdded = "endpoint.added",
    /// One of them was removed.
    EndpointRemoved = "endpoint.removed",
    /// One of them got a new signing secret.
    EndpointSecretRotated = "endpoint.secret_rotated",
    /// One of them was switched off because it took nothing for days, or said that it is gone.
    EndpointDisabled = "endpoint.disabled",
    /// One of them was switched on again.
    EndpointEnabled = "endpoint.enabled",
    /// Records were removed by retention before a stream had taken them.
    StreamGap = "audit_stream.gap",
}

/// One record of the audit log.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// Its id.
    pub id: AuditId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: AuditKind,
    /// The person concerned.
    pub user_id: Option<UserId>,
    /// The client concerned.
    pub client_id: Option<ClientId>,
    /// The grant concerned.
    pub grant_id: Option<GrantId>,
    /// The resource concerned.
    pub resource_id: Option<ResourceId>,
    /// The network address it came from; absent for the command line.
    pub address: Option<String>,
    /// The request it belongs to, as in the log.
    pub request_id: Option<String>,
    /// What else there is to say; never a secret.
    pub detail: serde_json::Value,
    /// Who did it, where that is somebody else than the person concerned. Becomes the member `by` of the detail when the
    /// record is appended; nothing in a record that was read.
    pub by: Option<String>,
    /// Randomness for the commitment to address and detail; nothing in a record that was read.
    pub salt: [u8; SALT],
}
