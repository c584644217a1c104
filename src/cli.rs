//! The command line: one file a verb below `cli/`.
//!
//! Data goes to standard output, words to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage, 74 storage failed, 77 removed from the catalog's group, 130 interrupted twice.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::settings::{Overrides, Settings};

mod certificates;
pub(crate) mod cluster;
mod connect;
mod doctor;
mod executor;
pub(crate) mod failure;
mod ingest;
mod job;
mod namespace;
mod output;
mod pipeline;
mod progress;
mod query;
mod revoke;
mod role;
mod serve;
mod sql;
mod status;
mod synth;
mod table;
mod token;
mod up;
mod user;
mod version;

use self::failure::Failure;
use self::output::{Format, Output};
use self::progress::Progress;

/// The exit code of a process whose storage failed: a supervisor must not hide that.
pub(crate) const STORAGE_FAILED: u8 = 74;

/// The exit code of a catalog node that its group removed: a supervisor need not start it again.
pub(crate) const REMOVED: u8 = 77;

#[derive(Debug, Parser)]
#[command(
    name = "tidewater",
    version,
    about = "A lakehouse in one binary: from PostgreSQL changes to dashboards"
)]
struct Command {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
struct Global {
    /// Configuration file; without it tidewater.toml of the working directory, when there is one
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of everything this process owns
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run every role in this process
    Up(up::UpArgs),
    /// Run some roles in this process
    Serve(serve::ServeArgs),
    /// Run a query and print its rows; list the statements at work, end one, read the audit log
    Query(query::QueryArgs),
    /// An interactive shell for SQL, or statements from the command line, a file or standard input
    Sql(sql::SqlArgs),
    /// Show the roles of a running installation
    Status,
    /// Look at tables and verify them; compact, expire, count values, clean up, roll back, bring dropped ones back
    #[command(subcommand)]
    Table(table::TableVerb),
    /// List and drop namespaces
    #[command(subcommand)]
    Namespace(namespace::NamespaceVerb),
    /// Look at the consumers of change data
    #[command(subcommand)]
    Ingest(ingest::IngestVerb),
    /// Look at executors, let one go
    #[command(subcommand)]
    Executor(executor::ExecutorVerb),
    /// Look at jobs, cancel one, try one again
    #[command(subcommand)]
    Job(job::JobVerb),
    /// Plan and run models
    #[command(subcommand)]
    Pipeline(pipeline::PipelineVerb),
    /// Make the synthetic hospital's change data, workload and right answers
    #[command(subcommand)]
    Synth(synth::SynthVerb),
    /// Operate the catalog's group of nodes: members, leadership, backups
    #[command(subcommand)]
    Cluster(cluster::ClusterVerb),
    /// Check the configuration and this machine
    Doctor(doctor::DoctorArgs),
    /// Manage users
    #[command(subcommand)]
    User(user::UserVerb),
    /// Manage roles and grants
    #[command(subcommand)]
    Role(role::RoleVerb),
    /// Give tokens out, take them back
    #[command(subcommand)]
    Token(token::TokenVerb),
    /// Show the version
    Version,
}

/// Parses the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let command = Command::parse();
    let output = Output::new(command.global.output);
    match run(command, &output) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command, output: &Output) -> Result<ExitCode, Failure> {
    let overrides = Overrides {
        config: command.global.config,
        data_dir: command.global.data_dir,
    };
    // What needs no configuration works with a broken one, also to mend it.
    match command.verb {
        Verb::Synth(verb) => synth::run(verb, output).map(|()| ExitCode::SUCCESS),
        Verb::Version => version::run(output).map(|()| ExitCode::SUCCESS),
        Verb::User(user::UserVerb::Hash) => user::hash(output).map(|()| ExitCode::SUCCESS),
        Verb::Cluster(cluster::ClusterVerb::InitCa(args)) => {
            certificates::init_ca(&args, output).map(|()| ExitCode::SUCCESS)
        }
        Verb::Cluster(cluster::ClusterVerb::NodeCert(args)) => {
            certificates::node_cert(&args, output).map(|()| ExitCode::SUCCESS)
        }
        verb => configured(verb, &Settings::load(&overrides)?, output),
    }
}

fn configured(verb: Verb, settings: &Settings, output: &Output) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Up(args) => return up::run(settings.clone(), args),
        Verb::Serve(args) => return serve::run(settings.clone(), args),
        Verb::Query(args) => query::run(settings, args, output),
        Verb::Sql(args) => sql::run(settings, args, output),
        Verb::Status => status::run(settings, output),
        Verb::Table(verb) => table::run(settings, verb, output),
        Verb::Namespace(verb) => namespace::run(settings, verb, output),
        Verb::Ingest(verb) => ingest::run(settings, verb, output),
        Verb::Executor(verb) => executor::run(settings, verb, output),
        Verb::Job(verb) => job::run(settings, verb, output),
        Verb::Pipeline(verb) => pipeline::run(settings, verb, output),
        Verb::Doctor(args) => return doctor::run(settings, args, output),
        Verb::User(verb) => user::run(settings, verb, output),
        Verb::Role(verb) => role::run(settings, verb, output),
        Verb::Token(verb) => token::run(settings, verb, output),
        Verb::Synth(verb) => synth::run(verb, output),
        Verb::Cluster(verb) => cluster::run(settings, verb, output),
        Verb::Version => version::run(output),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// A runtime for verbs that ask a running installation.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let _working = Progress::start("working");
    drive(future)
}

/// The same for work that tells its own progress.
fn drive<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::io("start a runtime", source))?
        .block_on(future)
}
