# Where the workflow lies, and its configuration, judged before anything else reads it.

import os
import sys
from pathlib import Path

from snakemake.sourcecache import LocalSourceFile


def stop(error):
    """End with the paragraph of a fault. (A WorkflowError would add lines of this file to it.)"""
    sys.exit(f"error: {error}")


# in a module of another Snakefile, `workflow.basedir` would be the folder of that one
PARSED = workflow.current_basedir
if not isinstance(PARSED, LocalSourceFile):
    stop(
        f"{PARSED.get_path_or_uri(secret_free=True)}: this workflow is run from a clone, for its code lies beside "
        "it. Clone the repository and name the clone's Snakefile (docs/elsewhere.md)."
    )
if workflow.modifier.path_modifier.replace_prefix("runs") != "runs":
    stop(
        "module: this workflow takes no prefix, for its stages are told paths that Snakemake does not change. "
        "Leave out prefix and replace_prefix; the key `run` of the configuration names the folder below runs/."
    )
CLONE = Path(PARSED.get_path_or_uri(secret_free=True)).resolve().parent
ELSEWHERE = Path.cwd().resolve() != CLONE
sys.path.insert(0, str(CLONE))

if ELSEWHERE:
    # `python -m` looks into the working directory first, then here
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(CLONE), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    for code in ("pipeline", "models"):
        for file in (Path(code, "__init__.py"), Path(f"{code}.py")):
            if file.exists():
                stop(
                    f"{file.absolute()}: the stages would import this file in place of the workflow's package "
                    f"{code}. Rename it, or start Snakemake in another folder (--directory)."
                )

from pipeline.config import read_files
from pipeline.core.errors import PipelineError


def of_clone(name):
    """A file of the workflow, as a path that holds in the working directory."""
    return str(CLONE / name) if ELSEWHERE else name


GIVEN = workflow.config_settings
try:
    if workflow.modifier.is_main_snakefile():
        CFG = read_files(
            [of_clone("config.yaml"), *GIVEN.configfiles], {"--config": GIVEN.config}
        )
    else:
        CFG = read_files([of_clone("config.yaml")], {"config of the module": config})
except PipelineError as error:
    stop(error)
