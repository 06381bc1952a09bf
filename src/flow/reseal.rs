//! Everything that is stored sealed, in one list, and sealing it anew under the newest root key.

use std::collections::BTreeMap;

use super::core::Core;
use super::failure::Fault;
use super::{
    admin_api, call_approvals, connections, cut_hooks, endpoints, factors, federation, give_back, outbox,
    passkeys, providers, second_step, upstream, upstream_auth, upstream_tls, upstream_tokens, vault,
};
use crate::crypto::keyring;
use crate::storage::sealed::{self as columns, Column, Place};
use crate::types::hex::hex;
use crate::types::policy::SWEEP_BATCH;

/// The setting that keeps the password of the demonstration, and the account that it is of.
pub const DEMO: (&str, &str) = ("demo password", "demo@example.com");

/// Walks through everything before it is given up on what changes all the time.
const PASSES: usize = 5;

/// A column with something sealed.
struct Sealed {
    column: Column,
    /// What it may be sealed for.
    purposes: &'static [&'static str],
    /// Whether it is the key of such a thing, see [`vault`].
    is_key: bool,
    /// The row, as the seal names it.
    id: fn(&Place) -> String,
}

const fn sealed(column: Column, purposes: &'static [&'static str]) -> Sealed {
    Sealed { column, purposes, is_key: false, id: name_of }
}

const fn key(column: Column, purposes: &'static [&'static str]) -> Sealed {
    Sealed { column, purposes, is_key: true, id: name_of }
}

/// All of them; a test compares the list with the schema.
const SEALED: [Sealed; 17] = [
    Sealed { id: |_| DEMO.1.to_owned(), ..sealed(columns::SETTING, &[DEMO.0]) },
    sealed(columns::SIGNING_KEY, &[keyring::PURPOSE]),
    sealed(columns::IDENTITY_PROVIDER, &[providers::SECRET]),
    sealed(columns::IDENTITY, &[upstream::UPSTREAM]),
    sealed(columns::ONE_TIME_SECRET, &[factors::SECRET]),
    sealed(
        columns::SIGN_IN_STEP,
        &[second_step::STEP, federation::STEP, connections::STEP, passkeys::CEREMONY],
    ),
    sealed(columns::API_REQUEST, &[admin_api::ANSWER]),
    sealed(columns::MAIL, &[outbox::SEALED]),
    sealed(columns::ENDPOINT, &[endpoints::PURPOSE]),
    sealed(columns::ENDPOINT_PREVIOUS, &[endpoints::PURPOSE]),
    sealed(columns::CALL_APPROVAL, &[call_approvals::SEALED]),
    key(columns::UPSTREAM_CREDENTIAL, &[vault::PURPOSE]),
    key(columns::UPSTREAM_TLS, &[upstream_tls::PURPOSE]),
    sealed(columns::UPSTREAM_AUTH, &[upstream_auth::SECRET]),
    key(columns::UPSTREAM_CONNECTION, &[upstream_tokens::PURPOSE]),
    sealed(columns::UPSTREAM_REVOCATION, &[give_back::PURPOSE]),
    sealed(columns::CUT_HOOK, &[cut_hooks::SECRET]),
];

fn name_of(place: &Place) -> String {
    match place {
        Place::Text(name) => name.clone(),
        Place::Digest(digest) => hex(digest),
        Place::Pair(one, other) => format!("{one}\n{other}"),
    }
}

impl Sealed {
    /// The same thing under the newest root key; `None` when it does not open.
    fn anew(&self, core: &Core, place: &Place, old: &[u8]) -> Option<Vec<u8>> {
        let id = (self.id)(place);
        self.purposes.iter().find_map(|purpose| {
            let purpose = if self.is_key { vault::purpose_of_key(purpose) } else { (*purpose).to_owned() };
            let plain = core.master.open(&purpose, &id, old)?;
            Some(core.master.seal(&purpose, &id, plain.expose(), core.rng.as_ref()))
        })
    }
}

/// How many of what, by table and column.
pub type Counts = BTreeMap<&'static str, u64>;

/// What is not sealed under the newest root key.
#[derive(Default, Debug, serde::Serialize)]
pub struct Left {
    /// What opens, and can be sealed anew.
    pub older: Counts,
    /// What does not open: it was damaged, or sealed under a key that is gone.
    pub unreadable: Counts,
}

/// Seals everything anew that is not sealed under the newest root key, in small transactions, beside whatever else is
/// written: what changes meanwhile is left as it has become. Interrupted, it is begun again and goes on.
///
/// # Errors
/// A fault.
pub async fn reseal(core: &Core) -> Result<(Counts, Left), Fault> {
    let mut done = Counts::new();
    for _ in 0..PASSES {
        let mut left = Left::default();
        for column in &SEALED {
            pass(core, column, Some(&mut done), &mut left).await?;
        }
        if left.older.is_empty() {
            break;
        }
    }
    Ok((done, left(core).await?))
}

