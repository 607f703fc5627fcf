//! Runs the commands of a page in one bash. They keep their line numbers, so the messages of bash name the lines of the page.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use super::{
    expected_output,
    page::{Block, Page},
};

/// Time limit for a page.
pub const LIMIT: Duration = Duration::from_secs(300);

/// What bash prints between blocks, with the line of the fence. No command prints this character.
const MARK: char = '\u{1e}';

/// Runs before the first line of a page. The ERR trap prints the failed command. A block also fails if its last command is
/// the left side of `&&`, which `set -e` does not detect.
const BEFORE: &str = r#"unset BASH_ENV
trap 'printf "\036failed %s %s\n" "$LINENO" "$BASH_COMMAND"' ERR
block_begins() { printf '\036block %s\n' "$1"; }
block_ends() { local status=$?; if [ "$status" -ne 0 ]; then printf '\036failed %s %s\n' "$1" 'the last command of the block'; exit "$status"; fi; }
"#;

/// Where commands run, and with which variables.
pub struct ShellOptions {
    /// A temporary folder of this page, also for the files of bash.
    pub scratch: PathBuf,
    /// The folder in which the commands run.
    pub folder: PathBuf,
    /// Variables in addition to the inherited ones.
    pub variables: Vec<(String, String)>,
    /// Whether to print the output of the commands.
    pub show: bool,
}

