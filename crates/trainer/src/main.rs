//! The `mmpipe-trainer` binary: the networks and their training step on a device, without the lake.
//!
//! Small enough to be carried to a machine with a GPU. Owns: opening the device and saying which it
//! is, the check of every operation and objective on it against the CPU, and the benchmarks of the
//! three stages. Does not own: networks (`mmpipe-models`), optimiser and settings (`mmpipe-train`),
//! or training on data, which `mmpipe train --device` does.
//!
//! Results go to standard output, the device to standard error. Exit codes: 0 done, 1 failed (also
//! when a tolerance was broken), 2 wrong usage.

mod bench;
mod check;
mod networks;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use mmpipe_train::{DeviceChoice, Place, Precision};
use serde_json::{Value, json};

/// mmpipe's networks on a device: is it right there, and how fast
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Where networks compute: auto, cpu, cuda, cuda:N or metal
    #[arg(long, global = true, default_value = "auto", value_name = "DEVICE")]
    device: DeviceChoice,
    /// One JSON object on standard output
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say which device would be used, and why it is no GPU where it is none
    Device,
    /// Every operation and objective on the device against the CPU's kernels, values and gradients
    Check(CheckArgs),
    /// Time training steps of the three stages
    Bench(BenchArgs),
}

/// `mmpipe-trainer check`
#[derive(Debug, Args)]
struct CheckArgs {
    /// Small networks alone, in seconds on a CPU
    #[arg(long)]
    small: bool,
}

/// `mmpipe-trainer bench`
#[derive(Debug, Args)]
struct BenchArgs {
    /// Steps that are timed, after three that are not
    #[arg(long, default_value_t = 20, value_name = "N")]
    steps: usize,
    /// Small networks, to see that it runs
    #[arg(long)]
    small: bool,
    /// Examples of a batch [default: 64 in stages 1 and 3, 32 in stage 2]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Precisions, f32 or bf16 (comma-separated)
    #[arg(long, value_delimiter = ',', default_value = "f32,bf16", value_parser = precision)]
    precision: Vec<Precision>,
    /// Stages (comma-separated)
    #[arg(long, value_delimiter = ',', default_value = "1,2,3", value_parser = clap::value_parser!(u8).range(1..=3))]
    stage: Vec<u8>,
}

fn precision(text: &str) -> Result<Precision, String> {
    match text {
        "f32" => Ok(Precision::F32),
        "bf16" => Ok(Precision::Bf16),
        _ => Err(format!("expected f32 or bf16, found `{text}`")),
    }
}

/// Name of a precision, as typed.
fn name_of(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::Bf16 => "bf16",
    }
}

fn main() -> ExitCode {
    mmpipe_memory::keep();
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went as it should.
fn run(cli: &Cli) -> Result<bool> {
    let place = cli.device.open()?;
    eprintln!("device: {}", place.name);
    match &cli.command {
        Command::Device => {
            let gpu = !place.device.is_cpu();
            if cli.json {
                println!("{}", head(&place, json!({ "gpu": gpu })));
            } else if !gpu {
                println!("no GPU is used; built for: {}", built_for());
            }
            Ok(true)
        }
        Command::Check(args) => {
            let rows = check::run(&place.device, args.small)?;
            let right = rows.iter().all(|r| r.right);
            if cli.json {
                let all = json!({ "right": right, "checks": rows });
                println!("{}", head(&place, all));
            } else {
                print!("{}", check::table(&rows));
            }
            Ok(right)
        }
        Command::Bench(args) => {
            let cases = bench::run(&place.device, args)?;
            if cli.json {
                println!("{}", head(&place, json!({ "benchmarks": cases })));
            } else {
                print!("{}", bench::table(&cases));
            }
            Ok(true)
        }
    }
}

/// Kinds of devices that this program was built for.
fn built_for() -> String {
    let kinds = [
        ("cuda", cfg!(feature = "cuda")),
        ("metal", cfg!(feature = "metal")),
    ];
    let gpus = kinds.iter().filter(|(_, built)| *built).map(|(k, _)| *k);
    ["cpu"]
        .into_iter()
        .chain(gpus)
        .collect::<Vec<_>>()
        .join(", ")
}

/// A result with where and when it was found.
fn head(place: &Place, result: Value) -> Value {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut all = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "device": place.name,
        "built_for": built_for(),
        "unix_seconds": since.map_or(0, |s| s.as_secs()),
    });
    if let (Value::Object(all), Value::Object(result)) = (&mut all, result) {
        all.extend(result);
    }
    all
}
