//! Draws boxes, lines and words as SVG. Knows nothing of what they mean.

use std::fmt::Write as _;

/// The ink of words and lines. Pictures have a paper of their own, so that they can be read in a dark
/// theme, too.
pub(crate) const INK: &str = "#1c2733";
pub(crate) const PAPER: &str = "#ffffff";
pub(crate) const FAINT: &str = "#6b7785";

const FONT: &str = "font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\"";

/// A picture that grows by what is drawn on it.
pub(crate) struct Canvas {
    width: u32,
    height: u32,
    title: String,
    description: String,
    body: String,
}

/// Where words begin, or about which point they are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Canvas {
    /// Takes a sheet of paper. The description says in words what the picture shows.
    pub(crate) fn new(width: u32, height: u32, title: &str, description: &str) -> Self {
        Self {
            width,
            height,
            title: title.to_owned(),
            description: description.to_owned(),
            body: String::new(),
        }
    }

    pub(crate) fn rectangle(&mut self, place: Place, fill: &str) {
        let Place { x, y, width, height } = place;
        self.line_of(&format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{fill}\" stroke=\"{INK}\"/>"
        ));
    }

    pub(crate) fn line(&mut self, from: (u32, u32), to: (u32, u32), stroke: &str, dashes: Option<&str>) {
        let dashes = dashes.map_or(String::new(), |dashes| format!(" stroke-dasharray=\"{dashes}\""));
        self.line_of(&format!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{stroke}\" stroke-width=\"1.5\"{dashes}/>",
            from.0, from.1, to.0, to.1
        ));
    }

    /// Draws a filled shape with these corners.
    pub(crate) fn polygon(&mut self, corners: &[(u32, u32)], fill: &str) {
        let points: Vec<_> = corners.iter().map(|(x, y)| format!("{x},{y}")).collect();
        self.line_of(&format!("<polygon points=\"{}\" fill=\"{fill}\"/>", points.join(" ")));
    }

    pub(crate) fn words(&mut self, at: (u32, u32), anchor: Anchor, size: u32, ink: &str, words: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.line_of(&format!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{ink}\">{}</text>",
            at.0,
            at.1,
            escaped(words)
        ));
    }

    pub(crate) fn finish(&self) -> String {
        let Self { width, height, title, description, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" {FONT}>\n<title>{}</title>\n<desc>{}</desc>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"{PAPER}\"/>\n{body}</svg>\n",
            escaped(title),
            escaped(description)
        )
    }

    fn line_of(&mut self, element: &str) {
        writeln!(self.body, "{element}").expect("a string takes all");
    }
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[test]
fn words_cannot_become_elements() {
    let mut canvas = Canvas::new(10, 10, "a & b", "1 < 2");

    canvas.words((1, 2), Anchor::End, 9, INK, "<script>");

    let svg = canvas.finish();
    assert!(svg.contains("a &amp; b") && svg.contains("1 &lt; 2") && svg.contains("&lt;script&gt;"));
    assert!(!svg.contains("<script>"));
}
