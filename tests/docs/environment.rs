//! A cluster for each page, in the state that the page expects.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use operations_emulator::{Emulator, Scenario};
use serde_json::Value;
use tempfile::TempDir;
use xtask::{
    control_plane::{ControlPlane, Options},
    go_tool,
    node::{self, Node},
};

use super::{
    page::{self, Page, Start},
    shell::{self, ShellOptions},
    support::cluster::{root, runtime},
};

/// Everything that the commands of a page need. Dropping it stops everything, the node with the controller first.
pub struct Environment {
    _node: Node,
    _emulator: Emulator,
    control_plane: ControlPlane,
    scratch: TempDir,
    variables: Vec<(String, String)>,
}

impl Environment {
    /// Starts a cluster in the given state, and copies the repository.
    pub fn start(start: Start) -> Result<Self, String> {
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let folder = scratch.path().join("repository");
        for file in page::files(root()) {
            let to = folder.join(&file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(root().join(&file), to).unwrap();
        }
        let control_plane = ControlPlane::start(Options::default()).map_err(failed)?;
        let emulator = start_emulator()?;
        let node = start_node(&control_plane, &emulator)?;
        let mut variables = variables(&control_plane, scratch.path());
        // `cargo xtask control-plane --node` prints the same variable.
        variables.push(("EMULATOR_ADMIN".into(), emulator.admin_url().to_owned()));
        let environment = Self {
            _node: node,
            _emulator: emulator,
            control_plane,
            scratch,
            variables,
        };
        if start == Start::Installed {
            install(
                &environment.control_plane,
                &environment.shell_options(false),
            )?;
        }
        Ok(environment)
    }

    /// Where and how the commands run.
    pub fn shell_options(&self, show: bool) -> ShellOptions {
        ShellOptions {
            scratch: self.scratch.path().to_owned(),
            folder: self.scratch.path().join("repository"),
            variables: self.variables.clone(),
            show,
        }
    }
}

/// Starts the emulator with the operations of examples/.
fn start_emulator() -> Result<Emulator, String> {
    let scenario = fs::read_to_string(root().join("examples/emulator/scenario.yaml")).unwrap();
    let scenario = Scenario::parse(&scenario).map_err(failed)?;
    runtime()
        .block_on(Emulator::start(scenario))
        .map_err(failed)
}

/// Starts a node that runs the controller for images of any registry, with the emulator as its Google.
fn start_node(control_plane: &ControlPlane, emulator: &Emulator) -> Result<Node, String> {
    const CONTROLLER: &str = "opcancel-controller";
    let variables = [
        (
            "OPCANCEL_ENDPOINT_OVERRIDE",
            format!("dialogflow={}", emulator.url()),
        ),
        ("GCE_METADATA_HOST", emulator.metadata_address().to_owned()),
        // Google may need minutes to show a new operation; the emulator does not.
        ("OPCANCEL_NOT_FOUND_AFTER", "10s".to_owned()),
    ];
    let options = node::Options {
        images: BTreeMap::from([(CONTROLLER.to_owned(), built().join(CONTROLLER))]),
        variables: variables
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
    };
    Node::start(control_plane, options).map_err(failed)
}

/// Installs with the one-file commands of docs/install.md, so that later commands of a page fit that installation.
fn install(control_plane: &ControlPlane, options: &ShellOptions) -> Result<(), String> {
    let path = Path::new("docs/install.md");
    let mut page = Page::parse(path, &fs::read_to_string(root().join(path)).unwrap());
    page.blocks
        .retain(|block| block.commands.contains("deploy/install.yaml"));
    assert_eq!(page.blocks.len(), 1, "docs/install.md installs one file");
    shell::execute(&page, options, shell::LIMIT)?;
    let deployment = [
        "deployment/opcancel-controller",
        "--namespace=opcancel-system",
    ];
    for arguments in [
        &[
            "wait",
            "--for=condition=Established",
            "--timeout=30s",
            "crd",
            "--all",
        ][..],
        &[
            "rollout",
            "status",
            deployment[0],
            deployment[1],
            "--timeout=60s",
        ],
    ] {
        control_plane.run_kubectl(arguments).map_err(failed)?;
    }
    let examples = ["00-namespace.yaml", "01-grant.yaml"];
    let examples = examples.map(|name| root().join("examples").join(name));
    control_plane.apply_files(&examples).map_err(failed)?;
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> String {
    format!("cannot start the cluster of the page: {error:#}")
}

/// Puts the control plane's kubectl and the workspace's programs first in `PATH`, and hides the user's settings.
fn variables(control_plane: &ControlPlane, scratch: &Path) -> Vec<(String, String)> {
    let (programs, home) = (scratch.join("bin"), scratch.join("home"));
    fs::create_dir_all(&programs).unwrap();
    fs::create_dir_all(&home).unwrap();
    symlink(control_plane.kubectl(), programs.join("kubectl")).unwrap();
    symlink(go_tool::HELM.get().unwrap(), programs.join("helm")).unwrap();
    let cargo = programs.join("cargo");
    fs::write(&cargo, include_str!("cargo.sh")).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let built = built();
    for program in [
        "opcancel-controller",
        "opcancel-probe",
        "operations-emulator",
    ] {
        symlink(built.join(program), programs.join(program)).unwrap();
    }
    let own = |name: &str| env::var(name).unwrap_or_default();
    let shown = |path: &Path| path.display().to_string();
    [
        ("PATH", format!("{}:{}", shown(&programs), own("PATH"))),
        ("KUBECONFIG", shown(&control_plane.kubeconfig())),
        ("KUBECTL_KUBERC", "false".to_owned()),
        ("KUBECACHEDIR", shown(&scratch.join("kubectl-cache"))),
        ("HOME", shown(&home)),
        ("TMPDIR", shown(scratch)),
        ("DOCS_HOME", own("HOME")),
        (
            "DOCS_CARGO",
            env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()),
        ),
        ("DOCS_TARGET", shown(built.parent().unwrap())),
        ("DOCS_PROGRAMS", shown(built)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// The folder with the workspace's programs. Builds them, because `cargo test -p opcancel` builds only its own.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .args(["build", "--workspace", "--bins", "--message-format=json"])
            .current_dir(root())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            // A build script that reads these would see a change, and cargo would compile most of the tree again.
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        let output = command.output().expect("cargo can be run");
        assert!(output.status.success(), "cargo build --workspace --bins");
        let messages = String::from_utf8_lossy(&output.stdout).into_owned();
        let program = messages.lines().find_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            let path = PathBuf::from(message["executable"].as_str()?);
            path.ends_with("xtask").then_some(path)
        });
        program
            .expect("cargo builds xtask")
            .parent()
            .unwrap()
            .to_owned()
    })
}
