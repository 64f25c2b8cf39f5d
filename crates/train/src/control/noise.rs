//! `noise-eeg`: noise with the **average** spectrum of the training epochs, channel by channel.
//!
//! The usual surrogate keeps the amplitude spectrum of the epoch that it replaces. Then the trial
//! can still be recognised by its spectrum (drift, muscle tone, a bad electrode), so a leaky split
//! would lift the control too, and a score above chance would not tell which door was open. Here
//! every epoch is drawn from one and the same distribution: the root of the mean power spectrum of
//! the training epochs with phases from (seed, epoch_id), each channel by itself. Nothing of the
//! epoch is left but its id. The scale that undoes the z-score is the average one as well.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, RwLock};

use candle_core::{Device, Tensor};
use mmpipe_signal::spectrum::{Phases, phase_randomise};
use rayon::prelude::*;
use realfft::RealFftPlanner;

use super::other_eeg::Eeg;
use crate::source::Source;
use crate::store::write_file;
use crate::{Error, Result};

/// Training epochs that are averaged at most, spread evenly.
const MOST: usize = 2048;
/// Its place in a fold's folder.
pub(crate) const FILE: &str = "noise.safetensors";

/// What the average is of one channel.
#[derive(Debug, Clone, PartialEq)]
struct Channel {
    /// A signal whose amplitude spectrum is the average one, all phases zero.
    template: Vec<f32>,
    /// Average mean and geometric average standard deviation, µV.
    mean: f32,
    std: f32,
}

/// Average spectra by channel name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template {
    channels: HashMap<String, Channel>,
    n_times: usize,
}

/// Sums of one channel.
#[derive(Clone)]
struct Sum {
    power: Vec<f64>,
    mean: f64,
    log_std: f64,
    n: f64,
}

impl Template {
    /// Average over (a spread of) the examples `train`.
    pub(crate) fn of(source: &dyn Source, train: &[usize]) -> Result<Self> {
        let n = source.n_times();
        let count = train.len().min(MOST);
        let chosen: Vec<usize> = (0..count).map(|j| train[j * train.len() / count]).collect();
        let fft = RealFftPlanner::<f64>::new().plan_fft_forward(n);
        // Spectra in parallel, sums in order: the same bits for any number of threads.
        let mut sums: HashMap<String, Sum> = HashMap::new();
        for part in chosen.chunks(64) {
            let spectra: Vec<Result<Vec<Sum>>> = part
                .par_iter()
                .map(|&i| {
                    let names = source.montage(source.meta(i).montage);
                    let mut eeg = vec![0f32; names.len() * n];
                    source.read_eeg(i, &mut eeg)?;
                    let (mut mean, mut std) = (vec![0f32; names.len()], vec![0f32; names.len()]);
                    source.read_scale(i, &mut mean, &mut std)?;
                    let mut time = fft.make_input_vec();
                    let mut bins = fft.make_output_vec();
                    let mut out = Vec::with_capacity(names.len());
                    for (c, row) in eeg.chunks(n).enumerate() {
                        for (to, v) in time.iter_mut().zip(row) {
                            *to = f64::from(*v);
                        }
                        fft.process(&mut time, &mut bins)
                            .map_err(|e| Error::Signal(e.to_string()))?;
                        out.push(Sum {
                            power: bins.iter().map(|b| b.norm_sqr()).collect(),
                            mean: f64::from(mean[c]),
                            log_std: f64::from(std[c]).max(1e-6).ln(),
                            n: 1.0,
                        });
                    }
                    Ok(out)
                })
                .collect();
            for (&i, spectrum) in part.iter().zip(spectra) {
                let names = source.montage(source.meta(i).montage);
                for (name, one) in names.iter().zip(spectrum?) {
                    match sums.get_mut(name) {
                        None => {
                            sums.insert(name.clone(), one);
                        }
                        Some(sum) => {
                            for (a, b) in sum.power.iter_mut().zip(&one.power) {
                                *a += b;
                            }
                            sum.mean += one.mean;
                            sum.log_std += one.log_std;
                            sum.n += 1.0;
                        }
                    }
                }
            }
        }
        let inverse = RealFftPlanner::<f64>::new().plan_fft_inverse(n);
        let mut channels = HashMap::with_capacity(sums.len());
        for (name, sum) in sums {
            let mut bins = inverse.make_input_vec();
            for (bin, power) in bins.iter_mut().zip(&sum.power) {
                bin.re = (power / sum.n).sqrt();
            }
            let mut time = inverse.make_output_vec();
            inverse
                .process(&mut bins, &mut time)
                .map_err(|e| Error::Signal(e.to_string()))?;
            channels.insert(
                name,
                Channel {
                    template: time.iter().map(|v| (v / n as f64) as f32).collect(),
                    mean: (sum.mean / sum.n) as f32,
                    std: (sum.log_std / sum.n).exp() as f32,
                },
            );
        }
        Ok(Self {
            channels,
            n_times: n,
        })
    }

