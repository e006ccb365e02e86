"""Things that build scripts look for in ways of their own: compilers, libclang, protoc, Python, MKL, libtorch.

Each look yields rows and raises nothing; who needs what is in the `Wanted` that it gets.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from doit_cargo.engine.base.files import named_like
from doit_cargo.engine.preflight.check_context import MISSING, OK, WARN, WRONG, CheckContext, CheckRow, row_for
from doit_cargo.engine.preflight.requirements.merged import Wanted
from doit_cargo.engine.toolchain import Machine
from doit_cargo.engine.toolchain.native import pkg_config
from doit_cargo.engine.toolchain.tools import ROWS, Tool, how_to_get, packages_for
from doit_cargo.engine.toolchain.version_cache import validity_of
from doit_cargo.engine.toolchain.versions import major_minor, satisfies

TESTS = ("test", "nextest", "bench")


def look_at_compiler(look: CheckContext, wanted: Wanted) -> Iterator[CheckRow]:
    """Look at the C or C++ compiler that the crate `cc` takes: CC or CXX, else the system's, Visual C++ on Windows."""
    variable = ROWS[wanted.thing].environment[0]
    windows = look.machine.platform == "windows" and not look.scripts.environ.get(variable)
    name = "cl.exe" if windows and look.inferred.triple.endswith("-msvc") else wanted.thing
    yield row_for(look.scripts, name, "", wanted.subject, wanted.needed_by)


def look_at_libclang(look: CheckContext, wanted: Wanted) -> Iterator[CheckRow]:
    """Look at the library that bindgen loads, and whether clang's own headers are beside it."""
    machine = look.scripts
    tool = machine.tool("libclang")
    fix = how_to_get("libclang", machine.package_manager)
    if tool is None:
        named = machine.environ.get("LIBCLANG_PATH", "")
        what = f"{wanted.subject} needs libclang (bindgen loads it), which is in none of LLVM's places"
        if named:
            what = f"{wanted.subject} needs libclang (bindgen loads it), and LIBCLANG_PATH={named} holds none"
            fix = f"unset LIBCLANG_PATH or correct it; to get libclang: {fix}"
        else:
            fix += ", or set LIBCLANG_PATH to the folder of a libclang"
        packages = packages_for(ROWS["libclang"].get, machine.package_manager)
        yield CheckRow("libclang", MISSING, needed_by=wanted.needed_by, what=what, fix=fix, packages=packages)
    elif (
        not tool.companions
        and machine.platform == "linux"
        and "-isystem" not in machine.environ.get("BINDGEN_EXTRA_CLANG_ARGS", "")
    ):
        what = f"libclang at {tool.path} comes without clang's own headers: '{wanted.subject}' may not find stddef.h"
        fix += ", or BINDGEN_EXTRA_CLANG_ARGS=-isystem<folder that holds stddef.h>"
        yield CheckRow("libclang", WARN, tool.version, tool.path, wanted.needed_by, what, fix)
    else:
        yield CheckRow("libclang", OK, tool.version, tool.path, wanted.needed_by)


def look_at_protoc(look: CheckContext, wanted: Wanted) -> Iterator[CheckRow]:
    """Look at protoc, and whether it finds the types that come with it (google/protobuf/*.proto)."""
    machine = look.scripts
    row = row_for(machine, "protoc", wanted.specifier, wanted.subject, wanted.needed_by)
    tool = machine.tool("protoc")
    if row.status == OK and tool and not _well_known_types(machine, tool):
        what = f"protoc at {tool.path} comes without google/protobuf/*.proto: .proto files that import them fail"
        fix = f"{how_to_get('protoc', machine.package_manager)}, or set PROTOC_INCLUDE to a folder that holds them"
        yield CheckRow("protoc", WARN, tool.version, tool.path, wanted.needed_by, what, fix)
    else:
        yield row


def _well_known_types(machine: Machine, protoc: Tool) -> bool:
    """Return whether protoc will find them: PROTOC_INCLUDE, beside the program, ../include (protobuf's main.cc)."""
    directory = os.path.dirname(protoc.real_path)
    places = [machine.environ.get("PROTOC_INCLUDE", ""), directory, os.path.join(os.path.dirname(directory), "include")]
    name = os.path.join("google", "protobuf", "descriptor.proto")
    return any(place and os.path.isfile(os.path.join(place, name)) for place in places)


def look_at_python(look: CheckContext, wanted: Wanted) -> Iterator[CheckRow]:
    """Look at the Python that PyO3 takes, and whether this PyO3 knows its version."""
    machine = look.scripts
    tool = machine.tool("python")
    if tool is None:
        yield row_for(machine, "python", wanted.specifier, wanted.subject, wanted.needed_by)
        return
    bad = tuple(need for need in wanted.needs if not satisfies(major_minor(tool.version), need.version))
    if not bad or (
        _is_newer(tool, bad[0].version) and machine.environ.get("PYO3_USE_ABI3_FORWARD_COMPATIBILITY") == "1"
    ):
        yield CheckRow("python", OK, tool.version, tool.path, wanted.needed_by)
        return
    fix = "set PYO3_PYTHON to a Python that fits"
    if _is_newer(tool, bad[0].version):
        fix += ", or PYO3_USE_ABI3_FORWARD_COMPATIBILITY=1 to build for the stable ABI"
    yield from Wanted("python", bad).misfits(tool, fix)


