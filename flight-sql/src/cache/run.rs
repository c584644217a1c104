//! One run of a statement that several wait for.
//!
//! It is moved on by whoever is there to ask for rows: the one who began it, who gets them as they come, and those who wait for
//! all of them. So it goes on when its first client reads slowly or goes away, and ends when nobody is left. Whose task it is that
//! asks changes from one moment to the next; the rows' waker wakes all of them.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

use datafusion::arrow::array::RecordBatch;
use futures::{Stream, StreamExt};

use super::entry::{Entry, compact, weight};
use super::older::Bears;
use super::{Key, ResultCache, rows};
use crate::error::QueryError;
use crate::service::Batches;

/// A statement at work.
#[derive(Default)]
pub(super) struct Run {
    source: Mutex<Source>,
    progress: Mutex<Progress>,
    bell: Arc<Bell>,
    /// Set where its rows may be given when they are older.
    bears: OnceLock<Bears>,
    /// Somebody wanted to move it on while another did.
    wanted: AtomicBool,
}

/// Where the rows come from; locked by who asks for the next ones.
#[derive(Default)]
enum Source {
    #[default]
    Starts,
    Rows(Batches),
    Ended,
}

#[derive(Default)]
struct Progress {
    /// Rows that came, of which the one who leads has read the first so many batches.
    kept: Vec<RecordBatch>,
    read: usize,
    bytes: usize,
    leads: bool,
    waiting: usize,
    numbers: u64,
    stage: Stage,
}

#[derive(Default)]
enum Stage {
    #[default]
    Runs,
    Whole(Arc<Entry>),
    /// More than is kept: those who wait run it themselves.
    Large,
    /// With the error, for who leads.
    Failed(Option<QueryError>),
    /// Who led went away before there were rows to come.
    Abandoned,
}

/// What moving on came to.
enum Moved {
    /// Something changed: look again.
    On,
    /// Whoever is there is woken when something does.
    Waits,
}

/// What comes of waiting.
pub(crate) enum Outcome {
    /// All rows.
    Rows(Batches),
    /// Whoever ran it failed.
    Failed,
    /// Whoever was to run it went away: ask again.
    Abandoned,
    /// It is more than is kept.
    Large,
}

impl Run {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the next rows, unless somebody does at this moment.
    fn move_on(&self, cache: &ResultCache, key: &Key) -> Moved {
        let mut source = match self.source.try_lock() {
            Ok(source) => source,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.wanted.store(true, Ordering::SeqCst);
                return Moved::Waits;
            }
        };
        let Source::Rows(batches) = &mut *source else {
            return Moved::Waits;
        };
        let waker = Waker::from(Arc::clone(&self.bell));
        let next = batches.poll_next_unpin(&mut Context::from_waker(&waker));
        let moved = match next {
            Poll::Pending => Moved::Waits,
            Poll::Ready(Some(Ok(batch))) => {
                self.keep(&batch, cache, key);
                Moved::On
            }
            Poll::Ready(Some(Err(error))) => {
                *source = Source::Ended;
                self.end(Stage::Failed(Some(error)), cache, key);
                Moved::On
            }
            Poll::Ready(None) => {
                *source = Source::Ended;
                self.complete(cache, key);
                Moved::On
            }
        };
        drop(source);
        let wanted = self.wanted.swap(false, Ordering::SeqCst);
        if wanted || matches!(moved, Moved::On) {
            self.bell.ring();
        }
        moved
    }

    fn keep(&self, batch: &RecordBatch, cache: &ResultCache, key: &Key) {
        // Rows that cannot be copied are kept as they are, with all the memory that they hold.
        let batch = compact(batch).unwrap_or_else(|_| batch.clone());
        let bytes = weight(&batch);
        let entry_max = usize::try_from(cache.0.options.entry_bytes_max).unwrap_or(usize::MAX);
        let taken = cache.take(bytes);
        let large = {
            let mut progress = self.progress();
            progress.kept.push(batch);
            if taken {
                progress.bytes += bytes;
            }
            progress.bytes.saturating_add(if taken { 0 } else { bytes }) > entry_max
        };
        if large {
            cache.0.large.insert(*key, ());
        }
        if large || !taken {
            self.end(Stage::Large, cache, key);
        }
    }

    fn complete(&self, cache: &ResultCache, key: &Key) {
        let batches = self.progress().kept.clone();
        let entry = Arc::new(Entry::new(batches));
        // Before the run leaves the list: who comes after finds the one or the other.
        cache.0.entries.insert(*key, Arc::clone(&entry));
        if let Some(bears) = self.bears.get() {
            cache.0.newest.note(*key, bears);
        }
        self.end(Stage::Whole(entry), cache, key);
    }

    /// Nobody joins it any more.
    fn end(&self, stage: Stage, cache: &ResultCache, key: &Key) {
        let mut runs = cache.runs();
        let mut progress = self.progress();
        let bytes = std::mem::take(&mut progress.bytes);
        let read = progress.read.min(progress.kept.len());
        progress.kept.drain(..read);
        progress.read = 0;
        if !progress.leads {
            progress.kept.clear();
        }
        progress.stage = stage;
        runs.remove(key);
        cache.give_back(bytes);
    }

    /// One who has asked for rows asks no more. When nobody is left, the work ends.
    fn leave(&self, cache: &ResultCache, key: &Key, number: u64, leaves: impl FnOnce(&mut Progress)) {
        let over = {
            let mut runs = cache.runs();
            let mut progress = self.progress();
            leaves(&mut progress);
            let abandoned = !progress.leads && progress.waiting == 0;
            if abandoned && matches!(progress.stage, Stage::Runs) {
                runs.remove(key);
                let bytes = std::mem::take(&mut progress.bytes);
                progress.kept.clear();
                cache.give_back(bytes);
            }
            abandoned
        };
        self.bell.forget(number);
        if over {
            self.stop();
        } else {
            self.bell.ring();
        }
    }

    fn stop(&self) {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = std::mem::replace(&mut *source, Source::Ended);
        drop(source);
        drop(ended);
    }

    fn number(&self) -> u64 {
        let mut progress = self.progress();
        progress.numbers += 1;
        progress.numbers
    }
}

