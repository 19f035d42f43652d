"""Stage: what the searches of a run found, as an overlay that sets it fold by fold."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import Field

from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.settings.base import Settings


class Params(Settings):
    """Settings of the tuned stage."""

    run: str = Field("run", description="Name of the run, for the heading.")


def run(params: Params, *, searches: list[Path], overlay: Path) -> None:
    """Write the best values of every search, `{fold}/search/{variant}.json`, below `by_fold`.

    Those of the objective are the variant's, those of training and network the fold's, whose teacher and
    students are all trained by them. Raises PipelineError if two variants of a fold chose otherwise there.
    """
    by_fold: dict[str, dict] = {}
    shared: dict[tuple[str, str], tuple[str, object]] = {}
    about = []
    for path in searches:
        fold, variant = path.parent.parent.name, path.stem
        found = artefacts.load_json(path)
        about.append(f"{fold}, {variant}: {_told(found)}")
        for key, value in found["best"]["values"].items():
            section, *inner = key.split(".")
            if section == "objective":
                place = ["variants", variant, *inner]
            else:
                place = [section, *inner]
                other, before = shared.setdefault((fold, key), (variant, value))
                if before != value:
                    raise PipelineError(
                        f"search.spaces, key {key!r}: in fold {fold} {before!r} was best for {other} and "
                        f"{value!r} for {variant}, and a fold has one {section} for all of its variants. "
                        "Leave the key in the space of one variant alone, and search again."
                    )
            _put(by_fold.setdefault(fold, {}), place, value)
    text = yaml.safe_dump({"by_fold": by_fold}, sort_keys=False, allow_unicode=True)
    artefacts.save_text(overlay, _heading(params.run, about) + text)


def _told(found: Mapping) -> str:
    """One search in a few words."""
    start, best = found["start"]["validation"], found["best"]["validation"]
    return (
        f"trial {found['best']['number'] + 1} of {found['trials']}, seeds {found['seeds']}, "
        f"validation {best:.4f} (as it was: {start:.4f})"
    )


def _heading(name: str, about: list[str]) -> str:
    lines = [
        f"What the searches of the run {name} found on the validation split of each fold. Lay it over the",
        "configuration that was searched, as the last --configfile.",
        *about,
    ]
    return "".join(f"# {line}\n" for line in lines)


def _put(sections: dict, place: list[str], value: object) -> None:
    for part in place[:-1]:
        sections = sections.setdefault(part, {})
    sections[place[-1]] = value


if __name__ == "__main__":
    stage.main(run, Params, inputs=("searches*",), outputs=("overlay",))
