# A trained network as a folder of its own, and a video annotated by such a folder.

from pipeline.annotation.naming import folder_name
from pipeline.core.disk import FILE, kind
from pipeline.core.digests import file_digest
from pipeline.core.registries import choices, detectors, encoders
from pipeline.core.registries.speakers import SPEAKERS
from pipeline.corpora.siblings import beside

EXPORTED = CFG.export.variants or VARIANTS[:1]
EXPORTED_SEEDS = CFG.export.seeds or SEEDS[:1]
EXPORTED_FOLD = CFG.export.fold or FOLDS[0]
# the model that annotates; where it comes from is not looked at, so annotating never sets off training
MODEL = CFG.model or f"{RUN}/model/{EXPORTED[0]}/{EXPORTED_SEEDS[0]}"
TALK = folder_name(CFG.video)
ANNOTATIONS = f"{RUN}/annotations/{TALK}"
RECOGNISER = f"{RUN}/recogniser"
VOICES = f"{RUN}/speakers"
WORDS = f"{RUN}/words/{TALK}.parquet"


def model_folders():
    folder = f"{RUN}/model/{{variant}}/{{seed}}"
    return expand(stamp(folder), variant=EXPORTED, seed=EXPORTED_SEEDS)


def exported_weights(wildcards):
    trained = (
        "teacher" if wildcards.variant == "teacher" else f"student/{wildcards.variant}"
    )
    return f"{RUN}/{EXPORTED_FOLD}/{trained}/{wildcards.seed}/weights.safetensors"


rule export:
    input:
        weights=exported_weights,
        dataset=f"{RUN}/{EXPORTED_FOLD}/dataset",
        encoders=(
            []
            if CORPUS.given
            else [f"{RUN}/encoders/{modality}" for modality in MODALITIES]
        ),
        chooser=[] if CORPUS.given else CHOOSER,
        scores=f"{RUN}/results/scores.parquet",
        comparisons=f"{RUN}/results/comparisons.parquet",
    output:
        made=touch(stamp(f"{RUN}/model/{{variant}}/{{seed}}")),
    log:
        f"{LOGS}/export/{{variant}}-{{seed}}.log",
    benchmark:
        f"{COSTS}/export/{{variant}}-{{seed}}.tsv"
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=memory(2500),
        runtime=30,
    params:
        **made_by(
            "pipeline.export",
            cfg=lambda wildcards: dict(
                run=CFG.run,
                fold=EXPORTED_FOLD,
                variant=wildcards.variant,
                seed=int(wildcards.seed),
                encoders=CFG.encoders,
                precision=PRECISION,
                faces=CFG.faces,
                **(dict(chooser=CFG.chooser) if CHOOSER else {}),
                media=CFG.media,
                report=CFG.report,
            ),
        ),
        chooser=lambda wildcards, input: [
            part for folder in input.chooser for part in ("--chooser", folder)
        ],
        folder=filled,
    shell:
        "python -m pipeline.export --params {params.cfg:q} --weights {input.weights:q}"
        " --dataset {input.dataset:q} --encoders {input.encoders:q} {params.chooser:q} --scores {input.scores:q}"
        " --comparisons {input.comparisons:q} --folder {params.folder:q} > {log:q} 2>&1"


def others_video():
    """The video whose annotations lie in the folder, if it is another than this one; else None."""
    # (where it is needed: it loads a library of tables, which no other job does to be planned)
    from pipeline.core import artefacts

    about = Path(ANNOTATIONS, "about.json")
    try:
        known = artefacts.load_json(about)["video"] if about.is_file() else CFG.video
    except (PipelineError, KeyError, TypeError) as error:
        stop(
            f"annotate: {about} does not say whose annotations these are ({error}). Move that folder away."
        )
    return None if Path(str(known)).resolve() == Path(CFG.video).resolve() else known


def annotated(wildcards):
    """The files that are annotated; what annotating needs and is missing ends the run."""
    if not CFG.video:
        stop(
            "annotate: no video is named. Name one: snakemake --cores all annotate --config video=talk.mp4"
        )
    for key, path in (("video", CFG.video), ("transcript", CFG.transcript)):
        if path and (found := kind(Path(path))) != FILE:
            what = "" if found == "nothing" else f" (it is {found})"
            stop(
                f"annotate: there is no file {path}{what}. Mend the path given as {key}; docs/annotate.md says how to "
                "write a name that holds a # or a colon."
            )
    if not Path(MODEL, "config.json").is_file():
        stop(
            f"annotate: there is no exported model in {MODEL}, and annotating trains none. Make it with "
            "`snakemake --cores all model`, or name the folder of another: --config model=FOLDER"
        )
    if other := others_video():
        stop(
            f"annotate: {ANNOTATIONS} holds the annotations of another video, {other}. Move that folder away, "
            "or rename one of the videos."
        )
    return [path for path in annotated_files() if "{" not in path]


def annotated_files():
    """The video, and its transcript or those beside it."""
    video = Path(CFG.video)
    try:
        told = [CFG.transcript] if CFG.transcript else beside(video)
    except PipelineError as error:
        stop(error)
    return [str(video), *map(str, told)]


