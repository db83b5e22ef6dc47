//! The parameters of a sweep: which values they have, and how one takes the place of `"${name}"`.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::scenario::error::ScenarioError;
use crate::scenario::file::ScenarioFile;
use crate::scenario::place::Place;
use crate::scenario::sweep::{Parameters, Sweep};
use crate::scenario::values::{choices, quoted};

/// Points of one sweep: 100 000 x 200 bytes = 20 MB, and a run each.
const SWEEP_POINTS_MAX: usize = 100_000;

/// Reads the table `[sweep]`, whose shape is checked later, with that of everything else.
pub(crate) fn sweep_of(table: &Table, whole: Place<'_>) -> Result<Sweep, ScenarioError> {
    let mut sweep = Sweep::default();
    let Some(given) = table.get("sweep").and_then(Value::as_table) else {
        return Ok(sweep);
    };
    if let Some(seeds) = given.get("seeds") {
        sweep.seeds = seeds_of(seeds).map_err(|problem| whole.wrong("seeds", problem))?;
    }
    for (name, values) in given.get("parameters").and_then(Value::as_table).into_iter().flatten() {
        let is_good = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        if name.is_empty() || !name.chars().all(is_good) {
            return Err(
                whole.wrong(name, "the name of a parameter has small letters, digits and underscores")
            );
        }
        let values: Vec<_> = values
            .as_array()
            .into_iter()
            .flatten()
            .map(|value| literal(value).map_err(|problem| whole.wrong(name, problem)))
            .collect::<Result<_, _>>()?;
        if values.is_empty() {
            return Err(whole.wrong(name, "a parameter has a list of values, as in `loss = [0.0, 0.1]`"));
        }
        sweep.parameters.insert(name.clone(), values);
    }
    let points = sweep.parameters.values().try_fold(sweep.seeds.len(), |points, values| {
        points.checked_mul(values.len()).filter(|points| *points <= SWEEP_POINTS_MAX)
    });
    if points.is_none() {
        let problem = format!("there are more than {SWEEP_POINTS_MAX} runs in this sweep: take values out");
        return Err(whole.wrong("sweep.parameters", problem));
    }
    Ok(sweep)
}

/// Chooses a value for each parameter: what is asked for, else the first.
pub(crate) fn choose(
    sweep: &Sweep,
    overrides: &[(String, String)],
    whole: Place<'_>,
) -> Result<Parameters, ScenarioError> {
    let firsts =
        sweep.parameters.iter().filter_map(|(name, values)| Some((name.clone(), values.first()?.clone())));
    let mut chosen: Parameters = firsts.collect();
    for (name, text) in overrides {
        let Some(value) = chosen.get_mut(name) else {
            let known: Vec<_> = sweep.parameters.keys().map(String::as_str).collect();
            let problem = match known.is_empty() {
                true => format!("there is no parameter {name:?}: this scenario has none"),
                false => format!("there is no parameter {name:?}: {}", choices(name, &known)),
            };
            return Err(whole.parameter(problem));
        };
        let typed = value_of(text).unwrap_or_else(|| Value::String(text.clone()));
        *value =
            literal(&typed).map_err(|problem| whole.parameter(format!("parameter {name}: {problem}")))?;
    }
    Ok(chosen)
}

/// Puts the chosen values in the place of `"${name}"`, quotes included, and of `${name}` within longer
/// strings. Every line stays where it is.
pub(crate) fn replace(text: &str, chosen: &Parameters, whole: Place<'_>) -> Result<String, ScenarioError> {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        let at = text.len() - rest.len() + before.len();
        let known: Vec<_> = chosen.keys().map(String::as_str).collect();
        let Some((name, after)) = behind.split_once('}').filter(|(name, _)| known.contains(name)) else {
            if is_comment(before) {
                replaced += before;
                replaced += "${";
                rest = behind;
                continue;
            }
            let name: String =
                behind.chars().take_while(|letter| !"}\"\n".contains(*letter)).take(40).collect();
            let problem = match known.is_empty() {
                true => format!("${{{name}}}: there are no parameters: make one in [sweep.parameters]"),
                false => format!("${{{name}}}: there is no such parameter: {}", choices(&name, &known)),
            };
            return Err(whole.at(at, problem));
        };
        let value = &chosen[name];
        match (before.strip_suffix('"'), after.strip_prefix('"')) {
            (Some(before), Some(after)) if !before.ends_with('\\') => {
                replaced += before;
                replaced += value;
                rest = after;
            }
            _ => {
                replaced += before;
                replaced += value.trim_matches('"');
                rest = after;
            }
        }
    }
    replaced += rest;
    Ok(replaced)
}

