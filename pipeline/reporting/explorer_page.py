"""What the explorer's page holds: utterances, conditions, answers and charts, ready for JSON."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl

from models.conditions import COMPLETE, LETTERS, MODALITIES
from pipeline.core import artefacts
from pipeline.evaluation.answers import Answers, Truth
from pipeline.evaluation.results import title
from pipeline.reporting.style import COLOURS, heading

TEACHER = "teacher"
# a probability or score is one byte: TOP is 1 (or the highest score), NONE no answer
TOP, NONE = 250, 255
LOW, HIGH = -3.5, 3.5
SOURCES = ("teacher, complete view", "teacher, this view", "student")


def utterances(datasets: Sequence[Path], manifest: Path) -> pl.DataFrame:
    """The test utterances, dialogue by dialogue; `place` is their index in a Truth."""
    spoken = artefacts.load_table(manifest, ["utterance", "text"])
    columns = ["row", "utterance", "dialogue", "position", "speaker", "split"]
    columns += [f"reason_{name}" for name in MODALITIES]
    parts = []
    for folder in datasets:
        table = artefacts.load_table(folder / "utterances.parquet", columns)
        test = table.filter(pl.col("split") == "test").sort("row")
        parts.append(test.with_columns(pl.lit(folder.parent.name).alias("fold")))
    found = pl.concat(parts).with_row_index("place")
    first = pl.col("place").min().over("fold", "dialogue")
    ordered = found.sort(first, "position")
    return ordered.join(spoken, on="utterance", how="left", maintain_order="left")


def texts(told: pl.DataFrame, truth: Truth) -> dict:
    """What was said by whom, the truth, and where each dialogue begins and ends."""
    value = truth.value[told["place"].to_numpy()]
    exact = int if truth.task == "classification" else float
    several = told["fold"].n_unique() > 1
    spans = told.with_row_index("at").group_by("fold", "dialogue", maintain_order=True)
    dialogues = [
        {"name": f"{fold}: {name}" if several else name, "rows": [start, end + 1]}
        for fold, name, start, end in spans.agg(
            pl.col("at").min(), pl.col("at").max().alias("end")
        ).iter_rows()
    ]
    return {
        "names": told["utterance"].to_list(),
        "speaker": told["speaker"].to_list(),
        "text": told["text"].to_list(),
        "truth": [exact(one) if np.isfinite(one) else None for one in value],
        "reasons": [told[f"reason_{name}"].to_list() for name in MODALITIES],
        "dialogues": dialogues,
    }


def students(answers: Sequence[Answers]) -> dict:
    """The variants to choose from: all but the teacher, if there is another."""
    names = [found.variant for found in answers]
    chosen = [name for name in names if name != TEACHER] or names
    return {"variants": chosen, "titles": [title(name) for name in chosen]}


def views(
    datasets: Sequence[Path],
    masks: Sequence[Path],
    conflicts: Sequence[Path],
    order: np.ndarray,
    answers: Answers,
    classes: bool,
) -> dict:
    """Every condition: what it shows of each utterance, and where it swaps from which donor."""
    available, drawn, rows = [], [], []
    for folder, path in zip(datasets, masks, strict=True):
        split = artefacts.load_table(folder / "utterances.parquet", ["row", "split"])
        test = split.filter(pl.col("split") == "test").sort("row")["row"].to_numpy()
        has = artefacts.load_tensors(folder / "features.safetensors", ["available"])["available"] > 0
        available.append(has[test])
        names = [f"{name}/0" for name in answers.clean if name.startswith("random/")]
        drawn.append({name: mask[test] > 0 for name, mask in artefacts.load_tensors(path, names).items()})
        rows.append(test)
    has = np.concatenate(available)
    shown, conditions = {COMPLETE: _digits(has[order])}, []
    for name in answers.clean:
        letters = name.removeprefix("fixed/") if name.startswith("fixed/") else "tav"
        seen = has & np.array([letter in letters for letter in LETTERS])
        if name.startswith("random/"):
            seen &= np.concatenate([one[f"{name}/0"] for one in drawn])
        shown[name] = _digits(seen[order])
        conditions.append({"name": name, "shown": name, "swapped": "", "donors": None})
    for name in answers.conflict:
        _, letters, kind = name.split("/")
        conditions.append({"name": name, "shown": COMPLETE, "swapped": letters, "donors": kind})
    for condition in conditions:
        condition |= {"title": _title(condition["name"]), "told": _told(condition["name"], classes)}
    kinds = {condition["donors"] for condition in conditions} - {None}
    return {
        "available": _digits(has[order]),
        "shown": shown,
        "conditions": conditions,
        "donors": {kind: donors_of(conflicts, kind, rows, order) for kind in sorted(kinds)},
    }


def donors_of(
    conflicts: Sequence[Path], kind: str, rows: Sequence[np.ndarray], order: np.ndarray
) -> list[int]:
    """Of each utterance in the page's order, the place of its donor there; -1 where it is in no conflict."""
    back = np.argsort(order)
    found = np.full(len(order), -1)
    start = 0
    for path, test in zip(conflicts, rows, strict=True):
        table = artefacts.load_table(path, ["kind", "draw", "row", "donor"])
        first = table.filter(pl.col("kind") == kind, pl.col("draw") == 0)
        target, donor = (start + np.searchsorted(test, first[name].to_numpy()) for name in ("row", "donor"))
        found[back[target]] = back[donor]
        start += len(test)
    return found.tolist()


