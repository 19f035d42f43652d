"""The emotion names of the embedded corpus, in the order of every array that is indexed by emotion."""

EMOTIONS = ("neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust")
