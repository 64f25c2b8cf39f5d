//! Progress bars on standard error; nothing at all where it is not a terminal.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One bar for the command at hand.
#[derive(Debug, Clone)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar over `len` steps, hidden when quiet or when standard error is not a terminal.
    pub(crate) fn new(len: u64, what: impl Into<Cow<'static, str>>, quiet: bool) -> Self {
        let template = "{prefix:>12} {bar:28} {pos}/{len} [{elapsed_precise}<{eta}] {msg}";
        Self::with_template(len, what, quiet, template)
    }

    /// A bar over `len` bytes, with the rate and the time left.
    pub(crate) fn bytes(len: u64, what: impl Into<Cow<'static, str>>, quiet: bool) -> Self {
        let template = "{prefix:>12} {bar:28} {binary_bytes}/{binary_total_bytes} \
            {binary_bytes_per_sec} [{elapsed_precise}<{eta}] {msg}";
        Self::with_template(len, what, quiet, template)
    }

    fn with_template(
        len: u64,
        what: impl Into<Cow<'static, str>>,
        quiet: bool,
        template: &str,
    ) -> Self {
        let bar = ProgressBar::new(len);
        let shown = !quiet && std::io::stderr().is_terminal();
        bar.set_draw_target(if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(what);
        Bar(bar)
    }

    /// Sets the number of steps.
    pub(crate) fn length(&self, len: u64) {
        self.0.set_length(len);
    }

    /// Goes to step `at`.
    pub(crate) fn position(&self, at: u64) {
        self.0.set_position(at);
    }

    /// So many steps more.
    pub(crate) fn step(&self, steps: u64) {
        self.0.inc(steps);
    }

    /// Says what is being done.
    pub(crate) fn message(&self, message: impl Into<Cow<'static, str>>) {
        self.0.set_message(message);
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// The bars of a training run: one a fold and control.
#[derive(Debug)]
pub(crate) struct TrainingBar {
    bar: Bar,
    run: String,
    quiet: bool,
    /// The device that was told last.
    device: Mutex<String>,
}

impl TrainingBar {
    /// For the run of this name.
    pub(crate) fn new(run: &str, quiet: bool) -> Self {
        TrainingBar {
            bar: Bar::new(0, "train", quiet),
            run: run.to_owned(),
            quiet,
            device: Mutex::default(),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish();
    }
}

impl mmpipe_train::Progress for TrainingBar {
    fn fold_started(&self, label: &str, fold: i32, steps_per_epoch: u64, epochs: usize, step: u64) {
        self.bar.length(steps_per_epoch * epochs as u64);
        self.bar.position(step);
        let control = if label.is_empty() {
            String::new()
        } else {
            format!(" {label}")
        };
        self.bar
            .message(format!("{}{control} fold {fold}", self.run));
        tracing::info!("{}{control}: fold {fold} starts at step {step}", self.run);
    }

    fn device(&self, name: &str) {
        let mut told = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.quiet && *told != name {
            eprintln!("{}: computing on {name}", self.run);
        }
        name.clone_into(&mut told);
    }

    fn warn(&self, text: &str) {
        tracing::warn!("{}: {text}", self.run);
    }

    fn step(&self, step: u64, _loss: f64, _lr: f64) {
        self.bar.position(step);
    }

    fn epoch(&self, record: &mmpipe_train::EpochRecord) {
        tracing::info!(
            "pass {}: train loss {:.4}, val loss {}, val balanced accuracy {}",
            record.epoch,
            record.train_loss,
            record
                .val_loss
                .map_or("-".to_owned(), |x| format!("{x:.4}")),
            record
                .val_balanced_accuracy
                .map_or("-".to_owned(), |x| format!("{x:.3}")),
        );
    }
}
