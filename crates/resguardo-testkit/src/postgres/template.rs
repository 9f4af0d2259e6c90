//! New clusters: made once by `initdb` for every encoding and locale, then copied.

use std::path::Path;

use super::options::PgServerOptions;
use super::tree::Tree;
use super::{account, ground, identity};

/// The name of the superuser of every server.
pub(super) const SUPERUSER: &str = "postgres";

/// Makes a cluster of its own identity at `data`.
pub(super) fn copy_to(data: &Path, tree: &Tree, options: &PgServerOptions) {
    let name: String = format!(
        "cluster-{}-{}-{}",
        tree.stamp, options.encoding, options.locale
    )
    .chars()
    .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
    .collect();
    let template = ground::cached(&name, |draft| {
        let mut initdb = account::command(&tree.bin.join("initdb"));
        initdb.arg("-D").arg(draft);
        initdb.args(["-U", SUPERUSER, "-A", "trust", "-N"]);
        initdb.args(["-E", &options.encoding]);
        match options.locale.strip_prefix("icu:") {
            Some(locale) => initdb
                .args(["--locale=C.UTF-8", "--locale-provider=icu"])
                .arg(format!("--icu-locale={locale}")),
            None => initdb.arg(format!("--locale={}", options.locale)),
        };
        account::run(initdb.env("LC_ALL", "C"));
    });
    let mut copy = account::command(Path::new("cp"));
    account::run(copy.args(["-a", "--reflink=auto"]).arg(template).arg(data));
    identity::renew(data, &tree.bin);
}
