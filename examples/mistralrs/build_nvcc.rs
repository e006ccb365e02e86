//! Finds and runs nvcc: a module of the build scripts of mistralrs-quant, mistralrs-paged-attn and
//! mistralrs-core. It stands beside the packages, since a package for it would be one more member.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// What the result of nvcc depends on, besides the sources.
const VARIABLES: [&str; 8] = [
    "NVCC",
    "CUDA_PATH",
    "CUDA_HOME",
    "NVCC_CCBIN",
    "CUDA_COMPUTE_CAP",
    "CUDA_NVCC_FLAGS",
    "NVCC_PREPEND_FLAGS",
    "NVCC_APPEND_FLAGS",
];

/// All releases from CUDA 11 to 13 can compile for this one.
const DEFAULT_COMPUTE_CAP: &str = "75";

pub struct Nvcc {
    path: PathBuf,
    /// The target architecture, as `sm_75`.
    pub arch: String,
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

impl Nvcc {
    /// Takes `$NVCC`, `$CUDA_PATH/bin/nvcc`, `$CUDA_HOME/bin/nvcc`, or `nvcc` on the PATH.
    pub fn find() -> Self {
        for name in VARIABLES {
            println!("cargo:rerun-if-env-changed={name}");
        }
        let path = variable("NVCC").map(PathBuf::from).or_else(|| {
            ["CUDA_PATH", "CUDA_HOME"]
                .iter()
                .filter_map(|name| variable(name))
                .map(|root| {
                    Path::new(&root)
                        .join("bin")
                        .join(format!("nvcc{}", env::consts::EXE_SUFFIX))
                })
                .find(|nvcc| nvcc.is_file())
        });
        let cap = variable("CUDA_COMPUTE_CAP").unwrap_or_else(|| DEFAULT_COMPUTE_CAP.into());
        // Both 80 and 8.0 are usual.
        let cap = cap.replace('.', "");
        assert!(
            cap.starts_with(|c: char| c.is_ascii_digit()),
            "CUDA_COMPUTE_CAP is '{cap}', but should look like 80 or 8.0"
        );
        Self {
            path: path.unwrap_or_else(|| "nvcc".into()),
            arch: format!("sm_{cap}"),
        }
    }

    /// Runs nvcc with the common flags, these arguments and those of `$CUDA_NVCC_FLAGS`.
    pub fn compile(&self, args: &[&str]) {
        let mut command = Command::new(&self.path);
        command.args(["-O3", "-std=c++17"]);
        command.arg(format!("-arch={}", self.arch)).args(args);
        if cfg!(unix) {
            command.args(["-Xcompiler", "-fPIC"]);
        }
        if let Some(flags) = variable("CUDA_NVCC_FLAGS") {
            command.args(flags.split_whitespace());
        }
        self.run(command);
    }

    fn run(&self, mut command: Command) -> String {
        let output = command.output().unwrap_or_else(|error| {
            panic!(
                "cannot run {}: {error}; set NVCC or CUDA_PATH, or build without the feature cuda",
                self.path.display()
            )
        });
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{command:?} failed ({}):\n{stdout}{stderr}",
            output.status
        );
        format!("{stdout}{stderr}")
    }

    /// The release, for example `12.9`.
    #[allow(dead_code)]
    pub fn release(&self) -> String {
        let mut command = Command::new(&self.path);
        command.arg("--version");
        let text = self.run(command);
        let release = text.split("release ").nth(1).unwrap_or("unknown");
        release.split([',', '\n']).next().unwrap_or(release).into()
    }

    /// Packs objects to a static library.
    #[allow(dead_code)]
    pub fn archive(&self, objects: &[PathBuf], library: &Path) {
        let mut command = Command::new(&self.path);
        command.arg("--lib").args(objects).arg("-o").arg(library);
        self.run(command);
    }

    /// The directory of the static CUDA runtime. nvcc may be a link or a wrapper script,
    /// so its own idea of its root (`TOP=` in a dry run) comes first.
    #[allow(dead_code)]
    pub fn library_dir(&self) -> Option<PathBuf> {
        let library = if cfg!(windows) {
            "cudart_static.lib"
        } else {
            "libcudart_static.a"
        };
        let mut command = Command::new(&self.path);
        command.args(["--dryrun", "-c", "none.cu"]);
        let text = self.run(command);
        let top = text.lines().find_map(|line| line.strip_prefix("#$ TOP="));
        top.map(|top| PathBuf::from(top.trim()))
            .into_iter()
            .chain(variable("CUDA_PATH").map(PathBuf::from))
            .chain(variable("CUDA_HOME").map(PathBuf::from))
            .flat_map(|root| ["lib64", "lib/x64", "lib"].map(|dir| root.join(dir)))
            .find(|dir| dir.join(library).is_file())
    }
}
