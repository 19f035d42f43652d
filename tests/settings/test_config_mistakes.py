"""Mistakes that people make in the configuration: each is answered by one paragraph that names it."""

import re

import pytest
from fault_cases import cases
from workflow import ROOT, copy_project, snakemake

from pipeline import config
from pipeline.config import Config, main, read_files
from pipeline.core.errors import PipelineError
from pipeline.core.registries.corpora import CORPORA
from pipeline.evaluation.results import CEILINGS, PROTOCOL, TRIVIAL
from pipeline.settings import schema
from pipeline.settings.files import read_source

BASE = ROOT / "config.yaml"

MISTAKES = {
    "misspelt key": (
        "run: x\nsedes: [1]\n",
        r"mine\.yaml, line 2: there is no key 'sedes'\. Did you mean 'seeds'\?",
    ),
    "misspelt nested key": (
        "training:\n  # more\n  epochss: 3\n",
        r"mine\.yaml, line 3: there is no key 'training\.epochss'\. Did you mean 'epochs'\?",
    ),
    "right key in the wrong place": (
        "epochs: 3\n",
        r"line 1: there is no key 'epochs'\. Did you mean 'training\.epochs'\?",
    ),
    "text for a number": (
        "training:\n  epochs: many\n",
        r"line 2: the key 'training\.epochs' is many; expected: whole number, 1 to 1000 \(Passes over",
    ),
    "out of range": (
        "network: {dropout: 1.5}\n",
        r"line 1: the key 'network\.dropout' is 1\.5; expected: number, at least 0, below 1",
    ),
    "unknown choice": (
        "device: gpu\n",
        r"'device' is gpu; expected: `auto`, `cpu` or `cuda`",
    ),
    "misspelt choice": (
        "objective:\n  distance: cosin\n",
        r"line 2: .*expected: `cosine`, `mse` or `smooth_l1`.*Did you mean 'cosine'\?",
    ),
    "unknown variant": (
        "compare: [corekd, logitkd]\n",
        r"mine\.yaml, line 1: compare: there is no variant 'logitkd'; did you mean 'logit_kd'\?",
    ),
    "misspelt key of a variant": (
        "variants:\n  mine: {}\n  other: {fuzed: 0}\n",
        r"line 3: there is no key 'variants\.other\.fuzed'\. Did you mean 'fused'\?",
    ),
    "a variant that cannot be": (
        "variants:\n  other: {reconstruction: 1}\n",
        r"line 2: variants\.other: reconstruction has a weight, and the network structured gives no guesses, "
        r"which it compares; write network: imputation, or set the weight to 0\.$",
    ),
    "a network that a term cannot train": (
        "variants:\n  other: {reconstruction: 1, network: attention}\n",
        r"line 2: variants\.other: reconstruction has a weight, and the network attention gives no guesses",
    ),
    "a flag of earlier versions": (
        "variants:\n  imputation:\n    imputer: true\n",
        r"line 3: there is no key 'variants\.imputation\.imputer' any more: .*write `network: imputation` in "
        r"place of `imputer: true`",
    ),
    "a flag of earlier versions, for all": (
        "objective: {imputer: false}\n",
        r"line 1: there is no key 'objective\.imputer' any more: .*leave out `imputer: false`",
    ),
    "unknown network": (
        "network: {name: atention}\n",
        r"line 1: the key 'network\.name' is atention; expected: .*`attention`, .*Did you mean 'attention'\?",
    ),
    "unknown corpus": (
        "corpus:\n  name: mled\n",
        r"line 2: the key 'corpus\.name' is mled; .*Did you mean 'meld'\?",
    ),
    "corpus with stand-ins": (
        "corpus: {name: meld, folder: there}\n",
        r"encoders\.standins: .*corpus\.name is meld; set encoders\.standins to false",
    ),
    "unknown protocol": (
        "corpus: {name: iemocap, folder: there, protocol: six_by_id}\nencoders: {standins: false}\n",
        r"line 1: corpus\.protocol: the corpus iemocap has no protocol 'six_by_id'; it has four, six",
    ),
    "unknown fold": (
        "corpus:\n  folds: [session6]\n",
        r"line 2: corpus\.folds: the corpus embedded has no fold 'session6'; it has main",
    ),
    "folder without a name": (
        "corpus:\n  folder: data/MELD\n",
        r"line 2: corpus\.folder: a folder is named, but corpus\.name is embedded",
    ),
    "file without its checksum": (
        "corpus:\n  mosei:\n    folds: {path: folds.py}\n",
        r"line 3: corpus\.mosei\.folds: path and sha256 go together",
    ),
    "reference that is not trained": (
        "run: x\ncompare: [csa]\n",
        r"report\.reference: 'corekd' is not trained in this run",
    ),
    "export of what is not trained": (
        "export:\n  variants: [csa, nobody]\n",
        r"export\.variants: 'nobody' is not trained",
    ),
    "key twice": (
        "training:\n  epochs: 3\n  batch: 4\n  epochs: 5\n",
        r"mine\.yaml, line 4: the key 'training\.epochs' stands twice, first in line 2",
    ),
    "tab": (
        "training:\n\tepochs: 3\n",
        r"mine\.yaml, line 2: a tab.*Use spaces",
    ),
    "bracket left open": (
        "seeds: [0, 1\ndevice: cpu\n",
        r"mine\.yaml, line 2, column 7: not YAML",
    ),
    "list without brackets": (
        "seeds: 1,2\n",
        r"line 1: the key 'seeds' is \"1,2\"; expected: list, not empty, of: whole number",
    ),
    "wrong entry of a list": (
        "seeds:\n  - 1\n  - two\n",
        r"line 1: the key 'seeds\.1' is two; expected: list, not empty, of: whole number",
    ),
    "fold twice": ("corpus: {folds: [main, main]}\n", r"line 1: corpus\.folds: an entry stands twice"),
    "entry twice": ("seeds: [1, 1]\n", r"line 1: seeds: an entry stands twice"),
    "empty list": ("seeds: []\n", r"the key 'seeds' is \[\]; expected: list, not empty"),
    "value for a section": (
        "training: 30\n",
        r"the key 'training' is 30; expected: a section of epochs, batch, ",
    ),
    "section left empty": (
        "training:\n  # epochs: 3\n",
        r"line 1: the key 'training' is null; expected: a section of",
    ),
    "list at the top": ("- run: x\n", r"mine\.yaml: holds list where keys with values were expected"),
    "word that YAML takes for a truth value": (
        "variants:\n  no: {nce: 0}\n",
        r"line 2: the key no is not text .*quotes",
    ),
    "name of a trivial row": (
        "run: x\nvariants:\n  majority: {}\n",
        r"line 3: variants\.majority: the name is taken by what is no student",
    ),
    "name of a ceiling": (
        "variants: {my_ceiling_2: {}}\n",
        r"variants\.my_ceiling_2: the name is taken",
    ),
    "oracle of a corpus that nobody generated": (
        "corpus: {name: meld, folder: there}\nencoders: {standins: false}\ncompare: [corekd, oracle_kd]\n",
        r"line 3: compare: oracle_kd learns from an oracle, .*corpus\.name is meld; leave it out",
    ),
    "oracle by the name of a method": (
        "variants:\n  logit_kd: {references: oracle}\n",
        r"line 2: variants\.logit_kd: what learns from references: oracle is no method",
    ),
    "method by the name of an oracle": (
        "variants:\n  oracle_kd: {references: in_sample}\n",
        r"line 2: variants\.oracle_kd: what learns from references: oracle is no method",
    ),
    "search that could turn a method into an oracle": (
        "search: {spaces: {logit_kd: {objective.references: [in_sample, oracle]}}}\n",
        r"variants\.logit_kd: .*mend its references \(those in search\.spaces, too\)",
    ),
    "oracle that is asked for states": (
        "variants:\n  oracle_kd: {fused: 1, modality: 0.5}\n",
        r"line 2: variants\.oracle_kd\.fused: references: oracle has answers alone, and fused and modality",
    ),
    "oracle among the methods compared": (
        "compare: [corekd, csa, oracle_kd]\nreport: {compared: [csa, oracle_kd]}\n",
        r"line 2: report\.compared: oracle_kd learns from an oracle",
    ),
    "oracle that all are compared with": (
        "compare: [corekd, oracle_kd]\nreport:\n  reference: oracle_kd\n",
        r"line 3: report\.reference: oracle_kd learns from an oracle",
    ),
    "two folds that test the same session": (
        "corpus: {name: iemocap, folder: there, folds: [main, session5]}\nencoders: {standins: false}\n",
        r"line 1: corpus\.folds: main and session5 both test session 5",
    ),
    "heads that do not fit": (
        "network: {heads: 3}\n",
        r"line 1: network: heads \(3\) must divide hidden \(64\)",
    ),
    "a fold that is not trained": (
        "by_fold:\n  session1: {}\n",
        r"line 2: by_fold\.session1: 'session1' is none of corpus\.folds \(main\)",
    ),
    "value for a fold": (
        "by_fold: {main: 3}\n",
        r"line 1: by_fold\.main: expected a section of network, training, teacher, .* \(got 3\)",
    ),
    "misspelt section of a fold": (
        "by_fold:\n  main:\n    trainin: {}\n",
        r"line 3: there is no key 'by_fold\.main\.trainin'\. Did you mean 'training'\?",
    ),
    "right key of a fold in the wrong place": (
        "by_fold:\n  main:\n    epochs: 3\n",
        r"line 3: there is no key 'by_fold\.main\.epochs'\. Did you mean 'by_fold\.main\.training\.epochs'\?",
    ),
    "key that is no fold's": (
        "by_fold: {main: {seeds: [1]}}\n",
        r"no key 'by_fold\.main\.seeds'\. Known keys there: network, training, teacher, ",
    ),
    "misspelt nested key of a fold": (
        "by_fold:\n  main:\n    training:\n      epochss: 3\n",
        r"line 4: there is no key 'by_fold\.main\.training\.epochss'\. Did you mean 'epochs'\?",
    ),
    "out of range in a fold": (
        "by_fold:\n  main:\n    training: {epochs: 0}\n",
        r"line 3: the key 'by_fold\.main\.training\.epochs' is 0; expected: whole number, 1 to 1000",
    ),
    "value for a fold's section": (
        "by_fold: {main: {training: 30}}\n",
        r"the key 'by_fold\.main\.training' is 30; expected: mapping",
    ),
    "misspelt key of a fold's variant": (
        "by_fold:\n  main:\n    variants:\n      corekd: {fuzed: 0}\n",
        r"line 4: there is no key 'by_fold\.main\.variants\.corekd\.fuzed'\. Did you mean 'fused'\?",
    ),
    "unknown variant of a fold": (
        "by_fold:\n  main:\n    variants:\n      corkd: {}\n",
        r"line 4: by_fold\.main\.variants\.corkd: there is no variant 'corkd'; did you mean 'corekd'\?",
    ),
    "heads that do not fit in one fold": (
        "network: {heads: 8}\nby_fold: {main: {network: {hidden: 40, heads: 16}}}\n",
        r"line 2: by_fold\.main\.network: heads \(16\) must divide hidden \(40\)",
    ),
    "a network that a term cannot train in one fold": (
        "variants: {other: {reconstruction: 1, network: imputation}}\n"
        "by_fold: {main: {variants: {other: {network: structured}}}}\n",
        r"line 2: by_fold\.main\.variants\.other: reconstruction has a weight, and the network structured",
    ),
    "a run's network that a fold's term cannot train": (
        "network: {name: imputation}\nvariants: {other: {reconstruction: 1}}\n"
        "by_fold: {main: {network: {name: attention}}}\n",
        r"line 3: by_fold\.main\.variants\.other: reconstruction has a weight, and the network attention",
    ),
    "another mix of validation in one fold": (
        "by_fold:\n  main:\n    training:\n      validation: {fixed: 2}\n",
        r"line 4: by_fold\.main\.training\.validation: it may not differ by fold.*set training\.validation\.",
    ),
    "another validation score in one fold": (
        "by_fold: {main: {training: {regression_score: pearson}}}\n",
        r"by_fold\.main\.training\.regression_score: it may not differ by fold",
    ),
    "search of what trials are judged by": (
        "search: {spaces: {corekd: {training.validation.fixed: [1, 2]}}}\n",
        r"search\.spaces: corekd: 'training\.validation\.fixed' is what trials are judged by; leave it out",
    ),
    "true for a number": (
        "training:\n  epochs: true\n",
        r"line 2: training\.epochs: true is a truth value; a number is expected",
    ),
    "true where a word or a number is expected": (
        "annotate:\n  speakers: yes\n",
        r"line 2: annotate\.speakers: true is a truth value; a number is expected",
    ),
    "no word, and no number": (
        "annotate:\n  speakers: fuond\n",
        r"line 2: the key 'annotate\.speakers' is fuond; expected: .* or whole number, 1 to 100",
    ),
    "true in a list of numbers": ("seeds: [0, yes]\n", r"line 1: seeds: true is a truth value"),
    "number with a leading zero": (
        "run: x\nseeds: [1, 010]\n",
        r"mine\.yaml, line 2: seeds: YAML reads 010 as 8\. Write 8",
    ),
    "number with a colon": ("training: {epochs: 1:30}\n", r"line 1: training\.epochs: YAML reads 1:30 as 90"),
    "number to the base of 16": ("threads: 0x2\n", r"line 1: threads: YAML reads 0x2 as 2"),
    "rate twice": (
        "protocol:\n  random:\n    rates: [0.1, 0.3, 0.10]\n",
        r"line 3: protocol\.random\.rates: an entry stands twice",
    ),
    "rate of training twice": (
        "objective: {views: {rates: [0.5, 0.5]}}\n",
        r"line 1: objective\.views\.rates: an entry stands twice",
    ),
    "layer twice": (
        "encoders: {text: {layers: [-1, -1]}}\n",
        r"encoders\.text\.layers: an entry stands twice",
    ),
    "run beside this one twice": ("beside: [a, a]\n", r"beside: an entry stands twice"),
    "run beside this one that is a path": ("beside: [../a]\n", r"'beside\.0' is \.\./a; expected"),
    "bounds the wrong way round": (
        "search: {spaces: {corekd: {objective.nce: {low: 3, high: 1}}}}\n",
        r"low \(3\.0\) must lie below high \(1\.0\)",
    ),
    "bounds as a list, the wrong way round": (
        "search: {spaces: {corekd: {objective.nce: [3, 1]}}}\n",
        r"search\.spaces: corekd, objective\.nce: \[3, 1\] are choices, .*\{low: 1, high: 3\}",
    ),
    "unknown key of a search": (
        "search: {spaces: {corekd: {objective.predicition: [0, 1]}}}\n",
        r"search\.spaces: corekd: there is no setting 'objective\.predicition'; did you mean 'prediction'\?",
    ),
    "section as the key of a search": (
        "search: {spaces: {corekd: {objective.views: [0, 1]}}}\n",
        r"corekd: 'objective\.views' is a section",
    ),
    "value of a search that its key cannot have": (
        "search: {spaces: {corekd: {training.epochs: [0, 10]}}}\n",
        r"corekd, training\.epochs: 0 is no value of it",
    ),
    "name of 300 letters": (f"run: {'x' * 300}\n", r"'run' is x+; expected: text, of the form"),
    "variant of 300 letters": (f"variants: {{{'x' * 300}: {{}}}}\n", r"variants"),
    "anchor that holds itself": ("network: &a\n  heads: *a\n", r"mine\.yaml: nested without end"),
    "brackets a thousand deep": (
        f"seeds: {'[' * 1000}{']' * 1000}\n",
        r"mine\.yaml: nested without end .*too deeply",
    ),
    "aliases of aliases": (
        "a0: &a0 {x: 1}\n"
        + "".join(
            f"a{n}: &a{n} {{{', '.join(f'k{m}: *a{n - 1}' for m in range(9))}}}\n" for n in range(1, 9)
        ),
        r"mine\.yaml: over \d+ keys",
    ),
    "NUL": ("run: a\0b\n", r"mine\.yaml: not YAML \(unacceptable character"),
    "NUL, written with a backslash": (
        'run: "a\\0b"\n',
        r"'run' is \"a\\u0000b\"; expected: text, of the form",
    ),
    "text that begins as an alias of YAML": ('run: "*a"\n', r"'run' is \"\*a\"; expected: text, of the form"),
    "text that is nearly a date": (
        'run: "2024-99-99"\n',
        r"'run' is \"2024-99-99\"; expected: text, of the form",
    ),
    "run that is a path": ("run: ../mine\n", r"'run' is \.\./mine; expected: text, of the form"),
}


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mine.yaml"


