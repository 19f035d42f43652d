"""The project installs itself, so that what it offers to Python can be imported in any folder."""

import subprocess
import sys
import tomllib

import pytest
from workflow import ROOT, copy_project

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
INSTALLED = PROJECT["tool"]["setuptools"]


def test_every_package_is_named():
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("pipeline", "models")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert set(INSTALLED["packages"]) == found


def test_every_file_that_is_no_code_is_named():
    told = {f"{package}.{name}" for package, names in INSTALLED["package-data"].items() for name in names}
    listed = subprocess.run(
        ["git", "ls-files", "pipeline", "models"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    others = {path for path in listed.stdout.splitlines() if not path.endswith(".py")}
    assert told == {path.replace("/", ".") for path in others}


def test_what_builds_the_project_stands_in_both_locks():
    asked = PROJECT["build-system"]["requires"]
    assert asked[0] in (ROOT / "requirements.in").read_text(encoding="utf-8")
    for lock in ("requirements.lock", "requirements-test.lock"):
        assert "\nsetuptools==" in (ROOT / lock).read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_installed_project_is_imported_in_any_folder(tmp_path):
    clone, elsewhere = copy_project(tmp_path / "clone"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip, site = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index"], tmp_path / "site"
    flags = ["--no-deps", "--no-build-isolation", "--target", str(site), "--editable", str(clone)]
    subprocess.run([*pip, *flags], check=True)
    # this very environment may have the project installed as well, by a finder or by a line in a .pth file
    code = (
        "import site, sys\n"
        "sys.meta_path[:] = [one for one in sys.meta_path if not one.__module__.startswith('__editable__')]\n"
        "former = [name for name in sys.modules if name.startswith('__editable__')]\n"
        "for name in former: del sys.modules[name]\n"
        f"sys.path[:] = [{str(site)!r}, *(one for one in sys.path if one != {str(ROOT)!r})]\n"
        f"site.addsitedir({str(site)!r})\n"
        "from pipeline.model import load; from models.network import Network\n"
        "print(load.__code__.co_filename)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=elsewhere, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(clone / "pipeline" / "model.py")
