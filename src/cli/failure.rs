//! How a verb fails: what was wrong, its code, and how to go on.

use std::io;
use std::process::ExitCode;

use tidewater_core::{Coded, ErrorKind};

/// A failure as the user sees it.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: Option<String>,
    hint: Option<String>,
    exit: u8,
}

impl Failure {
    /// In the words of the verb itself.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: None,
            hint: None,
            exit: 1,
        }
    }

    /// Of the operating system.
    pub(crate) fn io(what: &str, source: io::Error) -> Self {
        let hint = match source.kind() {
            io::ErrorKind::PermissionDenied => "give this user the right to it",
            io::ErrorKind::NotFound => "check that the path is there",
            io::ErrorKind::StorageFull => "free space on this disk",
            _ => "the system's own words say why; tidewater doctor checks this machine",
        };
        Self::new(format!("cannot {what}: {source}")).hint(hint)
    }

    /// In the words of a server: a code may stand before the message, a hint after it.
    pub(crate) fn told(text: &str) -> Self {
        let (message, hint) = match text.split_once("; hint: ") {
            Some((message, hint)) => (message, Some(hint.to_owned())),
            None => (text, None),
        };
        let (code, message) = match message.split_once(' ') {
            Some((code, message)) if is_code(code) => (Some(code.to_owned()), message),
            _ => (None, message),
        };
        Self {
            hint: hint.or_else(|| code.as_deref().map(page)),
            code,
            ..Self::new(message.trim())
        }
    }

    /// With a sentence on how to go on.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With an exit code of its own.
    #[must_use]
    pub(crate) fn exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }

    /// Tells the user on standard error.
    #[expect(clippy::print_stderr, reason = "words go to standard error")]
    pub(crate) fn report(self) -> ExitCode {
        match self.code {
            Some(code) => eprintln!("error[{code}]: {}", self.message),
            None => eprintln!("error: {}", self.message),
        }
        if let Some(hint) = self.hint {
            eprintln!("hint: {hint}");
        }
        ExitCode::from(self.exit)
    }
}

/// Where causes and remedies of a code are written down, from the root of the repository.
fn page(code: &str) -> String {
    format!("see docs/errors/{code}.md")
}

/// Three letters, a dash, four digits.
fn is_code(text: &str) -> bool {
    text.split_once('-').is_some_and(|(area, number)| {
        area.len() == 3
            && area.bytes().all(|byte| byte.is_ascii_uppercase())
            && number.len() == 4
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

impl<E: Coded> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut next = error.source();
        while let Some(source) = next {
            let text = source.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            next = source.source();
        }
        Self {
            message,
            code: Some(error.code().to_owned()),
            hint: Some(error.hint().unwrap_or_else(|| page(error.code()))),
            exit: if error.kind() == ErrorKind::Invalid { 2 } else { 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewater_security::SecurityError;

    use super::*;

    // Goal: every coded failure tells its code and how to go on. Method: an error without a hint of its own, and texts of servers.
    #[test]
    fn codes_and_hints_are_kept() {
        let own = Failure::from(SecurityError::BadToken);
        assert_eq!(own.code.as_deref(), Some("SEC-0002"));
        assert_eq!(own.hint.as_deref(), Some("see docs/errors/SEC-0002.md"));
        let told = Failure::told("SQL-0002 no such handle; hint: prepare again");
        assert_eq!(
            (told.code.as_deref(), told.message.as_str()),
            (Some("SQL-0002"), "no such handle")
        );
        assert_eq!(told.hint.as_deref(), Some("prepare again"));
        let told = Failure::told("ENG-0003 internal error");
        assert_eq!(told.hint.as_deref(), Some("see docs/errors/ENG-0003.md"));
        let told = Failure::told("something else");
        assert_eq!(
            (told.code, told.hint, told.message.as_str()),
            (None, None, "something else")
        );
        let io = Failure::io("read a file", io::ErrorKind::PermissionDenied.into());
        assert!(io.hint.is_some());
    }
}
