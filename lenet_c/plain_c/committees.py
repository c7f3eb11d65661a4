"""A committee as one C file: the files of its networks, and what adds their outputs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lenet_c.plain_c.writer import _float, _text

if TYPE_CHECKING:
    from lenet_c.ensemble import Ensemble

# Names at file scope that are not in the place of `digit`: two networks' would meet in one file.
_NAMES = (
    re.compile(r"^static [^=;{}()]*?(\w+)(?=\(|\[| =)", re.MULTILINE),
    re.compile(r"^\} (\w+);", re.MULTILINE),
    re.compile(r"^typedef [^{}]*?\b(\w+);", re.MULTILINE),
)
_ENUMS = re.compile(r"^enum \{([^}]*)\}", re.MULTILINE)
_MACROS = re.compile(r"^#define (\w+)", re.MULTILINE)

_READ = """\
#ifndef DIGIT_HEADER_ONLY
int digit_read(const uint8_t *image, float *outputs, float *scratch)
{
    float own[DIGIT_CLASSES];
    int best = 0, c;
    if (!image || !outputs || !scratch) return -1;
    for (c = 0; c < DIGIT_CLASSES; c++) outputs[c] = 0.0f;
@CALLS@    for (c = 1; c < DIGIT_CLASSES; c++)
        if (outputs[c] @BETTER@ outputs[best]) best = c;
    return best;
}
@NAME@#endif
"""


def source(committee: Ensemble, prefix: str, texts: list[str]) -> str:
    """Give the text of the file.

    Parameters
    ----------
    committee : Ensemble
    prefix : str
        A C identifier.
    texts : list of str
        Of each network its file, by the prefix with "_0", "_1" and so on.
    """
    upper = prefix.upper()
    parts = [_renamed(text, f"{prefix}_{k}") for k, text in enumerate(texts)]
    is_rbf = committee._network.is_rbf
    what = "penalties, of which the smallest wins" if is_rbf else "logits, the largest wins"
    most = ""
    for k in range(len(texts)):
        of_one = f"DIGIT_{k}_SCRATCH"
        most = f"({of_one} > {most} ? {of_one} : {most})" if most else of_one
    calls = ""
    for k, scale in enumerate(committee._scales):
        calls += f"    (void)digit_{k}_read(image, own, scratch);\n"
        calls += (
            f"    for (c = 0; c < DIGIT_CLASSES; c++) outputs[c] += {_float(scale)} * own[c];\n"
        )
    macros = [
        *(f"{name} DIGIT_0_{name}" for name in ("CLASSES", "HEIGHT", "WIDTH")),
        f"SCRATCH {most}",
        f"TEMPERATURE {_float(committee.temperature)}",
    ]
    if committee.rejection is not None:
        for name in ("penalty", "margin"):
            macros.append(f"REJECT_{name.upper()} {_float(getattr(committee.rejection, name))}")
    names = committee.class_names
    declared = named = ""
    if names is not None:
        declared = (
            "/* What a class is called, in UTF-8. */\nconst char *digit_name(int character);\n"
        )
        words = ", ".join(map(_text, names))
        named = (
            "\nconst char *digit_name(int character)\n{\n"
            f"    static const char *const names[{len(names)}] = {{{words}}};\n"
            f'    return character >= 0 && character < {len(names)} ? names[character] : "";\n}}\n'
        )
    head = (
        f"/* A committee of {len(texts)} networks. digit_read at the end adds their outputs, each "
        "times a number of its own. */\n"
        "#ifndef DIGIT_C\n#define DIGIT_C\n#ifdef DIGIT_HEADER_ONLY\n"
        + "".join(f"#define DIGIT_{k}_HEADER_ONLY\n" for k in range(len(texts)))
        + "#endif\n"
    )
    tail = (
        "/* ---- the committee "
        + "-" * 68
        + " */\n\n"
        + "".join(f"#define DIGIT_{macro}\n" for macro in macros)
        + '\n#ifdef __cplusplus\nextern "C" {\n#endif\n\n'
        + f"/* Gives the class, and to `outputs` {what}; -1 if a pointer is NULL. */\n"
        + "int digit_read(const uint8_t *image, float *outputs, float *scratch);\n"
        + declared
        + "\n"
        + _READ.replace("@CALLS@", calls)
        .replace("@BETTER@", "<" if is_rbf else ">")
        .replace("@NAME@", named)
        + "\n#ifdef __cplusplus\n}\n#endif\n"
        + "#endif /* DIGIT_C */\n"
    )
    own = [re.sub(r"\bDIGIT_", f"{upper}_", each) for each in (head, tail)]
    own = [re.sub(r"\bdigit_", f"{prefix}_", each) for each in own]
    return "\n".join([own[0], *parts, own[1]])


def _renamed(text: str, prefix: str) -> str:
    """Put the prefix before all that a network's file names at file scope."""
    names = {name for pattern in _NAMES for name in pattern.findall(text)}
    for words in _ENUMS.findall(text):
        names |= set(re.findall(r"\w+", words))
    names |= set(_MACROS.findall(text))
    names = {name for name in names if not name.lower().startswith(prefix.lower())}
    # a string, which stays as it is, or a name
    name = "|".join(sorted(names, key=len, reverse=True))
    pattern = re.compile(rf'"(?:[^"\\\n]|\\.)*"|\b({name})\b')
    return pattern.sub(lambda found: f"{prefix}_{found[1]}" if found[1] else found[0], text)
