"""docs/new-metric.md, followed word by word in a copy of the project."""

import subprocess
import sys

import pytest
from documents import follow
from workflow import ROOT, copy_project

# in a process of its own, for the copy brings its own `pipeline`
TRIED = """
import sys
from pathlib import Path

import numpy as np
import scored_run
import test_metrics
from sklearn.metrics import cohen_kappa_score

from pipeline.config import read_files
from pipeline.evaluation import metrics
from pipeline.evaluation.results import Results
from pipeline.reporting.comparison_tables import metrics_table
from pipeline.reporting.protocol_tables import main_table
from pipeline.reporting.summary import Context

assert Path(metrics.__file__).is_relative_to(Path.cwd())
test_metrics.test_the_metrics_that_can_be_the_main_one_are_those_with_a_resampled_form()
test_metrics.test_plain_and_resampled_forms_agree_on_labels()
rng = np.random.default_rng(0)
truth, said = rng.integers(0, 4, (2, 200))
found = metrics.classification(truth, np.eye(4)[said], "abcd")["cohen_kappa"]
assert abs(found - cohen_kappa_score(truth, said)) < 1e-12

report = read_files(["config.yaml", "config/kappa.yaml"]).report.model_copy(update={"resamples": 300})
run = Path("made")
tables = scored_run.score(run, scored_run.make(run), report)
compared = tables["comparisons"].filter(metric="cohen_kappa")
assert compared["p_holm"].drop_nulls().len() == 6
results = Results(tables["scores"], tables["comparisons"])
context = Context(results, report.main("classification"), ("a", "b", "c"), "corekd", 0.95)
assert "complete: cohen_kappa" in metrics_table(context).header
assert metrics_table(context).notes == [
    "cohen_kappa: agreement beyond chance; accuracy is also called WA, balanced accuracy UA; ece: expected "
    "calibration error, 15 bins."
]
assert main_table(context).units[1] == "cohen_kappa"
"""


@pytest.mark.slow
def test_a_metric_added_by_the_page_is_a_column_and_can_be_the_main_one(tmp_path):
    project = copy_project(tmp_path / "project")
    follow(ROOT / "docs" / "new-metric.md", project)
    code = (
        f"import sys; sys.path += [{str(ROOT / 'tests')!r}, {str(ROOT / 'tests' / 'evaluation')!r}]\n{TRIED}"
    )
    arguments = [sys.executable, "-c", code]
    done = subprocess.run(arguments, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
