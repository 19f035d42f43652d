"""Snakemake looks at its ready jobs when something has changed.

Snakemake 9.27 looks at them again a second after each look, in case its limit of jobs a second held some
back. As every job that ends is a look, too, each begins another such chain that never ends: after n jobs it
asks n times a second for the size of each input of every ready job, on a thread for each
(snakemake/snakemake, pull request 3744). A look is needed only where the limit is reached, and one is enough.
"""

import threading

from snakemake.scheduling.job_scheduler import JobScheduler


def _where_the_limit_is_reached(self: JobScheduler, delay: float) -> None:
    limiter = self.job_rate_limiter
    if limiter is not None and delay == limiter.timespan and limiter.get_free_jobs():
        return
    if getattr(self, "_later", None) is not None:
        return

    def look() -> None:
        self._later = None  # first, so that this look can begin the next
        self._open_jobs.release()

    self._later = threading.Timer(delay, look)
    self._later.start()


def look_when_something_changed() -> None:
    """Have this process's Snakemake begin a later look only where one is needed and none is on its way."""
    JobScheduler._schedule_reevalutation = _where_the_limit_is_reached
