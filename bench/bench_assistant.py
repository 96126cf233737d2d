"""How long an answer takes: ``Assistant.reply`` from the text to the checked and, where asked for, logged answer.

    python bench/bench_assistant.py [--model DIR] [--replies N] [--log]

Over the demo shop, its ALS recommender and, in turns, a recommendation like a product under a price, an order look-up,
a stock question and an FAQ, understood by the model that the starter pack brings or by that of ``--model``. Printed:
p50 and p99 in ms of each kind of question and of the NLU's share of the recommendation: by the wall, and of the
thread's own processor time, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

import ecocore
from ecocore import starter
from ecocore.assistant import Assistant, demo_recommender, demo_shop
from ecocore.feedback import Feedback

ASKED = {
    "recommend": ("recommend something like the trail runner under 500", "推荐类似冲锋衣的，300元以内"),
    "order": ("where is my order EC{n}", "我的订单EC{n}到哪了"),
    "stock": ("is the hoodie in stock in M", "卫衣有M码吗"),
    "faq": ("how much is shipping", "怎么开发票"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, help="a folder with an NLU model in nlu")
    parser.add_argument("--replies", type=int, default=4000)
    parser.add_argument("--log", action="store_true", help="with a feedback log on disk")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        nlu = ecocore.NLU.load(args.model / "nlu" if args.model else starter.MODEL)
        shop = demo_shop()
        recorder = Feedback(Path(folder) / "log.db") if args.log else None
        assistant = Assistant(nlu, shop, recommender=demo_recommender(shop), recorder=recorder)
        order = shop.orders("chen", 1)[0].id[2:]
        times: dict[str, list[tuple[float, float]]] = defaultdict(list)
        answered: dict[str, int] = defaultdict(int)
        gc.collect()
        for i in range(args.replies + 100):
            kind = list(ASKED)[i % len(ASKED)]
            text = ASKED[kind][i // len(ASKED) % 2].format(n=order)
            begun = time.perf_counter(), time.thread_time()
            reply = assistant.reply("chen", text)
            taken = time.perf_counter() - begun[0], time.thread_time() - begun[1]
            if i < 100:
                continue
            times[kind].append(taken)
            answered[kind] += bool(reply.products) if kind == "recommend" else reply.outcome == "sure"
            if kind == "recommend":
                begun = time.perf_counter(), time.thread_time()
                nlu.parse(text)
                times["  its NLU"].append((time.perf_counter() - begun[0], time.thread_time() - begun[1]))
        print(f"ms         wall p50     p99   CPU p50     p99   answered   ({'logged' if args.log else 'not logged'})")
        for kind, values in times.items():
            (wall, wall99), (cpu, cpu99) = np.percentile(1000 * np.array(values), [50, 99], axis=0).T
            share = f"{answered[kind] / len(values):8.0%}" if kind in answered else ""
            print(f"{kind:10}{wall:9.3f} {wall99:7.3f}   {cpu:7.3f} {cpu99:7.3f}   {share}")
        if recorder is not None:
            recorder.close()
        shop.close()


if __name__ == "__main__":
    main()
