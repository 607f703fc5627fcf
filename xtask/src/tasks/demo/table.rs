//! The table of the demo: redrawn in place on a terminal, else a line for each change.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use jiff::Timestamp;

use super::examples::Example;
use super::state::State;

/// The width where there is no terminal to ask.
const USUAL_WIDTH: usize = 130;

/// One line: an example, where it stands, and how often Google was called for it (known at the end).
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) example: Example,
    pub(super) state: State,
    pub(super) calls: String,
}

impl Row {
    /// The row of an object that is not there yet.
    pub(super) fn new(example: &Example) -> Self {
        Self {
            example: example.clone(),
            state: State::unseen(),
            calls: String::new(),
        }
    }

    /// Whether nothing more is expected to happen to it.
    pub(super) fn is_settled(&self) -> bool {
        self.state.is_settled(&self.example.ends_as)
    }
}

/// Shows rows while they change.
pub(super) struct LiveTable {
    /// How many lines of the terminal the last drawing took; `None` if it is no terminal.
    drawn: Option<usize>,
    started: Instant,
}

impl LiveTable {
    /// A table of what happens from now on.
    pub(super) fn new() -> Self {
        Self {
            drawn: io::stdout().is_terminal().then_some(0),
            started: Instant::now(),
        }
    }

    /// Shows that one row changed.
    pub(super) fn changed(&mut self, row: &Row) {
        if self.drawn.is_some() {
            return;
        }
        let State {
            phase,
            outcome,
            why,
            ..
        } = &row.state;
        let line = format!(
            "{:>6.1} s  {:<22} {:<17} {:<12} {why}",
            self.started.elapsed().as_secs_f64(),
            row.example.key.name,
            phase,
            outcome.as_deref().unwrap_or("-"),
        );
        say(line.trim_end());
    }

    /// Shows all rows, with what is new and with their ages.
    pub(super) fn redraw(&mut self, rows: &[Row]) {
        let Some(lines) = self.drawn else { return };
        let text = text(rows);
        let back = if lines == 0 {
            String::new()
        } else {
            format!("\x1b[{lines}A\x1b[J")
        };
        say(&format!("{back}{text}"));
        self.drawn = Some(text.lines().count());
    }

    /// Ends the live table with one that has the number of calls.
    pub(super) fn finish(mut self, rows: &[Row]) {
        if self.drawn.is_some() {
            self.redraw(rows);
        } else {
            say(&format!("\n{}", text(rows)));
        }
    }
}

/// Prints a line. If the reader has closed the output, the run continues, for its exit code.
fn say(line: &str) {
    let _closed = writeln!(io::stdout().lock(), "{line}");
}

fn text(rows: &[Row]) -> String {
    let now = Timestamp::now();
    let header = [
        "NAME", "SERVICE", "PHASE", "OUTCOME", "READY", "AGE", "CALLS", "WHY",
    ]
    .map(str::to_owned);
    let mut lines = vec![header];
    for Row {
        example,
        state,
        calls,
    } in rows
    {
        lines.push([
            example.key.name.clone(),
            example.service.clone(),
            state.phase.clone(),
            state.outcome.clone().unwrap_or_else(|| "-".to_owned()),
            state.ready.clone().unwrap_or_else(|| "-".to_owned()),
            state
                .age(now)
                .map_or_else(|| "-".to_owned(), |age| format!("{age}s")),
            calls.clone(),
            state.why.clone(),
        ]);
    }
    aligned(&lines, width())
}

/// Columns beside each other, except those that are empty below their title; lines end at `width`.
fn aligned<const N: usize>(lines: &[[String; N]], width: usize) -> String {
    let mut text = vec![String::new(); lines.len()];
    for column in 0..N {
        let cells = || lines.iter().filter_map(|line| line.get(column));
        if cells().skip(1).all(String::is_empty) {
            continue;
        }
        let widest = cells().map(|cell| cell.chars().count()).max().unwrap_or(0);
        for (line, cell) in text.iter_mut().zip(cells()) {
            line.push_str(&format!("{cell:<widest$}  "));
        }
    }
    let cut = |line: &String| {
        let line = line.trim_end();
        if line.chars().count() <= width {
            return line.to_owned();
        }
        let kept: String = line.chars().take(width.saturating_sub(1)).collect();
        format!("{}…", kept.trim_end())
    };
    text.iter().map(cut).collect::<Vec<_>>().join("\n")
}

fn width() -> usize {
    terminal_size::terminal_size().map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_in_line_and_long_lines_are_cut() {
        let line = |words: [&str; 3]| words.map(str::to_owned);
        let lines = [
            line(["A", "EMPTY", "B"]),
            line(["long", "", "one two three"]),
        ];
        assert_eq!(aligned(&lines, 80), "A     B\nlong  one two three");
        assert_eq!(aligned(&lines, 11), "A     B\nlong  one…");
    }
}
