"""People: the tracks of one face in all shots of an utterance, linked by a network that knows faces."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.origins import ENCODER
from pipeline.core.registries import encoders
from pipeline.extraction.tracking import Crop, Track
from pipeline.settings.encoders import VisualSettings
from pipeline.settings.faces import FacesSettings

Embed = Callable[[UInt8[np.ndarray, "n s s 3"]], Float[np.ndarray, "n d"]]


Link = Callable[[Sequence[Track]], "list[Person]"]


@dataclass(frozen=True)
class Person:
    """One or more tracks, no two of them at one time, in order of time."""

    tracks: tuple[Track, ...]

    @property
    def number(self) -> int:
        """That of the track with the most detections, the first of several."""
        return max(self.tracks, key=lambda track: (len(track.faces), -track.number)).number

    @property
    def detections(self) -> int:
        return sum(len(track.faces) for track in self.tracks)

    def area(self) -> float:
        """Median box area (px^2) times the number of detections, summed over the tracks."""
        return sum(track.area() for track in self.tracks)

    def kept(self, most: int) -> list[tuple[Track, Crop]]:
        """At most `most` crops, evenly spaced over all tracks, each with its track."""
        if len(self.tracks) == 1:
            return [(self.tracks[0], crop) for crop in self.tracks[0].kept(most)]
        # every track has thinned its own crops as far as it had to
        stride = max(track.stride for track in self.tracks)
        crops = [(track, crop) for track in self.tracks for crop in track.crops[:: stride // track.stride]]
        if len(crops) <= most:
            return crops
        places = (np.arange(most) + 0.5) * len(crops) / most
        return [crops[int(place)] for place in places]


def at_one_time(one: Track, other: Track) -> bool:
    """Whether two tracks overlap in time, so that they cannot be of one person."""
    return one.times[0] <= other.times[-1] and other.times[0] <= one.times[-1]


def apart(tracks: Sequence[Track]) -> list[Person]:
    """Every track as a person."""
    return [Person((track,)) for track in tracks]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows at length 1; zeros stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def linked(tracks: Sequence[Track], embed: Embed, same: float) -> list[Person]:
    """Tracks joined into people, those that resemble each other most first, in order of their first track.

    embed: gives a vector a crop. Two groups of tracks are one person if the cosine of their mean vectors
    (each crop's at length 1) is at least `same`, and no track of one is at the same time as one of the other.
    Which number a track has does not matter.
    """
    order = sorted(tracks, key=lambda track: (track.times[0], *track.faces[0].box))
    groups = [[track] for track in order]
    sums = [unit(embed(np.stack([crop.pixels for crop in track.crops]))).sum(0) for track in order]
    while len(groups) > 1:
        cosines = unit(np.stack(sums)) @ unit(np.stack(sums)).T
        cosines[np.tril_indices(len(groups))] = -np.inf
        for row, ones in enumerate(groups):
            for column, others in enumerate(groups):
                if any(at_one_time(one, other) for one in ones for other in others):
                    cosines[row, column] = -np.inf
        row, column = divmod(int(np.argmax(cosines)), len(groups))
        if not cosines[row, column] >= same:
            break
        groups[row] += groups.pop(column)
        sums[row] = sums[row] + sums.pop(column)
    found = [Person(tuple(sorted(group, key=lambda track: track.times[0]))) for group in groups]
    return sorted(found, key=lambda person: order.index(person.tracks[0]))


class Asked:
    """A face encoder that is loaded when it is first asked, for most files have no cut."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device = folder, device
        self.lock = Lock()  # the files of a stage are followed in several threads
        self.encoder: Any = None

    def __call__(self, crops: UInt8[np.ndarray, "n s s 3"]) -> Float[np.ndarray, "n d"]:
        with self.lock:
            if self.encoder is None:
                module = encoders.encoder("visual", self.folder)
                self.encoder = module.load(self.folder, VisualSettings(), self.device)
        return self.encoder.encode(crops)


def linking(folder: Path | None, settings: FacesSettings, device: torch.device) -> Link | None:
    """What joins tracks into people by the face encoder in `folder`; None if nothing is to.

    Raises PipelineError if the encoder is wanted and is not there.
    """
    if folder is None and settings.link == "encoder":
        raise PipelineError(
            "config, key faces.link: it is encoder, and there is no face encoder to link tracks by. Name its "
            "folder with --encoder, or set faces.link to auto or never."
        )
    if folder is None or settings.link == "never":
        return None
    kind = artefacts.load_json(folder / "config.json", source=ENCODER).get("model_type")
    if settings.link == "auto" and kind not in encoders.KNOW_PEOPLE.values():
        return None
    embed = Asked(folder, device)
    return lambda tracks: linked(tracks, embed, settings.same)
