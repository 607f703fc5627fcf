//! A Markdown page as its reader sees it: commands, what they print, links, and what can be linked to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// What a block that no test can execute begins with.
const SKIPPED: [&str; 4] = [
    "# Needs Google.",
    "# Needs a cluster with nodes.",
    "# Needs a registry.",
    "# Needs a scanner.",
];

/// What a task's command begins with. CI runs the tasks, and their output is not compared: see `cargo.sh`.
const TASK: &str = "cargo xtask ";

/// Languages that would hide a command from this test.
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

/// What a command looks like beside its output, where this test would not see it.
const PROMPT: &str = "$ ";

/// What the cluster has when a page's first command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing of ours.
    Nothing,
    /// The operator, running, an emulator in Google's place, and the namespace contact-center with its grant.
    Installed,
}

/// A fenced block of commands.
#[derive(Debug)]
pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    /// The commands.
    pub commands: String,
    /// The first line, if it says that no test can execute the block.
    pub skip_reason: Option<&'static str>,
    /// What the page shows as its output.
    pub output: Option<ExpectedOutput>,
}

/// The output that a page shows.
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
    /// What its commands start from, if it says so.
    pub start: Option<Start>,
    /// Its commands, in order.
    pub blocks: Vec<Block>,
    /// Where its links go, with the line of each.
    pub links: Vec<(usize, String)>,
    /// What a link to it may have after `#`.
    pub anchors: BTreeSet<String>,
    /// The text of its headings.
    pub headings: Vec<String>,
    /// The messages that its paragraphs about a symptom quote, with the line of each.
    pub symptoms: Vec<(usize, String)>,
    /// What is wrong with the page as a page.
    pub faults: Vec<String>,
}

impl Page {
    /// Whether any of it is executed.
    pub fn is_executed(&self) -> bool {
        self.blocks.iter().any(|block| block.skip_reason.is_none())
    }

    /// Reads a page from its text.
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
        // Whether the block before was one of commands, and nothing came since.
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
                "it has commands: say in a comment on the first lines what they start from, \
                 <!-- commands start from: nothing --> or <!-- commands start from: installed -->"
                    .to_owned(),
            );
        }
        page
    }

    /// Takes a block of code; returns whether the output of commands may follow.
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
                "line {line}: a line begins with {PROMPT:?}: commands stand in a block of their own, in sh"
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
                "line {line}: a block in {hidden:?}: commands are sh, everything else says what it is"
            )),
            _ => {}
        }
        false
    }

    /// Takes a heading, and makes its anchor as GitHub does.
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

/// All files of the repository, relative to its root: no build results, no history.
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
fn a_page_that_hides_its_commands_is_at_fault() {
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
