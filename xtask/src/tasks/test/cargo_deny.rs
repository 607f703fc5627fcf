//! What cargo-deny checks: our own rules about dependencies, and known vulnerabilities of them.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::tasks::cargo;
use crate::tasks::cargo_tool::CargoTool;

/// A newer release may find more, and then it would be the tool that broke the build.
const CARGO_DENY: CargoTool = CargoTool {
    name: "cargo-deny",
    version: "0.20.2",
    asked: &["--version"],
};

/// Its configuration, below the root.
const CONFIGURATION: &str = "deny.toml";

/// Checks licences, sources and forbidden crates, which needs no network.
pub(super) fn rules() -> Result<()> {
    let program = CARGO_DENY.get()?;
    let mut check = deny(&program, Path::new(CONFIGURATION));
    check.args(["check", "--hide-inclusion-graph"]);
    cargo::run(check.args(["bans", "licenses", "sources"]))
}

/// Checks the advisories of RustSec. Returns the reason if their database cannot be fetched or read.
pub(super) fn advisories() -> Result<Option<String>> {
    advisories_with(Path::new(CONFIGURATION), &[])
}

fn advisories_with(configuration: &Path, environment: &[(&str, &str)]) -> Result<Option<String>> {
    let program = CARGO_DENY.get()?;
    let fetched = deny(&program, configuration)
        .args(["fetch", "db"])
        .envs(environment.iter().copied())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !fetched.status.success() {
        let said = String::from_utf8_lossy(&fetched.stderr);
        let said = said.trim();
        // Anything else, such as a wrong configuration, is an error.
        ensure!(said.contains("failed to fetch database"), "{said}");
        eprintln!("{said}");
        let last = said.lines().last().unwrap_or_default();
        return Ok(Some(format!("no database of advisories: {last}")));
    }
    let mut check = deny(&program, configuration);
    check.args(["check", "--hide-inclusion-graph", "advisories"]);
    check.envs(environment.iter().copied());
    cargo::run(&mut check).map(|()| None)
}

fn deny(program: &Path, configuration: &Path) -> Command {
    let mut deny = Command::new(program);
    deny.arg("--config")
        .arg(configuration)
        .current_dir(cargo::root())
        .stdin(Stdio::null())
        .env("LC_ALL", "C")
        // git must not ask for a password, and must give up if nothing arrives.
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_HTTP_LOW_SPEED_LIMIT", "1")
        .env("GIT_HTTP_LOW_SPEED_TIME", "30");
    deny
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The URL for which git takes the database on this disk.
    const HERE: &str = "https://advisories.invalid/here";

    /// A database of advisories on this disk, with nothing in it that concerns us.
    struct Database(tempfile::TempDir);

    impl Database {
        fn new() -> Self {
            let database = Self(tempfile::tempdir().unwrap());
            database.git(&["init", "--quiet", "--initial-branch=main"]);
            database.publish("RUSTSEC-2026-0001", "no-crate-of-ours");
            database
        }

        /// Publishes an advisory on every release of a crate.
        fn publish(&self, id: &str, package: &str) {
            let folder = self.0.path().join("db/crates").join(package);
            fs::create_dir_all(&folder).unwrap();
            let advisory = format!(
                "```toml\n[advisory]\nid = \"{id}\"\npackage = \"{package}\"\ndate = \"2026-01-01\"\n\n\
                 [versions]\npatched = []\n```\n\n# A flaw\n\nFor a test.\n"
            );
            fs::write(folder.join(format!("{id}.md")), advisory).unwrap();
            self.git(&["add", "."]);
            self.git(&["commit", "--quiet", "--message=advisory"]);
        }

        fn git(&self, arguments: &[&str]) {
            let folder = self.0.path().join("db");
            fs::create_dir_all(&folder).unwrap();
            let mut git = Command::new("git");
            git.args(["-c", "user.name=test", "-c", "user.email=test@example.com"])
                .args(["-c", "commit.gpgsign=false"]);
            let status = git.args(arguments).current_dir(folder).status();
            assert!(status.unwrap().success());
        }

        /// What the check says with our own configuration, but the database `url`.
        fn check(&self, url: &str) -> Result<Option<String>> {
            let own = fs::read_to_string(cargo::root().join(CONFIGURATION)).unwrap();
            let copy = self.0.path().join("copy").display().to_string();
            let section = format!("[advisories]\ndb-path = {copy:?}\ndb-urls = [{url:?}]\n");
            let configuration = self.0.path().join(CONFIGURATION);
            assert_eq!(own.matches("[advisories]\n").count(), 1);
            fs::write(&configuration, own.replace("[advisories]\n", &section)).unwrap();
            // cargo-deny accepts only URLs with a domain.
            let mirror = format!("url.file://{}/db.insteadOf", self.0.path().display());
            let environment = [
                ("GIT_CONFIG_COUNT", "1"),
                ("GIT_CONFIG_KEY_0", &mirror),
                ("GIT_CONFIG_VALUE_0", HERE),
            ];
            advisories_with(&configuration, &environment)
        }
    }

    #[test]
    fn an_advisory_on_one_of_our_crates_fails_the_check() {
        let database = Database::new();
        assert_eq!(database.check(HERE).unwrap(), None);
        database.publish("RUSTSEC-2026-0002", "serde_json");
        let error = database.check(HERE).unwrap_err().to_string();
        assert!(
            error.contains("check --hide-inclusion-graph advisories failed"),
            "{error}"
        );
    }

    #[test]
    fn without_the_database_the_reason_is_reported() {
        let database = Database::new();
        let url = "https://advisories.invalid/elsewhere";
        let reason = database.check(url).unwrap().unwrap();
        // The last line is git's.
        let said = format!("no database of advisories: fatal: unable to access '{url}/'");
        assert!(reason.starts_with(&said), "{reason}");
    }

    #[test]
    fn a_wrong_configuration_is_an_error() {
        let error = Database::new().check("not a URL").unwrap_err().to_string();
        assert!(error.contains("failed to deserialize config"), "{error}");
    }
}
