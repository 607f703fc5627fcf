//! The files of a release, with small images instead of real ones: complete, consistent, and the same each time.

// clippy.toml lets tests do these; their own functions are not #[test] but belong to them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::deploy_files::{PLACEHOLDER_IMAGE, documents};
use xtask::go_tool::HELM;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const REPOSITORY: &str = "registry.example.com/blue-tools/opcancel-controller";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The standard output of a command that succeeds in `folder`.
fn output_of(folder: &Path, command: &mut Command) -> String {
    let output = command.current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn sha256(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("sha256:{}", hex.collect::<String>())
}

/// Prepared images in a folder, as `cargo xtask image` writes them.
struct Images {
    folder: TempDir,
    /// Of the controller's image.
    digest: String,
}

impl Images {
    /// Of the commit `revision`.
    fn of(revision: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        put_image(folder.path(), "operations-emulator", revision);
        let digest = put_image(folder.path(), "opcancel-controller", revision);
        let inputs = format!("opcancel-controller-{VERSION}.inputs");
        fs::write(folder.path().join(inputs), "Rust: any\n").unwrap();
        Self { folder, digest }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name.replace("VERSION", VERSION))
    }
}

/// Writes an image without layers, and returns its digest.
fn put_image(folder: &Path, program: &str, revision: &str) -> String {
    let layout = tempfile::tempdir().unwrap();
    let blobs = layout.path().join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let blob = |value: Value| {
        let text = value.to_string();
        let digest = sha256(text.as_bytes());
        fs::write(blobs.join(digest.replace("sha256:", "")), &text).unwrap();
        json!({"digest": digest, "size": text.len()})
    };
    let labels = json!({"org.opencontainers.image.revision": revision});
    let config = blob(
        json!({"os": "linux", "architecture": "arm64", "config": {"Entrypoint": [program], "Labels": labels}}),
    );
    let manifest = blob(json!({"config": config, "layers": []}));
    let digest = manifest["digest"].as_str().unwrap().to_owned();
    let index = json!({"manifests": [manifest]}).to_string();
    fs::write(layout.path().join("index.json"), index).unwrap();
    let file = |ending: &str| folder.join(format!("{program}-{VERSION}.{ending}"));
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(file("oci.tar"));
    output_of(layout.path(), tar.arg("."));
    fs::write(file("digest"), format!("{digest}\n")).unwrap();
    fs::write(file("cdx.json"), "{}\n").unwrap();
    digest
}

/// Runs `cargo xtask release VERSION` with more arguments.
fn release(version: &str, images: &Images, output: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["release", version, "--image", REPOSITORY])
        .arg("--prepared-image")
        .arg(images.folder.path())
        .arg("--output")
        .arg(output)
        .args(more)
        .output()
        .unwrap()
}

/// The files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let named = entries.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap())
    });
    named.collect()
}

#[test]
fn a_release_is_complete_and_the_same_each_time() {
    let scratch = tempfile::tempdir().unwrap();
    let images = Images::of("a-commit");
    let outputs = ["one", "the-other"].map(|name| scratch.path().join(name));
    for output in &outputs {
        let done = release(VERSION, &images, output, &["--draft"]);
        assert!(done.status.success(), "{}", stderr(&done));
    }
    let [one, other] = outputs.each_ref().map(|output| files(output));
    assert_eq!(
        one.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            "SHA256SUMS",
            "crds.yaml",
            "install.yaml",
            "notes.md",
            &format!("opcancel-{VERSION}.tgz"),
            &format!("opcancel-controller-{VERSION}.cdx.json"),
            &format!("opcancel-controller-{VERSION}.digest"),
            &format!("opcancel-controller-{VERSION}.inputs"),
            &format!("opcancel-controller-{VERSION}.oci.tar"),
            &format!("operations-emulator-{VERSION}.cdx.json"),
            &format!("operations-emulator-{VERSION}.digest"),
            &format!("operations-emulator-{VERSION}.oci.tar"),
        ]
    );
    let time = |output: &Path, name: &str| {
        let data = fs::metadata(output.join(name)).unwrap();
        data.modified().unwrap()
    };
    for (name, bytes) in &one {
        assert!(other[name] == *bytes, "{name} differs");
        // Helm writes the time of the file into what it pushes.
        assert_eq!(time(&outputs[0], name), time(&outputs[1], name), "{name}");
    }
    // Nothing else is left beside the releases.
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);

    let folder = outputs[0].as_path();
    let mut check = Command::new("sha256sum");
    let checked = output_of(folder, check.args(["--check", "--strict", "SHA256SUMS"]));
    assert_eq!(checked.lines().count(), one.len() - 1, "{checked}");

    let reference = format!("{REPOSITORY}@{}", images.digest);
    has_the_image_in_its_manifests(folder, &reference);
    has_the_image_in_its_chart(folder, &reference);
    let notes = fs::read_to_string(folder.join("notes.md")).unwrap();
    assert!(
        notes.starts_with(&format!("# opcancel {VERSION}\n"))
            && notes.contains(&reference)
            && notes.contains("Built from the commit a-commit."),
        "{notes}"
    );
}

