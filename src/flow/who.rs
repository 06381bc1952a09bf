//! Who can do one thing at one server, and through what: the reverse of what one person can do.

use super::core::Core;
use super::failure::Fault;
use crate::account::permission::permitted;
use crate::storage::console::PeopleFilter;
use crate::storage::grants::GrantFilter;
use crate::storage::{console, grants, resources};
use crate::types::access_rule::Who;
use crate::types::grant::Grant;
use crate::types::id::{GrantId, ResourceId};
use crate::types::policy::WHO_SCAN;
use crate::types::user::User;

/// Somebody who may let apps do it.
#[derive(Clone, Debug)]
pub struct MayDo {
    /// Who.
    pub user: User,
    /// The roles that allow it, each with as whom they have it; none where the server is open to everyone.
    pub through: Vec<(String, Who)>,
    /// The approvals under which apps do it now.
    pub grants: Vec<Grant>,
}

/// People who may be granted `scope` at a server, by address, after the one with `after`, and where the next page goes on.
/// Whoever is switched off may nothing. At most [`WHO_SCAN`] people are looked at for one page, so that a page may be
/// short, or empty, and yet not the last.
///
/// # Errors
/// A fault.
pub async fn may_do(
    core: &Core,
    id: ResourceId,
    scope: String,
    after: String,
    limit: i64,
) -> Result<(Vec<MayDo>, Option<String>), Fault> {
    let (most, now) = (usize::try_from(limit).unwrap_or(usize::MAX), core.now());
    Ok(core
        .store
        .read(move |tx| {
            let Some(resource) = resources::find(tx, id)? else { return Ok((Vec::new(), None)) };
            let people = console::people(tx, &PeopleFilter::default(), &after, WHO_SCAN)?;
            let whole = i64::try_from(people.len()).is_ok_and(|read| read < WHO_SCAN);
            let (mut found, mut next, mut last) = (Vec::new(), None, None);
            for user in people {
                if found.len() == most {
                    next.clone_from(&last);
                    break;
                }
                last = Some(user.email.to_lowercase());
                let permitted = permitted(&resource, &user);
                if user.disabled_at.is_some() || !permitted.scopes.contains(&scope) {
                    continue;
                }
                let through = permitted.through.into_iter().filter(|(role, _)| {
                    resource.role_scopes(role).is_some_and(|allowed| allowed.contains(&scope))
                });
                let filter =
                    GrantFilter { user_id: Some(user.id), resource_id: Some(id), ..GrantFilter::default() };
                let mut standing = grants::list(tx, &filter)?;
                standing.retain(|grant| grant.is_live(now) && grant.scopes.contains(&scope));
                found.push(MayDo { through: through.collect(), grants: standing, user });
            }
            Ok((found, next.or_else(|| last.filter(|_| !whole))))
        })
        .await?)
}

/// The standing approvals at a server that hold `scope`, newest first, before the one with `before`: one more than `limit`
/// when there are more.
///
/// # Errors
/// A fault.
pub async fn approvals(
    core: &Core,
    id: ResourceId,
    scope: String,
    before: Option<GrantId>,
    limit: i64,
) -> Result<Vec<Grant>, Fault> {
    let now = core.now();
    Ok(core.store.read(move |tx| console::holding(tx, id, &scope, before, (limit, now))).await?)
}
