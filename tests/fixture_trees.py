"""Small trees that follow the layout of each real corpus, with its traps, made of real media files."""

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import h5py
import numpy as np

from pipeline.settings.corpus import CorpusSettings
from pipeline.synth.face import Person, Pose
from pipeline.synth.face_expression import expression
from pipeline.synth.face_identity import make_identity

SIDE, RATE = 112, 16_000


@functools.cache
def still(faces: int) -> np.ndarray:
    """A picture of so many drawn faces side by side, 112 pixels square each (one blank square for none)."""
    squares = []
    for number in range(max(faces, 1)):
        square = np.full((SIDE, SIDE, 3), (120, 130, 140), np.uint8)
        if faces:
            person = Person(make_identity(number, seed=0), scale=38)
            person.paint(square, Pose(SIDE / 2, SIDE / 2), expression("neutral"), (-0.4, -0.5, 0.75))
        squares.append(square)
    return np.concatenate(squares, 1)


def write_clip(path: Path, seconds: float = 1.0, *, sound: bool = True, faces: int = 1) -> Path:
    """A clip at 10 frames a second, MPEG-4 picture and AAC (PCM in .avi) sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # the container is told by the name; a path that begins with a hyphen would be taken as it is, too
    with av.open(str(path), "w") as file:
        video = file.add_stream("mpeg4", rate=10)
        video.width, video.height = SIDE * max(faces, 1), SIDE
        video.pix_fmt = "yuv420p"
        audio = None
        if sound:
            codec = "pcm_s16le" if path.suffix == ".avi" else "aac"
            audio = file.add_stream(codec, rate=RATE, layout="mono")
        for _ in range(round(seconds * 10)):
            file.mux(video.encode(av.VideoFrame.from_ndarray(still(faces), format="rgb24")))
        file.mux(video.encode())
        if audio is not None:
            time = np.arange(round(seconds * RATE)) / RATE
            wave = (0.3 * np.sin(2 * np.pi * 220 * time) * 32767).astype(np.int16)
            for first in range(0, len(wave), 1024):
                piece = wave[None, first : first + 1024]
                frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
                frame.sample_rate, frame.pts = RATE, first
                file.mux(audio.encode(frame))
            file.mux(audio.encode())
    return path


def write_text(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pinned(path: Path) -> dict[str, str]:
    """A file as the config names it."""
    return {"path": str(path), "sha256": digest(path)}


def settings(name: str, folder: Path | str, **keys: object) -> CorpusSettings:
    return CorpusSettings.model_validate({"name": name, "folder": str(folder), "counts": "report"} | keys)


# --- IEMOCAP

IEMOCAP_TURNS = {
    # dialogue: (speaker letter, start, end, label), out of order on purpose
    "impro01": [("M", 1.0, 2.0, "exc"), ("F", 0.0, 1.0, "neu"), ("F", 2.0, 3.0, "fru")],
    "script01_1b": [
        ("M", 0.0, 1.0, "ang"),
        ("F", 1.0, 2.0, "hap"),
        ("M", 2.0, 3.0, "sad"),
        ("F", 3.0, 4.0, "xxx"),
    ],
}


def iemocap_block(utterance: str, start: float, end: float, label: str) -> str:
    """One block of an EmoEvaluation file."""
    return (
        f"[{start:.4f} - {end:.4f}]\t{utterance}\t{label}\t[2.5000, 2.5000, 2.5000]\n"
        f"C-E2:\tNeutral;\t()\nC-F1:\tAnger;\t(curious)\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
    )


def iemocap(base: Path, sessions: Sequence[int] = (1, 2, 3, 4, 5)) -> Path:
    """IEMOCAP_full_release with two dialogues a session; session 3's first video is missing."""
    release = base / "IEMOCAP_full_release"
    for session in sessions:
        dialog = release / f"Session{session}" / "dialog"
        for number, (name, turns) in enumerate(IEMOCAP_TURNS.items()):
            dialogue = f"Ses0{session}{'FM'[number]}_{name}"
            blocks, lines = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n", []
            counts = {"F": 0, "M": 0}
            for letter, start, end, label in turns:
                utterance = f"{dialogue}_{letter}{counts[letter]:03d}"
                counts[letter] += 1
                blocks += iemocap_block(utterance, start, end, label)
                lines.append(f"{utterance} [{start:08.4f}-{end:08.4f}]: Words of {utterance}.")
            lines += ["M: (laughs)", f"{dialogue}_MXX0 [000.1000-000.2000]: not an utterance"]
            write_text(dialog / "EmoEvaluation" / f"{dialogue}.txt", blocks)
            write_text(dialog / "transcriptions" / f"{dialogue}.txt", "\n".join(lines) + "\n")
            if (session, number) != (3, 0):
                write_clip(dialog / "avi" / "DivX" / f"{dialogue}.avi", turns[-1][2], faces=2)
        write_text(dialog / "EmoEvaluation" / "Categorical" / "Ses01F_impro01_e1_cat.txt", "other material")
        write_text(dialog / "EmoEvaluation" / "._Ses01F_impro01.txt", "a resource fork")
        write_text(dialog / "avi" / "DivX" / "._Ses01F_impro01.avi", "a resource fork")
    return release


