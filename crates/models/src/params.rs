//! Named variables: what a network learns (weights) and what it only remembers (buffers).
//!
//! Names equal the published state dicts, so stored weights can be exchanged with the original
//! code. Initial values depend on (seed, name) alone, never on the order of construction.

use std::collections::HashMap;

use candle_core::{DType, Device, Shape, Tensor, Var};

use crate::error::{Error, Result};
use crate::rng::Stream;

/// How a variable starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Every element equal.
    Const(f64),
    /// Uniform in [-bound, bound].
    Uniform(f64),
    /// Normal with this standard deviation, redrawn outside [-2, 2]: the published code's cut is
    /// absolute, not in standard deviations.
    TruncNormal(f64),
    /// Normal with this standard deviation.
    Normal(f64),
    /// Ones on the diagonal of a square matrix, zeros elsewhere.
    Identity,
}

impl Init {
    /// Glorot and Bengio's uniform bound for given fan-in and fan-out.
    pub fn glorot(fan_in: usize, fan_out: usize) -> Self {
        Init::Uniform((6.0 / (fan_in + fan_out).max(1) as f64).sqrt())
    }

    /// PyTorch's default for linear and convolution layers: uniform, bound 1/sqrt(fan-in).
    pub fn torch_default(fan_in: usize) -> Self {
        Init::Uniform(1.0 / (fan_in.max(1) as f64).sqrt())
    }

    fn values(self, stream: Stream, n: usize) -> Vec<f64> {
        match self {
            Init::Const(c) => vec![c; n],
            Init::Uniform(b) => (0..n as u64)
                .map(|i| (2.0 * stream.uniform_f64(i) - 1.0) * b)
                .collect(),
            Init::Normal(std) => (0..n as u64).map(|i| stream.normal(i) * std).collect(),
            Init::Identity => {
                let side = n.isqrt();
                (0..n)
                    .map(|i| if i % (side + 1) == 0 { 1.0 } else { 0.0 })
                    .collect()
            }
            Init::TruncNormal(std) => (0..n as u64)
                .map(|i| {
                    let own = stream.child(i);
                    (0..)
                        .map(|k| own.normal(k) * std)
                        .find(|v| v.abs() <= 2.0)
                        .unwrap_or(0.0)
                })
                .collect(),
        }
    }
}

/// What a variable is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Moved by the optimiser.
    Weight,
    /// State that forward passes in training mode update, such as running means.
    Buffer,
}

/// One named variable.
#[derive(Debug, Clone)]
pub struct Param {
    /// Name in the state dict.
    pub name: String,
    /// The variable; its tensor shares storage with the one inside the network.
    pub var: Var,
    /// Weight or buffer.
    pub kind: Kind,
    /// Whether weight decay applies: weights of two or more dimensions that are not embedding
    /// tables.
    pub decay: bool,
}

/// The variables of one network, in order of construction.
#[derive(Debug, Clone)]
pub struct Params {
    device: Device,
    dtype: DType,
    /// None: every variable starts at zero.
    seed: Option<u64>,
    entries: Vec<Param>,
    index: HashMap<String, usize>,
}

