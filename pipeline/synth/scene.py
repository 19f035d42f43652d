"""Film one dialogue of the embedded corpus: script -> pictures and sound -> one file and its rows.

Cameras as in real corpora: one camera on whoever speaks, or a two-shot that shows both all the time. A
speaker may be turned away or off screen; then only the listener (in a two-shot, or when the camera cuts
away) may be visible, which is a trap for whoever takes any face for the speaker's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.settings.rendering import RenderingSettings
from pipeline.synth.acting import Seat, Shot, listen_shots, speak_shots
from pipeline.synth.backdrop import room as backdrop
from pipeline.synth.face import Box, Person
from pipeline.synth.face_identity import make_identity
from pipeline.synth.face_relief import Vector
from pipeline.synth.microphone import draw_room, hiss, record
from pipeline.synth.mux import Muxer
from pipeline.synth.script import DialogueScript, UtteranceScript
from pipeline.synth.voice import RATE, make_voice, speak

LEAD = 0.10  # s of silence before the first word
MARGIN = 0.05  # s that an utterance's times leave around the words
CAMERA_STREAM, TAKE_STREAM = 2, 3  # apart from the script's own stream, which is 1
TWO_SHOT_PLACES = (0.28, 0.72)


@dataclass(frozen=True)
class Take:
    """What was filmed of one utterance: times (s), and the speaker's face box (px) in its middle."""

    script: UtteranceScript
    start: float
    end: float
    box: Box | None


class Set:
    """The set of one dialogue: people, seats, light, cameras and the room's sound."""

    def __init__(self, script: DialogueScript, settings: RenderingSettings, seed: int, dialogue: int):
        rng = np.random.default_rng([seed, CAMERA_STREAM, dialogue])
        self.script, self.settings = script, settings
        self.acoustics = draw_room(rng)
        self.lamp: Vector = (float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.7, -0.3)), 0.75)
        self.seats: dict[int, Seat] = {}
        self.rooms: dict[int, np.ndarray] = {}
        shared = backdrop(settings.width, settings.height, rng)
        for index, speaker in enumerate(script.speakers):
            scale = settings.head * settings.height * float(rng.uniform(0.93, 1.07))
            if script.two_shot:
                x, y = TWO_SHOT_PLACES[index], 0.52
                self.seats[speaker] = Seat(
                    x * settings.width, y * settings.height, scale * settings.two_shot_scale
                )
                self.rooms[speaker] = shared
            else:
                self.seats[speaker] = Seat(0.5 * settings.width, 0.47 * settings.height, scale)
                self.rooms[speaker] = backdrop(settings.width, settings.height, rng)
        self.people = {
            speaker: Person(make_identity(speaker, seed), self.seats[speaker].scale)
            for speaker in script.speakers
        }
        self.voices = {speaker: make_voice(speaker, seed) for speaker in script.speakers}
        self.stills: dict[tuple[int, frozenset[int]], np.ndarray] = {}

    def other(self, speaker: int) -> int:
        """The one who listens."""
        return next(person for person in self.script.speakers if person != speaker)

    def still(self, camera: int, present: frozenset[int]) -> np.ndarray:
        """The camera's picture (uint8) with everything that does not move: room, shoulders, back hair."""
        key = (camera, present)
        if key not in self.stills:
            picture = self.rooms[camera].copy()
            for person in sorted(present):
                self.people[person].sit(picture, self.seats[person].x, self.seats[person].y)
            self.stills[key] = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
        return self.stills[key]


def film_dialogue(
    script: DialogueScript, settings: RenderingSettings, seed: int, dialogue: int, path: Path
) -> list[Take]:
    """Render a dialogue into the film `path`; only one picture at a time is held in memory.

    Equal arguments give equal bytes on one kind of machine.
    """
    scene = Set(script, settings, seed, dialogue)
    takes: list[Take] = []
    with Muxer(path, settings, RATE) as film:
        for utterance in script.utterances:
            rng = np.random.default_rng([seed, TAKE_STREAM, dialogue, utterance.position])
            takes.append(_film_utterance(scene, utterance, film, rng))
    return takes


def _film_utterance(scene: Set, utterance: UtteranceScript, film: Muxer, rng: np.random.Generator) -> Take:
    fps, first = scene.settings.fps, film.pictures
    voice = scene.voices[utterance.speaker]
    words = speak(utterance.text, voice, utterance.cues["a"], utterance.intensity["a"], rng).sound
    pause = scene.settings.gap * float(rng.uniform(0.5, 1.5))
    frames = int(np.ceil((LEAD + len(words) / RATE + pause) * fps))
    # sound is cut where the pictures are, counted from the start of the film, so that both never drift
    samples = round((first + frames) / fps * RATE) - round(first / fps * RATE)
    sound = hiss(samples, rng)
    lead = int(LEAD * RATE)
    spoken = min(len(words), samples - lead)
    sound[lead : lead + spoken] += record(words, scene.acoustics, utterance.snr, rng)[:spoken]
    zero = first / fps
    start, end = zero + LEAD - MARGIN, zero + LEAD + spoken / RATE + MARGIN
    middle = min(frames - 1, int(((start + end) / 2 - zero) * fps))
    clean = np.zeros(samples, np.float32)
    clean[lead : lead + spoken] = words[:spoken]
    speaking = speak_shots(
        clean,
        frames,
        fps,
        cue=utterance.cues["v"],
        intensity=utterance.intensity["v"],
        seat=scene.seats[utterance.speaker],
        rng=rng,
    )
    listening = listen_shots(frames, fps, scene.seats[scene.other(utterance.speaker)], rng)
    cutaway = bool(rng.random() < scene.settings.cutaway)
    # the sound runs a picture ahead in the container, so that a reader never waits for it
    for index, picture in enumerate(_pictures(scene, utterance, speaking, listening, cutaway)):
        film.picture(picture)
        film.sound(sound[index * samples // frames : (index + 1) * samples // frames])
    box = None if utterance.hidden else _box(scene, utterance.speaker, speaking[middle])
    return Take(utterance, round(start, 3), round(end, 3), box)


def _pictures(
    scene: Set, utterance: UtteranceScript, speaking: list[Shot], listening: list[Shot], cutaway: bool
) -> Iterator[np.ndarray]:
    speaker, listener = utterance.speaker, scene.other(utterance.speaker)
    off = utterance.hidden == "off"
    camera = listener if off and cutaway else speaker
    present = {listener} if off and (cutaway or scene.script.two_shot) else set()
    if scene.script.two_shot:
        present.add(listener)
    if not off:
        present.add(speaker)
    still = scene.still(camera, frozenset(present))
    for spoken, heard in zip(speaking, listening, strict=True):
        picture = still.copy()
        if listener in present:
            scene.people[listener].paint(picture, heard.pose, heard.face, scene.lamp)
        if speaker in present:
            turned = utterance.hidden == "turned"
            scene.people[speaker].paint(picture, spoken.pose, spoken.face, scene.lamp, back=turned)
        yield picture


def _box(scene: Set, speaker: int, shot: Shot) -> Box:
    """The face box cut to the picture, in tenths of a pixel."""
    limits = (scene.settings.width, scene.settings.height) * 2
    values = zip(scene.people[speaker].box(shot.pose, shot.face), limits, strict=True)
    x0, y0, x1, y1 = (round(float(np.clip(value, 0, limit)), 1) for value, limit in values)
    return x0, y0, x1, y1