# --- MELD

MELD_HEAD = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
)
MELD_TEXT = "Don\x92t\x85 \x93you\x94"  # cp1252 read as latin-1


def meld_line(
    number: int, text: str, emotion: str, dialogue: int, utterance: int, seconds: float = 1.0
) -> str:
    end = 60_000 + round(1000 * seconds)
    times = f'"00:01:00,000","00:{end // 60_000:02d}:{end % 60_000 // 1000:02d},{end % 1000:03d}"'
    return f'{number},"{text}",Joey,{emotion},neutral,{dialogue},{utterance},1,1,{times}'


def meld(base: Path, dialogues: int = 2) -> Path:
    """MELD with nested trees, a gap, a missing and a broken clip, a wrong cut and a twin.

    Each split has the dialogues 0 ... with the utterances 0, 1, 3 (2 is a gap). In train dia0_utt1 is broken
    and dia0_utt3 missing; in dev dia0_utt0 is a wrong cut and dia1_utt1 has no face; in test dia0_utt0 has a
    twin of the right length.
    """
    root = base / "MELD.Raw"
    trees = {
        "train": root / "train" / "train_splits",
        "dev": root / "dev" / "dev_splits_complete",
        "test": root / "test" / "nested" / "output_repeated_splits_test",
    }
    emotions = ("neutral", "joy", "anger", "sadness", "surprise", "fear", "disgust")
    for split, tree in trees.items():
        lines = [MELD_HEAD]
        for dialogue in range(dialogues):
            for utterance in (0, 1, 3):
                number = len(lines)
                text = MELD_TEXT if split == "train" and number == 1 else f"Words {split} {number}"
                emotion = emotions[number % len(emotions)]
                zero = split == "test" and (dialogue, utterance) == (1, 3)
                lines.append(meld_line(number, text, emotion, dialogue, utterance, 0.0 if zero else 1.0))
                if split == "train" and (dialogue, utterance) == (0, 3):
                    continue
                clip = tree / f"dia{dialogue}_utt{utterance}.mp4"
                if split == "train" and (dialogue, utterance) == (0, 1):
                    write_text(clip, "not a film")
                elif split == "dev" and (dialogue, utterance) == (0, 0):
                    write_clip(clip, 3.0)
                elif split == "test" and (dialogue, utterance) == (0, 0):
                    write_clip(clip, 2.0)
                    write_clip(tree / "final_videos_testdia0_utt0.mp4", 1.0)
                else:
                    write_clip(clip, faces=int((split, dialogue, utterance) != ("dev", 1, 1)))
        write_text(base / f"{split}_sent_emo.csv", "\n".join(lines) + "\n")
        write_text(tree / "._dia0_utt0.mp4", "a resource fork")
    return base


