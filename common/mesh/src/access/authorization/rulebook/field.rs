//! One field of a policy, compiled.
//!
//! In: a field as delivered. Out: whether it holds. Never: knows in which rules it stands.

use ipnet::IpNet;

use super::{
    super::{self as data, IpAttribute, Template, Test, TextAttribute, TextMatch},
    key::{Attribute, Finder, Key, canonical},
    query::{Query, Subject},
};

/// How many values a list may hold before it becomes tries. Reason: below it, looking at each is faster.
const MAX_LINEAR: usize = 16;

/// A field.
#[derive(Debug)]
pub(super) struct Field {
    values: Values,
    negate: bool,
}

#[derive(Debug)]
enum Values {
    Text {
        attribute: TextAttribute,
        values: Vec<Value>,
        /// Places in `values`, if they are many.
        finder: Option<Box<Finder<Vec<usize>>>>,
    },
    Ip {
        attribute: IpAttribute,
        ranges: Vec<IpNet>,
        finder: Option<Box<Finder<()>>>,
    },
    /// Sorted.
    Port(Vec<u16>),
}

/// A condition on a text.
#[derive(Debug)]
enum Value {
    Plain(TextMatch),
    Template(Template),
}

impl Value {
    fn new(value: &TextMatch) -> Self {
        match value {
            TextMatch::Template(text) => Self::Template(Template::new(text)),
            plain @ (TextMatch::Exact(_)
            | TextMatch::Prefix(_)
            | TextMatch::Suffix(_)
            | TextMatch::Present) => Self::Plain(plain.clone()),
        }
    }

    fn holds(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::Template(template) => template.matches(subject.text),
            Self::Plain(TextMatch::Present) if subject.may_be_empty => true,
            Self::Plain(value) => {
                value.matches(subject.text)
                    && subject
                        .separator
                        .is_none_or(|separator| ends_at(value, subject.text, separator))
            }
        }
    }
}

