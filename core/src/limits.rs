//! Limits that more than one crate must agree on, each with its reason.

use std::time::Duration;

/// Longest name of a namespace level, table or column, in bytes: what common file systems and engines accept.
pub const NAME_BYTES_MAX: usize = 255;

/// Deepest namespace.
pub const NAMESPACE_LEVELS_MAX: usize = 8;

/// Largest gRPC message between our own processes. Plans carry a description of every file they read.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 128 << 20;

/// Stack of the threads that parse, plan and compute statements: what their limits let be nested must fit, also in a build that
/// is not optimised. It is address space; memory is taken as it is used.
pub const STACK_BYTES: usize = 64 << 20;

/// Largest body of a REST call.
pub const REST_BODY_BYTES_MAX: usize = 16 << 20;

/// Time a process takes at most to end its tasks after it was told to.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(20);
