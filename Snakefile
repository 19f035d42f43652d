# CoRe-KD from raw dialogue video to the missing-protocol tables.
#
#   snakemake --cores all                                      the embedded corpus
#   snakemake --cores all --configfile config/reported.yaml    the same, large enough to compare methods
#   snakemake encoders | features | teachers | students | evaluation | results | report | model
#   snakemake searches                                         tune the variants that search.spaces names
#   snakemake payoff                                           where a teacher knows more than its students
#   snakemake annotate --config video=talk.mp4                 a video of your own, by the exported model
#   snakemake --report report.zip                              all that people read, in one file, once it is made
#
# What depends on what stands in rules/; what is computed stands in pipeline/.


include: "rules/configuration.smk"


configfile: of_clone("config.yaml")


report: "rules/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/corpus.smk"
include: "rules/features.smk"
include: "rules/training.smk"
include: "rules/search.smk"
include: "rules/results.smk"
include: "rules/annotate.smk"
include: "rules/report.smk"


READINGS.save()


localrules:
    all,
    encoders,
    features,
    teachers,
    students,
    evaluation,
    searches,
    results,
    model,
    report,


rule all:
    default_target: True
    input:
        results_files(),
        report_files(),


rule encoders:
    input:
        encoder_files(),


rule features:
    input:
        feature_files(),


rule teachers:
    input:
        teacher_files(),


rule students:
    input:
        student_files(),


rule evaluation:
    input:
        prediction_files(),


rule searches:
    input:
        search_files,
        f"{RUN}/tuned.yaml",


rule results:
    input:
        results_files(),


rule model:
    input:
        model_folders(),


rule report:
    input:
        results_files(),
        report_files(),


onstart:
    if CFG.device == "auto" and not workflow.local_exec:
        raise WorkflowError(
            "config, key 'device': on a cluster 'auto' would be settled by the machine that submits the jobs. Say "
            "cuda or cpu; a --config on the command line replaces that of the profile, so repeat device there."
        )
    if CFG.encoders.precision == "auto" and not workflow.local_exec:
        raise WorkflowError(
            "config, key 'encoders.precision': on a cluster 'auto' would be settled by the machine that submits "
            "the jobs. Say float32 or bfloat16."
        )
    if not workflow.local_exec:
        # a controller that is busy is asked again
        patient = str(CLONE / "profiles" / "slurm" / "patient")
        os.environ.update(PATH=os.pathsep.join([patient, *os.get_exec_path()]))


onsuccess:
    if CFG.video:
        print(f"Annotations: {ANNOTATIONS}/")
    else:
        print_summary()
