//! How a verb fails: what was wrong, its code, and how to go on.

use std::io;
use std::process::ExitCode;

use tidewater_core::{Coded, ErrorKind};

/// Why the command line or a start fails by itself, where no other part of tidewater has a code for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The operating system, or what stands on it, refused.
    System,
    /// Settings contradict one another, or lack something.
    Settings,
    /// The command says what cannot be meant.
    Usage,
    /// Nobody answers where a process was to be.
    Unreachable,
    /// An answer that cannot be shown or understood.
    Answer,
    /// What was named is not there.
    NotThere,
    /// What was asked for was tried, and did not succeed.
    Unsuccessful,
    /// A process cannot begin its work.
    Start,
    /// What tables lie in takes no files.
    Warehouse,
}

impl Reason {
    fn code(self) -> &'static str {
        match self {
            Self::System => "CTL-0030",
            Self::Settings => "CTL-0031",
            Self::Usage => "CTL-0032",
            Self::Unreachable => "CTL-0033",
            Self::Answer => "CTL-0034",
            Self::NotThere => "CTL-0035",
            Self::Unsuccessful => "CTL-0036",
            Self::Start => "CTL-0037",
            Self::Warehouse => "CTL-0039",
        }
    }
}

/// A failure as the user sees it.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: String,
    hint: String,
    exit: u8,
}

impl Failure {
    /// Of work that did not succeed, in the words of the verb itself.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::of(Reason::Unsuccessful, message)
    }

    /// For another reason.
    pub(crate) fn of(reason: Reason, message: impl Into<String>) -> Self {
        Self::coded(reason.code(), message.into())
    }

    fn coded(code: &str, message: String) -> Self {
        Self {
            message,
            hint: page(code),
            code: code.to_owned(),
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
        Self::of(Reason::System, format!("cannot {what}: {source}")).hint(hint)
    }

    /// In the words of a server: a code may stand before the message, a hint after it.
    pub(crate) fn told(text: &str) -> Self {
        let (message, hint) = match text.split_once("; hint: ") {
            Some((message, hint)) => (message, Some(hint)),
            None => (text, None),
        };
        let failure = match message.split_once(' ') {
            Some((code, message)) if is_code(code) => Self::coded(code, message.trim().to_owned()),
            _ => Self::of(Reason::Answer, message.trim()),
        };
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    /// All of it, where there is one line for it.
    pub(crate) fn in_one_line(&self) -> String {
        format!("{} [{}]; {}", self.message, self.code, self.hint)
    }

    /// With a sentence on how to go on.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
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
        eprintln!("error[{}]: {}", self.code, self.message);
        eprintln!("hint: {}", self.hint);
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

/// An error with its causes, each once.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
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
    message
}

impl<E: Coded> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            message: words(&error),
            code: error.code().to_owned(),
            hint: error.hint().unwrap_or_else(|| page(error.code())),
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
        assert_eq!(own.code, "SEC-0002");
        assert_eq!(own.hint, "see docs/errors/SEC-0002.md");
        let told = Failure::told("SQL-0002 no such handle; hint: prepare again");
        assert_eq!(
            (told.code.as_str(), told.message.as_str()),
            ("SQL-0002", "no such handle")
        );
        assert_eq!(told.hint, "prepare again");
        let told = Failure::told("ENG-0003 internal error");
        assert_eq!(told.hint, "see docs/errors/ENG-0003.md");
        let told = Failure::told("something else");
        assert_eq!(
            (told.code.as_str(), told.message.as_str()),
            ("CTL-0034", "something else")
        );
        assert_eq!(told.hint, "see docs/errors/CTL-0034.md");
        assert_eq!(
            told.in_one_line(),
            "something else [CTL-0034]; see docs/errors/CTL-0034.md"
        );
        let io = Failure::io("read a file", io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            (io.code.as_str(), io.hint.as_str()),
            ("CTL-0030", "give this user the right to it")
        );
    }
}
