//! The known name that a misspelt one most resembles.

/// The closest of `known`, if any is close enough to be what was meant.
///
/// Case and underscores play no part: `source_ips` is nearest to `sourceIps`.
#[must_use]
pub fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    /// No field's name is half as long; the distance costs its square.
    const MAX_CHARS: usize = 64;
    let name = fold(name);
    if name.len() > MAX_CHARS {
        return None;
    }
    known
        .iter()
        .map(|candidate| (distance(&name, &fold(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters in lower case, without what separates words.
#[must_use]
pub fn fold(name: &str) -> Vec<char> {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Insertions, deletions and substitutions that turn `a` into `b` (Levenshtein), row by row.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (to, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let substituted = diagonal + usize::from(from != to);
            diagonal = *above;
            left = substituted.min(left + 1).min(diagonal + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests;
