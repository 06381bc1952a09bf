//! Identity providers, and who people are there.

use diesel::prelude::*;

use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::{json, moment, need, to_json};
use super::schema::{access_token, identity, identity_provider, session, token_family, users};
use super::store::Tx;
use crate::types::id::{IdentityId, UserId};
use crate::types::identity::{Identity, Provider, ProviderId, Rules};
use crate::types::policy::UPSTREAM_CHECK;
use crate::types::time::Timestamp;

#[derive(Queryable, Insertable)]
#[diesel(table_name = identity_provider, treat_none_as_default_value = false)]
struct ProviderRow {
    id: String,
    name: String,
    issuer: String,
    client_id: String,
    secret: Vec<u8>,
    rules: String,
    created_at: i64,
    updated_at: i64,
    disabled_at: Option<i64>,
    last_sign_in_at: Option<i64>,
}

impl ProviderRow {
    fn read(self) -> Result<Provider, StoreError> {
        Ok(Provider {
            id: need(ProviderId::parse(&self.id), "identity_provider.id")?,
            name: self.name,
            issuer: self.issuer,
            client_id: self.client_id,
            secret: self.secret,
            rules: json(&self.rules, "identity_provider.rules")?,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
            disabled_at: moment(self.disabled_at),
            last_sign_in_at: moment(self.last_sign_in_at),
        })
    }
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = identity, treat_none_as_default_value = false)]
struct Row {
    id: String,
    provider_id: String,
    sub: String,
    user_id: String,
    email: Option<String>,
    upstream: Option<Vec<u8>>,
    created_at: i64,
    last_sign_in_at: Option<i64>,
    checked_at: Option<i64>,
    checking_until: Option<i64>,
}

impl Row {
    fn read(self) -> Result<Identity, StoreError> {
        Ok(Identity {
            id: need(IdentityId::parse(&self.id), "identity.id")?,
            provider_id: need(ProviderId::parse(&self.provider_id), "identity.provider_id")?,
            sub: self.sub,
            user_id: need(UserId::parse(&self.user_id), "identity.user_id")?,
            email: self.email,
            upstream: self.upstream,
            created_at: Timestamp::from_micros(self.created_at),
            last_sign_in_at: moment(self.last_sign_in_at),
            checked_at: moment(self.checked_at),
            checking_until: moment(self.checking_until),
        })
    }
}

/// Adds a provider; [`StoreError::Conflict`] when its short name is taken.
///
/// # Errors
/// A fault of the database.
pub fn insert_provider(tx: &mut Tx<'_>, new: &Provider) -> Result<(), StoreError> {
    let row = ProviderRow {
        id: new.id.to_string(),
        name: new.name.clone(),
        issuer: new.issuer.clone(),
        client_id: new.client_id.clone(),
        secret: new.secret.clone(),
        rules: to_json(&new.rules)?,
        created_at: new.created_at.micros(),
        updated_at: new.updated_at.micros(),
        disabled_at: new.disabled_at.map(Timestamp::micros),
        last_sign_in_at: None,
    };
    diesel::insert_into(identity_provider::table).values(&row).execute(tx.connection())?;
    Ok(())
}

/// The provider of this short name.
///
/// # Errors
/// A fault of the database.
pub fn provider(tx: &mut Tx<'_>, id: &ProviderId) -> Result<Option<Provider>, StoreError> {
    identity_provider::table
        .find(id.as_str())
        .get_result::<ProviderRow>(tx.connection())
        .optional()?
        .map(ProviderRow::read)
        .transpose()
}

/// Every provider, by its short name.
///
/// # Errors
/// A fault of the database.
pub fn providers(tx: &mut Tx<'_>) -> Result<Vec<Provider>, StoreError> {
    identity_provider::table
        .order(identity_provider::id.asc())
        .load::<ProviderRow>(tx.connection())?
        .into_iter()
        .map(ProviderRow::read)
        .collect()
}

/// Switches a provider off (`Some`) or on (`None`). Switched off, what was signed in through it in browsers ends.
///
/// # Errors
/// A fault of the database.
pub fn set_disabled(
    tx: &mut Tx<'_>,
    id: &ProviderId,
    disabled_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = diesel::update(identity_provider::table.find(id.as_str()))
        .set((
            identity_provider::disabled_at.eq(disabled_at.map(Timestamp::micros)),
            identity_provider::updated_at.eq(now.micros()),
        ))
        .execute(tx.connection())?;
    if disabled_at.is_some() {
        let theirs = ids_of(tx, id)?;
        end_all_of(tx, &theirs, now)?;
    }
    Ok(changed == 1)
}

