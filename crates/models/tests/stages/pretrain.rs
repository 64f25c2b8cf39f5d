//! Stage 1: parity with PyTorch, masks, gradients.

use candle_core::{DType, Device, Tensor};
use mmpipe_models::encoder::{EncoderConfig, Size};
use mmpipe_models::pretrain::{
    Codebook, CodebookConfig, Joint, JointConfig, Masked, MaskedConfig, PhaseTarget,
    Reconstruction, ReconstructionLoss, Tokeniser, TokeniserConfig, fourier, random_mask,
};
use mmpipe_models::rng::Stream;
use mmpipe_models::{Error, Mode, Params};

use super::twin::{self, BOTH, close, flat, largest, tensor};

const TRAIN: Mode = Mode::Train { seed: 3, step: 4 };
const CODES: usize = 6;
const MASK: [u8; 12] = [1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1];
/// The first convolutions have one channel a group.
const SINGLE: &str = "with one channel a group, group norm takes constants away";
const KEYS: &str = "it adds the same to a query's products with all keys, which softmax takes away";

fn names() -> Vec<String> {
    ["Fz", "Cz", "Oz"].map(str::to_string).to_vec()
}

fn mask() -> Vec<bool> {
    MASK.iter().map(|m| *m == 1).collect()
}

fn codebook() -> CodebookConfig {
    CodebookConfig {
        codes: CODES,
        dim: 5,
        revive_after: None,
        ..CodebookConfig::default()
    }
}

fn tokeniser(phase: PhaseTarget, loss: ReconstructionLoss) -> TokeniserConfig {
    TokeniserConfig {
        encoder: EncoderConfig {
            depth: 1,
            mlp: 40,
            ..EncoderConfig::tokeniser(Size::Tiny)
        },
        decoder_depth: 1,
        codebook: codebook(),
        reconstruction: Reconstruction { phase, loss },
    }
}

fn masked() -> MaskedConfig {
    MaskedConfig {
        encoder: EncoderConfig {
            depth: 2,
            mlp: 40,
            ..EncoderConfig::labram(Size::Base)
        },
        codes: CODES,
        ..MaskedConfig::new(Size::Base)
    }
}

fn joint() -> JointConfig {
    JointConfig {
        encoder: EncoderConfig {
            depth: 1,
            mlp: 40,
            drop_path: 0.0,
            ..EncoderConfig::new(Size::Tiny)
        },
        decoder_depth: 1,
        codebook: codebook(),
        ..JointConfig::new(Size::Tiny)
    }
}

/// Puts the script's codes into the codebook.
fn set_codes(params: &Params) {
    let dtype = params.dtype();
    let codes = tensor("codes", &[CODES, 5], DType::F64);
    let codes = mmpipe_models::ops::l2_normalise(&codes, 1e-12).unwrap();
    let set = |name: &str, t: Tensor| {
        let var = &params.get(name).unwrap().var;
        var.set(&t.to_dtype(dtype).unwrap()).unwrap();
    };
    set("quantize.embedding.weight", codes);
    set(
        "quantize.embedding.initted",
        Tensor::ones(1, DType::F64, &Device::Cpu).unwrap(),
    );
}

/// Codes, counts and assignments after the step.
fn state(file: &str, params: &Params, codes: &Tensor, tolerance: f64) {
    let stored = twin::stored(file);
    let held = |name: &str| flat(params.get(name).unwrap().var.as_tensor());
    close(
        "codes",
        &held("quantize.embedding.weight"),
        &stored["after.codes"],
        1.0,
        tolerance,
    );
    close(
        "counts",
        &held("quantize.cluster_size"),
        &stored["after.cluster_size"],
        1.0,
        tolerance,
    );
    assert_eq!(flat(codes), stored["after.index"], "{file}: assignments");
}

#[test]
fn spectra_equal_pytorch() {
    let stored = twin::stored("spectra");
    for (dtype, tolerance) in BOTH {
        let x = tensor("eeg", &[2, 6, 200], DType::F64);
        let x = (x.narrow(1, 0, 2).unwrap() - 0.3)
            .unwrap()
            .to_dtype(dtype)
            .unwrap();
        let s = fourier::spectra(&x).unwrap();
        let scale = largest(&stored["amplitude"]);
        close(
            "amplitude",
            &flat(&s.amplitude),
            &stored["amplitude"],
            scale,
            tolerance,
        );
        // A phase is as good as the input's rounding against the bin's amplitude.
        let limit = |a: f64| tolerance * std::f64::consts::PI * (scale / a.max(1e-3)).max(1.0);
        for ((p, w), a) in flat(&s.phase)
            .iter()
            .zip(&stored["phase"])
            .zip(&stored["amplitude"])
        {
            assert!((p - w).abs() <= limit(*a), "phase {p} {w} at amplitude {a}");
        }
    }
    assert!(matches!(
        fourier::spectra(&tensor("x", &[1, 1, 199], DType::F32)),
        Err(Error::Shape { .. })
    ));
}

