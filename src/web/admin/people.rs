//! `/admin/people`: who can sign in, and everything about one of them.

use actix_web::{HttpRequest, HttpResponse, web};

use super::access::access_table;
use super::audit::audit_table;
use super::cuts::way;
use super::{Desk, STRANGE, Strange, at, choice, either, fact, line, marked, on_or_off, said, table};
use crate::flow::core::{Caller, Core};
use crate::flow::cut::By;
use crate::flow::erase as flow_erase;
use crate::flow::inactivity::Outlook;
use crate::flow::people::OrderError;
use crate::flow::{access as flow_access, access_map, console, inactivity, offboard, people, roles};
use crate::storage::audit::AuditFilter;
use crate::storage::console::PeopleFilter;
use crate::storage::grants::GrantFilter;
use crate::types::cut::Target;
use crate::types::id::UserId;
use crate::types::inactivity::Step;
use crate::types::policy::CONSOLE_PAGE;
use crate::types::user::{Role, User};
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::console::{Act, Cell, Fact, Seek};
use crate::web::view::editor::{Editor, Entry, Input};
use crate::wire::caller::From;

/// What the list may be narrowed by.
fn fields() -> Vec<Seek> {
    let roles = [("member", "member"), ("auditor", "auditor"), ("admin", "admin")];
    vec![
        line("q", "E-mail begins with"),
        choice("role", "Role in the console", "Any", roles),
        choice("state", "State", "Any", [("on", "active"), ("off", "switched off")]),
        line("group", "In the group"),
    ]
}

/// What a page of the list, or its export, is narrowed to.
pub(super) fn filter_of(desk: &Desk<'_>) -> Result<PeopleFilter, Strange> {
    Ok(PeopleFilter {
        prefix: desk.words_of("q").unwrap_or_default(),
        role: desk.named_by("role", Role::parse)?,
        off: desk.named_by("state", on_or_off)?,
        group: desk.words_of("group"),
    })
}

/// Everybody.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let search = desk.search("/people", fields());
            let query = search.query();
            let mut view = desk.blank("people", "People", "Everybody who can sign in here, by e-mail.");
            view.search = Some(search);
            let Ok(filter) = filter_of(&desk) else {
                view.refused = Some(STRANGE);
                return Ok(desk.show(view));
            };
            let found = console::people(&core, filter, desk.asked("after"), CONSOLE_PAGE)
                .await
                .map_err(|cause| desk.fault(&cause))?;
            let mut rows =
                table("", "Nobody is like that.", vec!["Person", "Name", "Role", "Groups", "State"]);
            for user in &found.rows {
                rows.rows.push(vec![
                    desk.named(user.email.clone(), &format!("/people/{}", user.id)),
                    said(user.name.clone().unwrap_or_default()),
                    said(user.role.as_str()),
                    said(user.groups.join(", ")),
                    state(user),
                ]);
            }
            rows.next = found.next.map(|key| desk.further("/people", &query, &pairs(&[("after", &key)])));
            view.exports = desk.exports("people", &query);
            view.tables.push(rows);
            super::invitations::show(&desk, &core, &mut view).await?;
            Ok(desk.show(view))
        }
        .await,
    )
}

/// One of them.
pub async fn get(
    request: HttpRequest,
    id: web::Path<String>,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let id = UserId::parse(&id).ok_or_else(|| desk.missing())?;
            let found = console::person(&core, id).await.map_err(|cause| desk.fault(&cause))?;
            let (user, sessions) = found.ok_or_else(|| desk.missing())?;
            let mut view = desk.blank(
                "people",
                user.email.clone(),
                "What this person can reach, through which apps, and what they did lately.",
            );
            view.facts = vec![
                fact("Name", said(user.name.clone().unwrap_or_else(|| "not given".to_owned()))),
                fact("Role in the console", said(user.role.as_str())),
                fact(
                    "Groups",
                    said(if user.groups.is_empty() { "none".to_owned() } else { user.groups.join(", ") }),
                ),
                fact("State", state(&user)),
                fact(
                    "Second factor",
                    said(if user.second_factor_required { "always needed" } else { "up to them" }),
                ),
                fact("Added", at(user.created_at)),
                way(&desk, &Target::Person(id)),
            ];
            let filter = GrantFilter { user_id: Some(id), ..GrantFilter::default() };
            let (grants, names) = access_map::page(&core, filter, None, CONSOLE_PAGE)
                .await
                .map_err(|cause| desk.fault(&cause))?;
            view.tables.push(access_table(
                &desk,
                "Apps that act for them",
                &grants,
                &names,
                &format!("person={id}"),
            ));
            let effective = roles::effective(&core, &user).await.map_err(|cause| desk.fault(&cause))?;
            view.tables.push(super::who::exactly(&desk, &effective, &names));
            let mut allowed = table(
                "What apps may be allowed on their behalf",
                "No server is protected yet.",
                vec!["Server", "Permissions", "Through"],
            );
            for one in &effective {
                let through: Vec<String> = one
                    .permitted
                    .through
                    .iter()
                    .map(|(role, who)| {
                        format!("{role}, as {}", roles::in_words(who, |_| "this person".to_owned()))
                    })
                    .collect();
                allowed.rows.push(vec![
                    desk.named(one.resource.name.clone(), &format!("/servers/{}", one.resource.id)),
                    said(if one.permitted.at_all {
                        roles::listed(&one.permitted.scopes)
                    } else {
                        "nothing".to_owned()
                    }),
                    said(if one.resource.access_rule.is_open() {
                        "open to everyone".to_owned()
                    } else if through.is_empty() {
                        "no role".to_owned()
                    } else {
                        through.join("; ")
                    }),
                ]);
            }
            view.tables.push(allowed);
            let mut signed_in =
                table("Where they are signed in", "Nowhere.", vec!["Browser", "From", "Since", "Last seen"]);
            for session in &sessions {
                signed_in.rows.push(vec![
                    said(crate::account::browser::in_words(session.user_agent.as_deref())),
                    said(session.address.clone().unwrap_or_default()),
                    desk.ago(Some(session.created_at)),
                    desk.ago(Some(session.last_seen_at)),
                ]);
            }
            view.tables.push(signed_in);
            let filter = AuditFilter { user_id: Some(id), ..AuditFilter::default() };
            let (events, names) = console::events(&core, filter).await.map_err(|cause| desk.fault(&cause))?;
            view.tables.push(audit_table(
                &desk,
                "What happened lately",
                &events,
                &names,
                &format!("person={id}"),
            ));
            if let Some(ahead) = inactivity::of_person(&core, id).await.map_err(|cause| desk.fault(&cause))? {
                view.facts.extend(silence(&ahead));
            }
            view.exports = vec![("evidence of the last 24 hours", desk.evidence(&format!("person={id}")))];
            view.acts = acts(&user);
            view.editors.push(groups_editor(&user));
            Ok(desk.show(view))
        }
        .await,
    )
}

