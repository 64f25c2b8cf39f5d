//! The encoder with MindMix's projection to 256 and a two-layer head.

use candle_core::Tensor;

use super::{ClassifierConfig, Encoder, INIT_STD, PROJECTION};
use crate::error::Result;
use crate::layers::{Linear, Projection};
use crate::model::{Batch, Mode, Model, Needs};
use crate::ops;
use crate::params::{Init, Params};

/// Hidden width of the classification head.
const HEAD: usize = 128;

/// Linear (published: from 256) → 128, GELU, dropout, Linear 128 → classes: `classifier.0` and
/// `classifier.3`.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    first: Linear,
    second: Linear,
    dropout: f32,
}

impl Head {
    /// Adds `classifier.0` and `classifier.3`; `width` is that of what comes in.
    pub(crate) fn new(
        params: &mut Params,
        width: usize,
        classes: usize,
        dropout: f32,
    ) -> Result<Self> {
        let init = Init::TruncNormal(INIT_STD);
        Ok(Self {
            first: Linear::new(params, "classifier.0", width, HEAD, true, init)?,
            second: Linear::new(params, "classifier.3", HEAD, classes, true, init)?,
            dropout,
        })
    }

    /// [B, width] → [B, classes].
    pub(crate) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = ops::gelu(&self.first.forward(x)?)?;
        let x = ops::dropout(&x, self.dropout, mode.stream("classifier.dropout"))?;
        self.second.forward(&x)
    }
}

/// The classifier.
#[derive(Debug, Clone)]
pub struct Classifier {
    config: ClassifierConfig,
    params: Params,
    encoder: Encoder,
    projection: Projection,
    head: Head,
}

impl Classifier {
    /// Builds the network in `params` (an empty set).
    ///
    /// # Errors
    /// [`crate::Error::Config`] for sizes that make no network.
    pub fn new(config: &ClassifierConfig, mut params: Params) -> Result<Self> {
        config.check()?;
        let p = &mut params;
        let encoder = Encoder::new(&config.encoder, p, "eeg_model.model.")?;
        let projection = Projection::new(p, "eeg_proj", config.encoder.width(), PROJECTION)?;
        let head = Head::new(p, PROJECTION, config.classes, config.head_dropout)?;
        Ok(Self {
            config: config.clone(),
            params,
            encoder,
            projection,
            head,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &ClassifierConfig {
        &self.config
    }

    /// The encoder inside.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The projected EEG [B, 256] before dropout and head.
    ///
    /// # Errors
    /// Those of [`Encoder::forward`].
    pub fn embed(&self, x: &Tensor, ch_names: &[String], mode: Mode) -> Result<Tensor> {
        self.projection
            .forward(&self.encoder.forward(x, ch_names, mode)?)
    }
}

impl Model for Classifier {
    fn name(&self) -> &'static str {
        "mindmix"
    }

    fn needs(&self) -> Needs {
        Needs::Eeg
    }

    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensor> {
        let x = self.embed(&batch.eeg, &batch.ch_names, mode)?;
        let x = ops::dropout(
            &x,
            self.config.projection_dropout,
            mode.stream("eeg_proj.dropout"),
        )?;
        self.head.forward(&x, mode)
    }

    fn params(&self) -> &Params {
        &self.params
    }
}
