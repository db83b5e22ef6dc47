//! The text of a scenario file, from which parts can be taken without touching the rest.

use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value};

use crate::scenario::Parameters;
use crate::shrink::Size;

/// A file, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Document(DocumentMut);

/// Where a value stands: keys, and places in arrays of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Document {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
            // The rest of it is a picture of the line.
            error.message().to_owned()
        })?;
        Ok(Self(document))
    }

    pub(super) fn to_text(&self) -> String {
        self.0.to_string().trim_start_matches('\n').to_owned()
    }

    pub(super) fn size(&self) -> Size {
        Size {
            nodes: self.count("node"),
            links: self.count("link"),
            faults: self.count("fault"),
            steps: self.count("step"),
            expectations: self.count("expect"),
            keys: self.leaves().len(),
        }
    }

    /// How many tables an array at the top has; 0 when there is none.
    pub(super) fn count(&self, array: &str) -> usize {
        match self.0.get(array) {
            Some(Item::ArrayOfTables(tables)) => tables.len(),
            Some(Item::Value(Value::Array(values))) => values.len(),
            _ => 0,
        }
    }

    /// Keeps these tables of an array at the top; their places are in ascending order.
    pub(super) fn keeping(&self, array: &str, kept: &[usize]) -> Self {
        let mut document = self.clone();
        for index in (0..self.count(array)).rev().filter(|index| !kept.contains(index)) {
            match document.0.get_mut(array) {
                Some(Item::ArrayOfTables(tables)) => {
                    tables.remove(index);
                }
                Some(Item::Value(Value::Array(values))) => {
                    values.remove(index);
                }
                _ => {}
            }
        }
        if kept.is_empty() {
            document.0.remove(array);
        }
        document
    }

    pub(super) fn node_names(&self) -> Vec<String> {
        let names = (0..self.count("node"))
            .filter_map(|index| Some(self.table("node", index)?.get("name")?.as_str()?.to_owned()));
        names.collect()
    }

    /// Takes out a node, and every table of these arrays that names it.
    pub(super) fn without_node(&self, name: &str, arrays: &[&str]) -> Self {
        let mut document = self.clone();
        for array in arrays {
            let kept: Vec<_> = (0..self.count(array))
                .filter(|index| !self.table(array, *index).is_some_and(|table| names(table, name)))
                .collect();
            document = document.keeping(array, &kept);
        }
        document
    }

    /// Lists every value that is no table, in the order of the file.
    pub(super) fn leaves(&self) -> Vec<Place> {
        let mut places = Vec::new();
        leaves_of_table(self.0.as_table(), &Place(vec![]), &mut places);
        places
    }

    /// Lists tables with nothing in them.
    pub(super) fn empty_tables(&self) -> Vec<Place> {
        let tables = self.0.iter().filter(|(_, item)| item.as_table_like().is_some_and(TableLike::is_empty));
        tables.map(|(key, _)| Place(vec![Step::Key(key.to_owned())])).collect()
    }

    pub(super) fn value(&self, place: &Place) -> Option<&Value> {
        let mut item = self.0.as_item();
        for step in &place.0 {
            item = match step {
                Step::Key(key) => item.get(key.as_str())?,
                Step::Index(index) => item.get(*index)?,
            };
        }
        item.as_value()
    }

    /// Puts another value in a place, with the space and the comment that stand around it.
    pub(super) fn with(&self, place: &Place, mut value: Value) -> Self {
        let mut document = self.clone();
        if let Some(found) = document.item_mut(place).and_then(Item::as_value_mut) {
            *value.decor_mut() = found.decor().clone();
            *found = value;
        }
        document
    }

    /// Takes keys out.
    pub(super) fn without(&self, places: &[Place]) -> Self {
        let mut document = self.clone();
        for place in places {
            let Some((Step::Key(key), parent)) = place.0.split_last() else { continue };
            let Some(table) = document.table_mut(parent) else { continue };
            table.remove(key);
            if let Some(table) =
                document.item_mut(&Place(parent.to_vec())).and_then(Item::as_inline_table_mut)
            {
                // What stood around the key is not left behind.
                table.fmt();
            }
        }
        document
    }

    /// Leaves the sweep one seed and one value for each of these parameters, and no others.
    pub(super) fn with_sweep(&self, seed: u64, parameters: &Parameters) -> Self {
        let mut document = self.clone();
        let one_of = |value: Value| Value::Array(Array::from_iter([value]));
        let sweep = document.0.entry("sweep").or_insert_with(|| Item::Table(Table::new()));
        let Some(sweep) = sweep.as_table_like_mut() else { return document };
        // A seed that TOML cannot write is left to the command line.
        match i64::try_from(seed) {
            Ok(seed) => sweep.insert("seeds", Item::Value(one_of(Value::from(seed)))),
            Err(_) => sweep.remove("seeds"),
        };
        sweep.remove("parameters");
        let mut table = Table::new();
        for (name, value) in parameters {
            if let Ok(value) = value.parse::<Value>() {
                table.insert(name, Item::Value(one_of(value)));
            }
        }
        if !table.is_empty() {
            sweep.insert("parameters", Item::Table(table));
        }
        document
    }

    fn table(&self, array: &str, index: usize) -> Option<&dyn TableLike> {
        match self.0.get(array)? {
            Item::ArrayOfTables(tables) => tables.get(index).map(|table| table as &dyn TableLike),
            Item::Value(Value::Array(values)) => {
                values.get(index)?.as_inline_table().map(|table| table as &dyn TableLike)
            }
            _ => None,
        }
    }

    fn item_mut(&mut self, place: &Place) -> Option<&mut Item> {
        let mut item = self.0.as_item_mut();
        for step in &place.0 {
            item = match step {
                Step::Key(key) => item.get_mut(key.as_str())?,
                Step::Index(index) => item.get_mut(*index)?,
            };
        }
        Some(item)
    }

    fn table_mut(&mut self, steps: &[Step]) -> Option<&mut dyn TableLike> {
        self.item_mut(&Place(steps.to_vec()))?.as_table_like_mut()
    }
}

