"""What the explorer's page holds: utterances, conditions, answers and charts, ready for JSON."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl

from models.conditions import COMPLETE, Condition
from models.modalities import MODALITIES
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.registries.degradations import FAMILY, OTHER_WORDS, about
from pipeline.evaluation import families
from pipeline.evaluation.answers import Answers, Truth
from pipeline.evaluation.degraded import letter
from pipeline.evaluation.protocol import Frozen
from pipeline.evaluation.results import title
from pipeline.reporting.style import COLOURS

TEACHER = "teacher"
# a probability or score is one byte: TOP is 1 (or the highest score), NONE no answer
TOP, NONE = 250, 255
LOW, HIGH = -3.5, 3.5
HEARD = {"utterance": pl.String, "text": pl.String, "words_confidence": pl.Float32}
SOURCES = ("teacher, complete view", "teacher, this view", "student")


def utterances(datasets: Sequence[Path], manifest: Path, heard: Sequence[Path] = ()) -> pl.DataFrame:
    """The test utterances, dialogue by dialogue; `place` is their index in a Truth.

    heard: the recognised words of all shards where networks read those; then they are `text`, null where
    nothing was heard, and the words of the corpus are `given`. Raises PipelineError for an utterance that is
    in none of them.
    """
    spoken = artefacts.load_table(manifest, ["utterance", "text"])
    if heard:
        told = pl.concat(artefacts.load_table(path, HEARD).select(*HEARD) for path in heard)
        spoken = spoken.rename({"text": "given"}).join(
            told.with_columns(heard=True), on="utterance", how="left", maintain_order="left"
        )
        if spoken["heard"].null_count():
            lost = spoken.filter(pl.col("heard").is_null())["utterance"][0]
            raise PipelineError(
                f"{heard[0].parent}: it lacks the utterance {lost!r}, so this is not what was recognised in "
                "the corpus of this run. Rerun the stage recognised for all shards."
            )
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
    # of words that were recognised: what the corpus says in their place, and how sure they are
    recognised = None
    if "given" in told.columns:
        sure = [None if one is None else round(one, 2) for one in told["words_confidence"]]
        recognised = {"given": told["given"].to_list(), "sure": sure}
    return {
        "names": told["utterance"].to_list(),
        "speaker": told["speaker"].to_list(),
        "text": told["text"].to_list(),
        "recognised": recognised,
        "truth": [exact(one) if np.isfinite(one) else None for one in value],
        "reasons": [told[f"reason_{name}"].to_list() for name in MODALITIES],
        "dialogues": dialogues,
    }


def students(answers: Sequence[Answers]) -> dict:
    """The variants to choose from: all but the teacher, if there is another."""
    names = [found.variant for found in answers]
    chosen = [name for name in names if name != TEACHER] or names
    return {"variants": chosen, "titles": [title(name) for name in chosen]}


def views(frozen: Sequence[Frozen], order: np.ndarray, answers: Answers, classes: bool) -> dict:
    """Every condition: what it shows of each utterance, and where it swaps from which donor.

    `frozen`: the protocol of each fold. Raises PipelineError if a fold lacks a condition of the answers.
    """
    has = np.concatenate([fold.available[fold.test] for fold in frozen])
    seen = [_first_draws(fold) for fold in frozen]
    shown, conditions = {str(COMPLETE): _digits(has[order])}, []
    for condition in answers.clean:
        if any(condition not in one for one in seen):
            raise PipelineError(
                f"predictions of {answers.variant!r}: the protocol has no condition {condition}. "
                "Evaluate it again."
            )
        shown[str(condition)] = _digits((has & np.concatenate([one[condition] for one in seen]))[order])
        conditions.append(_told(condition, condition, classes) | _degraded(condition, frozen))
    conditions += [_told(condition, COMPLETE, classes) for condition in answers.conflict]
    kinds = {condition.kind for condition in answers.conflict}
    return {
        "available": _digits(has[order]),
        "shown": shown,
        "conditions": conditions,
        "donors": {kind: donors_of(frozen, kind, order) for kind in sorted(kinds)},
    }


def _first_draws(fold: Frozen) -> dict[Condition, np.ndarray]:
    """What is shown of the test utterances by condition, in the first draw of each."""
    return {view.condition: view.shown[fold.test] for view in families.views(fold) if view.draw == 0}


def _told(condition: Condition, shown: Condition, classes: bool) -> dict:
    """A condition for the page; `shown`: the one that says what is read of each utterance."""
    protocol = families.of(condition)
    return {
        "name": str(condition),
        "shown": str(shown),
        "swapped": condition.swapped,
        "donors": condition.kind if condition.swapped else None,
        "degraded": "",
        "title": f"{protocol.label}: {protocol.title(condition)}",
        "told": protocol.told(condition, classes),
    }


def _degraded(condition: Condition, frozen: Sequence[Frozen]) -> dict:
    """What is degraded and how much, measured; nothing of a condition of reliable media."""
    if condition.family not in (FAMILY, OTHER_WORDS):
        return {}
    levels = [fold.degraded.realised[condition] for fold in frozen if fold.degraded]
    known = [level for level in levels if level is not None]
    measured = f" Measured, on average: {about(condition).measured} {level_of(known)}." if known else ""
    told = families.of(condition).told(condition, True)
    return {"degraded": letter(condition), "told": f"{told}{measured}"}


def level_of(known: Sequence[float]) -> str:
    """The mean of measured levels in three digits; what rounding makes of 0 is 0."""
    return f"{round(float(np.mean(known)), 6) + 0.0:.3g}"


def donors_of(frozen: Sequence[Frozen], kind: str, order: np.ndarray) -> list[int]:
    """Of each utterance in the page's order, the place of its donor there; -1 where it is in no conflict."""
    back = np.argsort(order)
    found = np.full(len(order), -1)
    start = 0
    for fold in frozen:
        first = fold.swaps.filter(pl.col("kind") == kind, pl.col("draw") == 0)
        target, donor = (
            start + np.searchsorted(fold.test, first[name].to_numpy()) for name in ("row", "donor")
        )
        found[back[target]] = back[donor]
        start += len(fold.test)
    return found.tolist()


def encoded(answers: Answers, truth: Truth, order: np.ndarray) -> dict[str, str]:
    """By condition: one byte a probability (or score) of each utterance, in base64."""
    values = {condition: drawn[0] for condition, drawn in answers.clean.items()}
    for condition, views_ in answers.conflict.items():
        mine = truth.view_kind == condition.kind
        first = truth.view_draw[mine] == 0
        full = np.full((len(order), truth.width), np.nan)
        full[truth.view_target[mine][first]] = views_[first]
        values[condition] = full
    return {str(condition): _bytes(value[order], truth.task) for condition, value in values.items()}


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
