//! The document that describes the API (OpenAPI 3.1), made from the same values that answer it.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operation::{Kind, Operation, Query, Shape, Verb, shape};
use super::operations;
use super::problem::Details;
use crate::flow::core::Core;
use crate::types::admin::{ADMIN_API, Permission};
use crate::types::policy::{API_PAGE, MAX_API_PAGE, MAX_API_SPAN, MAX_API_TEXT, MAX_IDEMPOTENCY_KEY};

/// `GET /admin/api/v1/openapi.json`
pub async fn document(core: web::Data<Core>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=60")).json(describe(&core))
}

fn describe(core: &Core) -> Value {
    let place = "/components/schemas".to_owned();
    let settings = || {
        SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = place.clone().into();
            settings.meta_schema = None;
        })
    };
    let mut asks = settings().for_deserialize().into_generator();
    let mut answers = settings().for_serialize().into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations() {
        let described = one(operation, &mut asks, &mut answers);
        let path = paths.entry(operation.path.to_owned()).or_insert_with(|| json!({}));
        if let Some(members) = path.as_object_mut() {
            members.insert(operation.verb.as_str().to_lowercase(), described);
        }
    }
    let mut schemas = asks.take_definitions(true);
    schemas.extend(answers.take_definitions(true));
    let issuer = &core.policy.issuer;
    let scopes: Map<String, Value> =
        Permission::ALL.iter().map(|one| (one.as_str().to_owned(), one.words().into())).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Postern’s admin API",
            "version": "1",
            "description": "Everything that the console shows and does. Tokens come from this issuer, for the resource named as the server below; only clients that an administrator has added may ask for one.",
        },
        "servers": [{ "url": issuer.url(ADMIN_API) }],
        "security": [{ "oauth": Permission::ALL.map(Permission::as_str) }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "oauth": { "type": "oauth2", "flows": {
                "clientCredentials": { "tokenUrl": issuer.url("/token"), "scopes": scopes },
                "authorizationCode": {
                    "authorizationUrl": issuer.url("/authorize"), "tokenUrl": issuer.url("/token"), "scopes": scopes,
                },
            } } },
        },
    })
}

fn one(operation: &Operation, asks: &mut SchemaGenerator, answers: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = operation
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }))
        .collect();
    parameters.extend(operation.query.iter().map(parameter));
    if operation.does() {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "A repeat with the same key within a day does nothing and gets the same answer.",
            "schema": { "type": "string", "pattern": format!("^[!-~]{{1,{MAX_IDEMPOTENCY_KEY}}}$") },
        }));
    }
    let mut responses = Map::new();
    let (status, done) = operation.done;
    let mut fine = json!({ "description": "Done." });
    if let Some(shape) = done {
        put(&mut fine, "content", json!({ "application/json": { "schema": shape(answers) } }));
    }
    responses.insert(status.to_string(), fine);
    let refused: Shape = shape::<Details>;
    let problem = json!({ "application/problem+json": { "schema": refused(answers) } });
    let mut refuse = |status: &str, words: &str| {
        responses.insert(status.to_owned(), json!({ "description": words, "content": problem }));
    };
    refuse("400", "What was sent does not fit.");
    refuse("401", "There is no token, or it does not count.");
    refuse("403", "The token, or the person’s role, does not go so far.");
    refuse("500", "A mistake of the server.");
    refuse("503", "Not right now; try again soon.");
    let names = operation.query.iter().any(|known| matches!(known.kind, Kind::Id));
    if operation.path.contains('{') || operation.body.is_some() || names {
        refuse("404", "There is nothing of that name.");
    }
    if operation.verb != Verb::Get {
        refuse("409", "It does not go with what is there.");
    }
    if operation.verb != Verb::Get || !operation.query.is_empty() {
        refuse("422", "It can be read and cannot be done as it stands.");
    }
    if operation.body.is_some() {
        refuse("413", "The body is larger than 64 KiB.");
        refuse("415", "The body is not application/json.");
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.about,
        "tags": [operation.path.split('/').nth(1).unwrap_or_default()],
        "security": [{ "oauth": [operation.needs.as_str()] }],
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(shape) = operation.body {
        let content = json!({ "application/json": { "schema": shape(asks) } });
        put(&mut described, "requestBody", json!({ "required": true, "content": content }));
    }
    described
}

fn parameter(query: &Query) -> Value {
    let schema = match query.kind {
        // What `Params` takes: no control characters.
        Kind::Text => json!({
            "type": "string", "maxLength": MAX_API_TEXT, "pattern": r"^[^\u0000-\u001f\u007f-\u009f\ufffd]*$",
        }),
        Kind::Cursor => json!({ "type": "string", "maxLength": MAX_API_TEXT, "pattern": "^[A-Za-z0-9_-]+$" }),
        Kind::Seconds => json!({ "type": "integer", "minimum": 0, "maximum": MAX_API_SPAN.as_secs() }),
        Kind::Id => json!({ "type": "string", "format": "uuid" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Moment => json!({ "type": "string", "format": "date-time" }),
        Kind::OneOf(names) => json!({ "type": "string", "enum": names() }),
        Kind::Limit => {
            json!({ "type": "integer", "minimum": 1, "maximum": MAX_API_PAGE, "default": API_PAGE })
        }
    };
    json!({ "name": query.name, "in": "query", "required": false, "description": query.about, "schema": schema })
}

/// What a parameter should be, in words.
pub fn expected(kind: Kind) -> String {
    match kind {
        Kind::Text => format!("text of at most {MAX_API_TEXT} characters"),
        Kind::Seconds => format!("seconds, at most {}", MAX_API_SPAN.as_secs()),
        Kind::Cursor => "the next_cursor of a page".to_owned(),
        Kind::Id => "a UUID".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Moment => "a moment such as 2026-11-24T10:00:00Z".to_owned(),
        Kind::OneOf(names) => format!("one of {}", names().join(", ")),
        Kind::Limit => format!("a number from 1 to {MAX_API_PAGE}"),
    }
}

fn put(value: &mut Value, member: &str, content: Value) {
    if let Value::Object(members) = value {
        members.insert(member.to_owned(), content);
    }
}
