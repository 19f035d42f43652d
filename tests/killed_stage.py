"""`python killed_stage.py SIGNAL PIECE STAGE ...`: a stage that is sent a signal once one piece is kept."""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipeline.core import artefacts, stage

keep = artefacts.save_tensors


def keep_and_die(path, *rest):
    keep(path, *rest)
    if path.parent.name.startswith(".resume-"):
        os.kill(os.getpid(), signal.Signals[sys.argv[1]])


artefacts.save_tensors = keep_and_die
module = import_module(f"pipeline.{sys.argv[3]}")
module.PIECE = int(sys.argv[2])
inputs = {"faces": ["shard"], "visual": ["shard", "faces", "encoder"]}.get(sys.argv[3], ["shard", "encoder"])
outputs = ["folder"] if sys.argv[3] == "faces" else ["features", "index"]
stage.main(module.run, module.Params, inputs=inputs, outputs=outputs, argv=sys.argv[4:])