# --- CMU-MOSEI

MOSEI_FOLDS = {
    "train": ["-3g5yACwYnA", "_abc", "empty1"],
    "valid": ["100499"],
    "test": ["0042", "77", "zz-z"],
}
MOSEI_CLIPS = (0, 1, 3)


def mosei_score(video: str, clip: int) -> float:
    return {0: -1.0, 1: 2.0, 3: 0.0}[clip]


def mosei(base: Path, *, tree: str = "Segmented", level: bool = True, labels: str = "csv") -> Path:
    """CMU-MOSEI with ids that begin with `-` or are digits; video `zz-z` has no media file.

    tree: Segmented or Full; level: whether the folders keep that level; labels: csv or csd. The first clip of
    each video starts before 0; clip 3 of `_abc` has no label, and a video `nowhere` is in no fold.
    """
    raw = base / "Raw"
    videos = [video for split in MOSEI_FOLDS.values() for video in split if video != "empty1"] + ["nowhere"]
    middle = Path("Segmented/Combined") if level else Path("Combined")
    films = raw / "Videos" / ((f"{tree}/Combined") if level else "Combined")
    for video in videos:
        lines = [f"{video}___{c}___{c - 0.2:.2f}___{c + 1:.2f}___Words {video} {c}" for c in MOSEI_CLIPS]
        write_text(raw / "Transcript" / middle / f"{video}.txt", "\n".join(lines) + "\n")
        if video == "zz-z":
            continue
        if tree == "Full":
            write_clip(films / f"{video}.mp4", 4.0)
        else:
            for clip in MOSEI_CLIPS:
                write_clip(films / f"{video}_{clip}.mp4")
    keys = [(v, c) for v in videos for c in MOSEI_CLIPS if (v, c) != ("_abc", 3)]
    if labels == "csv":
        rows = ["HITId,Input.VIDEO_ID,Input.CLIP,Answer.anger,Answer.sentiment"]
        for video, clip in keys:
            for spread in (-0.5, 0.0, 0.5):
                rows.append(f"h,{video},{clip},0,{mosei_score(video, clip) + spread}")
        half = len(rows) // 2
        write_text(raw / "Labels" / "Batch_1.csv", "\n".join(rows[:half]) + "\n")
        write_text(raw / "Labels" / "Batch_2.csv", "\n".join([rows[0], *rows[half:]]) + "\n")
    else:
        with h5py.File(base / "CMU_MOSEI_Labels.csd", "w") as file:
            for video in sorted({video for video, _ in keys}):
                own = [clip for name, clip in keys if name == video]
                group = file.create_group(f"All Labels/data/{video}")
                group["intervals"] = np.array([[c - 0.2, c + 1.0] for c in own])
                group["features"] = np.array([[mosei_score(video, c)] + [0.0] * 6 for c in own])
    write_text(base / "folds.json", json.dumps(MOSEI_FOLDS))
    return base


# --- a folder of one's own, and extracted features

CUES = "start,end,speaker,text,label\n0.0,0.5,Ann,Hello there,joy\n0.5,1.0,Ben,Go away,anger\n"


def own_folder(base: Path, dialogues: int = 4) -> Path:
    """Videos with .csv transcripts."""
    for number in range(dialogues):
        write_clip(base / f"talk{number}.mp4")
        write_text(base / f"talk{number}.csv", CUES)
    return base


def features(
    base: Path, index: str, arrays: Mapping[str, Mapping[str, np.ndarray]], suffix: str = ".npz"
) -> Path:
    """A folder of extracted features: index.csv and one array file a modality."""
    write_text(base / "index.csv", index)
    for modality, named in arrays.items():
        if suffix == ".npz":
            np.savez(base / f"{modality}.npz", **named)
        else:
            from safetensors.numpy import save_file

            save_file(
                {name: np.ascontiguousarray(array) for name, array in named.items()},
                base / f"{modality}{suffix}",
            )
    return base
