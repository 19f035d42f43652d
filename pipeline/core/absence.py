"""Every reason for which something that a network reads is missing: its name, and when it is given.

The names stand in the artefacts (`reason` of the features, `withheld` of the manifest) and in the tables of
absences; docs/artefacts.md says what each means to a reader, and a test holds that table to this module.
"""

# of a medium
FILE_MISSING = "file_missing"  # there is no such file
UNDECODABLE = "undecodable"  # the file, or all of the stream, cannot be decoded
NO_VIDEO = "no_video_stream"
NO_AUDIO = "no_audio_track"
OUT_OF_RANGE = "out_of_range"  # the medium ends before the utterance begins
SILENT = "silent"
TOO_SHORT = "too_short"
TOO_LARGE = "too_large"  # of what the settings let one file take of the memory
DAMAGED = "damaged"  # samples within it are no sound
WRONG_CUT = "wrong_cut"  # the clip holds more than the utterance, or less (MELD)
NO_LENGTH = "no_length"  # the transcript or label file ends the utterance where it begins
# of words and faces
NO_TEXT = "no_text"
NO_FACE = "no_face"
NO_SPEAKING_FACE = "no_speaking_face"
# of features that were extracted elsewhere
NOT_GIVEN = "not_given"
# of recognised words
ASR_UNSURE = "asr_unsure"
# of an annotated video
NO_TRANSCRIPT = "no_transcript"
NO_SPEECH = "no_speech"
NOT_READ = "not_read"  # the variant never reads this modality

REASONS = tuple(value for name, value in sorted(globals().items()) if name.isupper())
