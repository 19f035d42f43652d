"""Five trainings of one variant: one after another, side by side as processes, and what stacking could give.

    python benchmarks/side_by_side.py [--device cuda]

CoRe-KD of the structured network is trained for a few epochs with the seeds 0 to 4 on random features in the
layout of a real corpus. Printed are, as medians of the rounds:

- `one after another` and `N side by side`: the same five trainings through `loop.fit`, in one process and
  in N processes at once; the start of a process is not counted. On a GPU with what it was busy and held;
- the bare forward and backward of the five networks, each on a batch of its own: one by one as trained; one
  by one with the LSTM by its equations, for `vmap` has no rule for nn.LSTM; these stacked by `vmap`; and one
  network on all five batches at once, which no way to stack five networks can beat, for it does the same
  products with one set of weights.

CPU seconds (`time.process_time`) tell more than wall seconds on a CPU that others use, too.
"""

import argparse
import copy
import multiprocessing
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from training import made_dataset, made_references, views_of

from models.batch import Batch
from models.modalities import MODALITIES
from models.networks import structured
from pipeline.core.device import prepare
from pipeline.settings.network import NetworkSettings
from pipeline.settings.objective import ObjectiveSettings
from pipeline.settings.training import TrainingSettings
from pipeline.training import loop
from pipeline.training.step import Step

SEEDS = range(5)


class Trainer:
    """What all five trainings share: the data, the references, the step."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.device = prepare(options.device, 1)
        self.data = made_dataset(options.dialogues, options.utterances)
        self.settings = TrainingSettings(epochs=options.epochs, batch=options.batch)
        told = made_references(self.data, NetworkSettings().hidden).to(self.device)
        self.step = Step(self.data, ObjectiveSettings(), told, self.device)

    def train(self, seed: int, epochs: int | None = None) -> None:
        """One training as the student stage makes it, without the validation."""
        settings = self.settings.model_copy(update={"epochs": epochs or self.settings.epochs})
        network = loop.build_network(self.data, NetworkSettings(), seed)
        loop.fit(
            network,
            self.data,
            self.step,
            self.step.weights,
            lambda network: {"validation": 0.0},
            settings,
            seed=seed,
            device=self.device,
        )
        self.wait()

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def measured(work: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


_trainer: Trainer
_barrier: Barrier


def _begin(options: argparse.Namespace, barrier: Barrier) -> None:
    """In each process: everything that is not measured."""
    global _trainer, _barrier
    _trainer, _barrier = Trainer(options), barrier
    _trainer.train(0, epochs=1)
    _barrier.wait()


def _train(seed: int) -> tuple[float, float, float]:
    """When a training of a process began and ended, by the clock of the machine, and its CPU seconds."""
    began = time.monotonic()
    _, cpu = measured(lambda: _trainer.train(seed))
    return began, time.monotonic(), cpu


def in_processes(options: argparse.Namespace, count: int) -> tuple[float, float]:
    """Wall seconds until the last of the five is trained by `count` processes, and CPU seconds of all."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count)
    with ProcessPoolExecutor(count, context, _begin, (options, barrier)) as pool:
        done = list(pool.map(_train, SEEDS))
    began, ended, cpu = zip(*done, strict=True)
    return max(ended) - min(began), sum(cpu)


class Watched:
    """What nvidia-smi says of the GPU meanwhile: busy (percent, mean) and memory (MiB, highest)."""

    def __init__(self, device: str) -> None:
        self.found: list[tuple[float, float]] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look) if device == "cuda" else None

    def _look(self) -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
        while not self.over.wait(0.3):
            said = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0]
            busy, held = said.split(",")
            self.found.append((float(busy), float(held)))

    def __enter__(self) -> "Watched":
        if self.thread:
            self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        if self.thread:
            self.thread.join()

    def __str__(self) -> str:
        if not self.found:
            return ""
        busy, held = zip(*self.found, strict=True)
        return f", GPU busy {statistics.mean(busy):.0f} %, {max(held):.0f} MiB held"


