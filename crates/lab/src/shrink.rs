//! Shrinking: the smallest scenario that still fails in the same way. Works on the text of the file,
//! so that comments, order and spelling of what is left stay the author's. What "in the same way"
//! means the caller says, by carrying the scenario out.

mod ddmin;
mod document;
mod values;

use std::fmt;

use ddmin::{Spent, ddmin};
use document::{Document, Place};

use crate::scenario::Parameters;

/// How many scenarios are carried out at most while one is made smaller, unless asked for otherwise.
pub const SHRINK_RUNS: usize = 2000; // x about 10 ms for three nodes = 20 s

/// The arrays of a scenario file, in the order in which they are thinned out: what happens before
/// what is there, because whoever is not spoken to is not needed.
const ARRAYS: [&str; 8] = ["fault", "step", "expect", "listener", "nat", "link", "host", "node"];

/// Keys that say what a scenario is and not what happens in it.
const TOLD: [&str; 6] = ["schema", "name", "title", "group", "clause", "meaning"];

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// It is no scenario, so nothing was carried out.
    Invalid,
    /// It was carried out, and held or failed in another way.
    Otherwise,
    /// It fails in the same way.
    FailsAlike,
}

/// A scenario made smaller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// The text of its file.
    pub text: String,
    /// How large it was and is.
    pub from: Size,
    /// See `from`.
    pub to: Size,
    /// How many candidates were carried out.
    pub runs: usize,
    /// Whether the last candidate was tried: `false` when the ceiling was reached before.
    pub is_minimal: bool,
}

/// How large a scenario is: how many of what can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Size {
    /// Nodes in its list.
    pub nodes: usize,
    /// Links in its list.
    pub links: usize,
    /// Faults.
    pub faults: usize,
    /// Steps.
    pub steps: usize,
    /// Expectations.
    pub expectations: usize,
    /// Keys with a value, in all of it.
    pub keys: usize,
}

/// Why nothing could be made smaller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShrinkError {
    /// The text is no TOML.
    #[error("it is no TOML: {0}")]
    Syntax(String),
    /// It does not fail as it stands.
    #[error("it does not fail with this seed, so there is nothing to shrink")]
    Holds,
}

/// Makes a scenario smaller: takes out faults, steps, expectations, listeners, NATs, links and nodes,
/// then keys, then moves numbers towards zero, for as long as `attempt` says that it fails alike.
/// The same text and the same answers give the same result.
///
/// # Errors
/// When the text is no TOML, or does not fail as it stands.
pub fn shrink(
    text: &str,
    runs_max: usize,
    mut attempt: impl FnMut(&str) -> Tried,
) -> Result<Shrunk, ShrinkError> {
    let document = Document::parse(text).map_err(ShrinkError::Syntax)?;
    if attempt(text) != Tried::FailsAlike {
        return Err(ShrinkError::Holds);
    }
    let from = document.size();
    let mut shrinker = Shrinker { best: document, runs: 1, runs_max: runs_max.max(1), attempt };
    let is_minimal = shrinker.run().is_ok();
    let Shrinker { best, runs, .. } = shrinker;
    Ok(Shrunk { text: best.to_text(), from, to: best.size(), runs, is_minimal })
}

/// Makes a scenario stand by itself: with one value for each parameter, and one seed. Returns two texts
/// to try in this order: the first has the values in their places and no parameters any more, which
/// cannot do where the file asks for a parameter in another way, and the second has them still.
///
/// # Errors
/// When the text is no TOML.
pub fn settle(text: &str, parameters: &Parameters, seed: u64) -> Result<[String; 2], ShrinkError> {
    let mut replaced = text.to_owned();
    for (name, value) in parameters {
        replaced = replaced.replace(&format!("\"${{{name}}}\""), value);
        replaced = replaced.replace(&format!("${{{name}}}"), value.trim_matches('"'));
    }
    let settled = |text: &str, parameters: &Parameters| {
        let document = Document::parse(text).map_err(ShrinkError::Syntax)?;
        Ok(document.with_sweep(seed, parameters).to_text())
    };
    Ok([settled(&replaced, &Parameters::new())?, settled(text, parameters)?])
}

struct Shrinker<Attempt> {
    best: Document,
    runs: usize,
    runs_max: usize,
    attempt: Attempt,
}

impl<Attempt: FnMut(&str) -> Tried> Shrinker<Attempt> {
    /// Goes through all passes until a whole round changes nothing.
    fn run(&mut self) -> Result<(), Spent> {
        loop {
            let before = self.best.to_text();
            for array in ARRAYS {
                self.thin_out(array)?;
            }
            self.take_nodes_with_all_about_them()?;
            self.take_keys()?;
            self.take_empty_tables()?;
            self.lower_values()?;
            if self.best.to_text() == before {
                return Ok(());
            }
        }
    }