def encoded(answers: Answers, truth: Truth, order: np.ndarray) -> dict[str, str]:
    """By condition: one byte a probability (or score) of each utterance, in base64."""
    values = {name: drawn[0] for name, drawn in answers.clean.items()}
    for name, views_ in answers.conflict.items():
        mine = truth.view_kind == name.split("/")[2]
        first = truth.view_draw[mine] == 0
        full = np.full((len(order), truth.width), np.nan)
        full[truth.view_target[mine][first]] = views_[first]
        values[name] = full
    return {name: _bytes(value[order], truth.task) for name, value in values.items()}


def _bytes(values: np.ndarray, task: str) -> str:
    share = values if task == "classification" else (values - LOW) / (HIGH - LOW)
    whole = np.rint(np.nan_to_num(share).clip(0, 1) * TOP)
    if task == "classification":
        # rounding makes ties, and the page takes the first of them: what is said must stay what is said
        place = np.arange(len(whole))
        said = np.nan_to_num(share).argmax(1)
        whole[place, said] += whole.argmax(1) != said
    whole[np.isnan(values)] = NONE
    return base64.b64encode(whole.astype(np.uint8).tobytes()).decode()


def _digits(shown: np.ndarray) -> str:
    """One digit an utterance: 1 for text, 2 for audio, 4 for visual, added up."""
    return "".join(map(str, shown.astype(int) @ (1, 2, 4)))


def _title(name: str) -> str:
    protocol = {"complete": "P1", "fixed": "P2", "random": "P3", "conflict": "P4"}[
        name.split("/", maxsplit=1)[0]
    ]
    return f"{protocol}: {heading(name)}"


def _told(name: str, classes: bool) -> str:
    """A condition in a sentence."""
    family, _, rest = name.partition("/")
    if family == "complete":
        return "Everything that the corpus has is shown."
    if family == "fixed":
        return f"Of every utterance only {heading(name).removesuffix(' only')} is shown."
    if family == "random":
        return f"Slots are hidden at random, at a nominal rate of {rest}; every utterance keeps one."
    kinds = {
        "different": f"an utterance with {'another label' if classes else 'a distant score'}",
        "same": f"an utterance with {'the same label' if classes else 'a near score'} (control)",
        "shuffled": "any other utterance (control)",
    }
    letters, _, kind = rest.partition("/")
    what = " and ".join(name for letter, name in zip(LETTERS, MODALITIES, strict=True) if letter in letters)
    return (
        f"The {what} of each utterance comes from {kinds[kind]} of another dialogue. One utterance is "
        "swapped at a time, its neighbours are clean; a dash marks those that have no such donor."
    )


def charts(truth: Truth) -> Mapping[str, dict]:
    """The page's charts without data: Vega-Lite, whose data set `values` the page fills."""
    classes = truth.task == "classification"
    names = list(SOURCES) if classes else ["truth", *SOURCES]
    colours = [COLOURS[0], COLOURS[4], COLOURS[5]] if classes else ["#222222", *COLOURS[:1], *COLOURS[4:6]]
    who = alt.Color("who:N", title=None, scale=alt.Scale(domain=names, range=colours)).legend(orient="top")
    low, high = (0, 1) if classes else (LOW, HIGH)
    value = "probability of the true label" if classes else "score"
    empty = alt.NamedData(name="values")
    overview = (
        alt.Chart(empty)
        .mark_line(point=True)
        .encode(
            x=alt.X("place:O", title="utterance of the dialogue").axis(labelAngle=0),
            y=alt.Y("value:Q", title=value, scale=alt.Scale(domain=[low, high])),
            color=who,
            tooltip=["who:N", "said:N", alt.Tooltip("value:Q", format=".2f")],
        )
        .properties(width=460, height=170)
    )
    found = {"overview": overview}
    if classes:
        found["detail"] = (
            alt.Chart(empty)
            .mark_bar()
            .encode(
                y=alt.Y("label:N", title=None, sort=None),
                yOffset=alt.YOffset("who:N", sort=names),
                x=alt.X("value:Q", title="probability, chosen utterance", scale=alt.Scale(domain=[0, 1])),
                color=who,
                tooltip=["who:N", "label:N", alt.Tooltip("value:Q", format=".2f")],
            )
            .properties(width=300, height=230)
        )
    specs = {name: chart.to_dict(validate=True) for name, chart in found.items()}
    return {name: spec | {"datasets": {"values": []}} for name, spec in specs.items()}
