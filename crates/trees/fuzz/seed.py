"""Seeds the fuzz corpus: the tests' fixtures, and HDF5 files of a few kilobytes each, as the
fixtures hold too much for a fuzzer to change what matters.

    pip install h5py numpy
    python seed.py && RUSTC_BOOTSTRAP=1 cargo fuzz run -s none tree -- -runs=1000000 -max_len=6000
"""

import os
import shutil
import sys

import h5py
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "../tests/fixtures")
CORPUS = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus", "tree")
SKIPPED = (".py", ".json", "LICENSE")


def small(name, libver, fill, matlab=False):
    path = os.path.join(CORPUS, f"small-{libver}-{name}")
    with h5py.File(path, "w", libver=libver, userblock_size=512 if matlab else 0) as f:
        fill(f)
    if matlab:
        with open(path, "r+b") as f:
            f.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\0\2IM")


def chunked(**how):
    x = np.arange(60, dtype="i2").reshape(6, 10)
    return lambda f: f.create_dataset("x", data=x, chunks=(4, 4), **how)


def grows(f):
    f.create_dataset("x", data=np.arange(30.0), chunks=(4,), maxshape=(None,), compression="gzip")


def both(f):
    f.create_dataset("x", data=np.ones((5, 5)), chunks=(2, 2), maxshape=(None, None))


def texts(f):
    f["fixed"] = np.array([b"Fz", b"Cz"])
    f["free"] = np.array(["Fz", "Oz"], dtype=h5py.string_dtype())
    f["free"].attrs["unit"] = "uV"


def compound(f):
    f["x"] = np.zeros(3, dtype=[("time", "f8"), ("code", "i4")])
    f["z"] = np.ones(2, "c8")
    f["truth"] = np.array([True, False])


def groups(f):
    f["a/b/c"] = 1.0
    f["link"] = h5py.SoftLink("/a/b")
    f["other"] = h5py.ExternalLink("x.h5", "/y")


def cells(f):
    refs = f.create_group("#refs#")
    for name, text in (("b", "left"), ("c", "hand")):
        data = refs.create_dataset(name, data=np.array([[ord(t)] for t in text], "u2"))
        data.attrs["MATLAB_class"] = np.bytes_("char")
        data.attrs["MATLAB_int_decode"] = np.int32(2)
    cell = f.create_dataset("cell", (2, 1), dtype=h5py.ref_dtype)
    cell[0, 0], cell[1, 0] = refs["b"].ref, refs["c"].ref
    cell.attrs["MATLAB_class"] = np.bytes_("cell")
    empty = f.create_dataset("empty", data=np.array([0, 0], "u8"))
    empty.attrs["MATLAB_class"] = np.bytes_("double")
    empty.attrs["MATLAB_empty"] = np.uint8(1)


def main():
    os.makedirs(CORPUS, exist_ok=True)
    for folder, _, names in os.walk(FIXTURES):
        for name in sorted(names):
            if not name.endswith(SKIPPED):
                flat = f"{os.path.basename(folder)}-{name}"
                shutil.copyfile(os.path.join(folder, name), os.path.join(CORPUS, flat))
    for libver in ("earliest", "latest"):
        small("deflate", libver, chunked(compression="gzip", shuffle=True))
        small("lzf", libver, chunked(compression="lzf"))
        small("checksum", libver, chunked(fletcher32=True))
        small("plain", libver, chunked())
        small("grows", libver, grows)
        small("both", libver, both)
        small("texts", libver, texts)
        small("compound", libver, compound)
        small("groups", libver, groups)
        small("cells", libver, cells, matlab=True)
    with open(os.path.join(CORPUS, "table.csv"), "w") as f:
        f.write("time,code,name\n0.5,1,a\n1.5,n/a,\"b,c\"\n")


main()
