//! A proof as one page of HTML that needs no other file and no script: the matrix, and under each
//! experiment everything that was expected. In the style of the pages of traces.

use peerbound_lab::prove::{Check, Proof, ProofOutcome, ProofReport};
use peerbound_lab::trace::{escape_html, page_style};

use crate::groups::grouped;

/// What this page has beyond those of traces. Outcomes differ by their words and signs, too.
const STYLE: &str = "
table.proof { border-collapse: collapse; width: 100%; }
table.proof th, table.proof td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--rule); font-weight: 400; }
table.proof thead th { color: var(--quiet); font-size: .88rem; }
table.proof .result { white-space: nowrap; font-weight: 700; }
.held .result { color: var(--accepted); }
.did-not-hold .result, .failed .result { color: var(--killed); }
.refused .result { color: var(--quiet); }
details.experiment > summary { cursor: pointer; }
details.experiment ul.claims { margin-bottom: .5rem; }
p.total { font-weight: 700; }
";

/// Makes the page.
pub(crate) fn to_html(report: &ProofReport) -> String {
    let text = escape_html;
    let suite = report.suite.as_ref().map_or_else(String::new, |suite| format!(", {}", text(suite)));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>What was proved</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n<header>\n\
         <h1>What was proved</h1>\n<p class=\"facts\">peerbound {} on {}, seed {}{suite}, {}</p>\n\
         <p class=\"total\">{}</p>\n</header>\n<main>\n",
        page_style(),
        text(&report.peerbound),
        text(&report.backend),
        report.seed,
        text(&report.openssl),
        text(&super::matrix::verdict(report)),
    );
    for (group, proofs) in grouped(&report.proofs, |proof| &proof.group) {
        html += &format!(
            "<h2>{}</h2>\n<table class=\"proof\">\n<thead><tr><th>experiment</th><th>expected</th>\
             <th>observed</th><th>result</th></tr></thead>\n<tbody>\n",
            text(group)
        );
        for proof in proofs {
            html += &row(proof, report);
        }
        html += "</tbody>\n</table>\n";
    }
    html + "</main>\n</body>\n</html>\n"
}

fn row(proof: &Proof, report: &ProofReport) -> String {
    let text = escape_html;
    let (class, result, reason) = match &proof.outcome {
        ProofOutcome::Held => ("held", "✓ as expected".to_owned(), None),
        ProofOutcome::DidNotHold => ("did-not-hold", "✗ NOT as expected".to_owned(), None),
        ProofOutcome::Failed { reason } => ("failed", "✗ not carried out".to_owned(), Some(reason)),
        ProofOutcome::Refused { reason } => {
            ("refused", format!("– not on {}", text(&report.backend)), Some(reason))
        }
    };
    let telling = proof.telling_check();
    let cell = |seen: fn(&Check) -> &String| telling.map_or_else(String::new, |check| text(seen(check)));
    let (expected, observed) = match reason {
        Some(reason) => (String::new(), text(reason)),
        None => (cell(|check| &check.brief.expected), cell(|check| &check.brief.observed)),
    };
    format!(
        "<tr class=\"{class}\"><td>{}</td><td>{expected}</td><td>{observed}</td>\
         <td class=\"result\">{result}</td></tr>\n",
        experiment(proof)
    )
}

/// The name of an experiment, which opens to all that it claims.
fn experiment(proof: &Proof) -> String {
    let text = escape_html;
    let mut html = format!(
        "<details class=\"experiment\"><summary><code>{}</code> {}</summary>\n<p>{} [{}]</p>\n",
        text(&proof.label()),
        text(&proof.title),
        text(&proof.meaning),
        text(&proof.clause)
    );
    if !proof.checks.is_empty() {
        html += "<ul class=\"claims\">\n";
        for check in &proof.checks {
            let class = if check.holds { "" } else { " class=\"failed\"" };
            let (expected, observed) = (text(&check.expected), text(&check.observed));
            html += &format!("<li{class}>{expected} <span class=\"seen\">observed: {observed}</span></li>\n");
        }
        html += "</ul>\n";
    }
    html + &format!("<p><code>{}</code></p></details>", text(&proof.replay))
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;
    use quick_xml::events::Event;

    use super::*;
    use crate::prove::samples::report;

    #[test]
    fn the_page_is_well_formed_and_needs_nothing_from_elsewhere() {
        let html = to_html(&report());

        for outside in ["http:", "https:", "src=", "href=", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
        // Void elements apart, it is XML.
        let body = html.split_once("<body>").unwrap().1.split_once("</body>").unwrap().0;
        let body = format!("<body>{body}</body>");
        let mut reader = Reader::from_str(&body);
        while reader.read_event().unwrap() != Event::Eof {}
    }

    #[test]
    fn outcomes_are_said_in_words_and_names_cannot_break_out() {
        let mut report = report();
        report.proofs[0].title = "<script>alert(1)</script>".to_owned();

        let html = to_html(&report);

        for part in
            ["✓ as expected", "✗ NOT as expected", "✗ not carried out", "– not on sim", "2 NOT as expected"]
        {
            assert!(html.contains(part), "{part}");
        }
        assert!(!html.contains("<script"), "{html}");
    }
}