/// Sets what is decided about a provider; `false` when there is none.
///
/// # Errors
/// A fault of the database.
pub fn set_rules(
    tx: &mut Tx<'_>,
    id: &ProviderId,
    rules: &Rules,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = diesel::update(identity_provider::table.find(id.as_str()))
        .set((identity_provider::rules.eq(to_json(rules)?), identity_provider::updated_at.eq(now.micros())))
        .execute(tx.connection())?;
    Ok(changed == 1)
}

/// Removes a provider with every identity there, and ends what was signed in through it.
///
/// # Errors
/// A fault of the database.
pub fn remove_provider(tx: &mut Tx<'_>, id: &ProviderId, now: Timestamp) -> Result<bool, StoreError> {
    let theirs = ids_of(tx, id)?;
    end_all_of(tx, &theirs, now)?;
    diesel::delete(identity::table.filter(identity::provider_id.eq(id.as_str()))).execute(tx.connection())?;
    let gone = diesel::delete(identity_provider::table.find(id.as_str())).execute(tx.connection())?;
    Ok(gone == 1)
}

const PIECE: usize = 500;

/// Ends what rests on these identities: browsers that are signed in, and access tokens that are out. Refresh tokens are
/// refused when they come, as long as the provider or the link is not there.
fn end_all_of(tx: &mut Tx<'_>, identities: &[String], now: Timestamp) -> Result<(), StoreError> {
    // In pieces, because a statement takes only so many values.
    for identities in identities.chunks(PIECE) {
        diesel::delete(session::table.filter(session::identity_id.eq_any(identities)))
            .execute(tx.connection())?;
        let families: Vec<String> = token_family::table
            .filter(token_family::identity_id.eq_any(identities))
            .filter(token_family::revoked_at.is_null())
            .select(token_family::id)
            .load(tx.connection())?;
        for families in families.chunks(PIECE) {
            diesel::update(
                access_token::table
                    .filter(access_token::family_id.eq_any(families))
                    .filter(access_token::expires_at.gt(now.micros()))
                    .filter(access_token::revoked_at.is_null()),
            )
            .set(access_token::revoked_at.eq(now.micros()))
            .execute(tx.connection())?;
        }
    }
    bump(tx, Topic::Revocations);
    Ok(())
}

fn ids_of(tx: &mut Tx<'_>, id: &ProviderId) -> Result<Vec<String>, StoreError> {
    let theirs = identity::table.filter(identity::provider_id.eq(id.as_str())).select(identity::id);
    Ok(theirs.load(tx.connection())?)
}

/// Links somebody; [`StoreError::Conflict`] when either side is linked at this provider already.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &Identity) -> Result<(), StoreError> {
    let row = Row {
        id: new.id.to_string(),
        provider_id: new.provider_id.to_string(),
        sub: new.sub.clone(),
        user_id: new.user_id.to_string(),
        email: new.email.clone(),
        upstream: new.upstream.clone(),
        created_at: new.created_at.micros(),
        last_sign_in_at: new.last_sign_in_at.map(Timestamp::micros),
        checked_at: new.checked_at.map(Timestamp::micros),
        checking_until: None,
    };
    diesel::insert_into(identity::table).values(&row).execute(tx.connection())?;
    Ok(())
}

/// The identity with this id.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, id: IdentityId) -> Result<Option<Identity>, StoreError> {
    identity::table
        .find(id.to_string())
        .get_result::<Row>(tx.connection())
        .optional()?
        .map(Row::read)
        .transpose()
}

/// Who this is here.
///
/// # Errors
/// A fault of the database.
pub fn find_by_sub(
    tx: &mut Tx<'_>,
    provider: &ProviderId,
    sub: &str,
) -> Result<Option<Identity>, StoreError> {
    identity::table
        .filter(identity::provider_id.eq(provider.as_str()))
        .filter(identity::sub.eq(sub))
        .get_result::<Row>(tx.connection())
        .optional()?
        .map(Row::read)
        .transpose()
}

