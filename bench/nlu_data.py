"""The public NLU sets as examples of ecocore.train; folders as in the data page of ECOCORE_DATA."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
from pathlib import Path

from ecocore.train import Example

FOLDER = Path(os.environ.get("ECOCORE_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))


def _open(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode("utf-8-sig")


def clinc150(name: str = "full") -> dict[str, list[Example]]:
    """train, val and test; examples out of scope have no intent."""
    data = json.loads(_open(FOLDER / "clinc150" / f"data_{name}.json.gz"))
    out = {}
    for part in ("train", "val", "test"):
        out[part] = [Example(t, (i,)) for t, i in data[part]] + [Example(t) for t, _ in data[f"oos_{part}"]]
    return out


def snips() -> dict[str, list[Example]]:
    """train, dev and test, with BIO slots turned into characters."""
    out = {}
    for part in ("train", "dev", "test"):
        folder = FOLDER / "snips-joint" / part
        lines = (_open(folder / f"{f}.gz").splitlines() for f in ("seq.in", "seq.out", "label"))
        out[part] = [from_bio(w.split(), t.split(), i.strip()) for w, t, i in zip(*lines, strict=True)]
    return out


def from_bio(words: list[str], tags: list[str], intent: str) -> Example:
    slots: list[tuple[str, int, int]] = []
    at = 0
    for i, (word, tag) in enumerate(zip(words, tags, strict=True)):
        end = at + len(word)
        if tag.startswith("I-") and slots and slots[-1][0] == tag[2:] and i and tags[i - 1][2:] == tag[2:]:
            slots[-1] = (tag[2:], slots[-1][1], end)
        elif tag != "O":
            slots.append((tag[2:], at, end))
        at = end + 1
    return Example(" ".join(words), (intent,), tuple(slots))


def bitext() -> dict[str, list[Example]]:
    """train and dev; slots by their offsets."""
    out = {}
    for part in ("train", "dev"):
        rows = csv.DictReader(_open(FOLDER / "bitext-customer-support" / f"{part}.csv.gz").splitlines())
        grouped: dict[tuple[str, str], list[tuple[str, int, int]]] = {}
        for r in rows:
            slots = grouped.setdefault((r["utterance"], r["intent"]), [])
            if r["entity_type"]:
                slots.append((r["entity_type"], int(r["start_offset"]), int(r["end_offset"])))
        out[part] = [Example(t, (i,), tuple(sorted(s, key=lambda x: x[1]))) for (t, i), s in grouped.items()]
    return out


SMP2019_FOLDS = 5  # its published test part is not to be had


def smp2019(label: str = "domain", fold: int = 0) -> dict[str, list[Example]]:
    """train and test: one of five folds by the sha1 of the text; a slot stands where its value first stands."""
    out: dict[str, list[Example]] = {"train": [], "test": []}
    for r in json.loads(_open(FOLDER / "smp2019-ecdt" / "train.json.gz")):
        text, slots, last = r["text"], [], 0
        found = []
        for name, values in r["slots"].items():
            for value in values if isinstance(values, list) else [values]:
                at = text.find(value) if value else -1
                if at >= 0:
                    found.append((at, at + len(value), name))
        for start, end, name in sorted(found):
            if start >= last:
                slots.append((name, start, end))
                last = end
        part = "test" if int(hashlib.sha1(text.encode()).hexdigest(), 16) % SMP2019_FOLDS == fold else "train"
        out[part].append(Example(text, (r[label] or "none",), tuple(slots)))
    return out
