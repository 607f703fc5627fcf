//! Parses a Markdown page: its commands, their output, links, and headings.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// First lines of blocks that no test can run.
const SKIPPED: [&str; 4] = [
    "# Needs Google.",
    "# Needs a cluster with nodes.",
    "# Needs a registry.",
    "# Needs a scanner.",
];

/// Prefix of the tasks. CI runs the tasks, and the test does not compare their output: see `cargo.sh`.
const TASK: &str = "cargo xtask ";

/// Languages of blocks in which this test would miss a command.
const HIDDEN: [&str; 8] = [
    "",
    "indented",
    "bash",
    "shell",
    "zsh",
    "console",
    "shell-session",
    "sh-session",
];

/// Prompt of a command in a block with its output, which this test would miss.
const PROMPT: &str = "$ ";

/// State of the cluster before the first command of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing of opcancel.
    Nothing,
    /// The operator runs, the emulator replaces Google, and the namespace contact-center has its grant.
    Installed,
}

/// A fenced block of commands.
#[derive(Debug)]
pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    /// The commands.
    pub commands: String,
    /// The first line, if it says that no test can run the block.
    pub skip_reason: Option<&'static str>,
    /// The output on the page.
    pub output: Option<ExpectedOutput>,
}

/// The output on a page.
#[derive(Debug)]
pub struct ExpectedOutput {
    /// The line of its fence, from 1.
    pub line: usize,
    /// The text.
    pub text: String,
}

/// A Markdown page.
#[derive(Debug, Default)]
pub struct Page {
    /// Relative to the repository's root.
    pub path: PathBuf,
    /// State of the cluster, if the page says so.
    pub start: Option<Start>,
    /// Its commands, in order.
    pub blocks: Vec<Block>,
    /// Targets of its links, with their lines.
    pub links: Vec<(usize, String)>,
    /// Anchors of its headings: what a link can have after `#`.
    pub anchors: BTreeSet<String>,
    /// The text of its headings.
    pub headings: Vec<String>,
    /// Messages in its paragraphs that begin with `Symptom:`, with their lines.
    pub symptoms: Vec<(usize, String)>,
    /// Errors in the form of the page.
    pub faults: Vec<String>,
}

impl Page {
    /// Whether the test runs any of its blocks.
    pub fn is_executed(&self) -> bool {
        self.blocks.iter().any(|block| block.skip_reason.is_none())
    }

    /// Parses the text of a page.
    pub fn parse(path: &Path, text: &str) -> Self {
        let mut page = Self {
            path: path.to_owned(),
            start: start(text),
            ..Self::default()
        };
        let line = |range: &Range<usize>| text[..range.start].matches('\n').count() + 1;
        let mut code: Option<(String, usize, String)> = None;
        let mut heading: Option<String> = None;
        let mut paragraph = String::new();
        // Whether the previous element was a block of commands.
        let mut output_may_follow = false;
        for (event, range) in Parser::new_ext(text, options()).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(info) => {
                            let info = info.split_whitespace().next().unwrap_or_default();
                            info.to_owned()
                        }
                        CodeBlockKind::Indented => "indented".to_owned(),
                    };
                    code = Some((language, line(&range), String::new()));
                }
                Event::End(TagEnd::CodeBlock) => {
                    let (language, line, text) = code.take().unwrap();
                    output_may_follow = page.add_code(&language, line, text, output_may_follow);
                    continue;
                }
                Event::Start(Tag::Paragraph) => paragraph.clear(),
                Event::Code(said) if paragraph.starts_with("Symptom: ") && said.contains(' ') => {
                    page.symptoms.push((line(&range), said.into_string()));
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => page.add_heading(heading.take().unwrap()),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line(&range), dest_url.into_string()));
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some((_, _, code)) = &mut code {
                        code.push_str(&text);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    } else {
                        paragraph.push_str(&text);
                    }
                }
                _ => {}
            }
            if code.is_none() {
                output_may_follow = false;
            }
        }
        if page.is_executed() && page.start.is_none() {
            page.faults.push(
                "the page has commands: add a comment to its first lines, \
                 <!-- commands start from: nothing --> or <!-- commands start from: installed -->"
                    .to_owned(),
            );
        }
        page
    }

    /// Adds a block of code. Returns whether a block with its output may follow.
    fn add_code(
        &mut self,
        language: &str,
        line: usize,
        text: String,
        after_commands: bool,
    ) -> bool {
        if language != "sh"
            && text
                .lines()
                .any(|text| text.trim_start().starts_with(PROMPT))
        {
            self.faults.push(format!(
                "line {line}: a line begins with {PROMPT:?}; put commands in a separate block of the language sh"
            ));
        }
        match language {
            "sh" => {
                let first = text.lines().next().unwrap_or_default();
                let skip_reason = SKIPPED.into_iter().find(|skip_reason| first == *skip_reason);
                let is_task = text.lines().all(|line| line.starts_with(TASK));
                self.blocks.push(Block {
                    line,
                    commands: text,
                    skip_reason,
                    output: None,
                });
                return skip_reason.is_none() && !is_task;
            }
            "text" if after_commands => {
                let block = self.blocks.last_mut().unwrap();
                block.output = Some(ExpectedOutput { line, text });
            }
            hidden if HIDDEN.contains(&hidden) => self.faults.push(format!(
                "line {line}: the language of the block is {hidden:?}; use sh for commands, and name the language of other blocks"
            )),
            _ => {}
        }
        false
    }

    /// Adds a heading, and its anchor by GitHub's rule.
    fn add_heading(&mut self, text: String) {
        let kept = text.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        });
        let name = kept.collect::<String>().to_lowercase();
        let mut anchor = name.clone();
        let mut number = 0;
        while !self.anchors.insert(anchor.clone()) {
            number += 1;
            anchor = format!("{name}-{number}");
        }
        self.headings.push(text);
    }
}

fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES
}

fn start(text: &str) -> Option<Start> {
    let comments = text.lines().take(5).find_map(|line| {
        line.strip_prefix("<!-- commands start from: ")?
            .strip_suffix(" -->")
    });
    match comments? {
        "nothing" => Some(Start::Nothing),
        "installed" => Some(Start::Installed),
        _ => None,
    }
}

/// All Markdown pages below `root`, by their path.
pub fn all(root: &Path) -> BTreeMap<PathBuf, Page> {
    let mut pages = BTreeMap::new();
    for path in files(root) {
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(root.join(&path)).unwrap();
            pages.insert(path.clone(), Page::parse(&path, &text));
        }
    }
    pages
}

/// All files of the repository, relative to its root, without build results and history.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::new()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if !entry.file_type().unwrap().is_dir() {
                files.push(path);
            } else if entry.file_name() != ".git" && entry.file_name() != "target" {
                folders.push(path);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn commands_their_output_and_anchors_are_found() {
    let text = "<!-- commands start from: nothing -->\n# A page: `x`\n\n1. first\n\n   ```sh\n   kubectl get pods\n   ```\n\n   \
                ```text\n   NAME\n   ```\n\n```sh\n# Needs Google.\ngcloud auth login\n```\n\n```text\nnot its output\n```\n\n# A page: x\n";
    let page = Page::parse(Path::new("a.md"), text);
    assert_eq!(page.start, Some(Start::Nothing));
    let [first, second] = &page.blocks[..] else {
        panic!("{page:?}")
    };
    assert_eq!(
        (first.line, first.commands.as_str()),
        (6, "kubectl get pods\n")
    );
    let output = first.output.as_ref().unwrap();
    assert_eq!((output.line, output.text.as_str()), (10, "NAME\n"));
    assert!(second.skip_reason.is_some() && second.output.is_none());
    assert!(page.anchors.contains("a-page-x") && page.anchors.contains("a-page-x-1"));
    assert!(page.faults.is_empty(), "{:?}", page.faults);
}

#[test]
fn commands_in_other_languages_are_reported() {
    let page = Page::parse(Path::new("a.md"), "```bash\nrm\n```\n\n```sh\ntrue\n```\n");
    assert_eq!(page.faults.len(), 2, "{:?}", page.faults);
    for hidden in [
        "```console\nrm\n```\n",
        "text\n\n    rm\n",
        "```text\n$ rm\ngone\n```\n",
        "- item\n\n  ```yaml\n  a: b\n    $ rm\n  ```\n",
    ] {
        let page = Page::parse(Path::new("a.md"), hidden);
        assert_eq!(page.faults.len(), 1, "{hidden}: {:?}", page.faults);
    }
}

#[test]
fn the_output_of_a_task_is_not_compared() {
    let text = "<!-- commands start from: nothing -->\n```sh\ncargo xtask demo # all of it\n```\n\n```text\nmuch\n```\n";
    let page = Page::parse(Path::new("a.md"), text);
    assert!(page.is_executed() && page.faults.is_empty() && page.blocks[0].output.is_none());
    let text = text.replace("# all of it", "\nkubectl get pods");
    assert!(
        Page::parse(Path::new("a.md"), &text).blocks[0]
            .output
            .is_some()
    );
}
