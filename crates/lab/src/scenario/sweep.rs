//! The points of a sweep: every seed with every choice of parameters.

use std::collections::BTreeMap;

/// Parameters with the value chosen for each, as TOML writes it.
pub type Parameters = BTreeMap<String, String>;

/// Over what a scenario is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The values of each parameter, as TOML writes them.
    pub parameters: BTreeMap<String, Vec<String>>,
}

/// One run of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The seed of chance.
    pub seed: u64,
    /// The value of each parameter, as TOML writes it.
    pub parameters: Parameters,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { seeds: vec![1], parameters: BTreeMap::new() }
    }
}

impl Sweep {
    /// Lists every choice of parameters, in order: the last parameter changes fastest.
    #[must_use]
    pub fn choices(&self) -> Vec<Parameters> {
        let mut choices = vec![Parameters::new()];
        for (name, values) in &self.parameters {
            let longer = choices.iter().flat_map(|choice| {
                values.iter().map(|value| {
                    let mut choice = choice.clone();
                    choice.insert(name.clone(), value.clone());
                    choice
                })
            });
            choices = longer.collect();
        }
        choices
    }

    /// Lists every point: each choice of parameters with each seed.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        let choices = self.choices().into_iter();
        choices
            .flat_map(|parameters| {
                self.seeds.iter().map(move |seed| Point { seed: *seed, parameters: parameters.clone() })
            })
            .collect()
    }
}
