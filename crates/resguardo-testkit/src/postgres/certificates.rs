//! Certificates of a TLS server, made by `openssl`: its authority, its own, and a stranger's authority.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::account;

#[derive(Debug)]
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes them in the folder `tls` of `folder`.
    pub(crate) fn make(folder: &Path) -> Self {
        let made = Self {
            folder: folder.join("tls"),
        };
        std::fs::create_dir(&made.folder).unwrap();
        authority(&made.ca(), "Authority of a test");
        authority(&made.wrong_ca(), "Some other authority");
        made.certify();
        account::give(&made.key());
        made
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    pub(crate) fn wrong_ca(&self) -> PathBuf {
        self.folder.join("wrong.crt")
    }

    /// The server's certificate.
    pub(crate) fn chain(&self) -> PathBuf {
        self.folder.join("server.crt")
    }

    /// The server's key.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("server.key")
    }

    fn certify(&self) {
        let request = self.folder.join("server.csr");
        let extensions = self.folder.join("server.ext");
        std::fs::write(
            &extensions,
            "subjectAltName = DNS:localhost\nbasicConstraints = critical, CA:FALSE\n",
        )
        .unwrap();
        let mut ask = openssl(&["req", "-new", "-nodes", "-subj", "/CN=localhost"]);
        ask.args(NEW_KEY).arg("-keyout").arg(self.key());
        account::run(ask.arg("-out").arg(&request));
        let mut sign = openssl(&["x509", "-req", "-days", "30", "-set_serial", "2"]);
        sign.arg("-in").arg(request).arg("-CA").arg(self.ca());
        sign.arg("-CAkey").arg(self.ca().with_extension("key"));
        sign.arg("-extfile").arg(extensions);
        account::run(sign.arg("-out").arg(self.chain()));
    }
}

const NEW_KEY: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

fn authority(certificate: &Path, name: &str) {
    let mut make = openssl(&["req", "-x509", "-nodes", "-days", "30", "-subj"]);
    make.arg(format!("/CN={name}")).args(NEW_KEY);
    make.args(["-addext", "keyUsage = critical, keyCertSign"]);
    make.arg("-keyout").arg(certificate.with_extension("key"));
    account::run(make.arg("-out").arg(certificate));
}

fn openssl(words: &[&str]) -> Command {
    let mut command = Command::new(crate::tools::find("openssl", "bin"));
    command.args(words);
    command
}
