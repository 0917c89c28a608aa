#!/usr/bin/env python3
"""Compares our own declarations of LiteRT and ONNX Runtime with the libraries' real headers.

    runtime_headers.py      0: they agree; 1: they do not (the compiler says where); 3: no header could be had

LiteRT's headers come out of the crate edgefirst-tflite-sys 0.10.3 (through cargo), ONNX Runtime's out of Debian
trixie's libonnxruntime-dev (through apt, into a folder of its own: nothing is installed). Both are kept in the
cache folder. For each function that we declare, a program is compiled that holds its result and arguments, one
by one, against the real ones: same kind (pointer, pointer to pointer, integer of so many bytes, float) and, for
ONNX Runtime, the same place in the table; and our constants and layouts against theirs.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tinymlops"
LITERT = ROOT / "tinylcm/src/platform/litert/litert_c.h"
ONNX = ROOT / "tinylcm/src/platform/onnxruntime/onnxruntime_c.h"
CRATE = "edgefirst-tflite-sys"
CRATE_VERSION = "0.10.3"
CRATE_SHA256 = "458c8adba94ceeb5f15a6c7d28553f5622110dd29b74b5b9b535a3988f5eaba5"
PACKAGE = "libonnxruntime-dev"
PACKAGE_VERSION = "1.21.0+dfsg-1"
PACKAGE_SHA256 = "14f7d959d5deacbcf1504830d4189f91fc67382b399ed9ae9d3aa9c4050ced08"


class Unreachable(Exception):
    """The header cannot be had here."""


def run(*command, **more):
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, **more)
    except FileNotFoundError as error:
        raise Unreachable(f"{command[0]} is not installed") from error
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise Unreachable(f"{command[0]}: {said[-1] if said else 'failed'}") from error


def keep(folder, made):
    """A folder of the cache: whole, or not there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made, folder)


def check_digest(file, expected):
    if hashlib.sha256(file.read_bytes()).hexdigest() != expected:
        raise Unreachable(f"{file.name} has the wrong digest")


def litert_headers():
    folder = CACHE / f"headers-litert-{CRATE_VERSION}"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            (work / "src").mkdir()
            (work / "src/main.rs").write_text("fn main() {}\n")
            (work / "Cargo.toml").write_text(
                f'[package]\nname = "headers"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\n{CRATE} = "={CRATE_VERSION}"\n')
            home = work / "home"
            run("cargo", "fetch", "-q", cwd=work, env={**os.environ, "CARGO_HOME": str(home)})
            crate = next((home / "registry/cache").glob(f"*/{CRATE}-{CRATE_VERSION}.crate"))
            check_digest(crate, CRATE_SHA256)
            run("tar", "xzf", crate, "-C", work)
            keep(folder, work / f"{CRATE}-{CRATE_VERSION}")
    return folder


def onnx_headers():
    folder = CACHE / f"headers-onnxruntime-{PACKAGE_VERSION}"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            for name in ("etc", "lists/partial", "cache/archives/partial"):
                (work / name).mkdir(parents=True)
            # The machine's own Debian mirror has the newer release, too.
            mirror = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").stdout.split()
            if not mirror:
                raise Unreachable("apt has no Debian mirror")
            (work / "etc/trixie.sources").write_text(
                f"Types: deb\nURIs: {mirror[0]}\nSuites: trixie\nComponents: main\n"
                "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n")
            apt = ["apt-get", "-qq", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={work}/etc",
                   "-o", f"Dir::State::lists={work}/lists", "-o", f"Dir::Cache={work}/cache", "-o", "APT::Sandbox::User=root"]
            run(*apt, "update")
            run(*apt, "download", f"{PACKAGE}:amd64={PACKAGE_VERSION}", cwd=work)
            package = next(work.glob(f"{PACKAGE}_*.deb"))
            check_digest(package, PACKAGE_SHA256)
            run("dpkg-deb", "-x", package, work / "package")
            keep(folder, work / "package/usr/include/onnxruntime")
    return folder


