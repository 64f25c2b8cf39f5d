//! What every command needs: the options, the lake, the manifests, the runtime.

use std::path::Path;

use anyhow::{Context as _, Result};
use mmpipe_corpora::{Manifest, registry};
use mmpipe_lake::Lake;

use crate::cli::Global;
use crate::config::{DEFAULT_FILE, Layers};

/// The surroundings of one command.
#[derive(Debug)]
pub(crate) struct Context {
    /// The options that every command takes
    pub(crate) global: Global,
    /// Worker threads
    pub(crate) threads: usize,
    runtime: tokio::runtime::Runtime,
}

impl Context {
    /// Starts the runtime and the thread pool with the number of threads asked for.
    pub(crate) fn new(global: Global) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = global.threads.unwrap_or(cores).max(1);
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .context("cannot start the worker threads")?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        Ok(Context {
            global,
            threads,
            runtime,
        })
    }

    /// Runs a future to its end.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The lake, which must exist.
    pub(crate) fn lake(&self) -> Result<Lake> {
        Ok(Lake::open(&self.global.lake)?)
    }

    /// Where the lake is, or will be.
    pub(crate) fn lake_path(&self) -> &Path {
        &self.global.lake
    }

    /// The lake, made where there is none.
    pub(crate) fn lake_or_new(&self) -> Result<Lake> {
        Ok(Lake::create_or_open(&self.global.lake)?)
    }

    /// The built-in manifests and those of `--manifests`.
    pub(crate) fn manifests(&self) -> Result<Vec<Manifest>> {
        Ok(registry::load(self.global.manifests.as_deref())?)
    }

    /// The manifest of one data set.
    pub(crate) fn manifest(&self, name: &str) -> Result<Manifest> {
        Ok(registry::named(self.global.manifests.as_deref(), name)?)
    }

    /// Lays the configuration file and the environment over defaults.
    pub(crate) fn configure(&self, layers: &mut Layers) -> Result<()> {
        match &self.global.config {
            Some(path) => layers.file(path)?,
            None if Path::new(DEFAULT_FILE).is_file() => layers.file(Path::new(DEFAULT_FILE))?,
            None => {}
        }
        layers.environment(std::env::vars())
    }

    /// A copy of these options over another lake, for the demo.
    pub(crate) fn with_lake(&mut self, lake: &Path) {
        self.global.lake = lake.to_owned();
    }
}
