//! `/admin/sessions`: which browsers are signed in.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Desk, either, said, table};
use crate::flow::console;
use crate::flow::core::Core;
use crate::types::id::SessionId;
use crate::types::policy::CONSOLE_PAGE;
use crate::web::site::Site;

/// All of them, newest first.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let before = SessionId::parse(&desk.asked("before"));
            let (found, names) =
                console::sessions(&core, before, CONSOLE_PAGE).await.map_err(|cause| desk.fault(&cause))?;
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
            rows.next = found.next.map(|id| desk.at(&format!("/sessions?before={id}")));
            let mut view = desk.blank("sessions", "Sign-ins", "The browsers in which somebody is signed in.");
            view.exports = desk.exports("sessions", "");
            view.tables.push(rows);
            Ok(desk.show(view))
        }
        .await,
    )
}
