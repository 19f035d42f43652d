"""What may not be read, or is no file, in the folder of a corpus: an absence, or one paragraph."""

import os

import fixture_trees as trees
import pytest
from fault_cases import cases
from unprivileged import unprivileged

from pipeline import manifest
from pipeline.core.errors import PipelineError
from pipeline.corpora import folder, meld, siblings
from pipeline.corpora.listing import listing, located

REFUSED = "refused, with its name, before anything is written"


def read(base, adapter=folder, name="folder"):
    corpus = adapter.read(trees.settings(name, base), [])
    manifest.check(corpus)
    return corpus


def run(base, target):
    """The stage manifest on a folder of one's own."""
    params = manifest.Params(corpus=trees.settings("folder", base))
    shards = [target / f"{number}.parquet" for number in range(params.corpus.shards)]
    manifest.run(params, parts=[], manifest=target / "m.parquet", facts=target / "f.json", shards=shards)


ODD = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to": lambda path: path.symlink_to(path.with_name("gone")),
}


SAID = {
    "a folder": "a folder with the name of a video beside a transcript",
    "a pipe": "a pipe with the name of a video beside a transcript",
    "a link to": "a link to nothing with the name of a video beside a transcript",
}


@pytest.mark.parametrize("what", cases("corpora", SAID, REFUSED))
def test_what_has_the_name_of_a_video_and_is_none_is_named(tmp_path, what):
    base = trees.own_folder(tmp_path, dialogues=2)
    (base / "talk1.mp4").unlink()
    ODD[what](base / "talk1.mp4")
    with pytest.raises(PipelineError, match=rf"talk1\.mp4: it is {what}.* file with picture or sound"):
        read(base)


ALONE = {
    "a pipe": "a pipe with the name of a video, without a transcript",
    "a link to": "a link to nothing with the name of a video, without a transcript",
}


@pytest.mark.parametrize("what", cases("corpora", ALONE, REFUSED))
def test_what_has_the_name_of_a_video_is_named_without_a_transcript_too(tmp_path, what):
    base = trees.own_folder(tmp_path, dialogues=1)
    ODD[what](base / "deep.mp4")
    with pytest.raises(PipelineError, match=rf"deep\.mp4: it is {what}.* file with picture or sound"):
        folder.read(trees.settings("folder", base, own={"untranscribed": "whole"}), [])


WORDLESS = {
    "a folder": "a folder with the name of a transcript",
    "a pipe": "a pipe with the name of a transcript",
    "a link to": "a link to nothing with the name of a transcript",
}


@pytest.mark.parametrize("name", ["talk1.srt", "talk1.en.vtt"])
@pytest.mark.parametrize("what", cases("corpora", WORDLESS, "refused: its words would be missing"))
def test_what_has_the_name_of_a_transcript_and_is_none_is_named(tmp_path, what, name):
    base = trees.own_folder(tmp_path, dialogues=2)
    (base / "talk1.csv").unlink()
    ODD[what](base / name)
    said = rf"{name}: it is {what}.* a transcript is expected"
    for untranscribed in ("whole", "error"):
        with pytest.raises(PipelineError, match=said):
            folder.read(trees.settings("folder", base, own={"untranscribed": untranscribed}), [])
    with pytest.raises(PipelineError, match=said):
        siblings.beside(base / "talk1.mp4")
    assert siblings.beside(base / "talk0.mp4") == [base / "talk0.csv"]


@pytest.mark.fault("corpora", "a video may not be read (mode 000)", "an absence; all others are read")
def test_one_video_that_may_not_be_read_is_one_absence(tmp_path):
    base = trees.own_folder(tmp_path / "in", dialogues=2)
    (base / "talk1.mp4").chmod(0)
    with unprivileged():
        assert set(read(base).rows["dialogue"]) == {"talk0", "talk1"}


@pytest.mark.fault("corpora", "a transcript may not be read (mode 000)", REFUSED)
def test_a_transcript_that_may_not_be_read_is_named(tmp_path):
    base = trees.own_folder(tmp_path / "in", dialogues=2)
    (base / "talk1.csv").chmod(0)
    with unprivileged():
        assert ": 4 files, " in listing(base), "the job graph is built all the same"
        with pytest.raises(PipelineError, match=r"talk1\.csv: cannot be read"):
            read(base)


@pytest.mark.fault("corpora", "a folder of the corpus may not be listed", REFUSED)
def test_a_folder_that_may_not_be_listed_is_named(tmp_path):
    base = trees.own_folder(tmp_path / "in", dialogues=2)
    closed = trees.own_folder(base / "more", dialogues=1)
    for mode in (0, 0o400):
        closed.chmod(mode)
        with unprivileged():
            for look in (listing, read, lambda base: run(base, tmp_path / "out")):
                with pytest.raises(PipelineError, match="/in/more: the folder may not be listed"):
                    look(base)
        closed.chmod(0o700)
    assert not (tmp_path / "out").exists()


@pytest.mark.fault(
    "config", "`corpus.folder` is that of an account that is not there (`~nobody_here`)", "refused"
)
def test_a_home_that_is_not_there_is_named():
    with pytest.raises(PipelineError, match=r"corpus\.folder: there is no folder ~nobody_here/x"):
        located("~nobody_here/x")


@pytest.mark.fault("corpora", "a link that leads in a circle lies in the corpus", "it counts as no file")
def test_links_in_a_circle_are_passed_over(tmp_path):
    base = trees.own_folder(tmp_path, dialogues=1)
    (base / "round.txt").symlink_to(base / "round.txt")
    (base / "again").symlink_to(base)
    assert set(read(base).rows["dialogue"]) == {"talk0"}


FOREIGN = {"talk1.mp4": "a video's name that is not UTF-8", "deep": "a folder's name that is not UTF-8"}


@pytest.mark.parametrize("name", cases("names", FOREIGN, REFUSED))
def test_a_name_that_is_not_utf8_is_named(tmp_path, name):
    base = trees.own_folder(tmp_path, dialogues=1)
    trees.write_clip(base / "deep" / "talk1.mp4")
    trees.write_text(base / "deep" / "talk1.csv", trees.CUES)
    for path in [path for path in base.rglob(f"{name.removesuffix('.mp4')}*") if path.name != "talk0.mp4"]:
        os.rename(path, os.fsencode(path).replace(name[:5].encode(), b"caf\xe9"))
    with pytest.raises(PipelineError, match=r"caf\\xe9.*the name is not UTF-8"):
        read(base)


@pytest.mark.fault("corpora", "a label file of MELD may not be read", REFUSED)
def test_a_label_file_that_may_not_be_read_is_named(tmp_path):
    base = trees.meld(tmp_path / "in")
    (base / "dev_sent_emo.csv").chmod(0)
    with (
        unprivileged(),
        pytest.raises(PipelineError, match=r"dev_sent_emo\.csv: (cannot be read|this account)"),
    ):
        read(base, meld, "meld")
