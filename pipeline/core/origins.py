"""Who made a file, and how it is made anew: what the message of a damaged file says.

The paths are those of docs/artefacts.md; a test holds this table to that page.
"""

import re
from dataclasses import dataclass
from pathlib import Path

# below runs/{run}/: what the stage writes at once (a file, or a folder with all that is in it), and the stage
MADE = (
    (r"corpus/\d+", "corpus"),
    (r"(manifest\.parquet|facts\.json|shards/\d+\.parquet)", "manifest"),
    (r"encoders/(text|audio|visual)", "standins or weights"),
    (r"recogniser", "weights"),
    (r"speakers", "weights"),
    (r"chooser", "weights"),
    (r"words/[^/]+\.parquet", "transcribe"),
    (r"(?P<stage>transcripts|voices|recognised)/\d+\.parquet", "{stage}"),
    (r"heard/\d+\.parquet", "recognised"),
    (r"faces/\d+", "faces"),
    (r"features/(?P<stage>text|audio|visual)/\d+\.(safetensors|parquet)", "{stage} or given"),
    (r"features/degraded/(?P<stage>words)/\d+\.parquet", "degraded_{stage}"),
    (r"features/degraded/(?P<stage>text|audio|visual)/\d+\.(safetensors|parquet)", "degraded_{stage}"),
    (r"features/words/\d+\.(safetensors|parquet)", "word_sources"),
    (r"features/gauges/\d+\.parquet", "gauges"),
    (r"model/\w+/\d+", "export"),
    (r"annotations/[^/]+", "annotate"),
    (r"results/(scores|comparisons)\.parquet", "scores"),
    (r"results/examples\.json", "examples"),
    (r"\w+/splits\.parquet", "splits"),
    (r"\w+/dataset", "dataset"),
    (r"\w+/protocol/masks\.safetensors", "masks"),
    (r"\w+/protocol/conflicts\.parquet", "conflicts"),
    (r"\w+/protocol/unreliable\.(safetensors|parquet)", "unreliable"),
    (r"\w+/trust\.safetensors", "trust"),
    (r"\w+/simple\.parquet", "simple"),
    (r"\w+/label_names\.safetensors", "label_names"),
    (r"\w+/ceilings\.parquet", "ceilings"),
    (r"\w+/(?P<stage>teacher)/\d+/held-\d+/(weights|epochs|history)\.\w+", "held_out_teacher"),
    (r"\w+/(?P<stage>teacher|student)/(.+/)?(weights|epochs|history)\.\w+", "{stage}"),
    (r"\w+/search/\w+\.(parquet|json)", "search"),
    (r"\w+/references/oracle\.safetensors", "oracle"),
    (r"\w+/references/\w+/\d+\.safetensors", "references"),
    (r"\w+/predictions/\w+/\d+\.parquet", "evaluate"),
    (r"\w+/states/\d+\.(parquet|json)", "states"),
)

STAMP = ".made.stamp"  # by which Snakemake knows that a folder is filled
FILLED = ("export", "annotate")


@dataclass(frozen=True)
class Source:
    """Where a file comes from.

    mend: the sentence that says what made it, and how it is made anew; sealed: whether its maker should have
    written a checksum into it.
    """

    mend: str
    sealed: bool = True


OWN = Source("It is your own file, which no stage makes: write or fetch it anew.", sealed=False)
ENCODER = Source(
    "It is part of an encoder folder, which the stage standins or weights writes: delete the folder and "
    "rerun that stage; what was placed in weights/ has to be placed anew.",
    sealed=False,
)


def maker(path: Path) -> tuple[str, str] | None:
    """The stage that made a file and the target that makes it anew; None if it lies in no folder of a run."""
    parts = Path(path).absolute().parts
    # the last folder of that name with a run in it: a run may lie below another `runs`
    for place in reversed([place for place, name in enumerate(parts[:-2]) if name == "runs"]):
        below = "/".join(parts[place + 2 :])
        for pattern, stage in MADE:
            if found := re.match(rf"{pattern}(?=/|$)", below):
                # of a folder that is filled Snakemake knows the stamp
                stamp = (STAMP,) if stage in FILLED else ()
                target = "/".join((*parts[place : place + 2], found.group(), *stamp))
                return stage.format(**found.groupdict()), target
    return None


def source_of(path: Path) -> Source:
    """Where an artefact comes from, as far as its place tells."""
    made = maker(path)
    if made is None:
        return Source("Delete it and rerun the stage that writes it; if it is your own file, write it anew.")
    stage, target = made
    return Source(
        f"The stage {stage} made it; make it anew with: snakemake --cores all --force {target} (and the "
        "--configfile of that run)."
    )
