//! What can be typed: the command line as data. No behaviour lives here.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Raw EEG and audio corpora to trained, trustworthy auditory-decoding models.
#[derive(Debug, Parser)]
#[command(
    name = "mmpipe",
    version,
    max_term_width = 100,
    propagate_version = true
)]
pub(crate) struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Folder of the lake (all tables, runs and reports)
    #[arg(
        long,
        global = true,
        env = "MMPIPE_LAKE",
        default_value = "lake",
        value_name = "PATH"
    )]
    pub(crate) lake: PathBuf,
    /// Worker threads [default: the machine's cores]
    #[arg(long, global = true, env = "MMPIPE_THREADS", value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Print the result as JSON on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Folder with more manifests; one of the same name replaces a built-in one
    #[arg(long, global = true, env = "MMPIPE_MANIFESTS", value_name = "DIR")]
    pub(crate) manifests: Option<PathBuf>,
    /// Configuration file [default: mmpipe.toml, where there is one]
    #[arg(long, global = true, env = "MMPIPE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// More log lines on standard error (-vv for debugging)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// No progress and no log lines, errors only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// The commands, in the order of the walk from raw file to report.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the data sets that have a manifest: expected against found
    Datasets(DatasetsArgs),
    /// Download an open data set from its publisher, every file checked
    Fetch(FetchArgs),
    /// Look into one raw file: header, channels, events, a look at the signal
    Inspect(InspectArgs),
    /// Read a raw data set into the lake: filter, resample, cut, normalise, write shards
    Ingest(IngestArgs),
    /// Query the lake; a shell when no query is given
    Sql(SqlArgs),
    /// Make a split of the epochs into folds, and audit it for leaks
    Split(SplitArgs),
    /// Audit a stored split again, from the stored assignments
    Audit(AuditArgs),
    /// Keep what a sound encoder that does not learn gives of the lake's sounds
    Embed(EmbedArgs),
    /// Train a model, and its controls, on every fold of a split
    Train(Box<TrainArgs>),
    /// Score a run on its test folds, with controls and chance beside it
    Evaluate(EvaluateArgs),
    /// Write one offline HTML page about one run or several
    Report(ReportArgs),
    /// Write a corpus with known ground truth in its native raw layout
    Simulate(SimulateArgs),
    /// Bring published weights (PyTorch, safetensors) into this program's form
    Convert(ConvertArgs),
    /// Show the resolved configuration and where each value came from
    Config(ConfigArgs),
    /// The whole walk on a simulated two-talker corpus, in under five minutes
    Demo(DemoArgs),
}

/// `mmpipe datasets`
#[derive(Debug, Args)]
pub(crate) struct DatasetsArgs {
    #[command(subcommand)]
    pub(crate) action: Option<DatasetsAction>,
}

/// What `mmpipe datasets` can do beside listing.
#[derive(Debug, Subcommand)]
pub(crate) enum DatasetsAction {
    /// Show one data set: identity, rules, known faults, expected against found
    Show {
        /// Name or alias of the data set
        name: String,
    },
}

/// `mmpipe fetch`
#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Data set to download
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    pub(crate) dataset: Option<String>,
    /// Folder to bring it to; what is there of it is kept, checked and completed
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    pub(crate) out: Option<PathBuf>,
    /// List the data sets: where from, on what terms
    #[arg(long, conflicts_with_all = ["dataset", "out", "dry_run"])]
    pub(crate) list: bool,
    /// Print the files, their sizes and the total, and bring nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: plan from the table that is built in, and ask nobody
    #[arg(long, requires = "dry_run")]
    pub(crate) offline: bool,
    /// Only these subjects, as the file names write them (comma-separated)
    #[arg(long, value_delimiter = ',', value_name = "ID,..")]
    pub(crate) subjects: Option<Vec<String>>,
    /// Files at a time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// How often a file is asked for again after a failure that may pass
    #[arg(long, default_value_t = 6, value_name = "N")]
    pub(crate) retries: u32,
    /// Read the files that were checked earlier again
    #[arg(long)]
    pub(crate) verify: bool,
    /// Ask this server for everything: https://HOST/PATH becomes URL/HOST/PATH
    #[arg(long, env = "MMPIPE_MIRROR", value_name = "URL")]
    pub(crate) mirror: Option<String>,
}

/// `mmpipe inspect`
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A raw EEG or sound file, or a file of named arrays (MATLAB, HDF5, NumPy, CSV)
    pub(crate) file: PathBuf,
    /// Events to print at most (0 for all)
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) events: usize,
    /// Cap whose labels are numbers, as a manifest's layout names it
    #[arg(long, value_name = "CAP")]
    pub(crate) layout: Option<String>,
}

