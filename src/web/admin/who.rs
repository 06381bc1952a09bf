//! What one person can do exactly, and the reverse: who can do one thing at one server, and through what.

use actix_web::{HttpRequest, HttpResponse, web};

use super::people::pairs;
use super::{Desk, either, fact, marked, said, table};
use crate::flow::access_map::{self, Standing};
use crate::flow::console::Names;
use crate::flow::core::Core;
use crate::flow::roles::{Effective, in_words};
use crate::flow::who;
use crate::types::access_rule::Who;
use crate::types::id::{GrantId, ResourceId};
use crate::types::policy::CONSOLE_PAGE;
use crate::web::site::Site;
use crate::web::view::console::{Cell, Table};

/// One permission of one server.
pub async fn get(
    request: HttpRequest,
    id: web::Path<String>,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let id = ResourceId::parse(&id).ok_or_else(|| desk.missing())?;
            let (scope, after, before) =
                (desk.asked("permission"), desk.asked("after"), desk.asked("before"));
            let live = core.live.view();
            let resource = live.resource_by_id(id).ok_or_else(|| desk.missing())?;
            let known = resource.scopes.iter().find(|known| known.name == scope);
            let known = known.ok_or_else(|| desk.missing())?;
            let mut view = desk.blank(
                "servers",
                format!("{scope} at {}", resource.name),
                "Who can do this, and through what.",
            );
            view.facts = vec![
                fact("Server", desk.named(resource.name.clone(), &format!("/servers/{id}"))),
                fact("What it allows", said(known.description.clone())),
            ];
            let (people, next) = who::may_do(&core, id, scope.clone(), after, CONSOLE_PAGE)
                .await
                .map_err(|cause| desk.fault(&cause))?;
            let mut may = table(
                "Who may let an app do it",
                "Nobody on this page.",
                vec!["Person", "Through", "Apps that do it now"],
            );
            for one in &people {
                let through = one
                    .through
                    .iter()
                    .map(|(role, who)| format!("{role}, as {}", in_words(who, |_| "this person".to_owned())));
                let through: Vec<String> = through.collect();
                may.rows.push(vec![
                    desk.named(one.user.email.clone(), &format!("/people/{}", one.user.id)),
                    said(if through.is_empty() { "open to everyone".to_owned() } else { through.join("; ") }),
                    said(if one.grants.is_empty() {
                        "none".to_owned()
                    } else {
                        one.grants.len().to_string()
                    }),
                ]);
            }
            let here = format!("/servers/{id}/who");
            may.next = next
                .map(|key| desk.at(&format!("{here}?{}", pairs(&[("permission", &scope), ("after", &key)]))));
            view.tables.push(may);
            let grants = who::approvals(&core, id, scope.clone(), GrantId::parse(&before), CONSOLE_PAGE + 1)
                .await
                .map_err(|cause| desk.fault(&cause))?;
            let mut grants =
                access_map::as_they_stand(&core, grants).await.map_err(|cause| desk.fault(&cause))?;
            let more = i64::try_from(grants.len()).is_ok_and(|found| found > CONSOLE_PAGE);
            grants.truncate(usize::try_from(CONSOLE_PAGE).unwrap_or(usize::MAX));
            let names = access_map::names_for(&core, &grants).await.map_err(|cause| desk.fault(&cause))?;
            let mut now = table(
                "Approvals under which it is done",
                "None stands.",
                vec!["Approval", "Person", "App", "Last used", "State"],
            );
            for Standing { grant, state } in &grants {
                now.rows.push(vec![
                    desk.named("details", &format!("/access/{}", grant.id)),
                    desk.person_cell(&names, grant.user_id),
                    desk.app_cell(&names, &grant.client_id),
                    desk.ago(grant.last_used_at),
                    super::access::state(*state),
                ]);
            }
            now.next = grants.last().filter(|_| more).map(|last| {
                let last = last.grant.id.to_string();
                desk.at(&format!("{here}?{}", pairs(&[("permission", &scope), ("before", &last)])))
            });
            view.tables.push(now);
            Ok(desk.show(view))
        }
        .await,
    )
}

/// Permission by permission: what apps can do for a person now, under which approvals, and which roles stand behind it.
pub(super) fn exactly(desk: &Desk<'_>, effective: &[Effective], names: &Names) -> Table {
    let mut rows = table(
        "Exactly what apps can do for them now",
        "No app can do anything for them.",
        vec!["Server", "Permission", "Through the app", "Approval", "Through the role"],
    );
    for one in effective {
        for scope in &one.resource.scopes {
            let roles: Vec<String> = one
                .permitted
                .through
                .iter()
                .filter(|(role, _)| {
                    one.resource.role_scopes(role).is_some_and(|allowed| allowed.contains(&scope.name))
                })
                .map(|(role, who)| format!("{role}, as {}", holder(who)))
                .collect();
            for grant in one.grants.iter().filter(|grant| grant.scopes.contains(&scope.name)) {
                rows.rows.push(vec![
                    desk.named(one.resource.name.clone(), &format!("/servers/{}", one.resource.id)),
                    desk.named(
                        scope.name.clone(),
                        &format!(
                            "/servers/{}/who?{}",
                            one.resource.id,
                            pairs(&[("permission", &scope.name)])
                        ),
                    ),
                    desk.app_cell(names, &grant.client_id),
                    desk.named("details", &format!("/access/{}", grant.id)),
                    role_cell(one, &roles),
                ]);
            }
        }
    }
    rows
}

fn role_cell(one: &Effective, roles: &[String]) -> Cell {
    if one.resource.access_rule.is_open() {
        said("open to everyone")
    } else if roles.is_empty() {
        marked("no role", "care")
    } else {
        said(roles.join("; "))
    }
}

fn holder(who: &Who) -> String {
    in_words(who, |_| "this person".to_owned())
}
