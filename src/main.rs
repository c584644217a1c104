//! The tidewater binary: a lakehouse in one process or one role of it, and the command line of its operators.

use std::process::ExitCode;

mod background;
mod cli;
mod control;
mod demo;
mod logging;
mod metrics;
mod readiness;
mod roles;
mod settings;

/// Many threads allocate here what others free, which the system's allocator keeps much longer and finds more slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    without_huge_pages();
    cli::main()
}

/// The allocator asks for huge pages, which are zeroed and kept as a whole for whatever small thing touches them: nearly half
/// more memory, and a quarter of the processor's time of an ingest.
fn without_huge_pages() {
    #[cfg(target_os = "linux")]
    let _where_refused_it_takes_more_memory = nix::sys::prctl::set_thp_disable(true);
}
