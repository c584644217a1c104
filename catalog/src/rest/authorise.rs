//! What a caller may do: each route says what it takes, and one that says nothing takes more than any user has.
//!
//! Nodes, operators and callers of an open catalog are not looked at, nor users before the first grant is made where grants bind from
//! then on. What a user may not know of is answered as what is not there is (404); what they know of and lack a privilege on is refused
//! (403). Where nothing was granted to anybody, all is refused as that, there or not. Listings hold what one may see.

mod marks;
mod rules;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use uuid::Uuid;

use self::rules::{Need, On, Rule};
use super::authenticate::{Caller, LetIn};
use super::extract::reads_in_one_way;
use crate::command::{Ident, TableRef};
use crate::commit::Retention;
use crate::error::{CatalogError, Result};
use crate::names::parse_namespace;
use crate::policy::{access_in, object};
use crate::service::Service;
use crate::state::State as CatalogState;
use tidewater_core::limits::REST_BODY_BYTES_MAX;
use tidewater_security::{Access, Principal, Privilege, Readable, Resource, SecurityError};

/// Somebody whom grants bind.
struct Bound {
    user: Principal,
    access: Arc<Access>,
}

tokio::task_local! {
    /// The caller of the request at work; unset where no grant binds.
    static BOUND: Bound;
}

/// Whether the caller of the request at work may know of a namespace.
pub(super) fn sees_namespace(levels: &[String]) -> bool {
    let sees = BOUND.try_with(|caller| caller.access.sees_namespace(levels));
    sees.unwrap_or(true)
}

/// Whether the caller of the request at work may know of a table or view.
pub(super) fn sees_object(name: &Ident) -> bool {
    let sees = BOUND.try_with(|caller| caller.access.sees_object(&name.namespace, &name.name));
    sees.unwrap_or(true)
}

/// Whether the caller of the request at work may be given what changes a table's files: everything that writing may take.
pub(crate) fn may_write_files(name: &Ident) -> bool {
    let may = BOUND.try_with(|caller| {
        let on = caller.access.on_object(&name.namespace, &name.name, None);
        WRITES.into_iter().all(|one| on.has(one))
    });
    may.unwrap_or(true)
}

/// Refuses the caller of the request at work a place of their own choice, if a grant binds them and none lets them do everything: whoever
/// has a location has what lies there, and what will.
pub(super) fn may_choose_place() -> Result<()> {
    let may = BOUND.try_with(|caller| match caller.access.on_warehouse().has(Privilege::Admin) {
        true => Ok(()),
        false => Err(denied(&caller.user, Privilege::Admin, OWN_PLACE)),
    });
    may.unwrap_or(Ok(()))
}

/// What a location takes that the catalog would not choose.
const OWN_PLACE: &str = "the warehouse, as a location of one's own choice takes";

/// Who says what main of a table keeps, of a commit by the caller of the request at work.
pub(super) fn retention(name: &Ident) -> Retention {
    let kept = BOUND.try_with(|caller| {
        let on = caller.access.on_object(&name.namespace, &name.name, None);
        (!on.has(Privilege::Alter)).then(|| caller.user.name.clone())
    });
    match kept.unwrap_or(None) {
        Some(from) => Retention::Kept { from },
        None => Retention::Told,
    }
}

/// What lets somebody change files of a table in any way.
const WRITES: [Privilege; 3] = [Privilege::Insert, Privilege::Update, Privilege::Delete];

/// Lets a request through to its route if its caller may do what the route does.
pub(crate) async fn authorise(State(service): State<Arc<Service>>, request: Request, next: Next) -> Result<Response> {
    let mut user = match (request.extensions().get::<Caller>(), &service.authorizer) {
        (Some(Caller::User(user)), Some(_)) => user.clone(),
        _ => return Ok(next.run(request).await),
    };
    let Some(authorizer) = &service.authorizer else {
        return Ok(next.run(request).await);
    };
    // An unknown route is answered as such.
    let Some(route) = request.extensions().get::<MatchedPath>().cloned() else {
        return Ok(next.run(request).await);
    };
    if rules::OF_EVERYBODY.contains(&route.as_str()) {
        return Ok(next.run(request).await);
    }
    // What was just granted, or taken back, or made, counts, also for what the answer holds.
    let state = service.fresh_state().await?;
    let let_in = request.extensions().get::<LetIn>().cloned();
    if let Some(let_in) = let_in {
        user = let_in.again(user, authorizer, &state).await?;
    }
    let access = access_in(authorizer, &state, &user);
    if access.is_everything() {
        return Ok(next.run(request).await);
    }
    let (mut parts, body) = request.into_parts();
    let place = Place::of(&mut parts, &service).await?;
    let Some(rule) = rules::of(&parts.method, route.as_str()) else {
        return Err(denied(&user, Privilege::Admin, "the catalog's internal calls"));
    };
    let (needs, body) = match rule {
        Rule::Nothing => (Vec::new(), body),
        Rule::Needs(needs) => (needs.iter().map(|need| (*need, place.clone())).collect(), body),
        Rule::Body(read) => {
            let bytes = axum::body::to_bytes(body, REST_BODY_BYTES_MAX).await;
            let bytes = bytes.map_err(|_| CatalogError::TooLarge {
                what: "the request's body",
                limit: REST_BODY_BYTES_MAX,
            })?;
            let needs = match reads_in_one_way(&bytes)? {
                true => read(&place, &bytes),
                false => rules::everything(),
            };
            (needs, Body::from(bytes))
        }
    };
    let mut makes = Vec::new();
    for (need, place) in &needs {
        match need.makes() {
            true => makes.push(place.clone()),
            false => check(&state, &access, &user, *need, place)?,
        }
    }
    let request = Request::from_parts(parts, body);
    let bound = Bound {
        user: user.clone(),
        access: Arc::clone(&access),
    };
    let response = BOUND.scope(bound, next.run(request)).await;
    let made = response.extensions().get::<Made>().cloned();
    if let Some(made) = made {
        for place in &makes {
            give(&service, &access, &user, place, &made).await?;
        }
    }
    Ok(response)
}