    fn thin_out(&mut self, array: &'static str) -> Result<(), Spent> {
        let all: Vec<usize> = (0..self.best.count(array)).collect();
        if all.is_empty() {
            return Ok(());
        }
        self.reduce(&all, |document, kept| document.keeping(array, kept))
    }

    /// A node cannot go while a link or a listener names it, so they go together.
    fn take_nodes_with_all_about_them(&mut self) -> Result<(), Spent> {
        for name in self.best.node_names() {
            let candidate = self.best.without_node(&name, &ARRAYS);
            self.keep_if_alike(candidate)?;
        }
        Ok(())
    }

    fn take_keys(&mut self) -> Result<(), Spent> {
        let all: Vec<Place> = self.best.leaves().into_iter().filter(is_changeable).collect();
        if all.is_empty() {
            return Ok(());
        }
        let every = all.clone();
        self.reduce(&all, |document, kept| {
            let gone: Vec<_> = every.iter().filter(|place| !kept.contains(place)).cloned().collect();
            document.without(&gone)
        })
    }

    fn take_empty_tables(&mut self) -> Result<(), Spent> {
        for place in self.best.empty_tables() {
            let candidate = self.best.without(&[place]);
            self.keep_if_alike(candidate)?;
        }
        Ok(())
    }

    fn lower_values(&mut self) -> Result<(), Spent> {
        for place in self.best.leaves().into_iter().filter(is_changeable) {
            let Some(value) = self.best.value(&place) else { continue };
            let mut lowered = values::Lowering::of(value);
            while let Some(value) = lowered.next_try() {
                let candidate = self.best.with(&place, value);
                let is_alike = self.keep_if_alike(candidate)?;
                lowered.heard(is_alike);
            }
        }
        Ok(())
    }

    /// Runs delta debugging over some items, of which `make` keeps a part; the best result stays even
    /// when the runs are spent in the middle.
    fn reduce<T: Clone>(
        &mut self,
        all: &[T],
        make: impl Fn(&Document, &[T]) -> Document,
    ) -> Result<(), Spent> {
        let whole = self.best.clone();
        let mut is_spent = false;
        let kept = ddmin(all, |kept| {
            let tried = self.test(&make(&whole, kept).to_text());
            is_spent |= tried.is_err();
            tried
        });
        self.best = make(&whole, &kept);
        if is_spent { Err(Spent) } else { Ok(()) }
    }

    fn keep_if_alike(&mut self, candidate: Document) -> Result<bool, Spent> {
        let is_alike = self.test(&candidate.to_text())?;
        if is_alike {
            self.best = candidate;
        }
        Ok(is_alike)
    }

    fn test(&mut self, text: &str) -> Result<bool, Spent> {
        if self.runs >= self.runs_max {
            return Err(Spent);
        }
        let tried = (self.attempt)(text);
        // Only what is carried out costs anything.
        self.runs += usize::from(tried != Tried::Invalid);
        Ok(tried == Tried::FailsAlike)
    }
}

