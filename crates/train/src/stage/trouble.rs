//! A loss or a gradient that is no number, whatever the stage: training stops, names the batch, and keeps
//! what it had.

use candle_core::{Device, Tensor};
use mmpipe_models::{Init, Params};
use serde::{Deserialize, Serialize};

use super::{Draws, Loss, Objective, Stage, StepConfig, Validation, train};
use crate::config::Select;
use crate::progress::Silent;
use crate::source::{MemorySource, Meta};
use crate::store::{About, Checkpoints};
use crate::{Error, Result};

/// What is wrong with the batch that has example [`BAD`].
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The loss is this.
    Loss(f64),
    /// The loss is 0 and its gradient is infinite.
    Gradient,
    /// The loss is finite, and far above that of a guess.
    Large,
}

const BAD: usize = 5;

/// One weight; the loss is its square.
struct Toy {
    params: Params,
    weight: Tensor,
    fault: Fault,
}

impl Objective for Toy {
    type Batch = Vec<usize>;
    type Part = ();

    fn params(&self) -> &Params {
        &self.params
    }

    fn load(&self, examples: &[usize], _: u64) -> Result<Vec<usize>> {
        Ok(examples.to_vec())
    }

    fn cut(&self, _: &Vec<usize>, _: usize) -> Result<Vec<()>> {
        Ok(vec![()])
    }

    fn loss(&self, batch: &Vec<usize>, _: &(), _: &mut Draws) -> Result<Loss> {
        let square = self.weight.sqr()?.sum_all()?;
        let value = match (batch.contains(&BAD), self.fault) {
            (false, _) => square,
            (true, Fault::Loss(x)) => (square * x)?,
            (true, Fault::Large) => (square * 1e6)?,
            (true, Fault::Gradient) => (&self.weight - self.weight.detach())?.sqrt()?.sum_all()?,
        };
        Ok(Loss {
            value,
            named: Vec::new(),
        })
    }

    fn ignorance(&self) -> f64 {
        1.0
    }

    fn validate(&self, _: &[usize]) -> Result<Option<Validation>> {
        Ok(None)
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Nothing;

impl About for Nothing {
    fn must_continue(&self, _: &Self) -> std::result::Result<(), &'static str> {
        Ok(())
    }
}

#[test]
fn what_is_no_number_stops_and_names_the_batch() {
    let mut source = MemorySource::default();
    for i in 0..8 {
        source.metas.push(Meta {
            epoch_id: 100 + i,
            ..Meta::default()
        });
    }
    let all: Vec<usize> = (0..8).collect();
    for (fault, said) in [
        (Fault::Loss(f64::NAN), "the loss is NaN"),
        (Fault::Loss(f64::INFINITY), "the loss is inf"),
        (Fault::Gradient, "the gradient norm is inf"),
        (Fault::Large, "above 100"),
    ] {
        let mut params = Params::new(0, &Device::Cpu);
        let weight = params.weight("w", 3, Init::Const(1.0)).unwrap();
        let toy = Toy {
            params,
            weight,
            fault,
        };
        let dir = tempfile::tempdir().unwrap();
        let cfg = StepConfig {
            epochs: 2,
            batch: 2,
            checkpoint_every: 1,
            ..StepConfig::default()
        };
        let ended = train(Stage {
            objective: &toy,
            about: Nothing,
            source: &source,
            train: &all,
            val: &[],
            cfg: &cfg,
            select: Select::Loss,
            dir: dir.path(),
            label: "",
            fold: 0,
            progress: &Silent,
        });
        let Err(Error::Diverged {
            step,
            reason,
            epoch_ids,
        }) = ended
        else {
            panic!("{fault:?}: it went on");
        };
        assert!(reason.contains(said), "{fault:?}: {reason}");
        // The batch with the bad one, and its neighbour in it.
        assert_eq!(epoch_ids.len(), 2, "{fault:?}");
        assert!(epoch_ids.contains(&(100 + BAD as u64)), "{epoch_ids:?}");
        // The weights are those of the step before, in memory and in the checkpoint.
        let now = toy.weight.to_vec1::<f32>().unwrap();
        assert!(now.iter().all(|w| w.is_finite()), "{fault:?}: {now:?}");
        let stored = Checkpoints::of(dir.path()).latest::<Nothing>().unwrap();
        assert_eq!(stored.map_or(0, |s| s.step), step, "{fault:?}");
    }
}