/// `install.yaml` has the objects of the repository's file, and only the image is another; `crds.yaml` has the CRDs.
fn has_the_image_in_its_manifests(folder: &Path, reference: &str) {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    let released = read(folder.join("install.yaml"));
    assert!(!released.contains(PLACEHOLDER_IMAGE), "{released}");
    let mut expected = documents(&read(root().join("deploy/install.yaml"))).unwrap();
    let image = "/spec/template/spec/containers/0/image";
    let mut replaced = 0;
    for object in &mut expected {
        if let Some(image) = object.pointer_mut(image) {
            *image = json!(reference);
            let nodes = &mut object["spec"]["template"]["spec"]["nodeSelector"];
            nodes["kubernetes.io/arch"] = json!("arm64");
            replaced += 1;
        }
    }
    assert_eq!(replaced, 1);
    assert_eq!(documents(&released).unwrap(), expected);

    let crds = documents(&read(folder.join("crds.yaml"))).unwrap();
    let kinds = crds.iter().map(|crd| &crd["spec"]["names"]["kind"]);
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        ["CancellationGrant", "OperationCancellation"]
    );
}

/// The packaged chart renders without values, and its files have the time of the commit.
fn has_the_image_in_its_chart(folder: &Path, reference: &str) {
    let chart = folder.join(format!("opcancel-{VERSION}.tgz"));
    let mut helm = Command::new(HELM.get().unwrap());
    helm.args(["template", "opcancel"]).arg(&chart);
    let rendered = documents(&output_of(folder, helm.env("HOME", folder))).unwrap();
    let deployment = rendered
        .iter()
        .find(|object| object["kind"] == "Deployment");
    let pod = &deployment.unwrap()["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], reference);
    assert_eq!(pod["nodeSelector"]["kubernetes.io/arch"], "arm64");

    let mut tar = Command::new("tar");
    tar.args([
        "--list",
        "--verbose",
        "--gzip",
        "--full-time",
        "--utc",
        "--file",
    ]);
    let listed = output_of(folder, tar.arg(&chart));
    let mut log = Command::new("git");
    log.args([
        "log",
        "-1",
        "--date=format-local:%Y-%m-%d %H:%M:%S",
        "--format=%cd",
    ]);
    let time = output_of(root(), log.env("TZ", "UTC"));
    assert!(listed.lines().count() > 20, "{listed}");
    for line in listed.lines() {
        assert!(line.contains(time.trim()), "not of {time}: {line}");
    }
}

#[test]
fn a_wrong_release_is_refused_and_nothing_is_written() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("release");
    let refused = |version: &str, images: &Images, more: &[&str], said: &[&str]| {
        let done = release(version, images, &output, more);
        let error = stderr(&done);
        assert!(!done.status.success());
        assert!(said.iter().all(|said| error.contains(said)), "{error}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "{error}");
    };
    let good = Images::of("a-commit");
    let other_version = [
        "does not have the version 99.0.0",
        "Cargo.toml has",
        "Chart.yaml has",
        "install.yaml has",
    ];
    refused("99.0.0", &good, &["--draft"], &other_version);

    let digest = good.file("opcancel-controller-VERSION.digest");
    fs::write(&digest, "sha256:0\n").unwrap();
    let said = ["has the digest sha256:", "says sha256:0"];
    refused(VERSION, &good, &["--draft"], &said);
    fs::remove_file(&digest).unwrap();
    refused(
        VERSION,
        &good,
        &["--draft"],
        &["is missing; run cargo xtask image"],
    );

    let mixed = Images::of("a-commit");
    put_image(mixed.folder.path(), "operations-emulator", "another");
    refused(VERSION, &mixed, &["--draft"], &["different commits"]);

    // Whatever the work tree is like, an image of another commit is no release.
    let not_a_draft = release(VERSION, &Images::of("a-commit"), &output, &[]);
    assert!(!not_a_draft.status.success());
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);

    // A folder with files is left alone.
    fs::create_dir(&output).unwrap();
    fs::write(output.join("mine"), "").unwrap();
    let done = release(VERSION, &Images::of("a-commit"), &output, &["--draft"]);
    assert!(stderr(&done).contains("is not empty"), "{}", stderr(&done));
    assert!(output.join("mine").exists());
}
