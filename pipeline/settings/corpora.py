"""Settings that belong to one corpus each; the others never read them."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from pipeline.settings.base import Settings


class FileSettings(Settings):
    """A file of the user's, pinned by its checksum."""

    path: str = Field("", description="path of the file; empty: there is none")
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="SHA-256 of the file (sha256sum FILE)")

    @model_validator(mode="after")
    def _pinned(self) -> "FileSettings":
        if bool(self.path) != bool(self.sha256):
            raise ValueError("path and sha256 go together; `sha256sum FILE` prints the second")
        return self


class IemocapSettings(Settings):
    """How IEMOCAP is read."""

    other: Literal["context", "drop"] = Field(
        "context", description="turns of other classes: unlabelled context of the dialogue, or left out"
    )
    marked_half: Literal["left", "right"] = Field(
        "left", description="half of the split screen that shows the actor who wears the markers"
    )
    ids: FileSettings = Field(FileSettings(), description="utterances of the protocol six_by_ids")


class MeldSettings(Settings):
    """How MELD is read."""

    twins: Literal["nearest", "plain", "final"] = Field(
        "nearest",
        description="which of a clip and its final_videos_test twin: nearer to the CSV's length, or by name",
    )
    longest: float = Field(30.0, gt=0, le=3600, description="a longer clip (s) is a wrong cut")
    ratio: float = Field(
        4.0,
        gt=1,
        le=1000,
        description="so is one this many times as long or as short as the label file says (and 0.5 s off)",
    )
    wrong_cuts: Literal["withhold", "keep"] = Field(
        "withhold", description="sound and picture of wrong cuts: recorded as absent (wrong_cut), or used"
    )


class MoseiSettings(Settings):
    """How CMU-MOSEI is read."""

    media: Literal["auto", "segmented", "full"] = Field(
        "auto", description="videos to read; auto takes the segmented tree if there is one"
    )
    labels: str = Field(
        "", description="a .csd file, or a folder or file of CSV batches, below the corpus; empty: search"
    )
    folds: FileSettings = Field(FileSettings(), description="the official folds (docs/corpora/mosei.md)")


class FeaturesSettings(Settings):
    """How extracted features of other people are read."""

    task: Literal["classification", "regression"] = Field(
        "classification", description="whether the column label or the column score is learnt"
    )
    labels: list[str] = Field([], description="label names in index order; empty: those found, sorted")
    test: float = Field(0.2, gt=0, lt=0.9, description="share of dialogues to test on, if no split is given")

    @field_validator("labels")
    @classmethod
    def _labels_are_names(cls, labels: list[str]) -> list[str]:
        for name in labels:
            if not name.strip() or name != name.strip():
                raise ValueError(f"the label name {name!r} is empty, or has blanks around it")
        return labels


class FolderSettings(FeaturesSettings):
    """How a folder of one's own videos is read."""

    untranscribed: Literal["error", "whole", "recognised"] = Field(
        "error",
        description="a video without a transcript: a fault, one utterance without words, or an utterance for "
        "each sentence that is recognised in it",
    )
    speakers: Literal["one", "found"] = Field(
        "one",
        description="who says recognised sentences: one unknown speaker, or voices told apart within each "
        "video (`speakers`); a speaker that time_table names stands",
    )
    time_table: str = Field(
        "",
        description="a .csv or .parquet below the folder that labels stretches of its media (columns file, "
        "start, end, label; docs/corpora/folder.md); empty: there is none",
    )
    covered: float = Field(
        0.5, gt=0, le=1, description="least share of an utterance that a row of time_table covers to label it"
    )

    @model_validator(mode="after")
    def _voices_say_sentences(self) -> "FolderSettings":
        if self.speakers == "found" and self.untranscribed != "recognised":
            raise ValueError(
                "speakers: found tells apart who says recognised sentences, and untranscribed is "
                f"{self.untranscribed}; set untranscribed to recognised, or speakers to one"
            )
        return self