/// Put on the answer to a request that made something: what that was. What bears its name may be another's by now, as an answer is given
/// again to who repeats the request.
#[derive(Debug, Clone)]
pub(super) enum Made {
    /// The namespace that it names.
    Namespace,
    /// Those of these tables and views that it names.
    Objects(Vec<Uuid>),
}

impl Made {
    /// What a commit made or moved.
    pub(super) fn by(committed: &[TableRef]) -> Self {
        Self::Objects(committed.iter().map(|one| one.id).collect())
    }

    /// The answer that tells it.
    pub(super) fn told_with(self, mut answer: Response) -> Response {
        answer.extensions_mut().insert(self);
        answer
    }
}

/// What a request is about.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    namespace: Vec<String>,
    name: Option<String>,
}

impl Place {
    /// By the path. Names that cannot be are the route's to refuse.
    async fn of(parts: &mut Parts, service: &Arc<Service>) -> Result<Self> {
        let Ok(names) = RawPathParams::from_request_parts(parts, service).await else {
            return Ok(Self::default());
        };
        let mut place = Self::default();
        for (key, value) in &names {
            match key {
                "namespace" => place.namespace = parse_namespace(value).unwrap_or_default(),
                "table" | "view" => place.name = Some(value.to_owned()),
                _ => {}
            }
        }
        Ok(place)
    }

    fn ident(&self) -> Ident {
        Ident {
            namespace: self.namespace.clone(),
            name: self.name.clone().unwrap_or_default(),
        }
    }
}

/// Refuses what the caller may not do, in the words for what is not there if they may not know of it.
fn check(state: &CatalogState, access: &Access, user: &Principal, need: Need, place: &Place) -> Result<()> {
    if access.is_nothing_yet() {
        return Err(SecurityError::NothingGranted.into());
    }
    match need.on {
        On::Warehouse => allowed(access.on_warehouse().has(need.privilege), || {
            denied(user, need.privilege, "the warehouse")
        }),
        On::Marks => allowed(access.on_warehouse().has(need.privilege), || {
            denied(
                user,
                need.privilege,
                "the warehouse, which what ingest and models mark their tables with takes",
            )
        }),
        On::Namespace => {
            let levels = &place.namespace;
            let missing = || CatalogError::NoSuchNamespace {
                namespace: levels.join("."),
            };
            if levels.is_empty() {
                return allowed(access.on_warehouse().has(need.privilege), || {
                    denied(user, need.privilege, "the warehouse")
                });
            }
            allowed(access.sees_namespace(levels), missing)?;
            let has = need.privilege == Privilege::Usage || access.on_namespace(levels).has(need.privilege);
            allowed(has, || {
                denied(user, need.privilege, &format!("schema {}", levels.join(".")))
            })
        }
        On::Table | On::View => {
            let name = place.ident();
            let missing = || match need.on {
                On::View => CatalogError::NoSuchView { view: name.clone() },
                _ => CatalogError::NoSuchTable { table: name.clone() },
            };
            allowed(access.sees_object(&name.namespace, &name.name), missing)?;
            let found = object(state, name.clone()).ok().map(|row| row.pointer.uuid);
            // What comes to bear the name until the route looks was granted to nobody by that name.
            let uuid = Some(found.unwrap_or_default());
            let (levels, of) = (&name.namespace, &name.name);
            let has = match need.privilege {
                // Files have all columns, and so has what a table's metadata tells.
                Privilege::Select => access.readable(levels, of, uuid) == Readable::All,
                Privilege::Usage => true,
                one => access.on_object(levels, of, uuid).has(one),
            };
            match found {
                Some(_) => allowed(has, || denied(user, need.privilege, &name.to_string())),
                None => allowed(has, missing),
            }
        }
    }
}

fn allowed(has: bool, otherwise: impl FnOnce() -> CatalogError) -> Result<()> {
    match has {
        true => Ok(()),
        false => Err(otherwise()),
    }
}

fn denied(user: &Principal, privilege: Privilege, what: &str) -> CatalogError {
    CatalogError::Security(SecurityError::PermissionDenied {
        user: user.name.clone(),
        privilege: privilege.to_string(),
        what: what.to_owned(),
    })
}

/// What somebody made is theirs, unless they may do everything there anyway. One that was there before stays as it was.
async fn give(service: &Service, access: &Access, user: &Principal, place: &Place, made: &Made) -> Result<()> {
    let state = service.fresh_state().await?;
    if access.on_namespace(&place.namespace).has(Privilege::Admin) {
        return Ok(());
    }
    let resource = match (&place.name, made) {
        (None, Made::Namespace) => Some(Resource::Namespace(place.namespace.clone())),
        (Some(_), Made::Objects(ids)) => {
            // What is gone again is nobody's.
            let row = object(&state, place.ident()).ok();
            let row = row.filter(|row| ids.contains(&row.id));
            row.map(|row| Resource::Object(row.id))
        }
        _ => None,
    };
    match resource {
        Some(resource) => service.give_to_maker(user, resource).await,
        None => Ok(()),
    }
}

/// The bytes of a body as JSON; none if it is not of this form.
fn read<T: serde::de::DeserializeOwned>(body: &Bytes) -> Option<T> {
    serde_json::from_slice(body).ok()
}
