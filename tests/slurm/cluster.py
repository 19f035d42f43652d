"""A real one-node SLURM for a test: its own daemons, two fake GPUs, with or without accounting.

SLURM reads its settings from the place that was compiled into it, so this writes /etc/slurm (and takes it
away again) and needs root. A cluster that is configured there already is never touched. The Debian packages
are slurmctld, slurmd, slurm-client and munge, for accounting also slurmdbd and mariadb-server.
"""

import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SETTINGS = Path("/etc/slurm")
MARK = "# written by the tests of CoRe-KD"
HOST = socket.gethostname().split(".")[0]
CONTROLLER, NODE, DATABASE, STORAGE = 16817, 16818, 16819, 16806  # ports

CLUSTER = """{mark}
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
# also how long a requeued job waits before it starts again
AuthInfo=cred_expire=20
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ReturnToService=1
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=0
# records of finished jobs stay for the whole test
MinJobAge=7200
KillWait=5
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=32000 Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=300 State=UP
PartitionName=gpu Nodes={host} MaxTime=300 State=UP
"""
ACCOUNTING = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={database}
AccountingStorageTRES=gres/gpu
"""
CGROUPS = "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup\n"
POLLED = "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nJobAcctGatherParams=OverMemoryKill\n"
STORE = """{mark}
AuthType=auth/munge
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={database}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={storage}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""


@dataclass(frozen=True)
class Job:
    """One job as SLURM remembers it; times in whole seconds."""

    number: str
    rule: str  # or group, with its members: judge_evaluate_states
    state: str
    gpus: int
    memory: int  # MB
    start: float
    end: float
    restarts: int


def why_not(*, accounting: bool = True) -> str | None:
    """Why no cluster can be started here, or None."""
    if os.geteuid() != 0:
        return "a SLURM cluster of the test's own needs root"
    commands = ["slurmctld", "slurmd", "sbatch", "munged"]
    commands += ["slurmdbd", "mariadbd", "mariadb-install-db"] if accounting else []
    missing = [name for name in commands if shutil.which(name) is None]
    if missing:
        return f"no {missing[0]}: apt-get install slurmctld slurmd slurm-client munge slurmdbd mariadb-server"
    running = _daemons_here()
    if running:
        return f"{running[0]}: there is another cluster on this machine. End it, then run again"
    settings = SETTINGS / "slurm.conf"
    if settings.exists() and MARK not in settings.read_text():
        return f"{settings} belongs to a cluster that is none of the test's"
    return None


def _daemons_here() -> list[str]:
    """SLURM's daemons that run on this machine, each with its process number."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, name, state = re.match(r"(\d+) \((.*)\) (\w)", status.read_text()).groups()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name in ("slurmctld", "slurmd", "slurmdbd") and state != "Z":
            found.append(f"{name} already runs (process {number})")
    return found


def until(true: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until `true()`; AssertionError with `what` if it does not become so.

    A command of SLURM that fails meanwhile (a controller that is busy) is asked again.
    """
    deadline = time.monotonic() + seconds
    while True:
        failure = None
        try:
            if true():
                return
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            failure = error
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what} {failure or ''}"
        time.sleep(0.1)


