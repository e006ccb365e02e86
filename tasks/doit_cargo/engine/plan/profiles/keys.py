"""Every key of a profile file, of a pack.toml and of the settings in Cargo.toml: its kind, what it means, an example.

A new key is one row here, which is all that the check, the editor's schema and the reference page know of it. Knows
nothing of what becomes of a value.
"""

from __future__ import annotations

from doit_cargo.engine.plan.profiles.kinds import (
    ANY,
    BUILD_FILE,
    CONFIG,
    COUNT,
    DUPLICATES,
    ENV,
    FEATURES,
    FLAG,
    IGNORED,
    IGNORED_VARIABLES,
    LANE,
    LANGUAGES,
    LIST,
    NAMES,
    OBSERVING,
    ON_PLATFORMS,
    PLAIN_FILE,
    PLAIN_GOAL,
    PLAIN_GOALS,
    PLAIN_TARGET,
    PLAIN_VARIABLES,
    POSITIVE,
    SHA256,
    SHARE_WRITE,
    SPECIFIER,
    TEXT,
    TRIPLE,
    TRIPLES,
    VARIABLES,
    Section,
)

# [cargo] of a profile. What is true or false is an option of cargo's of that name.
CARGO: Section = {
    "profile": TEXT.means(
        "The cargo profile: one of the workspace's, or one that `cargo.config` defines. Default: `dev`.",
        'profile = "release"',
    ),
    "config": CONFIG.means(
        "Settings passed with `--config`, which wins over Cargo.toml, every config.toml and `CARGO_PROFILE_*`.",
        'config.profile.release.lto = "thin"',
    ),
    "jobs": POSITIVE.means("How many jobs cargo runs at once, unless `JOBS` says otherwise.", "jobs = 2"),
    "target": TRIPLE.means(
        "The target triple, unless `TARGET` says otherwise.", 'target = "aarch64-unknown-linux-gnu"'
    ),
    "locked": FLAG.means("`true` is cargo's `--locked`: a stale Cargo.lock is an error.", "locked = true"),
}

# [inputs] of a profile, each a field of model.Inputs.
INPUTS: Section = {
    "files": LIST.means(
        "Files, folders and patterns that cargo cannot see, relative to the workspace root (see "
        "[Inputs](../profiles.md#inputs-that-cargo-cannot-see)).",
        'files = ["schema/api.json"]',
    ),
    "env": VARIABLES.means("Variables that cargo cannot see.", 'env = ["BUILD_CHANNEL"]'),
    "packages": LIST.means(
        "The packages to rebuild when one of them changes; left out, every member.", 'packages = ["server"]'
    ),
    "complete": LIST.means(
        "Packages (or `all`) whose [tests](../testing.md#what-runs-each-time) rest on nothing but what is seen and "
        "declared: they are skipped although not all can be seen.",
        'complete = ["server"]',
    ),
    "ignore": IGNORED.means(
        "Variables (`CI_*`: all that begin so) and paths, relative to the root or with `~/`, that tests read and "
        "that change no result.",
        'ignore = ["BUILD_ID", "~/.cache/x"]',
    ),
    "observe": OBSERVING.means(
        "How to see what cargo does not track ([observing](../observing.md#builds)): `preload`, `strace` or `off`.",
        'observe = "off"',
    ),
}

PROFILE: Section = {
    "doc": TEXT.means(
        "What the profile is for, in one sentence; `doit-cargo profiles` lists it.", 'doc = "Release with CUDA."'
    ),
    "extends": NAMES.means(
        "Profiles that come before this one; of two, the later wins.", 'extends = ["cuda", "lto_thin"]'
    ),
    "features": FEATURES.means(
        "Features to add, in order: a name, `PACKAGE/FEATURE`, or `-NAME` to remove one that an extended profile set.",
        'features = ["nccl", "-mkl"]',
    ),
    "default-features": FLAG.means("`false` is cargo's `--no-default-features`.", "default-features = false"),
    "platforms": ON_PLATFORMS.means(
        "Where the profile makes sense, by the platform that is built *for*. Elsewhere its targets are absent.",
        'platforms = ["linux", "windows"]',
    ),
    "cargo": CARGO,
    "env": {
        ANY: ENV.means(
            "A variable for cargo and all that it starts: a text, where `{{ root }}`, `{{ target_directory }}`, "
            "`{{ target }}`, `{{ profile }}` and `{{ platform }}` are filled in; `{ unset = true }`; or "
            "`{ detect = NAME }`, which fills in only what your environment leaves unset.",
            'CUDA_PATH = { detect = "cuda_root" }',
        ),
    },
    "needs": {
        ANY: SPECIFIER.means(
            'A tool that must be there before cargo starts, with a PEP 440 version specifier or `""` for any version.',
            'nvcc = ">=12.4"',
        ),
    },
    "inputs": INPUTS,
}

