//! How a verb fails: what was wrong, its code, and how to go on.

use std::process::ExitCode;

use tidewater_core::{Coded, ErrorKind};

/// A failure as the user sees it.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: Option<&'static str>,
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
    pub(crate) fn io(what: &str, source: std::io::Error) -> Self {
        Self::new(format!("cannot {what}: {source}"))
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
            code: Some(error.code()),
            hint: error.hint(),
            exit: if error.kind() == ErrorKind::Invalid { 2 } else { 1 },
        }
    }
}
