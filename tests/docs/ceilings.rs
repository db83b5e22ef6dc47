//! The table of ceilings in ARCHITECTURE.md says what the code says.

use std::path::Path;

use crate::page::{Page, root};

#[test]
fn every_ceiling_in_the_table_is_that_of_the_code() {
    let page = Page::read(Path::new("docs/ARCHITECTURE.md"));
    let section = page.sections.iter().find(|section| section.heading == "Who owns which ceiling");
    let prose = &section.expect("the page has this section").prose;
    let rows = prose.iter().filter(|line| line.starts_with("| `"));

    let mut compared = 0;
    for row in rows {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [_, name, value, file, ..] = cells[..] else {
            panic!("a row of the table has too few cells: {row}");
        };
        let code = std::fs::read_to_string(root().join(file))
            .unwrap_or_else(|error| panic!("{file} cannot be read: {error}"));
        let is_defined_so =
            |line: &str| line.contains(&format!("const {name}: ")) && line.contains(&format!(" = {value};"));
        assert!(code.lines().any(is_defined_so), "{file} does not say that {name} is {value}");
        compared += 1;
    }
    assert!(compared > 20, "the table was not found: {compared} rows");
}