# A row of the user's own, or of a pack (model.Target): a cargo call, a program, or a group.
TARGET: Section = {
    "doc": TEXT.means("What it does, in one sentence. Required.", 'doc = "Regenerate the C header."'),
    "family": TEXT.means("The heading under which `list` shows it. Default: `project`.", 'family = "codegen"'),
    "command": TEXT.means(
        "A cargo subcommand; the target is a cargo call, with all of cargo's variables.", 'command = "doc"'
    ),
    "flags": LIST.means("Fixed arguments of that subcommand.", 'flags = ["--no-deps"]'),
    "passed": LIST.means("Arguments behind `--`.", 'passed = ["-D", "warnings"]'),
    "profile": NAMES.means(
        "Feature profiles, of which the first that fits this machine is taken. Default: `dev`.",
        'profile = ["cuda", "release"]',
    ),
    "package": TEXT.means("A role, a package, or `all`. Default: cargo's own selection.", 'package = "server"'),
    "run": LIST.means(
        "A program and its arguments, as they are: no shell reads them. `{root}` is the folder of the workspace.",
        'run = ["npm", "run", "build"]',
    ),
    "cwd": TEXT.means("Where that program runs, from the root of the workspace.", 'cwd = "web"'),
    "env": {
        ANY: TEXT.means("A variable that is set for it.", 'NODE_ENV = "production"'),
    },
    "after": LIST.means(
        "Targets that run before. A target with nothing else is a group.", 'after = ["fmt_check", "lint"]'
    ),
    "takes": LIST.means("Further variables that it accepts.", 'takes = ["MODEL"]'),
    "needs": LIST.means("Tools that are checked before it starts.", 'needs = ["node>=20"]'),
    "services": LIST.means(
        "Services of the pack, or `gpu`, that must answer before it starts. A target with only `needs` and `services` "
        "checks them.",
        'services = ["etcd"]',
    ),
    "platforms": ON_PLATFORMS.means("Where it exists.", 'platforms = ["linux"]'),
    "inputs": {
        "files": LIST.means(
            "Files, folders and patterns that the program's result rests on; `**/` stands for any folders. With "
            "inputs it is skipped while they hold; without, while what it was seen to read holds, if it has `outputs`.",
            'files = ["web/**/*.ts", "web/package.json"]',
        ),
        "env": VARIABLES.means("Variables that its result rests on.", 'env = ["API_URL"]'),
    },
    "outputs": LIST.means(
        "Files that must be there afterwards, with the content that it left; `[]`: only its success counts. A program "
        "with neither inputs nor outputs runs each time. For a cargo call, what its build scripts "
        "write beside `target/`: where one is gone or edited, the package is built anew.",
        'outputs = ["web/app.js"]',
    ),
    "lane": LANE.means(
        "What may run beside it with `-n`: `cargo` (the default) shares the target directory, `free` shares nothing, "
        "`alone` changes what others use. A cargo call cannot be `free`.",
        'lane = "free"',
    ),
    "keep-going": FLAG.means(
        "Of a group: `true` runs every part whatever becomes of the others, and sums up.", "keep-going = true"
    ),
}

