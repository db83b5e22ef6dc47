//! `peerbound graph`: draws the mesh as far as a running node knows it.

use std::collections::BTreeMap;

use clap::Args;
use peerbound_daemon::control::answers::GraphAnswer;

use crate::ask::{Nothing, Target, failure};
use crate::outcome::{CommandResult, Outcome};
use crate::output::Output;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  peerbound graph > mesh.mmd\n  peerbound graph --dot | dot -Tsvg > mesh.svg\n\nDotted links are down. Links further away are those that learned ways lead over."
)]
pub(crate) struct GraphArguments {
    #[command(flatten)]
    target: Target,
    /// Draw it for Mermaid, which is the default.
    #[arg(long, conflicts_with = "dot")]
    mermaid: bool,
    /// Draw it for Graphviz.
    #[arg(long)]
    dot: bool,
}

pub(crate) fn graph(arguments: &GraphArguments, output: &Output) -> CommandResult {
    let answer: GraphAnswer = arguments.target.connect()?.ask("graph", &Nothing {}).map_err(failure)?;
    output.result(&answer, || if arguments.dot { dot(&answer) } else { mermaid(&answer) })?;
    Ok(Outcome::Held)
}

fn mermaid(graph: &GraphAnswer) -> String {
    let places = places(graph);
    let mut lines = vec!["graph LR".to_owned()];
    for (place, node) in graph.nodes.iter().enumerate() {
        // Mermaid knows entities by their number, and no backslash.
        let name = node.name.replace('&', "#38;").replace('"', "#34;").replace('<', "#60;");
        let (open, close) = if node.id == graph.us.id { ("([", "])") } else { ("[", "]") };
        lines.push(format!("  n{place}{open}\"{name}\"{close}"));
    }
    for link in &graph.links {
        if let (Some(from), Some(to)) = (places.get(&link.from), places.get(&link.to)) {
            lines.push(format!("  n{from} {} n{to}", if link.is_up { "---" } else { "-.-" }));
        }
    }
    lines.join("\n")
}

fn dot(graph: &GraphAnswer) -> String {
    let places = places(graph);
    let mut lines = vec!["graph mesh {".to_owned(), "  node [shape=box]".to_owned()];
    for (place, node) in graph.nodes.iter().enumerate() {
        let name = node.name.replace('\\', "\\\\").replace('"', "\\\"");
        let shape = if node.id == graph.us.id { ", style=rounded" } else { "" };
        lines.push(format!("  n{place} [label=\"{name}\"{shape}]"));
    }
    for link in &graph.links {
        if let (Some(from), Some(to)) = (places.get(&link.from), places.get(&link.to)) {
            lines.push(format!("  n{from} -- n{to}{}", if link.is_up { "" } else { " [style=dotted]" }));
        }
    }
    lines.push("}".to_owned());
    lines.join("\n")
}

fn places(graph: &GraphAnswer) -> BTreeMap<&String, usize> {
    graph.nodes.iter().enumerate().map(|(place, node)| (&node.id, place)).collect()
}

#[cfg(test)]
mod tests {
    use peerbound_daemon::control::answers::{GraphLink, NodeName};

    use super::*;

    fn graph() -> GraphAnswer {
        let node = |id: &str, name: &str| NodeName { id: id.to_owned(), name: name.to_owned() };
        let link = |from: &str, to: &str, is_up| GraphLink {
            from: from.to_owned(),
            to: to.to_owned(),
            is_up,
            is_ours: true,
        };
        GraphAnswer {
            us: node("1", "A"),
            nodes: vec![node("1", "A"), node("2", "the \"B\""), node("3", "C")],
            links: vec![link("1", "2", true), link("2", "3", false)],
        }
    }

    #[test]
    fn a_mesh_is_drawn_for_mermaid() {
        let drawn = mermaid(&graph());

        let lines = [
            "graph LR",
            "  n0([\"A\"])",
            "  n1[\"the #34;B#34;\"]",
            "  n2[\"C\"]",
            "  n0 --- n1",
            "  n1 -.- n2",
        ];
        assert_eq!(drawn.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn a_mesh_is_drawn_for_graphviz() {
        let drawn = dot(&graph());

        assert!(drawn.starts_with("graph mesh {\n") && drawn.ends_with("\n}"), "{drawn}");
        assert!(drawn.contains("  n1 [label=\"the \\\"B\\\"\"]\n"), "{drawn}");
        assert!(drawn.contains("  n0 -- n1\n  n1 -- n2 [style=dotted]\n"), "{drawn}");
    }
}
