"""What the commands read: domains, oracles, hashes of files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pybackdoor.cli.options import OracleUse
from pybackdoor.domain import Domain
from pybackdoor.errors import FileRefusedError, InputError
from pybackdoor.oracles import DiskCachedOracle, Oracle, oracle


def load_oracle(name: str, domain: Domain | Path | None, use: OracleUse, *, progress: bool = False) -> Oracle:
    """The oracle called `name` on the command line, with this domain (a file's, or one) where it has none of its own, run as `use` says."""
    from pybackdoor.data import read_domain

    for option in ("timeout", "retries"):
        if getattr(use, f"oracle_{option}") and not use.oracle_workers:
            raise InputError(f"--oracle-{option} is for worker processes; give --oracle-workers as well")
    if use.oracle_version is not None and use.oracle_cache is None:
        raise InputError("--oracle-version goes with --oracle-cache; give both or neither")
    made = oracle(
        name,
        domain=read_domain(domain) if isinstance(domain, Path) else domain,
        workers=use.oracle_workers,
        timeout=use.oracle_timeout,
        retries=use.oracle_retries,
        progress=progress,
    )
    return made if use.oracle_cache is None else DiskCachedOracle(made, use.oracle_cache, version=use.oracle_version)


def load_domain(name: str | None, domain: Path | None) -> Domain | None:
    """The domain of --domain, else that of --oracle, else None."""
    from pybackdoor.data import read_domain

    if domain is not None:
        return read_domain(domain)
    return None if name is None else oracle(name).domain


def parse_center(words: Sequence[str], domain: Domain) -> dict[str, float]:
    """`name=value` pairs in any order, or d numbers in the domain's order, as {feature: value}. Commas separate like blanks."""
    entries = [entry for word in words for entry in word.split(",") if entry]
    needed = f"--center: {' '.join(f'{name}=VALUE' for name in domain.names)}, or {domain.dimension} numbers in this order, are needed"
    named = [entry.partition("=") for entry in entries]
    if all(separator for _, separator, _ in named):
        pairs = [(name.strip(), text) for name, _, text in named]
    elif not any(separator for _, separator, _ in named) and len(entries) == domain.dimension:
        pairs = list(zip(domain.names, entries, strict=True))
    else:
        raise InputError(f"{needed}; got {' '.join(words) or 'nothing'}")
    if sorted(name for name, _ in pairs) != sorted(domain.names):
        raise InputError(f"{needed}; got {' '.join(words) or 'nothing'}")
    return {name: _number(text, needed) for name, text in pairs}


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, as "sha256:<hex>"."""
    try:
        with Path(path).open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise FileRefusedError(f"{path}: cannot be read ({error.strerror or error}); check the path and its permissions") from error


def input_hashes(**inputs: str | Path | None) -> dict[str, str]:
    """The hash of each input that is a file or names one ("path/to/file.py:callable"); of the others, what was given."""
    hashes = {}
    for role, given in inputs.items():
        if given is None:
            continue
        location, _, attribute = str(given).rpartition(":")
        path = Path(location if location.endswith(".py") and attribute else given)
        hashes[role] = sha256(path) if path.is_file() else str(given)
    return hashes


def _number(text: str, needed: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{needed}; {text!r} is not a number") from None
