# What all chapters share: the validated configuration, paths, and what a rule's result depends on.

from functools import cache
from types import SimpleNamespace

from models.modalities import MODALITIES
from pipeline.core.origins import STAMP
from pipeline.reruns import groups, pace, rule_params
from pipeline.reruns.codehash import READINGS, closure, code_lines
from pipeline.corpora.listing import listing, located
from pipeline.core import precision
from pipeline.core.digests import facts_digest
from pipeline.core.registries import protocols
from pipeline.core.registries.choices import LEARNED
from pipeline.core.registries.networks import GAUGED, NAMED, NETWORKS
from pipeline.reruns.pins import group_of, pins

groups.of_present_jobs()
pace.look_when_something_changed()

RUN = f"runs/{CFG.run}"
LOGS = f"{RUN}/logs"
COSTS = f"{RUN}/benchmarks"
SHARDS = range(CFG.corpus.shards)
FOLDS = CFG.corpus.folds
SEEDS = CFG.seeds
VARIANTS = CFG.compare
CORPUS = CFG.corpus.row  # what is fixed about it
# whose words are read, and the confidence below which recognised ones are an absence
SPOKEN = "recognised" if CFG.corpus.text == "recognised" else "shards"
UNSURE = (
    dict(unsure=CFG.recognition.sentences.unsure)
    if SPOKEN == "recognised" or CFG.corpus.transcribed
    else {}
)

# the sources of words that networks are tested with beside those that they are trained with
WORD_SOURCES = CFG.protocol.words
# of all utterances where they are read for training, else of those that some fold tests
HEARD = "recognised" if SPOKEN == "recognised" else "heard"
# the network that chooses the face that speaks, if one does
CHOOSER = [f"{RUN}/chooser"] if CFG.faces.choice in LEARNED else []


READINGS.open(Path(".snakemake", "core-kd", "code.json"))


wildcard_constraints:
    fold=r"[A-Za-z0-9_]+",
    variant=r"[A-Za-z0-9_]+",
    modality="|".join(MODALITIES),
    seed=r"\d+",
    shard=r"\d+",
    part=r"\d+",
    held=r"\d+",


def placed(weights):
    """Where a person puts the files of such weights (by_hand of pipeline.encoders.fetching)."""
    return Path("weights", weights.name.replace("/", "--"), weights.revision)


def placed_files(weights):
    """What a person placed there as one line; empty if nothing."""
    folder = placed(weights)
    return listed(folder) if folder.is_dir() else ""


def stamp(folder):
    """By what Snakemake knows that a folder is filled. (The folder itself is no output, for Snakemake deletes
    an output before its job, with all that people may have put into it.)"""
    return f"{folder}/{STAMP}"


def filled(wildcards, output):
    """The folder that a rule fills, from its stamp."""
    return str(Path(output.made).parent)


# the wildcards of some job: a stage's keys are the same for all of its jobs
SOME_JOB = SimpleNamespace(
    fold=FOLDS[0],
    variant=VARIANTS[0],
    modality=MODALITIES[0],
    references="in_sample",
    seed="0",
    shard="0",
    part="0",
    group="0",
    held="0",
)


def made_by(*modules, networks=None, cfg={}, unread=(), group=None):
    """The params of a rule: what its result depends on beside its inputs, one line each.

    They are the files of code behind `modules` (the stage's, then those that a registry selects for it; the
    protocols' come by themselves) and behind the networks that the function `networks` names for the wildcards,
    the pins of its packages, and the keys of `cfg`: sections and keys of the configuration, or a function that
    gives them for the wildcards; `unread` names those of them that the stage does not look at; `group` is that of
    the packages, if it is not the first module's. So Snakemake prints the file, package or key that changed as the
    reason of a rerun. {params.cfg} is the JSON of `cfg`.
    """
    # every registered protocol is used, and so counts wherever conditions are told apart
    if protocols.__name__ in closure(*modules):
        modules = (*modules, *protocols.modules())
    chosen = {}
    if networks is not None:
        chosen = rule_params.code_params(
            modules,
            lambda wildcards: [NETWORKS[name] for name in networks(wildcards)],
            NETWORKS.values(),
        )
    return {
        **code_lines(*modules),
        **chosen,
        **pins(group or group_of(modules[0])),
        **rule_params.setting_params(cfg, SOME_JOB, unread),
    }


# the configuration of a fold: with what differs there
of_fold = cache(CFG.of_fold)


@cache
def network_named(fold, variant):
    """The network of a variant; asked for by every file of code of every job."""
    return of_fold(fold).network_of(variant).name


def network_of(wildcards):
    """The network of a job's variant, or of the teacher where a job has none."""
    return [network_named(wildcards.fold, getattr(wildcards, "variant", "teacher"))]


def gpus():
    """1 for a GPU stage, unless the configuration or the machine has it run on the CPU."""
    if CFG.device == "cuda":
        return 1
    return int(CFG.device == "auto" and any(Path("/dev").glob("nvidia[0-9]*")))


def memory(megabytes):
    """What a job asks for: the stage, and the 400 MB of its Snakemake. More with each attempt, for on a
    cluster a job that ran out of it is submitted again (`retries` of the profile)."""
    return lambda wildcards, attempt: megabytes * attempt


GPU = gpus()
# how torch stages compute; every one of them takes these two keys
COMPUTE = dict(device=CFG.device, threads=CFG.threads)
# cores of the jobs that work on several files at once; they are told by {threads}, which is no reason to rerun
SIDE_BY_SIDE = CFG.threads * CFG.workers
try:
    PRECISION = precision.resolved(CFG.encoders.precision, bool(GPU))
except PipelineError as error:
    stop(error)
# stands in every table, so that nobody can tune the generator unseen
GENERATOR = (
    facts_digest(CFG.embedded.model_dump(mode="json")) if CORPUS.generated else ""
)
