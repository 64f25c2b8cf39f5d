//! Every simulated corpus by name: what the command line, the demo and the tests choose from.

use crate::{
    Aad255, BciIv2a, BciIv2b, Brennan, Broderick, Cap, ChbMit, Ds004356, Dtu, EegMat, EegMmidb,
    Error, Esaa, Feis, Hgd, Hmc, Kul, LePetitPrince, MadEeg, OpenBmi, Paradigm, Pme4, Result, Tuab,
    Tuep, Tuev, TwoTalker, bci_iv_2a, bci_iv_2b, bnci2014_001, bnci2014_004, brennan,
    brennan_nemar, brennan_v2, broderick, broderick_dryad, cap, chbmit, ds004356, dtu, eegmat,
    eegmmidb, esaa, feis, hgd, hgd_mat, hmc, kul, le_petit_prince, mad_eeg, openbmi, pme4, tuab,
    tuep, tuev, write_bids, zenodo_4518754,
};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// What can be chosen of every corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choice {
    /// Seed of everything random.
    pub seed: u64,
    /// Subjects, where the corpus leaves it open; `None` is the corpus's own number.
    pub subjects: Option<usize>,
}

/// A corpus that can be simulated.
#[derive(Debug, Clone, Copy)]
pub struct Simulation {
    /// Name of the data set, as its manifest has it.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    make: fn(&Choice, &Path) -> Result<Value>,
}

impl Simulation {
    /// Writes the corpus to `out`, which must not exist or be empty, and returns what was
    /// planted as JSON. Same choice, same bytes.
    ///
    /// # Errors
    /// A setting out of range, a number of subjects for a corpus whose subjects are fixed, a
    /// target that is not empty, or a file system that refuses.
    pub fn write(&self, choice: &Choice, out: &Path) -> Result<Value> {
        (self.make)(choice, out)
    }
}

/// The simulation of the data set called `name`, in any case.
pub fn simulation(name: &str) -> Option<&'static Simulation> {
    SIMULATIONS
        .iter()
        .find(|s| s.name.eq_ignore_ascii_case(name))
}

/// Every simulation, by name.
pub fn simulations() -> &'static [Simulation] {
    SIMULATIONS
}

/// An entry whose settings take a seed alone.
macro_rules! fixed {
    ($settings:expr, $write:path) => {
        |choice, out| {
            if let Some(subjects) = choice.subjects {
                let expected = "no number of subjects: those of this corpus are fixed";
                return Err(Error::config("subjects", expected, subjects));
            }
            let mut settings = std::convert::identity($settings);
            settings.seed = choice.seed;
            truth(&$write(&settings, out)?)
        }
    };
}

/// An entry whose settings take a seed and a number of subjects.
macro_rules! counted {
    ($settings:expr, $write:path) => {
        |choice, out| {
            let mut settings = std::convert::identity($settings);
            settings.seed = choice.seed;
            settings.subjects = choice.subjects.unwrap_or(settings.subjects);
            truth(&$write(&settings, out)?)
        }
    };
}

/// An entry whose settings take a seed and the numbers of the subjects, from 1.
macro_rules! listed {
    ($settings:expr, $write:path) => {
        |choice, out| {
            let mut settings = std::convert::identity($settings);
            settings.seed = choice.seed;
            if let Some(n) = choice.subjects {
                settings.subjects = (1..=n).collect();
            }
            truth(&$write(&settings, out)?)
        }
    };
}

