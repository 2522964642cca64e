//! "Did you mean": the nearest of the words that would have been right.

/// A hint if one of the words is near enough to be what was meant.
pub(super) fn did_you_mean<'w>(
    text: &str,
    words: impl IntoIterator<Item = &'w str>,
) -> Option<String> {
    nearest(text, words).map(|word| format!("did you mean `{word}`?"))
}

/// The nearest word: equal but for case, `-` and `_`, or a third of its letters off at most.
pub(super) fn nearest<'w>(text: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    // Longer names are not typing errors, and the distance costs their product.
    const LETTERS_MAX: usize = 64;
    // Each costs a distance; a table of 100,000 filters with as many wrong names must not take minutes.
    const WORDS_MAX: usize = 1000;
    if text.len() > LETTERS_MAX {
        return None;
    }
    let folded = fold(text);
    let near = words
        .into_iter()
        .take(WORDS_MAX)
        .filter(|word| word.len() <= LETTERS_MAX)
        .filter_map(|word| {
            let other = fold(word);
            let distance = strsim::damerau_levenshtein(&folded, &other);
            let allowed = (folded.chars().count().max(other.chars().count()) / 3).max(1);
            // A name that is continued (`orders` for `orders-v1`) is likelier than one that is respelled.
            let continued =
                folded.len() >= 3 && (other.starts_with(&folded) || folded.starts_with(&other));
            (distance <= allowed || continued).then_some((distance, word))
        });
    // The first of equals wins: the order in which the words were declared.
    near.reduce(|best, next| if next.0 < best.0 { next } else { best })
        .map(|(_, word)| word)
}

fn fold(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_what_is_near_is_suggested() {
        let words = ["endpoint", "backups", "priority", "filter", "match_all"];
        assert_eq!(nearest("endpiont", words), Some("endpoint"));
        assert_eq!(nearest("backup", words), Some("backups"));
        assert_eq!(nearest("matchAll", words), Some("match_all"));
        assert_eq!(nearest("match-all", words), Some("match_all"));
        assert_eq!(nearest("colour", words), None);
        assert_eq!(nearest("", words), None);
        assert_eq!(nearest(&"x".repeat(100_000), words), None);
    }
}
