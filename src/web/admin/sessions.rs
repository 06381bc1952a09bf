//! `/admin/sessions`: which browsers are signed in.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Desk, STRANGE, Strange, either, line, said, table};
use crate::flow::console::{self, SessionFilter};
use crate::flow::core::Core;
use crate::types::id::{SessionId, UserId};
use crate::types::network::Network;
use crate::types::policy::CONSOLE_PAGE;
use crate::web::site::Site;

/// What a page of the list, or its export, is narrowed to.
pub(super) fn filter_of(desk: &Desk<'_>) -> Result<SessionFilter, Strange> {
    let person = desk.words_of("person");
    let user_id = person.as_deref().and_then(UserId::parse);
    Ok(SessionFilter {
        people: person.filter(|_| user_id.is_none()),
        user_id,
        network: desk.named_by("network", |text| Network::parse(text).ok())?,
    })
}

/// All of them, newest first.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let mut view = desk.blank("sessions", "Sign-ins", "The browsers in which somebody is signed in.");
            let fields = vec![
                line("person", "Person: e-mail begins with"),
                line("network", "From: address or block, such as 10.0.0.0/8"),
            ];
            let search = desk.search("/sessions", fields);
            let query = search.query();
            view.search = Some(search);
            let Ok(filter) = filter_of(&desk) else {
                view.refused = Some(STRANGE);
                return Ok(desk.show(view));
            };
            let before = SessionId::parse(&desk.asked("before"));
            let (found, names) = console::sessions(&core, filter, before, CONSOLE_PAGE)
                .await
                .map_err(|cause| desk.fault(&cause))?;
            let mut rows =
                table("", "Nobody is signed in.", vec!["Person", "Browser", "From", "Since", "Last seen"]);
            for session in &found.rows {
                rows.rows.push(vec![
                    desk.person_cell(&names, Some(session.user_id)),
                    said(crate::account::browser::in_words(session.user_agent.as_deref())),
                    said(session.address.clone().unwrap_or_default()),
                    desk.ago(Some(session.created_at)),
                    desk.ago(Some(session.last_seen_at)),
                ]);
            }
            rows.next = found.next.map(|id| desk.further("/sessions", &query, &format!("before={id}")));
            view.exports = desk.exports("sessions", &query);
            view.tables.push(rows);
            Ok(desk.show(view))
        }
        .await,
    )
}
