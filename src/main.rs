//! The tidewater binary: a lakehouse in one process or one role of it, and the command line of its operators.

use std::process::ExitCode;

mod cli;
mod control;
mod demo;
mod logging;
mod roles;
mod settings;

/// Many threads allocate here what others free, which the system's allocator keeps much longer and finds more slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