PACK: Section = {
    "doc": TEXT.means("What project the pack is for.", 'doc = "Our monorepo."'),
    "requires": SPECIFIER.means(
        "The versions of doit-cargo that the pack is for; another one says how to get one of them.",
        'requires = ">=0.2"',
    ),
    "detect": {
        "packages": LIST.means(
            "Members by which the project is known. The pack that names most members of a workspace is used.",
            'packages = ["server", "engine"]',
        ),
    },
    "roles": {
        ANY: LIST.means(
            "The packages that can play a role, in order of preference: projects rename crates. An empty list is "
            "cargo's own selection.",
            'server = ["acme-server", "acme-cli"]',
        ),
    },
    "rules": {
        ANY: {
            "requires": LIST.means(
                "Features without which this one is refused. Whole names count, as asked for.", 'requires = ["cuda"]'
            ),
            "conflicts": LIST.means("Features that exclude this one.", 'conflicts = ["metal"]'),
            "platforms": ON_PLATFORMS.means("Where the feature works.", 'platforms = ["macos"]'),
        },
    },
    "packages": {
        ANY: {
            "needs": TEXT.means(
                "A tool without which the package is left out of whole-workspace targets, with a note.",
                'needs = "python"',
            ),
        },
    },
    "satellites": LIST.means(
        "Folders that are workspaces of their own, which no command of this one reaches.",
        'satellites = ["python-bindings"]',
    ),
    "feature-sets": {
        ANY: {
            "features": LIST.means("Features that the set turns on.", 'features = ["cuda", "flash-attn"]'),
            "default-features": FLAG.means("Whether the default features are on too.", "default-features = false"),
            "all-features": FLAG.means("Whether all features are on.", "all-features = true"),
            "package": TEXT.means("A role or package to act on; else the whole workspace.", 'package = "server"'),
        },
    },
    "services": {
        ANY: {
            "doc": TEXT.means("What the service is; `check_NAME` is made of it.", 'doc = "etcd, the key-value store"'),
            "variable": TEXT.means("The environment variable that says where it runs.", 'variable = "ETCD_ENDPOINTS"'),
            "default": TEXT.means("Where it is looked for otherwise.", 'default = "http://127.0.0.1:2379"'),
            "path": TEXT.means(
                "What an HTTP server must answer; without it a connection is enough.", 'path = "/health"'
            ),
            "get": TEXT.means("How to install it, by package manager.", 'get = "apt etcd-server; brew etcd"'),
            "start": TEXT.means("What to type to start it.", 'start = "etcd"'),
        },
    },
    "platform-triples": TRIPLES.means(
        "The target triples of `build_all_platforms`, besides this computer's own (see [cross builds](../cross.md)).",
        'platform-triples = ["aarch64-unknown-linux-gnu"]',
    ),
    "serve": {
        ANY: {
            "binary": TEXT.means(
                "The program of the package that `run`, `test_server_start` and their like start.",
                'binary = "acme-server"',
            ),
            "serve": LIST.means(
                "Arguments that make it an HTTP server on this machine; `{port}` is filled in.",
                'serve = ["--host", "127.0.0.1", "--port", "{port}"]',
            ),
            "talk": LIST.means("Arguments that make it talk on the terminal.", 'talk = ["-i"]'),
            "mcp": LIST.means("Arguments for an MCP configuration; `{config}`.", 'mcp = ["--mcp-config", "{config}"]'),
            "plain": LIST.means(
                "Arguments for a model by name or folder; `{model}`.", 'plain = ["plain", "-m", "{model}"]'
            ),
            "gguf": LIST.means(
                "Arguments for a model in a GGUF file; `{folder}` and `{file}`.",
                'gguf = ["gguf", "-m", "{folder}", "-f", "{file}"]',
            ),
        },
    },
    "models": {
        ANY: {
            "doc": TEXT.means("What the model is.", 'doc = "Our own, Q4_K_M."'),
            "repo": TEXT.means("Where it is on the Hugging Face hub.", 'repo = "acme/own-GGUF"'),
            "file": TEXT.means(
                "One file of the repository; left out, all that a program needs of it.", 'file = "own-q4.gguf"'
            ),
            "revision": TEXT.means("A branch, tag or commit; left out, the newest.", 'revision = "v2"'),
            "size": POSITIVE.means("The size of the file in bytes.", "size = 1_117_320_736"),
            "sha256": SHA256.means(
                "The SHA-256 of the file. Left out, the hub's own is taken.", 'sha256 = "00000000..."'
            ),
        },
    },
    "format": {
        "languages": LANGUAGES.means(
            "Languages beside Rust that `fmt` formats even where no configuration of their formatter stands: `python` "
            "by ruff, `c` (C, C++, CUDA, Metal) by clang-format.",
            'languages = ["python", "c"]',
        ),
    },
    "duplicates": {
        "allow": DUPLICATES.means(
            "Packages that may be in Cargo.lock in several versions, all or one version of them; `check_duplicates` "
            "counts the others.",
            'allow = ["syn", "windows-sys@0.52.0"]',
        ),
        "max": COUNT.means(
            "How many other packages may be there in several versions. Default: 0 with `allow`, else no limit.",
            "max = 3",
        ),
    },
    "deliberate": {
        ANY: TEXT.means(
            "Rules of [`check_profiles`](../profiles-truth.md) and `check_rustflags` whose findings are meant to be "
            "so, and why: they are told, and fail nothing.",
            'silenced-flags = "target-cpu=native is not for wasm32"',
        ),
    },
    "target": {
        ANY: TARGET,
    },
    "tests": {
        "quick": LIST.means(
            "The packages or roles whose unit tests are the smoke test, `test_quick`. Left out, every member.",
            'quick = ["core", "server"]',
        ),
    },
    "share": {
        "store": TEXT.means(
            "Where results are [shared](../beyond-one-machine.md): a folder, `https://`, or `grpcs://HOST:PORT/INSTANCE`.",
            'store = "https://cache.corp/rust"',
        ),
        "write": SHARE_WRITE.means(
            "Who publishes: `never` (the default), or `ci`: calls in whose environment `CI` is set.", 'write = "ci"'
        ),
        "keys": LIST.means(
            "Public keys: a result that none of them has signed is not used (`doit-cargo share key` makes one).",
            'keys = ["ed25519:MCowBQYDK2VwAyEA..."]',
        ),
        "targets": LIST.means(
            "Patterns of the targets that are shared. Default: all that can be; `release` only if it is named.",
            'targets = ["build_cuda*", "check", "lint"]',
        ),
        "ignore": IGNORED_VARIABLES.means(
            "Variables (`GITHUB_*`: all that begin so) that builds ask for and that change no result.",
            'ignore = ["GITHUB_*"]',
        ),
    },
    "migrated": {
        "kind": BUILD_FILE.means(
            "Of which kind the old build file is; `doit-cargo migrate` writes this table.", 'kind = "make"'
        ),
        "file": PLAIN_FILE.means("The old build file, which does what is kept.", 'file = "Makefile"'),
        "default": PLAIN_GOAL.means("Its default target, which `make` alone runs.", 'default = "all"'),
        "variables": PLAIN_VARIABLES.means(
            "What it reads: if make is given one of these, the old file is asked.", 'variables = ["MODE"]'
        ),
        "sets": PLAIN_VARIABLES.means(
            "What it sets itself, whatever the environment says: where that sets one of these, the old file is asked.",
            'sets = ["STAMP"]',
        ),
        "absent": PLAIN_GOALS.means(
            "Files that it reads if they are there, and that were not: once one is, the old file is asked.",
            'absent = [".env"]',
        ),
        "kept": PLAIN_GOALS.means("Its targets and patterns that are still its own.", 'kept = ["dist", "test-on-%"]'),
        "taken": {
            ANY: {
                "parts": PLAIN_GOALS.means(
                    "What it comes after: goals of one call that share a part, which make does once, are the old "
                    "file's.",
                    'parts = ["fmt"]',
                ),
                "target": PLAIN_TARGET.means("The target that stands for an old name.", 'target = "build_all"'),
                "variables": PLAIN_VARIABLES.means(
                    "Variables with which the old file is asked instead, also where the environment sets them.",
                    'variables = ["MODE"]',
                ),
                "environment": PLAIN_VARIABLES.means(
                    "Variables that the old file gives to its programs, with another value each time: make asks it "
                    "for them.",
                    'environment = ["VERSION"]',
                ),
            },
        },
    },
}

# [workspace.metadata.doit-cargo] of the root Cargo.toml.
SETTINGS: Section = {
    "pack": TEXT.means("The pack to use, instead of the one that the members' names suggest.", 'pack = "base"'),
    "profiles": TEXT.means(
        "The folder of your own profiles, relative to the root. Default: `profiles`.", 'profiles = "build"'
    ),
    "sccache": FLAG.means(
        "`true`: builds go through [sccache](../cache.md) wherever it is found. `SCCACHE=0` and a checkout's own "
        "setting come before it.",
        "sccache = true",
    ),
    "size-growth": POSITIVE.means(
        "By how many percent a program may grow from build to build until it is told. Default: 5.", "size-growth = 10"
    ),
}
