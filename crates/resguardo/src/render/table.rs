//! Tables without lines: aligned columns that `awk` reads as well as a person does.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::Output;

/// A table with a header. `right` names the columns whose numbers stand to the right.
#[must_use]
pub fn table(out: &Output, header: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(Cell::new));
    for row in rows {
        table.add_row(row);
    }
    for position in right {
        if let Some(column) = table.column_mut(*position) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    // Colours come last: they would count as width.
    let lines = table
        .lines()
        .enumerate()
        .map(|(number, line)| match number {
            0 => out.bold(line.trim_end()),
            _ => line.trim_end().to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// Names and values, one a line, aligned.
#[must_use]
pub fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    rows.iter()
        .map(|(name, value)| format!("{name:width$}  {value}").trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}