const SIMULATIONS: &[Simulation] = &[
    Simulation {
        name: "BCI-IV-2A",
        about: "motor imagery of four classes, GDF",
        make: listed!(BciIv2a::default(), bci_iv_2a),
    },
    Simulation {
        name: "BCI-IV-2B",
        about: "motor imagery of two classes, GDF",
        make: listed!(BciIv2b::default(), bci_iv_2b),
    },
    Simulation {
        name: "BNCI2014-001",
        about: "motor imagery of four classes, MATLAB",
        make: listed!(BciIv2a::default(), bnci2014_001),
    },
    Simulation {
        name: "BNCI2014-004",
        about: "motor imagery of two classes, MATLAB",
        make: listed!(BciIv2b::default(), bnci2014_004),
    },
    Simulation {
        name: "Brennan-NEMAR",
        about: "a story, BIDS",
        make: fixed!(Brennan::default(), brennan_nemar),
    },
    Simulation {
        name: "Brennan-V2",
        about: "a story, BrainVision",
        make: fixed!(Brennan::default(), brennan_v2),
    },
    Simulation {
        name: "Brennan_2018",
        about: "a story, MATLAB and wav",
        make: fixed!(Brennan::default(), brennan),
    },
    Simulation {
        name: "Broderick-Dryad",
        about: "a story and its envelope, MATLAB",
        make: counted!(Broderick::default(), broderick_dryad),
    },
    Simulation {
        name: "Broderick_2018",
        about: "a story, BIDS",
        make: counted!(Broderick::default(), broderick),
    },
    Simulation {
        name: "CAPSleep",
        about: "nights with sleep stages, EDF",
        make: fixed!(Cap::default(), cap),
    },
    Simulation {
        name: "CHB-MIT",
        about: "seizures of children, EDF",
        make: fixed!(ChbMit::default(), chbmit),
    },
    Simulation {
        name: "ds004356",
        about: "music and speech to listen to, BrainVision at 10 kHz",
        make: listed!(Ds004356::default(), ds004356),
    },
    Simulation {
        name: "DTU",
        about: "attention to one of two talkers, MATLAB and wav",
        make: counted!(Dtu::default(), dtu),
    },
    Simulation {
        name: "EEGMat",
        about: "mental arithmetic and rest, EDF",
        make: counted!(EegMat::default(), eegmat),
    },
    Simulation {
        name: "EEGMMIDB",
        about: "executed and imagined movement, EDF+",
        make: counted!(EegMmidb::default(), eegmmidb),
    },
    Simulation {
        name: "ESAA",
        about: "attention to one of two talkers, MATLAB and wav",
        make: fixed!(Esaa::default(), esaa),
    },
    Simulation {
        name: "FEIS",
        about: "prompts heard, imagined and spoken, tables",
        make: listed!(Feis::default(), feis),
    },
    Simulation {
        name: "HGD",
        about: "executed movement, 128 electrodes, EDF+",
        make: listed!(Hgd::default(), hgd),
    },
    Simulation {
        name: "HGD-MAT",
        about: "executed movement, 128 electrodes, MATLAB v7.3",
        make: listed!(Hgd::default(), hgd_mat),
    },
    Simulation {
        name: "HMCSleep",
        about: "nights with sleep stages, EDF and EDF+",
        make: fixed!(Hmc::default(), hmc),
    },
    Simulation {
        name: "KUL",
        about: "attention to one of two talkers, MATLAB and wav",
        make: counted!(Kul::default(), kul),
    },
    Simulation {
        name: "Le_Petit_Prince",
        about: "a story by sentences, EEGLAB",
        make: listed!(LePetitPrince::default(), le_petit_prince),
    },
    Simulation {
        name: "MAD-EEG",
        about: "attention to one instrument of two or three, HDF5",
        make: listed!(MadEeg::default(), mad_eeg),
    },
    Simulation {
        name: "OpenBMI",
        about: "motor imagery, MATLAB",
        make: counted!(of(Paradigm::Mi), openbmi),
    },
    Simulation {
        name: "OpenBMI-ERP",
        about: "a speller, MATLAB",
        make: counted!(of(Paradigm::Erp), openbmi),
    },
    Simulation {
        name: "OpenBMI-SSVEP",
        about: "flickering lights, MATLAB",
        make: counted!(of(Paradigm::Ssvep), openbmi),
    },
    Simulation {
        name: "PME4",
        about: "one sentence in seven emotions, NumPy",
        make: counted!(Pme4::default(), pme4),
    },
    Simulation {
        name: "TUAB",
        about: "normal and abnormal EEG of a hospital, EDF",
        make: fixed!(Tuab::default(), tuab),
    },
    Simulation {
        name: "TUEP",
        about: "EEG with and without epilepsy, EDF",
        make: fixed!(Tuep::default(), tuep),
    },
    Simulation {
        name: "TUEV",
        about: "six kinds of events of clinical EEG, EDF",
        make: fixed!(Tuev::default(), tuev),
    },
    Simulation {
        name: "TwoTalker",
        about: "attention to one of two talkers with a known response, BIDS",
        make: counted!(TwoTalker::default(), write_bids),
    },
    Simulation {
        name: "zenodo_4518754",
        about: "attention to one of two talkers, Curry with 256 channels",
        make: listed!(Aad255::default(), zenodo_4518754),
    },
];

fn of(paradigm: Paradigm) -> OpenBmi {
    OpenBmi {
        paradigms: vec![paradigm],
        ..OpenBmi::default()
    }
}

fn truth(planted: &impl Serialize) -> Result<Value> {
    serde_json::to_value(planted)
        .map_err(|e| Error::io(Path::new("ground truth"), std::io::Error::other(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_found_in_any_case() {
        let names: Vec<String> = SIMULATIONS.iter().map(|s| s.name.to_lowercase()).collect();
        let mut sorted = names.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(names, sorted);
        for name in &names {
            assert_eq!(&simulation(name).unwrap().name.to_lowercase(), name);
        }
        assert!(simulation("none").is_none());
    }

    #[test]
    fn a_number_of_subjects_is_used_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let choice = Choice {
            subjects: Some(1),
            ..Choice::default()
        };
        let out = dir.path().join("a");
        let made = simulation("EEGMat").unwrap().write(&choice, &out).unwrap();
        let recordings = made["recordings"].as_array().unwrap();
        assert!(
            recordings
                .iter()
                .all(|r| r["subject"] == recordings[0]["subject"])
        );
        let out = dir.path().join("b");
        let refused = simulation("TUEV")
            .unwrap()
            .write(&choice, &out)
            .unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("subjects: expected no number"),
            "{refused}"
        );
        assert!(!out.exists());
    }
}
