# What all chapters share: the validated configuration, paths, and what a rule's result depends on.

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir).resolve()))

from pipeline.artefacts import facts_digest
from pipeline.codehash import code_digest
from pipeline.config import read_config
from pipeline.errors import PipelineError

try:
    CFG = read_config(config)
except PipelineError as error:
    raise WorkflowError(str(error)) from None

RUN = f"runs/{CFG.run}"
LOGS = f"{RUN}/logs"
COSTS = f"{RUN}/benchmarks"
MODALITIES = ("text", "audio", "visual")
SHARDS = range(CFG.corpus.shards)
FOLDS = CFG.corpus.folds
SEEDS = CFG.seeds
VARIANTS = CFG.compare
EMBEDDED = CFG.corpus.name == "embedded"


wildcard_constraints:
    fold=r"[A-Za-z0-9_]+",
    variant=r"[A-Za-z0-9_]+",
    modality="text|audio|visual",
    seed=r"\d+",
    shard=r"\d+",
    part=r"\d+",
    held=r"\d+",


def code(*modules):
    """The digest of the stage's code and of everything of ours that it imports."""
    return code_digest(*modules)


def settings(**keys):
    """The settings of one stage as one JSON text: its command line and its rerun trigger alike."""
    plain = {
        key: value.model_dump(mode="json") if hasattr(value, "model_dump") else value
        for key, value in keys.items()
    }
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def gpus():
    """1 for a GPU stage, unless the configuration or the machine has it run on the CPU."""
    if CFG.device == "cuda":
        return 1
    return int(CFG.device == "auto" and any(Path("/dev").glob("nvidia[0-9]*")))


GPU = gpus()
# how torch stages compute; every one of them takes these two keys
COMPUTE = dict(device=CFG.device, threads=CFG.threads)
# stands in every table, so that nobody can tune the generator unseen
GENERATOR = facts_digest(CFG.embedded.model_dump(mode="json")) if EMBEDDED else ""