/// What is not sealed under the newest root key.
///
/// # Errors
/// A fault.
pub async fn left(core: &Core) -> Result<Left, Fault> {
    let mut left = Left::default();
    for column in &SEALED {
        pass(core, column, None, &mut left).await?;
    }
    Ok(left)
}

/// Walks through one column; what is sealed anew is counted as `done`, what is not as `left`.
async fn pass(
    core: &Core,
    of: &'static Sealed,
    mut done: Option<&mut Counts>,
    left: &mut Left,
) -> Result<(), Fault> {
    let name = of.column.name;
    let mut after: Option<Place> = None;
    loop {
        let from = after.clone();
        let rows = core.store.read(move |tx| of.column.page(tx, from.as_ref(), SWEEP_BATCH)).await?;
        let is_last = rows.len() < usize::try_from(SWEEP_BATCH).unwrap_or(usize::MAX);
        after = rows.last().map(|(place, _)| place.clone());
        let mut changes = Vec::new();
        for (place, sealed) in rows {
            let Some(old) = sealed.filter(|sealed| !core.master.is_current(sealed)) else { continue };
            match of.anew(core, &place, &old) {
                Some(new) => changes.push((place, old, new)),
                None => *left.unreadable.entry(name).or_default() += 1,
            }
        }
        let found = changes.len() as u64;
        let mut changed = 0;
        if let Some(done) = done.as_deref_mut().filter(|_| found > 0) {
            changed = core
                .store
                .write(move |tx| {
                    let mut changed = 0;
                    for (place, old, new) in &changes {
                        changed += u64::from(of.column.swap(tx, place, old, new)?);
                    }
                    Ok(changed)
                })
                .await?;
            *done.entry(name).or_default() += changed;
        }
        if found > changed {
            *left.older.entry(name).or_default() += found - changed;
        }
        if is_last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Columns of bytes in which nothing is sealed under a root key, and why.
    const OTHERS: [(&str, &str); 30] = [
        ("root_key.sealed", "a root key itself, under the master key"),
        ("setup_link.digest", "a digest"),
        ("session.digest", "a digest"),
        ("resource.secret_digest", "a digest"),
        ("client.secret_digest", "a digest"),
        ("client.registration_digest", "a digest"),
        ("initial_access_token.digest", "a digest"),
        ("consent_request.digest", "a digest"),
        ("authorization_code.digest", "a digest"),
        ("refresh_token.digest", "a digest"),
        ("recovery_code.digest", "a digest, keyed by the root for records, which stays"),
        ("passkey.credential_id", "public"),
        ("sign_in_step.digest", "a digest"),
        ("assertion_seen.digest", "a digest"),
        ("audit_event.salt", "public"),
        ("audit_event.commitment", "a digest"),
        ("audit_event.hash", "a digest"),
        ("audit_event.erased", "a code, keyed by the root for records, which stays"),
        ("audit_head.hash", "a digest"),
        ("audit_head.mac", "a code, keyed by the root for records, which stays"),
        ("audit_anchor.hash", "a digest"),
        ("audit_anchor.mac", "a code, keyed by the root for records, which stays"),
        ("audit_checkpoint.hash", "a digest"),
        ("audit_checkpoint.mac", "a code, keyed by the root for records, which stays"),
        ("api_request.digest", "a digest, keyed by the root for records, which stays"),
        ("api_request.fingerprint", "a digest, keyed by the root of its day; forgotten within a day"),
        ("tool.digest", "a digest"),
        ("upstream_credential.sealed_value", "sealed under the row's own key"),
        ("upstream_tls.sealed_value", "sealed under the row's own key"),
        ("upstream_connection.sealed_tokens", "sealed under the row's own key"),
    ];
    const MORE: [(&str, &str); 5] = [
        ("grant_token.digest", "a digest"),
        ("call_approval.digest", "a digest, keyed by the root of its day"),
        ("mail_link.digest", "a digest"),
        ("mail_link.bound_to", "a digest"),
        ("invitation.digest", "a digest"),
    ];

    #[test]
    fn every_column_of_bytes_is_sealed_anew_or_says_why_not() {
        let schema = include_str!("../storage/schema.rs");
        let mut columns = BTreeSet::new();
        for table in schema.split("diesel::table!").skip(1) {
            let name = table.split('(').next().unwrap().trim_start_matches(['{', ' ', '\n']).trim();
            for part in table.split([',', '{', '}', '\n']) {
                if let Some((column, kind)) = part.split_once("->")
                    && kind.contains("Binary")
                {
                    columns.insert(format!("{name}.{}", column.trim()));
                }
            }
        }
        assert!(columns.len() > 40, "the schema was not understood: {columns:?}");
        let listed: Vec<&str> = SEALED.iter().map(|one| one.column.name).collect();
        let others: Vec<&str> = OTHERS.iter().chain(&MORE).map(|(name, _)| *name).collect();
        let known: BTreeSet<String> = listed.iter().chain(&others).map(|name| (*name).to_owned()).collect();
        assert_eq!(known.len(), listed.len() + others.len(), "a column is listed twice");
        assert_eq!(
            columns, known,
            "a new column of bytes belongs into SEALED, or among the others with the reason"
        );
    }
}