# Two function types agree when each result and argument is of the same kind.
AGREE = """
#include <cstddef>
#include <cstdint>
#include <type_traits>
template <typename T> struct Kind {
  using Plain = std::remove_cv_t<T>;
  static constexpr int pointers = 0;
  static constexpr std::size_t size = sizeof(Plain);
  static constexpr bool is_float = std::is_floating_point_v<Plain>;
};
template <> struct Kind<void> {
  static constexpr int pointers = 0; static constexpr std::size_t size = 0; static constexpr bool is_float = false;
};
template <typename T> struct Kind<T*> {
  static constexpr int pointers = 1 + Kind<std::remove_cv_t<T>>::pointers;
  static constexpr std::size_t size = 8;
  static constexpr bool is_float = false;
};
// What a pointer leads to is compared only where it is a number: handles are ours and theirs.
template <typename T, typename = void> struct Opaque { static constexpr std::size_t size = 0; };
template <typename T> struct Opaque<T, std::enable_if_t<std::is_arithmetic_v<T> || std::is_enum_v<T>>> {
  static constexpr std::size_t size = sizeof(T);
};
template <typename T> struct KindOf {
  using Plain = std::remove_cv_t<T>;
  static constexpr std::size_t size = std::is_pointer_v<Plain> ? 8 : Kind<Plain>::size;
};
template <typename R, typename... A> struct Signature {};
template <typename A, typename B> constexpr bool kSame =
    Kind<std::remove_cv_t<A>>::pointers == Kind<std::remove_cv_t<B>>::pointers &&
    KindOf<A>::size == KindOf<B>::size && Kind<std::remove_cv_t<A>>::is_float == Kind<std::remove_cv_t<B>>::is_float &&
    (!std::is_pointer_v<std::remove_cv_t<A>> || std::is_pointer_v<std::remove_pointer_t<std::remove_cv_t<A>>> ||
     Opaque<std::remove_cv_t<std::remove_pointer_t<std::remove_cv_t<A>>>>::size ==
         Opaque<std::remove_cv_t<std::remove_pointer_t<std::remove_cv_t<B>>>>::size);
template <typename Ours, typename Theirs> struct Agree : std::false_type {};
template <typename R, typename... A, typename S, typename... B>
  requires(sizeof...(A) == sizeof...(B))
struct Agree<R (*)(A...), S (*)(B...)> : std::bool_constant<kSame<R, S> && (kSame<A, B> && ...)> {};
template <typename R, typename... A, typename S, typename... B>
  requires(sizeof...(A) == sizeof...(B))
struct Agree<R (*)(A...), S (*)(B...) noexcept> : std::bool_constant<kSame<R, S> && (kSame<A, B> && ...)> {};
"""