def _is_newer(tool: Tool, specifier: str) -> bool:
    upper = [clause for clause in specifier.split(",") if clause.startswith("<")]
    return bool(upper) and not satisfies(major_minor(tool.version), ",".join(upper))


def look_at_libpython(look: CheckContext, wanted: Wanted) -> Iterator[CheckRow]:
    """Look at the library of PyO3's Python, which programs and tests link; an extension module does not."""
    tool = look.scripts.tool("python")
    if tool is None or look.command in ("check", "clippy", "doc"):
        return
    path = _libpython(look.scripts, tool)
    if path:
        yield CheckRow("libpython", OK, tool.version, path, wanted.needed_by)
        return
    machine = look.scripts
    what = f"{wanted.subject} links libpython{major_minor(tool.version)}, which {tool.path} comes without"
    packages = {"apt": "python3-dev", "dnf": "python3-devel", "zypper": "python3-devel", "apk": "python3-dev"}
    package = packages.get(machine.package_manager, "")
    fix = f"{how_to_get('python', machine.package_manager)}, or turn on PyO3's feature extension-module"
    yield CheckRow("libpython", MISSING, tool.version, "", wanted.needed_by, what, fix, packages=package)


def _libpython(machine: Machine, python: Tool) -> str:
    """Return the library of a Python, as its own sysconfig tells where it is; "" if there is none."""
    kept = machine.remember("libpython", python.path, python.real_path, lambda: _ask_libpython(machine, python))
    words = str(kept["version"]).split("|")
    if len(words) != 5:
        return python.path  # it does not say: nothing to complain of
    library, multiarch, version = words[0], words[2], words[4]
    directories = [words[1], os.path.join(words[1], multiarch), words[3]]
    found = [path for folder in directories if folder for path in named_like(folder, (f"libpython{version}",))]
    linkable = [path for path in found if path.endswith((".so", ".a", ".dylib"))]
    return next((path for path in linkable if os.path.basename(path) == library), next(iter(linkable), ""))


def _ask_libpython(machine: Machine, python: Tool) -> dict[str, object]:
    names = "LDLIBRARY LIBDIR MULTIARCH LIBPL LDVERSION"
    program = f"import sysconfig as s; print('|'.join(str(s.get_config_var(n) or '') for n in '{names}'.split()))"
    return {"version": machine.run(python.path, "-c", program).strip(), **validity_of(python.path, python.real_path)}


def look_at_mkl(look: CheckContext, wanted: Wanted) -> Iterator[CheckRow]:
    """Look for Intel's MKL: MKLROOT, pkg-config, oneAPI's place; without one the build script downloads it."""
    machine = look.scripts
    for place in filter(None, (machine.environ.get("MKLROOT"), "/opt/intel/oneapi/mkl/latest", "/opt/intel/mkl")):
        if os.path.isdir(os.path.join(place, "include")):
            yield CheckRow("mkl", OK, path=place, needed_by=wanted.needed_by)
            return
    module = pkg_config.find_module(machine, "mkl-static-ilp64-iomp", look.inferred.triple)
    if module.version:
        yield CheckRow("mkl", OK, module.version, module.path, wanted.needed_by)
        return
    what = f"{wanted.subject} finds no MKL here and will download one from ghcr.io (2020.1, without half precision)"
    fix = "install Intel oneAPI MKL (intel-oneapi-mkl-devel of Intel's packages) and set MKLROOT"
    yield CheckRow("mkl", WARN, needed_by=wanted.needed_by, what=what, fix=fix)


def look_at_libtorch(look: CheckContext, wanted: Wanted) -> Iterator[CheckRow]:
    """Look for libtorch where torch-sys does: LIBTORCH, then the system."""
    machine = look.scripts
    named = machine.environ.get("LIBTORCH", "")
    places = [os.path.join(named, "lib")] if named else ["/usr/lib", "/usr/local/lib"]
    path = next((path for place in places for path in named_like(place, ("libtorch.", "libtorch_cpu."))), "")
    if path:
        yield CheckRow("libtorch", OK, path=path, needed_by=wanted.needed_by)
        return
    what = f"{wanted.subject} needs libtorch, and LIBTORCH={named or '(not set)'} leads to none"
    fix = "pip install torch and set LIBTORCH_USE_PYTORCH=1, or set LIBTORCH to an unpacked libtorch"
    yield CheckRow("libtorch", WRONG if named else MISSING, needed_by=wanted.needed_by, what=what, fix=fix)
