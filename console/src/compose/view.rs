//! The form as the template lays it out: fields with values, names and what is wrong with each.

use std::collections::BTreeMap;

use super::form::Form;
use super::schema::{LISTS, List, SCALARS, Widget, slot_of};
use crate::definition::Refusal;

pub struct FormView {
    pub scalars: Vec<FieldView>,
    pub lists: Vec<ListView>,
}

pub struct FieldView {
    pub name: String,
    /// As an element's id: a dot there would be a class to a selector.
    pub id: String,
    pub slot: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub placeholder: &'static str,
    pub widget: Widget,
    pub value: String,
    pub faults: Vec<String>,
}

pub struct ListView {
    pub list: &'static List,
    pub rows: Vec<RowView>,
    /// Filled rows.
    pub count: usize,
    pub faults: Vec<String>,
}

pub struct RowView {
    /// Name of the hidden field with the row's place in the definition, and that place.
    pub at_name: String,
    pub at: String,
    pub cells: Vec<FieldView>,
}

/// What is wrong, by the part of the form where it is to be said.
#[derive(Default)]
pub struct Slots(BTreeMap<&'static str, Vec<String>>);

impl Slots {
    pub fn of(refusal: Option<&Refusal>) -> Self {
        let mut slots = Self::default();
        if let Some(Refusal::Invalid(faults)) = refusal {
            for fault in faults {
                let Some(slot) = slot_of(&fault.path) else { continue };
                let all = slots.0.entry(slot).or_default();
                let is_list = LISTS.iter().any(|list| list.name == slot);
                // Of a list it must be said which item.
                let place = if is_list { format!("`{}` ", fault.path) } else { String::new() };
                all.extend(
                    fault.errors.iter().filter(|e| !e.starts_with("error.")).map(|e| format!("{place}{e}")),
                );
            }
        }
        slots
    }

    /// Every part of the form, in order, with its faults.
    pub fn all(&self) -> Vec<(&'static str, Vec<String>)> {
        let names = SCALARS.iter().map(|field| field.name).chain(LISTS.iter().map(|list| list.name));
        names.map(|name| (name, self.get(name))).collect()
    }

    fn get(&self, name: &str) -> Vec<String> {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

impl FormView {
    pub fn new(form: &Form, slots: &Slots) -> Self {
        let scalar = |(at, field): (usize, &super::schema::Field)| FieldView {
            name: format!("f.{}", field.name),
            id: format!("f-{}", field.name),
            slot: field.name,
            label: field.label,
            hint: field.hint,
            placeholder: field.placeholder,
            widget: field.widget,
            value: form.scalars.get(at).cloned().unwrap_or_default(),
            faults: slots.get(field.name),
        };
        Self {
            scalars: SCALARS.iter().enumerate().map(scalar).collect(),
            lists: LISTS.iter().enumerate().map(|(at, list)| ListView::new(form, at, list, slots)).collect(),
        }
    }
}

impl ListView {
    fn new(form: &Form, at: usize, list: &'static List, slots: &Slots) -> Self {
        let filled = form.lists.get(at).map_or(&[][..], Vec::as_slice);
        let row = |n: usize| {
            let filled = filled.get(n);
            let cells = list.columns.iter().enumerate().map(|(c, field)| FieldView {
                name: format!("f.{}.{n}.{}", list.name, field.name),
                id: format!("f-{}-{n}-{}", list.name, field.name),
                slot: list.name,
                label: field.label,
                hint: field.hint,
                placeholder: field.placeholder,
                widget: field.widget,
                value: filled.map(|row| row.cells[c].clone()).unwrap_or_default(),
                faults: Vec::new(),
            });
            RowView {
                at_name: format!("f.{}.{n}.at", list.name),
                at: filled.and_then(|row| row.at).map(|at| at.to_string()).unwrap_or_default(),
                cells: cells.collect(),
            }
        };
        Self {
            list,
            rows: (0..filled.len() + list.spare).map(row).collect(),
            count: filled.len(),
            faults: slots.get(list.name),
        }
    }
}

impl FieldView {
    /// Choices with whether each is chosen; a value that is none of them is offered as it is.
    pub fn options(&self) -> Vec<(String, String, bool)> {
        let known = self.widget.choices();
        let is_known = known.iter().any(|(value, _)| *value == self.value);
        let is_first_chosen = self.value.is_empty() && !is_known;
        let mut options: Vec<_> = known
            .iter()
            .enumerate()
            .map(|(n, (value, word))| {
                let chosen = *value == self.value || (n == 0 && is_first_chosen);
                ((*value).to_owned(), (*word).to_owned(), chosen)
            })
            .collect();
        if !is_known && !self.value.is_empty() {
            options.push((self.value.clone(), self.value.clone(), true));
        }
        options
    }

    /// Lines of a text field: as many as it has, and a few at most.
    pub fn lines(&self) -> usize {
        self.value.lines().count().clamp(1, 8)
    }
}
