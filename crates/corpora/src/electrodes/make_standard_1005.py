"""Writes standard_1005.tsv: the 10-05 positions as MNE-Python knows them.

Needs mne (1.13 was used). Positions are put on the unit sphere: the sphere fitted to
all 343 points is moved to the origin and every point is scaled to length 1.
Axes are RAS (x right, y front, z up). Run: python make_standard_1005.py > standard_1005.tsv
"""

import mne
import numpy as np

positions = mne.channels.make_standard_montage("standard_1005").get_positions()["ch_pos"]
names = list(positions)
points = np.array([positions[n] for n in names])
# Least-squares sphere through the points: |p|^2 = 2 p.c + (r^2 - |c|^2).
design = np.c_[2 * points, np.ones(len(points))]
centre = np.linalg.lstsq(design, (points**2).sum(1), rcond=None)[0][:3]
points -= centre
points /= np.linalg.norm(points, axis=1, keepdims=True)

print("name\tx\ty\tz")
for name, (x, y, z) in zip(names, points):
    print(f"{name}\t{x + 0.0:.4f}\t{y + 0.0:.4f}\t{z + 0.0:.4f}".replace("-0.0000", "0.0000"))