#[test]
fn tokeniser_equals_pytorch() {
    let forms = [
        ("tokeniser_mse", PhaseTarget::Angle, ReconstructionLoss::Mse),
        (
            "tokeniser_paper",
            PhaseTarget::Angle,
            ReconstructionLoss::Paper,
        ),
        (
            "tokeniser_sincos",
            PhaseTarget::SinCos,
            ReconstructionLoss::Mse,
        ),
    ];
    for (dtype, tolerance) in BOTH {
        for (file, phase, loss) in forms {
            let net = Tokeniser::new(
                &tokeniser(phase, loss),
                Params::with_dtype(0, &Device::Cpu, dtype),
            )
            .unwrap();
            twin::fill(net.params(), "");
            set_codes(net.params());
            let x = tensor("eeg", &[2, 3, 400], dtype);
            let out = net.loss(&x, &names(), TRAIN).unwrap();
            let outputs = [
                ("commitment", &out.commitment),
                ("amplitude", &out.amplitude),
                ("phase", &out.phase),
            ];
            let cancel = ["conv1.bias", "conv2.bias", "conv3.bias"];
            twin::compare(file, net.params(), "", &outputs, tolerance, &cancel);
            state(file, net.params(), &out.codes, tolerance);
            let total: f64 = outputs.iter().map(|(_, t)| flat(t)[0]).sum();
            close("total", &flat(&out.total), &[total], total, 1e-6);
        }
    }
}

#[test]
fn masked_model_equals_pytorch() {
    for (dtype, tolerance) in BOTH {
        let net = Masked::new(&masked(), Params::with_dtype(0, &Device::Cpu, dtype)).unwrap();
        twin::fill(net.params(), "");
        let codes =
            Tensor::new(&[[0u32, 5, 2, 3, 3, 1], [4, 4, 0, 1, 2, 5]], &Device::Cpu).unwrap();
        let x = tensor("eeg", &[2, 3, 400], dtype);
        let out = net.loss(&x, &names(), &codes, &mask(), TRAIN).unwrap();
        let complement = out.complement.as_ref().unwrap();
        let outputs = [("masked", &out.masked), ("complement", complement)];
        twin::compare(
            "masked",
            net.params(),
            "",
            &outputs,
            tolerance,
            &["k_norm.bias"],
        );
        assert!((0.0..=1.0).contains(&out.accuracy));
    }
}

#[test]
fn joint_objective_equals_pytorch() {
    for (dtype, tolerance) in BOTH {
        let net = Joint::new(&joint(), Params::with_dtype(0, &Device::Cpu, dtype)).unwrap();
        twin::fill(net.params(), "");
        set_codes(net.params());
        let x = tensor("eeg", &[2, 3, 400], dtype);
        let out = net.loss(&x, &names(), &mask(), TRAIN).unwrap();
        let outputs = [
            ("commitment", &out.commitment),
            ("masked", &out.masked),
            ("amplitude", &out.amplitude),
            ("phase", &out.phase),
        ];
        let cancel = ["k_norm.bias", "conv1.bias", "conv2.bias", "conv3.bias"];
        twin::compare("joint", net.params(), "", &outputs, tolerance, &cancel);
        let index = net
            .codebook()
            .quantise(&net.code_vectors(&x).unwrap(), Mode::Eval)
            .unwrap();
        assert_eq!(index.codes.dims(), [12]);
    }
}

#[test]
fn every_variable_learns() {
    let convs = ["conv1.bias", "conv2.bias", "conv3.bias"].map(|n| (n, SINGLE));
    for dtype in [DType::F64, DType::F32] {
        let params = || Params::with_dtype(7, &Device::Cpu, dtype);
        let x = tensor("eeg", &[2, 3, 400], dtype);
        let net = Tokeniser::new(
            &tokeniser(PhaseTarget::Angle, ReconstructionLoss::Mse),
            params(),
        )
        .unwrap();
        // Codes on other data, so that the commitment is not zero.
        net.codebook()
            .initialise(&tensor("other", &[30, 5], dtype), 1)
            .unwrap();
        let out = net.loss(&x, &names(), TRAIN).unwrap();
        twin::coverage(
            "tokeniser",
            net.params(),
            &out.total.backward().unwrap(),
            &convs,
        );

        let net = Masked::new(&masked(), params()).unwrap();
        let codes =
            Tensor::new(&[[0u32, 5, 2, 3, 3, 1], [4, 4, 0, 1, 2, 5]], &Device::Cpu).unwrap();
        let out = net.loss(&x, &names(), &codes, &mask(), TRAIN).unwrap();
        twin::coverage(
            "masked",
            net.params(),
            &out.total.backward().unwrap(),
            &[("k_norm.bias", KEYS)],
        );

        let net = Joint::new(&joint(), params()).unwrap();
        net.codebook()
            .initialise(&tensor("other", &[30, 5], dtype), 1)
            .unwrap();
        let out = net.loss(&x, &names(), &mask(), TRAIN).unwrap();
        let zero = [convs.as_slice(), &[("k_norm.bias", KEYS)]].concat();
        twin::coverage("joint", net.params(), &out.total.backward().unwrap(), &zero);
    }
}