/// Runs a page. An error has the line on the page, the command and its output.
pub fn execute(page: &Page, options: &ShellOptions, limit: Duration) -> Result<(), String> {
    let script = options.scratch.join("page").join(&page.path);
    fs::create_dir_all(script.parent().unwrap()).unwrap();
    fs::write(&script, text(page)).unwrap();
    let (before, printed) = (
        options.scratch.join("before"),
        options.scratch.join("output"),
    );
    fs::write(&before, BEFORE).unwrap();
    let output = File::create(&printed).unwrap();
    let mut command = Command::new("bash");
    command
        .args(["-Eeuo", "pipefail"])
        .arg(&script)
        .current_dir(&options.folder)
        .env("BASH_ENV", &before)
        .envs(options.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .process_group(0);
    let ended = run(&mut command, limit);
    let printed = String::from_utf8_lossy(&fs::read(&printed).unwrap()).into_owned();
    if options.show {
        println!("{printed}");
    }
    judge(page, ended, &printed, limit)
}

/// The script: the commands on the lines where the page has them, and empty lines between.
fn text(page: &Page) -> String {
    let mut lines: Vec<String> = Vec::new();
    for block in page
        .blocks
        .iter()
        .filter(|block| block.skip_reason.is_none())
    {
        lines.resize(block.line - 1, String::new());
        lines.push(format!("block_begins {}", block.line));
        lines.extend(block.commands.lines().map(str::to_owned));
        lines.push(format!("block_ends {}", lines.len()));
    }
    lines.join("\n") + "\n"
}

/// Runs the script, and ends all processes that it has started. `None` after the time limit.
fn run(command: &mut Command, limit: Duration) -> Option<ExitStatus> {
    let mut child = command.spawn().unwrap();
    let group = child.id();
    let (sender, ended) = mpsc::channel();
    let waiting = std::thread::spawn(move || {
        let _ = sender.send(child.wait().unwrap());
    });
    let status = ended.recv_timeout(limit).ok();
    // Ends the background processes of the page.
    let _ = Command::new("kill")
        .args(["-KILL", "--", &format!("-{group}")])
        .stderr(Stdio::null())
        .status();
    waiting.join().unwrap();
    status
}

fn judge(
    page: &Page,
    ended: Option<ExitStatus>,
    printed: &str,
    limit: Duration,
) -> Result<(), String> {
    let path = page.path.display();
    let (mut last, mut failed) = (None, None);
    let mut outputs: Vec<(usize, String)> = Vec::new();
    for line in printed.split_inclusive('\n') {
        // If the output of a command does not end with a newline, the mark is in the middle of a line.
        let (text, mark) = line.split_once(MARK).unwrap_or((line, ""));
        if let Some((_, output)) = outputs.last_mut() {
            output.push_str(text);
        }
        let (what, rest) = mark.trim_end().split_once(' ').unwrap_or_default();
        match what {
            "block" => {
                last = rest.parse().ok();
                outputs.extend(last.map(|line| (line, String::new())));
            }
            "failed" => failed = failed.or(rest.split_once(' ')),
            _ => {}
        }
    }
    let output_of = |line| {
        let found = outputs.iter().find(|(of, _)| Some(*of) == line);
        found.map_or("", |(_, output)| output)
    };
    let failed_with = |what: String| format!("{what}\n--- output:\n{}", end_of(output_of(last)));
    match ended {
        None => {
            let line = last.unwrap_or_default();
            return Err(failed_with(format!(
                "{path}:{line}: not done after {limit:?}"
            )));
        }
        Some(status) if !status.success() => {
            let line = last.map(|line: usize| line.to_string()).unwrap_or_default();
            let (line, command) = failed.unwrap_or((&line, "a command"));
            return Err(failed_with(format!(
                "{path}:{line}: failed ({status}): {command}"
            )));
        }
        Some(_) => {}
    }
    for block in &page.blocks {
        check_output(page, block, output_of(Some(block.line)))?;
    }
    Ok(())
}

fn check_output(page: &Page, block: &Block, output: &str) -> Result<(), String> {
    let Some(text) = &block.output else {
        return Ok(());
    };
    match expected_output::first_missing_line(&text.text, output) {
        None => Ok(()),
        Some(line) => Err(format!(
            "{}:{}: on the page, but not in the output (or not in this order): {line}\n--- output:\n{}",
            page.path.display(),
            text.line,
            end_of(output)
        )),
    }
}

/// The end of an output, shortened.
fn end_of(output: &str) -> String {
    let lines: Vec<_> = output.trim_end().lines().collect();
    let short = |line: &&str| line.chars().take(600).collect::<String>();
    let last: Vec<_> = lines[lines.len().saturating_sub(60)..]
        .iter()
        .map(short)
        .collect();
    last.join("\n")
}

/// Elapsed time as text.
pub fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(commands: &str, limit: Duration) -> Result<(), String> {
        let scratch = tempfile::tempdir().unwrap();
        let options = ShellOptions {
            scratch: scratch.path().to_owned(),
            folder: scratch.path().to_owned(),
            variables: vec![("GIVEN".to_owned(), "a value".to_owned())],
            show: false,
        };
        let text =
            format!("<!-- commands start from: nothing -->\n# A page\n\n```sh\n{commands}\n```\n");
        execute(&Page::parse(Path::new("docs/a.md"), &text), &options, limit)
    }

    #[test]
    fn a_page_with_working_commands_passes() {
        let good = "x=1\n```\n\n```sh\n[ \"$x $GIVEN\" = '1 a value' ]\necho 'seen 7s' && ! false\n```\n\n```text\nseen 3m\n```\n\n```sh\nsleep 600 &";
        outcome(good, LIMIT).unwrap();
    }

    #[test]
    fn a_failure_is_reported_with_line_and_output() {
        for (commands, expected) in [
            (
                "true\necho hidden >&2; false\ntrue",
                &["docs/a.md:6: ", "false", "hidden"][..],
            ),
            ("false && true", &["docs/a.md:5: ", "the last command"]),
            ("echo \"$NOT_SET\"", &["docs/a.md", "NOT_SET"]),
            ("false | cat", &["docs/a.md:5: "]),
            (
                "f() { no-such-program; }\nf",
                &["docs/a.md:5: ", "no-such-program"],
            ),
            (
                "echo one\n```\n\n```text\ntwo",
                &["docs/a.md:8: ", "two", "output:\none"],
            ),
        ] {
            let why = outcome(commands, LIMIT).unwrap_err();
            assert!(
                expected.iter().all(|part| why.contains(part)),
                "{commands}: {why}"
            );
        }
        let why = outcome("echo before\nsleep 600", Duration::from_secs(1)).unwrap_err();
        assert!(
            why.contains("not done after") && why.contains("before"),
            "{why}"
        );
    }
}
