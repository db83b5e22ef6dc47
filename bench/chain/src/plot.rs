//! Draws the medians of a run as bars, in an SVG that needs no library and no script. One panel for each figure,
//! one bar for each subject; a panel has its own scale, for only ratios within it mean anything.

use std::fmt::Write;

use crate::figures::Figure;
use crate::report::Report;
use crate::subject::Subject;

/// What is drawn, in reading order.
const PANELS: [Figure; 8] = [
    Figure::TcpOne,
    Figure::TcpFour,
    Figure::Udp,
    Figure::SmallDatagrams,
    Figure::ProcessorTcpOne,
    Figure::ProcessorUdp,
    Figure::PingIdleP50,
    Figure::PingLoadedP99,
];

const COLUMNS: usize = 2;
const PANEL_WIDTH: usize = 460;
const NAME_WIDTH: usize = 120;
const BAR_WIDTH: usize = 240;
const ROW: usize = 20;
const HEAD: usize = 34;
const MARGIN: usize = 14;

/// Returns the drawing.
pub(crate) fn plot(report: &Report) -> String {
    let panels: Vec<_> = PANELS.map(|figure| (figure, report.medians_of(figure))).into();
    draw(&panels)
}

fn draw(panels: &[(Figure, Vec<(Subject, f64)>)]) -> String {
    let rows_max = panels.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let panel_height = HEAD + rows_max * ROW + MARGIN;
    let (width, height) =
        (COLUMNS * PANEL_WIDTH + MARGIN, panels.len().div_ceil(COLUMNS) * panel_height + MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (index, (figure, values)) in panels.iter().enumerate() {
        let (left, top) = (MARGIN + index % COLUMNS * PANEL_WIDTH, MARGIN + index / COLUMNS * panel_height);
        panel(&mut text, *figure, values, (left, top));
    }
    text.push_str("</svg>\n");
    text
}

fn panel(text: &mut String, figure: Figure, values: &[(Subject, f64)], (left, top): (usize, usize)) {
    let mut put = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a string takes it");
    let title = figure.title();
    put(format_args!("<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{title}</text>", top + 16));
    let longest = values.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    for (row, (subject, value)) in values.iter().enumerate() {
        let y = top + HEAD + row * ROW;
        let length = if longest > 0.0 { value / longest * BAR_WIDTH as f64 } else { 0.0 };
        let colour = match subject {
            Subject::Peerbound | Subject::PeerboundClear => "#2a6f97",
            Subject::Kernel | Subject::SocatUdp | Subject::SocatDtls | Subject::Boringtun => "#b8b8b8",
        };
        let (bar, middle) = (left + NAME_WIDTH, y + 11);
        put(format_args!("<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{subject}</text>", bar - 8));
        put(format_args!(
            "<rect x=\"{bar}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" fill=\"{colour}\"/>",
            ROW - 6
        ));
        put(format_args!(
            "<text x=\"{:.1}\" y=\"{middle}\">{}</text>",
            bar as f64 + length + 6.0,
            figure.text(*value)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_bar_fills_its_panel_and_the_others_are_in_proportion() {
        let values = vec![(Subject::Peerbound, 4e9), (Subject::SocatDtls, 1e9)];

        let drawn = draw(&[(Figure::TcpOne, values), (Figure::Udp, Vec::new())]);

        assert!(drawn.contains("width=\"240.0\"") && drawn.contains("width=\"60.0\""), "{drawn}");
        assert!(drawn.contains(">4000<") && drawn.contains(">socat-dtls<"), "{drawn}");
        assert_eq!(drawn.matches("<text").count(), 2 + 4);
    }
}
