"""Latency and throughput of NLU.parse, beside scikit-learn's TF-IDF and linear SVM in the same run.

python bench/bench_nlu.py [--set clinc150|snips|bitext] [--seconds 3]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nlu_data
import numpy as np

from ecocore.nlu import NLU
from ecocore.train import nlu


def percentiles(calls: list[float]) -> str:
    us = np.array(calls) * 1e6
    return f"min {us.min():7.1f}  p50 {np.median(us):7.1f}  p99 {np.percentile(us, 99):7.1f} us"


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--set", choices=("clinc150", "snips", "bitext"), default="clinc150")
    p.add_argument("--seconds", type=float, default=3.0)
    p.add_argument("--model", type=Path, help="a model folder, instead of training one")
    args = p.parse_args()
    data = getattr(nlu_data, args.set)()
    texts = [e.text for e in (data.get("test") or data["dev"])]
    with tempfile.TemporaryDirectory() as folder:
        path = args.model or Path(folder) / "model"
        if args.model is None:
            start = time.process_time()
            report = nlu(data["train"], out=path, validation=data.get("val") or data.get("dev"))
            print(f"training   {report.card['seconds']:.1f} s, {time.process_time() - start:.1f} s of CPU")
        opened = []
        for _ in range(7):
            start = time.perf_counter()
            model = NLU.load(path)
            opened.append(time.perf_counter() - start)
        print(f"open       {1e3 * statistics.median(opened):.1f} ms")
        for t in texts[:100]:
            model.parse(t)
        calls: list[float] = []
        cpu: list[float] = []
        end = time.perf_counter() + args.seconds
        while time.perf_counter() < end:
            text = texts[len(calls) % len(texts)]
            start, used = time.perf_counter(), time.thread_time()
            model.parse(text)
            calls.append(time.perf_counter() - start)
            cpu.append(time.thread_time() - used)
        print(f"parse      {percentiles(calls)}   ({len(calls)} calls)")
        print(f"parse, CPU {percentiles(cpu)}")
        batch = (texts * (10_000 // len(texts) + 1))[:10_000]
        print("10,000 questions, one thread:")
        print(f"  ecocore, with slots, outcome and language {measure(lambda: model.parse_many(batch, num_threads=1))}")
        print(f"  ecocore, intent scores alone              {measure(lambda: model._model.score_many(batch, 1))}")
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
            from sklearn.pipeline import make_pipeline, make_union
            from sklearn.svm import LinearSVC
        except ImportError:
            print("scikit-learn is not installed: no peer")
            return
        peer = make_pipeline(
            make_union(
                TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
                TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
            ),
            LinearSVC(),
        )
        known = [e for e in data["train"] if e.intents]
        peer.fit([e.text for e in known], [e.intents[0] for e in known])
        print(f"  scikit-learn, intent alone                {measure(lambda: peer.predict(batch))}")
        single = []
        for t in texts[:200]:
            start = time.perf_counter()
            peer.predict([t])
            single.append(time.perf_counter() - start)
        print(f"scikit-learn, one question   {percentiles(single)}")


def measure(f: Callable[[], object]) -> str:
    """Wall time and, which other programs disturb less, CPU time; medians of three."""
    wall, cpu = [], []
    for _ in range(3):
        start, used = time.perf_counter(), time.process_time()
        f()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return f"{statistics.median(wall):5.2f} s, {statistics.median(cpu):5.2f} s of CPU"


if __name__ == "__main__":
    main()
