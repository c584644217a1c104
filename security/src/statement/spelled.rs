//! Changes of the policy as a person reads them, such as in the audit log: in the words of statements, also where there is no statement for it,
//! and never with what is kept of a password.

use std::fmt::{self, Display, Formatter};

use super::{PolicyChange, Target, Whom};
use crate::policy::{Privilege, PrivilegeSet, UserAction, UserChange};

impl Display for PolicyChange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateRole { role, .. } => write!(f, "CREATE ROLE {}", Name(role)),
            Self::DropRole { role, .. } => write!(f, "DROP ROLE {}", Name(role)),
            Self::Grant {
                privileges,
                columns,
                on,
                to,
                ..
            } => write!(
                f,
                "GRANT {} ON {} TO {}",
                what(*privileges, columns),
                On(on),
                everybody(to)
            ),
            Self::Revoke {
                privileges,
                columns,
                on,
                from,
            } => write!(
                f,
                "REVOKE {} ON {} FROM {}",
                what(*privileges, columns),
                On(on),
                everybody(from)
            ),
            Self::AddMember { roles, to } => write!(f, "GRANT ROLE {} TO {}", names(roles, ", "), everybody(to)),
            Self::RemoveMember { roles, from } => {
                write!(f, "REVOKE ROLE {} FROM {}", names(roles, ", "), everybody(from))
            }
            Self::NoteToken(row) => write!(f, "ISSUE TOKEN {} TO USER {}", row.id, Name(&row.subject)),
            Self::RevokeToken { id, .. } => write!(f, "REVOKE TOKEN {id}"),
            Self::RevokeTokensOf { user } => write!(f, "REVOKE TOKENS OF USER {}", Name(user)),
            Self::User(change) => of_user(change, f),
        }
    }
}

fn of_user(change: &UserChange, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "{} {}", change.action.verb(), Name(&change.user))?;
    match &change.action {
        UserAction::Add { password, roles, .. } => {
            f.write_str(match password {
                Some(_) => " WITH PASSWORD",
                None => " WITHOUT PASSWORD",
            })?;
            match roles.is_empty() {
                true => Ok(()),
                false => write!(f, " IN ROLE {}", names(roles, ", ")),
            }
        }
        UserAction::SetPassword { .. } => f.write_str(" SET PASSWORD"),
        UserAction::Disable => f.write_str(" DISABLE"),
        UserAction::Enable => f.write_str(" ENABLE"),
        UserAction::Drop => Ok(()),
    }
}

/// A name: in quotes where it could be read as another one, or as more than a name.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_word = |letter: char| letter == '_' || (letter.is_alphanumeric() && !letter.is_uppercase());
        match !self.0.is_empty() && self.0.chars().all(is_word) {
            true => f.write_str(self.0),
            false => write!(f, "\"{}\"", self.0.replace('"', "\"\"")),
        }
    }
}

/// What something is granted on.
struct On<'a>(&'a Target);

impl Display for On<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Target::Warehouse => f.write_str("WAREHOUSE"),
            Target::Namespace(levels) => write!(f, "SCHEMA {}", names(levels, ".")),
            Target::Object { namespace, name } if namespace.is_empty() => write!(f, "TABLE {}", Name(name)),
            Target::Object { namespace, name } => write!(f, "TABLE {}.{}", names(namespace, "."), Name(name)),
        }
    }
}

fn names(names: &[String], between: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| Name(name).to_string()).collect();
    names.join(between)
}

fn what(privileges: PrivilegeSet, columns: &[String]) -> String {
    let mut all: Vec<String> = privileges.iter().map(|one| one.to_string()).collect();
    if !columns.is_empty() {
        all.push(format!("{} ({})", Privilege::Select, names(columns, ", ")));
    }
    all.join(", ")
}

fn everybody(who: &[Whom]) -> String {
    let all: Vec<String> = who
        .iter()
        .map(|one| match one {
            Whom::Role(name) => format!("ROLE {}", Name(name)),
            Whom::User(name) => format!("USER {}", Name(name)),
            Whom::Either(name) => Name(name).to_string(),
        })
        .collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::policy::{StoredPassword, TokenRow};
    use crate::statement::GrantStatement;

    // Goal: what is told of a grant is the grant: no name can make it look like another one. Method: statements, some with names that hold what
    // statements are made of, are read, told, and what is told is read again.
    #[test]
    fn grants_are_told_as_they_are() {
        for sql in [
            "GRANT SELECT, INSERT, SELECT (id, \"the name\") ON TABLE gold.patients TO USER \"Ana\", ROLE \"x TO USER eve\"",
            "REVOKE MANAGE GRANTS ON SCHEMA \"raw\" FROM ROLE analyst",
            "GRANT ADMIN ON WAREHOUSE TO \"a\"\"b\"",
            "CREATE ROLE \"x, USER eve\"",
            "DROP ROLE analyst",
            "GRANT ROLE analyst TO USER ana",
            "REVOKE ROLE analyst FROM USER ana",
        ] {
            let read = |text: &str| match GrantStatement::parse(text) {
                Ok(Some(GrantStatement::Change(change))) => change,
                other => panic!("{text}: {other:?}"),
            };
            let change = read(sql);
            let told = change.to_string();
            assert_eq!(read(&told), change, "{sql} is told as {told}");
        }
    }

    // Goal: of a user it is told what becomes of them and whether they have a password, and nothing of what is kept of it. Method: each change.
    #[test]
    fn nothing_of_a_password_is_told() {
        let password = StoredPassword {
            hash: "$argon2id$canary".into(),
            scram: "SCRAM-SHA-256$canary".into(),
        };
        let add = |password: Option<StoredPassword>, roles: &[&str]| UserAction::Add {
            id: Uuid::nil(),
            password,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        };
        for (action, expected) in [
            (
                add(Some(password.clone()), &["analyst", "b"]),
                "CREATE USER ben WITH PASSWORD IN ROLE analyst, b",
            ),
            (add(None, &[]), "CREATE USER ben WITHOUT PASSWORD"),
            (UserAction::SetPassword { password }, "ALTER USER ben SET PASSWORD"),
            (UserAction::Disable, "ALTER USER ben DISABLE"),
            (UserAction::Enable, "ALTER USER ben ENABLE"),
            (UserAction::Drop, "DROP USER ben"),
        ] {
            let change = PolicyChange::User(UserChange {
                user: "ben".into(),
                action,
            });
            assert_eq!(change.to_string(), expected);
        }
        let row = TokenRow {
            id: Uuid::nil(),
            subject: "robot".into(),
            issued_ms: 0,
            until_ms: 1,
            revoked: false,
        };
        let id = Uuid::nil();
        for (change, expected) in [
            (PolicyChange::NoteToken(row), format!("ISSUE TOKEN {id} TO USER robot")),
            (
                PolicyChange::RevokeToken { id, until_ms: 1 },
                format!("REVOKE TOKEN {id}"),
            ),
            (
                PolicyChange::RevokeTokensOf { user: "robot".into() },
                "REVOKE TOKENS OF USER robot".to_owned(),
            ),
        ] {
            assert_eq!(change.to_string(), expected);
        }
    }
}
