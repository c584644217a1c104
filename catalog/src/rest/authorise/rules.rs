//! The rule of each route.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{Place, marks, read};
use tidewater_core::reserved::is_reserved;
use tidewater_security::Privilege;

/// What a privilege is needed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    Warehouse,
    /// The warehouse, for what ingest and models know their tables by.
    Marks,
    Namespace,
    Table,
    View,
}

/// A privilege that a request takes. `Usage`: that the caller may know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) privilege: Privilege,
    pub(super) on: On,
    makes: bool,
}

impl Need {
    const fn of(privilege: Privilege, on: On) -> Self {
        Self {
            privilege,
            on,
            makes: false,
        }
    }

    /// Whether the request makes what its place names.
    pub(super) fn makes(self) -> bool {
        self.makes
    }
}

/// What decides.
#[derive(Debug)]
pub(super) enum Rule {
    /// Everybody who is in may.
    Nothing,
    /// What the path names.
    Needs(&'static [Need]),
    /// What the body names: the needs and what each is on. One that cannot be read here might be read there, and goes on for those alone who
    /// may do everything.
    Body(fn(&Place, &Bytes) -> Vec<(Need, Place)>),
}

const SEES_NAMESPACE: &[Need] = &[Need::of(Privilege::Usage, On::Namespace)];
const SEES_TABLE: &[Need] = &[Need::of(Privilege::Usage, On::Table)];
const SEES_VIEW: &[Need] = &[Need::of(Privilege::Usage, On::View)];
const READS_TABLE: &[Need] = &[Need::of(Privilege::Select, On::Table)];
const READS_VIEW: &[Need] = &[Need::of(Privilege::Select, On::View)];
const ALTERS_NAMESPACE: &[Need] = &[Need::of(Privilege::Alter, On::Namespace)];
const DROPS_NAMESPACE: &[Need] = &[Need::of(Privilege::Drop, On::Namespace)];
const DROPS_TABLE: &[Need] = &[Need::of(Privilege::Drop, On::Table)];
const DROPS_VIEW: &[Need] = &[Need::of(Privilege::Drop, On::View)];
/// As `ALTER VIEW` takes it: another text is another view. Its answer has the view's texts, those of before among them, which are for who
/// may read it.
const ALTERS_VIEW: &[Need] = &[
    Need::of(Privilege::Alter, On::View),
    Need::of(Privilege::Create, On::Namespace),
    Need::of(Privilege::Select, On::View),
];
const APPENDS: &[Need] = &[Need::of(Privilege::Insert, On::Table)];
/// A metadata file may name any files below the warehouse: whoever registers one reads what they like.
const REGISTERS: &[Need] = &[Need::of(Privilege::Admin, On::Warehouse)];

/// Routes that tell everybody the same, whatever they may do.
pub(super) const OF_EVERYBODY: [&str; 2] = ["/v1/config", "/v1/oauth/tokens"];

/// The rule of a route, by its pattern; none for a route that users have no business at.
pub(super) fn of(method: &Method, route: &str) -> Option<Rule> {
    use Rule::{Body, Needs, Nothing};
    let below = route.strip_prefix("/v1/namespaces/{namespace}");
    Some(match (method.as_str(), below.unwrap_or(route)) {
        ("GET" | "HEAD", "/v1/config" | "/v1/namespaces") => Nothing,
        ("POST", "/v1/oauth/tokens") => Nothing,
        ("POST", "/v1/namespaces") => Body(makes_namespace),
        ("POST", "/v1/tables/rename") => Body(renames_table),
        ("POST", "/v1/views/rename") => Body(renames_view),
        ("POST", "/v1/transactions/commit") => Body(commits_many),
        (_, _) if below.is_none() => return None,
        ("GET" | "HEAD", "") => Needs(SEES_NAMESPACE),
        ("DELETE", "") => Needs(DROPS_NAMESPACE),
        ("POST", "/properties") => Needs(ALTERS_NAMESPACE),
        ("GET" | "HEAD", "/tables" | "/views") => Needs(SEES_NAMESPACE),
        ("POST", "/tables" | "/views") => Body(makes_in_namespace),
        ("POST", "/register" | "/register-view") => Needs(REGISTERS),
        ("GET", "/tables/{table}" | "/tables/{table}/credentials") => Needs(READS_TABLE),
        ("HEAD", "/tables/{table}/credentials") => Needs(READS_TABLE),
        ("HEAD", "/tables/{table}") => Needs(SEES_TABLE),
        ("POST", "/tables/{table}") => Body(commits),
        ("DELETE", "/tables/{table}") => Needs(DROPS_TABLE),
        ("POST", "/tables/{table}/unregister") => Needs(DROPS_TABLE),
        ("POST", "/tables/{table}/append-files") => Needs(APPENDS),
        ("POST", "/tables/{table}/metrics" | "/tables/{table}/plan" | "/tables/{table}/tasks") => Needs(READS_TABLE),
        ("GET" | "HEAD" | "DELETE", "/tables/{table}/plan/{plan}") => Needs(READS_TABLE),
        ("POST", "/tables/{table}/sign") => Body(signs),
        ("GET", "/views/{view}") => Needs(READS_VIEW),
        ("HEAD", "/views/{view}") => Needs(SEES_VIEW),
        ("POST", "/views/{view}") => Needs(ALTERS_VIEW),
        ("DELETE", "/views/{view}") => Needs(DROPS_VIEW),
        _ => return None,
    })
}

fn one(privilege: Privilege, on: On, place: Place) -> (Need, Place) {
    (Need::of(privilege, on), place)
}

/// What a body takes that cannot be read.
pub(super) fn everything() -> Vec<(Need, Place)> {
    vec![one(Privilege::Admin, On::Warehouse, Place::default())]
}

#[derive(Deserialize)]
struct Namespace {
    namespace: Vec<String>,
}

/// What is made has the place of its own; what is needed is on its parent, which [`super::check`] looks at with `On::Namespace`. Who makes one
/// has all that is in it, so that those of processes and nodes are not everybody's to make.
fn makes_namespace(_: &Place, body: &Bytes) -> Vec<(Need, Place)> {
    let Some(mut levels) = read::<Namespace>(body).map(|named| named.namespace) else {
        return everything();
    };
    let made = Place {
        namespace: levels.clone(),
        name: None,
    };
    let reserved = is_reserved(&levels).then(|| one(Privilege::Admin, On::Warehouse, Place::default()));
    levels.pop();
    let parent = Place {
        namespace: levels,
        name: None,
    };
    let needs = [
        one(Privilege::Create, On::Namespace, parent),
        (maker(Privilege::Create), made),
    ];
    needs.into_iter().chain(reserved).collect()
}

/// Marks what a request makes; what it takes was said beside it.
const fn maker(privilege: Privilege) -> Need {
    Need {
        privilege,
        on: On::Warehouse,
        makes: true,
    }
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    properties: Value,
}

fn makes_in_namespace(place: &Place, body: &Bytes) -> Vec<(Need, Place)> {
    let Some(Named { name, properties }) = read(body) else {
        return everything();
    };
    let made = Place {
        namespace: place.namespace.clone(),
        name: Some(name),
    };
    let mut needs = vec![
        one(Privilege::Create, On::Namespace, place.clone()),
        (maker(Privilege::Create), made),
    ];
    if marks::in_properties(&properties) {
        needs.push(one(Privilege::Admin, On::Marks, Place::default()));
    }
    needs
}

#[derive(Deserialize)]
struct Identifier {
    namespace: Vec<String>,
    name: String,
}

impl From<Identifier> for Place {
    fn from(named: Identifier) -> Self {
        Self {
            namespace: named.namespace,
            name: Some(named.name),
        }
    }
}

#[derive(Deserialize)]
struct Rename {
    source: Identifier,
    destination: Identifier,
}

fn renames_table(_: &Place, body: &Bytes) -> Vec<(Need, Place)> {
    renames(body, On::Table)
}

fn renames_view(_: &Place, body: &Bytes) -> Vec<(Need, Place)> {
    renames(body, On::View)
}

/// Whoever may do everything in a namespace may do everything with what comes to it, so that only who may do that already takes something there.
/// Within its namespace it stays what it was: grants on it go along, and those of another that had the name do not come to it.
fn renames(body: &Bytes, on: On) -> Vec<(Need, Place)> {
    let Some(Rename { source, destination }) = read(body) else {
        return everything();
    };
    let goes_elsewhere = source.namespace != destination.namespace;
    let target = Place {
        namespace: destination.namespace,
        name: None,
    };
    match goes_elsewhere {
        true => vec![
            one(Privilege::Admin, on, source.into()),
            one(Privilege::Create, On::Namespace, target),
        ],
        false => vec![one(Privilege::Alter, on, source.into())],
    }
}

#[derive(Deserialize)]
struct Commit {
    identifier: Option<Identifier>,
    #[serde(default)]
    requirements: Vec<Value>,
    #[serde(default)]
    updates: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Transaction {
    table_changes: Vec<Commit>,
}

fn commits(place: &Place, body: &Bytes) -> Vec<(Need, Place)> {
    match read::<Commit>(body) {
        Some(commit) => needs_of(&commit, place),
        None => everything(),
    }
}

fn commits_many(_: &Place, body: &Bytes) -> Vec<(Need, Place)> {
    let Some(transaction) = read::<Transaction>(body) else {
        return everything();
    };
    let mut needs = Vec::new();
    for mut commit in transaction.table_changes {
        let place = commit.identifier.take().map(Place::from).unwrap_or_default();
        needs.extend(needs_of(&commit, &place));
    }
    needs
}

/// What a commit takes, by what it changes: rows by the operation that its snapshots name, which is all that can be told of them;
/// everything else is its shape.
fn needs_of(commit: &Commit, place: &Place) -> Vec<(Need, Place)> {
    let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let is_marking = commit.updates.iter().any(marks::in_update);
    let marking = is_marking.then(|| one(Privilege::Admin, On::Marks, Place::default()));
    let creates = commit
        .requirements
        .iter()
        .any(|one| text(one, "/type").as_deref() == Some("assert-create"));
    if creates {
        let parent = Place {
            namespace: place.namespace.clone(),
            name: None,
        };
        let needs = [
            one(Privilege::Create, On::Namespace, parent),
            (maker(Privilege::Create), place.clone()),
        ];
        return needs.into_iter().chain(marking).collect();
    }
    let number = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_i64);
    let added: Vec<i64> = commit
        .updates
        .iter()
        .filter(|update| text(update, "/action").as_deref() == Some("add-snapshot"))
        .filter_map(|update| number(update, "/snapshot/snapshot-id"))
        .collect();
    let mut privileges = std::collections::BTreeSet::new();
    for update in &commit.updates {
        match text(update, "/action").as_deref() {
            Some("add-snapshot") => match text(update, "/snapshot/summary/operation").as_deref() {
                Some("append") => {
                    privileges.insert(Privilege::Insert);
                }
                Some("delete") => {
                    privileges.insert(Privilege::Delete);
                }
                // An overwrite may be any of them.
                _ => privileges.extend([Privilege::Insert, Privilege::Update, Privilege::Delete]),
            },
            // The head goes to the snapshot that this commit adds; elsewhere it is moved back or aside.
            Some("set-snapshot-ref")
                if text(update, "/ref-name").as_deref() == Some("main")
                    && number(update, "/snapshot-id").is_some_and(|id| added.contains(&id)) => {}
            Some(_) | None => {
                privileges.insert(Privilege::Alter);
            }
        }
    }
    let needs: Vec<(Need, Place)> = privileges
        .into_iter()
        .map(|privilege| one(privilege, On::Table, place.clone()))
        .chain(marking)
        .collect();
    // One that only demands something tells whether it holds.
    match needs.is_empty() {
        true => vec![one(Privilege::Select, On::Table, place.clone())],
        false => needs,
    }
}

#[derive(Deserialize)]
struct Sign {
    method: String,
}

fn signs(place: &Place, body: &Bytes) -> Vec<(Need, Place)> {
    let Some(Sign { method }) = read(body) else {
        return everything();
    };
    let privileges: &[Privilege] = match method.as_str() {
        "GET" | "HEAD" => &[Privilege::Select],
        _ => &super::WRITES,
    };
    privileges
        .iter()
        .map(|privilege| one(*privilege, On::Table, place.clone()))
        .collect()
}
