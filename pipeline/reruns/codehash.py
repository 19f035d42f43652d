"""A digest of the code that a result depends on: the first-party import closure of a module.

Snakemake does not see an edit of an imported module, so each rule carries this digest as a parameter.
It is static (`ast` and the standard library only), so it is cheap when the job graph is built, and it
imports nothing of what it reads. Comments, blank lines, formatting, docstrings and modification times do
not count.
"""

import ast
import hashlib
import sys
from functools import cache
from pathlib import Path

from pipeline.reruns.readings import Reading, Readings

ROOT = Path(__file__).resolve().parents[2]
FIRST_PARTY = ("pipeline", "models")  # all else is the lock's business
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
FOLLOWED = (ast.Import, ast.ImportFrom, ast.Call)
# tables of names and the modules that they stand for
REGISTRIES = tuple(
    f"pipeline.core.registries.{kind}"
    for kind in ("choices", "corpora", "detectors", "encoders", "networks", "protocols", "speakers")
)
READINGS = Readings()  # the Snakefile says where they are kept
# what a reading depends on beside the file: this code, and the Python whose `ast` it is
READER = f"{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()} {sys.version}"


@cache
def module_file(module: str) -> Path | None:
    """The file that a first-party module is read from, or None if there is none.

    Asked thousands of times a graph, and of a file system that nodes share each question may take long.
    """
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _source(module: str) -> Path:
    """The file that a first-party module is read from; raises ValueError if there is none."""
    path = module_file(module)
    if path is None:
        raise ValueError(f"no such module in this project: {module}")
    return path


def _imported_names(nodes: list[ast.AST], package: str, path: Path, dynamic_allowed: bool) -> set[str]:
    """Every dotted name that the module may import, first-party or not; lazy imports count.

    `nodes`: the module's import statements and calls, in any order.
    """
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                above = parts[: len(parts) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and not dynamic_allowed:
                target = node.args[0] if node.args else None
                if not (isinstance(target, ast.Constant) and isinstance(target.value, str)):
                    raise ValueError(
                        f"{path}:{node.lineno}: this import cannot be followed statically, so an edit of "
                        "what it loads would rerun nothing. Import by a literal name, or add the module "
                        "to REGISTRIES and give the rule the module that the registry selects."
                    )
                found.add(target.value)
    return found


@cache
def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """What makes a node of this kind differ from another; the context follows from the place."""
    return tuple(name for name in kind._fields if name not in ("ctx", "type_comment", "kind"))


def _read(node: ast.AST, text: list[str], followed: list[ast.AST]) -> None:
    """Add the node's meaning to `text`, and its import statements and calls to `followed`.

    In one pass, and leaner than ast.dump: this is most of the time that the job graph takes to build.
    """
    kind = type(node)
    text.append(kind.__name__)
    if kind in FOLLOWED:
        followed.append(node)
    # mypy takes no class of `ast` for hashable
    for name in _fields(kind):  # type: ignore[arg-type]
        value = getattr(node, name, None)
        if type(value) is list:
            if name == "body" and kind in DOCUMENTED and value and _is_docstring(value[0]):
                value = value[1:]
            text.append("[")
            for item in value:
                if isinstance(item, ast.AST):
                    _read(item, text, followed)
                else:
                    text.append(repr(item))
            text.append("]")
        elif isinstance(value, ast.AST):
            _read(value, text, followed)
        else:
            text.append(repr(value))


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@cache
def _parse(module: str) -> tuple[frozenset[str], str, frozenset[str]]:
    """(first-party modules imported directly, digest of the normalised source, other packages imported)."""
    path = _source(module)
    source = path.read_bytes()
    key = hashlib.sha256(f"{READER} {module} {path.name} ".encode() + source).hexdigest()
    reading = READINGS.get(key)
    if reading is None:
        reading = _reading(module, path, source)
        READINGS.put(key, reading)
    # which of the names are modules depends on the other files
    own = {name for name in reading.names if name.split(".")[0] in FIRST_PARTY and module_file(name)}
    parents = {
        name.rsplit(".", depth)[0] for name in own | {module} for depth in range(1, name.count(".") + 1)
    }
    own |= {name for name in parents if module_file(name)}
    other = {name.split(".")[0] for name in reading.names} - {"", *FIRST_PARTY, *sys.stdlib_module_names}
    return frozenset(own), reading.digest, frozenset(other)


def _reading(module: str, path: Path, source: bytes) -> Reading:
    """What the text of a module says by itself."""
    tree = ast.parse(source, filename=str(path))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    text: list[str] = []
    followed: list[ast.AST] = []
    _read(tree, text, followed)
    names = _imported_names(followed, package, path, dynamic_allowed=module in REGISTRIES)
    digest = hashlib.sha256("\n".join(text).encode("utf-8", "surrogatepass")).hexdigest()
    return Reading(tuple(sorted(names)), digest)


def direct_imports(module: str) -> frozenset[str]:
    """The first-party modules that a module imports itself, within functions too, and the packages above."""
    return _parse(module)[0]


@cache
def closure(*modules: str) -> tuple[str, ...]:
    """All first-party modules reached from `modules`, sorted.

    Raises ValueError if a module does not exist or has an import that cannot be followed.
    """
    seen: set[str] = set()
    todo = list(modules)
    while todo:
        module = todo.pop()
        if module in seen:
            continue
        seen.add(module)
        todo.extend(_parse(module)[0])
    return tuple(sorted(seen))


@cache
def code_digest(*modules: str) -> str:
    """Sixteen hexadecimal digits that change when the code behind `modules` changes."""
    total = hashlib.sha256()
    for module in closure(*modules):
        total.update(f"{module} {_parse(module)[1]}\n".encode())
    return total.hexdigest()[:16]


@cache
def third_party(*modules: str) -> tuple[str, ...]:
    """The packages, neither ours nor Python's own, that the code behind `modules` imports, sorted."""
    return tuple(sorted(set().union(*(_parse(module)[2] for module in closure(*modules)))))


@cache
def code_lines(*modules: str) -> dict[str, str]:
    """Of each file behind `modules`, by its path: the path and its own digest, for a reason that names it."""
    paths = {str(_source(module).relative_to(ROOT)): module for module in closure(*modules)}
    return {path: f"{path} {_parse(module)[1][:12]}" for path, module in sorted(paths.items())}
