"""The whole pipeline on a real SLURM with two fake GPUs, disturbed or not, with accounting and without."""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from cluster import Cluster, until, why_not
from cluster_run import HERE, RUN, SETTINGS, Running, artefacts_of, cancel, lose, of, prepare, run

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.timeout(7200)]

ENCODING = {"standins", "faces", "text", "audio", "visual"}
# groups, as SLURM is told of them: by their name, and up to five of their rules
PREPARE = "prepare_conflicts_dataset_masks_splits"
JUDGE, JUDGE_STATES = "judge_evaluate", "judge_states"
RESULTS = "results_across_ceilings_figures_scores_simple_..."
REPORT = "report_confusion_costs_curves_explorer_inventory_..."
GPU = {*ENCODING, "teacher", "references", "student", JUDGE, JUDGE_STATES}
CPU = {"manifest", PREPARE, RESULTS, REPORT}
# what must have ended before what begins
AFTER = {
    "faces": ["manifest"],
    "text": ["manifest", "standins"],
    "audio": ["manifest", "standins"],
    "visual": ["manifest", "standins", "faces"],
    PREPARE: ["text", "audio", "visual"],
    "teacher": [PREPARE],
    "references": ["teacher"],
    "student": ["references", PREPARE],
    JUDGE: ["teacher", "student", PREPARE],
    RESULTS: [JUDGE],
    JUDGE_STATES: ["student"],
    REPORT: [RESULTS, JUDGE_STATES],
}


