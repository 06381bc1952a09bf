//! The Cedar policies of a server behind the gateway, on its page.

use super::{marked, said, table};
use crate::flow::cedar;
use crate::flow::core::{Caller, Core};
use crate::flow::gateway::Route;
use crate::flow::people::OrderError;
use crate::types::resource::Resource;
use crate::web::door::Form;
use crate::web::view::console::{Act, ConsolePage};
use crate::web::view::editor::{Editor, Entry, Input};

/// Adds the policies, and what one can do about them; nothing where the server is not behind the gateway.
pub(super) fn show(view: &mut ConsolePage, core: &Core, resource: &Resource, route: Option<&Route>) {
    let Some(route) = route else { return };
    let mut rows = table(
        "Policies in Cedar",
        "There is none: permissions, classes of tools and rules decide alone.",
        vec!["Name", "What it does", "Policy"],
    );
    if let Some(policies) = &route.cedar {
        if let Some(problem) = policies.problem() {
            let cannot = marked("cannot be read: every call is refused", "harm");
            rows.rows.push(vec![said(problem), cannot, said(policies.text())]);
        }
        for policy in policies.each() {
            let does = if policy.forbids { marked("forbids", "harm") } else { marked("permits", "good") };
            rows.rows.push(vec![said(policy.name), does, said(policy.text)]);
        }
        for warning in cedar::warnings(core, resource, policies.text()) {
            rows.rows.push(vec![marked("look again", "care"), said(warning), said("")]);
        }
    }
    view.tables.push(rows);
    let to = format!("/servers/{}", resource.id);
    if route.cedar.is_some() {
        view.acts.push(Act {
            title: "Remove the policies in Cedar",
            effect: "Permissions, classes of tools and rules decide alone then.".to_owned(),
            to: to.clone(),
            fields: vec![("do", "remove_cedar".to_owned())],
            choice: None,
            asks: None,
            button: "Remove",
            harm: true,
        });
    }
    let text = route.cedar.as_ref().map(|policies| policies.text().to_owned()).unwrap_or_default();
    view.editors.push(Editor {
        title: "Policies in Cedar",
        effect: "They only take away, from the next call on: a call that everything else lets through has to be permitted by one of them and \
                 forbidden by none. One that cannot be judged is refused.",
        to,
        looks: false,
        fields: vec![("do", "set_cedar".to_owned())],
        inputs: vec![Input { name: "policies", label: "All of them", entry: Entry::Text(text) }],
        button: "Set the policies",
        harm: true,
    });
}

/// Sets or removes them.
pub(super) async fn change(
    core: &Core,
    caller: &Caller,
    resource: &Resource,
    form: &Form,
) -> Result<&'static str, OrderError> {
    let uri = resource.uri.as_str();
    if form.value("do") == "remove_cedar" {
        cedar::remove(core, caller, uri).await?;
        return Ok("changed");
    }
    // A browser sends each end of a line as two characters.
    let policies = form.value("policies").replace("\r\n", "\n");
    cedar::set(core, caller, uri, policies).await?;
    Ok("changed")
}
