//! Tokens to tokens: class token, spatial and temporal embedding, transformer blocks. Shared by
//! the encoder and by the tokeniser's decoder.

use candle_core::Tensor;

use super::block::{self, Block, INIT_STD};
use super::config::{EncoderConfig, MAX_PATCHES};
use super::electrodes;
use crate::error::{Error, Result};
use crate::model::Mode;
use crate::ops;
use crate::params::{Init, Params};

/// Which row of the spatial table the class token receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClassRow {
    /// Row 0, its own: what the published fine-tuning and tokeniser code does.
    #[default]
    Own,
    /// The first electrode's row: what the published masked pre-training does. Patches attend to
    /// the class token, so stored pre-trained weights give their own results only with this.
    FirstElectrode,
}

/// How the tokens [B, C·A, D] of a batch are laid out: channel-major, then patch.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Rows of the spatial table, one a channel; for batches of mixed montages B·C of them.
    pub rows: Vec<u32>,
    /// Channels, padded ones included.
    pub channels: usize,
    /// Patches a channel.
    pub patches: usize,
    /// Real channels of each sample, where samples are padded.
    pub counts: Option<Vec<usize>>,
    /// Row of the class token.
    pub class_row: ClassRow,
}

impl Layout {
    /// A batch of one montage.
    ///
    /// # Errors
    /// [`Error::UnknownElectrode`] for a name without a place; [`Error::Shape`] when there is not
    /// one name a channel. Without the spatial embedding names are not looked at.
    pub fn new(
        config: &EncoderConfig,
        names: &[String],
        channels: usize,
        patches: usize,
    ) -> Result<Self> {
        Ok(Self {
            rows: table_rows(config, names, channels)?,
            channels,
            patches,
            counts: None,
            class_row: ClassRow::Own,
        })
    }

    /// A batch of `montages`, one a sample, each padded to `channels` at its end.
    ///
    /// # Errors
    /// As [`Layout::new`], and [`Error::Shape`] for a montage that is empty or too long.
    pub fn padded(
        config: &EncoderConfig,
        montages: &[&[String]],
        channels: usize,
        patches: usize,
    ) -> Result<Self> {
        let mut rows = Vec::with_capacity(montages.len() * channels);
        let mut counts = Vec::with_capacity(montages.len());
        for names in montages {
            if names.is_empty() || names.len() > channels {
                return Err(Error::Shape {
                    what: "montage",
                    found: vec![names.len()],
                    expected: format!("1 to {channels} names"),
                });
            }
            rows.extend(table_rows(config, names, names.len())?);
            // The row of a padded channel is never looked at: any will do.
            rows.resize(
                if config.spatial_embedding {
                    counts.len() * channels + channels
                } else {
                    0
                },
                0,
            );
            counts.push(names.len());
        }
        Ok(Self {
            rows,
            channels,
            patches,
            counts: Some(counts),
            class_row: ClassRow::Own,
        })
    }

    /// The same layout with another row for the class token.
    pub fn with_class_row(mut self, class_row: ClassRow) -> Self {
        self.class_row = class_row;
        self
    }

    /// Real tokens of each sample without the class token, where samples are padded.
    pub(crate) fn lengths(&self) -> Option<Vec<usize>> {
        self.counts
            .as_ref()
            .map(|c| c.iter().map(|c| c * self.patches).collect())
    }
}

fn table_rows(config: &EncoderConfig, names: &[String], channels: usize) -> Result<Vec<u32>> {
    if !config.spatial_embedding {
        return Ok(Vec::new());
    }
    if names.len() != channels {
        return Err(Error::Shape {
            what: "ch_names",
            found: vec![names.len()],
            expected: format!("{channels} names, one a channel"),
        });
    }
    electrodes::rows(names)
}

/// The trunk.
#[derive(Debug, Clone)]
pub(crate) struct Trunk {
    width: usize,
    cls_token: Tensor,
    pos_embed: Option<Tensor>,
    time_embed: Tensor,
    blocks: Vec<Block>,
}

impl Trunk {
    /// Adds `cls_token`, `pos_embed`, `time_embed` and `blocks.*`, each behind `prefix`.
    pub(crate) fn new(config: &EncoderConfig, params: &mut Params, prefix: &str) -> Result<Self> {
        config.check()?;
        let d = config.width();
        let init = Init::TruncNormal(INIT_STD);
        let cls_token = params.embedding(&format!("{prefix}cls_token"), (1, 1, d), init)?;
        let pos_embed = if config.spatial_embedding {
            Some(params.embedding(
                &format!("{prefix}pos_embed"),
                (1, electrodes::ROWS, d),
                init,
            )?)
        } else {
            None
        };
        let time_embed =
            params.embedding(&format!("{prefix}time_embed"), (1, MAX_PATCHES, d), init)?;
        let blocks = (0..config.depth)
            .map(|i| Block::new(params, prefix, i, config))
            .collect::<Result<_>>()?;
        Ok(Self {
            width: d,
            cls_token,
            pos_embed,
            time_embed,
            blocks,
        })
    }

    /// Tokens [B, C·A, D] → [B, 1 + C·A, D], the class token first.
    pub(crate) fn forward(&self, tokens: &Tensor, at: &Layout, mode: Mode) -> Result<Tensor> {
        let (b, n, d) = tokens.dims3()?;
        let (c, a) = (at.channels, at.patches);
        if n != c * a || d != self.width || a == 0 || a > MAX_PATCHES {
            return Err(Error::Shape {
                what: "tokens",
                found: tokens.dims().to_vec(),
                expected: format!(
                    "[batch, {c} channels × {a} patches (at most {MAX_PATCHES}), {}]",
                    self.width
                ),
            });
        }
        let time = self.time_embed.narrow(1, 0, a)?.unsqueeze(1)?;
        // [B or 1, C, A, D], and the class token [B or 1, 1, D].
        let (embedding, cls) = match &self.pos_embed {
            Some(table) => {
                let samples = match at.counts {
                    Some(_) => b,
                    None => 1,
                };
                if at.rows.len() != samples * c {
                    return Err(Error::Shape {
                        what: "rows of the spatial table",
                        found: vec![at.rows.len()],
                        expected: format!("{}, one a channel", samples * c),
                    });
                }
                let rows = Tensor::from_slice(&at.rows, at.rows.len(), tokens.device())?;
                let table = table.squeeze(0)?;
                let space = table.index_select(&rows, 0)?.reshape((samples, c, 1, d))?;
                let own = match at.class_row {
                    ClassRow::Own => table.narrow(0, 0, 1)?.unsqueeze(0)?,
                    ClassRow::FirstElectrode => space.narrow(1, 0, 1)?.reshape((samples, 1, d))?,
                };
                (
                    space.broadcast_add(&time)?,
                    self.cls_token.broadcast_add(&own)?,
                )
            }
            None => (
                time.broadcast_as((1, c, a, d))?.contiguous()?,
                self.cls_token.clone(),
            ),
        };
        let (samples, ..) = embedding.dims4()?;
        let x = ops::with_class_token(tokens, &embedding.reshape((samples, n, d))?, &cls)?;
        let lengths: Option<Vec<usize>> =
            at.lengths().map(|l| l.into_iter().map(|n| n + 1).collect());
        block::forward(&self.blocks, &x, lengths.as_deref(), mode)
    }
}
