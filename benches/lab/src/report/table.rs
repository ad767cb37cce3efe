//! A table of text: columns as wide as their widest cell, the first to the left, the others to the right.

use std::fmt;

use crate::statistics::Spread;

/// Between two columns.
const GAP: &str = "   ";

/// Rows in sections.
#[derive(Debug)]
pub(crate) struct Table {
    heads: Vec<String>,
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Section(String),
    Row(Vec<String>),
}

impl Table {
    /// An empty table.
    pub(crate) fn new(heads: Vec<String>) -> Self {
        Self {
            heads,
            lines: Vec::new(),
        }
    }

    /// Begins a section.
    pub(crate) fn section(&mut self, title: String) {
        self.lines.push(Line::Section(title));
    }

    /// Adds a row: a label and a cell per further column.
    pub(crate) fn row(&mut self, mut cells: Vec<String>) {
        if let Some(label) = cells.first_mut() {
            label.insert_str(0, "  ");
        }
        self.lines.push(Line::Row(cells));
    }

    fn width(&self, column: usize) -> usize {
        let rows = self.lines.iter().filter_map(|line| match line {
            Line::Row(cells) => cells.get(column),
            Line::Section(_) => None,
        });
        rows.chain(self.heads.get(column))
            .map(String::len)
            .max()
            .unwrap_or(0)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.heads.len())
            .map(|column| self.width(column))
            .collect();
        let write = |f: &mut fmt::Formatter<'_>, cells: &[String]| {
            let mut line = String::new();
            for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                if column == 0 {
                    line.push_str(&format!("{cell:<width$}"));
                } else {
                    line.push_str(&format!("{GAP}{cell:>width$}"));
                }
            }
            writeln!(f, "{}", line.trim_end())
        };
        write(f, &self.heads)?;
        for line in &self.lines {
            match line {
                Line::Section(title) => writeln!(f, "{title}")?,
                Line::Row(cells) => write(f, cells)?,
            }
        }
        Ok(())
    }
}

/// Three significant digits, thousands apart.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size < 0.0005 {
        return "0".to_owned();
    }
    let digits = if size < 0.9995 {
        3
    } else if size < 9.995 {
        2
    } else if size < 99.95 {
        1
    } else {
        0
    };
    let text = format!("{value:.digits$}");
    if digits > 0 { text } else { thousands(&text) }
}

fn thousands(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 3);
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (text.len() - at).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `median [least-most]`, or `-`.
pub(crate) fn spread(spread: Option<Spread>) -> String {
    let Some(Spread { median, min, max }) = spread else {
        return "-".to_owned();
    };
    format!("{} [{}-{}]", number(median), number(min), number(max))
}