/// An expectation goes as a whole or stays as it is: changed, it would be another one. The sweep is
/// settled.
fn is_changeable(place: &Place) -> bool {
    let top = place.top();
    !["expect", "sweep"].contains(&top) && !TOLD.contains(&top)
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.nodes, "node"),
            (self.links, "link"),
            (self.faults, "fault"),
            (self.steps, "step"),
            (self.expectations, "expectation"),
            (self.keys, "key"),
        ];
        for (index, (count, what)) in counts.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let s = if count == 1 { "" } else { "s" };
            write!(formatter, "{comma}{count} {what}{s}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty things that do not matter around one that does.
    fn padded() -> String {
        let mut text = "# why: a comment that stays\nschema = 1\nname = \"planted\"\n\n\
            [nodes]\ngate = \"off\"\nmtu = 1400\n\n[network]\nlatency = \"5 ms\"\n"
            .to_owned();
        for name in ["A", "B", "C", "D"] {
            text += &format!("\n[[node]]\nname = \"{name}\"\n");
        }
        for (one, other) in [("A", "B"), ("B", "C"), ("C", "D")] {
            text +=
                &format!("\n[[link]]\nbetween = [\"{one}\", \"{other}\"]\nlatency = \"8 ms\"\nloss = 0.4\n");
        }
        for number in 0..20 {
            text += &format!("\n[[fault]]\non = \"C>D\"\ndrop = {{ nth = {number} }}\n");
            text += &format!("\n[[step]]\nwait = \"{number} s\"\n");
        }
        text += "\n# the culprit\n[[step]]\nforge = { type = \"alert\", sequence = 57 }\n";
        text += "\n[[expect]]\nsession = \"A-B\"\nis = \"alive\"\n\n[[expect]]\nsession = \"B-C\"\nis = \"alive\"\n";
        text
    }

    #[derive(serde::Deserialize)]
    struct Planted {
        #[serde(default)]
        nodes: Nodes,
        node: Vec<Node>,
        link: Vec<Link>,
        #[serde(default)]
        step: Vec<Step>,
        #[serde(default)]
        expect: Vec<Expect>,
    }

    #[derive(Default, serde::Deserialize)]
    struct Nodes {
        gate: Option<String>,
    }

    #[derive(serde::Deserialize)]
    struct Node {
        name: String,
    }

    #[derive(serde::Deserialize)]
    struct Link {
        between: [String; 2],
    }

    #[derive(serde::Deserialize)]
    struct Step {
        forge: Option<Forge>,
    }

    #[derive(serde::Deserialize)]
    struct Forge {
        sequence: Option<u64>,
    }

    #[derive(serde::Deserialize)]
    struct Expect {
        session: String,
        #[expect(dead_code, reason = "without it, it is no expectation")]
        is: String,
    }

    /// Stands in for carrying a scenario out: it fails when the gate is off and an alert with a
    /// number above 40 is forged between A and B.
    fn attempt(text: &str) -> Tried {
        let Ok(planted) = toml::from_str::<Planted>(text) else { return Tried::Invalid };
        let is_there = |name: &String| planted.node.iter().any(|node| node.name == *name);
        if !planted.link.iter().flat_map(|link| &link.between).all(is_there) {
            return Tried::Invalid;
        }
        let is_off = planted.nodes.gate.as_deref() == Some("off");
        let numbers = planted.step.iter().filter_map(|step| step.forge.as_ref()?.sequence);
        let is_forged = numbers.max() > Some(40);
        let is_linked = planted.link.iter().any(|link| link.between == ["A", "B"]);
        let is_expected = planted.expect.iter().any(|expect| expect.session == "A-B");
        if is_off && is_forged && is_linked && is_expected { Tried::FailsAlike } else { Tried::Otherwise }
    }

    #[test]
    fn what_does_not_matter_goes_and_what_does_stays() {
        let shrunk = shrink(&padded(), SHRINK_RUNS, attempt).unwrap();

        assert_eq!(
            shrunk.text,
            "# why: a comment that stays\nschema = 1\nname = \"planted\"\n\n[nodes]\ngate = \"off\"\n\n\
             [[node]]\nname = \"A\"\n\n[[node]]\nname = \"B\"\n\n[[link]]\nbetween = [\"A\", \"B\"]\n\n\
             # the culprit\n[[step]]\nforge = { sequence = 41 }\n\n[[expect]]\nsession = \"A-B\"\nis = \"alive\"\n"
        );
        assert!(shrunk.is_minimal);
        assert_eq!((shrunk.from.steps, shrunk.to.steps, shrunk.to.faults, shrunk.to.nodes), (21, 1, 0, 2));
    }

    #[test]
    fn the_same_scenario_shrinks_to_the_same() {
        assert_eq!(shrink(&padded(), SHRINK_RUNS, attempt), shrink(&padded(), SHRINK_RUNS, attempt));
    }

    #[test]
    fn the_ceiling_on_runs_is_kept_and_what_was_won_so_far_is_not_lost() {
        for runs_max in [1, 2, 10, 30] {
            let shrunk = shrink(&padded(), runs_max, attempt).unwrap();

            assert!(shrunk.runs <= runs_max && !shrunk.is_minimal, "{} of {runs_max}", shrunk.runs);
            assert_eq!(attempt(&shrunk.text), Tried::FailsAlike);
        }
    }

    #[test]
    fn a_settled_scenario_has_one_seed_and_one_value_for_each_parameter() {
        let text = "name = \"a\"\n\n[sweep]\nseeds = 100\n\n[sweep.parameters]\nloss = [0.0, 0.1] # why\n\n\
            [network]\nloss = \"${loss}\"\n\n[[step]]\nsend = { payload = \"at ${loss}\" }\n";
        let parameters = Parameters::from([("loss".to_owned(), "0.2".to_owned())]);

        let [replaced, kept] = settle(text, &parameters, 7).unwrap();

        assert_eq!(
            replaced,
            "name = \"a\"\n\n[sweep]\nseeds = [7]\n\n\
             [network]\nloss = 0.2\n\n[[step]]\nsend = { payload = \"at 0.2\" }\n"
        );
        assert!(
            kept.contains("seeds = [7]") && kept.contains("loss = [0.2]") && kept.contains("\"${loss}\""),
            "{kept}"
        );
    }

    #[test]
    fn what_holds_is_not_shrunk() {
        let harmless = padded().replace("57", "7");

        assert_eq!(shrink(&harmless, SHRINK_RUNS, attempt), Err(ShrinkError::Holds));
        assert!(matches!(shrink("a = = 1", SHRINK_RUNS, attempt), Err(ShrinkError::Syntax(_))));
    }
}
