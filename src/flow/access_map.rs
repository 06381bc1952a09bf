//! The access map: who lets which app do what where, how it stands, and when it was last used.

use std::collections::HashMap;

use super::access::state;
use super::console::{Names, Page, names, scan};
use super::core::Core;
use super::failure::Fault;
use super::hold::hold_on;
use super::live::{self, View};
use crate::account::cut::Hold;
use crate::storage::access_map::{self, AccessFilter, Among};
use crate::storage::{StoreError, Tx};
use crate::types::client::ClientId;
use crate::types::cut::Kind;
use crate::types::grant::{Grant, GrantState};
use crate::types::id::{GrantId, UserId};
use crate::types::time::Timestamp;

/// An approval and how it stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The approval.
    pub grant: Grant,
    /// How it stands.
    pub state: GrantState,
}

/// The access map: who lets what app do what where, and how it stands, newest first. Where a state can only be seen by
/// looking at each approval, a page may be short and yet not the last.
///
/// # Errors
/// A fault.
pub async fn page(
    core: &Core,
    filter: impl Into<AccessFilter>,
    before: Option<GrantId>,
    limit: i64,
) -> Result<(Page<Standing, GrantId>, Names), Fault> {
    let (filter, view, now) = (filter.into(), live::current(core).await?, core.now());
    Ok(core
        .store
        .read(move |tx| {
            let named = access_map::named(tx, &filter)?;
            let among = filter.state.and_then(|state| among(&view, state));
            let page = scan(tx, limit, before, |tx, place, stride| {
                let asked = (&filter, &named);
                let rows = match &among {
                    None => access_map::page(tx, asked, None, place, (stride, now))?,
                    Some(among) => gathered(tx, asked, among, place, (stride, now))?,
                };
                let people: Vec<UserId> = rows.iter().filter_map(|grant| grant.user_id).collect();
                let of = named.people.as_ref().map_or(Ok(None), |whose| whose.among(tx, &people))?;
                let all = standing(tx, &view, rows, now)?;
                let meant = |row: &Standing| {
                    let who = row.grant.user_id.as_ref();
                    filter.state.is_none_or(|state| state == row.state)
                        && of.as_ref().is_none_or(|of| who.is_some_and(|id| of.contains(id)))
                };
                Ok(all.into_iter().map(|row| (row.grant.id, Some(row).filter(meant))).collect())
            })?;
            let names = names_of_grants(tx, page.rows.iter().map(|row| &row.grant))?;
            Ok((page, names))
        })
        .await?)
}

/// Among what the approvals that stand so are, where that is less than all.
fn among(view: &View, state: GrantState) -> Option<Vec<Among>> {
    let of = |kind: fn(&Kind) -> bool| {
        let cuts = view.cuts.iter().filter(move |cut| cut.undone_at.is_none() && kind(&cut.kind));
        cuts.map(|cut| Among::Of(cut.target.clone(), cut.grants.clone()))
    };
    match state {
        GrantState::Stopped => {
            Some(of(|kind| matches!(kind, Kind::Revoke | Kind::Suspend(_) | Kind::Isolate(_))).collect())
        }
        GrantState::SignInDue => Some(of(|kind| matches!(kind, Kind::Reauthenticate)).collect()),
        GrantState::ConsentDue => {
            let due = of(|kind| matches!(kind, Kind::Reconsent));
            Some(due.chain([Among::OfChangedApps]).collect())
        }
        _ => None,
    }
}

/// One page of several lists, newest first.
fn gathered(
    tx: &mut Tx<'_>,
    asked: (&AccessFilter, &access_map::Named),
    among: &[Among],
    before: Option<GrantId>,
    (limit, now): (i64, Timestamp),
) -> Result<Vec<Grant>, StoreError> {
    let mut all = Vec::new();
    for one in among {
        all.extend(access_map::page(tx, asked, Some(one), before, (limit, now))?);
    }
    all.sort_by_cached_key(|grant| std::cmp::Reverse(grant.id.to_string()));
    all.dedup_by_key(|grant| grant.id);
    all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(all)
}

/// How these approvals stand.
fn standing(
    tx: &mut Tx<'_>,
    view: &View,
    rows: Vec<Grant>,
    now: Timestamp,
) -> Result<Vec<Standing>, StoreError> {
    let apps = names(tx, std::iter::empty(), rows.iter().map(|grant| grant.client_id.clone()))?.apps;
    // Whether somebody has signed in since that was asked of them is looked up only where it was.
    let asked =
        |grant: &&Grant| hold_on(view, grant, Some(Timestamp::from_micros(0)), now) == Some(Hold::SignInDue);
    let mut people: Vec<UserId> = rows.iter().filter(asked).filter_map(|grant| grant.user_id).collect();
    people.sort_unstable();
    people.dedup();
    let mut latest: HashMap<(UserId, ClientId), Timestamp> = HashMap::new();
    if !people.is_empty() {
        for (user, client, at) in access_map::sign_ins(tx, &people)? {
            let known = latest.entry((user, client)).or_insert(at);
            *known = at.max(*known);
        }
    }
    let stands = |grant: &Grant| {
        let signed_in = grant
            .user_id
            .map(|user| latest.get(&(user, grant.client_id.clone())).copied().unwrap_or(grant.created_at));
        state(view, grant, apps.get(&grant.client_id), signed_in, now)
    };
    Ok(rows.into_iter().map(|grant| Standing { state: stands(&grant), grant }).collect())
}

/// These approvals with how they stand.
///
/// # Errors
/// A fault.
pub async fn as_they_stand(core: &Core, rows: Vec<Grant>) -> Result<Vec<Standing>, Fault> {
    let (view, now) = (live::current(core).await?, core.now());
    Ok(core.store.read(move |tx| standing(tx, &view, rows, now)).await?)
}

fn names_of_grants<'g>(
    tx: &mut Tx<'_>,
    grants: impl Iterator<Item = &'g Grant> + Clone,
) -> Result<Names, StoreError> {
    let people = grants.clone().filter_map(|grant| grant.user_id);
    names(tx, people, grants.map(|grant| grant.client_id.clone()))
}

/// The people and apps that some approvals name.
///
/// # Errors
/// A fault.
pub async fn names_for(core: &Core, rows: &[Standing]) -> Result<Names, Fault> {
    let rows: Vec<Grant> = rows.iter().map(|row| row.grant.clone()).collect();
    Ok(core.store.read(move |tx| names_of_grants(tx, rows.iter())).await?)
}
