"""Makes the tables of this folder: path, size, checksum of the files that `mmpipe fetch` brings.

    python3 make.py ANNEX_MANIFEST.tsv HIGH_GAMMA_CLONE

ANNEX_MANIFEST.tsv has the columns repo, head, path, size, hash_algo, hash, ext, read from the
git-annex pointers of the public repositories named in its first column; HIGH_GAMMA_CLONE is a
clone of github.com/robintibor/high-gamma-dataset, whose pointers are links.
"""

import csv
import re
import subprocess
import sys

KEEP = {
    "OpenNeuroDatasets/ds004356": r".*",
    "OpenNeuroDatasets/ds004408": r".*",
    "OpenNeuroDatasets/ds004718": r"(?!.*\.nii\.gz$).*",
    "nemarDatasets/nm000180": r".*",
    "nemarDatasets/nm000172": r"sourcedata/(.*)",
    "nemarDatasets/nm000135": r"sourcedata/(.*)",
    "nemarDatasets/nm000323": r"sourcedata/(.*)",
}


def write(name, about, rows):
    with open(f"{name}.tsv", "w", encoding="utf-8", newline="\n") as out:
        out.write(f"# {about}\n")
        for path, size, digest in sorted(rows):
            out.write(f"{path}\t{size}\t{digest}\n")


def main(manifest, clone):
    rows, heads = {}, {}
    with open(manifest, encoding="utf-8") as f:
        for row in csv.DictReader(f, delimiter="\t"):
            pattern = KEEP.get(row["repo"])
            found = pattern and re.fullmatch(pattern, row["path"])
            if not found:
                continue
            assert row["hash_algo"] == "SHA256E"
            path = found.group(1) if found.re.groups else row["path"]
            heads[row["repo"]] = row["head"]
            rows.setdefault(row["repo"], []).append((path, row["size"], row["hash"]))
    for repo, found in rows.items():
        write(repo.split("/")[1], f"git-annex keys of {repo} at {heads[repo]}", found)

    git = ["git", "-C", clone]
    head = subprocess.check_output(git + ["rev-parse", "HEAD"], text=True).strip()
    links = []
    for line in subprocess.check_output(git + ["ls-tree", "-r", "HEAD"], text=True).splitlines():
        meta, path = line.split("\t")
        if meta.startswith("120000"):
            blob = subprocess.check_output(git + ["show", f"HEAD:{path}"], text=True)
            key = re.search(r"/MD5-s(\d+)--([0-9a-f]{32})$", blob)
            links.append((path.removeprefix("data/"), key.group(1), key.group(2)))
    write("high-gamma-mat", f"git-annex keys of robintibor/high-gamma-dataset at {head}", links)


main(*sys.argv[1:])