/// `mmpipe ingest`
#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Data set whose manifest says how to read the raw folder
    #[arg(long, value_name = "NAME", required_unless_present = "bids")]
    pub(crate) dataset: Option<String>,
    /// Raw folder, as its publisher ships it, or an archive of it
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "bids",
        conflicts_with = "bids"
    )]
    pub(crate) raw: Option<PathBuf>,
    /// A BIDS-EEG folder; no manifest is needed (--dataset then names it)
    #[arg(long, value_name = "DIR")]
    pub(crate) bids: Option<PathBuf>,
    /// Completes the manifest of a data set whose layout is not published (see data-manifests)
    #[arg(long, value_name = "FILE", conflicts_with = "bids")]
    pub(crate) mapping: Option<PathBuf>,
    /// Preprocessing recipe
    #[arg(long, default_value = "mindmix", value_name = "NAME")]
    pub(crate) recipe: String,
    /// Only these subjects (comma-separated)
    #[arg(long, value_delimiter = ',', value_name = "ID,..")]
    pub(crate) subjects: Option<Vec<String>>,
    /// Say what would be done, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `mmpipe sql`
#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// The query; without one a shell opens (or standard input is read)
    pub(crate) query: Option<String>,
    /// How to print the rows
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<SqlFormat>,
    /// Write to this file instead of standard output (needed for parquet)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Output formats of `mmpipe sql`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SqlFormat {
    /// Aligned text
    Table,
    /// Comma-separated values with a header
    Csv,
    /// One JSON array
    Json,
    /// One JSON object a line
    Ndjson,
    /// A Parquet file (with --output)
    Parquet,
}

/// `mmpipe split`
#[derive(Debug, Args)]
pub(crate) struct SplitArgs {
    /// within-subject (leaky), between-trial, content-disjoint or cross-subject
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) protocol: String,
    /// Data set to split
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: String,
    /// Name of the split [default: from data set, protocol, folds and seed]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Number of folds [default: 5, or the number of subjects or contents kept apart where they are
    /// fewer]
    #[arg(long, value_name = "N")]
    pub(crate) folds: Option<usize>,
    /// Preprocessing recipe of the epochs [default: the only one there is]
    #[arg(long, value_name = "NAME")]
    pub(crate) recipe: Option<String>,
    /// Replace an existing split of this name
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Seed of the random assignment
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub(crate) seed: u64,
}

/// `mmpipe audit`
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Name of the split
    pub(crate) split: String,
}

/// `mmpipe embed`
#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    /// The encoder
    #[arg(long, value_enum, value_name = "ENCODER")]
    pub(crate) audio: SoundEncoder,
    /// Its weights: a safetensors or PyTorch file, a folder with one, or what `mmpipe convert` made
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) weights: PathBuf,
    /// Data set whose sounds are heard (repeatable) [default: all that have sounds]
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: Vec<String>,
    /// Preprocessing recipe of the sounds [default: the only one there is]
    #[arg(long, value_name = "NAME")]
    pub(crate) recipe: Option<String>,
}

/// Sound encoders that can be frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SoundEncoder {
    /// wav2vec 2.0
    Wav2vec2,
    /// HuBERT
    Hubert,
}

impl From<SoundEncoder> for mmpipe_train::Audio {
    fn from(encoder: SoundEncoder) -> Self {
        match encoder {
            SoundEncoder::Wav2vec2 => Self::Wav2vec2,
            SoundEncoder::Hubert => Self::Hubert,
        }
    }
}

/// Training stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// The EEG encoder on EEG without labels (stage 1)
    Pretrain,
    /// EEG with the sounds that were attended, in one space (stage 2)
    Align,
    /// Supervised training on a split
    Finetune,
}

