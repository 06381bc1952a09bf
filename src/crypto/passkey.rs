//! Passkeys (WebAuthn): challenges, and what devices answer. User verification is always required, so that a passkey
//! is two factors in one.

use serde::{Deserialize, Serialize};
use webauthn_rs::prelude::{
    DiscoverableAuthentication, DiscoverableKey, Passkey, PasskeyAuthentication, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, Url, Uuid, Webauthn, WebauthnBuilder, WebauthnError,
};

use crate::types::id::UserId;
use crate::types::issuer::Issuer;

/// The relying party; without a domain name in the issuer there are no passkeys.
pub struct Passkeys(Option<Webauthn>);

/// What a device is asked.
pub struct Challenge {
    /// For the browser, as JSON.
    pub options: String,
    /// What verifying the answer needs.
    pub state: State,
}

/// What verifying an answer needs; it stays with the server.
#[derive(Serialize, Deserialize)]
pub enum State {
    /// A passkey is being made.
    New(Box<PasskeyRegistration>),
    /// Any passkey of anybody.
    Anyone(Box<DiscoverableAuthentication>),
    /// One of these passkeys.
    Known(Box<PasskeyAuthentication>),
}

/// A passkey that was made.
pub struct Made {
    /// Its name on the wire.
    pub credential_id: Vec<u8>,
    /// Public key, counter and the rest, as JSON.
    pub credential: String,
}

/// What an answer proves.
pub enum Proof {
    /// The passkey is there, and so is its user; what to store anew, when something has changed.
    Holds(Option<String>),
    /// Its counter did not grow: there may be a copy.
    Copied,
    /// Nothing.
    Nothing,
}

impl Passkeys {
    /// For this issuer.
    #[must_use]
    pub fn new(issuer: &Issuer) -> Self {
        let made = Url::parse(issuer.origin()).ok().and_then(|origin| {
            let domain = origin.domain()?.to_owned();
            WebauthnBuilder::new(&domain, &origin).ok()?.build().ok()
        });
        Self(made)
    }

    /// Whether they can be used at this address.
    #[must_use]
    pub const fn work(&self) -> bool {
        self.0.is_some()
    }

    /// Asks for a new passkey, kept on the device under the person's name; `known` are those they have.
    #[must_use]
    pub fn ask_for_new(&self, user: UserId, email: &str, name: &str, known: &[String]) -> Option<Challenge> {
        let id = Uuid::parse_str(&user.to_string()).ok()?;
        let known = read(known).iter().map(|passkey| passkey.cred_id().clone()).collect();
        let (options, state) =
            self.0.as_ref()?.start_passkey_registration(id, email, name, Some(known)).ok()?;
        let mut options = serde_json::to_value(options).ok()?;
        // So that it is found without a name being typed (Web Authentication §5.4.4).
        let selection = options.pointer_mut("/publicKey/authenticatorSelection")?.as_object_mut()?;
        selection.insert("residentKey".to_owned(), "required".into());
        selection.insert("requireResidentKey".to_owned(), true.into());
        Some(Challenge { options: options.to_string(), state: State::New(Box::new(state)) })
    }

    /// Verifies a new passkey.
    #[must_use]
    pub fn verify_new(&self, state: &State, answer: &str) -> Option<Made> {
        let State::New(state) = state else { return None };
        let answer: RegisterPublicKeyCredential = serde_json::from_str(answer).ok()?;
        let made = self.0.as_ref()?.finish_passkey_registration(&answer, state).ok()?;
        Some(Made { credential_id: made.cred_id().clone(), credential: serde_json::to_string(&made).ok()? })
    }

    /// Asks for one of these passkeys, or with none for any.
    #[must_use]
    pub fn ask(&self, known: &[String]) -> Option<Challenge> {
        let webauthn = self.0.as_ref()?;
        if known.is_empty() {
            let (mut options, state) = webauthn.start_discoverable_authentication().ok()?;
            options.mediation = None;
            let options = serde_json::to_string(&options).ok()?;
            return Some(Challenge { options, state: State::Anyone(Box::new(state)) });
        }
        let (options, state) = webauthn.start_passkey_authentication(&read(known)).ok()?;
        Some(Challenge {
            options: serde_json::to_string(&options).ok()?,
            state: State::Known(Box::new(state)),
        })
    }

    /// The passkey that an answer says it comes from.
    #[must_use]
    pub fn named(answer: &str) -> Option<Vec<u8>> {
        let answer: PublicKeyCredential = serde_json::from_str(answer).ok()?;
        Some(answer.get_credential_id().to_vec())
    }

    /// Whether an answer names this person or nobody (Web Authentication §7.2, step 6).
    #[must_use]
    pub fn may_be_of(answer: &str, user: UserId) -> bool {
        let Ok(answer) = serde_json::from_str::<PublicKeyCredential>(answer) else { return false };
        answer.get_user_unique_id().is_none_or(|handle| {
            Uuid::from_slice(handle).is_ok_and(|known| known.hyphenated().to_string() == user.to_string())
        })
    }

    /// Verifies an answer by the stored passkey that it names.
    #[must_use]
    pub fn verify(&self, state: State, answer: &str, credential: &str) -> Proof {
        let (Some(webauthn), Ok(answer), Ok(mut passkey)) = (
            self.0.as_ref(),
            serde_json::from_str::<PublicKeyCredential>(answer),
            serde_json::from_str::<Passkey>(credential),
        ) else {
            return Proof::Nothing;
        };
        let result = match state {
            State::New(_) => return Proof::Nothing,
            State::Anyone(state) => webauthn.finish_discoverable_authentication_v2(
                &answer,
                *state,
                DiscoverableKey::from(&passkey),
            ),
            State::Known(state) => webauthn.finish_passkey_authentication(&answer, &state),
        };
        match result {
            Ok(result) if result.user_verified() => match passkey.update_credential(&result) {
                Some(true) => Proof::Holds(serde_json::to_string(&passkey).ok()),
                Some(false) => Proof::Holds(None),
                None => Proof::Nothing,
            },
            Err(WebauthnError::CredentialPossibleCompromise) => Proof::Copied,
            _ => Proof::Nothing,
        }
    }
}

fn read(known: &[String]) -> Vec<Passkey> {
    known.iter().filter_map(|text| serde_json::from_str(text).ok()).collect()
}
