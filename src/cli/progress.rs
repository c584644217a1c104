//! Progress on a terminal for work over a second; nothing when standard error is not one.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What ends sooner shows nothing.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// A spinner with the time spent. Gone when dropped.
#[derive(Debug)]
pub(crate) struct Progress(Option<(ProgressBar, Sender<()>)>);

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
        Self(Some((bar, done)))
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
        if let Some((bar, _)) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