@pytest.mark.parametrize(
    "mistake",
    cases(
        "config",
        {name: name for name in MISTAKES},
        "one line with file, line and key, before anything is made",
    ),
)
def test_a_mistake_is_named_with_its_place(mine, mistake):
    text, said = MISTAKES[mistake]
    mine.write_text(text)
    with pytest.raises(PipelineError) as error:
        read_files([BASE, mine])
    assert re.search(said, str(error.value)), str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", CORPORA)
def test_a_configuration_is_held_to_the_row_of_its_corpus(name):
    row = CORPORA[name]

    def read(standins=row.generated or row.given, **corpus):
        corpus |= {} if row.generated else {"folder": "there"}
        return config.read_config({"corpus": {"name": name, **corpus}, "encoders": {"standins": standins}})

    def refused(said, **keys):
        with pytest.raises(PipelineError, match=said):
            read(**keys)

    for fold in row.folds or ("one", "two"):
        assert read(folds=[fold]).corpus.folds == [fold]
    if row.folds:
        refused(f"the corpus {name} has no fold 'another'; it has {', '.join(row.folds)}", folds=["another"])
    for those in row.same.values():
        refused("both test", folds=list(those))
    for protocol in row.protocols:
        assert read(protocol=protocol).corpus.label_protocol == protocol
    assert read().corpus.label_protocol == (row.protocols[0] if row.protocols else "")
    refused(f"the corpus {name} has no protocol 'another'", protocol="another")
    if not (row.generated or row.given):
        refused("the stand-ins know only the embedded corpus", standins=True)
    if row.generated:
        refused("which reads none", folder="there")
    assert read().corpus.unread == [
        own for own in ("iemocap", "meld", "mosei", "own", "features") if own != (row.section or name)
    ]


