//! Stage 2: EEG and sound brought into one space, and stage 3 with sound, built on it.
//!
//! Owns: the fusion modules (CALRA as the paper writes it and as its code has it, co-attention,
//! concatenation, none), the contrast over a batch and its temperature, the two scorings of
//! candidates, the network of it all, and stage 3's networks with sound. Does not own: the encoders,
//! batches, the optimiser, or what is done with a score.
//!
//! CALRA refines each vector *with the other*, so its results belong to one pair. A score that
//! compares vectors of different pairs can carry the answer in its input: `Pairs::Diagonal` and
//! `Scoring::Paper` do, are kept to reproduce published figures, and are never a default.

mod calra_paper;
mod calra_released;
mod config;
mod contrast;
mod fusion;
mod matcher;
mod model;
mod real;
pub mod score;
mod simple;
mod tasks;
mod types;

pub use self::config::{FusionConfig, FusionKind, Pairs, Scoring};
pub use self::contrast::{
    Logits, MAX_LOGIT_SCALE, Sounds, Temperature, crossed, info_nce, logits, own_candidates,
};
pub use self::fusion::Fusion;
pub use self::matcher::{Matcher, PrototypeClassifier};
pub use self::model::{AlignConfig, Aligner};
pub use self::real::RealClassifier;
pub use self::tasks::{FusedClassifier, Prototypes};
pub use self::types::UNKNOWN_TYPE;
