"""The two profiles say the same of GPUs as the rules do, and nothing that those say of memory and time."""

import re
from dataclasses import fields
from pathlib import Path

import yaml
from snakemake_executor_plugin_slurm import ExecutorSettings
from workflow import ROOT, copy_project, dry_run

FETCHING = {"weights", "recogniser", "speakers", "chooser"}
HEAD_NODE = {"corpus", *FETCHING}


def rules() -> dict[str, str]:
    """The text of every rule that has a job, by name."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    found = {}
    for place in re.finditer(r"^ *(?:rule|checkpoint|use rule \w+ as) (\w+)(?: with)?:$", text, re.M):
        rest = text[place.end() :]
        end = re.search(r"^ *(?:rule|checkpoint|use rule \w+ as) \w+.*:$", rest, re.M)
        found[place[1]] = rest[: end.start()] if end else rest
    return found


COPIES = {"held_out_teacher", "held_out_student"}


def profile(name: str) -> dict:
    return yaml.safe_load(Path(ROOT, "profiles", name, "config.v9+.yaml").read_text())


def test_memory_and_walltime_of_every_stage_stand_in_its_rule_alone():
    for name, text in rules().items():
        copied = name in COPIES  # a copy of a rule has its resources
        wanted = 0 if copied or name in FETCHING else 1
        for resource in (r"mem_mb=memory\(\d[^)]*\)", r"runtime=\d+"):
            assert len(re.findall(resource, text)) == wanted, f"{name}: {resource}"
    slurm = profile("slurm")
    for row in (slurm["default-resources"], *slurm["set-resources"].values()):
        assert not {"mem_mb", "runtime"} & set(row)


def test_a_job_asks_for_more_memory_with_each_attempt(tmp_path):
    folder = copy_project(tmp_path)
    for attempt in (1, 3):
        said = dry_run(folder, "--attempt", str(attempt), "--config", "device=cpu")
        asked = re.findall(r"mem_mb=(\d+)", said[said.index("rule masks:") :])
        assert int(asked[0]) == 3000 * attempt


def test_the_stages_with_a_network_have_a_gpu_and_no_other():
    texts = rules()
    # a copy of a rule has its resources
    networks = {name for name, text in texts.items() if "gpu=GPU" in text} | COPIES
    rows = profile("slurm")["set-resources"]
    assert {name for name, row in rows.items() if row["gpu"] == 1} == networks == set(rows)
    assert all(row["slurm_partition"] == "gpu" for row in rows.values())
    imports = {name for name, text in texts.items() if "**COMPUTE" in text} - COPIES
    assert imports <= networks, "a stage that is told a device has a GPU"


def test_the_corpus_and_the_weights_stay_on_the_head_node():
    assert {name for name, text in rules().items() if "localrule: True" in text} == HEAD_NODE


def test_a_workstation_runs_one_gpu_job_at_a_time():
    assert profile("default")["resources"] == ["gpu=1"]


def test_no_rule_has_retries_of_its_own():
    assert all("retries:" not in text for text in rules().values())
    assert profile("slurm")["retries"] > 0


def test_a_preempted_job_is_requeued_and_no_finished_one_is_missed():
    """The plugin waits for a preempted job, looks every 180 s or sooner, and has a border for sacct."""
    slurm = profile("slurm")
    assert slurm["slurm-requeue"] is True
    assert slurm["slurm-status-command"] == "squeue"
    assert 3 * slurm["slurm-init-seconds-before-status-checks"] > 180
    known = {field.name for field in fields(ExecutorSettings)}
    options = {name.removeprefix("slurm-").replace("-", "_") for name in slurm if name.startswith("slurm-")}
    assert options <= known


def test_a_stage_that_computes_with_threads_asks_for_as_many():
    for name, text in rules().items():
        computes = "COMPUTE" in text and name not in COPIES  # a copy of a rule has its threads
        asked = re.search(r"threads: (CFG\.threads|SIDE_BY_SIDE)\n", text)
        assert bool(asked) == computes, name


def test_trainings_share_a_gpu_and_encoders_have_it_alone(tmp_path):
    shared, default = profile("shared"), profile("default")
    (limit,) = shared["resources"]
    whole = {"gpu": int(limit.removeprefix("gpu="))}
    alone = {"standins", "faces", "text", "audio", "visual", "label_names", "annotate"}
    alone |= {"degraded_text", "degraded_audio", "degraded_visual", "word_sources"}
    assert shared["set-resources"] == dict.fromkeys(sorted(alone), whole)
    rest = ("resources", "set-resources")
    assert {k: v for k, v in shared.items() if k not in rest} == {
        k: v for k, v in default.items() if k not in rest
    }
    folder = copy_project(tmp_path)
    said = dry_run(folder, "--workflow-profile", "profiles/shared", "--config", "device=cuda")
    asked = {
        name: int(n) for name, n in re.findall(r"^rule (\w+):(?:(?!^rule).)*?\bgpu=(\d+)", said, re.M | re.S)
    }
    assert asked["teacher"] == asked["student"] == 1
    assert asked["faces"] == asked["text"] == whole["gpu"]


def test_what_is_in_a_group_is_short_and_asks_for_the_same_kind_of_node():
    slurm = profile("slurm")
    group_of = dict(entry.split("=") for entry in slurm["groups"])
    texts = rules()
    assert set(group_of) <= set(texts)
    long = {"faces", "text", "audio", "visual", "teacher", "student", "search", *COPIES, *HEAD_NODE}
    assert not long & set(group_of)
    for group in set(group_of.values()):
        members = [name for name, own in group_of.items() if own == group]
        assert len({"gpu=GPU" in texts[name] for name in members}) == 1, members
    limits = dict(entry.split("=") for entry in slurm["resources"])
    for name in group_of:
        memory = int(re.search(r"mem_mb=memory\((\d+)\)", texts[name])[1])
        # the last attempt of one stage alone fits into what a group may ask for
        assert memory * (1 + slurm["retries"]) <= int(limits["mem_mb"]), name


def test_the_options_that_the_page_names_are_those_of_the_plugin():
    page = Path(ROOT, "docs", "slurm.md").read_text()
    named = set(re.findall(r"--slurm-([a-z-]+)", page))
    assert {"efficiency-report", "efficiency-threshold", "partition-config"} <= named
    assert {name.replace("-", "_") for name in named} <= {field.name for field in fields(ExecutorSettings)}