@pytest.mark.parametrize(
    "name",
    [
        "teacher",
        PROTOCOL,
        *TRIVIAL,
        *CEILINGS,
        "readable_ceiling_knowing",
        "cue_ceiling_no_context",
        "readable",
    ],
)
@pytest.mark.fault(
    "config", "a variant with the name of another row of the tables", "refused, with the names that are taken"
)
def test_no_variant_has_the_name_of_another_row(name):
    with pytest.raises(PipelineError, match=f"variants.{name}: the name is taken"):
        config.read_config({"variants": {"corekd": {}, name: {}}})


@pytest.mark.fault(
    "config", "a mistake in the second of two overlays, or in `--config`", "the one that wins is named"
)
def test_the_overlay_that_wins_is_named(mine):
    mine.write_text("threads: 2\n")
    other = mine.with_name("other.yaml")
    other.write_text("run: x\nthreads: 0\n")
    with pytest.raises(PipelineError, match=r"^other\.yaml, line 2: the key 'threads' is 0"):
        read_files([BASE, mine, other])
    with pytest.raises(PipelineError, match=r"^--config: the key 'threads' is \"0\""):
        read_files([BASE, mine], {"--config": {"threads": "0"}})
    other.write_text("run: x\nthreads: 3\n")
    assert read_files([BASE, mine, other]).threads == 3