#[test]
fn labels_of_two_steps_fit() {
    // A trained tokeniser's codes are the masked model's labels, and asking changes nothing.
    let net = Tokeniser::new(
        &tokeniser(PhaseTarget::Angle, ReconstructionLoss::Mse),
        Params::new(1, &Device::Cpu),
    )
    .unwrap();
    let x = tensor("eeg", &[2, 3, 400], DType::F32);
    net.loss(&x, &names(), TRAIN).unwrap();
    let before = net
        .params()
        .get("quantize.embedding.weight")
        .unwrap()
        .var
        .as_detached_tensor()
        .copy()
        .unwrap();
    let codes = net.codes(&x, &names()).unwrap();
    assert_eq!(
        (codes.dims(), codes.dtype()),
        ([2, 6].as_slice(), DType::U32)
    );
    assert_eq!(flat(&codes), flat(&net.codes(&x, &names()).unwrap()));
    let counts = |net: &Tokeniser| {
        flat(
            net.params()
                .get("quantize.cluster_size")
                .unwrap()
                .var
                .as_tensor(),
        )
    };
    let held = counts(&net);
    net.codes(&x, &names()).unwrap();
    assert_eq!(held, counts(&net));
    let after = net
        .params()
        .get("quantize.embedding.weight")
        .unwrap()
        .var
        .as_detached_tensor();
    assert_eq!(flat(&before), flat(&after));
    let student = Masked::new(&masked(), Params::new(1, &Device::Cpu)).unwrap();
    let hidden = student.mask(5, 6, 2, 6);
    let loss = student.loss(&x, &names(), &codes, &hidden, TRAIN).unwrap();
    // Untrained: about the logarithm of the number of codes, twice.
    let total = flat(&loss.total)[0];
    assert!((total - 2.0 * (CODES as f64).ln()).abs() < 0.5, "{total}");
}

#[test]
fn masks_hide_the_stated_share_and_are_pure() {
    for (n, hidden) in [(6, 3), (7, 4), (255, 128), (2, 1)] {
        let mask = random_mask(Stream::named(1, "m"), 9, n, 0.5);
        for row in mask.chunks(n) {
            assert_eq!(row.iter().filter(|m| **m).count(), hidden, "{n}");
        }
        assert_eq!(mask, random_mask(Stream::named(1, "m"), 9, n, 0.5));
    }
    let a = random_mask(Stream::named(1, "m"), 1, 64, 0.5);
    assert_ne!(a, random_mask(Stream::named(2, "m"), 1, 64, 0.5));
    // Every place is hidden about as often.
    let mut times = [0; 10];
    for row in random_mask(Stream::named(3, "m"), 4000, 10, 0.3).chunks(10) {
        for (t, m) in times.iter_mut().zip(row) {
            *t += usize::from(*m);
        }
    }
    assert!(times.iter().all(|t| (1100..1300).contains(t)), "{times:?}");
}

#[test]
fn settings_that_make_no_network_are_refused() {
    let params = || Params::new(0, &Device::Cpu);
    let good = masked();
    for bad in [
        MaskedConfig {
            mask_ratio: 0.0,
            ..good.clone()
        },
        MaskedConfig {
            mask_ratio: 1.0,
            ..good.clone()
        },
        MaskedConfig {
            codes: 0,
            ..good.clone()
        },
    ] {
        assert!(matches!(
            Masked::new(&bad, params()),
            Err(Error::Config { .. })
        ));
    }
    let bad = JointConfig {
        weights: [1.0, f64::NAN, 1.0],
        ..joint()
    };
    assert!(matches!(
        Joint::new(&bad, params()),
        Err(Error::Config { .. })
    ));
    let bad = CodebookConfig {
        decay: 1.0,
        ..codebook()
    };
    assert!(Codebook::new(&bad, &mut params(), "").is_err());
    let net = Masked::new(&good, params()).unwrap();
    let x = tensor("eeg", &[2, 3, 400], DType::F32);
    let codes = Tensor::zeros((2, 6), DType::U32, &Device::Cpu).unwrap();
    for mask in [vec![false; 12], vec![true; 11]] {
        let r = net.loss(&x, &names(), &codes, &mask, TRAIN);
        assert!(matches!(r, Err(Error::Shape { .. })));
    }
    // A label beyond the head is an error, not a panic.
    let wild = (codes + 99.0).unwrap();
    assert!(net.loss(&x, &names(), &wild, &[true; 12], TRAIN).is_err());
    // All hidden: the complement has nothing to say.
    let codes = Tensor::zeros((2, 6), DType::U32, &Device::Cpu).unwrap();
    assert!(
        net.loss(&x, &names(), &codes, &[true; 12], TRAIN)
            .unwrap()
            .complement
            .is_none()
    );
}
