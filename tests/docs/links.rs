//! Every relative link leads to a file, and every anchor to a heading.

use std::path::{Component, Path, PathBuf};

use crate::page::{Page, all_pages, root};

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for path in all_pages() {
        let page = Page::read(&path);
        for target in links_of(&page) {
            if let Err(problem) = look(&path, &target) {
                broken.push(format!("{}: {target}: {problem}", path.display()));
            }
        }
    }

    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_of_the_book_is_in_its_summary() {
    let book = Path::new("docs/book/src");
    let listed = links_of(&Page::read(&book.join("SUMMARY.md")));

    let of_the_book = all_pages().into_iter().filter(|path| path.starts_with(book));
    for page in of_the_book.filter(|path| !path.ends_with("SUMMARY.md")) {
        let name = page.strip_prefix(book).expect("it is a page of the book").display().to_string();
        assert!(listed.contains(&name), "{name} is not in SUMMARY.md");
    }
}

/// Returns the targets of the links on a page, those to other places of the web left out.
fn links_of(page: &Page) -> Vec<String> {
    let prose = page.sections.iter().flat_map(|section| &section.prose);
    prose.flat_map(|line| links_in(line)).filter(|target| !target.contains("://")).collect()
}

fn links_in(line: &str) -> Vec<String> {
    let without_code: String = line.split('`').step_by(2).collect();
    let behind = without_code.split("](").skip(1);
    behind.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

fn look(from: &Path, target: &str) -> Result<(), String> {
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let folder = from.parent().unwrap_or(Path::new(""));
    let path = if file.is_empty() { from.to_owned() } else { simplify(&folder.join(file)) };
    if !root().join(&path).exists() {
        return Err("there is no such file".to_owned());
    }
    let Some(anchor) = anchor else {
        return Ok(());
    };
    let page = Page::read(&path);
    let mut anchors = page.sections.iter().map(|section| anchor_of(&section.heading));
    if anchors.any(|known| known == anchor) { Ok(()) } else { Err("there is no such heading".to_owned()) }
}

/// Returns what a link to a heading is called: its letters and digits, with hyphens between words.
fn anchor_of(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Takes `..` out of a path, by its text alone.
fn simplify(path: &Path) -> PathBuf {
    let mut simple = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                simple.pop();
            }
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => simple.push(component),
        }
    }
    simple
}

#[test]
fn links_are_found_and_code_is_not_searched_for_them() {
    assert_eq!(links_in("see [a](b.md#c), `[x](y)` and [d](../e)"), ["b.md#c", "../e"]);
    assert_eq!(anchor_of("What `check` says: a list"), "what-check-says-a-list");
}
