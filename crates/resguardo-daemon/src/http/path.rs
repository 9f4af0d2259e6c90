//! What the path of a request may be. Everything else is refused before anything looks at it.

/// Characters of path and query: the codes with which some services lead back have two thousand.
const LENGTH_MAX: usize = 4_096;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadPath {
    /// It is longer than anything that there is.
    Long,
    /// It is not what a browser would send.
    Odd,
}

/// Looks at path and query, as they were sent.
pub(super) fn check(path: &str, query: Option<&str>) -> Result<(), BadPath> {
    if path.len() + query.map_or(0, str::len) > LENGTH_MAX {
        return Err(BadPath::Long);
    }
    let decoded = decoded(path).ok_or(BadPath::Odd)?;
    let is_plain = |c: char| !c.is_control() && c != '\\';
    let steps_out = |part: &str| part == "." || part == "..";
    if !decoded.starts_with('/')
        || decoded.contains("//")
        || !decoded.chars().all(is_plain)
        || decoded.split('/').any(steps_out)
    {
        return Err(BadPath::Odd);
    }
    Ok(())
}

/// With what `%` stands for; `None` if that is no text, or hides a `/` or another `%`.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        let value = u8::try_from(value).ok()?;
        if matches!(value, b'/' | b'%' | b'\\') {
            return None;
        }
        bytes.push(value);
    }
    String::from_utf8(bytes).ok()
}

/// Where a login leads: a page of ours, or the first one.
pub(super) fn next(wanted: &str) -> &str {
    let (path, query) = wanted
        .split_once('?')
        .map_or((wanted, None), |(path, query)| (path, Some(query)));
    let is_plain = wanted.chars().all(|c| c.is_ascii_graphic());
    if is_plain && check(path, query).is_ok() && !path.starts_with("/log") {
        wanted
    } else {
        "/"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_refused() {
        for good in [
            "/",
            "/sources/shop",
            "/assets/style-0a.css",
            "/sources/a%20b",
            "/a..b",
        ] {
            assert_eq!(check(good, None), Ok(()), "{good}");
        }
        for odd in [
            "",
            "*",
            "http://x/",
            "//",
            "/a//b",
            "/..",
            "/../etc/passwd",
            "/a/../b",
            "/./a",
            "/%2e%2e/a",
            "/%2E./a",
            "/a/%2e",
            "/a%2fb",
            "/a%2F..",
            "/a\\b",
            "/a%5cb",
            "/a%00",
            "/a%0a",
            "/%",
            "/%4",
            "/%zz",
            "/%ff",
            "/%c0%ae",
            "/%252e%252e/",
        ] {
            assert_eq!(check(odd, None), Err(BadPath::Odd), "{odd}");
        }
        assert_eq!(
            check(&format!("/{}", "a".repeat(5_000)), None),
            Err(BadPath::Long)
        );
        assert_eq!(check("/", Some(&"a".repeat(5_000))), Err(BadPath::Long));
    }

    #[test]
    fn a_login_leads_nowhere_else() {
        for good in [
            "/",
            "/sources/shop?page=2",
            "/runs?source=shop&state=failed",
        ] {
            assert_eq!(next(good), good);
        }
        for elsewhere in [
            "",
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "/%5cevil.example",
            "javascript:alert(1)",
            "/a\r\nset-cookie: x",
            "/logout",
            "/login",
            "/../x",
        ] {
            assert_eq!(next(elsewhere), "/", "{elsewhere}");
        }
    }
}