class Equations(nn.Module):
    """An LSTM by its equations, with the parameters of an nn.LSTM, under their names."""

    def __init__(self, own: nn.LSTM) -> None:
        super().__init__()
        for name, value in own.named_parameters():
            self.register_parameter(name, value)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        gates = x @ self.weight_ih_l0.mT + (self.bias_ih_l0 + self.bias_hh_l0)
        state = memory = torch.zeros_like(gates[:, 0, : gates.shape[-1] // 4])
        states = []
        for step in gates.unbind(dim=1):
            enter, keep, new, show = (step + state @ self.weight_hh_l0.mT).chunk(4, dim=-1)
            memory = keep.sigmoid() * memory + enter.sigmoid() * new.tanh()
            state = show.sigmoid() * memory.tanh()
            states.append(state)
        return torch.stack(states, dim=1), None


def by_equations(network: structured.Network) -> structured.Network:
    """The same network, which `vmap` can stack."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, structured.Recurrent):
            module.ahead, module.back = (Equations(own) for own in (module.ahead, module.back))
    return network


class Bare(nn.Module):
    """A network up to its chain, whose bookkeeping depends on the data, as a sum that has a gradient."""

    def __init__(self, network: structured.Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        network = self.network
        parts = [
            network.modalities[name](
                batch[name], batch["available"][..., place], batch["speaker"], batch["valid"]
            )
            for place, name in enumerate(MODALITIES)
        ]
        states = torch.stack([own for own, _ in parts], dim=2)
        fused = network.through(network.fusion(states, batch["available"]), batch["speaker"], batch["valid"])
        answer = network.residual(network.dropout(fused)) + sum(own for _, own in parts)
        return answer.square().mean() + states.mean()


def tensors(batch: Batch) -> dict[str, Tensor]:
    return {
        **batch.features,
        "available": batch.available,
        "speaker": batch.speaker,
        "valid": batch.valid,
    }


def bare_ways(trainer: Trainer, batch: int) -> dict[str, Callable[[], None]]:
    """Forward and backward of five networks on a batch of three views each; all dialogues are as long."""
    draw = torch.Generator().manual_seed(0)
    drawn = [own for _, own in zip(SEEDS, trainer.data.batches(["train"], batch, draw), strict=False)]
    batches = [views_of(trainer.step, own, draw).to(trainer.device) for own in drawn]
    networks = [loop.build_network(trainer.data, NetworkSettings(), seed) for seed in SEEDS]
    trained = [Bare(network.to(trainer.device).train()) for network in networks]
    plain = [Bare(by_equations(own.network)) for own in trained]
    parameters, _ = stack_module_state(plain)
    stack = {name: torch.stack([tensors(own)[name] for own in batches]) for name in tensors(batches[0])}
    whole = tensors(Batch.cat(batches))
    frame = copy.deepcopy(plain[0])

    def one_by_one(networks: list[Bare]) -> None:
        for network, own in zip(networks, batches, strict=True):
            network(tensors(own)).backward()

    def stacked() -> None:
        losses = vmap(lambda values, own: functional_call(frame, values, (own,)), randomness="different")(
            parameters, stack
        )
        losses.sum().backward()

    return {
        "one by one": lambda: one_by_one(trained),
        "one by one, LSTM by its equations": lambda: one_by_one(plain),
        "stacked by vmap": stacked,
        "one network, all batches": lambda: trained[0](whole).backward(),
    }


def bare(trainer: Trainer, batch: int, rounds: int) -> None:
    """Print what each way takes, in turns, beside the first."""
    ways = bare_ways(trainer, batch)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            found = measured(lambda way=way: (way(), trainer.wait()))
            if turn:
                taken[name].append(found)
    first = None
    for name, values in taken.items():
        wall, cpu = (statistics.median(column) for column in zip(*values, strict=True))
        first = first or (wall, cpu)
        print(
            f"bare, {name}: {wall * 1e3:.1f} ms, CPU {cpu * 1e3:.1f} ms; "
            f"{wall / first[0]:.2f} and {cpu / first[1]:.2f} of one by one",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dialogues", type=int, default=200)
    parser.add_argument("--utterances", type=int, default=10, help="in each dialogue")
    parser.add_argument("--batch", type=int, default=TrainingSettings().batch, help="dialogues a batch")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, nargs="*", default=[2, 5], choices=range(2, 6))
    options = parser.parse_args()
    trainer = Trainer(options)
    kind = torch.cuda.get_device_name() if options.device == "cuda" else "1 thread a process"
    print(
        f"{options.device} ({kind}), torch {torch.__version__}: five trainings of {options.epochs} epochs on "
        f"{options.dialogues} x {options.utterances} utterances, {options.batch} dialogues a batch",
        flush=True,
    )
    trainer.train(0, epochs=1)
    alone, watched = [], Watched(options.device)
    with watched:
        for _ in range(options.rounds):
            alone.append(measured(lambda: [trainer.train(seed) for seed in SEEDS]))
    wall, cpu = (statistics.median(column) for column in zip(*alone, strict=True))
    print(f"one after another: {wall:.1f} s, CPU {cpu:.1f} s{watched}", flush=True)
    for count in options.processes:
        with Watched(options.device) as watched:
            found = [in_processes(options, count) for _ in range(options.rounds)]
        own_wall, own_cpu = (statistics.median(column) for column in zip(*found, strict=True))
        print(
            f"{count} side by side: {own_wall:.1f} s, CPU {own_cpu:.1f} s{watched}; "
            f"{own_wall / wall:.2f} and {own_cpu / cpu:.2f} of one after another",
            flush=True,
        )
    bare(trainer, options.batch, 10 * options.rounds)


if __name__ == "__main__":
    main()
