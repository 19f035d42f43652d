"""The one place where the configuration is read and validated; below it, typed values travel.

    python -m pipeline.config [OVERLAY ...]

checks `config.yaml` and overlays without Snakemake.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from pipeline.core.errors import PipelineError
from pipeline.settings.config import Config, merged
from pipeline.settings.files import Place, Source, read_source, where
from pipeline.settings.mistakes import explain
from pipeline.settings.objective import ObjectiveSettings

# of this clone, wherever it is used from
BASE = Path(__file__).resolve().parents[1] / "config.yaml"


def read_config(raw: Mapping, sources: Sequence[Source] = ()) -> Config:
    """Validate the merged configuration; `sources` are what it was merged from, the last one winning.

    Raises PipelineError naming the file, the key, what was expected, and the nearest right name.
    """
    try:
        config = Config.model_validate(dict(raw))
    except ValidationError as error:
        raise PipelineError(explain(error, (), Config, sources)) from None
    _check_variants(config, (), sources)
    for fold in config.by_fold:
        above = ("by_fold", fold)
        try:
            own = config.of_fold(fold)
        except ValidationError as error:
            raise PipelineError(explain(error, above, Config, sources)) from None
        _check_variants(own, above, sources)
    return config


def _check_variants(config: Config, above: Place, sources: Sequence[Source]) -> None:
    """Raise PipelineError for a variant that cannot be; `above` is the section that says what differs."""
    for name in config.variants:
        place = (*above, "variants", name)
        try:
            objective = config.objective_of(name)
        except ValidationError as error:
            raise PipelineError(explain(error, place, ObjectiveSettings, sources)) from None
        try:
            objective.check_network(config.network_of(name).name)
        except ValueError as error:
            raise PipelineError(f"{where(place, sources)}: {'.'.join(place)}: {error}.") from None


def read_files(paths: Sequence[Path], given: Mapping[str, Mapping] | None = None) -> Config:
    """Read, merge and validate files of settings, the first one the base, and values on top of all.

    given: values by the name under which an error speaks of them.

    Raises PipelineError as `read_source` and `read_config` do.
    """
    sources = [read_source(path) for path in paths]
    sources.extend(Source(name, values) for name, values in (given or {}).items())
    raw: dict = {}
    for source in sources:
        raw = merged(raw, source.values)
    return read_config(raw, sources)


def main(argv: Sequence[str] | None = None) -> int:
    """Check `config.yaml` and overlays without Snakemake; 1 with one paragraph if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.config", description=main.__doc__)
    parser.add_argument("overlays", nargs="*", type=Path, help="as given to --configfile, in their order")
    overlays = parser.parse_args(argv).overlays
    try:
        config = read_files([BASE, *overlays])
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"valid: run {config.run}, corpus {config.corpus.name}, variants {', '.join(config.compare)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