impl Params {
    /// An empty set on `device`, f32; initial values will be drawn from `seed`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self::with_dtype(seed, device, DType::F32)
    }

    /// As [`Params::new`], all zeros: for a network whose variables are loaded next, which need not be
    /// drawn first.
    pub fn unset(device: &Device) -> Self {
        Self {
            seed: None,
            ..Self::new(0, device)
        }
    }

    /// As [`Params::new`] with another floating type; f64 serves numeric checks.
    pub fn with_dtype(seed: u64, device: &Device, dtype: DType) -> Self {
        Self {
            device: device.clone(),
            dtype,
            seed: Some(seed),
            entries: Vec::new(),
            index: HashMap::new(),
        }
    }

    /// Where the variables live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Floating type of the variables.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Adds a weight and returns the tensor a network computes with. Weight decay applies from
    /// two dimensions up.
    pub fn weight(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Tensor> {
        let shape = shape.into();
        let decay = shape.rank() > 1;
        self.add(name, shape, init, Kind::Weight, decay)
            .map(|v| v.as_tensor().clone())
    }

    /// Adds a weight that is a look-up table or token: never decayed, whatever its rank.
    pub fn embedding(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Tensor> {
        self.add(name, shape.into(), init, Kind::Weight, false)
            .map(|v| v.as_tensor().clone())
    }

    /// Adds a buffer.
    pub fn buffer(&mut self, name: &str, shape: impl Into<Shape>, value: f64) -> Result<Var> {
        self.add(name, shape.into(), Init::Const(value), Kind::Buffer, false)
    }

    /// Adds a buffer with other values than one constant.
    pub fn buffer_from(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Var> {
        self.add(name, shape.into(), init, Kind::Buffer, false)
    }

    fn add(
        &mut self,
        name: &str,
        shape: Shape,
        init: Init,
        kind: Kind,
        decay: bool,
    ) -> Result<Var> {
        if self.index.contains_key(name) {
            return Err(Error::DuplicateParameter {
                name: name.to_string(),
            });
        }
        let n = shape.elem_count();
        let values = match self.seed {
            Some(seed) => init.values(Stream::named(seed, name), n),
            None => vec![0.0; n],
        };
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?
            .to_dtype(self.dtype)?
            .to_device(&self.device)?;
        let var = Var::from_tensor(&tensor)?;
        self.index.insert(name.to_string(), self.entries.len());
        self.entries.push(Param {
            name: name.to_string(),
            var: var.clone(),
            kind,
            decay,
        });
        Ok(var)
    }

    /// All variables in order of construction.
    pub fn iter(&self) -> impl Iterator<Item = &Param> {
        self.entries.iter()
    }

    /// The variables that an optimiser moves, in order of construction.
    pub fn trainable(&self) -> impl Iterator<Item = &Param> {
        self.entries.iter().filter(|p| p.kind == Kind::Weight)
    }

    /// The buffers, in order of construction.
    pub fn buffers(&self) -> impl Iterator<Item = &Param> {
        self.entries.iter().filter(|p| p.kind == Kind::Buffer)
    }

    /// The variable called `name`.
    pub fn get(&self, name: &str) -> Option<&Param> {
        self.index.get(name).and_then(|i| self.entries.get(*i))
    }

    /// Number of trainable values.
    pub fn count(&self) -> usize {
        self.trainable().map(|p| p.var.elem_count()).sum()
    }

    /// A deep copy of all tensors, weights and buffers, by name.
    pub fn tensors(&self) -> Result<HashMap<String, Tensor>> {
        self.entries
            .iter()
            .map(|p| Ok((p.name.clone(), p.var.as_tensor().copy()?.detach())))
            .collect()
    }

    /// Replaces every variable by the tensor of its name. All or nothing: names and shapes are
    /// checked before the first value changes. `num_batches_tracked` entries, which PyTorch
    /// stores beside running statistics and nothing here needs, are passed over.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::UnexpectedTensor`] or [`Error::TensorShape`].
    pub fn load(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        for p in &self.entries {
            let expected = p.var.dims();
            let Some(t) = tensors.get(&p.name) else {
                return Err(Error::MissingTensor {
                    name: p.name.clone(),
                    shape: expected.to_vec(),
                });
            };
            if t.dims() != expected {
                return Err(Error::TensorShape {
                    name: p.name.clone(),
                    expected: expected.to_vec(),
                    found: t.dims().to_vec(),
                });
            }
        }
        let mut extra: Vec<&String> = tensors
            .keys()
            .filter(|k| !self.index.contains_key(*k) && !k.ends_with("num_batches_tracked"))
            .collect();
        extra.sort();
        if let Some(name) = extra.first() {
            return Err(Error::UnexpectedTensor {
                name: (*name).clone(),
            });
        }
        for p in &self.entries {
            if let Some(t) = tensors.get(&p.name) {
                // A copy: `Var::set` refuses a tensor that shares the variable's storage.
                p.var
                    .set(&t.to_device(&self.device)?.to_dtype(self.dtype)?.copy()?)?;
            }
        }
        Ok(())
    }

    /// The bytes of a safetensors file with all weights and buffers. Same values, same bytes.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let mut views: Vec<(&str, Tensor)> = Vec::with_capacity(self.entries.len());
        for p in &self.entries {
            views.push((&p.name, p.var.as_tensor().to_device(&Device::Cpu)?));
        }
        Ok(safetensors::serialize(views, None)?)
    }

    /// As [`Params::to_safetensors`], with the mark by which Hugging Face's loaders know PyTorch's
    /// layout.
    pub fn to_safetensors_for_torch(&self) -> Result<Vec<u8>> {
        let mut views: Vec<(&str, Tensor)> = Vec::with_capacity(self.entries.len());
        for p in &self.entries {
            views.push((&p.name, p.var.as_tensor().to_device(&Device::Cpu)?));
        }
        let mark = HashMap::from([("format".to_string(), "pt".to_string())]);
        Ok(safetensors::serialize(views, Some(mark))?)
    }

    /// Loads tensors into the variables whose names begin with `prefix`, which the tensors' names
    /// lack: stored weights of a part into a larger network. All or nothing, as [`Params::load`].
    ///
    /// # Errors
    /// As [`Params::load`], over the variables of the part.
    pub fn load_part(&self, prefix: &str, tensors: &HashMap<String, Tensor>) -> Result<()> {
        let mut whole = HashMap::with_capacity(self.entries.len());
        for p in &self.entries {
            let Some(part) = p.name.strip_prefix(prefix) else {
                whole.insert(p.name.clone(), p.var.as_tensor().detach());
                continue;
            };
            if let Some(t) = tensors.get(part) {
                whole.insert(p.name.clone(), t.clone());
            }
        }
        for name in tensors.keys() {
            let name = format!("{prefix}{name}");
            if !self.index.contains_key(&name) {
                return Err(Error::UnexpectedTensor { name });
            }
        }
        self.load(&whole)
    }

    /// Takes over what of `tensors` has a variable of its name here; the other variables stay as they
    /// are. All or nothing: shapes are checked before the first value changes. Gives the names, in
    /// order of construction, of the variables that were taken over.
    ///
    /// # Errors
    /// [`Error::TensorShape`] for a tensor of another shape than its variable.
    pub fn load_known(&self, tensors: &HashMap<String, Tensor>) -> Result<Vec<String>> {
        let mut whole = HashMap::with_capacity(self.entries.len());
        let mut taken = Vec::new();
        for p in &self.entries {
            let tensor = match tensors.get(&p.name) {
                Some(t) => {
                    taken.push(p.name.clone());
                    t.clone()
                }
                None => p.var.as_tensor().detach(),
            };
            whole.insert(p.name.clone(), tensor);
        }
        self.load(&whole)?;
        Ok(taken)
    }

    /// Loads the bytes of a safetensors file; see [`Params::load`].
    pub fn from_safetensors(&self, bytes: &[u8]) -> Result<()> {
        self.load(&candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(seed: u64) -> Params {
        let mut p = Params::new(seed, &Device::Cpu);
        p.weight("a.weight", (3, 4), Init::TruncNormal(0.02))
            .unwrap();
        p.weight("a.bias", 3, Init::Const(0.0)).unwrap();
        p.embedding("table", (1, 5, 2), Init::Uniform(1.0)).unwrap();
        p.buffer("running_mean", 3, 0.5).unwrap();
        p
    }

    #[test]
    fn round_trip_and_groups() {
        let (a, b) = (small(1), small(2));
        assert_eq!(a.count(), 12 + 3 + 10);
        let decayed: Vec<_> = a
            .iter()
            .filter(|p| p.decay)
            .map(|p| p.name.as_str())
            .collect();
        assert_eq!(decayed, ["a.weight"]);
        assert_ne!(a.to_safetensors().unwrap(), b.to_safetensors().unwrap());
        b.from_safetensors(&a.to_safetensors().unwrap()).unwrap();
        assert_eq!(a.to_safetensors().unwrap(), b.to_safetensors().unwrap());
        assert_eq!(
            small(1).to_safetensors().unwrap(),
            a.to_safetensors().unwrap()
        );
    }

    #[test]
    fn misfits_are_named_and_change_nothing() {
        let p = small(1);
        let before = p.to_safetensors().unwrap();
        let mut t = small(2).tensors().unwrap();
        t.insert(
            "stray".into(),
            Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap(),
        );
        assert!(matches!(p.load(&t), Err(Error::UnexpectedTensor { name }) if name == "stray"));
        t.remove("stray");
        t.insert(
            "a.bias".into(),
            Tensor::zeros(4, DType::F32, &Device::Cpu).unwrap(),
        );
        assert!(matches!(p.load(&t), Err(Error::TensorShape { name, .. }) if name == "a.bias"));
        t.remove("a.bias");
        assert!(matches!(p.load(&t), Err(Error::MissingTensor { name, .. }) if name == "a.bias"));
        assert!(p.from_safetensors(b"no such thing").is_err());
        assert_eq!(p.to_safetensors().unwrap(), before);
        let mut p = p;
        assert!(matches!(
            p.weight("table", 1, Init::Const(0.0)),
            Err(Error::DuplicateParameter { .. })
        ));
    }

    #[test]
    fn network_sees_loaded_values() {
        let mut p = Params::new(0, &Device::Cpu);
        let w = p.weight("w", 2, Init::Const(1.0)).unwrap();
        let t = HashMap::from([(
            "w".to_string(),
            Tensor::new(&[3f32, 4.0], &Device::Cpu).unwrap(),
        )]);
        p.load(&t).unwrap();
        assert_eq!(w.to_vec1::<f32>().unwrap(), [3.0, 4.0]);
    }
}