/// Whether the last slash of a value is the one between issuer and subject. A value without a slash holds within one of them.
fn ends_at(value: &TextMatch, text: &[u8], separator: usize) -> bool {
    let (wanted, offset) = match value {
        TextMatch::Exact(wanted) | TextMatch::Prefix(wanted) => (wanted, Some(0)),
        TextMatch::Suffix(wanted) => (wanted, text.len().checked_sub(wanted.len())),
        // Both must be there.
        TextMatch::Present => return separator > 0 && separator + 1 < text.len(),
        TextMatch::Template(_) => return true,
    };
    match (wanted.rfind('/'), offset) {
        (Some(slash), Some(offset)) => offset + slash == separator,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

/// A value as it is compared with what is in lower case.
fn lower_case(value: &TextMatch) -> TextMatch {
    let lower = |text: &str| text.to_ascii_lowercase().into();
    match value {
        TextMatch::Exact(text) => TextMatch::Exact(lower(text)),
        TextMatch::Prefix(text) => TextMatch::Prefix(lower(text)),
        TextMatch::Suffix(text) => TextMatch::Suffix(lower(text)),
        TextMatch::Template(text) => TextMatch::Template(lower(text)),
        TextMatch::Present => TextMatch::Present,
    }
}

/// A field in the one form that is compiled: what is compared in lower case is in lower case, ranges are canonical.
pub(super) fn plain(field: &data::Field) -> data::Field {
    let test = match &field.test {
        Test::Text(attribute @ (TextAttribute::Host | TextAttribute::Sni), values) => {
            Test::Text(attribute.clone(), values.iter().map(lower_case).collect())
        }
        Test::Text(attribute, values) => Test::Text(attribute.clone(), values.clone()),
        Test::Ip(attribute, ranges) => Test::Ip(*attribute, ranges.iter().map(canonical).collect()),
        Test::DestinationPort(ports) => Test::DestinationPort(ports.clone()),
    };
    data::Field {
        test,
        negate: field.negate,
    }
}

/// By what the values of a plain field are found: for each value all that must hold for it.
pub(super) fn keys(test: &Test) -> Vec<Vec<(Attribute, Key)>> {
    match test {
        Test::Text(attribute, values) => values
            .iter()
            .map(|value| Key::all_of_text(attribute, value))
            .collect(),
        Test::Ip(attribute, ranges) => ranges
            .iter()
            .map(|range| vec![(Attribute::Ip(*attribute), Key::range(range))])
            .collect(),
        Test::DestinationPort(ports) => ports
            .iter()
            .map(|port| vec![(Attribute::Port, Key::port(*port))])
            .collect(),
    }
}

/// Whether a field has no value.
pub(super) fn is_empty(test: &Test) -> bool {
    match test {
        Test::Text(_, values) => values.is_empty(),
        Test::Ip(_, ranges) => ranges.is_empty(),
        Test::DestinationPort(ports) => ports.is_empty(),
    }
}

/// A field that says that no value of several holds, as one field for each value: so that what policies have in common is found.
pub(super) fn split(field: data::Field) -> Vec<data::Field> {
    let one = |test| data::Field { test, negate: true };
    match &field.test {
        Test::Text(attribute, values) if field.negate && values.len() <= MAX_LINEAR => values
            .iter()
            .map(|value| one(Test::Text(attribute.clone(), vec![value.clone()])))
            .collect(),
        Test::Ip(attribute, ranges) if field.negate && ranges.len() <= MAX_LINEAR => ranges
            .iter()
            .map(|range| one(Test::Ip(*attribute, vec![*range])))
            .collect(),
        Test::Text(..) | Test::Ip(..) | Test::DestinationPort(_) => vec![field],
    }
}

impl Field {
    /// Compiles a plain field.
    pub(super) fn new(field: &data::Field) -> Self {
        let is_long = |length: usize| length > MAX_LINEAR;
        let values = match &field.test {
            Test::Text(attribute, values) => Values::Text {
                attribute: attribute.clone(),
                finder: is_long(values.len()).then(|| {
                    let mut finder: Finder<Vec<usize>> = Finder::default();
                    for (place, value) in values.iter().enumerate() {
                        let entry = finder.entry(&Key::text(value));
                        entry.get_or_insert_default().push(place);
                    }
                    Box::new(finder)
                }),
                values: values.iter().map(Value::new).collect(),
            },
            Test::Ip(attribute, ranges) => Values::Ip {
                attribute: *attribute,
                finder: is_long(ranges.len()).then(|| {
                    let mut finder = Finder::default();
                    for range in ranges {
                        *finder.entry(&Key::range(range)) = Some(());
                    }
                    Box::new(finder)
                }),
                ranges: ranges.clone(),
            },
            Test::DestinationPort(ports) => {
                let mut ports = ports.clone();
                ports.sort_unstable();
                Values::Port(ports)
            }
        };
        Self {
            values,
            negate: field.negate,
        }
    }

    /// Whether it holds.
    pub(super) fn holds(&self, query: &Query<'_>) -> bool {
        self.any_holds(query) != self.negate
    }

    fn any_holds(&self, query: &Query<'_>) -> bool {
        match &self.values {
            Values::Text {
                attribute,
                values,
                finder: None,
            } => query.any_text(attribute, &mut |subject| {
                values.iter().any(|value| value.holds(subject))
            }),
            Values::Text {
                attribute,
                values,
                finder: Some(finder),
            } => query.any_text(attribute, &mut |subject| {
                let mut holds = false;
                finder.find_text(subject.text, |places| {
                    holds = holds
                        || places.iter().any(|place| {
                            values.get(*place).is_some_and(|value| value.holds(subject))
                        });
                });
                holds
            }),
            Values::Ip {
                attribute,
                ranges,
                finder,
            } => query.ip(*attribute).is_some_and(|address| match finder {
                None => ranges.iter().any(|range| range.contains(&address)),
                Some(finder) => {
                    let mut holds = false;
                    finder.find_ip(address, |()| holds = true);
                    holds
                }
            }),
            Values::Port(ports) => ports.binary_search(&query.destination_port()).is_ok(),
        }
    }
}
