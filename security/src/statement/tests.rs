use super::*;
use crate::policy::Privilege;

fn parsed(sql: &str) -> GrantStatement {
    GrantStatement::parse(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .unwrap_or_else(|| panic!("{sql}"))
}

fn table(namespace: &[&str], name: &str) -> Target {
    Target::Object {
        namespace: namespace.iter().map(|level| (*level).to_owned()).collect(),
        name: name.into(),
    }
}

// Goal: every form of a grant means what it says. Method: each once, with words, case, comments and quotes as tools write them.
#[test]
fn grants_are_read() {
    let select = PrivilegeSet::from(Privilege::Select);
    for (sql, privileges, columns, on, to) in [
        (
            "GRANT SELECT ON TABLE gold.x TO ROLE analyst",
            select,
            vec![],
            table(&["gold"], "x"),
            Whom::Role("analyst".into()),
        ),
        (
            "grant select on gold.x to analyst;",
            select,
            vec![],
            table(&["gold"], "x"),
            Whom::Either("analyst".into()),
        ),
        (
            "/* m */ -- n\n GRANT SELECT (a, \"B\"\"c\") ON lake.gold.x TO USER ana",
            PrivilegeSet::NONE,
            vec!["a", "B\"c"],
            table(&["gold"], "x"),
            Whom::User("ana".into()),
        ),
        (
            "GRANT ALL PRIVILEGES ON SCHEMA \"raw.eu\" TO \"Ana B\"",
            PrivilegeSet::all(),
            vec![],
            Target::Namespace(vec!["raw".into(), "eu".into()]),
            Whom::Either("Ana B".into()),
        ),
        (
            "GRANT MANAGE GRANTS ON WAREHOUSE TO PUBLIC",
            Privilege::ManageGrants.into(),
            vec![],
            Target::Warehouse,
            Whom::Role("public".into()),
        ),
        (
            "GRANT USAGE ON DATABASE lake TO ROLE r",
            Privilege::Usage.into(),
            vec![],
            Target::Warehouse,
            Whom::Role("r".into()),
        ),
        (
            "GRANT SELECT ON x TO a-b@c",
            select,
            vec![],
            table(&[], "x"),
            Whom::Either("a-b@c".into()),
        ),
    ] {
        let columns = columns.into_iter().map(str::to_owned).collect();
        let grant = PolicyChange::Grant {
            privileges,
            columns,
            on,
            uuid: None,
            to: vec![to],
        };
        assert_eq!(parsed(sql), GrantStatement::Change(grant), "{sql}");
    }
    let revoked = PolicyChange::Revoke {
        privileges: [Privilege::Insert, Privilege::Delete].into_iter().collect(),
        columns: vec!["a".into()],
        on: table(&["s"], "t"),
        from: vec![Whom::Role("r".into()), Whom::User("u".into())],
    };
    let sql = "REVOKE INSERT, SELECT (a), DELETE ON s.t FROM ROLE r, USER u";
    assert_eq!(parsed(sql), GrantStatement::Change(revoked));
}

// Goal: roles, memberships and listings are read. Method: each form once.
#[test]
fn roles_are_read() {
    let role = |role: &str| role.to_owned();
    for (sql, change) in [
        (
            "CREATE ROLE IF NOT EXISTS r",
            PolicyChange::CreateRole {
                role: role("r"),
                if_not_exists: true,
            },
        ),
        (
            "drop role \"R\"",
            PolicyChange::DropRole {
                role: role("R"),
                if_exists: false,
            },
        ),
        (
            "GRANT a, b TO ROLE c",
            PolicyChange::AddMember {
                roles: vec![role("a"), role("b")],
                to: vec![Whom::Role(role("c"))],
            },
        ),
        (
            "REVOKE ROLE a FROM u",
            PolicyChange::RemoveMember {
                roles: vec![role("a")],
                from: vec![Whom::Either(role("u"))],
            },
        ),
    ] {
        assert_eq!(parsed(sql), GrantStatement::Change(change), "{sql}");
    }
    assert_eq!(parsed("SHOW ROLES"), GrantStatement::ShowRoles);
    assert_eq!(parsed("show grants"), GrantStatement::ShowGrants { to: None, on: None });
    let both = GrantStatement::ShowGrants {
        to: Some(Whom::Role(role("r"))),
        on: Some(table(&["gold"], "x")),
    };
    assert_eq!(parsed("SHOW GRANTS TO ROLE r ON TABLE gold.x"), both);
}

// Goal: what is no such statement is left alone, and what is a broken one is told. Method: both kinds.
#[test]
fn others_are_left_alone() {
    for sql in [
        "",
        "SELECT 1",
        "SHOW TABLES",
        "CREATE TABLE role (a int)",
        "DROP TABLE grants",
        "grants",
        "-- GRANT",
        "SHOW",
    ] {
        assert_eq!(
            GrantStatement::parse(sql).unwrap_or_else(|error| panic!("{sql}: {error}")),
            None,
            "{sql}"
        );
    }
    for sql in [
        "GRANT",
        "GRANT SELECT",
        "GRANT SELECT ON",
        "GRANT SELECT ON t",
        "GRANT SELECT ON t TO",
        "GRANT FLY ON t TO r",
        "GRANT SELECT ON t FROM r",
        "REVOKE SELECT ON t TO r",
        "GRANT SELECT ON t TO r, ",
        "GRANT SELECT ON t TO r extra",
        "GRANT UPDATE (a) ON t TO r",
        "GRANT SELECT (a ON t TO r",
        "GRANT SELECT (a) ON SCHEMA s TO r",
        "GRANT SELECT ON \"t TO r",
        "GRANT SELECT ON DATABASE other TO r",
        "CREATE ROLE",
        "CREATE ROLE a b",
        "DROP ROLE if",
        "GRANT MANAGE ON t TO r",
        "GRANT SELECT ON t TO r; DROP ROLE r",
        "GRANT SELECT ON 't' TO r",
        "SHOW GRANTS WITH r",
        "GRANT SELECT ON \"\" TO r",
    ] {
        let read = GrantStatement::parse(sql);
        let expected = sql == "DROP ROLE if";
        assert_eq!(read.is_ok(), expected, "{sql}: {read:?}");
    }
    let told = GrantStatement::parse("GRANT Selec ON t TO r").expect_err("no such privilege");
    assert!(
        told.to_string()
            .contains("no privilege \"Selec\": did you mean SELECT?"),
        "{told}"
    );
    let long = format!("GRANT SELECT ON {} TO r", "t".repeat(300 << 10));
    assert!(GrantStatement::parse(&long).is_err());
}

// Goal: a grant to a name that nobody has is warned of, and no other. Method: a user of the configuration, one of the catalog, a role, and a
// name that is none of them, each with and without its word; and a statement that takes.
#[test]
fn strangers_are_warned_of() {
    let mut policy = Policy::default();
    policy.roles.insert("analyst".to_owned());
    let row = crate::policy::UserRow {
        id: uuid::Uuid::nil(),
        password: None,
        disabled: false,
        made_ms: 0,
        enabled_ms: None,
    };
    policy.users.insert("eve".to_owned(), row);
    let warned = |sql: &str| match parsed(sql) {
        GrantStatement::Change(change) => change.warnings(&policy, |name| name == "ana"),
        other => panic!("{sql}: {other:?}"),
    };
    for known in [
        "GRANT analyst TO ana",
        "GRANT analyst TO USER ana",
        "GRANT analyst TO eve",
        "GRANT SELECT ON SCHEMA gold TO analyst",
        "REVOKE analyst FROM bob",
        "CREATE ROLE bob",
    ] {
        assert!(warned(known).is_empty(), "{known}");
    }
    for sql in ["GRANT analyst TO ana, bob", "GRANT SELECT ON SCHEMA gold TO USER bob"] {
        let told = warned(sql);
        assert_eq!(told.len(), 1, "{sql}: {told:?}");
        assert!(told[0].contains("no user bob"), "{told:?}");
    }
}
