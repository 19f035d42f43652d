"""Speed of the stages that extract features, beside a plain loop, the bare networks, and decoding alone.

    python benchmarks/extraction.py [--clips FOLDER] [--texts FILE] [--device cuda --workers 16]

Everything is timed in this one process, in turns, on the same clips and the same full-size networks of random
weights, and printed as medians of several rounds: compare the ratios, not the seconds. `ours` is the stage,
from the shard's table to the files that it writes, less `begin`, what it takes for no work (loading and
checking weights above all). (a) `plain` takes one utterance after the other in float32, as published
extractors do, and runs MTCNN on every whole frame. (b) `bare` is the network alone on the same batches as
tensors in memory. (c) `decode` only decodes what is looked at. Without --clips, dialogues are drawn;
without --texts, sentences are.
"""

import argparse
import json
import logging
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import extraction_beside as beside
import extraction_inputs as inputs

from pipeline import audio, faces, text, visual
from pipeline.core import artefacts
from pipeline.core.device import prepare

STAGES = {"text": text, "audio": audio, "visual": visual, "faces": faces}


class Bench:
    """So many utterances of the clips, and the networks, on one device and at one precision."""

    def __init__(
        self,
        clips: list[Path],
        texts: list[str],
        count: int,
        weights: dict[str, Path],
        folder: Path,
        options: argparse.Namespace,
    ) -> None:
        self.count, self.weights, self.folder, self.options = count, weights, folder, options
        self.table = inputs.utterances(clips, count, folder / "media", texts)
        self.shard, self.one = folder / "shard.parquet", folder / "one.parquet"
        artefacts.save_table(self.shard, self.table)
        artefacts.save_table(self.one, inputs.nothing(self.table, folder))
        self.compute = {"device": options.device, "threads": options.threads}

    def arguments(self, stage: str, precision: str, alone: bool = False) -> tuple[dict, dict[str, Path]]:
        """Settings and paths of a stage; alone: of the first utterance."""
        name = "one" if alone else "all"
        paths = {"shard": self.one if alone else self.shard}
        if stage == "faces":
            return self.compute, paths | {"folder": self.folder / f"faces-{name}"}
        if stage == "visual":
            paths["faces"] = self.folder / f"faces-{name}"
        paths |= {"encoder": self.weights[stage], "features": self.folder / f"{stage}-{name}.safetensors"}
        return self.compute | {"precision": precision}, paths | {
            "index": self.folder / f"{stage}-{name}.parquet"
        }

    def ours(self, stage: str, precision: str, workers: int, alone: bool = False) -> None:
        settings, paths = self.arguments(stage, precision, alone)
        more = {"cores": workers * self.options.threads} if stage in ("faces", "audio") else {}
        module = STAGES[stage]
        module.run(module.Params.model_validate(settings), **paths, **more)

    def timed(self, work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        if self.options.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def medians(self, works: dict[str, Callable[[], object]]) -> dict[str, float]:
        """Median seconds of each, in turns, so that a slow moment of the machine hits all alike."""
        taken: dict[str, list[float]] = {name: [] for name in works}
        for number in range(self.options.rounds + 1):
            for name, work in works.items():
                seconds = self.timed(work)
                if number:  # the first turn warms up
                    taken[name].append(seconds)
        return {name: statistics.median(values) for name, values in taken.items()}

    def rows(self, stage: str, precision: str) -> list[dict]:
        """A row for each number of workers: seconds, and the shares of what it is compared with."""
        device = torch.device(self.options.device)
        if stage == "faces":
            other = beside.Faces(self.table, device, max(self.options.workers))
        elif stage == "visual":
            other = beside.Visual(self.folder / "faces-all", self.weights[stage], device, precision)
        elif stage == "audio":
            most = max(self.options.workers)
            other = beside.Audio(self.table, self.weights[stage], device, precision, most)
        else:
            other = beside.Text(self.table, self.weights[stage], device, precision)
        several = self.options.workers if stage in ("faces", "audio") else [1]
        works: dict[str, Callable[[], object]] = {
            f"ours {workers}": lambda workers=workers: self.ours(stage, precision, workers)
            for workers in several
        }
        works |= {"begin": lambda: self.ours(stage, precision, 1, alone=True), "bare": other.bare}
        if stage == "faces":
            works |= {f"decode {n}": lambda workers=n: other.decode(workers) for n in several}
        plain = self.once(stage, other)
        taken = self.medians(works)
        return [self.row(stage, precision, workers, other, taken, plain) for workers in several]

    def row(self, stage: str, precision: str, workers: int, other: Any, taken: dict, plain: float) -> dict:
        """One row; its bound is what would be left if nothing but network and decoder took time."""
        ours = taken[f"ours {workers}"] - taken["begin"]
        bare, decode = taken["bare"], taken.get(f"decode {workers}")
        # one worker does one after the other, a GPU goes on while several decode
        together = max if self.options.device == "cuda" else sum
        bound = bare if decode is None else together([bare, decode])
        alone = workers == 1 or self.options.device == "cuda"
        first = min(self.options.workers if stage in ("faces", "audio") else [1])
        return {
            "stage": stage,
            "precision": precision if stage != "faces" else "float32",
            "workers": workers,
            "ours, s": ours,
            "begin, s": taken["begin"],
            "plain, s": plain,
            "bare, s": bare,
            "decode, s": decode,
            "ours, utt/s": self.count / ours,
            "times plain": plain / ours,
            "times fewest workers": (taken[f"ours {first}"] - taken["begin"]) / ours,
            "share of bare": bare / ours if alone else None,
            "share of bound": bound / ours if alone else None,
            "pictures/s": len(other.views) / ours if stage == "faces" else None,
        }

    def once(self, stage: str, other: Any) -> float:
        """Seconds of the plain loop: the median of up to three, for faces of its few seconds of film."""
        if not self.options.plain:
            return float("nan")
        taken = [self.timed(other.plain) for _ in range(min(3, self.options.rounds))]
        return statistics.median(taken) * (other.film / beside.PLAIN_SECONDS if stage == "faces" else 1)


def growth(bench: Bench, stage: str, precision: str, workers: int) -> dict:
    """One run in a process of its own: wall time, peak memory, and what is written."""
    settings, paths = bench.arguments(stage, precision)
    # by a shell that stays, for Linux lets a program inherit the peak memory of the one that started it
    command = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-m", f"pipeline.{stage}"]
    command += ["--params", json.dumps(settings)]
    if stage in ("faces", "audio"):
        command += ["--cores", str(workers * bench.options.threads)]
    for flag, path in paths.items():
        command += [f"--{flag}", str(path)]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    seconds, memory = re.findall(r"done in ([\d.]+) s, peak memory (\d+) MB", done.stderr)[-1]
    outputs = [paths[name] for name in ("folder", "features", "index") if name in paths]
    files = [file for path in outputs for file in ([path] if path.is_file() else path.iterdir())]
    size = sum(file.stat().st_size for file in files) / 1e6
    return {
        "stage": stage,
        "precision": precision if stage != "faces" else "float32",
        "workers": workers,
        "utterances": bench.count,
        "s": float(seconds),
        "ms an utterance": 1000 * float(seconds) / bench.count,
        "peak memory, MB": int(memory),
        "disk, MB per 1,000": 1000 * size / bench.count,
    }


class Utilisation:
    """Percent of the time that the GPU had a kernel at work, as nvidia-smi tells it twice a second."""

    def __init__(self, device: str) -> None:
        command = [
            "nvidia-smi",
            "--query-gpu=utilization.gpu",
            "--format=csv,noheader,nounits",
            "-lms",
            "500",
        ]
        self.told = subprocess.Popen(command, stdout=subprocess.PIPE, text=True) if device == "cuda" else None

    def mean(self) -> float | None:
        if self.told is None:
            return None
        self.told.terminate()
        values = [float(value) for value in self.told.communicate()[0].split()]
        return sum(values) / max(1, len(values))


def whole(bench: Bench, precision: str, workers: int, table: pl.DataFrame) -> None:
    """The four stages one after the other, beside the bare networks, and how busy CPU and GPU are."""
    used = Utilisation(bench.options.device)
    start, spent = time.perf_counter(), time.process_time()
    for stage in ("faces", "visual", "audio", "text"):
        bench.ours(stage, precision, workers)
    wall, cpu = time.perf_counter() - start, time.process_time() - spent
    busy = used.mean()
    own = table.filter((pl.col("stage") == "faces") | (pl.col("precision") == precision))
    first = own.unique("stage", keep="first")
    bare, begin = first["bare, s"].sum(), first["begin, s"].sum()
    print(
        f"whole extraction, {precision}, {workers} workers: {bench.count} utterances in {wall:.2f} s, of "
        f"which {begin:.2f} s to begin; bare networks {bare:.2f} s, {100 * bare / (wall - begin):.0f} %; "
        f"{cpu / wall:.1f} CPU cores at work" + (f", GPU busy {busy:.0f} %" if busy is not None else "")
    )


def shown(rows: list[dict]) -> None:
    with pl.Config(
        tbl_cols=-1,
        tbl_rows=-1,
        float_precision=2,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_width_chars=230,
    ):
        print(pl.DataFrame(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, help="a folder of videos; else drawn ones")
    parser.add_argument("--texts", type=Path, help="a file of sentences, one a line; else drawn ones")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=["faces", "visual", "audio", "text"])
    parser.add_argument("--utterances", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--growth", type=int, nargs="*", default=[10, 100, 1000], help="numbers of utterances"
    )
    parser.add_argument("--plain", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--csv", type=Path, help="also write the first table there")
    options = parser.parse_args()
    logging.getLogger("pipeline").setLevel(logging.WARNING)
    prepare(options.device, options.threads)
    with tempfile.TemporaryDirectory() as spare:
        folder = Path(spare)
        clips = inputs.found(options.clips) if options.clips else inputs.drawn(folder / "drawn")
        texts = inputs.sentences(options.texts)
        weights = inputs.encoders(folder / "encoders", texts)
        bench = Bench(clips, texts, options.utterances, weights, folder / "bench", options)
        seconds = float((bench.table["end"] - bench.table["start"]).sum())
        gpu = torch.cuda.get_device_name() if options.device == "cuda" else "no GPU"
        words = sum(len(text.split()) for text in bench.table["text"]) / options.utterances
        print(
            f"{len(clips)} clips, {options.utterances} utterances of {words:.1f} words, {seconds:.0f} s of "
            f"film; {os.cpu_count()} CPU cores, {gpu}; {options.threads} thread(s), "
            f"medians of {options.rounds}"
        )
        if "visual" in options.stages:
            bench.ours("faces", "float32", max(options.workers))
            bench.ours("faces", "float32", 1, alone=True)
        table: list[dict] = []
        for stage in options.stages:
            for precision in options.precision if stage != "faces" else ["float32"]:
                table += bench.rows(stage, precision)
        shown(table)
        if options.csv:
            pl.DataFrame(table).write_csv(options.csv)
        if set(options.stages) == set(STAGES):
            for precision in options.precision:
                whole(bench, precision, max(options.workers), pl.DataFrame(table))
        grown: list[dict] = []
        for count in options.growth:
            larger = Bench(clips, texts, count, weights, folder / f"growth-{count}", options)
            if "faces" not in options.stages:
                larger.ours("faces", "float32", max(options.workers))
            for stage in options.stages:
                grown.append(growth(larger, stage, options.precision[-1], max(options.workers)))
        if grown:
            shown(grown)


if __name__ == "__main__":
    main()
