"""What an expression of PromQL names, as far as ours need it: metrics and labels."""

import re
from typing import Final

WORDS: Final = {
    "absent", "and", "by", "histogram_quantile", "increase", "max", "min", "on", "or", "rate", "sum",
    "unless",
}  # fmt: skip
"""Functions and keywords that ours use; any other word has to be a metric."""

_SELECTOR: Final = re.compile(r"\{([^}]*)\}")
_GROUPING: Final = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def metrics_in(expression: str) -> set[str]:
    bare = _GROUPING.sub(" ", _SELECTOR.sub(" ", re.sub(r"\[[^\]]*\]", " ", expression)))
    return set(_NAME.findall(re.sub(r"\b[0-9.]+[a-z]*", " ", bare))) - WORDS


def labels_in(expression: str) -> set[str]:
    selected = [
        name for group in _SELECTOR.findall(expression) for name in re.findall(r"(\w+)\s*[=!]", group)
    ]
    grouped = [name for group in _GROUPING.findall(expression) for name in _NAME.findall(group)]
    return {*selected, *grouped}
