//! One file a command. Each takes what was typed and the surroundings, calls the crates, and
//! prints. [`run`] is the only door.

mod arrays;
mod audit;
mod config;
mod convert;
mod datasets;
mod demo;
mod embed;
mod evaluate;
mod fetch;
mod ingest;
mod init;
mod inspect;
mod known;
mod pretrain;
mod report;
mod simulate;
mod split;
mod sql;
mod train;

pub(crate) use simulate::simulations;

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{Cli, Command};
use crate::context::Context;

/// How a command ended, when it ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Everything was done.
    Done,
    /// Something was rejected or does not hold; the output says what. Exit code 1.
    Incomplete,
}

impl Status {
    /// The exit code.
    pub(crate) fn code(self) -> ExitCode {
        match self {
            Status::Done => ExitCode::SUCCESS,
            Status::Incomplete => ExitCode::FAILURE,
        }
    }

    /// `Done` when `ok`.
    pub(crate) fn done_if(ok: bool) -> Self {
        if ok { Status::Done } else { Status::Incomplete }
    }
}

/// Does what was typed.
pub(crate) fn run(cli: Cli) -> Result<Status> {
    let ctx = Context::new(cli.global)?;
    match cli.command {
        Command::Datasets(args) => datasets::run(&ctx, &args),
        Command::Fetch(args) => fetch::run(&ctx, &args),
        Command::Inspect(args) => inspect::run(&ctx, &args),
        Command::Ingest(args) => ingest::run(&ctx, &args),
        Command::Sql(args) => sql::run(&ctx, &args),
        Command::Split(args) => split::run(&ctx, &args),
        Command::Audit(args) => audit::run(&ctx, &args),
        Command::Embed(args) => embed::run(&ctx, &args),
        Command::Train(args) => train::run(&ctx, &args),
        Command::Evaluate(args) => evaluate::run(&ctx, &args),
        Command::Report(args) => report::run(&ctx, &args),
        Command::Simulate(args) => simulate::run(&ctx, &args),
        Command::Convert(args) => convert::run(&ctx, &args),
        Command::Config(args) => config::run(&ctx, &args),
        Command::Demo(args) => demo::run(ctx, &args),
    }
}