def recognised_words(wildcards):
    """The words that are recognised before a video is annotated; none if there is a transcript, or no recogniser
    where annotate.words leaves the choice."""
    wanted = CFG.annotate.words
    if wanted == "recognised":
        return [WORDS]
    if wanted != "auto" or not CFG.video or len(annotated_files()) > 1:
        return []
    there = placed(CFG.recognition.weights).is_dir() or Path(RECOGNISER).is_dir()
    return [WORDS] if there else []


def voices(wildcards):
    """The encoder of voices that tells the speakers apart; none if they are not, or it is not there and
    annotate.speakers leaves the choice."""
    wanted = CFG.annotate.speakers
    there = placed(CFG.speakers.weights).is_dir() or Path(VOICES).is_dir()
    return [] if wanted == "one" or (wanted == "auto" and not there) else [VOICES]


def braced(wildcards):
    """Size and time of those whose names hold a brace: an input must not, for Snakemake sees a wildcard."""
    told = [Path(path) for path in annotated_files() if "{" in path]
    return [
        f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in told if p.exists()
    ]


def exported_network():
    """The network of the model that annotates."""
    from pipeline.annotation.facts import read_facts

    try:
        return read_facts(Path(MODEL)).network
    except PipelineError as error:
        stop(error)


rule recogniser:
    output:
        folder=directory(RECOGNISER),
    log:
        f"{LOGS}/recogniser.log",
    benchmark:
        f"{COSTS}/recogniser.tsv"
    localrule: True
    conda:
        "../envs/encoders.yaml"
    params:
        **made_by(
            "pipeline.weights",
            cfg=dict(weights=CFG.recognition.weights, kind="recogniser"),
        ),
        files=lambda wildcards: placed_files(CFG.recognition.weights),
    shell:
        "python -m pipeline.weights --params {params.cfg:q} --folder {output.folder:q}"
        " > {log:q} 2>&1"


rule speakers:
    output:
        folder=directory(VOICES),
    log:
        f"{LOGS}/speakers.log",
    benchmark:
        f"{COSTS}/speakers.tsv"
    localrule: True
    conda:
        "../envs/encoders.yaml"
    params:
        **made_by(
            "pipeline.weights",
            *SPEAKERS.values(),
            cfg=dict(weights=CFG.speakers.weights, kind="speakers"),
        ),
        files=lambda wildcards: placed_files(CFG.speakers.weights),
    shell:
        "python -m pipeline.weights --params {params.cfg:q} --folder {output.folder:q}"
        " > {log:q} 2>&1"


rule transcribe:
    input:
        # in a list, for a name with a brace must be no input
        [path for path in [CFG.video] if path and "{" not in path],
        recogniser=RECOGNISER,
    output:
        words=WORDS,
    log:
        f"{LOGS}/transcribe/{TALK}.log",
    benchmark:
        f"{COSTS}/transcribe/{TALK}.tsv"
    conda:
        "../envs/annotate.yaml"
    threads: CFG.threads
    resources:
        gpu=GPU,
        mem_mb=memory(3000),
        runtime=480,
    params:
        **made_by(
            "pipeline.transcribe",
            cfg=dict(decoding=CFG.recognition.decoding, media=CFG.media, **COMPUTE),
        ),
        video=lambda wildcards: CFG.video,
        braced=braced,
    shell:
        "python -m pipeline.transcribe --params {params.cfg:q} --recogniser {input.recogniser:q}"
        " --media={params.video:q} --words {output.words:q} 2>&1 | tee {log:q}"


rule annotate:
    input:
        annotated,
        words=recognised_words,
        voices=voices,
    output:
        made=touch(stamp(ANNOTATIONS)),
    log:
        f"{LOGS}/annotate/{TALK}.log",
    benchmark:
        f"{COSTS}/annotate/{TALK}.tsv"
    conda:
        "../envs/annotate.yaml"
    threads: CFG.threads
    resources:
        gpu=GPU,
        mem_mb=memory(4000),
        runtime=240,
    params:
        **made_by(
            "pipeline.annotate",
            # the model says which of them it needs
            *(module for name in MODALITIES for module in encoders.modules(name)),
            *detectors.DETECTORS.values(),
            *choices.CHOICES.values(),
            *SPEAKERS.values(),
            networks=lambda wildcards: [exported_network()],
            cfg=dict(
                annotate=CFG.annotate,
                sentences=CFG.recognition.sentences,
                telling=CFG.speakers.telling,
                **COMPUTE,
            ),
        ),
        folder=filled,
        # functions, for in a plain string Snakemake takes braces for wildcards
        video=lambda wildcards: CFG.video,
        braced=braced,
        model=lambda wildcards: MODEL,
        # another model in the same folder is another model
        digests=lambda wildcards: [
            file_digest(Path(MODEL, name))
            for name in ("config.json", "weights.safetensors")
        ],
        transcript=lambda wildcards: (
            f"--transcript={CFG.transcript}" if CFG.transcript else []
        ),
        words=lambda wildcards, input: (f"--words={input.words}" if input.words else []),
        voices=lambda wildcards, input: (
            f"--voices={input.voices}" if input.voices else []
        ),
    shell:
        # with "=", for a name may begin with a dash
        "python -m pipeline.annotate --params {params.cfg:q} --model={params.model:q}"
        " --video={params.video:q} {params.transcript:q} {params.words:q} {params.voices:q} --out {params.folder:q} 2>&1 | tee {log:q}"
