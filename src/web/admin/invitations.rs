//! Invitations, on the page of people: who may still come, and inviting somebody.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Desk, at, either, fact, said, table};
use crate::flow::core::Core;
use crate::flow::invitations::{self, NewInvitation};
use crate::flow::people::OrderError;
use crate::types::policy::CONSOLE_PAGE;
use crate::types::user::Role;
use crate::web::door::Form;
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::console::{Act, ConsolePage};
use crate::web::view::editor::{Editor, Entry, Input};
use crate::wire::caller::From;

/// Adds what is open, and the form.
pub(super) async fn show(desk: &Desk<'_>, core: &Core, view: &mut ConsolePage) -> Result<(), HttpResponse> {
    let found = invitations::list(core, None, CONSOLE_PAGE).await.map_err(|cause| desk.fault(&cause))?;
    let now = core.now();
    let mut rows =
        table("Invitations", "Nobody is invited.", vec!["Address", "Role", "Groups", "By", "Until"]);
    for one in found.iter().filter(|one| one.state(now) == "open") {
        rows.rows.push(vec![
            said(one.email.clone()),
            said(one.role.as_str()),
            said(one.groups.join(", ")),
            said(one.invited_by.clone()),
            at(one.expires_at),
        ]);
        view.acts.push(Act {
            title: "Take an invitation back",
            effect: format!("The link that {} got does not work any more.", one.email),
            to: "/invitations".to_owned(),
            fields: vec![("do", "revoke".to_owned()), ("invitation", one.id.to_string())],
            choice: None,
            asks: None,
            button: "Take back",
            harm: true,
        });
    }
    view.tables.push(rows);
    let line = |name, label, needed| Input { name, label, entry: Entry::Line(String::new(), needed) };
    let roles = [Role::Member, Role::Auditor, Role::Admin];
    let roles = roles.map(|role| (role.as_str().to_owned(), role.as_str().to_owned(), role == Role::Member));
    view.editors.push(Editor {
        title: "Invite somebody",
        effect: "They get a link with which they make an account of their own. It works once, for seven days.",
        to: "/invitations".to_owned(),
        looks: false,
        fields: vec![("do", "invite".to_owned())],
        inputs: vec![
            line("email", "E-mail", true),
            line("name", "Name", false),
            Input { name: "role", label: "Role in the console", entry: Entry::Choice(roles.to_vec()) },
            line("groups", "Groups, separated by commas", false),
        ],
        button: "Invite",
        harm: false,
    });
    Ok(())
}

fn read(form: &Form) -> Result<NewInvitation, OrderError> {
    let groups = form.value("groups").split(',').map(str::trim).filter(|group| !group.is_empty());
    Ok(NewInvitation {
        email: form.value("email").trim().to_owned(),
        name: Some(form.value("name").to_owned()),
        role: Role::parse(form.value("role")).ok_or_else(|| OrderError::Bad("say which role".to_owned()))?,
        groups: groups.map(str::to_owned).collect(),
    })
}

/// Invites somebody, or takes an invitation back.
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let (desk, form) = Desk::act(&request, payload, &core, &site, "/admin/people").await?;
            let caller = desk.caller(&from);
            let refused = |why: OrderError| desk.refuse("people", &why, "/people");
            match form.value("do") {
                "invite" => {
                    let new = read(&form).map_err(refused)?;
                    let made = invitations::invite(&core, &caller, new).await.map_err(refused)?;
                    let Some(link) = made.link else {
                        return Ok(redirect(&desk.at("/people?done=invited"), None));
                    };
                    // Not in an address, where it would stay in histories and logs.
                    let mut view = desk.blank(
                        "people",
                        "Invited",
                        "No mail is sent here: give them this link yourself. It is not shown again.",
                    );
                    view.facts = vec![
                        fact("For", said(made.invitation.email)),
                        fact("Link", said(link)),
                        fact("Until", at(made.invitation.expires_at)),
                    ];
                    Ok(desk.show(view))
                }
                "revoke" => {
                    let done = invitations::revoke(&core, &caller, form.value("invitation")).await;
                    done.map_err(refused)?;
                    Ok(redirect(&desk.at("/people?done=uninvited"), None))
                }
                _ => Err(desk.missing()),
            }
        }
        .await,
    )
}
