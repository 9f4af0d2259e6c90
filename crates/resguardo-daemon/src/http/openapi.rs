//! The description of the API, from the one table of routes: OpenAPI 3.1.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::answer::{Answer, json_of};
use super::ask::Ask;
use super::route::{self, Needs, Place, Route, Surface, Way};

/// Where it lies.
pub(super) const PATH: &str = "/api/v1/openapi.json";

/// The description.
pub(super) fn answer(ask: &Ask) -> Answer {
    json_of(&describe(&ask.state.house.version))
}

/// The description of every route of the API.
pub(super) fn describe(version: &str) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in route::all().filter(|route| route.surface == Surface::Api) {
        let way = match route.way {
            Way::Get => "get",
            Way::Post => "post",
        };
        let operations = paths.entry(route.path).or_default();
        operations.insert(way.to_owned(), operation(route));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Resguardo",
            "version": version,
            "description": "What the pages show and do. Times are RFC 3339 in UTC, lengths are in seconds, sizes in bytes. Fields may be added; none changes its meaning.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "`resguardo tokens add NAME --scope read|operate|admin`" },
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": { "error": {
                        "type": "object",
                        "required": ["kind", "message", "hint"],
                        "properties": {
                            "kind": { "type": "string" },
                            "message": { "type": "string" },
                            "hint": { "type": "string", "description": "what to do about it; may be empty" },
                        },
                    } },
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let parameters: Vec<Value> = route
        .fields
        .iter()
        .filter_map(|field| {
            let place = match field.place {
                Place::Path => "path",
                Place::Query => "query",
                Place::Body => return None,
            };
            Some(json!({
                "name": field.name,
                "in": place,
                "required": field.needed,
                "description": field.about,
                "schema": { "type": "string" },
            }))
        })
        .collect();
    let mut operation = json!({
        "operationId": name(route),
        "summary": route.about,
        "parameters": parameters,
        "responses": {
            "200": { "description": "done", "content": { media_type(route): {} } },
            "default": {
                "description": "why not",
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
            },
        },
    });
    let scope = match route.needs {
        Needs::Nothing => None,
        Needs::Here => Some("read"),
        Needs::Role(role) => Some(role.scope()),
    };
    if let Some(scope) = scope {
        operation["security"] = json!([{ "token": [scope] }]);
        operation["description"] = json!(format!("Needs a token of the scope `{scope}`."));
    }
    if let Some(body) = body(route) {
        operation["requestBody"] = body;
    }
    operation
}

fn body(route: &Route) -> Option<Value> {
    let fields = || {
        route
            .fields
            .iter()
            .filter(|field| field.place == Place::Body)
    };
    if route.way != Way::Post {
        return None;
    }
    let required: Vec<&str> = fields()
        .filter(|field| field.needed)
        .map(|field| field.name)
        .collect();
    let properties: Map<String, Value> = fields()
        .map(|field| {
            let property =
                json!({ "type": ["string", "boolean", "number"], "description": field.about });
            (field.name.to_owned(), property)
        })
        .collect();
    Some(json!({
        "required": !required.is_empty(),
        "content": { "application/json": { "schema": {
            "type": "object",
            "required": required,
            "properties": properties,
        } } },
    }))
}

fn media_type(route: &Route) -> &'static str {
    match route.path {
        "/events" => "text/event-stream",
        "/healthz" | "/readyz" => "text/plain",
        "/metrics" => "application/openmetrics-text",
        _ => "application/json",
    }
}

/// `get_sources_name`: the way and the parts of the path.
fn name(route: &Route) -> String {
    let way = match route.way {
        Way::Get => "get",
        Way::Post => "post",
    };
    let path = route.path.strip_prefix("/api/v1").unwrap_or(route.path);
    let parts = path.split(['/', '.']).filter(|part| !part.is_empty());
    let words = parts.map(|part| part.trim_matches(['{', '}']));
    std::iter::once(way)
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}
