//! What the operating system answers about files, as the port's errors.

use std::io::ErrorKind;
use std::path::Path;

use crate::port::EngineError;

/// An answer about a file, by its kind.
pub(crate) fn of_system(
    operation: &'static str,
    path: &Path,
    source: std::io::Error,
) -> EngineError {
    let place = path.display().to_string();
    match source.kind() {
        ErrorKind::NotFound => EngineError::Missing { place },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => EngineError::Denied {
            operation,
            place,
            why: "permission denied".to_owned(),
        },
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => EngineError::Full { operation, place },
        _ => EngineError::Other {
            operation,
            place,
            source: Box::new(source),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_system_have_names() {
        let named = |kind| of_system("writing", Path::new("/x/y"), kind).to_string();
        for (kind, words) in [
            (ErrorKind::NotFound, "/x/y does not exist"),
            (
                ErrorKind::PermissionDenied,
                "writing /x/y: permission denied",
            ),
            (
                ErrorKind::ReadOnlyFilesystem,
                "writing /x/y: permission denied",
            ),
            (ErrorKind::StorageFull, "writing /x/y: no space left"),
            (ErrorKind::TimedOut, "writing /x/y"),
        ] {
            assert_eq!(named(kind.into()), words);
        }
    }
}
