"""A folder of results as it is written: what people read goes there, what the report shows is copied."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core import artefacts
from pipeline.core.filling import filling

SHOWN = (".html", ".svg")


@contextmanager
def writing_pages(folder: Path, shown: Path | None) -> Iterator[Path]:
    """Yield a folder whose files go into `folder` (`filling`) when the block ends without error.

    shown: a folder that becomes a copy of the pages among them (HTML and SVG), which Snakemake's report
    packs.
    """
    with filling(folder) as target:
        yield target
        if shown is not None:
            with artefacts.replacing_folder(shown) as copies:
                for path in sorted(target.iterdir()):
                    if path.suffix in SHOWN:
                        shutil.copyfile(path, copies / path.name)
