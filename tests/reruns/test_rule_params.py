"""The lines by which Snakemake compares settings, and the JSON that the stage reads."""

import json
from types import SimpleNamespace

import pytest

from pipeline.config import Config
from pipeline.reruns import rule_params

CFG = Config()


class Job(SimpleNamespace):
    """Wildcards, as far as they are used here."""

    def items(self):
        return vars(self).items()


def test_the_stage_reads_what_the_configuration_holds():
    found = rule_params.flat({"encoder": CFG.encoders.audio, "seed": 3})
    assert json.loads(rule_params.nested(found)) == {
        "encoder": CFG.encoders.audio.model_dump(mode="json"),
        "seed": 3,
    }


def test_one_changed_key_changes_one_line_and_names_it():
    edited = Config.model_validate({"network": {"hidden": 32}})
    before, now = (
        {rule_params.line(*pair) for pair in rule_params.flat({"network": one.network}).items()}
        for one in (CFG, edited)
    )
    assert (before - now, now - before) == ({"network.hidden=64"}, {"network.hidden=32"})


def test_what_is_unread_is_left_out_and_must_exist():
    found = rule_params.flat({"corpus": CFG.corpus}, ["corpus.meld", "corpus.seed"])
    assert not [key for key in found if key.startswith(("corpus.meld", "corpus.seed"))]
    assert "corpus.mosei.labels" in found
    with pytest.raises(ValueError, match=r"corpus\.sead"):
        rule_params.flat({"corpus": CFG.corpus}, ["corpus.sead"])


def test_lines_follow_the_wildcards_and_the_command_takes_all_keys():
    params = rule_params.setting_params(
        lambda job: {"seed": int(job.seed), "name": f"{{{job.seed}}}"}, Job(seed="0")
    )
    assert set(params) == {"seed", "name", "cfg"}
    assert [params["seed"](Job(seed=seed)) for seed in "12"] == ["seed=1", "seed=2"]
    assert params["name"](Job(seed="1")) == 'name="{1}"'
    assert json.loads(params["cfg"](Job(seed="2"), [])) == {"seed": 2, "name": "{2}"}
