//! Paths of the REST interface.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use tidewater_core::{Namespace, TableName};

/// What stays as it is in a part of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One part of a path, or a value of a query.
pub(crate) fn part(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// The levels of a namespace are joined by the unit separator.
pub(crate) fn namespace(namespace: &Namespace) -> String {
    format!("/v1/namespaces/{}", part(&namespace.levels().join("\u{1f}")))
}

/// The tables of a namespace.
pub(crate) fn tables(of: &Namespace) -> String {
    format!("{}/tables", namespace(of))
}

/// Where tables of metadata files get names in a namespace.
pub(crate) fn register(of: &Namespace) -> String {
    format!("{}/register", namespace(of))
}

/// One table.
pub(crate) fn table(name: &TableName) -> String {
    format!("{}/{}", tables(name.namespace()), part(name.name()))
}

/// The views of a namespace.
pub(crate) fn views(of: &Namespace) -> String {
    format!("{}/views", namespace(of))
}

/// One view.
pub(crate) fn view(name: &TableName) -> String {
    format!("{}/{}", views(name.namespace()), part(name.name()))
}

/// The path of something that is done by a name, as long as the name is that of the table or view with this uuid.
pub(crate) fn meaning(path: String, uuid: Option<Uuid>) -> String {
    match uuid {
        Some(uuid) if path.contains('?') => format!("{path}&uuid={uuid}"),
        Some(uuid) => format!("{path}?uuid={uuid}"),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: names arrive as they are. Method: a nested namespace and a name with a blank and an umlaut.
    #[test]
    fn names_are_encoded() {
        let namespace = Namespace::new(vec!["a".into(), "b c".into()]).expect("a good name");
        let name = TableName::new(namespace, "größe").expect("a good name");
        assert_eq!(table(&name), "/v1/namespaces/a%1Fb%20c/tables/gr%C3%B6%C3%9Fe");
    }
}