/// Wakes all who wait for rows.
#[derive(Default)]
struct Bell(Mutex<Vec<(u64, Waker)>>);

impl Bell {
    fn listeners(&self) -> MutexGuard<'_, Vec<(u64, Waker)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, number: u64, waker: &Waker) {
        let mut listeners = self.listeners();
        match listeners.iter_mut().find(|(known, _)| *known == number) {
            Some((_, known)) => known.clone_from(waker),
            None => listeners.push((number, waker.clone())),
        }
    }

    fn forget(&self, number: u64) {
        self.listeners().retain(|(known, _)| *known != number);
    }

    fn ring(&self) {
        let listeners: Vec<Waker> = self.listeners().iter().map(|(_, waker)| waker.clone()).collect();
        listeners.iter().for_each(Waker::wake_by_ref);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// The right to run a statement. Dropped without rows, those who wait ask again.
pub(crate) struct Lead {
    cache: ResultCache,
    key: Key,
    run: Option<Arc<Run>>,
}

impl Lead {
    pub(super) fn new(cache: ResultCache, key: Key, run: Arc<Run>) -> Self {
        run.progress().leads = true;
        Self {
            cache,
            key,
            run: Some(run),
        }
    }

    /// Whether its rows may be given when they are older.
    pub(crate) fn bearing(self, bears: Option<Bears>) -> Self {
        if let (Some(run), Some(bears)) = (&self.run, bears) {
            // Whoever leads is one.
            run.bears.get_or_init(|| bears);
        }
        self
    }

    /// It failed before there were rows to come.
    pub(crate) fn fail(mut self) {
        self.end(Stage::Failed(None));
    }

    fn end(&mut self, stage: Stage) {
        if let Some(run) = self.run.take() {
            run.progress().leads = false;
            run.end(stage, &self.cache, &self.key);
            run.bell.ring();
        }
    }

    /// Hands rows on as they come, and keeps them.
    pub(crate) fn follow(mut self, batches: Batches) -> Batches {
        let Some(run) = self.run.take() else {
            return batches;
        };
        *run.source.lock().unwrap_or_else(PoisonError::into_inner) = Source::Rows(batches);
        run.bell.ring();
        Box::pin(Leading {
            cache: self.cache.clone(),
            key: self.key,
            number: run.number(),
            run,
        })
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.end(Stage::Abandoned);
    }
}

/// The rows of the one who leads.
struct Leading {
    cache: ResultCache,
    key: Key,
    number: u64,
    run: Arc<Run>,
}

impl Stream for Leading {
    type Item = Result<RecordBatch, QueryError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let run = &self.run;
        run.bell.listen(self.number, context.waker());
        loop {
            let large = {
                let mut progress = run.progress();
                let read = progress.read;
                if let Some(batch) = progress.kept.get(read).cloned() {
                    progress.read += 1;
                    return Poll::Ready(Some(Ok(batch)));
                }
                match &mut progress.stage {
                    Stage::Whole(_) => return Poll::Ready(None),
                    Stage::Failed(error) => return Poll::Ready(error.take().map(Err)),
                    Stage::Abandoned => return Poll::Ready(None),
                    Stage::Large => {
                        progress.kept.clear();
                        progress.read = 0;
                        true
                    }
                    Stage::Runs => false,
                }
            };
            if large {
                // Nobody else asks for these rows any more.
                let mut source = run.source.lock().unwrap_or_else(PoisonError::into_inner);
                return match &mut *source {
                    Source::Rows(batches) => batches.poll_next_unpin(context),
                    _ => Poll::Ready(None),
                };
            }
            if let Moved::Waits = run.move_on(&self.cache, &self.key) {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.run.leave(&self.cache, &self.key, self.number, |progress| {
            progress.leads = false;
            progress.read = 0;
            if !matches!(progress.stage, Stage::Runs) {
                progress.kept.clear();
            }
        });
    }
}

/// Waits for all rows of a statement that somebody runs.
pub(crate) struct Waiting {
    cache: ResultCache,
    key: Key,
    number: u64,
    run: Arc<Run>,
}

impl Waiting {
    /// To be called while the list of runs is locked.
    pub(super) fn new(cache: ResultCache, key: Key, run: Arc<Run>) -> Self {
        run.progress().waiting += 1;
        let number = run.number();
        Self {
            cache,
            key,
            number,
            run,
        }
    }
}

impl Future for Waiting {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        self.run.bell.listen(self.number, context.waker());
        loop {
            match &self.run.progress().stage {
                Stage::Whole(entry) => return Poll::Ready(Outcome::Rows(rows(entry))),
                Stage::Failed(_) => return Poll::Ready(Outcome::Failed),
                Stage::Abandoned => return Poll::Ready(Outcome::Abandoned),
                Stage::Large => return Poll::Ready(Outcome::Large),
                Stage::Runs => {}
            }
            if let Moved::Waits = self.run.move_on(&self.cache, &self.key) {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.run
            .leave(&self.cache, &self.key, self.number, |progress| progress.waiting -= 1);
    }
}
