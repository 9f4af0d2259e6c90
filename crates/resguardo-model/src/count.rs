//! Numbers of things in words.

/// `1 table`, `2 tables`, `2 indexes`.
#[must_use]
pub fn counted(number: u64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number if one.ends_with('x') => format!("{number} {one}es"),
        number => format!("{number} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_one() {
        for (number, one, words) in [
            (0, "row", "0 rows"),
            (1, "row", "1 row"),
            (2, "index", "2 indexes"),
        ] {
            assert_eq!(counted(number, one), words);
        }
    }
}
