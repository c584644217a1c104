//! Values that threads share, and whose types the compiler does not look into.
//!
//! Whether a future may go to another thread is decided by the types of all that it holds, field by field. A state of DataFusion's
//! reaches its plans, expressions and the whole syntax of SQL, and in a method with bounds on lifetimes, which each method of
//! `#[async_trait]` is, rustc keeps no answer for the next time. So what such methods' `self` holds of them is behind this pointer,
//! and traits of ours whose methods are handed plans give boxed futures by hand. Without either, three quarters of the time that it takes
//! to check this crate go into that question, and four fifths of flight-sql's.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A shared value that may go to any thread, which is asked when it is made and never after.
pub(crate) struct Opaque<T>(Arc<dyn Holds<T>>);

trait Holds<T>: Send + Sync {
    fn value(&self) -> &T;
}

impl<T: Send + Sync> Holds<T> for T {
    fn value(&self) -> &T {
        self
    }
}

impl<T: Send + Sync + 'static> Opaque<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Clone for Opaque<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Opaque<T> {
    type Target = T;

    fn deref(&self) -> &T {
        (*self.0).value()
    }
}

impl<T: fmt::Debug> fmt::Debug for Opaque<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
