"""A video opened and cut into utterances: of a transcript, recognised sentences, bursts of sound, pieces."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipeline.core import media
from pipeline.core.errors import PipelineError
from pipeline.core.soundtrack import LONGEST_GAP
from pipeline.corpora import times, transcripts
from pipeline.settings.annotate import SpeechSettings
from pipeline.settings.media import MediaSettings
from pipeline.settings.recognition import SentenceSettings
from pipeline.speech import activity
from pipeline.speech.sentences import sentences

CUTS = {
    "transcript": "the utterances are those of {transcript}",
    "speech": (
        "there is no transcript: the utterances were found by a voice-activity network, and text is missing"
    ),
    "recognised": (
        "there is no transcript: the utterances are sentences that were recognised in the sound (language "
        "{language})"
    ),
    "windows": (
        "there is no transcript and {why}: the video was cut into equal pieces of at most {window:g} s, and "
        "the picture alone is judged"
    ),
}


@dataclass(frozen=True)
class Video:
    """One video and its sound; `sound` is None with the reason why."""

    path: Path
    duration: float  # s, of the longest stream
    heard: media.Heard | None
    deaf: str  # empty if there is sound
    blind: str | None  # reason why there is no picture

    @property
    def sound(self) -> np.ndarray | None:
        """Float32 (samples,), 16 kHz."""
        return None if self.heard is None else self.heard.samples


@dataclass(frozen=True)
class Cutting:
    """What tells the utterances of a video: a transcript, else recognised words, else its sound."""

    transcript: Path | None
    words: pl.DataFrame | None  # columns as WORDS
    speech: SpeechSettings
    sentences: SentenceSettings

    @property
    def source(self) -> str:
        """Where the words come from."""
        return "given" if self.transcript else "none" if self.words is None else "recognised"


def open_video(path: Path, spool: Path, reading: MediaSettings) -> Video:
    """Read the sound (onto disk, into `spool`) and find out whether there is a picture.

    Raises PipelineError if the file is missing, cannot be read, holds neither, or has no length.
    """
    try:
        declared = media.probe(path)
    except media.MediaAbsence as lack:
        raise PipelineError(f"{lack}. Give a video that a player can open.") from lack
    sound, deaf, blind = None, "", None
    try:
        sound = media.hear(path, spool, track=reading.track, most=reading.megabytes)
    except media.MediaAbsence as lack:
        deaf = lack.reason
    try:
        media.first_picture(path, most=reading.megabytes)
    except media.MediaAbsence as lack:
        blind = lack.reason
    if sound is None and blind is not None:
        raise PipelineError(
            f"{path}: it holds neither picture ({blind}) nor sound ({deaf}) that can be decoded. Convert it "
            "with a tool that can read it, or give another file."
        )
    duration = max(declared.duration, 0.0 if sound is None else len(sound.samples) / media.SAMPLE_RATE)
    if duration > LONGEST_GAP:
        # a wrong timestamp must not make hours of nothing
        held = max(media.length(path), 0.0 if sound is None else len(sound.samples) / media.SAMPLE_RATE)
        duration = duration if duration <= held + 1 else held
    if duration <= 0:
        duration = media.picture_length(path)
    if duration <= 0:
        raise PipelineError(
            f"{path}: it has no length: one picture, and no sound. Give a video, or convert it with a tool "
            "that writes how long the picture is shown."
        )
    return Video(path, duration, sound, deaf, blind)


def utterances(video: Video, cutting: Cutting) -> tuple[list[dict], str, str, dict[str, int]]:
    """The rows of all utterances, how they were cut (a key of CUTS), that in words, and what was repaired.

    Raises PipelineError for a transcript that cannot be read or holds nothing.
    """
    transcript, settings = cutting.transcript, cutting.speech
    facts: dict[str, Any] = {"transcript": transcript, "window": settings.window}
    repaired: dict[str, int] = {}
    if transcript is not None:
        (cues, repaired), cut = transcripts.told(transcript), "transcript"
        if not cues:
            raise PipelineError(
                f"{transcript}: it holds no utterance. Complete it, or leave it out: then speech is looked "
                "for in the sound."
            )
        told = [_told(cue, video) for cue in cues]
    elif cutting.words is not None and len(cutting.words):
        cut, facts["language"] = "recognised", cutting.words["language"][0]
        told = _recognised(cutting.words, cutting.sentences, video.duration)
    else:
        searched = cutting.words is None
        spans = activity.utterances(video.sound, settings) if searched and video.sound is not None else []
        cut = "speech" if spans else "windows"
        found_none = "no speech was found in its sound" if searched else "no word was recognised in its sound"
        facts["why"] = f"no sound ({video.deaf})" if video.sound is None else found_none
        spans = spans or activity.windows(video.duration, settings.window)
        nobody = {"speaker": transcripts.UNKNOWN, "text": None, "withheld": None}
        told = [{"start": start, "end": end, **nobody} for start, end in spans]
    rows = [
        {"utterance": str(number), "media": str(video.path), "crop": None, "confidence": None, **row}
        for number, row in enumerate(told)
    ]
    return rows, cut, CUTS[cut].format(**facts), repaired


def _recognised(words: pl.DataFrame, settings: SentenceSettings, duration: float) -> list[dict[str, Any]]:
    """The rows of the recognised sentences; the words of one that is not sure are there, and are not read."""
    return [
        {
            "start": sentence.start,
            "end": min(sentence.end, duration),
            "speaker": transcripts.UNKNOWN,
            "text": sentence.text,
            "withheld": None,
            "confidence": sentence.confidence,
            "unsure": sentence.confidence < settings.unsure,
        }
        for sentence in sentences(words, settings)
        if sentence.start < duration
    ]


def _told(cue: transcripts.Cue, video: Video) -> dict[str, Any]:
    """The row of a cue; what lasts longer than the video ends with it."""
    own = times.span(cue.start, cue.end, video.duration, cue.where)
    # what begins after the video is out of its range, and is said to be
    end = min(own.end, video.duration) if own.start < video.duration and own.withheld is None else own.end
    return {
        "start": own.start,
        "end": end,
        "speaker": cue.speaker,
        "text": cue.text,
        "withheld": own.withheld,
    }
