//! Columns for people: as wide as their widest cell, the last one ragged.

/// `rows` beneath `head`, two blanks between columns, a newline after each row.
pub fn render<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let padded: Vec<String> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(head);
    for row in rows {
        text.push_str(&line(std::array::from_fn(|n| row[n].as_str())));
    }
    text
}

/// A value of the server as a cell: texts without quotes, nothing for null.
pub fn cell(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => plain(text),
        serde_json::Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Text of others on a terminal: no control characters, so that nobody's command moves the cursor.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["/a".to_owned(), "1".to_owned()], ["/long/id".to_owned(), String::new()]];
        assert_eq!(render(["ID", "TASKS"], &rows), "ID        TASKS\n/a        1\n/long/id\n");
        assert_eq!(cell(&serde_json::json!([1, "a\u{1b}[2J"])), "1,a [2J");
    }
}
