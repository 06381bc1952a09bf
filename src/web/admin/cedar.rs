//! Policies in Cedar on the page of a server behind the gateway.

use super::{fact, marked, said};
use crate::flow::cedar::{self, Written};
use crate::flow::core::{Caller, Core};
use crate::flow::gateway::Route;
use crate::flow::people::OrderError;
use crate::types::resource::Resource;
use crate::web::door::Form;
use crate::web::view::console::ConsolePage;
use crate::web::view::editor::{Editor, Entry, Input};

/// Adds what there is of them, and the forms; nothing where the server is not behind the gateway.
pub(super) fn show(
    view: &mut ConsolePage,
    resource: &Resource,
    route: Option<&Route>,
    written: Option<Written>,
) {
    let Some(route) = route else { return };
    let state = match route.policies() {
        None => said("none: everything else decides alone"),
        Some(true) => said("what everything else allows has to be permitted by them, too"),
        Some(false) => marked("they cannot be read by this version: nothing goes through", "harm"),
    };
    view.facts.push(fact("Policies in Cedar", state));
    let to = format!("/servers/{}", resource.id);
    let is_set = written.is_some();
    view.editors.push(Editor {
        title: "Policies in Cedar",
        effect: "For what rules cannot say. They only take away, from the next call on: what nothing permits is refused, and so is a call about which a \
                 policy cannot be decided. Begin with permit(principal, action, resource); and add what is forbidden.",
        to: to.clone(),
        looks: false,
        fields: vec![("do", "set_cedar".to_owned())],
        inputs: vec![Input {
            name: "policies",
            label: "Policies",
            entry: Entry::Text(written.map(|written| written.text).unwrap_or_default()),
        }],
        button: "Set the policies",
        harm: true,
    });
    if is_set {
        view.editors.push(Editor {
            title: "Remove the policies in Cedar",
            effect: "Permissions, classes and rules decide alone from the next call on.",
            to,
            looks: false,
            fields: vec![("do", "remove_cedar".to_owned())],
            inputs: Vec::new(),
            button: "Remove the policies",
            harm: true,
        });
    }
}

/// Sets or removes them.
pub(super) async fn change(
    core: &Core,
    caller: &Caller,
    uri: &str,
    form: &Form,
) -> Result<&'static str, OrderError> {
    if form.value("do") == "remove_cedar" {
        return cedar::remove(core, caller, uri).await.map(|_| "changed");
    }
    let text = form.value("policies").replace("\r\n", "\n");
    cedar::set(core, caller, uri, text).await.map(|_| "changed")
}