def compile_check(name, source, *includes):
    """Each static_assert that fails names what differs."""
    with tempfile.TemporaryDirectory() as work:
        file = pathlib.Path(work) / f"{name}.cc"
        file.write_text(source)
        command = ["c++", "-std=c++20", "-fsyntax-only", f"-I{ROOT}", *(f"-I{i}" for i in includes), str(file)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode == 0:
            return True
        for line in result.stderr.splitlines():
            if "error" in line:
                print(f"{name}: {line.split('error:')[-1].strip()}", file=sys.stderr)
        return False


def check_litert(headers):
    names = re.findall(r"\(\*(\w+)\)\(", LITERT.read_text().split("struct Functions")[1])
    lines = [AGREE]
    for header in sorted((headers / "litert/c").glob("litert_*.h")):
        if re.search(r"litert_(model|common|options|opaque_options|environment|environment_options|compiled_model|"
                     r"tensor_buffer|tensor_buffer_requirements|layout|any)\.h$", header.name):
            lines.append(f'#include "litert/c/{header.name}"')
    lines += ['#include "litert/c/internal/litert_logging.h"', f'#include "{LITERT.relative_to(ROOT)}"', "namespace our = tinylcm::model::litert;"]
    for name in names:
        lines.append(f"static_assert(Agree<decltype(our::Functions::{name}), decltype(&LiteRt{name})>::value, "
                     f'"LiteRt{name} is declared otherwise");')
    constants = {
        "kOk": "kLiteRtStatusOk", "kAcceleratorCpu": "kLiteRtHwAcceleratorCpu",
        "kLockRead": "kLiteRtTensorBufferLockModeRead", "kLockWrite": "kLiteRtTensorBufferLockModeWrite",
        "kTagAutoRegisterAccelerators": "kLiteRtEnvOptionTagAutoRegisterAccelerators",
        "kTagMinLoggerSeverity": "kLiteRtEnvOptionTagMinLoggerSeverity", "kAnyInt": "kLiteRtAnyTypeInt",
        "kLogSilent": "kLiteRtLogSeveritySilent", "kFloat32": "kLiteRtElementTypeFloat32", "kUInt8": "kLiteRtElementTypeUInt8",
        "kInt8": "kLiteRtElementTypeInt8", "kQuantizationPerTensor": "kLiteRtQuantizationPerTensor",
    }
    for ours, theirs in constants.items():
        lines.append(f'static_assert(static_cast<long>(our::{ours}) == static_cast<long>({theirs}), "{theirs} is another number");')
    for ours, theirs, fields in (
            ("Layout", "LiteRtLayout", ("dimensions", "strides")),
            ("RankedTensorType", "LiteRtRankedTensorType", ("element_type", "layout")),
            ("PerTensorQuantization", "LiteRtQuantizationPerTensor", ("scale", "zero_point"))):
        lines.append(f'static_assert(sizeof(our::{ours}) == sizeof({theirs}), "{theirs} is of another size");')
        for field in fields:
            lines.append(f'static_assert(offsetof(our::{ours}, {field}) == offsetof({theirs}, {field}), "{theirs}.{field} lies elsewhere");')
    lines += ['static_assert(sizeof(our::EnvironmentOption) == sizeof(LiteRtEnvOption), "LiteRtEnvOption is of another size");',
              'static_assert(offsetof(our::EnvironmentOption, any_type) == offsetof(LiteRtEnvOption, value), "LiteRtEnvOption.value lies elsewhere");']
    ok = compile_check("litert", "\n".join(lines) + "\n", headers)
    print(f"litert: {len(names)} functions, {len(constants)} constants, 4 layouts: {'agree' if ok else 'DIFFER'}")
    return ok


def check_onnx(headers):
    text = ONNX.read_text()
    functions = re.findall(r"X\((\w+), (\d+),", text)
    lines = [AGREE, "#include <onnxruntime_c_api.h>", f'#include "{ONNX.relative_to(ROOT)}"',
             "namespace our = tinylcm::model::ort;",
             'static_assert(our::kApiVersion == ORT_API_VERSION, "the header is of another version");']
    for name, place in functions:
        lines.append(f'static_assert(offsetof(OrtApi, {name}) == {place} * sizeof(void*), "{name} is elsewhere in the table");')
        lines.append(f"static_assert(Agree<decltype(our::Functions::{name}), decltype(OrtApi::{name})>::value, "
                     f'"{name} is declared otherwise");')
    constants = {
        "kLogFatal": "ORT_LOGGING_LEVEL_FATAL", "kOptimiseAll": "ORT_ENABLE_ALL", "kArenaAllocator": "OrtArenaAllocator",
        "kMemoryDefault": "OrtMemTypeDefault", "kFloat32": "ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT",
        "kUInt8": "ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8", "kInt8": "ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8",
        "kErrorNotImplemented": "ORT_NOT_IMPLEMENTED",
    }
    for ours, theirs in constants.items():
        lines.append(f'static_assert(static_cast<long>(our::{ours}) == static_cast<long>({theirs}), "{theirs} is another number");')
    lines.append('static_assert(offsetof(our::ApiBase, GetVersionString) == offsetof(OrtApiBase, GetVersionString), "OrtApiBase differs");')
    ok = compile_check("onnxruntime", "\n".join(lines) + "\n", headers)
    print(f"onnxruntime: {len(functions)} functions, {len(constants)} constants: {'agree' if ok else 'DIFFER'}")
    return ok


def main():
    if len(sys.argv) > 1:
        print(__doc__)
        return 0 if sys.argv[1] in ("-h", "--help") else 2
    outcomes = []
    for fetch, check in ((litert_headers, check_litert), (onnx_headers, check_onnx)):
        try:
            headers = fetch()
        except Unreachable as error:
            print(f"runtime_headers: {fetch.__name__.replace('_', ' ')} cannot be had here: {error}", file=sys.stderr)
            outcomes.append(None)
            continue
        outcomes.append(check(headers))
    if False in outcomes:
        return 1
    if None not in outcomes:
        return 0
    # In a test run what could not be compared is neither passed nor failed.
    count_file = os.environ.get("COUNT_FILE")
    if count_file:
        pathlib.Path(count_file).write_text(f"{len(outcomes) - outcomes.count(None)} 0\n")
        return 0
    return 3


if __name__ == "__main__":
    sys.exit(main())
