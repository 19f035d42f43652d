"""Writes `envs/<group>.yaml`, the environments of `--sdm conda`: `python -m pipeline.environments`.

`make lock` does it. Which packages a group needs stands in `pipeline/reruns/pins.py`.
"""

from pipeline.core.artefacts import save_text
from pipeline.reruns.pins import FOLDER, GROUPS, environment


def main() -> None:
    """Write all environments."""
    for group in GROUPS:
        save_text(FOLDER / f"{group}.yaml", environment(group))


if __name__ == "__main__":
    main()
