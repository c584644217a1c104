//! Progress on a terminal for work over a second; nothing when standard error is not one.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What ends sooner shows nothing.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// A spinner with the time spent. Gone when dropped.
#[derive(Debug)]
pub(crate) struct Progress(Option<Shown>);

#[derive(Debug)]
struct Shown {
    what: &'static str,
    bar: ProgressBar,
    /// Closed when the work ends.
    _done: Sender<()>,
}

impl Progress {
    pub(crate) fn start(what: &'static str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        let (done, ended) = channel();
        let shown = bar.clone();
        std::thread::spawn(move || show_later(&shown, &ended));
        Self(Some(Shown { what, bar, _done: done }))
    }

    /// Tells how many files of how many are done.
    pub(crate) fn files(&self, done: u64, total: u64) {
        if let Some(Shown { what, bar, .. }) = &self.0 {
            bar.set_message(format!("{what}: {done} of {total}"));
        }
    }
}

/// Shows the spinner unless the work ends, which closes the channel, before its time has come.
fn show_later(bar: &ProgressBar, ended: &Receiver<()>) {
    if ended.recv_timeout(SHOWN_AFTER) == Err(RecvTimeoutError::Timeout) {
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(4));
        bar.enable_steady_tick(Duration::from_millis(250));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(shown) = &self.0 {
            shown.bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: whoever waits sees how far it is, and nothing is drawn where nobody looks. Method: numbers told to a spinner that is not
    // drawn, and to none.
    #[test]
    fn files_are_counted() {
        let (done, _ended) = channel();
        let progress = Progress(Some(Shown {
            what: "looking at files",
            bar: ProgressBar::hidden(),
            _done: done,
        }));
        for (files, total) in [(0, 4), (3, 7), (7, 7)] {
            progress.files(files, total);
            let told = progress.0.as_ref().map(|shown| shown.bar.message());
            assert_eq!(told, Some(format!("looking at files: {files} of {total}")));
        }
        Progress(None).files(1, 2);
    }
}