/// `mmpipe train`
#[derive(Debug, Default, Args)]
pub(crate) struct TrainArgs {
    /// Stage to run [default: the next one that the lake supports]
    #[arg(long, value_enum)]
    pub(crate) stage: Option<Stage>,
    /// Data set to train on [default: the split's]; pretrain and align take several (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: Vec<String>,
    /// Split to train on [default: the only one there is]
    #[arg(long, value_name = "NAME")]
    pub(crate) split: Option<String>,
    /// eegnet, mindmix, mindmix-av, mindmix-real, mindmix-prototype, aadnet, bandpower-lr or ridge
    /// [default: by what the data set holds]
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// finetune, align: start from a run of an earlier stage, or from a file or folder of weights
    #[arg(long, value_name = "RUN|PATH")]
    pub(crate) init: Option<String>,
    /// pretrain: joint (the MindMix paper's) or labram (tokeniser, then masked codes)
    #[arg(long, value_name = "OBJECTIVE")]
    pub(crate) objective: Option<String>,
    /// pretrain, align without a split: recipe of the epochs [default: the only one there is]
    #[arg(long, value_name = "NAME")]
    pub(crate) recipe: Option<String>,
    /// Name of the run [default: model-split, or stage-datasets]
    #[arg(long, value_name = "RUN")]
    pub(crate) name: Option<String>,
    /// Continue this run exactly where it stopped
    #[arg(long, value_name = "RUN", conflicts_with_all = ["name", "overwrite"])]
    pub(crate) resume: Option<String>,
    /// Throw an existing run of this name away first
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Set one value of the configuration (repeatable), as in train.epochs=30
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Passes over the training data at most
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<usize>,
    /// Seed of initialisation, order and dropout
    #[arg(long, value_name = "SEED")]
    pub(crate) seed: Option<u64>,
    /// Where networks compute: cpu, cuda, cuda:N or metal [default: a GPU where there is one]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<mmpipe_train::DeviceChoice>,
    /// Only these folds (comma-separated)
    #[arg(long, value_delimiter = ',', value_name = "FOLD,..")]
    pub(crate) folds: Option<Vec<i32>>,
    /// Leave out the controls that train again (their absence is then printed)
    #[arg(long)]
    pub(crate) no_controls: bool,
    /// Train although the split's promise is broken; every table will say so
    #[arg(long)]
    pub(crate) allow_leaky: bool,
}

/// `mmpipe evaluate`
#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Name of the run
    #[arg(long, value_name = "RUN")]
    pub(crate) run: String,
    /// How candidates are scored
    #[arg(long, value_enum, default_value = "candidate")]
    pub(crate) scoring: Scoring,
    /// Controls to compute (comma-separated); those that the run trained are always shown
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "noise-eeg,label-permuted",
        value_name = "CONTROL,.."
    )]
    pub(crate) controls: Vec<String>,
}

/// Scorings of a candidate (design section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scoring {
    /// Each candidate is scored on its own; the label is never an input
    Candidate,
}

/// `mmpipe report`
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Names of evaluated runs
    #[arg(required = true)]
    pub(crate) runs: Vec<String>,
    /// File to write
    #[arg(short, long, default_value = "report.html", value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// `mmpipe simulate`
#[derive(Debug, Args)]
#[command(after_help = crate::commands::simulations())]
pub(crate) struct SimulateArgs {
    /// Data set to simulate, by name or alias
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: String,
    /// Folder to write; it must be empty or absent
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Seed of everything random
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub(crate) seed: u64,
    /// Subjects, where the corpus leaves it open [default: the corpus's own]
    #[arg(long, value_name = "N")]
    pub(crate) subjects: Option<usize>,
}

/// `mmpipe convert`
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// A .pth, .pt, .bin or .safetensors file; of PyTorch's files tensors alone are read
    pub(crate) file: PathBuf,
    /// Folder for model.safetensors and config.json
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// What the file is
    #[arg(
        long = "as",
        value_enum,
        default_value = "auto",
        value_name = "KIND",
        hide_possible_values = true,
        help = "What the file is: auto (its names tell), wav2vec2, hubert, labram (the encoder of labram-base.pth), labram-masked (the same file, to go on with pre-training), labram-tokeniser (vqnsp.pth) or mindmix"
    )]
    pub(crate) kind: WeightsKind,
    /// Replace weights that DIR holds already
    #[arg(long)]
    pub(crate) overwrite: bool,
}

/// What a file of weights can be said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightsKind {
    /// What the names of its tensors say
    Auto,
    /// wav2vec 2.0 of base size
    Wav2vec2,
    /// HuBERT of base size
    Hubert,
    /// LaBraM's encoder
    #[value(alias = "labram-encoder")]
    Labram,
    /// LaBraM's masked model
    LabramMasked,
    /// LaBraM's tokeniser
    LabramTokeniser,
    /// MindMix's released checkpoint
    Mindmix,
}

/// `mmpipe config`
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) action: ConfigAction,
}

/// What `mmpipe config` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Print the resolved configuration
    Show {
        /// Say beside each value where it came from
        #[arg(long)]
        origin: bool,
        /// Model whose defaults to start from
        #[arg(long, default_value = "eegnet", value_name = "MODEL")]
        model: String,
        /// Set one value (repeatable), as in train.epochs=30
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
}

/// `mmpipe demo`
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Folder for the raw corpus and the lake; it must be empty, absent or an earlier demo
    #[arg(long, default_value = "mmpipe-demo", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Report to write
    #[arg(long, default_value = "report.html", value_name = "FILE")]
    pub(crate) report: PathBuf,
    /// Seed of everything random
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub(crate) seed: u64,
}
