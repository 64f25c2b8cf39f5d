"""Opens what the examples wrote with MNE-Python and pyEDFlib, which share no code with mmpipe.

    cargo run --release -p mmpipe-simulate --example two_talker -- /tmp/two-talker
    python crates/simulate/tuning/check_readers.py /tmp/two-talker
"""

import csv
import json
import pathlib
import sys

import mne
import numpy as np
import pyedflib

mne.set_log_level("ERROR")
root = pathlib.Path(sys.argv[1])
truth = json.loads((root / "sourcedata/truth.json").read_text())
for subject in truth["subjects"]:
    path = root / subject["recording"]
    raw = mne.io.read_raw_edf(path, preload=True)
    names = truth["ch_names"] + ["VEOG", "TRIG"]
    assert raw.ch_names == names, raw.ch_names
    assert raw.info["sfreq"] == truth["config"]["sfreq"]
    assert raw.n_times == subject["seconds"] * raw.info["sfreq"]
    data = raw.get_data()
    with pyedflib.EdfReader(str(path)) as edf:
        assert edf.getSignalLabels() == names
        for i in range(len(names)):
            unit = 1e-6 if names[i] != "TRIG" else 1.0
            other = edf.readSignal(i) * unit
            assert np.allclose(data[i], other, rtol=0, atol=1e-12), names[i]
    # The trigger line and the events say the same.
    line = np.round(data[-1]).astype(int)
    starts = np.flatnonzero((line[1:] != 0) & (line[:-1] == 0)) + 1
    with open(str(path).replace("_eeg.edf", "_events.tsv")) as f:
        events = list(csv.DictReader(f, delimiter="\t"))
    assert len(starts) == len(events) == len(subject["trials"])
    for start, event, trial in zip(starts, events, subject["trials"]):
        assert abs(start / raw.info["sfreq"] - float(event["onset"])) < 1e-9
        assert event["trial_type"] == f"attend_{trial['side']}"
        assert line[start] == (1 if trial["side"] == "left" else 2)
        assert (root / event["attended"]).exists() and (root / event["unattended"]).exists()
    print(subject["subject"], raw.n_times, "samples agree", len(events), "trials")