def asked(*command: str) -> str:
    """What a command prints; raises CalledProcessError or TimeoutExpired."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def said(*command: str) -> str:
    """What a command prints; empty if it fails or does not answer."""
    try:
        return asked(*command)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return ""


class Cluster:
    """Use as a context: running from `__enter__` to `__exit__`."""

    def __init__(self, *, accounting: bool) -> None:
        self.accounting = accounting
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-tests-"))
        self.daemons: list[subprocess.Popen] = []
        self.stopped = False

    def __enter__(self) -> "Cluster":
        try:
            self.folder.chmod(0o755)
            for name in ("state", "spool", "munge", "dev", "sql"):
                (self.folder / name).mkdir()
            self._write_settings()
            self._start_munge()
            if self.accounting:
                self._start_accounting()
            self._start("slurmctld", "-D")
            until(lambda: "UP" in said("scontrol", "ping"), "slurmctld answers")
            self._start("slurmd", "-D", "-N", HOST)
            until(lambda: "idle" in self.node_state(), "the node is idle")
            # another cluster's daemons might have answered
            dead = [str(daemon.args[0]) for daemon in self.daemons if daemon.poll() is not None]
            assert not dead, f"{', '.join(dead)} ended at once"
        except BaseException as error:
            for path in self.folder.glob("*.out"):
                error.add_note(f"{path.name}: {path.read_text()[-1500:]}")
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Cancel what runs, end the daemons and take the settings away; once is enough."""
        if self.stopped:
            return
        self.stopped = True
        if any(daemon.args[0] == "slurmctld" for daemon in self.daemons):
            said("scancel", "--user", "root")
            time.sleep(1)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(30)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.daemons = []
        for name in ("slurm", "gres", "cgroup", "slurmdbd"):
            path = SETTINGS / f"{name}.conf"
            if path.exists() and MARK in path.read_text():
                path.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    # what a test does to it

    def jobs(self) -> list[Job]:
        """Every job since the start, from the controller's own records; raises if it does not answer."""
        lines = asked("scontrol", "--details", "--oneliner", "show", "job").splitlines()
        return [_job(line) for line in lines if line.startswith("JobId=")]

    def running(self, rule: str) -> Job:
        """The one running job of a rule."""
        found: list[Job] = []

        def one() -> bool:
            found[:] = [job for job in self.jobs() if job.rule == rule and job.state == "RUNNING"]
            return len(found) == 1

        until(one, f"one job of {rule} runs")
        return found[0]

    def accounted(self) -> dict[str, tuple[str, bool]]:
        """State, and whether it had a GPU, of every job by its number: from the accounting database.

        The controller writes there some time after an event.
        """
        # without a start sacct begins at midnight, and a run may have begun before
        rows = asked(
            "sacct", "-X", "-n", "-P", "-S", "now-2days", "-o", "JobIDRaw,State,AllocTRES"
        ).splitlines()
        fields = [row.split("|") for row in rows]
        return {number: (state.split()[0], "gres/gpu=1" in tres) for number, state, tres in fields}

    def cancel(self, job: Job) -> None:
        """As an administrator or a preempting job does: SIGTERM, then SIGKILL."""
        subprocess.run(["scancel", job.number], check=True, timeout=60)

    def node_state(self) -> str:
        return said("sinfo", "--noheader", "--Node", "--format=%T")

    def lose_node(self) -> None:
        """The node goes down with what runs on it, and comes back."""
        update = ["scontrol", "update", f"nodename={HOST}"]
        subprocess.run([*update, "state=down", "reason=test"], check=True, timeout=60)
        until(lambda: not any(job.state == "RUNNING" for job in self.jobs()), "the node's jobs are gone")
        subprocess.run([*update, "state=resume"], check=True, timeout=60)
        until(lambda: "down" not in self.node_state(), "the node is back")

    # how it is started

    def _fill(self, text: str) -> str:
        ports = {"controller": CONTROLLER, "node": NODE, "database": DATABASE, "storage": STORAGE}
        return text.format(mark=MARK, host=HOST, folder=self.folder, **ports)

    def _write_settings(self) -> None:
        SETTINGS.mkdir(parents=True, exist_ok=True)
        devices = [self.folder / "dev" / f"gpu{number}" for number in range(2)]
        for device in devices:
            # a GPU is a character device; this one is another /dev/null
            os.mknod(device, 0o600 | 0o020000, os.makedev(1, 3))
        rows = "".join(f"NodeName={HOST} Name=gpu File={device}\n" for device in devices)
        (SETTINGS / "gres.conf").write_text(f"{MARK}\nAutoDetect=off\n{rows}")
        text = self._fill(CLUSTER) + (self._fill(ACCOUNTING) if self.accounting else "")
        if _memory_cgroup():
            text += CGROUPS
            facts = "CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\nConstrainRAMSpace=yes\n"
            (SETTINGS / "cgroup.conf").write_text(f"{MARK}\n{facts}")
        else:
            text += POLLED
        (SETTINGS / "slurm.conf").write_text(text)

    def _start(self, *command: str, user: str | None = None) -> None:
        options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "start_new_session": True}
        with open(self.folder / f"{command[0]}.out", "wb") as log:
            self.daemons.append(subprocess.Popen(command, stdout=log, user=user, **options))

    def _start_munge(self) -> None:
        """Munge on its common socket; one that answers already is used as it is."""
        if said("munge", "-n"):
            return
        place, sockets = self.folder / "munge", Path("/run/munge")
        sockets.mkdir(exist_ok=True)
        sockets.chmod(0o755)
        (place / "munge.key").write_bytes(secrets.token_bytes(128))
        (place / "munge.key").chmod(0o600)
        for path in (place, place / "munge.key", sockets):
            shutil.chown(path, "munge", "munge")
        files = [f"--{name}-file={place}/munge.{name}" for name in ("key", "log", "pid", "seed")]
        self._start("munged", "--foreground", "--force", *files, user="munge")
        until(lambda: said("munge", "-n"), "munge answers")

    def _start_accounting(self) -> None:
        base, sock = self.folder / "sql", self.folder / "sql" / "socket"
        shutil.chown(base, "mysql", "mysql")
        store = ["--no-defaults", "--user=mysql", f"--datadir={base}/data"]
        install = ["mariadb-install-db", *store, "--auth-root-authentication-method=normal"]
        subprocess.run(install, check=True, capture_output=True, timeout=120)
        network = ["--bind-address=127.0.0.1", f"--port={STORAGE}", f"--pid-file={base}/pid"]
        self._start("mariadbd", *store, f"--socket={sock}", *network)
        client = ["--no-defaults", f"--socket={sock}"]
        until(lambda: said("mariadb-admin", *client, "ping"), "MariaDB answers")
        grants = "CREATE DATABASE slurm_acct_db;"
        for host in ("127.0.0.1", "localhost"):
            grants += f"CREATE USER slurm@'{host}' IDENTIFIED BY 'slurm';"
            grants += f"GRANT ALL ON slurm_acct_db.* TO slurm@'{host}';"
        subprocess.run(["mariadb", *client, "--execute", grants], check=True, timeout=60)
        path = SETTINGS / "slurmdbd.conf"
        path.touch(0o600)
        path.write_text(self._fill(STORE))
        self._start("slurmdbd", "-D")
        until(lambda: said("sacctmgr", "-i", "add", "cluster", "tests"), "slurmdbd registers the cluster")
        for what in (["account", "lab"], ["user", "root", "account=lab"]):
            subprocess.run(
                ["sacctmgr", "-i", "-Q", "add", *what], check=True, capture_output=True, timeout=60
            )


