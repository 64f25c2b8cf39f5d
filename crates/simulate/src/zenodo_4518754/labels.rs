//! 253 scalp electrodes of the 10-05 system in Curry's spelling, without FCz and AFz. Which ones
//! the real cap has is not known here.

#[rustfmt::skip]
pub(super) const SCALP: [&str; 253] = [
    "FP1", "FP2", "AF7", "AF5", "AF3", "AF1", "AF2", "AF4", "AF6", "AF8", "F7", "F5", "F3", "F1",
    "Fz", "F2", "F4", "F6", "F8", "FT7", "FC5", "FC3", "FC1", "FC2", "FC4", "FC6", "FT8", "T7",
    "C5", "C3", "C1", "Cz", "C2", "C4", "C6", "T8", "TP7", "CP5", "CP3", "CP1", "CPz", "CP2",
    "CP4", "CP6", "TP8", "P7", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "P8", "PO7", "PO5",
    "PO3", "PO1", "POz", "PO2", "PO4", "PO6", "PO8", "O1", "Oz", "O2", "AFP5h", "AFP3h", "AFP1h",
    "AFP2h", "AFP4h", "AFP6h", "AFF7h", "AFF5h", "AFF3h", "AFF1h", "AFF2h", "AFF4h", "AFF6h",
    "AFF8h", "FFT7h", "FFC5h", "FFC3h", "FFC1h", "FFC2h", "FFC4h", "FFC6h", "FFT8h", "FTT7h",
    "FCC5h", "FCC3h", "FCC1h", "FCC2h", "FCC4h", "FCC6h", "FTT8h", "TTP7h", "CCP5h", "CCP3h",
    "CCP1h", "CCP2h", "CCP4h", "CCP6h", "TTP8h", "TPP7h", "CPP5h", "CPP3h", "CPP1h", "CPP2h",
    "CPP4h", "CPP6h", "TPP8h", "PPO7h", "PPO5h", "PPO3h", "PPO1h", "PPO2h", "PPO4h", "PPO6h",
    "PPO8h", "POO7h", "POO5h", "POO3h", "POO1h", "POO2h", "POO4h", "POO6h", "POO8h", "AF7h",
    "AF5h", "AF3h", "AF1h", "AF2h", "AF4h", "AF6h", "AF8h", "F7h", "F5h", "F3h", "F1h", "F2h",
    "F4h", "F6h", "F8h", "FT7h", "FC5h", "FC3h", "FC1h", "FC2h", "FC4h", "FC6h", "FT8h", "T7h",
    "C5h", "C3h", "C1h", "C2h", "C4h", "C6h", "T8h", "TP7h", "CP5h", "CP3h", "CP1h", "CP2h",
    "CP4h", "CP6h", "TP8h", "P7h", "P5h", "P3h", "P1h", "P2h", "P4h", "P6h", "P8h", "PO7h",
    "PO5h", "PO3h", "PO1h", "PO2h", "PO4h", "PO6h", "PO8h", "AFP5", "AFP3", "AFP1", "AFPz",
    "AFP2", "AFP4", "AFP6", "AFF7", "AFF5", "AFF3", "AFF1", "AFFz", "AFF2", "AFF4", "AFF6",
    "AFF8", "FFT7", "FFC5", "FFC3", "FFC1", "FFCz", "FFC2", "FFC4", "FFC6", "FFT8", "FTT7",
    "FCC5", "FCC3", "FCC1", "FCCz", "FCC2", "FCC4", "FCC6", "FTT8", "TTP7", "CCP5", "CCP3",
    "CCP1", "CCPz", "CCP2", "CCP4", "CCP6", "TTP8", "TPP7", "CPP5", "CPP3", "CPP1", "CPPz",
    "CPP2", "CPP4", "CPP6", "TPP8", "PPO7", "PPO5", "PPO3", "PPO1", "PPOz", "PPO2", "PPO4",
    "PPO6", "POO7", "POO5", "POO3", "POO1", "POOz", "POO2", "POO4", "POO6", "POO8",
];
