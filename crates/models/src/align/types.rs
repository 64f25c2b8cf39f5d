//! Linear maps chosen by the kind of sound (speech, music, ...).

use candle_core::Tensor;

use super::config::FusionConfig;
use crate::error::Result;
use crate::layers::Linear;
use crate::ops;
use crate::params::{Init, Params};

/// The type of a sound whose kind is not known.
pub const UNKNOWN_TYPE: u32 = u32::MAX;

/// What a sound of unknown kind goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    /// Nothing.
    Identity,
    /// The mean of all maps.
    Mean,
}

/// One linear map a type, `{name}.{type}`.
#[derive(Debug, Clone)]
pub(super) struct TypeAligner {
    maps: Vec<Linear>,
    unknown: Unknown,
}

impl TypeAligner {
    /// Maps of the width onto itself that start at identity; a sound of unknown kind passes.
    pub(super) fn identity(params: &mut Params, name: &str, c: &FusionConfig) -> Result<Self> {
        let maps = (0..c.types)
            .map(|k| {
                Linear::new(
                    params,
                    &format!("{name}.{k}"),
                    c.width,
                    c.width,
                    true,
                    Init::Identity,
                )
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            maps,
            unknown: Unknown::Identity,
        })
    }

    /// Maps from the width to the rank; a sound of unknown kind takes their mean.
    pub(super) fn low_rank(params: &mut Params, name: &str, c: &FusionConfig) -> Result<Self> {
        let maps = (0..c.types)
            .map(|k| super::calra_paper::linear(params, &format!("{name}.{k}"), c.width, c.rank))
            .collect::<Result<_>>()?;
        Ok(Self {
            maps,
            unknown: Unknown::Mean,
        })
    }

    /// `x` [P, n_in] with one type a row → [P, n_out].
    pub(super) fn forward(&self, x: &Tensor, types: &[u32]) -> Result<Tensor> {
        let (p, _) = x.dims2()?;
        let column = |value: &dyn Fn(u32) -> f64| -> Result<Tensor> {
            let v: Vec<f64> = types.iter().map(|t| value(*t)).collect();
            Ok(ops::constants(v, (p, 1), x)?)
        };
        let n = self.maps.len();
        let known = |t: u32| (t as usize) < n;
        let mut y = match self.unknown {
            Unknown::Identity => Some(x.broadcast_mul(&column(&|t| f64::from(!known(t)))?)?),
            Unknown::Mean => None,
        };
        for (k, map) in self.maps.iter().enumerate() {
            // A map that no row goes through has no gradient either, so an optimiser leaves it.
            let met = |t: &u32| *t as usize == k || self.unknown == Unknown::Mean && !known(*t);
            if !types.iter().any(met) {
                continue;
            }
            let share = column(&|t| match known(t) {
                true => f64::from(t as usize == k),
                false if self.unknown == Unknown::Mean => 1.0 / n as f64,
                false => 0.0,
            })?;
            let part = map.forward(x)?.broadcast_mul(&share)?;
            y = Some(match y {
                Some(y) => (y + part)?,
                None => part,
            });
        }
        // A configuration without types is refused, so there is at least one map.
        Ok(y.unwrap_or_else(|| x.clone()))
    }
}
