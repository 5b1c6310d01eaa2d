//! Members and their roles.

use actix_web::{
    HttpRequest,
    web::{self, Bytes, Data, Path, ServiceConfig},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Simulated, body, message, ok, trouble};
use crate::simulator::{
    refusal::Refusal,
    role::Role,
    world::{Credential, Person, parse_id},
};

pub(super) fn routes(app: &mut ServiceConfig) {
    app.route("/{project}/members", web::get().to(list))
        .route("/{project}/members/{member}", web::delete().to(remove))
        .route("/{project}/members/{member}/scopes", web::get().to(scopes))
        .route(
            "/{project}/members/{member}/scopes",
            web::put().to(set_scope),
        );
}

#[derive(Deserialize)]
struct NewScope {
    scope: String,
}

/// What is absent is left out, not null.
pub(super) fn person_to_json(person: &Person) -> Map<String, Value> {
    let names = [
        ("first_name", &person.first_name),
        ("last_name", &person.last_name),
    ];
    let mut object = Map::new();
    object.insert("member_id".to_owned(), json!(person.id));
    object.insert("email".to_owned(), json!(person.email));
    for (field, name) in names {
        if let Some(name) = name {
            object.insert(field.to_owned(), json!(name));
        }
    }
    object
}

/// The role with this name on the wire.
pub(super) fn parse_role(scope: &str) -> Result<Role, Refusal> {
    let why = "scope must be either 'member', 'admin' or 'owner'.";
    Role::parse(scope).ok_or_else(|| Refusal::Invalid(why.to_owned()))
}

async fn list(
    state: Data<Simulated>,
    who: Credential,
    project: Path<String>,
    request: HttpRequest,
) -> Answer {
    let world = state.world();
    let caller = world.enter(&who, &project)?;
    caller.must("members:read")?;
    let members = &world.project(&caller)?.members;
    let visible = members
        .iter()
        .filter(|member| caller.rights.may(&member.role.permission("read")));
    let mut items: Vec<_> = visible
        .map(|member| {
            let mut item = person_to_json(&member.person);
            item.insert("scopes".to_owned(), json!([member.role.label()]));
            item
        })
        .collect();
    items.truncate(items.len().saturating_sub(trouble(&request).drop_members));
    ok(&json!({ "members": items }))
}

async fn remove(
    state: Data<Simulated>,
    who: Credential,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Answer {
    let mut world = state.world();
    let caller = world.enter(&who, &path.0)?;
    let keeps_keys = trouble(&request).keep_keys;
    world.remove_member(&caller, parse_id(&path.1)?, keeps_keys)?;
    message("Successfully removed account from project.")
}

async fn scopes(state: Data<Simulated>, who: Credential, path: Path<(String, String)>) -> Answer {
    let world = state.world();
    let caller = world.enter(&who, &path.0)?;
    let member = world.project(&caller)?.member(parse_id(&path.1)?);
    let role = member.ok_or(Refusal::NotFound("member"))?.role;
    caller.must(&role.permission("read:scopes"))?;
    ok(&json!({ "scopes": [role.label()] }))
}

async fn set_scope(
    state: Data<Simulated>,
    who: Credential,
    path: Path<(String, String)>,
    bytes: Bytes,
) -> Answer {
    let mut world = state.world();
    let caller = world.enter(&who, &path.0)?;
    let new: NewScope = body(&bytes)?;
    world.set_role(&caller, parse_id(&path.1)?, parse_role(&new.scope)?)?;
    message("Successfully updated the account scopes.")
}
