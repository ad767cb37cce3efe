//! A table of text: columns as wide as their widest cell, the first to the left, the others to the right.

use std::fmt;

/// Between two columns.
const GAP: &str = "   ";

/// Rows in sections.
#[derive(Debug, Default)]
pub(crate) struct Table {
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Section(String),
    Row(Vec<String>),
}

impl Table {
    /// Begins a section.
    pub(crate) fn section(&mut self, title: &str) {
        self.lines.push(Line::Section(title.to_owned()));
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.lines.push(Line::Row(cells));
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.lines.iter().filter_map(|line| match line {
            Line::Row(cells) => cells.get(column),
            Line::Section(_) => None,
        });
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            let cells = match line {
                Line::Section(title) => {
                    writeln!(f, "{title}")?;
                    continue;
                }
                Line::Row(cells) => cells,
            };
            let mut text = String::new();
            for (column, cell) in cells.iter().enumerate() {
                let width = self.width(column);
                if column == 0 {
                    text.push_str(&format!("  {cell:<width$}"));
                } else {
                    text.push_str(&format!("{GAP}{cell:>width$}"));
                }
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// Three significant digits, thousands apart.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    let digits = if size < 0.0005 {
        return "0".to_owned();
    } else if size < 0.9995 {
        3
    } else if size < 9.995 {
        2
    } else if size < 99.95 {
        1
    } else {
        0
    };
    let text = format!("{value:.digits$}");
    if digits > 0 {
        return text;
    }
    let mut out = String::new();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (text.len() - at).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