@pytest.mark.fault("config", "an overlay that is not there, or not UTF-8", "one line that says so")
def test_files_that_cannot_be_read(mine):
    with pytest.raises(PipelineError, match=r"^mine\.yaml: cannot be read"):
        read_source(mine)
    mine.write_bytes(b"run: caf\xe9\n")
    with pytest.raises(PipelineError, match=r"^mine\.yaml: cannot be read"):
        read_source(mine)
    mine.write_text("# nothing but a comment\n")
    assert read_source(mine).values == {}
    mine.write_text('{\n\t"run": "tabs_are_fine_in_json"\n}')
    assert read_source(mine).values == {"run": "tabs_are_fine_in_json"}


def test_every_key_has_a_kind_a_meaning_and_a_default_that_fits():
    names = []
    for key in schema.keys(Config()):
        names.append(key.name)
        assert key.meaning, f"{key.name} has no description"
        assert key.kind, key.name
        assert "null" not in key.kind or key.name == "training.patience", f"{key.name}: {key.kind}"
    assert len(set(names)) == len(names) > 150


@pytest.mark.fault(
    "config",
    "an overlay that Snakemake itself cannot read",
    "`python -m pipeline.config` says it in one line",
)
def test_the_check_without_snakemake(mine, capsys, monkeypatch):
    monkeypatch.setattr("pipeline.config.BASE", BASE)
    mine.write_text("run: longer\n")
    assert main([str(mine)]) == 0
    assert "valid: run longer, corpus embedded" in capsys.readouterr().out
    mine.write_text("run: longer\nrun: shorter\n")
    assert main([str(mine)]) == 1
    assert "line 2: the key 'run' stands twice" in capsys.readouterr().err
    assert main([str(mine.with_name("gone.yaml"))]) == 1
    assert "gone.yaml: cannot be read" in capsys.readouterr().err


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("mistakes"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--configfile", "mine.yaml"), "error: mine.yaml, line 3: there is no key 'training.epochss'"),
        (("--config", "sedes=1"), "error: --config: there is no key 'sedes'. Did you mean 'seeds'?"),
        (
            ("--configfile", "config/meld.yaml"),
            "error: config, key corpus.folder: there is no folder data",
        ),
    ],
)
@pytest.mark.fault(
    "config", "a mistake in the configuration, met by Snakemake", "one paragraph, no traceback, no job"
)
def test_snakemake_stops_before_any_job_with_one_paragraph(project, arguments, said):
    (project / "mine.yaml").write_text("run: x\ntraining:\n  epochss: 3\n")
    done = snakemake(project, "--cores", "1", *arguments, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(said), done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert not (project / "runs").exists()


@pytest.mark.slow
@pytest.mark.fault("config", "a mistake in `config.yaml` itself", "its line is named")
def test_a_wrong_config_yaml_is_named_too(project):
    path = project / "config.yaml"
    text = path.read_text()
    try:
        path.write_text(text + "run: again\n")
        done = snakemake(project, "-n", check=False)
    finally:
        path.write_text(text)
    assert done.returncode == 1
    assert re.search(r"^error: config\.yaml, line \d+: the key 'run' stands twice", done.stderr, re.M)


@pytest.mark.slow
def test_encoders_can_be_fetched_where_the_corpus_is_not(project):
    done = snakemake(project, "-n", "encoders", "--configfile", "config/meld.yaml")
    assert re.search(r"^weights +3$", done.stdout, re.M)
