"""Writes one table a cap whose labels are no 10-05 names: biosemi64.tsv, biosemi128.tsv, ...

Needs mne and scipy (mne 1.13 was used). Columns: label; 10-05 name, empty where none lies within
25 mm; mm, the distance between the two on a sphere of the template's radius (98.6 mm); by, who
says so: `maker` or `nearest`.

1. Cap and template (MNE's standard_1005) each become a unit sphere: the sphere fitted to all
   points is moved to the origin and every point is scaled to length 1, as in make_standard_1005.py.
2. BioSemi 128, 256 and EASYCAP M10 lie in the frame of a cap of the same maker whose electrodes
   have 10-05 names (biosemi64, easycap-M1). The least-squares affine map that takes those to the
   template takes these there too, and they are put on the sphere again. An EGI net is turned by
   the rotation that fits the sensors of its maker's 10-10 chart best (an affine map would carry
   its face and neck sensors away).
3. Names that the maker gives (all 64 of BioSemi 64; EGI's 10-10 chart) are taken as they are. The
   rest get the names that are left, each once, so that the sum of squared distances is smallest
   (scipy.optimize.linear_sum_assignment); then those beyond 25 mm lose theirs.

Earlobes and mastoids (A1 A2 M1 M2) and the old names (T3 T4 T5 T6) are no candidates.
Run: python make_layouts.py
"""

import warnings

import mne
import numpy as np
from scipy.optimize import linear_sum_assignment

MOST_MM = 25.0
NOT = {"A1", "A2", "M1", "M2", "T3", "T4", "T5", "T6"}
# HydroCel GSN 128, 10-20 equivalents (Luu and Ferree 2005, EGI technical note).
EGI128 = {
    "Fp1": 22, "Fp2": 9, "F7": 33, "F3": 24, "Fz": 11, "F4": 124, "F8": 122, "T7": 45, "C3": 36,
    "C4": 104, "T8": 108, "P7": 58, "P3": 52, "Pz": 62, "P4": 92, "P8": 96, "O1": 70, "Oz": 75,
    "O2": 83,
}
# HydroCel GSN 256, 10-10 equivalents (EGI, HydroCelGSN_10-10.pdf).
EGI256 = {
    "Fp1": 37, "Fpz": 26, "Fp2": 18, "AF7": 46, "AF3": 34, "AFz": 20, "AF4": 12, "AF8": 10,
    "F9": 252, "F7": 47, "F5": 48, "F3": 36, "F1": 29, "Fz": 21, "F2": 5, "F4": 224, "F6": 222,
    "F8": 2, "F10": 226, "FT9": 67, "FT7": 62, "FC5": 49, "FC3": 42, "FC1": 24, "FCz": 15,
    "FC2": 207, "FC4": 206, "FC6": 213, "FT8": 211, "FT10": 219, "T9": 68, "T7": 69, "C5": 64,
    "C3": 59, "C1": 44, "C2": 185, "C4": 183, "C6": 194, "T8": 202, "T10": 210, "TP9": 94,
    "TP7": 84, "CP5": 76, "CP3": 66, "CP1": 79, "CPz": 81, "CP2": 143, "CP4": 164, "CP6": 172,
    "TP8": 179, "TP10": 190, "P9": 106, "P7": 96, "P5": 86, "P3": 87, "P1": 88, "Pz": 101,
    "P2": 142, "P4": 153, "P6": 162, "P8": 170, "P10": 169, "PO7": 97, "PO3": 109, "POz": 119,
    "PO4": 140, "PO8": 161, "O1": 116, "Oz": 126, "O2": 150,
}


def sphere(points):
    """Centre and radius of the least-squares sphere: |p|^2 = 2 p.c + (r^2 - |c|^2)."""
    design = np.c_[2 * points, np.ones(len(points))]
    *centre, rest = np.linalg.lstsq(design, (points**2).sum(1), rcond=None)[0]
    return np.array(centre), np.sqrt(rest + np.dot(centre, centre))


def unit(points):
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def montage(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        positions = mne.channels.make_standard_montage(name).get_positions()["ch_pos"]
    points = np.array(list(positions.values()))
    return list(positions), unit(points - sphere(points)[0]), sphere(points)[1]


NAMES, TEMPLATE, RADIUS = montage("standard_1005")
PLACE = dict(zip(NAMES, TEMPLATE))


def affine(names, points):
    known = [i for i, n in enumerate(names) if n in PLACE]
    design = np.c_[points[known], np.ones(len(known))]
    map_ = np.linalg.lstsq(design, np.array([PLACE[names[i]] for i in known]), rcond=None)[0]
    return lambda p: unit(np.c_[p, np.ones(len(p))] @ map_)


def turned(labels, points, chart):
    a = np.array([points[labels.index(label)] for label in chart.values()])
    b = np.array([PLACE[name] for name in chart])
    u, _, vt = np.linalg.svd(a.T @ b)
    turn = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    return points @ turn


def write(system, labels, points, maker):
    """`maker` is name to label; those labels are not asked again."""
    free = [n for n in NAMES if n not in NOT and n not in maker]
    given = {label: name for name, label in maker.items()}
    rest = [i for i, label in enumerate(labels) if label not in given]
    mm = lambda p, q: np.arccos(np.clip(p @ q.T, -1, 1)) * RADIUS * 1000
    far = mm(points[rest], np.array([PLACE[n] for n in free]))
    nearest = {}
    for i, j in zip(*linear_sum_assignment(far**2)):
        name = free[j] if far[i, j] <= MOST_MM else ""
        nearest[labels[rest[i]]] = (name, far[i, j])
    with open(f"{system}.tsv", "w") as out:
        print("label", "name", "mm", "by", sep="\t", file=out)
        for label, point in zip(labels, points):
            if label in given:
                name = given[label]
                distance, by = mm(point, PLACE[name]), "maker"
            else:
                (name, distance), by = nearest[label], "nearest"
            print(label, name, f"{distance:.1f}", by, sep="\t", file=out)


names, points, _ = montage("biosemi64")
to_template = affine(names, points)
sockets = [f"{cable}{i}" for cable in "AB" for i in range(1, 33)]
write("biosemi64", sockets, to_template(points), dict(zip(names, sockets)))
for system in ["biosemi128", "biosemi256"]:
    labels, points, _ = montage(system)
    write(system, labels, to_template(points), {"Cz": "A1"})
labels, points, _ = montage("easycap-M1")
to_template = affine(labels, points)
labels, points, _ = montage("easycap-M10")
write("easycap-m10", labels, to_template(points), {"Cz": "1"})
for system, name, chart in [("egi128", "GSN-HydroCel-129", EGI128),
                            ("egi256", "GSN-HydroCel-257", EGI256)]:
    labels, points, _ = montage(name)
    chart = {place: f"E{sensor}" for place, sensor in chart.items()} | {"Cz": "Cz"}
    write(system, labels, turned(labels, points, chart), chart)