/// Who a person is at the providers they are linked at.
///
/// # Errors
/// A fault of the database.
pub fn of_user(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<Identity>, StoreError> {
    identity::table
        .filter(identity::user_id.eq(user.to_string()))
        .order(identity::provider_id.asc())
        .load::<Row>(tx.connection())?
        .into_iter()
        .map(Row::read)
        .collect()
}

/// Who is linked at a provider, with the address that names them here.
///
/// # Errors
/// A fault of the database.
pub fn of_provider(
    tx: &mut Tx<'_>,
    provider: &ProviderId,
    limit: i64,
) -> Result<Vec<(Identity, String)>, StoreError> {
    identity::table
        .inner_join(users::table.on(users::id.eq(identity::user_id)))
        .filter(identity::provider_id.eq(provider.as_str()))
        .order((users::email.asc(), identity::id.asc()))
        .limit(limit)
        .select((identity::all_columns, users::email))
        .load::<(Row, String)>(tx.connection())?
        .into_iter()
        .map(|(row, email)| Ok((row.read()?, email)))
        .collect()
}

/// How many are linked at a provider.
///
/// # Errors
/// A fault of the database.
pub fn count(tx: &mut Tx<'_>, provider: &ProviderId) -> Result<i64, StoreError> {
    Ok(identity::table
        .filter(identity::provider_id.eq(provider.as_str()))
        .count()
        .get_result(tx.connection())?)
}

/// Takes a person's link at a provider away, and ends what was signed in through it.
///
/// # Errors
/// A fault of the database.
pub fn unlink(tx: &mut Tx<'_>, id: IdentityId, now: Timestamp) -> Result<bool, StoreError> {
    let id = id.to_string();
    end_all_of(tx, std::slice::from_ref(&id), now)?;
    Ok(diesel::delete(identity::table.find(&id)).execute(tx.connection())? == 1)
}

/// Notes a sign-in, with the refresh token it brought; one of before stays when it brought none.
///
/// # Errors
/// A fault of the database.
pub fn signed_in(
    tx: &mut Tx<'_>,
    identity: &Identity,
    email: Option<&str>,
    upstream: Option<&[u8]>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = || identity::table.find(identity.id.to_string());
    diesel::update(row())
        .set((
            identity::email.eq(email),
            identity::last_sign_in_at.eq(now.micros()),
            identity::checked_at.eq(now.micros()),
        ))
        .execute(tx.connection())?;
    if let Some(upstream) = upstream {
        diesel::update(row())
            .set((identity::upstream.eq(upstream), identity::checking_until.eq(None::<i64>)))
            .execute(tx.connection())?;
    }
    diesel::update(identity_provider::table.find(identity.provider_id.as_str()))
        .set(identity_provider::last_sign_in_at.eq(now.micros()))
        .execute(tx.connection())?;
    Ok(())
}

/// Takes the word to ask the provider about somebody with the token `held`, until `until`; `true` for exactly one caller at
/// a time, and for nobody who has read the record before somebody else asked: since then the token may be another, and a
/// provider takes the use of an old one for theft.
///
/// # Errors
/// A fault of the database.
pub fn claim_check(
    tx: &mut Tx<'_>,
    id: IdentityId,
    held: &[u8],
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let free = identity::checking_until.is_null().or(identity::checking_until.le(now.micros()));
    let due = now.minus(UPSTREAM_CHECK).micros();
    let unasked = identity::checked_at.is_null().or(identity::checked_at.le(due));
    let row = identity::table.find(id.to_string()).filter(identity::upstream.eq(held));
    let won = diesel::update(row.filter(free).filter(unasked))
        .set(identity::checking_until.eq(until.micros()))
        .execute(tx.connection())?;
    Ok(won == 1)
}

/// Notes that the provider still knows somebody, with the token it gave in exchange.
///
/// # Errors
/// A fault of the database.
pub fn checked(
    tx: &mut Tx<'_>,
    id: IdentityId,
    rotated: Option<&[u8]>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = || identity::table.find(id.to_string());
    if let Some(rotated) = rotated {
        diesel::update(row()).set(identity::upstream.eq(rotated)).execute(tx.connection())?;
    }
    diesel::update(row())
        .set((identity::checked_at.eq(now.micros()), identity::checking_until.eq(None::<i64>)))
        .execute(tx.connection())?;
    Ok(())
}

/// Forgets the token that we hold for somebody: if it is still the one that the provider has refused.
///
/// # Errors
/// A fault of the database.
pub fn forget_upstream(tx: &mut Tx<'_>, id: IdentityId, refused: &[u8]) -> Result<bool, StoreError> {
    let row = identity::table.find(id.to_string()).filter(identity::upstream.eq(refused));
    let forgotten = diesel::update(row)
        .set((identity::upstream.eq(None::<Vec<u8>>), identity::checking_until.eq(None::<i64>)))
        .execute(tx.connection())?;
    Ok(forgotten == 1)
}

/// Forgets the tokens that we hold for a person anywhere.
///
/// # Errors
/// A fault of the database.
pub fn forget_all_upstream(tx: &mut Tx<'_>, user: UserId) -> Result<(), StoreError> {
    diesel::update(identity::table.filter(identity::user_id.eq(user.to_string())))
        .set(identity::upstream.eq(None::<Vec<u8>>))
        .execute(tx.connection())?;
    Ok(())
}
