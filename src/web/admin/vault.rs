//! What the gateway shows to a server behind it, set and forgotten in the console. It is never shown again.

use crate::flow::core::{Caller, Core};
use crate::flow::gateway::Route;
use crate::flow::people::OrderError;
use crate::flow::vault::{self, NewCredential};
use crate::types::resource::Resource;
use crate::types::secret::Secret;
use crate::web::door::Form;
use crate::web::view::editor::{Editor, Entry, Input};

/// The forms. A server that is run here has its secrets in its environment, several at once: that is for the command line.
pub(super) fn editors(resource: &Resource, route: Option<&Route>) -> Vec<Editor> {
    if !vault::is_shown_a_header(resource) {
        return Vec::new();
    }
    let option = |value: &str, words: &str, present| (value.to_owned(), words.to_owned(), present);
    let to = format!("/servers/{}", resource.id);
    let shows = route.and_then(Route::shows).is_some();
    let mut all = vec![Editor {
        title: "Change what the server is shown",
        effect: if shows {
            "It takes the place of the old key from the next call on. It is kept encrypted, and nobody sees it again."
        } else {
            "The server is shown it from the next call on. It is kept encrypted, and nobody sees it again."
        },
        to: to.clone(),
        looks: false,
        fields: vec![("do", "show_key".to_owned())],
        inputs: vec![
            Input {
                name: "kind",
                label: "How it is shown",
                entry: Entry::Choice(vec![
                    option("bearer", "Authorization: Bearer, the usual way", true),
                    option("basic", "Authorization: Basic, with a user name", false),
                    option("header", "a header of its own", false),
                ]),
            },
            Input {
                name: "name",
                label: "The user name, or the header’s name",
                entry: Entry::Line(String::new(), false),
            },
            Input { name: "key", label: "The key or password", entry: Entry::Secret(true) },
        ],
        button: "Keep it",
        harm: shows,
    }];
    if shows {
        all.push(Editor {
            title: "Forget what the server is shown",
            effect: "The server is shown nothing from the next call on. A key that was copied elsewhere lives on: end it where it was made.",
            to,
            looks: false,
            fields: vec![("do", "forget_key".to_owned())],
            inputs: Vec::new(),
            button: "Forget it",
            harm: true,
        });
    }
    all
}

/// Keeps, or forgets.
pub(super) async fn change(
    core: &Core,
    caller: &Caller,
    uri: &str,
    form: &Form,
) -> Result<&'static str, OrderError> {
    if form.value("do") == "forget_key" {
        return vault::clear(core, caller, uri).await.map(|_| "changed");
    }
    let name = form.value("name").trim().to_owned();
    let key = Secret::new(form.value("key").trim().to_owned());
    let new = match form.value("kind") {
        "bearer" if name.is_empty() => NewCredential::Bearer(key),
        "bearer" => {
            return Err(OrderError::Bad("a name is only for Basic, and for a header of its own".to_owned()));
        }
        "basic" | "header" if name.is_empty() => {
            return Err(OrderError::Bad("say the user name, or the header’s name".to_owned()));
        }
        "basic" => NewCredential::Basic(name, key),
        "header" => NewCredential::Header(name, key),
        _ => return Err(OrderError::Bad("say how the key is shown".to_owned())),
    };
    vault::set(core, caller, uri, new).await.map(|_| "changed")
}