def needed(*, accounting: bool) -> None:
    """Skip, or fail if REQUIRE_SLURM says so, where no cluster can be started."""
    reason = why_not(accounting=accounting)
    if reason and os.environ.get("REQUIRE_SLURM"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def plain():
    """A cluster without accounting."""
    needed(accounting=False)
    with Cluster(accounting=False) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def whole(plain, tmp_path_factory):
    """The undisturbed run from nothing to the report: its folder, SLURM's records, the results' digests."""
    folder = prepare(tmp_path_factory.mktemp("whole"))
    began = time.monotonic()
    run(folder, "results")
    made = artefacts_of(folder)
    run(folder)
    took = time.monotonic() - began
    jobs = plain.jobs()
    print(f"\nthrough SLURM: {stages_of(folder)} stages in {len(jobs)} submissions, {took:.0f} s")
    return folder, jobs, made


def stages_of(folder: Path) -> int:
    """Jobs that ran on the cluster, by their costs; without groups each would be a submission."""
    return len([path for path in (folder / RUN / "benchmarks").rglob("*.tsv") if "corpus" not in path.parts])


def test_every_stage_with_a_network_has_a_gpu_and_no_other(whole):
    _, jobs, _ = whole
    assert {job.rule for job in jobs if job.gpus == 1} == GPU
    # the stages corpus and weights stay where Snakemake runs
    assert {job.rule for job in jobs if job.gpus == 0} == CPU
    assert {job.state for job in jobs} == {"COMPLETED"}


def test_no_job_began_before_its_inputs_were_made(whole):
    _, jobs, _ = whole
    ends = {job.rule: max(other.end for other in jobs if other.rule == job.rule) for job in jobs}
    for rule, before in AFTER.items():
        begins = min(job.start for job in jobs if job.rule == rule)
        for other in before:
            assert begins >= ends[other], f"{rule} before {other}"


def test_there_are_at_most_half_as_many_submissions_as_stages(whole):
    folder, jobs, _ = whole
    assert len(jobs) == len({job.rule for job in jobs})
    assert 2 * len(jobs) <= stages_of(folder)


def test_logs_lie_where_the_documentation_says(whole):
    folder, _, _ = whole
    log = (folder / RUN / "logs/teacher/main-0.log").read_text()
    assert "device cpu (as configured)" in log
    assert not list((folder / "runs/slurm-logs").rglob("*.log")), "those of jobs that went well are deleted"


@pytest.mark.fault(
    "cluster",
    "a job with `device: cuda` finds no GPU",
    "it fails with that reason, and does not go on unseen on a CPU",
)
def test_cuda_is_asked_for_and_its_absence_is_an_error(plain, whole, tmp_path):
    """The profile as it is: the fake GPU is none, and the log says what is missing."""
    folder = tmp_path / "cuda"
    shutil.copytree(whole[0], folder)
    shutil.rmtree(folder / RUN / "encoders")
    options = ["--retries", "0", *HERE[2:]]
    with Running(folder, str(RUN / "encoders/text"), options=options) as running:
        assert running.finish() != 0
    assert "torch sees no GPU" in (folder / RUN / "logs/standins.log").read_text()
    kept = list((folder / "runs/slurm-logs").rglob("*.log"))
    assert kept, "SLURM's own log of a failed job is kept"


@pytest.mark.fault("cluster", "`device: auto` on a cluster", "refused before any job")
def test_auto_is_refused_on_a_cluster(plain, tmp_path):
    folder = prepare(tmp_path)
    with Running(folder, options=["--config", "device=auto"]) as running:
        assert running.finish() != 0
    assert "key 'device'" in running.output()
    assert not (folder / "runs").exists() or not list((folder / "runs").rglob("*.parquet"))


def rewrite(path, pattern: str, text: str) -> None:
    """Replace what matches in a file of the copy, in one place."""
    edited, count = re.subn(pattern, text, path.read_text())
    assert count == 1, f"{path}: {count} times {pattern}"
    path.write_text(edited)


PROFILE = "profiles/slurm/config.v9+.yaml"
# MB a stage: what runs side by side in the group needs more, with Snakemake, by the third attempt less
STARVED = dict.fromkeys(("scores", "tables", "figures", "across"), 70) | {"simple": 150, "ceilings": 150}


def starve(folder) -> None:
    """Give the group `results` too little memory at its first attempt, by rows in the profile of the copy."""
    rows = "\n".join(f"  {stage}: {{mem_mb: {memory} * attempt}}" for stage, memory in STARVED.items())
    rewrite(folder / PROFILE, r"(?m)^set-resources:$", rf"\g<0>\n{rows}")


@pytest.mark.fault(
    "cluster",
    "a job is cancelled in training",
    "submitted again, goes on from its last epoch; the same bytes",
)
@pytest.mark.fault(
    "cluster", "a node is lost in training", "requeued, goes on from its last epoch; the same bytes"
)
@pytest.mark.fault("cluster", "a job runs out of memory", "submitted again with more; the same bytes")
def test_cancelled_lost_and_starved_jobs_end_in_the_same_results(plain, whole, tmp_path):
    """Training again: the teacher is cancelled, the student loses its node, the results run out of memory."""
    folder = tmp_path / "again"
    shutil.copytree(whole[0], folder)
    for made in ("teacher", "references", "student", "predictions", "states", "../results", "../report"):
        shutil.rmtree(folder / RUN / "main" / made)
    starve(folder)
    before = {job.number for job in plain.jobs()}
    with Running(folder, "results") as running:
        teacher = cancel(plain, running, "teacher", "main/teacher/0/.resume-*/state.safetensors")
        student = lose(plain, running, "student", "main/student/corekd/0/.resume-*/state.safetensors")
        assert running.finish() == 0, running.output()
    check(plain, before, teacher, student, folder)
    assert artefacts_of(folder) == whole[2]


def check(cluster, before, cancelled, lost, folder) -> None:
    """SLURM's records of the three disturbances, and that work was taken up again."""
    jobs = [job for job in cluster.jobs() if job.number not in before]
    assert of(cluster, cancelled).state == "CANCELLED"
    assert [job.state for job in jobs if job.rule == cancelled.rule] == ["CANCELLED", "COMPLETED"]
    assert of(cluster, lost).state == "COMPLETED"
    assert of(cluster, lost).restarts == 1
    results = [job for job in jobs if job.rule.startswith("results")]
    # SLURM kills a process of the job's step, and the job then fails by its own account
    assert all(job.state in ("OUT_OF_MEMORY", "FAILED") for job in results[:-1])
    kept = folder / "runs/slurm-logs" / f"group_{results[0].rule}" / f"{results[0].number}.log"
    assert "oom" in kept.read_text().lower()
    assert len(results) > 1
    assert results[-1].state == "COMPLETED"
    # the widest of what runs side by side: tables, figures and across, or simple and ceilings
    widest = 300 if "simple" in results[0].rule else 210
    assert [job.memory for job in results] == [widest * attempt for attempt in range(1, len(results) + 1)]
    for rule in ("teacher", "student"):
        (log,) = (folder / RUN / "logs" / rule).glob("*.log")
        assert "resumed after epoch" in log.read_text()


def pause(path, before: str, seconds: float) -> None:
    """Wait each time before a line in a module of the copy, so that its work can be caught in the middle."""
    rewrite(path, rf"(?m)^( +)(?={re.escape(before)})", rf"\g<1>__import__('time').sleep({seconds})\n\g<1>")


@pytest.mark.fault(
    "cluster", "a job runs out of walltime", "submitted again, goes on from its last epoch; the same bytes"
)
def test_a_job_out_of_walltime_goes_on_in_the_next(plain, whole, tmp_path):
    """A student that takes more than the minute it has: SLURM looks every half minute for such jobs."""
    folder = tmp_path / "late"
    shutil.copytree(whole[0], folder)
    student = Path("main/student/corekd/0")
    shutil.rmtree(folder / RUN / student)
    rewrite(folder / PROFILE, r"(?m)^(  student: \{.*)\}$", r"\g<1>, runtime: 1 * attempt}")
    pause(
        folder / "pipeline/training/resume.py",
        "artefacts.save_tensors(self._w",
        100 / SETTINGS["training"]["epochs"],
    )
    before = {job.number for job in plain.jobs()}
    # the pause is no reason to train the teacher anew
    options = [*HERE, "--rerun-triggers", "mtime"]
    run(folder, str(RUN / student / "weights.safetensors"), options=options)
    jobs = [job for job in plain.jobs() if job.number not in before]
    assert [(job.rule, job.state) for job in jobs] == [("student", "TIMEOUT"), ("student", "COMPLETED")]
    assert "resumed after epoch" in (folder / RUN / "logs/student/main-corekd-0.log").read_text()
    made = artefacts_of(folder)
    for name in ("weights.safetensors", "epochs.safetensors", "history.parquet"):
        assert made[str(student / name)] == whole[2][str(student / name)]


@pytest.mark.long
@pytest.mark.fault(
    "cluster",
    "the controller is frozen for two minutes while jobs run and are submitted",
    "each job is submitted once, with the memory of the first attempt; the same bytes",
)
def test_a_frozen_controller_costs_no_attempt(plain, whole, tmp_path):
    folder = tmp_path / "frozen"
    shutil.copytree(whole[0], folder)
    for made in ("simple.parquet", "predictions", "../results"):
        path = folder / RUN / "main" / made
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = {job.number for job in plain.jobs()}
    (controller,) = [daemon for daemon in plain.daemons if daemon.args[0] == "slurmctld"]
    with Running(folder, "results") as running:
        until(lambda: len(plain.jobs()) > len(before), "a job is submitted", 300)
        controller.send_signal(signal.SIGSTOP)
        time.sleep(120)
        controller.send_signal(signal.SIGCONT)
        assert running.finish() == 0, running.output()
    jobs = [job for job in plain.jobs() if job.number not in before]
    assert {job.state for job in jobs} == {"COMPLETED"}
    asked = {(job.rule, job.memory) for job in jobs}
    assert len(asked) == len({rule for rule, _ in asked}), asked
    assert (folder / "runs/slurm-logs/waiting.log").is_file()
    # the copy also has the report, which was made after the results
    made = artefacts_of(folder)
    assert {name: made.get(name) for name in whole[2]} == whole[2]


@pytest.mark.long
def test_without_groups_every_stage_is_a_submission_and_the_bytes_are_the_same(whole, plain, tmp_path):
    folder = prepare(tmp_path / "alone")
    rewrite(folder / PROFILE, r"(?m)^groups:\n(  - .+\n)+", "")
    before, began = len(plain.jobs()), time.monotonic()
    run(folder, "results")
    assert artefacts_of(folder) == whole[2]
    run(folder)
    submissions = len(plain.jobs()) - before
    print(f"\nwithout groups: {submissions} submissions, {time.monotonic() - began:.0f} s")
    assert submissions == stages_of(folder)


@pytest.mark.long
def test_with_accounting_from_nothing_and_disturbed(whole, plain, tmp_path):
    """The same in one go on a cluster with a database; a shard of faces is cancelled, too."""
    plain.stop()
    needed(accounting=True)
    folder = prepare(tmp_path / "accounted")
    starve(folder)
    # else the second of two pieces may be done before SLURM has heard of the cancelling
    pause(folder / "pipeline/reruns/partial.py", "arrays, facts = next(made)", 6)
    with Cluster(accounting=True) as cluster:
        with Running(folder, "results") as running:
            faces = cancel(cluster, running, "faces", "faces/.resume-0-*/00000.safetensors")
            teacher = cancel(cluster, running, "teacher", "main/teacher/0/.resume-*/state.safetensors")
            student = lose(cluster, running, "student", "main/student/corekd/0/.resume-*/state.safetensors")
            assert running.finish() == 0, running.output()
        check(cluster, set(), teacher, student, folder)
        assert of(cluster, faces).state == "CANCELLED"
        assert "resumed: 1 of 2 pieces" in (folder / RUN / "logs/faces/0.log").read_text()
        jobs = cluster.jobs()
        known = {job.number: (job.state, job.gpus == 1) for job in jobs}
        until(lambda: cluster.accounted() == known, "the database knows the same of every job")
    assert {job.rule for job in jobs if job.gpus} == GPU - {JUDGE_STATES}
    assert artefacts_of(folder) == whole[2]
