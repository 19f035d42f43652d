"""What the stages of extraction are compared with: a plain loop, the bare network, and decoding alone."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
import polars as pl
import torch
from facenet_pytorch import MTCNN

from pipeline.core import artefacts, media
from pipeline.core.beside import side_by_side
from pipeline.core.device import computing
from pipeline.core.registries import encoders
from pipeline.encoders.text import TextEncoder
from pipeline.extraction import mtcnn
from pipeline.extraction.looking import View, looks, seen
from pipeline.extraction.sound import heard
from pipeline.extraction.together import LANES, SHARE, look_for
from pipeline.settings.encoders import AudioSettings, TextSettings, VisualSettings
from pipeline.settings.faces import FacesSettings
from pipeline.settings.media import MediaSettings

PLAIN_SECONDS = 2.0  # of film that the plain loop of faces works through; it is slow
T = TypeVar("T")


def by_file(table: pl.DataFrame) -> list[list[dict[str, Any]]]:
    return [group.to_dicts() for group in table.partition_by("media", maintain_order=True)]


def sounds_of(rows: list[dict[str, Any]]) -> list[np.ndarray]:
    """The samples of those of one file's utterances that are not silent."""
    return [sound for _, sound in heard(rows, AudioSettings(), MediaSettings(), 400).sounds]


def _as_it_is(scale: float, picture: np.ndarray) -> tuple[np.ndarray, float]:
    return picture, scale


def each_file(files: list[list[dict[str, Any]]], work: Callable[[list], T], workers: int) -> list[T]:
    return list(side_by_side(files, lambda rows, stop: work(rows), workers))


class Text:
    """(a) and (b) of the text encoder."""

    def __init__(self, table: pl.DataFrame, folder: Path, device: torch.device, precision: str) -> None:
        self.texts, self.device, self.precision = table["text"].to_list(), device, precision
        self.model: TextEncoder = encoders.encoder("text", folder).load(folder, TextSettings(), device)
        lengths = self.model.lengths(self.texts)
        tokens = [{"input_ids": self.model.tokenizer(text)["input_ids"]} for text in self.texts]
        self.batches = [
            self.model.tokenizer.pad([tokens[place] for place in places], return_tensors="pt").to(device)
            for places in self.model.batches(lengths)
        ]

    @torch.inference_mode()
    def plain(self) -> None:
        for text in self.texts:
            inputs = self.model.tokenizer(text, return_tensors="pt").to(self.device)
            self.model.model(**inputs).last_hidden_state[0].mean(0).cpu().numpy()

    @torch.inference_mode()
    def bare(self) -> None:
        with computing(self.device, self.precision):
            for batch in self.batches:
                self.model.model(**batch)


class Audio:
    """(a) and (b) of the speech encoder."""

    def __init__(
        self, table: pl.DataFrame, folder: Path, device: torch.device, precision: str, workers: int
    ) -> None:
        self.files, self.device, self.precision = by_file(table), device, precision
        self.model = encoders.encoder("audio", folder).load(folder, AudioSettings(), device)
        sounds = [sound for own in each_file(self.files, sounds_of, workers) for sound in own]
        self.batches = []
        for places in self.model.batches([len(sound) for sound in sounds]):
            longest = max(len(sounds[place]) for place in places)
            padded = [np.pad(sounds[place], (0, longest - len(sounds[place]))) for place in places]
            self.batches.append(torch.from_numpy(np.stack(padded)).to(device))

    @torch.inference_mode()
    def plain(self) -> None:
        for rows in self.files:
            for sound in sounds_of(rows):
                values = self.model.extractor(sound, sampling_rate=16_000, return_tensors="pt").input_values
                self.model.model(values.to(self.device)).last_hidden_state[0].mean(0).cpu().numpy()

    @torch.inference_mode()
    def bare(self) -> None:
        with computing(self.device, self.precision):
            for batch in self.batches:
                if self.model.norm is not None:
                    self.model.norm.frames = None
                self.model.model(batch)


class Visual:
    """(a) and (b) of the face encoder."""

    def __init__(self, faces: Path, folder: Path, device: torch.device, precision: str) -> None:
        settings = VisualSettings()
        batch = settings.crops if device.type == "cuda" else settings.batch
        self.device, self.precision = device, precision
        self.crops = artefacts.load_tensors(faces / "crops.safetensors")["crops"]
        self.model = encoders.encoder("visual", folder).load(folder, settings, device)
        self.batches = [
            self.model.inputs(self.crops[first : first + batch]).to(device)
            for first in range(0, len(self.crops), batch)
        ]

    @torch.inference_mode()
    def plain(self) -> None:
        for crop in self.crops:
            self.model.model(self.model.inputs(crop[None]).to(self.device)).cpu().numpy()

    @torch.inference_mode()
    def bare(self) -> None:
        with computing(self.device, self.precision):
            for batch in self.batches:
                self.model.model(batch)


class Faces:
    """(a), (b) and (c) of the faces."""

    def __init__(self, table: pl.DataFrame, device: torch.device, workers: int) -> None:
        self.files, self.device, self.settings = by_file(table), device, FacesSettings()
        self.detector = mtcnn.load(self.settings, device)
        self.views = [view for own in each_file(self.files, self._views, workers) for view in own]
        self.film = float((table["end"] - table["start"]).sum())  # s

    def _views(self, rows: list[dict[str, Any]]) -> list[View]:
        """The pictures of a file in which faces are looked for, reduced; the whole ones are not kept."""
        return [
            replace(view, picture=view.small, reduced=partial(_as_it_is, view.scale))
            for look, view, _ in seen(rows, self.settings, self.detector.reduced, media.MOST)
            if view is not None and look.looked_for
        ]

    def plain(self) -> float:
        """MTCNN on every whole frame of the first seconds; returns the seconds of film."""
        network, done = MTCNN(keep_all=True, device=self.device).eval(), 0.0
        for rows in self.files:
            with av.open(rows[0]["media"]) as container:
                first = None
                for frame in container.decode(video=0):
                    first = frame.time if first is None else first
                    network.detect(frame.to_ndarray(format="rgb24"), landmarks=True)
                    if done + frame.time - first >= PLAIN_SECONDS:
                        return PLAIN_SECONDS
            done += frame.time - first
        return done

    def bare(self) -> None:
        if not self.detector.batches:
            for view in self.views:
                self.detector(view.small, view.scale)
            return
        for first in range(0, len(self.views), LANES * SHARE):
            look_for(self.views[first : first + LANES * SHARE], self.detector)

    def decode(self, workers: int) -> None:
        """Pictures as RGB at the times that are looked at, and the sound, several files side by side."""
        each_file(self.files, self._decode, workers)

    def _decode(self, rows: list[dict[str, Any]]) -> None:
        times = [look.time for which, row in enumerate(rows) for look in looks(which, row, self.settings)]
        for frame in media.frames(Path(rows[0]["media"]), sorted(times)):
            if frame is None:
                break
        sounds_of(rows)