/// Switches off or on, sets the role, signs out.
pub async fn post(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let here = format!("/admin/people/{}", *id);
            let (desk, form) = Desk::act(&request, payload, &core, &site, &here).await?;
            let back = |how: &str| redirect(&format!("{}{here}?{how}", site.shell.base), None);
            let id = UserId::parse(&id).ok_or_else(|| desk.missing())?;
            let found = console::person(&core, id).await.map_err(|cause| desk.fault(&cause))?;
            let (user, _) = found.ok_or_else(|| desk.missing())?;
            let last =
                console::is_last_administrator(&core, &user).await.map_err(|cause| desk.fault(&cause))?;
            let role = Role::parse(form.value("role"));
            let done = match form.value("do") {
                "disable" | "offboard" if last => return Ok(back("refused=last")),
                "role" if last && role != Some(Role::Admin) => return Ok(back("refused=last")),
                "disable" => people::disable(&core, &desk.caller(&from), &user.email).await.map(|_| "off"),
                "enable" => people::enable(&core, &desk.caller(&from), &user.email).await.map(|_| "on"),
                "role" => {
                    let role = role.ok_or_else(|| desk.missing())?;
                    people::set_role(&core, &desk.caller(&from), &user.email, role).await.map(|_| "role")
                }
                "groups" => {
                    let more = [form.value("more").trim()];
                    let all = form.values("group").into_iter().chain(more);
                    let groups = all.filter(|name| !name.is_empty()).map(str::to_owned).collect();
                    match roles::set_groups(&core, &desk.caller(&from), &user.email, groups).await {
                        Err(why @ OrderError::Bad(_)) => {
                            return Err(desk.refuse("people", &why, &format!("/people/{id}")));
                        }
                        done => done.map(|_| "changed"),
                    }
                }
                "second_factor" => {
                    let needed = form.value("second_factor") == "required";
                    people::require_second_factor(&core, &desk.caller(&from), &user.email, needed)
                        .await
                        .map(|_| "changed")
                }
                "offboard" => {
                    let reason = form.value("reason").trim().to_owned();
                    if reason.is_empty() {
                        return Ok(back("refused=reason"));
                    }
                    let by = By::person(&desk.person.user);
                    match offboard::offboard(&core, &desk.caller(&from), by, id, reason).await {
                        // The cut's page shows what it hit, and whether any of it is still accepted anywhere.
                        Ok(left) => {
                            let to = format!("/cut/{}?done=offboarded", left.cut.id);
                            return Ok(redirect(&desk.at(&to), None));
                        }
                        Err(why) => Err(why),
                    }
                }
                "erase" => return erase(&desk, &desk.caller(&from), &user, form.value("email")).await,
                "revoke" => {
                    let filter = GrantFilter { user_id: Some(id), ..GrantFilter::default() };
                    let ended =
                        flow_access::revoke(&core, &desk.caller(&from), filter, "administrator").await;
                    ended.map(|_| "ended").map_err(OrderError::from)
                }
                _ => return Err(desk.missing()),
            };
            match done {
                Ok(code) => Ok(back(&format!("done={code}"))),
                Err(OrderError::Fault(cause)) => Err(desk.fault(&cause)),
                Err(_) => Ok(back("refused=gone")),
            }
        }
        .await,
    )
}

