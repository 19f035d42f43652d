"""The one error type that a person is meant to read."""


class PipelineError(Exception):
    """A fault in the input, the configuration or the machine, said in one paragraph.

    The message names what is wrong, where (file, row, key) and how to mend it. A stage prints it
    without a traceback and exits with status 1; any other exception is a defect of this project.
    """
