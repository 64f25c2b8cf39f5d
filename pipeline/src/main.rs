//! The `mmpipe` binary: what was typed becomes calls into the crates, what they return becomes
//! text, JSON and an exit code. No domain logic lives here.
//!
//! Data goes to standard output, logs and progress to standard error. Exit codes: 0 done,
//! 1 failed (also when a part was rejected and the rest done), 2 wrong usage.

mod cli;
mod commands;
mod config;
mod context;
mod progress;
mod render;
mod runs;
mod source;
mod vectors;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    mmpipe_memory::keep();
    let cli = cli::Cli::parse();
    logs(&cli.global);
    match commands::run(cli) {
        Ok(status) => status.code(),
        Err(error) if render::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", render::error_chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Logs to standard error: warnings by default, more with `-v`, errors only with `-q`.
/// `MMPIPE_LOG` takes a filter in the usual syntax and wins.
fn logs(global: &cli::Global) {
    let level = match (global.quiet, global.verbose) {
        // What symphonia logs as an error it also gives back, and less is said of it.
        (true, _) => "error,symphonia_core=off",
        (false, 0) => "warn,symphonia_core=off",
        (false, 1) => "info,datafusion=warn,symphonia_core=off",
        (false, _) => "debug,datafusion=info",
    };
    let filter = EnvFilter::try_from_env("MMPIPE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
}