fn groups_editor(user: &User) -> Editor {
    Editor {
        title: "Groups",
        effect: "What they had through a group they are not in any more ends at once.",
        to: format!("/people/{}", user.id),
        looks: false,
        fields: vec![("do", "groups".to_owned())],
        inputs: vec![
            Input {
                name: "group",
                label: "Groups they stay in",
                entry: Entry::Boxes(
                    user.groups.iter().map(|name| (name.clone(), name.clone(), true)).collect(),
                ),
            },
            Input { name: "more", label: "One more group", entry: Entry::Line(String::new(), false) },
        ],
        button: "Save",
        harm: true,
    }
}

/// What the inactivity rule has done, and does next.
fn silence(ahead: &Outlook) -> Vec<Fact> {
    let mut facts = vec![fact("Last sign of life", at(ahead.last_at))];
    let note = ahead.note.as_ref();
    facts.extend(note.map(|note| fact("Warned of inactivity", at(note.warned_at))));
    facts.extend(note.and_then(|note| note.disabled_at).map(|off| fact("Off for inactivity", at(off))));
    facts.extend(ahead.next.filter(|_| !ahead.spared).map(|(step, when)| match step {
        Step::Warn => fact("A warning is due", at(when)),
        Step::Disable => fact("Switched off by itself", at(when)),
        Step::Revoke => fact("Approvals end by themselves", at(when)),
    }));
    facts
}

/// Erases a person whose address was typed once more.
async fn erase(
    desk: &Desk<'_>,
    caller: &Caller,
    user: &User,
    typed: &str,
) -> Result<HttpResponse, HttpResponse> {
    let here = format!("/people/{}", user.id);
    if typed.trim().to_lowercase() != user.email.to_lowercase() {
        return Ok(redirect(&desk.at(&format!("{here}?refused=confirm")), None));
    }
    match flow_erase::erase(desk.core, caller, By::person(&desk.person.user), user.id).await {
        Ok(_) => Ok(redirect(&desk.at("/people?done=erased"), None)),
        Err(OrderError::Fault(cause)) => Err(desk.fault(&cause)),
        Err(OrderError::Bad(_)) => Ok(redirect(&desk.at(&format!("{here}?refused=last")), None)),
        Err(_) => Ok(redirect(&desk.at("/people?refused=gone"), None)),
    }
}

fn state(user: &User) -> Cell {
    if user.disabled_at.is_some() { marked("switched off", "harm") } else { marked("active", "good") }
}

fn acts(user: &User) -> Vec<Act> {
    let to = format!("/people/{}", user.id);
    let act = |title, effect: String, what: &str, button, harm| Act {
        title,
        effect,
        to: to.clone(),
        fields: vec![("do", what.to_owned())],
        choice: None,
        asks: None,
        button,
        harm,
    };
    let switch = if user.disabled_at.is_some() {
        act(
            "Switch on",
            format!("{} can sign in again; apps keep the access they had.", user.email),
            "enable",
            "Switch on",
            false,
        )
    } else {
        act(
            "Switch off",
            format!(
                "{} is signed out everywhere and cannot sign in; every app stops acting for them. Approvals stay for the day they come back.",
                user.email
            ),
            "disable",
            "Switch off",
            true,
        )
    };
    let roles = [Role::Member, Role::Auditor, Role::Admin]
        .map(|role| (role.as_str().to_owned(), role.as_str().to_owned(), role == user.role));
    vec![
        switch,
        act(
            "End every app’s access",
            "All approvals of this person end; each app has to ask again.".to_owned(),
            "revoke",
            "End access",
            true,
        ),
        Act {
            choice: Some(("role", "Role", roles.to_vec())),
            ..act(
                "Change the role",
                "Members look after their own access, auditors see everything, administrators change everything.".to_owned(),
                "role",
                "Change",
                false,
            )
        },
        Act {
            choice: Some((
                "second_factor",
                "Second factor",
                vec![
                    ("optional".to_owned(), "up to them".to_owned(), !user.second_factor_required),
                    ("required".to_owned(), "always needed".to_owned(), user.second_factor_required),
                ],
            )),
            ..act(
                "Second factor",
                "Whether they need one at every sign-in. Without one of their own yet, they set one up at the next.".to_owned(),
                "second_factor",
                "Save",
                false,
            )
        },
        Act {
            asks: Some(("reason", "Why, for the log")),
            ..act(
                "Offboard",
                format!(
                    "{} is switched off and signed out everywhere; every approval, token, password, passkey and second factor ends, also at the servers that they had connected. The page after it shows what they could reach.",
                    user.email
                ),
                "offboard",
                "Offboard",
                true,
            )
        },
        Act {
            asks: Some(("email", "Their e-mail address, to be sure")),
            ..act(
                "Erase",
                "Everything of this person ends and goes: the account, approvals, sign-ins, passkeys, and address and detail of every audit record that concerns or names them. The log stays provable. There is no way back.".to_owned(),
                "erase",
                "Erase for good",
                true,
            )
        },
    ]
}

/// A query of an address.
pub(super) fn pairs(all: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish()
}
