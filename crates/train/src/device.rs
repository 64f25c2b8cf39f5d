//! Where networks compute: the CPU or a GPU, chosen by name.
//!
//! Owns the choice and the opening of the device, so that a machine without a GPU gives an error and
//! no panic. Data are prepared on the CPU whatever the device, and moved part by part; checkpoints
//! hold no device.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use candle_core::Device;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Where a network computes: `auto`, `cpu`, `cuda`, `cuda:N` or `metal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// A GPU where this program was built for one and there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The NVIDIA GPU of this number, from 0.
    Cuda(usize),
    /// Apple's GPU.
    Metal,
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| {
                    format!("expected auto, cpu, cuda, cuda:N or metal, found `{text}`")
                }),
        }
    }
}

/// An open device.
#[derive(Debug, Clone)]
pub struct Place {
    /// The device.
    pub device: Device,
    /// What it is, for people, such as `cuda:0 (NVIDIA H100)`.
    pub name: String,
}

/// Devices that were opened: a GPU is opened once in a process.
static OPEN: Mutex<Vec<(DeviceChoice, Place)>> = Mutex::new(Vec::new());

impl DeviceChoice {
    /// Opens the device, or gives it again. `auto` says in the name why it is no GPU.
    ///
    /// # Errors
    /// [`Error::Device`] for a GPU that is not there, or that this program was not built for.
    pub fn open(self) -> Result<Place> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, place)) = open.iter().find(|(choice, _)| *choice == self) {
            return Ok(place.clone());
        }
        let place = self.open_anew().map_err(|message| Error::Device {
            wanted: self,
            message,
        })?;
        open.push((self, place.clone()));
        Ok(place)
    }

    fn open_anew(self) -> std::result::Result<Place, String> {
        let cpu = |name: String| Place {
            device: Device::Cpu,
            name,
        };
        match self {
            Self::Cpu => Ok(cpu("cpu".into())),
            Self::Cuda(n) => cuda(n),
            Self::Metal => metal(),
            Self::Auto => {
                if cfg!(feature = "cuda") {
                    return Ok(cuda(0).unwrap_or_else(|why| cpu(format!("cpu ({why})"))));
                }
                if cfg!(feature = "metal") {
                    return Ok(metal().unwrap_or_else(|why| cpu(format!("cpu ({why})"))));
                }
                Ok(cpu("cpu".into()))
            }
        }
    }
}

#[cfg(feature = "cuda")]
fn cuda(n: usize) -> std::result::Result<Place, String> {
    use std::panic::{catch_unwind, set_hook, take_hook};

    // Without a driver the bindings panic, which is here an answer like any other.
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let opened = catch_unwind(|| Device::new_cuda(n));
    set_hook(hook);
    let device = match opened {
        Ok(Ok(device)) => device,
        Ok(Err(e)) => return Err(format!("no GPU: {}", first_line(&e.to_string()))),
        Err(panic) => {
            let why = panic.downcast_ref::<String>().map(String::as_str);
            let why = why.or_else(|| panic.downcast_ref::<&str>().copied());
            let why = first_line(why.unwrap_or("the CUDA driver cannot be loaded"));
            return Err(format!("no GPU: {why}"));
        }
    };
    let name = match device.as_cuda_device() {
        Ok(d) => d.cuda_stream().context().name().ok(),
        Err(_) => None,
    };
    Ok(Place {
        device,
        name: format!("cuda:{n} ({})", name.as_deref().unwrap_or("unnamed")),
    })
}

/// A long message's first sentence, which says what is missing.
#[cfg(feature = "cuda")]
fn first_line(text: &str) -> &str {
    let line = text.lines().next().unwrap_or(text);
    line.split(" - searched").next().unwrap_or(line).trim()
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> std::result::Result<Place, String> {
    Err("this program was built without the feature `cuda`".into())
}

#[cfg(feature = "metal")]
fn metal() -> std::result::Result<Place, String> {
    match Device::new_metal(0) {
        Ok(device) => Ok(Place {
            device,
            name: "metal".into(),
        }),
        Err(e) => Err(format!("no GPU: {e}")),
    }
}

#[cfg(not(feature = "metal"))]
fn metal() -> std::result::Result<Place, String> {
    Err("this program was built without the feature `metal`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back_and_others_are_refused() {
        for name in ["auto", "cpu", "cuda", "cuda:3", "metal"] {
            let choice: DeviceChoice = name.parse().unwrap();
            assert_eq!(choice.to_string(), name);
        }
        for name in ["", "gpu", "cuda:", "cuda:x", "CPU"] {
            let message = name.parse::<DeviceChoice>().unwrap_err();
            assert!(message.contains("expected auto"), "{message}");
        }
    }

    #[test]
    fn the_cpu_is_always_there() {
        assert!(DeviceChoice::Cpu.open().unwrap().device.is_cpu());
        assert!(DeviceChoice::Auto.open().is_ok());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_that_cannot_be_is_an_error() {
        let e = DeviceChoice::Cuda(0).open().unwrap_err().to_string();
        assert!(e.contains("cuda") && e.contains("built without"), "{e}");
    }
}