impl Place {
    /// The key at the top of the file under which it stands.
    pub(super) fn top(&self) -> &str {
        match self.0.first() {
            Some(Step::Key(key)) => key,
            Some(Step::Index(_)) | None => "",
        }
    }

    fn below(&self, step: Step) -> Self {
        Self([self.0.as_slice(), &[step]].concat())
    }
}

fn leaves_of_table(table: &dyn TableLike, place: &Place, places: &mut Vec<Place>) {
    for (key, item) in table.iter() {
        leaves_of(item, &place.below(Step::Key(key.to_owned())), places);
    }
}

fn leaves_of(item: &Item, place: &Place, places: &mut Vec<Place>) {
    if let Some(table) = item.as_table_like() {
        return leaves_of_table(table, place, places);
    }
    if let Item::ArrayOfTables(tables) = item {
        for (index, table) in tables.iter().enumerate() {
            leaves_of_table(table, &place.below(Step::Index(index)), places);
        }
        return;
    }
    places.push(place.clone());
}

/// Whether a table names a node: by itself, or as an end of "A>B", "A-B" or "C>A".
fn names(table: &dyn TableLike, node: &str) -> bool {
    table.iter().any(|(_, item)| match item {
        Item::Value(value) => value_names(value, node),
        Item::Table(table) => names(table, node),
        Item::ArrayOfTables(tables) => tables.iter().any(|table| names(table, node)),
        Item::None => false,
    })
}

fn value_names(value: &Value, node: &str) -> bool {
    match value {
        Value::String(text) => {
            let text = text.value();
            text == node || text.split(['>', '-', ' ']).any(|word| word == node)
        }
        Value::Array(values) => values.iter().any(|value| value_names(value, node)),
        Value::InlineTable(table) => names(table, node),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => false,
    }
}
