//! Lists under headings.

/// Puts items under their headings, both in the order in which they first come.
pub(crate) fn grouped<'a, T>(
    items: impl IntoIterator<Item = &'a T>,
    heading: impl Fn(&'a T) -> &'a str,
) -> Vec<(&'a str, Vec<&'a T>)> {
    let mut groups: Vec<(&str, Vec<&T>)> = Vec::new();
    for item in items {
        let name = heading(item);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, members)) => members.push(item),
            None => groups.push((name, vec![item])),
        }
    }
    groups
}