    pub(crate) fn save(&self, dir: &Path) -> Result<()> {
        let mut tensors = Vec::new();
        for (name, c) in &self.channels {
            tensors.push((
                format!("template.{name}"),
                Tensor::new(c.template.as_slice(), &Device::Cpu)?,
            ));
            tensors.push((
                format!("scale.{name}"),
                Tensor::new(&[c.mean, c.std], &Device::Cpu)?,
            ));
        }
        let bytes = safetensors::serialize(tensors, None)
            .map_err(|e| Error::Tensor(candle_core::Error::wrap(e)))?;
        write_file(&dir.join(FILE), &bytes)
    }

    pub(crate) fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let damaged =
            |e: candle_core::Error| Error::checkpoint(&path, format!("not readable: {e}"));
        let tensors =
            candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(damaged)?;
        let mut channels = HashMap::new();
        let mut n_times = 0;
        for (key, tensor) in &tensors {
            let Some(name) = key.strip_prefix("template.") else {
                continue;
            };
            let template = tensor.to_vec1::<f32>().map_err(damaged)?;
            let scale = tensors.get(&format!("scale.{name}"));
            let scale = scale
                .map(|s| s.to_vec1::<f32>())
                .transpose()
                .map_err(damaged)?;
            let Some([mean, std]) = scale.as_deref() else {
                return Err(Error::checkpoint(
                    &path,
                    format!("channel {name} has no scale"),
                ));
            };
            n_times = template.len();
            channels.insert(
                name.to_string(),
                Channel {
                    template,
                    mean: *mean,
                    std: *std,
                },
            );
        }
        if channels.is_empty() || channels.values().any(|c| c.template.len() != n_times) {
            return Err(Error::checkpoint(
                &path,
                "expected channels of one length, found none or several",
            ));
        }
        Ok(Self { channels, n_times })
    }
}

/// Noise for EEG.
pub(crate) struct Noise {
    template: Template,
    seed: u64,
    /// Templates of whole montages.
    montages: RwLock<HashMap<usize, Arc<[f32]>>>,
}

impl Noise {
    pub(crate) fn new(template: Template, seed: u64) -> Self {
        Self {
            template,
            seed,
            montages: RwLock::default(),
        }
    }

    fn channel(&self, inner: &dyn Source, i: usize, name: &str) -> Result<&Channel> {
        self.template.channels.get(name).ok_or_else(|| {
            Error::Data(format!(
                "noise for epoch {:016x}: channel {name} does not occur in the training epochs, so its spectrum is not known",
                inner.meta(i).epoch_id
            ))
        })
    }

    fn montage_template(&self, inner: &dyn Source, i: usize) -> Result<Arc<[f32]>> {
        let m = inner.meta(i).montage;
        if let Ok(known) = self.montages.read()
            && let Some(template) = known.get(&m)
        {
            return Ok(template.clone());
        }
        let mut all = Vec::new();
        for name in inner.montage(m) {
            all.extend_from_slice(&self.channel(inner, i, name)?.template);
        }
        let all: Arc<[f32]> = all.into();
        if let Ok(mut known) = self.montages.write() {
            known.insert(m, all.clone());
        }
        Ok(all)
    }
}

impl Eeg for Noise {
    fn read_eeg(&self, inner: &dyn Source, i: usize, out: &mut [f32]) -> Result<()> {
        let template = self.montage_template(inner, i)?;
        if template.len() != out.len() {
            return Err(Error::source(
                inner.meta(i).epoch_id,
                "noise",
                format!(
                    "the training epochs had {} samples, this one {}",
                    self.template.n_times,
                    inner.n_times()
                ),
            ));
        }
        out.copy_from_slice(&template);
        let channels = out.len() / self.template.n_times.max(1);
        phase_randomise(
            out,
            channels,
            self.seed,
            inner.meta(i).epoch_id,
            Phases::Independent,
        )
        .map_err(|e| Error::Signal(e.to_string()))
    }
    fn read_scale(
        &self,
        inner: &dyn Source,
        i: usize,
        out_mean: &mut [f32],
        out_std: &mut [f32],
    ) -> Result<()> {
        let names = inner.montage(inner.meta(i).montage);
        for ((name, mean), std) in names.iter().zip(out_mean).zip(out_std) {
            let channel = self.channel(inner, i, name)?;
            (*mean, *std) = (channel.mean, channel.std);
        }
        Ok(())
    }
}
