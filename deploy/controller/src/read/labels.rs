//! Labels, annotations and what selects by them.

use yaml::{
    Cursor, Error,
    scalar::{checked, word},
};

use super::{
    field,
    name::{is_label_value, is_qualified_name},
};
use crate::objects::{LabelSelector, Labels, Operator, Requirement, Selector};

const KEY: &str = "a name of letters, digits, hyphens, dots and underscores, with or without a prefix such as example.com/";
const VALUE: &str = "at most 63 letters, digits, hyphens, dots and underscores that begin and end with a letter or digit";
const VALUES: &str = "a list of label values";

/// A mapping of labels. Source: `metav1.ObjectMeta.labels`.
pub(crate) fn labels(at: &Cursor<'_>) -> Result<Labels, Error> {
    let mut labels = Labels::new();
    at.entries("a mapping of label names to values", |key, value| {
        let name = checked(key, KEY, is_qualified_name)?;
        let value = if value.is_null() {
            ""
        } else {
            checked(value, VALUE, is_label_value)?
        };
        labels.insert(name.to_owned(), value.to_owned());
        Ok(())
    })?;
    Ok(labels)
}

/// A mapping of annotations. **Shape**: only those that Istio or Ambit give a meaning are kept; others are as if they were
/// not there, so that what other programs note on an object is no change of it.
pub(crate) fn annotations(at: &Cursor<'_>) -> Result<Labels, Error> {
    let mut annotations = Labels::new();
    at.entries("a mapping of annotation names to texts", |key, value| {
        let name = checked(key, KEY, |text| {
            is_qualified_name(&text.to_ascii_lowercase())
        })?;
        let value = if value.is_null() {
            ""
        } else {
            value.text("a text")?
        };
        let has_meaning = name.split_once('/').is_some_and(|(prefix, _)| {
            matches!(prefix, "istio.io" | "ambit.dev") || prefix.ends_with(".istio.io")
        });
        if has_meaning {
            annotations.insert(name.to_owned(), value.to_owned());
        }
        Ok(())
    })?;
    Ok(annotations)
}

/// `{matchLabels}`: Istio's `WorkloadSelector` of `type.v1beta1`.
pub(crate) fn workload_selector(at: &Cursor<'_>) -> Result<Selector, Error> {
    let object = at.object("a selector with matchLabels", &["matchLabels"])?;
    Ok(Selector(
        object.nullable("matchLabels", labels)?.unwrap_or_default(),
    ))
}

/// `{matchLabels, matchExpressions}`: `metav1.LabelSelector`.
pub(crate) fn label_selector(at: &Cursor<'_>) -> Result<LabelSelector, Error> {
    let object = at.object(
        "a selector with matchLabels and matchExpressions",
        &["matchLabels", "matchExpressions"],
    )?;
    Ok(LabelSelector {
        labels: object.nullable("matchLabels", labels)?.unwrap_or_default(),
        expressions: field::list(
            &object,
            "matchExpressions",
            "a list of requirements",
            requirement,
        )?,
    })
}

fn requirement(at: &Cursor<'_>) -> Result<Requirement, Error> {
    let object = at.object(
        "a requirement with key, operator and values",
        &["key", "operator", "values"],
    )?;
    let operators = [
        ("In", Operator::In),
        ("NotIn", Operator::NotIn),
        ("Exists", Operator::Exists),
        ("DoesNotExist", Operator::DoesNotExist),
    ];
    let operator = object.required("operator", "In or NotIn or Exists or DoesNotExist", |at| {
        word(at, &operators)
    })?;
    let values = field::list(&object, "values", VALUES, |at| {
        checked(at, VALUE, is_label_value).map(str::to_owned)
    })?;
    match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            return Err(object.missing("values", "at least one value for In and NotIn"));
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            return field::refuse(&object, "values", "no values for Exists and DoesNotExist");
        }
        Operator::In | Operator::NotIn | Operator::Exists | Operator::DoesNotExist => {}
    }
    Ok(Requirement {
        key: object.required("key", "a label's name", |at| {
            checked(at, KEY, is_qualified_name).map(str::to_owned)
        })?,
        operator,
        values,
    })
}
