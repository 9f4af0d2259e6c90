//! Takes comments and literals out of Rust code without moving anything.

/// The text with every byte of comments replaced by a space, and every byte of literals (strings,
/// characters) by `"`. Line breaks stay.
pub(super) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        let (end, fill) = next(bytes, position);
        for byte in &bytes[position..end] {
            code.push(match (byte, fill) {
                (b'\n', _) | (_, None) => *byte,
                (_, Some(fill)) => fill,
            });
        }
        position = end;
    }
    String::from_utf8(code).expect("only whole literals and comments were replaced, by ASCII")
}

/// Where the token at `position` ends, and what its bytes are replaced with.
fn next(bytes: &[u8], position: usize) -> (usize, Option<u8>) {
    let rest = &bytes[position..];
    if rest.starts_with(b"//") {
        let length = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(rest.len());
        return (position + length, Some(b' '));
    }
    if rest.starts_with(b"/*") {
        return (position + block_comment(rest), Some(b' '));
    }
    match rest[0] {
        b'"' => (position + string(rest), Some(b'"')),
        b'\'' => character(rest).map_or((position + 1, None), |length| {
            (position + length, Some(b'"'))
        }),
        byte if is_word(byte) => word_or_prefixed_string(rest, position),
        _ => (position + 1, None),
    }
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

/// A word as a whole, unless it is the prefix of a literal: `r`, `b`, `c`, `br`, `cr`.
fn word_or_prefixed_string(rest: &[u8], position: usize) -> (usize, Option<u8>) {
    let length = rest
        .iter()
        .position(|byte| !is_word(*byte))
        .unwrap_or(rest.len());
    let (word, after) = rest.split_at(length);
    let hashes = after.iter().take_while(|byte| **byte == b'#').count();
    let quoted = after.get(hashes) == Some(&b'"');
    match word {
        b"r" | b"br" | b"cr" if quoted => {
            (position + length + raw_string(after, hashes), Some(b'"'))
        }
        b"b" | b"c" if quoted && hashes == 0 => (position + length + string(after), Some(b'"')),
        b"b" if after.first() == Some(&b'\'') => {
            let literal = character(after).unwrap_or(1);
            (position + length + literal, Some(b'"'))
        }
        _ => (position + length, None),
    }
}

/// Length of a block comment, which may hold others.
fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Length of a string that begins with its quote.
fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of a raw string from its first `#` or quote.
fn raw_string(rest: &[u8], hashes: usize) -> usize {
    let end: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    let start = hashes + 1;
    rest[start..]
        .windows(end.len())
        .position(|window| window == end)
        .map_or(rest.len(), |found| start + found + end.len())
}

/// Length of a character literal; none if the quote begins a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        let close = rest.iter().skip(3).position(|byte| *byte == b'\'')?;
        return Some(close + 4);
    }
    let length = char_length(*rest.get(1)?);
    (rest.get(1 + length) == Some(&b'\'')).then_some(length + 2)
}

/// Bytes of the UTF-8 character that begins with this byte.
fn char_length(first: u8) -> usize {
    match first.leading_ones() {
        0 => 1,
        ones => ones as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_go_and_code_stays() {
        for (text, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"x{\")", "f(\"\"\"\")"),
            ("f(\"\\\"{\")", "f(\"\"\"\"\")"),
            ("r#\"a\"b\"# c", "\"\"\"\"\"\"\"\" c"),
            ("br\"\\\" c", "\"\"\"\"\" c"),
            ("b'{' c", "\"\"\"\" c"),
            ("'{' c", "\"\"\" c"),
            ("'\\'' c", "\"\"\"\" c"),
            ("'\\\\' c", "\"\"\"\" c"),
            ("'ñ' c", "\"\"\"\" c"),
            ("&'a str {", "&'a str {"),
            ("r#fn x", "r#fn x"),
            ("bar\"x\"", "bar\"\"\""),
            ("f('a', 'b')", "f(\"\"\", \"\"\")"),
        ] {
            assert_eq!(blank(text), code, "{text}");
        }
    }

    #[test]
    fn blanking_keeps_every_position() {
        for text in [
            "let a = \"one\ntwo\"; // ñ\nfn b() {}\n",
            "/* never closed",
            "\"never closed",
            "r##\"never closed\"#",
            "'",
            "'\\",
            "b'",
            "\"\\",
        ] {
            let code = blank(text);
            assert_eq!(code.len(), text.len(), "{text:?}");
            let breaks = |text: &str| -> Vec<usize> {
                text.match_indices('\n')
                    .map(|(position, _)| position)
                    .collect()
            };
            assert_eq!(breaks(&code), breaks(text), "{text:?}");
        }
    }
}