/// A parameter that nothing asks for would multiply the runs and change none of them.
pub(crate) fn check_all_used(
    text: &str,
    file: &ScenarioFile,
    chosen: &Parameters,
    whole: Place<'_>,
) -> Result<(), ScenarioError> {
    let conditions = (file.fault.iter().map(|fault| &fault.get_ref().when))
        .chain(file.step.iter().map(|step| &step.get_ref().when))
        .chain(file.expect.iter().map(|expect| &expect.get_ref().when));
    let asked: Vec<_> = conditions.flat_map(Table::keys).collect();
    match chosen.keys().find(|name| !text.contains(&format!("${{{name}}}")) && !asked.contains(name)) {
        Some(name) => {
            Err(whole
                .wrong(name, format!("nothing in the file asks for it: write \"${{{name}}}\" somewhere")))
        }
        None => Ok(()),
    }
}

/// Returns whether a table's `when` fits the chosen values.
pub(crate) fn holds(when: &Table, chosen: &Parameters, place: Place<'_>) -> Result<bool, ScenarioError> {
    let mut holds = true;
    for (name, wanted) in when {
        let Some(value) = chosen.get(name) else {
            let known: Vec<_> = chosen.keys().map(String::as_str).collect();
            return Err(
                place.wrong("when", format!("there is no parameter {name:?}: {}", choices(name, &known)))
            );
        };
        let wanted: Vec<_> = match wanted {
            Value::Array(values) => values.iter().map(literal).collect::<Result<_, _>>(),
            one => literal(one).map(|one| vec![one]),
        }
        .map_err(|problem| place.wrong("when", problem))?;
        holds &= wanted.contains(value);
    }
    Ok(holds)
}

fn seeds_of(value: &Value) -> Result<Vec<u64>, String> {
    let fix = "write a number of seeds, as `seeds = 100`, or a list of them, as `seeds = [1, 2, 5]`";
    let seed = |value: &Value| value.as_integer().and_then(|seed| u64::try_from(seed).ok());
    let seeds: Option<Vec<_>> = match value {
        Value::Array(seeds) => seeds.iter().map(seed).collect(),
        one => seed(one).filter(|count| *count <= SWEEP_POINTS_MAX as u64).map(|count| (1..=count).collect()),
    };
    match seeds {
        Some(seeds) if (1..=SWEEP_POINTS_MAX).contains(&seeds.len()) => Ok(seeds),
        Some(_) | None => Err(format!("there are 1 to {SWEEP_POINTS_MAX} seeds: {fix}")),
    }
}

fn value_of(text: &str) -> Option<Value> {
    if text.contains(['\n', '\r']) {
        return None;
    }
    let table: BTreeMap<String, Value> = toml::from_str(&format!("value = {text}")).ok()?;
    table.into_values().next()
}

/// Returns a value as it can stand in the place of another on one line.
fn literal(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) if text.chars().any(|letter| letter.is_control() || "\"\\$".contains(letter)) => {
            Err(format!("{text:?} has characters that a parameter may not have"))
        }
        Value::String(text) => Ok(quoted(text)),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Ok(value.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            Err("a parameter is text, a number, true or false".to_owned())
        }
    }
}

/// Returns whether the line that `before` ends in is a comment.
fn is_comment(before: &str) -> bool {
    before.rsplit('\n').next().is_some_and(|line| line.trim_start().starts_with('#'))
}
