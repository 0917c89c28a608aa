#!/usr/bin/env python3
"""Reads every #include and refuses arrows that point backwards and third-party headers outside platform/.

The arrows are those of ARCHITECTURE.md:
  tinysphere -> protocol -> base;  agent -> tinylcm -> protocol -> base;  tinylcm and tinysphere never touch.
Inside tinylcm each module may use only the modules named below. Tests may also use tests/support and GoogleTest.
Usage: check_arrows.py [ROOT]   exit 0: all arrows hold; 1: some do not (one line each).
"""

import pathlib
import re
import sys

# Which top folders a top folder may include (itself always).
TOP = {
    "base": set(),
    "protocol": {"base"},
    "tinylcm": {"protocol", "base"},
    "agent": {"tinylcm", "protocol", "base"},
    "tinysphere": {"protocol", "base"},
    "tools": {"protocol", "base"},
    "bench": {"agent", "tinylcm", "tinysphere", "protocol", "base", "tools"},
    "tests": {"tinylcm", "tinysphere", "protocol", "base", "agent", "tools"},
}

# Which modules a module of tinylcm may include (itself always).
MODULES = {
    "accuracy": set(),
    "feature": set(),
    "classify": set(),
    "drift": set(),
    "evaluation": set(),
    "state": set(),
    "source": set(),
    "monitor": set(),
    "datalog": {"drift", "state"},
    "location": set(),
    "model": {"feature", "classify", "drift", "state", "source"},
    "adapt": {"feature", "classify", "drift", "state"},
    "sync": {"datalog", "state"},
    "pipeline": {"accuracy", "source", "feature", "classify", "drift", "monitor", "adapt", "datalog", "sync", "model", "state"},
    "device": {"source", "drift", "monitor", "adapt", "model", "state", "pipeline"},
}

STANDARD = set(
    """algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv chrono cinttypes climits
    clocale cmath codecvt compare complex concepts condition_variable coroutine csetjmp csignal cstdarg cstddef cstdint
    cstdio cstdlib cstring ctime cwchar deque exception execution filesystem forward_list fstream functional future
    initializer_list iomanip ios iosfwd iostream istream iterator latch limits list locale map memory memory_resource
    mutex new numbers numeric optional ostream queue random ranges ratio regex scoped_allocator semaphore set
    shared_mutex source_location span sstream stack stdexcept stop_token streambuf string string_view strstream
    syncstream system_error thread tuple type_traits typeindex typeinfo unordered_map unordered_set utility valarray
    variant vector version""".split()
)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def is_test(path: pathlib.Path) -> bool:
    return path.name.endswith(("_test.cc", "_benchmark.cc", "_test.h")) or path.parts[0] in ("tests", "bench")


def platform_of(path: pathlib.Path) -> bool:
    return "platform" in path.parts


def tinylcm_module(path: str) -> str | None:
    parts = pathlib.PurePath(path).parts
    if parts[:3] == ("tinylcm", "include", "tinylcm") and len(parts) > 4:
        return parts[3]
    if parts[:2] == ("tinylcm", "src") and len(parts) > 3:
        return parts[2]
    if len(parts) == 3 and parts[0] == "tinylcm":
        return parts[1]
    return None


def check(root: pathlib.Path) -> list[str]:
    wrong = []
    for top in TOP:
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".h", ".cc") or "node_modules" in path.parts or "build" in path.parts:
                continue
            relative = path.relative_to(root)
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                match = INCLUDE.match(line)
                if match:
                    reason = refuse(relative, match.group(1), match.group(2))
                    if reason:
                        wrong.append(f"{relative}:{number}: {match.group(2)}: {reason}")
    return wrong


def refuse(path: pathlib.Path, bracket: str, header: str) -> str | None:
    if bracket == "<":
        if header in STANDARD or platform_of(path) or is_test(path):
            return None
        return "third-party and system headers belong below platform/<library>/"
    target_top = pathlib.PurePath(header).parts[0]
    if target_top not in TOP:
        if is_test(path) or platform_of(path):
            return None
        return "include by the path from the root (a third-party header belongs below platform/)"
    own_top = path.parts[0]
    if is_test(path) and target_top in ("tests", "base", "protocol"):
        return None
    if target_top != own_top and target_top not in TOP[own_top]:
        return f"{own_top} may not use {target_top}"
    if own_top == "tinylcm" and target_top == "tinylcm" and not is_test(path):
        own, other = tinylcm_module(str(path)), tinylcm_module(header)
        if own == "platform" or own is None or other is None or own == other or other == "platform":
            if other == "platform" and own != "platform":
                return "a module sees an interface, never platform/"
            return None
        if other not in MODULES.get(own, set()):
            return f"{own} may not use {other}"
    return None


def main() -> int:
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    wrong = check(root)
    for line in wrong:
        print(line)
    print(f"check_arrows: {len(wrong)} arrows point the wrong way" if wrong else "check_arrows: every arrow holds")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
