//! `/account/servers`: which servers one may use, and what to tell a client.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::door::person;
use super::page::{Leads, page};
use super::site::Site;
use super::view::{ServerLine, ServersPage};
use crate::flow::connections::is_any;
use crate::flow::core::Core;
use crate::flow::resources;
use crate::types::resource::Resource;
use crate::types::snippet::snippets;
use crate::types::user::Role;

/// Shows them.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    let person = match person(&request, &core, &site).await {
        Ok(person) => person,
        Err(answer) => return answer,
    };
    let (csrf, cookie) = site.anti_forgery(&core, &request);
    let view = ServersPage {
        shell: site.shell.clone(),
        csrf,
        servers: resources::usable(&core, &person.user).iter().map(line).collect(),
        email: person.user.email,
        name: person.user.name,
        administers: person.user.role > Role::Member,
        connects: is_any(&core),
    };
    page(StatusCode::OK, &view, Leads::Here, cookie)
}

fn line(resource: &Resource) -> ServerLine {
    let all = snippets(&resource.name, resource.uri.as_str());
    ServerLine {
        name: resource.name.clone(),
        url: resource.uri.to_string(),
        snippets: all.into_iter().map(|one| (one.client, one.place, one.text)).collect(),
    }
}
