//! Recipes: named, versioned, hashed preprocessing.
//!
//! Owns the recipe's fields, its TOML form and its hash. The texts of the built-in recipes live
//! in `schemas/recipes/` at the root of the workspace. What a recipe does is in
//! [`crate::pipeline`] and [`crate::epochs`].

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const BUILTIN: [(&str, &str); 3] = [
    (
        "mindmix",
        include_str!("../../../schemas/recipes/mindmix.toml"),
    ),
    (
        "labram",
        include_str!("../../../schemas/recipes/labram.toml"),
    ),
    (
        "cbramod",
        include_str!("../../../schemas/recipes/cbramod.toml"),
    ),
];

/// How an epoch is scaled before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Normalise {
    /// Each channel of each epoch to mean 0 and population standard deviation 1.
    Zscore,
    /// Microvolts divided by this number.
    Divide(f64),
}

/// What is done to sound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudioRecipe {
    /// Rate of the stored sound in Hz, mono.
    pub sfreq: u32,
    /// Length of a stored segment in s.
    pub segment_seconds: f64,
    /// How a segment is scaled.
    pub normalise: AudioNormalise,
}

/// How a segment of sound is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AudioNormalise {
    /// Divided by the largest absolute sample of the segment.
    Peak,
    /// Left as it is.
    None,
}

/// A preprocessing recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name: lower-case letters, digits, `-` and `_`; it becomes a folder name in the lake.
    pub name: String,
    /// Version; a change of any number below needs a higher one.
    pub version: u32,
    /// Where the numbers come from.
    pub source: String,
    /// Lower cut-off in Hz; none: no high-pass.
    #[serde(default)]
    pub l_freq: Option<f64>,
    /// Upper cut-off in Hz; none: no low-pass.
    #[serde(default)]
    pub h_freq: Option<f64>,
    /// Order of the Butterworth filter (SciPy's `N`).
    pub order: usize,
    /// Frequency of the mains notch in Hz; none: no notch.
    #[serde(default)]
    pub notch: Option<f64>,
    /// Quality of the notch (centre / bandwidth).
    #[serde(default = "default_notch_q")]
    pub notch_q: f64,
    /// Rate of the stored EEG in Hz.
    pub sfreq: f64,
    /// Length of an epoch in s.
    pub epoch_seconds: f64,
    /// Scaling of an epoch.
    pub normalise: Normalise,
    /// What is done to sound.
    pub audio: AudioRecipe,
}

fn default_notch_q() -> f64 {
    30.0
}

impl Recipe {
    /// Reads a recipe from TOML.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming the field or the line that is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let recipe: Self = toml::from_str(text).map_err(|e| Error::Recipe {
            name: name_in(text),
            message: e.to_string().trim_end().to_owned(),
        })?;
        recipe.check()?;
        Ok(recipe)
    }

    /// A built-in recipe; `None` when there is none of that name.
    pub fn builtin(name: &str) -> Option<Self> {
        let (_, text) = BUILTIN.iter().find(|(n, _)| *n == name)?;
        Self::parse(text).ok()
    }

    /// Samples in an epoch: `floor(epoch_seconds * sfreq)`, with room for rounding.
    pub fn epoch_samples(&self) -> usize {
        (self.epoch_seconds * self.sfreq + 1e-6).floor() as usize
    }

    /// 16 hexadecimal digits of the XXH3 hash over the canonical form: every field that changes
    /// what is stored, in a fixed order, floats by their shortest exact decimal form. `source`
    /// is not part of it.
    pub fn hash(&self) -> String {
        format!(
            "{:016x}",
            xxhash_rust::xxh3::xxh3_64(self.canonical().as_bytes())
        )
    }

    fn canonical(&self) -> String {
        let option = |x: Option<f64>| x.map_or("none".to_owned(), |x| format!("{x:?}"));
        let normalise = match self.normalise {
            Normalise::Zscore => "zscore".to_owned(),
            Normalise::Divide(by) => format!("divide:{by:?}"),
        };
        let audio_normalise = match self.audio.normalise {
            AudioNormalise::Peak => "peak",
            AudioNormalise::None => "none",
        };
        let notch_q = self.notch.map(|_| self.notch_q);
        format!(
            "name={}\nversion={}\nl_freq={}\nh_freq={}\norder={}\nnotch={}\nnotch_q={}\n\
             sfreq={:?}\nepoch_seconds={:?}\nnormalise={normalise}\naudio.sfreq={}\n\
             audio.segment_seconds={:?}\naudio.normalise={audio_normalise}\n",
            self.name,
            self.version,
            option(self.l_freq),
            option(self.h_freq),
            self.order,
            option(self.notch),
            option(notch_q),
            self.sfreq,
            self.epoch_seconds,
            self.audio.sfreq,
            self.audio.segment_seconds,
        )
    }

    fn check(&self) -> Result<()> {
        let fail = |message: String| {
            Err(Error::Recipe {
                name: self.name.clone(),
                message,
            })
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return fail(format!(
                "name: expected lower-case letters, digits, '-' and '_', found {:?}",
                self.name
            ));
        }
        if !(1..=16).contains(&self.order) {
            return fail(format!("order: expected 1 to 16, found {}", self.order));
        }
        let divide = match self.normalise {
            Normalise::Divide(by) => Some(by),
            Normalise::Zscore => None,
        };
        let positive = [
            ("l_freq", self.l_freq),
            ("h_freq", self.h_freq),
            ("notch", self.notch),
            ("notch_q", Some(self.notch_q)),
            ("sfreq", Some(self.sfreq)),
            ("epoch_seconds", Some(self.epoch_seconds)),
            ("normalise.divide", divide),
            ("audio.sfreq", Some(f64::from(self.audio.sfreq))),
            ("audio.segment_seconds", Some(self.audio.segment_seconds)),
        ];
        for (field, value) in positive {
            if value.is_some_and(|v| !(v.is_finite() && v > 0.0)) {
                let found = value.unwrap_or(f64::NAN);
                return fail(format!(
                    "{field}: expected a positive number, found {found}"
                ));
            }
        }
        if let (Some(lo), Some(hi)) = (self.l_freq, self.h_freq)
            && lo >= hi
        {
            return fail(format!("l_freq: expected below h_freq = {hi}, found {lo}"));
        }
        if let Some(hi) = self.h_freq
            && hi > self.sfreq / 2.0
        {
            return fail(format!(
                "h_freq: expected at most half of sfreq = {}, found {hi}",
                self.sfreq
            ));
        }
        if self.epoch_samples() == 0 {
            return fail(format!(
                "epoch_seconds: expected at least one sample, found {}",
                self.epoch_seconds
            ));
        }
        Ok(())
    }
}

/// Names of the built-in recipes.
pub fn names() -> Vec<&'static str> {
    BUILTIN.iter().map(|(name, _)| *name).collect()
}

/// The name in a text that does not parse as a recipe, for the message.
fn name_in(text: &str) -> String {
    let table: Option<toml::Table> = toml::from_str(text).ok();
    let name = table.as_ref().and_then(|t| t.get("name")?.as_str());
    name.unwrap_or("(unnamed)").to_owned()
}