def _memory_cgroup() -> bool:
    """Whether memory can be limited by a cgroup of version 1; else SLURM looks every second and kills."""
    probe = Path("/sys/fs/cgroup/memory/slurm-tests")
    try:
        probe.mkdir()
    except OSError:
        return False
    limit = os.access(probe / "memory.limit_in_bytes", os.W_OK)
    probe.rmdir()
    return limit


def _job(line: str) -> Job:
    """One line of `scontrol --oneliner show job`."""
    facts = dict(re.findall(r"(\w+)=(\S*)", line))
    rule = re.match(r"rule_(.+?)(_wildcards_|@|$)", facts["Comment"])
    memory = re.search(r"mem=(\d+)([MG])", facts["TRES"])
    scale = {"M": 1, "G": 1024}[memory[2]]

    def seconds(name: str) -> float:
        text = facts[name]
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S")) if text[:1].isdigit() else float("nan")

    gpus = re.search(r"gpu:(?:\w+:)?(\d+)", facts.get("JOB_GRES", ""))
    return Job(
        number=facts["JobId"],
        rule=rule[1] if rule else "",
        state=facts["JobState"],
        gpus=int(gpus[1]) if gpus else 0,
        memory=int(memory[1]) * scale,
        start=seconds("StartTime"),
        end=seconds("EndTime"),
        restarts=int(facts["Restarts"]),
    )
