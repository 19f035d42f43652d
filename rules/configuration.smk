# The configuration is judged before anything else reads it, and a fault ends with one paragraph.

import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir).resolve()))

from pipeline.config import read_files
from pipeline.core.errors import PipelineError


def stop(error):
    """End with the paragraph of a fault. (A WorkflowError would add lines of this file to it.)"""
    sys.exit(f"error: {error}")


try:
    GIVEN = workflow.config_settings
    CFG = read_files(["config.yaml", *GIVEN.configfiles], GIVEN.config)
except PipelineError as error:
    stop(error)
